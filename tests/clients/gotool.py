"""The Go tool with caches below .cache, which several checkouts may share."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools import generate

CLIENT = generate.ROOT / "clients" / "go"
CACHES = generate.GO_CACHES
ENVIRONMENT: Mapping[str, str] = {
    **generate.GO_ENVIRONMENT,
    # Binaries need no commit id.
    "GOFLAGS": f"{generate.GO_ENVIRONMENT['GOFLAGS']} -buildvcs=false",
    "GOTOOLCHAIN": "local",
    "STATICCHECK_CACHE": str(CACHES / "staticcheck"),
}
BEHAVIOURS = CLIENT / "build" / "behaviours"
_ASSIGNMENTS = (f"{name}={value}" for name, value in ENVIRONMENT.items())
BUILD_BEHAVIOURS = ("env", *_ASSIGNMENTS, "go", "build", "-o", str(BEHAVIOURS), "./behaviours")


def go(*arguments: str | Path, cwd: Path = CLIENT, **environment: str) -> str:
    """Run the Go tool; return its output. Raises generate.StepFailedError if it fails."""
    return generate.run("go", *arguments, cwd=cwd, env={**ENVIRONMENT, **environment})


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold a lock shared by all users of the caches."""
    CACHES.mkdir(parents=True, exist_ok=True)
    with (CACHES / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
