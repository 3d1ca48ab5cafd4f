"""The documents agree with the repository: links, paths, names of functions, and commands that tests run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from tests.docs.commands import NOT_RUN, RUN, RUN_IN_ORDER
from tests.docs.markdown import ROOT, SHELLS, anchors, blocks, documents, links, read, spans

PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w.-]+/|[\w-]+\.(?:py|md|toml|sql|proto)|Makefile|\.[a-z]+")
NAME = re.compile(r"(?:\w+\.)*(\w+)\(\)")
NO_PATHS = {".env", ".venv", ".venv/bin"}
WHOLE = {"cli", "mcp", "sandbox"}
"""Packages that the map names as one."""


@pytest.mark.parametrize("file", documents())
def test_every_link_has_a_target(file: str) -> None:
    broken = []
    for link in links(file):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / file).parent / path if path else ROOT / file
        if not target.exists() or (anchor and anchor not in anchors(str(target.resolve().relative_to(ROOT)))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("file", documents())
def test_every_command_is_run_by_a_test_or_excused(file: str) -> None:
    commands = [command for block in blocks(file) if block.language in SHELLS for command in block.commands]
    assert file in RUN | RUN_IN_ORDER or [command for command in commands if command not in NOT_RUN] == []


def test_every_extra_is_listed_with_its_use() -> None:
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    section = read("docs/settings.md").partition("## Extras")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == sorted(extras)


def test_every_excuse_is_needed() -> None:
    used = {command for file in documents() for block in blocks(file) for command in block.commands}
    assert set(NOT_RUN) - used == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_hfgateway_command_is_documented(command: str) -> None:
    pages = "\n".join(read(file) for file in documents() if file == "README.md" or file.startswith("docs/"))
    assert re.search(rf"hfgateway {command}\b|`{command}`", pages)


def test_every_block_has_a_known_language() -> None:
    known = SHELLS | {"python", "json", "text", "toml", "proto", "sql", "yaml", "go", "ts", "rust", "java", "xml", ""}
    assert [str(block) for file in documents() for block in blocks(file) if block.language not in known] == []


@pytest.mark.parametrize(
    "file", ["ARCHITECTURE.md", "README.md", "docs/production.md", "docs/submit-path.md", "docs/settings.md"]
)
def test_every_path_that_is_named_exists(file: str) -> None:
    named = [span for span in spans(file) if PATH.fullmatch(span) and "…" not in span and span not in NO_PATHS]
    assert [span for span in named if not (ROOT / span).exists()] == []


def code() -> str:
    places = ("gateway", "tests", "clients/python/hfgateway_client")
    return "\n".join(path.read_text() for place in places for path in sorted((ROOT / place).rglob("*.py")))


@pytest.mark.parametrize("file", ["ARCHITECTURE.md", "docs/submit-path.md", "docs/settings.md", "docs/errors.md"])
def test_every_function_that_is_named_exists(file: str) -> None:
    defined = set(re.findall(r"\bdef (\w+)\(", code()))
    named = [match[1] for span in spans(file) if (match := NAME.fullmatch(span))]
    assert [name for name in named if name not in defined] == []


def modules() -> Iterator[str]:
    gateway = ROOT / "gateway"
    for path in gateway.rglob("*.py"):
        if path.name != "__init__.py" and path.relative_to(gateway).parts[0] not in WHOLE:
            yield str(path.relative_to(ROOT))


def test_every_module_is_on_the_map() -> None:
    named = set(spans("ARCHITECTURE.md"))
    assert [module for module in sorted(modules()) if module not in named] == []


def test_every_package_and_folder_of_tests_is_on_the_map() -> None:
    folders = [*(ROOT / "gateway").iterdir(), *(ROOT / "tests").iterdir()]
    named = " ".join(spans("ARCHITECTURE.md"))
    missing = [
        name
        for folder in folders
        if folder.is_dir() and any(Path(folder).rglob("*.py"))
        if (name := f"{folder.relative_to(ROOT)}/") not in named
    ]
    assert missing == []


def test_the_glossary_is_short_and_defines_each_term_once() -> None:
    section = read("ARCHITECTURE.md").partition("## Glossary")[2].partition("\n## ")[0]
    terms = re.findall(r"^\| ([^|]+) \| .+ \|$", section, re.MULTILINE)
    terms = [term for term in terms if term not in {"term", "---"}]
    assert 20 <= len(terms) <= 25
    assert len(set(terms)) == len(terms)


def test_architecture_names_every_import_contract() -> None:
    contracts = re.findall(r"^name = (.+)$", read(".importlinter"), re.MULTILINE)
    assert contracts
    assert [name for name in contracts if f"*{name}*" not in read("ARCHITECTURE.md")] == []


def test_the_index_lists_every_page() -> None:
    linked = [link for link in links("docs/README.md") if re.fullmatch(r"[a-z0-9-]+\.md", link)]
    assert sorted(linked) == sorted({path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"})
