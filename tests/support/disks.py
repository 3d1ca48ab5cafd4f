"""A small disk for a gateway's process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SMALL_DISK_BYTES = 16 << 20
_SMALL_DISK = (
    "unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)),
    "sh", "-c", f'mount -t tmpfs -o size={SMALL_DISK_BYTES} none "$0" && exec "$@"',
)  # fmt: skip


def small_disk(folder: Path) -> tuple[str, ...]:
    """Return the command prefix for a process that has a small disk at the folder. Skips the test if none can be made.

    The disk disappears with its last process.
    """
    launcher = (*_SMALL_DISK, str(folder))
    tried = subprocess.run([*launcher, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this machine does not let us mount: {tried.stderr.strip()}")
    return launcher
