#!/usr/bin/env python3
"""Build the Java client with Maven, whose local repository is in .cache: from the network once, then offline.

Run as a script, it compiles the client, and prints the file of arguments with which `java` starts the program of
behaviours. With --stubs it only generates the stubs, and prints their folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.generate import CACHE, JAVA_CLIENT, JAVA_LOWEST, PROTOS, run, version_of  # noqa: E402 - it is a script too

CLIENT = JAVA_CLIENT
MAVEN_REPOSITORY = CACHE / "m2"
TARGET = CLIENT / "target"
STUBS = TARGET / "generated-sources" / "protobuf"
CLASSPATH = TARGET / "test.classpath"
BEHAVIOURS = TARGET / "behaviours.args"
# Of Maven, the tests and the behaviours. They run for seconds: what pays off later is left out.
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def mvn(*arguments: str | Path, cwd: Path = CLIENT, repository: Path = MAVEN_REPOSITORY) -> str:
    """Runs Maven offline, with a local repository; returns what it printed."""
    return _mvn("--offline", *arguments, cwd=cwd, repository=repository)


def _mvn(*arguments: str | Path, cwd: Path, repository: Path) -> str:
    settings = (f"-Dmaven.repo.local={repository}", f"-DargLine={OPTIONS}")
    environment = {"MAVEN_OPTS": OPTIONS}
    return run("mvn", "--batch-mode", "--no-transfer-progress", *settings, *arguments, cwd=cwd, env=environment)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of the client's folder, because only one Maven at a time can build there.

    The local repository then has everything that the client's build, tests and installation need.
    """
    version_of("javac", "-version", JAVA_LOWEST)
    with _locked():
        _fetch()
        yield


@contextmanager
def _locked() -> Iterator[None]:
    with (CLIENT / "pom.xml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        discard_old_stubs()
        yield


@contextmanager
def _repository_locked() -> Iterator[None]:
    """Hold the lock of the local repository, which may belong to several working trees: Maven itself takes none."""
    MAVEN_REPOSITORY.mkdir(parents=True, exist_ok=True)
    with (CACHE / "m2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def discard_old_stubs() -> None:
    """Remove generated stubs if a proto has changed: the plugin keeps the files of messages that no longer exist."""
    digest = hashlib.sha256()
    for path in sorted(PROTOS.rglob("*.proto")):
        digest.update(f"{path.relative_to(PROTOS)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    stamp = TARGET / "protos.stamp"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    shutil.rmtree(STUBS, ignore_errors=True)
    shutil.rmtree(TARGET / "protobuf-maven-plugin", ignore_errors=True)
    TARGET.mkdir(exist_ok=True)
    stamp.write_text(digest.hexdigest())


def _fetch() -> None:
    stamp = MAVEN_REPOSITORY / f"{hashlib.sha256((CLIENT / 'pom.xml').read_bytes()).hexdigest()}.stamp"
    if stamp.exists():
        return
    with _repository_locked():
        # A whole build is the only way to learn what it needs. The client itself is not installed: another working tree
        # has another version of it.
        skipped = ("-Dmaven.install.skip=true", "-Dmaven.test.failure.ignore=true")
        _mvn("install", *skipped, cwd=CLIENT, repository=MAVEN_REPOSITORY)
        stamp.touch()


def stubs() -> Path:
    """Generate the stubs and return their folder. Needs the network only if Maven lacks a generator."""
    with _locked(), _repository_locked():
        _mvn("generate-sources", cwd=CLIENT, repository=MAVEN_REPOSITORY)
    return STUBS


def compiled() -> Path:
    """Compile the client and its tests; return a file of arguments with which `java` starts a class of theirs.

    The arguments are relative to the client's folder.
    """
    with alone():
        mvn("--quiet", "test-compile")
        classpath = os.pathsep.join(("target/classes", "target/test-classes", CLASSPATH.read_text().strip()))
        BEHAVIOURS.write_text(f'{OPTIONS}\n-cp "{classpath}"\n')
    return BEHAVIOURS


if __name__ == "__main__":
    os.chdir(ROOT)
    print(stubs() if "--stubs" in sys.argv[1:] else compiled())
