"""All distributions build, the wheel from the sdist, and contain all of their files and none of the other."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import generate, release

pytestmark = pytest.mark.timeout(300)

STUBS = generate.GENERATED / "python"
CLIENT = generate.ROOT / "clients" / "python"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `make release-check` has built the distributions, each wheel from its sdist."""
    dist = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "DIST", dist)
        assert release.main(["--only", "python"]) == 0
    return dist / "python"


def files(built: Path, name: str) -> tuple[set[str], set[str]]:
    """Return the names of the files in the sdist and the wheel of a distribution."""
    (sdist,) = built.glob(f"{name}-[0-9]*.tar.gz")
    (wheel,) = built.glob(f"{name}-[0-9]*.whl")
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
    ("name", "package", "some"),
    [
        ("hfgateway_stubs", STUBS / "hfgateway", {"py.typed", "v1/error_pb2.py", "v1/generation_service_pb2_grpc.pyi"}),
        ("hfgateway_client", CLIENT / "hfgateway_client", {"py.typed", "_async/client.py"}),
    ],
    ids=["stubs", "client"],
)
def test_the_packages_of_clients_have_all_files_and_no_others(
    name: str, package: Path, some: set[str], built: Path
) -> None:
    in_sdist, in_wheel = files(built, name)
    wanted = modules(package)
    assert {f"{package.name}/{name}" for name in some} <= wanted
    assert wanted - in_wheel == set()
    assert wanted - in_sdist == set()
    assert {name.split("/")[0] for name in in_wheel if ".dist-info/" not in name} == {package.name}
    carry_the_license(in_sdist, in_wheel)


def test_the_server_package_has_all_files_and_no_others(built: Path) -> None:
    in_sdist, in_wheel = files(built, "hfgateway")
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


def test_a_release_needs_a_committed_tree_and_a_section_of_the_changelog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    generate.run("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n")
    assert release.main(["--final", "--only", "python"]) == 1
    assert capsys.readouterr().err == "not committed:\n?? CHANGELOG.md\n!!! NOT READY\n"
    generate.run("git", "add", ".", cwd=tmp_path)
    who = ("-c", "user.name=release", "-c", "user.email=release@example.invalid")
    generate.run("git", *who, "commit", "--quiet", "--message", "changes", cwd=tmp_path)
    assert release.main(["--final", "--only", "python"]) == 1
    assert capsys.readouterr().err == f"CHANGELOG.md has no section [{release.VERSION}]\n!!! NOT READY\n"
