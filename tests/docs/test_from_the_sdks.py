"""The tables of docs/from-the-sdks.md name all of the installed SDKs, and nothing that this project does not have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import higgsfield_client
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from higgsfield_client.agents import resources

import hfgateway_client
from gateway.rpc.services import PUBLIC_SERVICES
from harness.sdks import installed
from hfgateway.agents.v1alpha1 import agent_service_pb2
from hfgateway.v1 import catalog_service_pb2, character_service_pb2
from tests.docs.markdown import ROOT, read

PAGE = "docs/from-the-sdks.md"
SPAN = re.compile(r"`([^`]+)`")


def rows() -> list[list[str]]:
    """Return the cells of every row of a table of calls."""
    lines = [line for line in read(PAGE).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if len(row) == 4 and row[0] not in {"call", "---"}]


def named(column: int) -> set[str]:
    """Return all code spans of a column."""
    return {span for row in rows() for span in SPAN.findall(row[column])}


def public(owner: type) -> Iterator[str]:
    """Return the public names of a class and its base classes."""
    for name, member in inspect.getmembers(owner):
        if not name.startswith("_") and (callable(member) or not isinstance(member, str | int)):
            yield f"{owner.__name__}.{name}"


def test_all_of_the_python_sdk_is_named() -> None:
    offered = set(higgsfield_client.__all__) - {"sync_client", "async_client"}
    offered |= {"submit", "subscribe", "status", "result", "cancel", "upload"}
    for owner in (
        higgsfield_client.SyncClient,
        higgsfield_client.AsyncClient,
        higgsfield_client.SyncRequestController,
        higgsfield_client.AsyncRequestController,
        resources.Sessions,
        resources.AsyncSessions,
        resources.Media,
        resources.AsyncMedia,
    ):
        offered |= set(public(owner))
    assert offered - named(0) == set()
    assert len(offered) > 80


EXPORTED = re.compile(r"^export (?:declare )?(?:abstract )?(?:class|interface|function|const|enum|type) (\w+)", re.M)
REEXPORTED = re.compile(r"^export \{([^}]*)\} from '([^']+)'|^export \* from '([^']+)'|^export \{([^}]*)\};", re.M)
BODY = re.compile(r"^export (?:declare )?(?:class|interface) (\w+)[^{]*\{\n(.*?)^\}", re.M | re.S)
MEMBER = re.compile(r"^    (?:readonly |static |get )*(\w+)\??(?:<[^>]*>)?[:(]", re.M)
TABLED = {"HiggsfieldClient", "JobSet", "SoulId", "AgentsResource", "ClientConfig", "InputImage", "InputAudio"}
"""Classes of which the page names every member. The members of others are data."""
DATA = {"JobSet.id", "JobSet.jobs", "SoulId.id", "SoulId.status", "SoulId.name"}


def exported(file: Path) -> set[str]:
    """Return the names that a declaration file exports, with the members of its classes."""
    text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
    found = set(EXPORTED.findall(text))
    for names, source, everything, local in REEXPORTED.findall(text):
        if everything:
            found |= exported(_resolved(file, everything))
            continue
        wanted = {name.split(" as ")[-1].strip() for name in (names or local).split(",") if name.strip()}
        found |= wanted
        if source:
            found |= {one for one in exported(_resolved(file, source)) if one.partition(".")[0] in wanted}
    if "HiggsfieldClient" in found and file.name == "index.d.ts" and file.parent.name == "v2":
        found |= {one for one in exported(file.with_name("client.d.ts")) if one.startswith("HiggsfieldClient.")}
    for owner, body in BODY.findall(text):
        if owner in TABLED:
            found |= {f"{owner}.{name}" for name in MEMBER.findall(body) if name not in {"constructor", "private"}}
    return found - DATA


def _resolved(file: Path, source: str) -> Path:
    return (file.parent / f"{source}.d.ts").resolve()


@pytest.mark.toolchain("node")
def test_all_of_the_javascript_sdk_is_named() -> None:
    package = installed.javascript() / "node_modules" / "@higgsfield" / "client" / "dist"
    one, two = exported(package / "index.d.ts"), exported(package / "v2" / "index.d.ts")
    assert {"HiggsfieldClient.generate", "HiggsfieldClient.getMotions", "SoulSize", "JobSet.poll"} <= one
    assert {"HiggsfieldClient.subscribe", "higgsfield", "config", "AgentsResource.sessions", "seed"} <= two
    assert (one | two) - named(0) == set()


def services() -> Iterator[ServiceDescriptor]:
    yield from PUBLIC_SERVICES
    for file in (catalog_service_pb2, character_service_pb2, agent_service_pb2):
        yield from file.DESCRIPTOR.services_by_name.values()


def test_every_rpc_that_is_named_exists() -> None:
    methods = {method.name for service in services() for method in service.methods}
    assert named(1) - methods == set()
    assert len(named(1)) > 15


def test_every_method_of_the_python_client_that_is_named_exists() -> None:
    with hfgateway_client.Client() as client:
        offered = {f"client.{name}" for name in dir(client)} | {f"client.agents.{name}" for name in dir(client.agents)}
    offered |= {f"client.{name}" for name in dir(hfgateway_client.AsyncClient)}
    offered |= {f"errors.{name}" for name in dir(hfgateway_client.errors)}
    offered |= {f"agents.{name}" for name in dir(hfgateway_client.agents)}
    used = {span for span in named(2) if span.startswith(("client.", "errors.", "agents."))}
    assert used - offered == set()
    assert len(used) > 30


def test_every_method_of_the_typescript_client_that_is_named_exists() -> None:
    source = (ROOT / "clients/typescript/src/client.ts").read_text()
    methods = set(re.findall(r"^  (?:async )?\*?(\w+)\(", source, re.M))
    called = {span.removeprefix("client.") for span in named(3) if span.startswith("client.")}
    assert called - methods == set()
    assert len(called) > 8


def test_every_example_is_in_the_table() -> None:
    page = read(PAGE)
    for path in sorted((ROOT / "examples").rglob("*.*")):
        if path.suffix in {".py", ".ts"}:
            assert f"(../{path.relative_to(ROOT)})" in page, path
