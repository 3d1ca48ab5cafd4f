#!/usr/bin/env python3
"""Install the dependencies of the TypeScript client and build it. Steps whose inputs have not changed are skipped.

Several tests and tools share the installation and may run at the same time, so both steps run under a file lock.
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

from tools.generate import CACHE, NODE_MINIMUM, require_version, run  # noqa: E402 - after sys.path

CLIENT = ROOT / "clients" / "typescript"
STUBS = tuple(ROOT / "generated" / "typescript" / "hfgateway" / api for api in ("v1", "agents"))
"""The stubs that are part of the package."""
SOURCES = ("src", "tests", "behaviours")
ENVIRONMENT = {"npm_config_cache": str(CACHE / "npm"), "npm_config_update_notifier": "false"}


def npm(*arguments: str | Path, cwd: Path = CLIENT) -> str:
    """Run npm with its cache in .cache/npm; return its output. Raises StepFailedError if it fails."""
    return run("npm", *arguments, cwd=cwd, env=ENVIRONMENT)


def build_client() -> Path:
    """Install the client's dependencies and build it, each only if needed; return the client's folder.

    Raises MissingToolchainError if Node is not installed or too old, StepFailedError if npm fails.
    """
    require_version("node", "--version", NODE_MINIMUM)
    with _locked():
        with _unless_current(CLIENT / "node_modules", CLIENT / ".npmrc", CLIENT / "package-lock.json") as stale:
            if stale:
                npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
        with _unless_current(CLIENT / "build", *_inputs()) as stale:
            if stale:
                npm("run", "clean")
                npm("run", "build")
    return CLIENT


def _inputs() -> Iterator[Path]:
    yield CLIENT / "node_modules" / ".stamp"
    yield from sorted(path for path in CLIENT.glob("*.json*") if path.is_file())
    for folder in (*(CLIENT / name for name in SOURCES), *STUBS):
        # The build copies the stubs to src/gen.
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and "gen" not in path.parts)


@contextmanager
def _locked() -> Iterator[None]:
    with (CLIENT / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _unless_current(folder: Path, *inputs: Path) -> Iterator[bool]:
    """Yield whether the folder must be made again because an input has changed.

    At the end, the digest of the inputs is written to a stamp in the folder, unless the block raises.
    """
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    stamp = folder / ".stamp"
    stale = not stamp.exists() or stamp.read_text() != digest.hexdigest()
    yield stale
    stamp.write_text(digest.hexdigest())


if __name__ == "__main__":
    os.chdir(ROOT)
    print(build_client())
