#!/usr/bin/env python3
"""Installs what the TypeScript client is built with, and builds it, where either is not done yet.

The tests of several clients run at the same time and share one installation, so both happen under a lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.generate import CACHE, NODE_LOWEST, run, version_of  # noqa: E402 - it is a script too

CLIENT = ROOT / "clients" / "typescript"
STUBS = tuple(ROOT / "generated" / "typescript" / "hfgateway" / api for api in ("v1", "agents"))
"""Those that the package ships."""
SOURCES = ("src", "tests", "behaviours")
ENVIRONMENT = {"npm_config_cache": str(CACHE / "npm"), "npm_config_update_notifier": "false"}


def npm(*arguments: str | Path, cwd: Path = CLIENT) -> str:
    """Runs npm with a cache that a second run finds; returns what it printed."""
    return run("npm", *arguments, cwd=cwd, env=ENVIRONMENT)


def built() -> Path:
    """The client's folder, with everything installed and built."""
    version_of("node", "--version", NODE_LOWEST)
    with _alone():
        with _once(CLIENT / "node_modules", CLIENT / ".npmrc", CLIENT / "package-lock.json") as stale:
            if stale:
                npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
        with _once(CLIENT / "build", *_inputs()) as stale:
            if stale:
                npm("run", "clean")
                npm("run", "build")
    return CLIENT


def _inputs() -> Iterator[Path]:
    yield CLIENT / "node_modules" / ".stamp"
    yield from sorted(path for path in CLIENT.glob("*.json*") if path.is_file())
    for folder in (*(CLIENT / name for name in SOURCES), *STUBS):
        yield from sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def _alone() -> Iterator[None]:
    with (CLIENT / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _once(made: Path, *inputs: Path) -> Iterator[bool]:
    """Whether the folder has to be made of these files; when it is, a stamp in it says of what."""
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    stamp = made / ".stamp"
    stale = not stamp.exists() or stamp.read_text() != digest.hexdigest()
    yield stale
    stamp.write_text(digest.hexdigest())


if __name__ == "__main__":
    os.chdir(ROOT)
    print(built())
