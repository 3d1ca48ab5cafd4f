"""What a piece of code has imported by its end, told by a process of its own: this one has imported everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection

from tests.durability.process import ROOT


def imported(code: str, of: Collection[str]) -> list[str]:
    """Which of these modules the code has imported."""
    telling = f"import sys; print(*sorted({set(of)!r} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", f"{code}\n{telling}"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return told.stdout.decode().split()
