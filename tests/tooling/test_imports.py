"""No modules import each other in a cycle, the import contracts refuse imports that they do not allow, and the module
that connects all parts has no long function.
"""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tools.generate import ROOT

PACKAGES = ("bench", "chaos", "gateway", "harness", "hfgateway_client", "tools")
STANDARD = sys.stdlib_module_names - {"sqlite3"}  # the database is a library like any other


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def cycle(imports: dict[str, set[str]]) -> list[str]:
    """Return the modules of a cycle; an empty list if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_modules_import_each_other_in_a_cycle() -> None:
    # Imports within functions and those for the type checker count too.
    imports = {module: set(graph().find_modules_directly_imported_by(module)) for module in graph().modules}
    assert sum(map(len, imports.values())) > 1000
    assert cycle(imports) == []


def test_an_import_cycle_is_found() -> None:
    assert set(cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_no_function_of_the_assembly_is_longer_than_60_lines() -> None:
    module = ast.parse((ROOT / "gateway/process/assembly.py").read_text())
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in functions}
    assert max(lines.values()) > 40
    assert {name: count for name, count in lines.items() if count > 60} == {}


def test_benchmarks_and_storms_share_only_the_harness() -> None:
    layers: list[str | set[str]] = [{"bench", "chaos"}, "harness", "gateway"]
    assert graph().find_illegal_dependencies_for_layers(layers) == set()


def test_every_library_of_the_gateway_is_named_by_a_contract() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    named = {name for section in contracts.values() for name in section.get("protected_modules", "").split()}
    imported = {
        library
        for module in graph().find_descendants("gateway")
        for library in graph().find_modules_directly_imported_by(module)
        if library.partition(".")[0] not in (*PACKAGES, *STANDARD) or library == "hfgateway_client"
    }
    assert imported - named == set()


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("rpc/new.py", "import grpc", "Only the gRPC adapter, the ports and two commands import gRPC"),
        ("rpc/handlers/new.py", "from gateway.rpc.transports import over_grpc", "Handlers do not import transports"),
        ("generations/new.py", "import sqlite3", "Only the store on SQLite imports SQLite"),
        ("sandbox/new.py", "from gateway import headers", "The sandbox imports nothing of the gateway"),
        ("new.py", "", "Every package has a layer and imports only lower layers"),
    ],
)
def test_a_contract_refuses_what_it_does_not_name(file: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gateway", tmp_path / "gateway", ignore=shutil.ignore_patterns("__pycache__", "page"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    (tmp_path / "gateway" / file).write_text(f"{line}\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout
