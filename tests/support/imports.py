"""The modules that a piece of code imports, found in a separate process because this one has imported everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection

from tests.durability.process import ROOT


def imported(code: str, of: Collection[str]) -> list[str]:
    """Return which of these modules the code has imported."""
    report = f"import sys; print(*sorted({set(of)!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return ended.stdout.decode().split()
