"""Namespaces of Linux for a gateway's process: one with a small disk, and one whose first process it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SMALL_DISK_BYTES = 16 << 20
_AS_ROOT = () if os.geteuid() == 0 else ("--map-root-user",)
_SMALL_DISK = (
    "unshare", "--mount", *_AS_ROOT,
    "sh", "-c", f'mount -t tmpfs -o size={SMALL_DISK_BYTES} none "$0" && exec "$@"',
)  # fmt: skip


def small_disk(folder: Path) -> tuple[str, ...]:
    """Return the command prefix for a process that has a small disk at the folder. Skips the test if none can be made.

    The disk disappears with its last process.
    """
    return _tried((*_SMALL_DISK, str(folder)), "mount")


def first_process() -> tuple[str, ...]:
    """Return the command prefix for a process with id 1, as in a container. Skips the test if none can be made."""
    return _tried(("unshare", "--pid", "--fork", "--kill-child", *_AS_ROOT), "make a namespace of processes")


def _tried(launcher: tuple[str, ...], what: str) -> tuple[str, ...]:
    tried = subprocess.run([*launcher, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this machine does not let us {what}: {tried.stderr.strip()}")
    return launcher
