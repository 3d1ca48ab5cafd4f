"""Unresolved messages: an operator lists and resolves them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from gateway.agents.model import KeyRecord
from gateway.cli import exit_codes
from gateway.generations.clock import SystemClock
from hfgateway.admin.v1 import admin_service_pb2 as pb
from tests.agents.conftest import TURN, Talk
from tests.support import operator
from tests.support.running import WAIT_TIMEOUT, run

TENANT = "default"


async def unresolved(talk: Talk, *, taken: bool) -> str:
    """Leave the message "a fox" with the key "k" unresolved: its response and the lookup failed; return its session."""
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="504", processed=taken)
    # The first read precedes the send.
    talk.running.plan(on="agent_messages", kind="")
    talk.running.plan(on="agent_messages", kind="502")
    assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
    return session_id


async def listed(talk: Talk) -> list[tuple[str, str, str]]:
    answer = await operator.ask(talk.running, "ListUnresolved", pb.ListUnresolvedRequest())
    return [(one.tenant, one.idempotency_key, one.session_id) for one in answer.messages]


def resolution(**how: object) -> pb.ResolveMessageRequest:
    return pb.ResolveMessageRequest(tenant=TENANT, idempotency_key="k", **how)  # type: ignore[arg-type]


async def test_a_message_resolved_as_not_taken_can_be_sent_again(talk: Talk) -> None:
    session_id = await unresolved(talk, taken=False)
    assert await listed(talk) == [(TENANT, "k", session_id)]
    await operator.ask(talk.running, "ResolveMessage", resolution(not_taken={}))
    assert await listed(talk) == []
    assert not (await talk.send(session_id, "a fox", "k")).replayed
    assert (len(talk.said), talk.charges) == (2, 1)


async def test_the_send_time_is_by_the_clock_of_the_machine(tmp_path: Path) -> None:
    """The clock was an hour fast when the gateway started, and was set right before the message was sent."""
    fast_by = [3600.0]
    clock_from = partial(SystemClock, wall=lambda: time.time() + fast_by[0])
    async with run(tmp_path, clock_from=clock_from, agent_seconds=TURN) as running:
        fast_by[0] = 0.0
        await unresolved(Talk(running), taken=False)
        answer = await operator.ask(running, "ListUnresolved", pb.ListUnresolvedRequest())
        (message,) = answer.messages
        assert abs(message.send_time.ToSeconds() - time.time()) < 1800.0


async def test_a_message_resolved_with_an_id_is_bound(talk: Talk) -> None:
    session_id = await unresolved(talk, taken=True)
    message_id = talk.running.ledger.agent_messages[0].message_id
    await operator.ask(talk.running, "ResolveMessage", resolution(message_id=message_id))
    assert await listed(talk) == []
    again = await talk.send(session_id, "a fox", "k")
    assert (again.replayed, again.message.id) == (True, message_id)
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_contradictory_message_resolutions_are_refused(talk: Talk) -> None:
    account = talk.running.sandbox.state.accounts["sandbox:sandbox"]
    earlier = account.send_agent_message(await talk.create(), "a fox")
    talk.running.clock.advance(TURN)
    session_id = await unresolved(talk, taken=False)
    refused = [
        await operator.refused(talk.running, "ResolveMessage", request)
        for request in (
            resolution(),
            resolution(message_id=""),
            resolution(message_id="unknown-id"),
            resolution(message_id=earlier.message_id),
            pb.ResolveMessageRequest(tenant=TENANT, idempotency_key="another", not_taken={}),
            pb.ResolveMessageRequest(tenant="another", idempotency_key="k", not_taken={}),
            pb.ResolveMessageRequest(tenant=TENANT, idempotency_key="session-1", not_taken={}),
        )
    ]
    assert refused == ["INVALID_ARGUMENT"] * 4 + ["NOT_FOUND"] * 3
    other = (await talk.send(session_id, "an owl", "settled")).message
    await talk.turn(session_id, other.id)
    answer = (await talk.messages(session_id)).messages[-1]
    for foreign in (other, answer):
        wrong = resolution(message_id=foreign.id)
        assert await operator.refused(talk.running, "ResolveMessage", wrong) == "INVALID_ARGUMENT"
    settled = pb.ResolveMessageRequest(tenant=TENANT, idempotency_key="settled", not_taken={})
    assert await operator.refused(talk.running, "ResolveMessage", settled) == "INVALID_ARGUMENT"
    assert await listed(talk) == [(TENANT, "k", session_id)]


async def test_a_message_that_its_caller_finds_meanwhile_is_not_resolved(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = talk.running.gateway._core.agents._store
    session_id = await unresolved(talk, taken=True)
    read, bind = store.agent_key, store.bind_agent_message
    found, asked = asyncio.Event(), asyncio.Event()

    async def read_key(tenant: str, key: str) -> KeyRecord | None:
        record = await read(tenant, key)
        if found.is_set():
            asked.set()
        return record

    async def bind_late(record: KeyRecord, message_id: str) -> bool:
        found.set()
        await asked.wait()
        return await bind(record, message_id)

    monkeypatch.setattr(store, "agent_key", read_key)
    monkeypatch.setattr(store, "bind_agent_message", bind_late)
    async with asyncio.timeout(WAIT_TIMEOUT):
        finding = asyncio.create_task(talk.send(session_id, "a fox", "k"))
        await found.wait()
        assert await operator.refused(talk.running, "ResolveMessage", resolution(not_taken={})) == "INVALID_ARGUMENT"
        assert (await finding).message.id == talk.running.ledger.agent_messages[0].message_id


async def test_a_message_is_resolved_by_the_command_line(talk: Talk) -> None:
    session_id = await unresolved(talk, taken=False)
    done = await operator.command(talk.running, "unresolved", "list")
    assert done.code == 0
    kind, tenant, key, _, session = done.out.rstrip("\n").split("\t")
    assert (kind, tenant, key, session) == ("message", TENANT, "k", session_id)
    wrong = await operator.command(talk.running, "unresolved", "message", TENANT, "k")
    assert wrong.code == exit_codes.USAGE
    unknown = await operator.command(talk.running, "unresolved", "message", TENANT, "k", "--as-message", "x")
    assert (unknown.code, unknown.out, unknown.err.count("\n")) == (exit_codes.REFUSED, "", 1)
    done = await operator.command(talk.running, "unresolved", "message", TENANT, "k", "--not-taken")
    assert (done.code, done.out) == (0, "resolved\n")
    assert (await operator.command(talk.running, "unresolved", "list")).out == ""
