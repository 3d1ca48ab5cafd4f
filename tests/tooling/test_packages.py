"""All distributions build, the wheel from the sdist, and contain all of their files and none of the other."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import generate

pytestmark = pytest.mark.timeout(300)

STUBS = generate.GENERATED / "python"
CLIENT = generate.ROOT / "clients" / "python"


def build(source: Path, out: Path) -> tuple[set[str], set[str]]:
    """Build the sdist, and the wheel from it; return the names of their files."""
    # Not isolated: the build dependencies are in requirements/dev.txt, at locked versions.
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
    """Return every file of a package, relative to the parent directory of the package."""
    files = (path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(source.parent).as_posix() for path in files}


@pytest.mark.parametrize(
    ("package", "some"),
    [
        (STUBS / "hfgateway", {"py.typed", "v1/error_pb2.py", "v1/generation_service_pb2_grpc.pyi"}),
        (CLIENT / "hfgateway_client", {"py.typed", "_async/client.py"}),
    ],
    ids=["stubs", "client"],
)
def test_the_packages_of_clients_have_all_files_and_no_others(package: Path, some: set[str], tmp_path: Path) -> None:
    in_sdist, in_wheel = build(package.parent, tmp_path)
    wanted = modules(package)
    assert {f"{package.name}/{name}" for name in some} <= wanted
    assert wanted - in_wheel == set()
    assert wanted - in_sdist == set()
    assert {name.split("/")[0] for name in in_wheel if ".dist-info/" not in name} == {package.name}
    carry_the_license(in_sdist, in_wheel)


def test_the_server_package_has_all_files_and_no_others(tmp_path: Path) -> None:
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


def test_every_package_has_the_license_of_the_project() -> None:
    # Copies, because an archive of a package must not link to a file outside of it.
    copies = [CLIENT / "LICENSE", *(generate.GENERATED / language / "LICENSE" for language in generate.LANGUAGES)]
    for copy in copies:
        assert copy.read_text() == (generate.ROOT / "LICENSE").read_text()
