"""Go's tool with caches below .cache, of which every checkout that shares them is served."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools import generate

CLIENT = generate.ROOT / "clients" / "go"
# What was compiled is found again by its path: a link to the caches must not make another one of them.
CACHES = generate.CACHE.resolve() / "go"
ENVIRONMENT: Mapping[str, str] = {
    "GOCACHE": str(CACHES / "build"),
    "GOMODCACHE": str(CACHES / "mod"),
    # Whoever deletes .cache must be able to; what is built need not say from which commit.
    "GOFLAGS": "-modcacherw -buildvcs=false",
    "GOWORK": "off",
    "GOTOOLCHAIN": "local",
    "STATICCHECK_CACHE": str(CACHES / "staticcheck"),
}
BEHAVIOURS = CLIENT / "build" / "behaviours"
_ASSIGNMENTS = (f"{name}={value}" for name, value in ENVIRONMENT.items())
BUILD_BEHAVIOURS = ("env", *_ASSIGNMENTS, "go", "build", "-o", str(BEHAVIOURS), "./behaviours")


def go(*arguments: str | Path, cwd: Path = CLIENT, **environment: str) -> str:
    """What it printed. Raises generate.StepFailedError where it failed."""
    return generate.run("go", *arguments, cwd=cwd, env={**ENVIRONMENT, **environment})


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Holds a lock among all who share the caches."""
    CACHES.mkdir(parents=True, exist_ok=True)
    with (CACHES / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
