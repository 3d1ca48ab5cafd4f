"""Both distributions build, the wheel from the sdist, and hold what they promise and nothing of the other's."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import generate

pytestmark = pytest.mark.timeout(300)


def build(source: Path, out: Path) -> tuple[set[str], set[str]]:
    """The files in the sdist and in the wheel that is made of it."""
    # Not isolated: what it needs is in requirements/dev.txt, at the locked version.
    generate.run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    with tarfile.open(sdist) as tar:
        in_sdist = {member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()}
        links = [member.name for member in tar.getmembers() if member.issym() or member.islnk()]
    assert links == []
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    return in_sdist, in_wheel


def modules(source: Path) -> set[str]:
    """Every file of a package, by its path from the directory that the package is in."""
    files = (path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(source.parent).as_posix() for path in files}


def test_client(tmp_path: Path) -> None:
    client = generate.ROOT / "clients" / "python"
    in_sdist, in_wheel = build(client, tmp_path)
    # clients/python/hfgateway is a link to the generated stubs: both archives have to hold the files themselves.
    wanted = modules(generate.GENERATED / "python" / "hfgateway") | modules(client / "hfgateway_client")
    assert {
        "hfgateway/py.typed",
        "hfgateway/v1/error_pb2.py",
        "hfgateway/v1/generation_service_pb2_grpc.py",
        "hfgateway/v1/generation_service_pb2_grpc.pyi",
        "hfgateway_client/py.typed",
    } <= wanted
    assert wanted - in_wheel == set()
    assert wanted - in_sdist == set()
    assert {name.split("/")[0] for name in in_wheel if ".dist-info/" not in name} == {"hfgateway", "hfgateway_client"}
    carry_the_license(in_sdist, in_wheel)


def test_server(tmp_path: Path) -> None:
    in_sdist, in_wheel = build(generate.ROOT, tmp_path)
    wanted = modules(generate.ROOT / "gateway")
    assert "gateway/__init__.py" in wanted
    assert wanted - in_wheel == set()
    assert wanted - in_sdist == set()
    assert {name.split("/")[0] for name in in_wheel if ".dist-info/" not in name} == {"gateway"}
    assert "protos/hfgateway/v1/error.proto" in in_sdist
    assert {name.split("/")[0] for name in in_sdist} == {
        "gateway", "protos", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore",
    }  # fmt: skip
    carry_the_license(in_sdist, in_wheel)


def carry_the_license(in_sdist: set[str], in_wheel: set[str]) -> None:
    assert "LICENSE" in in_sdist
    assert [name for name in in_wheel if name.endswith(".dist-info/licenses/LICENSE")]


def test_both_licenses_are_one() -> None:
    # A copy and no link: who unpacks an archive safely refuses links that lead out of it.
    copy = generate.ROOT / "clients" / "python" / "LICENSE"
    assert not copy.is_symlink()
    assert copy.read_text() == (generate.ROOT / "LICENSE").read_text()
