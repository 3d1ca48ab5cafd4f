"""What a process does about signals."""

from __future__ import annotations

import re
import signal
from pathlib import Path


def ignores(pid: int, number: signal.Signals) -> bool:
    """Return whether a process ignores a signal."""
    ignored = re.search(r"^SigIgn:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert ignored is not None
    return bool(int(ignored[1], 16) >> (number - 1) & 1)
