"""Rules for every file of the repository, and for files that state the same fact."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.generate import LANGUAGES, ROOT

# Split into labels, because these tests also read this file.
REGISTRY_HOSTS = [
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("crates", "io"),
        ("deb", "debian", "org"),
    )
]
# Cargo.lock must name its index.
MAY_NAME_A_REGISTRY = frozenset({"Cargo.lock"})

MACHINE_PATH = re.compile(r"(?<![\w.:/}~-])/(?:work|root|home)(?![\w-])")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")


def files() -> Iterator[tuple[str, str]]:
    """Yield the name and text of every file that is committed or not ignored, without links and binaries."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(listed.stdout.split("\0")) - {""}):
        path = ROOT / name
        # Deleted but not committed yet, or a link to a file that is listed separately.
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            yield name, content.decode("utf-8", "replace")


def lines_with(
    pattern: re.Pattern[str], *, exempt: frozenset[str] = frozenset(), within: Iterable[str] = ("",)
) -> list[str]:
    """Return the lines with the pattern, in files that contain one of the texts `within`, which is quicker to see."""
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in files()
        if name.rpartition("/")[2] not in exempt and any(one in text for one in within)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_files_are_found() -> None:
    names = {name for name, _ in files()}
    assert {"pyproject.toml", "protos/hfgateway/v1/error.proto", "generated/go/go.mod"} <= names


def test_generated_files_are_marked_for_reviews() -> None:
    locks = re.compile(r"(.*/)?(go\.sum|Cargo\.lock|package-lock\.json)$|requirements/.*\.txt$")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    asked = ["git", "check-attr", "linguist-generated", "--", *listed]
    answers = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    marked = {line.split(": ")[0] for line in answers if line.endswith(": set")}
    handwritten = {f"generated/{name}/{path}" for name, language in LANGUAGES.items() for path in language.handwritten}
    assert handwritten <= set(listed)
    assert (handwritten & marked) - {"generated/go/go.sum"} == set()
    generated = {name for name in listed if locks.match(name) or name.startswith("generated/")} - handwritten
    assert generated - marked == set()
    assert "generated/go/go.mod" not in marked


def test_no_file_names_a_registry_host() -> None:
    hosts = re.compile("|".join(rf"(?<![\w-]){re.escape(host)}\b" for host in REGISTRY_HOSTS))
    assert lines_with(hosts, exempt=MAY_NAME_A_REGISTRY, within=REGISTRY_HOSTS) == []


def test_no_file_names_a_path_of_a_developers_machine() -> None:
    assert lines_with(MACHINE_PATH) == []


@pytest.mark.parametrize("line", ["cd /{}/main", '"/{}/x"', "PATH=/{}/bin", "in /{}."])
@pytest.mark.parametrize("name", ["work", "root", "home"])
def test_machine_paths_are_recognised(line: str, name: str) -> None:
    assert MACHINE_PATH.search(line.format(name))


@pytest.mark.parametrize("line", ["docs/home", "https://host/home", "framework/work", "/homepage", "./work", "$X/root"])
def test_other_paths_are_not_machine_paths(line: str) -> None:
    assert not MACHINE_PATH.search(line)


def test_no_file_has_unfinished_marks() -> None:
    assert lines_with(UNFINISHED) == []


def project(path: str) -> dict[str, Any]:
    with (ROOT / path).open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
    return found


def test_all_python_packages_run_on_the_same_pythons() -> None:
    packages = ("pyproject.toml", "clients/python/pyproject.toml", "generated/python/pyproject.toml")
    assert len({project(package)["requires-python"] for package in packages}) == 1


def test_no_file_is_a_symbolic_link() -> None:
    # Git replaces links with text files where the file system, or its configuration, does not support them.
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "100644 " in listed
    assert [line for line in listed.splitlines() if line.startswith("120000")] == []


LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_version_has_its_hash(lock: Path) -> None:
    # One logical line per requirement; comments follow it indented.
    text = lock.read_text().replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert requirements
    assert [line for line in requirements if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("lock", [*LOCKS, *sorted((ROOT / "requirements").glob("*.in"))], ids=lambda path: path.name)
def test_requirements_name_no_index(lock: Path) -> None:
    # The header of a lock file has the command, with --no-emit-index-url.
    text = "\n".join(line for line in lock.read_text().splitlines() if not line.startswith("#"))
    assert not re.search(r"--(extra-)?index|--find-links|--trusted-host|://", text)


def test_every_input_is_locked() -> None:
    inputs = {path.stem for path in (ROOT / "requirements").glob("*.in")}
    assert inputs == {path.stem for path in LOCKS}
