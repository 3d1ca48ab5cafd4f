"""Finds the modules that a piece of code imports, in a new process because this one has already imported them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection

from tests.durability.process import ROOT


def imported(code: str, of: Collection[str]) -> list[str]:
    """Run the code in a new interpreter; return which of these modules it has imported."""
    report = f"import sys; print(*sorted({set(of)!r} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return ended.stdout.decode().split()
