"""The stubs, the client and the server load with the oldest libraries that their manifests allow; stubs and client also
with the newest."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from tests.clients import languages
from tools import generate

STUBS = generate.GENERATED / "python"
CLIENT = generate.ROOT / "clients" / "python"
SERVER = generate.ROOT
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

IMPORTS = """
import importlib, pkgutil
import gateway

names = [module.name for module in pkgutil.walk_packages(gateway.__path__, "gateway.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def dependencies(*packages: Path) -> list[str]:
    """Return the dependencies of our packages on libraries, also those of extras."""
    found: set[str] = set()
    for package in packages:
        with (package / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)["project"]
        found.update(project["dependencies"], *project.get("optional-dependencies", {}).values())
    return sorted(dependency for dependency in found if not dependency.startswith("hfgateway-"))


def environment(name: str, resolution: str, *packages: Path) -> Path:
    """Return the Python of a venv with only the dependencies of the packages, created once for each set of pins."""
    required = dependencies(*packages)
    directory = generate.CACHE / f"floor-{name}-{resolution}"
    pins = (*required, sys.version)
    with generate.install_once(directory, hashlib.sha256("\n".join(pins).encode()).digest()) as stale:
        if stale:
            generate.run(UV, "venv", "--quiet", "--python", sys.executable, directory)
            python = directory / "bin" / "python"
            generate.run(UV, "pip", "install", "--quiet", "--python", python, "--resolution", resolution, *required)
    return directory / "bin" / "python"


def run(python: Path, program: str, *sources: Path) -> str:
    # -P excludes the current directory: only the files of the two distributions, and of the given ones, may be found.
    paths = os.pathsep.join(map(str, (CLIENT, STUBS, *sources)))
    done = subprocess.run(
        [python, "-P", "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
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
    printed = run(environment("client", resolution, STUBS, CLIENT), PROGRAM).split()
    floors = [requirement.split(",")[0].replace(">=", "==") for requirement in dependencies(STUBS, CLIENT)]
    if resolution == "lowest-direct":
        # The declared floors were installed; 1.72 and 1.72.0 are the same version.
        assert [pin for pin in printed if not any(same(pin, floor) for floor in floors)] == []
    else:
        assert not any(same(pin, floor) for pin in printed for floor in floors)


def same(pin: str, floor: str) -> bool:
    return pin == floor or pin.startswith(f"{floor}.")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_the_client_loads_with_its_oldest_and_newest_libraries(resolution: str) -> None:
    assert (
        run(
            environment("client", resolution, STUBS, CLIENT),
            "import hfgateway_client; print(hfgateway_client.__name__)",
        )
        == "hfgateway_client\n"
    )


@pytest.mark.timeout(600)
@pytest.mark.toolchain("openssl")
@pytest.mark.toolchain("cc")
def test_a_closed_client_ends_its_watches_with_its_oldest_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    python = environment("client", "lowest-direct", STUBS, CLIENT)
    monkeypatch.setenv("PYTHONPATH", str(STUBS))
    oldest = languages.Language("oldest", "Python", "python", "openssl", (str(python), "-m", "behaviours"))
    results = languages.run_all([oldest], partial(languages.perform, names=["closed_client"]))["oldest"]
    assert results.held == {"closed_client": True}, f"{results.faults}\n\n{results.stderr}"


@pytest.mark.timeout(600)
def test_the_server_loads_with_its_oldest_libraries(tmp_path: Path) -> None:
    python = environment("server", "lowest-direct", STUBS, CLIENT, SERVER)
    metadata = tmp_path / "hfgateway-0.0.dist-info" / "METADATA"  # it asks for its version
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.4\nName: hfgateway\nVersion: 0.0\n")
    assert int(run(python, IMPORTS, SERVER, tmp_path)) > 200
