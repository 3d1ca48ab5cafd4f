#!/usr/bin/env python3
"""Build the Java client with Maven. The first build of a pom.xml downloads its dependencies, later ones run offline.

Maven's local repository is in .cache. Run as a script, this compiles the client and prints the path of an argument
file with which `java` starts the behaviours program. With --stubs it only generates the stubs and prints their folder.
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

from tools.generate import CACHE, JAVA_CLIENT, JAVA_MINIMUM, PROTOS, require_version, run  # noqa: E402 - after sys.path

CLIENT = JAVA_CLIENT
MAVEN_REPOSITORY = CACHE / "m2"
TARGET = CLIENT / "target"
STUBS = TARGET / "generated-sources" / "protobuf"
CLASSPATH = TARGET / "test.classpath"
BEHAVIOURS = TARGET / "behaviours.args"
# JVM options of Maven, the tests and the behaviours, which run for seconds: the optimizing compiler and a parallel
# garbage collector would cost more than they save.
JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def mvn(*arguments: str | Path, cwd: Path = CLIENT, repository: Path = MAVEN_REPOSITORY) -> str:
    """Run Maven offline with a local repository; return its output. Raises StepFailedError if it fails."""
    return _mvn("--offline", *arguments, cwd=cwd, repository=repository)


def deploy(repository: Path) -> None:
    """Build the client without its tests, with sources and documentation, and deploy it to a repository of files."""
    with _locked(), _repository_locked():
        target = f"-DaltDeploymentRepository=dist::{repository.as_uri()}"
        _mvn("--quiet", "deploy", "-Prelease", "-DskipTests", target, cwd=CLIENT, repository=MAVEN_REPOSITORY)


def run_example(folder: Path, *arguments: str, env: dict[str, str]) -> str:
    """Run Maven in a project of examples/; return its output. The first run downloads its dependencies.

    Raises StepFailedError if Maven fails.
    """
    with _repository_locked():
        return _mvn(*arguments, cwd=folder, repository=MAVEN_REPOSITORY, env=env)


def _mvn(*arguments: str | Path, cwd: Path, repository: Path, env: dict[str, str] | None = None) -> str:
    settings = (f"-Dmaven.repo.local={repository}", f"-DargLine={JVM_OPTIONS}")
    environment = {"MAVEN_OPTS": JVM_OPTIONS, **(env or {})}
    return run("mvn", "--batch-mode", "--no-transfer-progress", *settings, *arguments, cwd=cwd, env=environment)


@contextmanager
def exclusive_build() -> Iterator[None]:
    """Hold the lock of the client's folder, in which only one Maven can build at a time.

    Before the block starts, the dependencies of the client's build, tests and installation are downloaded.
    """
    require_version("javac", "-version", JAVA_MINIMUM)
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
    """Hold the lock of the local repository, which several working trees may share. Maven does not lock it."""
    MAVEN_REPOSITORY.mkdir(parents=True, exist_ok=True)
    with (CACHE / "m2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def discard_old_stubs() -> None:
    """Delete generated stubs if a proto has changed, because the plugin keeps files of messages that were removed."""
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
        # Only a whole build downloads everything that the build needs. The client itself is not installed, because
        # working trees with other versions of it may share the local repository.
        skipped = ("-Dmaven.install.skip=true", "-Dmaven.test.failure.ignore=true")
        _mvn("install", *skipped, cwd=CLIENT, repository=MAVEN_REPOSITORY)
        stamp.touch()


def stubs() -> Path:
    """Generate the stubs and return their folder. Needs the network only if a generator is not downloaded yet."""
    with _locked(), _repository_locked():
        _mvn("generate-sources", cwd=CLIENT, repository=MAVEN_REPOSITORY)
    return STUBS


def compile_client() -> Path:
    """Compile the client and its tests; return an argument file with which `java` can start any of their classes.

    Paths in the file are relative to the client's folder.
    """
    with exclusive_build():
        mvn("--quiet", "test-compile")
        write_arguments()
    return BEHAVIOURS


def write_arguments() -> None:
    """Write the argument file of a compiled client. The build must be exclusive."""
    classpath = os.pathsep.join(("target/classes", "target/test-classes", CLASSPATH.read_text().strip()))
    BEHAVIOURS.write_text(f'{JVM_OPTIONS}\n-cp "{classpath}"\n')


if __name__ == "__main__":
    os.chdir(ROOT)
    print(stubs() if "--stubs" in sys.argv[1:] else compile_client())
