#!/usr/bin/env python3
"""Says whether protos/ would break who uses the last published version of them.

Published is the last tag proto-v*; while there is none, the commit before this one counts.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = ROOT / ".cache" / "codegen" / "bin" / "buf"
COMPARED = ("buf.yaml", "protos")


def git(*arguments: str) -> str | None:
    """What git prints, or None where it fails."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def published() -> str | None:
    """The tag or commit to compare with."""
    tags = git("tag", "--list", "proto-v*", "--sort=-version:refname", "--merged", "HEAD")
    if tags:
        return tags.splitlines()[0]
    return "HEAD~1" if git("ls-tree", "HEAD~1", *COMPARED) else None


def main() -> int:
    """The command line; exits as buf does."""
    against = published()
    if against is None:
        shallow = git("rev-parse", "--is-shallow-repository") == "true"
        why = "a shallow clone: its history is not here" if shallow else "first version"
        print(f"lint: buf breaking: nothing to compare with ({why})")
        return 0
    print(f"lint: buf breaking, against {against}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        # Unpacked rather than read by buf from .git, which would clone the repository for it.
        archive = subprocess.run(["git", "archive", against, *COMPARED], cwd=ROOT, capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(scratch, filter="data")
        return subprocess.run([BUF, "breaking", "--against", scratch], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
