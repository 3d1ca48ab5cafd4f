#!/usr/bin/env python3
"""Check with `buf breaking` that protos/ is compatible with its last published version.

The last published version is the newest proto-v* tag that HEAD contains. If there is no such tag, it is the commit
before HEAD.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = ROOT / ".cache" / "codegen" / "bin" / "buf"
COMPARED = ("buf.yaml", "protos")


def git(*arguments: str) -> str | None:
    """Run a git command in the repository; return its stripped stdout, or None if it fails."""
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def last_published() -> str | None:
    """Return the tag or commit to compare with; None if the history has none."""
    tags = git("tag", "--list", "proto-v*", "--sort=-version:refname", "--merged", "HEAD")
    if tags:
        return tags.splitlines()[0]
    return "HEAD~1" if git("ls-tree", "HEAD~1", *COMPARED) else None


def main() -> int:
    """Run the check and return buf's exit code; return 0 if there is nothing to compare with."""
    against = last_published()
    if against is None:
        shallow = git("rev-parse", "--is-shallow-repository") == "true"
        reason = "shallow clone without history" if shallow else "first version"
        print(f"lint: buf breaking: nothing to compare with ({reason})")
        return 0
    print(f"lint: buf breaking, against {against}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        # Given a .git folder, buf would clone the whole repository. Unpacking the two paths is faster.
        archive = subprocess.run(["git", "archive", against, *COMPARED], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x"], input=archive.stdout, cwd=scratch, check=True)
        return subprocess.run([BUF, "breaking", "--against", scratch], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
