"""The Python client's package, built and installed into a project outside the repository, and its README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.clients.programs import output_of
from tests.docs.markdown import ROOT, Block, blocks
from tests.durability.process import GatewayProcess
from tools.generate import run

pytestmark = pytest.mark.timeout(300)
CLIENT = ROOT / "clients" / "python"
ADDRESS = "127.0.0.1:50051"
PROGRAMS = [block for block in blocks("clients/python/README.md") if block.language == "python"]
UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a venv with the wheels of the client and the stubs, and their dependencies only."""
    folder = tmp_path_factory.mktemp("project")
    for source in (CLIENT, ROOT / "generated" / "python"):
        run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, source)
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    installed = folder / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", installed, *folder.glob("*.whl"))
    return installed


def test_the_python_client_is_imported_from_its_wheel(python: Path) -> None:
    printed = subprocess.run(
        [python, "-I", "-c", "import hfgateway_client, hfgateway.v1; print(hfgateway_client.__file__)"],
        cwd=python.parents[2], capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert Path(printed.strip()).is_relative_to(python.parents[1])
    assert (Path(printed.strip()).parent / "py.typed").exists()


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
async def test_the_python_readme_generates(program: Block, python: Path, tmp_path: Path) -> None:
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        text = program.text.replace(ADDRESS, gateway.address)
        out = await output_of(python, "-P", "-W", "error", "-c", text, cwd=tmp_path)
        (charge,) = sandbox.ledger.charges
        assert charge.request_id in out
