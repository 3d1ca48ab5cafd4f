"""The stubs and the client load with the oldest and the newest libraries that their manifests allow."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import generate

STUBS = generate.GENERATED / "python"
CLIENT = generate.ROOT / "clients" / "python"
UV = Path(sys.executable).parent / "uv"

PROGRAM = """
import importlib, importlib.metadata, pkgutil
import hfgateway.v1

names = [module.name for module in pkgutil.iter_modules(hfgateway.v1.__path__, "hfgateway.v1.")]
for name in names:
    importlib.import_module(name)
assert "hfgateway.v1.generation_service_pb2_grpc" in names, names

from hfgateway.v1.generation_pb2 import Generation, GENERATION_STATE_PENDING
sent = Generation(id="1", state=GENERATION_STATE_PENDING, labels={"a": "b"})
sent.create_time.GetCurrentTime()
assert Generation.FromString(sent.SerializeToString()) == sent

for name in ("grpcio", "protobuf", "googleapis-common-protos"):
    print(f"{name}=={importlib.metadata.version(name)}")
"""


def dependencies() -> list[str]:
    """Return the dependencies of the stubs and the client on libraries."""
    found: set[str] = set()
    for package in (STUBS, CLIENT):
        with (package / "pyproject.toml").open("rb") as file:
            found.update(tomllib.load(file)["project"]["dependencies"])
    return sorted(dependency for dependency in found if not dependency.startswith("hfgateway-stubs"))


def environment(resolution: str) -> Path:
    """Return the Python of a venv with only the dependencies of the client, created once for each set of pins."""
    required = dependencies()
    directory = generate.CACHE / f"floor-{resolution}"
    pins = (*required, sys.version)
    with generate.install_once(directory, hashlib.sha256("\n".join(pins).encode()).digest()) as stale:
        if stale:
            generate.run(UV, "venv", "--quiet", "--python", sys.executable, directory)
            python = directory / "bin" / "python"
            generate.run(UV, "pip", "install", "--quiet", "--python", python, "--resolution", resolution, *required)
    return directory / "bin" / "python"


def run(python: Path, program: str) -> str:
    # -P excludes the current directory: only the files of the two distributions may be found.
    done = subprocess.run(
        [python, "-P", "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": f"{CLIENT}{os.pathsep}{STUBS}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_stubs_load_and_carry_a_message(resolution: str) -> None:
    printed = run(environment(resolution), PROGRAM).split()
    floors = [requirement.split(",")[0].replace(">=", "==") for requirement in dependencies()]
    if resolution == "lowest-direct":
        # The declared floors were installed; 1.72 and 1.72.0 are the same version.
        assert [pin for pin in printed if not any(same(pin, floor) for floor in floors)] == []
    else:
        assert not any(same(pin, floor) for pin in printed for floor in floors)


def same(pin: str, floor: str) -> bool:
    return pin == floor or pin.startswith(f"{floor}.")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_client_loads(resolution: str) -> None:
    assert (
        run(environment(resolution), "import hfgateway_client; print(hfgateway_client.__name__)")
        == "hfgateway_client\n"
    )
