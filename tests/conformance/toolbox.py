"""Tools of Connect and gRPC and an S3 server, built below .cache, and the stubs of Connect's conformance service."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.markdown import ROOT
from tools.generate import GO_ENVIRONMENT, python_tools

FOLDER = ROOT / ".cache" / "conformance"
CONFORMANCE = "connectrpc.com/conformance@v1.0.6"
PROGRAMS = {
    "connectconformance": "connectrpc.com/conformance/cmd/connectconformance@v1.0.6",
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    "ghz": "github.com/bojand/ghz/cmd/ghz@v0.121.0",
}
PACKAGE = "connectrpc_conformance"


def program(name: str) -> Path:
    """Return the path of a program; build it first if it is missing."""
    target = PROGRAMS[name]
    version = target.rpartition("@")[2]
    place = FOLDER / f"{name}-{version}"
    with _alone():
        if not (place / name).exists():
            # Outside of any module, so that `program@version` uses the program's own go.mod.
            run("go", "install", target, cwd=FOLDER, GOBIN=str(place), **GO_ENVIRONMENT)
    return place / name


def stubs() -> Path:
    """Return a folder with the generated package of Connect's conformance service."""
    place = FOLDER / f"stubs-{CONFORMANCE.rpartition('@')[2]}"
    with _alone():
        if not (place / PACKAGE / "service_pb2.py").exists():
            _generate(place)
    return place


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run a command that must succeed, and return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def _generate(place: Path) -> None:
    module = run("go", "mod", "download", "-json", CONFORMANCE, cwd=FOLDER, **GO_ENVIRONMENT)
    protos = Path(json.loads(module)["Dir"]) / "proto"
    sources = sorted(path.relative_to(protos) for path in protos.rglob("*.proto"))
    place.mkdir(parents=True, exist_ok=True)
    run(python_tools() / "python", "-m", "grpc_tools.protoc", f"-I{protos}", f"--python_out={place}", *sources)
    made = place / "connectrpc" / "conformance" / "v1"
    target = place / PACKAGE
    target.mkdir(exist_ok=True)
    # Under another package name, because `connectrpc` is the library under test.
    for path in made.glob("*_pb2.py"):
        text = path.read_text().replace("from connectrpc.conformance.v1 import", f"from {PACKAGE} import")
        (target / path.name).write_text(text)
    (target / "__init__.py").touch()


@contextmanager
def _alone() -> Iterator[None]:
    """Lock the cache: several tests may need the same program at the same time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
