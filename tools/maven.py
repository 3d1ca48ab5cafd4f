#!/usr/bin/env python3
"""Builds the Java client with Maven, whose local repository is below .cache: from the network once, then offline.

As a script it compiles all, and writes what `java` needs to start the client's program of behaviours without Maven.
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

from tools.generate import CACHE, JAVA_LOWEST, MAVEN_REPOSITORY, run, version_of  # noqa: E402 - it is a script too

CLIENT = ROOT / "clients" / "java"
CLASSPATH = CLIENT / "target" / "test.classpath"
BEHAVIOURS = CLIENT / "target" / "behaviours.args"
# They run for seconds: what pays off later is left out.
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def mvn(*arguments: str | Path, cwd: Path = CLIENT, repository: Path = MAVEN_REPOSITORY) -> str:
    """Runs Maven offline, with a local repository; returns what it printed."""
    return _mvn("--offline", *arguments, cwd=cwd, repository=repository)


def _mvn(*arguments: str | Path, cwd: Path, repository: Path) -> str:
    return run("mvn", "--batch-mode", "--no-transfer-progress", f"-Dmaven.repo.local={repository}", *arguments, cwd=cwd)


@contextmanager
def alone() -> Iterator[None]:
    """Holds the lock of the client's folder, of which one Maven at a time can make something.

    By then the local repository has all that a build needs, its tests and its installation too.
    """
    version_of("javac", "-version", JAVA_LOWEST)
    with (CLIENT / "pom.xml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fetch()
        yield


def _fetch() -> None:
    MAVEN_REPOSITORY.mkdir(parents=True, exist_ok=True)
    stamp = MAVEN_REPOSITORY / f"{hashlib.sha256((CLIENT / 'pom.xml').read_bytes()).hexdigest()}.stamp"
    if stamp.exists():
        return
    # Of all working trees one, for Maven itself does not share what it is fetching.
    with (CACHE / "m2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # To run it is the way to learn what it takes. Ours is not installed: other working trees have another one.
        skipped = ("-Dmaven.install.skip=true", "-Dmaven.test.failure.ignore=true")
        _mvn("install", *skipped, cwd=CLIENT, repository=MAVEN_REPOSITORY)
        stamp.touch()


def compiled() -> Path:
    """A file of arguments with which `java`, in the client's folder, starts a class of the client's or of its tests."""
    with alone():
        mvn("--quiet", "test-compile")
        classpath = os.pathsep.join(("target/classes", "target/test-classes", CLASSPATH.read_text().strip()))
        BEHAVIOURS.write_text(f'{OPTIONS}\n-cp "{classpath}"\n')
    return BEHAVIOURS


if __name__ == "__main__":
    os.chdir(ROOT)
    print(compiled())
