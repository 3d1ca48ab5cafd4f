"""tools/breaking.py compares with the right version, and refuses a change that breaks callers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import breaking, generate

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository that breaking.py uses instead of this one."""
    generate.python_tools()
    # Without the user's hooks and settings; git must not find the repository of this project either.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.invalid")
    directory = tmp_path / "repository"
    directory.mkdir()
    monkeypatch.setattr(breaking, "ROOT", directory)
    git(directory, "init", "--quiet")
    return directory


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True)


def commit(directory: Path) -> None:
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", "a commit")


def bring_protos(directory: Path) -> Path:
    shutil.copytree(generate.PROTOS, directory / "protos")
    shutil.copy(generate.ROOT / "buf.yaml", directory)
    return directory / "protos" / "hfgateway" / "v1" / "error.proto"


def change_a_type(proto: Path) -> None:
    text = proto.read_text()
    assert "bool retryable = 4;" in text
    proto.write_text(text.replace("bool retryable = 4;", "string retryable = 4;"))


def test_the_first_commit_has_nothing_to_compare_with(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bring_protos(repository)
    commit(repository)
    assert breaking.main() == 0
    assert "first version" in capfd.readouterr().out


def test_a_previous_commit_without_protos_is_not_compared(repository: Path) -> None:
    commit(repository)
    bring_protos(repository)
    commit(repository)
    assert breaking.last_published() is None


def test_a_breaking_change_since_the_previous_commit_is_refused(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    proto = bring_protos(repository)
    commit(repository)
    commit(repository)
    assert breaking.main() == 0
    change_a_type(proto)
    assert breaking.main() != 0
    assert "retryable" in capfd.readouterr().out


def test_the_last_tag_is_preferred_to_the_previous_commit(repository: Path) -> None:
    proto = bring_protos(repository)
    commit(repository)
    git(repository, "tag", "proto-v0.9.0")
    git(repository, "tag", "proto-v0.10.0")
    change_a_type(proto)
    commit(repository)
    commit(repository)
    assert breaking.last_published() == "proto-v0.10.0"
    assert breaking.main() != 0
