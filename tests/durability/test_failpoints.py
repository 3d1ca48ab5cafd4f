"""Every commit and every write to a socket has failpoints, and every failpoint has a scenario that reaches it.

These tests read the code and do not run it. They prove that:

- only the store's writer and its migration commit, both between two failpoints;
- each write to the store has a name, and so has each observation that `observe()` stores;
- one class sends all requests to Higgsfield, and its callers name them;
- one of four functions passes each response of a handler to gRPC, and one wrapper passes it to HTTP.

`test_kill.py` proves that the scenarios reach the failpoints: a test fails if its process is not killed.

They do not prove that a scenario reaches a failpoint in every situation in which the gateway can. Responses without the
core have no failpoints: gRPC's health checks and reflection.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway import failpoints
from gateway.generations import state
from gateway.generations.model import Source
from tests.durability.lives import AT_WORK
from tests.durability.process import ROOT
from tests.durability.scenarios import SCENARIOS

GATEWAY = ROOT / "gateway"
SERVING = [
    path
    for path in sorted(GATEWAY.rglob("*.py"))
    if path.relative_to(GATEWAY).parts[0] not in ("sandbox", "cli", "demo.py", "__main__.py")
    and path not in (GATEWAY / "store" / "restore.py", GATEWAY / "store" / "sqlite" / "restore.py")
    and path.parent != GATEWAY / "store" / "postgres"
]
"""The modules of `hfgateway serve`. The sandbox and the commands run in other processes.

The modules for PostgreSQL have the same failpoints as those for SQLite, which a test checks.
"""
OBSERVATIONS = {kind.__name__: kind for kind in get_args(state.Observation)}
Function = ast.FunctionDef | ast.AsyncFunctionDef


# -- Parsing -----------------------------------------------------------------------------------------------------------


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[Function]:
    """Yield the functions and methods of a module, without nested ones."""
    for node in tree(path).body:
        for one in [node, *(node.body if isinstance(node, ast.ClassDef) else ())]:
            if isinstance(one, Function):
                yield one


def function(module: str, name: str) -> Function:
    return next(one for one in functions(GATEWAY / module) if one.name == name)


@cache
def all_calls(node: ast.AST) -> list[tuple[str, ast.Call]]:
    """Return all calls with the dotted name of what they call, after another dot."""
    return [(f".{ast.unparse(one.func)}", one) for one in ast.walk(node) if isinstance(one, ast.Call)]


def calls(node: ast.AST, name: str) -> list[ast.Call]:
    """Return the calls of a function whose dotted name is `name` or ends with it."""
    return [call for called, call in all_calls(node) if called.endswith(f".{name}")]


def callers(name: str) -> set[str]:
    """Return the functions, as "module.py name", that call a function by this name."""
    return {
        f"{path.relative_to(GATEWAY)} {one.name}" for path in SERVING for one in functions(path) if calls(one, name)
    }


def texts(value: ast.expr, inside: ast.AST) -> set[str]:
    """Return the constants or members of enums that an argument can be, directly or by assignment to its name."""
    if isinstance(value, ast.Name):
        assigned = (one for one in ast.walk(inside) if isinstance(one, ast.Assign))
        values = [one.value for one in assigned if value.id in {ast.unparse(target) for target in one.targets}]
        return {text for one in values for text in texts(one, inside)}
    if isinstance(value, ast.IfExp):
        return texts(value.body, inside) | texts(value.orelse, inside)
    if isinstance(value, ast.Constant):
        return {str(value.value)}
    return {value.attr} if isinstance(value, ast.Attribute) else set()


# -- Failpoints in the code --------------------------------------------------------------------------------------------


def observed_steps() -> set[str]:
    """Return the steps that `observe()` may store: one for each observation in the code and each of its sources."""
    found = set()
    for path in SERVING:
        if path.name == "state.py":
            continue  # passes observations on and stores none
        for one in functions(path):
            for name, kind in OBSERVATIONS.items():
                for call in calls(one, name):
                    found |= {state._step(name, source) for source in sources(call, kind, one)}
    return found


def sources(call: ast.Call, kind: Any, inside: Function) -> set[Source | None]:
    """Return the possible sources of an observation; None if its kind has no source."""
    fields = kind.__dataclass_fields__
    if "source" not in fields:
        return {None}
    place = list(fields).index("source")
    given = [one.value for one in call.keywords if one.arg == "source"] + call.args[place : place + 1]
    if not given:
        return {fields["source"].default}
    return {Source[text] for one in given for text in texts(one, inside)}


def writes() -> set[str]:
    """Return the names of all writes to the store."""
    found = set()
    for path in [*sorted((GATEWAY / "store" / "sqlite").glob("*.py")), GATEWAY / "store" / "writes.py"]:
        for one in functions(path):
            for call in calls(one, "_writer.write") + calls(one, "self._write") + calls(one, "self._change"):
                named = texts(call.args[0], one)
                nothing = ast.unparse(call.args[0]) == "None" and one.name in ("probe", "announced", "record")
                named = set() if nothing else named
                passed_on = one.name in ("save", "_write", "_change")
                assert named or nothing or passed_on, f"{one.name} writes a step without a name"
                found |= named
    return found


def requests() -> set[str]:
    """Return the names of all requests."""
    found = set()
    for path in sorted((GATEWAY / "higgsfield").glob("*.py")):
        for one in functions(path):
            names = ("call", "call_uncharged")
            makers = [f"{client}.{name}" for client in ("self", "self._client") for name in names]
            for call in (call for maker in makers for call in calls(one, maker)):
                named = {text for given in call.keywords if given.arg == "name" for text in texts(given.value, one)}
                assert named or one.name == "call_uncharged", f"{one.name} makes a call without a name"
                found |= named
    return found


def failpoints_in_the_code() -> set[str]:
    """Return all failpoints in the code."""
    found = {
        f"{when} {step}"
        for path in SERVING
        for one in functions(path)
        for when in ("before", "amid", "after")
        for call in calls(one, f"failpoints.{when}")
        for step in texts(call.args[0], one)
    }
    found |= {f"{when} {step}" for step in writes() | observed_steps() for when in ("before", "after")}
    return found | {f"{when} {call}" for call in requests() for when in ("before", "amid", "after")}


# -- Tests -------------------------------------------------------------------------------------------------------------


def test_the_list_has_every_failpoint_in_the_code() -> None:
    assert failpoints_in_the_code() == failpoints.PLACES


def test_the_postgresql_store_has_the_failpoints_of_the_sqlite_store() -> None:
    found = set()
    for path in [*sorted((GATEWAY / "store" / "postgres").glob("*.py")), GATEWAY / "store" / "writes.py"]:
        if path.name in ("database.py", "moving.py"):
            continue  # one passes the names on, the other is a command
        for one in functions(path):
            for call in calls(one, "self._write") + calls(one, "self._change"):
                named = texts(call.args[0], one)
                assert named, f"{one.name} writes a step without a name"
                found |= named
            for call in calls(one, "Job"):
                found |= texts(call.args[1], one)
    assert found - {""} == writes() - {"save"}  # the job that only waits has no name


def test_every_failpoint_has_a_scenario_that_reaches_it() -> None:
    assert {place for scenario in SCENARIOS.values() for place in scenario.places} - {AT_WORK} == failpoints.PLACES


def test_every_commit_is_between_two_failpoints() -> None:
    committing = {}
    for path in SERVING:
        for one in functions(path):
            spoken = [node.value for node in ast.walk(one) if isinstance(node, ast.Constant)]
            if any(isinstance(text, str) and "COMMIT" in text.replace(";", " ").split() for text in spoken):
                committing[f"{path.relative_to(GATEWAY)} {one.name}"] = one
    assert set(committing) == {"store/sqlite/writer.py _commit", "store/sqlite/migrations.py apply"}
    for one in committing.values():
        (before,), (after,) = calls(one, "failpoints.before"), calls(one, "failpoints.after")
        (commit,) = (call for call in calls(one, "execute") if "COMMIT" in ast.unparse(call))
        assert before.lineno < commit.lineno < after.lineno


def test_only_the_writer_has_a_connection_that_can_write() -> None:
    assert callers("sqlite3.connect") == {
        "store/sqlite/files.py connect_writer", "store/sqlite/files.py connect_reader",
        "store/sqlite/files.py connect_examiner",
    }  # fmt: skip
    assert "query_only=1" in ast.unparse(function("store/sqlite/files.py", "connect_reader"))
    assert "mode=ro" in ast.unparse(function("store/sqlite/files.py", "connect_examiner"))
    assert callers("connect_writer") == {"store/sqlite/files.py prepare"}
    assert callers("files.prepare") == {"store/sqlite/database.py __init__"}
    opening = function("store/sqlite/database.py", "__init__")
    uses = [one for one in ast.walk(opening) if isinstance(one, ast.Name) and one.id == "writing"]
    given = [argument for call in calls(opening, "writer") for argument in call.args if argument in uses]
    assert (len(uses), len(given)) == (2, 1)  # created and passed on


def test_every_save_has_a_name() -> None:
    saving = {
        "generations/service.py observe", "generations/service.py _save_end", "generations/sender.py _mark_and_send",
    }  # fmt: skip
    assert callers("generations.save") == {"generations/read_back.py save"}
    assert callers("read_back.save") == saving
    for one in saving:
        (save,) = calls(function(*one.split()), "read_back.save")
        assert ast.unparse(save.args[3]).startswith("step(")


def test_one_class_with_failpoints_sends_every_request() -> None:
    importing = {
        str(path.relative_to(GATEWAY))
        for path in SERVING
        for one in ast.walk(tree(path))
        if isinstance(one, ast.Import) and any(name.name == "aiohttp" for name in one.names)
    }
    # The others send only requests to the storage, for outputs and for callbacks, each between its failpoints, and for
    # the public keys of an issuer, which change nothing.
    assert importing == {
        "higgsfield/transport.py",
        "higgsfield/uploads.py",
        "higgsfield/media.py",
        "callbacks_http/transport.py",
        "oidc.py",
    }
    assert callers("aiohttp.ClientSession") == {
        "higgsfield/transport.py _open", "higgsfield/uploads.py _opened", "higgsfield/media.py _opened",
        "callbacks_http/transport.py post", "oidc.py _fetch",
    }  # fmt: skip
    assert callers("_opened") == {"higgsfield/uploads.py put", "higgsfield/media.py open"}
    assert "request_class=_Request" in ast.unparse(function("higgsfield/transport.py", "_open"))
    assert callers("real.exchange") == {"higgsfield/client.py _exchange"}
    assert callers("self._exchange") == {"higgsfield/client.py call"}
    for client in ("AsyncClient", "Client", "get", "post", "request", "stream", "AsyncHTTPTransport", "HTTPTransport"):
        assert callers(f"httpx.{client}") == set()


def test_every_response_is_sent_by_a_function_with_failpoints() -> None:
    adapter = "rpc/transports/over_grpc.py"
    for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        # The leader stores a forwarded webhook as its own route does, and Higgsfield repeats one without a response.
        assert callers(f"grpc.{kind}_rpc_method_handler") <= {
            f"{adapter} bound_handlers",
            "rpc/transports/forwarding.py add_webhooks",
            "rpc/transports/health.py serve",  # nothing is stored
        }
    for name in ("_unary", "_stream", "_client_stream", "abort"):
        assert calls(function(adapter, name), "failpoints.before"), name
    for name in ("_unary", "_stream", "_client_stream"):
        assert calls(function(adapter, name), "_end_with_a_failpoint"), name
    assert callers("uvicorn.Config") == {"web/server.py __init__"}
    (config,) = (call for one in functions(GATEWAY / "web/server.py") for call in calls(one, "uvicorn.Config"))
    assert ast.unparse(config.args[0]) == "with_failpoints(app)"


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_process_is_killed_at_the_armed_failpoint_only(when: str) -> None:
    program = "from gateway import failpoints as f; f.before('{0}'); f.amid('{0}'); f.after('{0}'); print('alive')"
    for step, expected in (("submit call", (-9, "")), ("cancel call", (0, "alive\n"))):
        ended = subprocess.run(
            [sys.executable, "-c", program.format(step)], cwd=ROOT, env={"HFGATEWAY_FAILPOINT": f"{when} submit call"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stdout) == expected
