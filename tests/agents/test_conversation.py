"""Whole conversations: turns, questions, pages, interrupts, keys and refusals."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf.json_format import MessageToDict

from gateway.agents.model import SESSION, KeyRecord
from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from tests.agents.conftest import TURN, Talk, rows, state_name
from tests.support.running import WAIT_TIMEOUT, Running, run
from tests.support.transports import TRANSPORTS, RpcFailure, Transport
from tests.support.whole import whole


@pytest.fixture(params=TRANSPORTS)
def client(running: Running, request: pytest.FixtureRequest) -> Transport:
    return running.transports[request.param]


async def test_a_conversation_with_a_question_completes(running: Running, client: Transport) -> None:
    talk = Talk(running, client)
    session_id = await talk.create()

    first = (await talk.send(session_id, "a fox [ask]")).message
    assert rows([first]) == [("USER", "PROCESSING", "a fox [ask]")]
    asked = await talk.turn(session_id, first.id)
    assert state_name(asked[-1].session) == "AWAITING_INPUT"
    assert rows([one.message for one in asked if one.HasField("message")]) == [
        ("ASSISTANT", "PROCESSING", "Which colour?")
    ]

    second = (await talk.send(session_id, "red")).message
    await talk.turn(session_id, second.id)
    listed = (await talk.messages(session_id)).messages

    assert rows(listed) == [
        ("USER", "COMPLETED", "a fox [ask]"),
        ("ASSISTANT", "COMPLETED", "Which colour?"),
        ("USER", "COMPLETED", "red"),
        ("ASSISTANT", "COMPLETED", "Done: red"),
    ]
    assert [one.llm_cost_usd for one in listed] == ["0.0400", "", "0.0400", ""]
    assert listed[1].reasoning == "They want: a fox [ask]"
    assert [one.HasField("create_time") for one in listed] == [True] * 4
    assert await talk.state(session_id) == "IDLE"
    assert talk.said == [("a fox [ask]", "202"), ("red", "202")]
    assert running.ledger.foreign_headers == {}


async def test_a_repeated_key_returns_the_same_session_and_message(talk: Talk) -> None:
    request = pb.CreateSessionRequest(idempotency_key="mine")
    created, again = [await talk.transport.call("CreateSession", request) for _ in range(2)]
    session_id = created.session.id
    assert (created.replayed, again.replayed, again.session.id) == (False, True, session_id)

    first = await talk.send(session_id, "a fox", "k")
    await talk.turn(session_id, first.message.id)
    second = await talk.send(session_id, "a fox", "k")

    assert (first.replayed, second.replayed) == (False, True)
    assert rows([second.message]) == [("USER", "COMPLETED", "a fox")]
    assert second.message.id == first.message.id
    assert talk.charges == 1
    assert len(talk.running.sandbox.state.accounts["sandbox:sandbox"].agents.sessions) == 1


async def test_a_key_used_for_something_else_is_refused(talk: Talk) -> None:
    one, two = await talk.create("one"), await talk.create("two")
    await talk.send(one, "a fox", "k")

    for session_id, text, key in ((one, "an owl", "k"), (two, "a fox", "k"), (one, "a fox", "one")):
        refused = await talk.refused(session_id, text, key)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED")
    with pytest.raises(RpcFailure) as raised:
        await talk.create("k")
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert talk.charges == 1


async def test_concurrent_sends_with_one_key_are_one_message(talk: Talk) -> None:
    session_id = await talk.create()
    answers = await asyncio.gather(*(talk.send(session_id, "a fox", "k") for _ in range(10)))
    assert len({answer.message.id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    assert talk.said == [("a fox", "202")]


async def test_concurrent_creates_with_one_key_are_one_session(talk: Talk) -> None:
    assert len(set(await asyncio.gather(*(talk.create("k") for _ in range(10))))) == 1


async def test_messages_are_listed_in_pages_and_after_a_message(talk: Talk) -> None:
    session_id = await talk.create()
    for text in ("one", "two", "three"):
        await talk.turn(session_id, (await talk.send(session_id, text)).message.id)

    found: list[Any] = []
    token = ""
    while True:
        page = await talk.messages(session_id, page_size=4, page_token=token)
        found.extend(page.messages)
        token = page.next_page_token
        if not token:
            break
    after = (await talk.messages(session_id, after_message_id=found[3].id)).messages

    assert [one.text for one in found] == ["one", "Done: one", "two", "Done: two", "three", "Done: three"]
    assert [one.text for one in after] == ["three", "Done: three"]
    first = await talk.messages(session_id, page_size=1)
    for fields in ({"page_token": "x"}, {"page_token": first.next_page_token, "after_message_id": found[0].id}):
        with pytest.raises(RpcFailure) as raised:
            await talk.messages(session_id, **fields)
        assert raised.value.fields == ["page_token"]


async def test_an_interrupt_stops_the_turn_and_nothing_else(talk: Talk) -> None:
    session_id = await talk.create()
    still = await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))
    assert state_name(still.session) == "IDLE"

    await talk.send(session_id, "a fox")
    talk.running.clock.advance(TURN / 2)
    stopped = await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))

    assert state_name(stopped.session) == "IDLE"
    assert {state for _, state, _ in rows((await talk.messages(session_id)).messages)} == {"FAILED"}
    await talk.send(session_id, "an owl")
    assert talk.charges == 2


async def test_a_page_of_a_proxy_does_not_say_that_no_turn_runs(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_interrupt", kind="html", status=409)
    with pytest.raises(RpcFailure) as refused:
        await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))
    assert refused.value.reason == "UPSTREAM_UNAVAILABLE"


async def test_a_session_is_idle_after_an_interrupt_that_left_no_trace_of_the_turn(talk: Talk) -> None:
    session_id = await talk.create()
    await talk.send(session_id, "a fox")
    talk.running.plan(on="agent_messages", patch={"status": "idle", "messages": []})
    stopped = await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))
    assert state_name(stopped.session) == "IDLE"
    assert len(talk.running.sandbox.state.plan) == 0


async def test_a_session_that_was_terminated_after_a_message_is_terminated(talk: Talk) -> None:
    session_id = await talk.create()
    await talk.send(session_id, "a fox")
    talk.running.plan(on="agent_messages", patch={"status": "terminated", "messages": []})
    assert await talk.state(session_id) == "TERMINATED"


async def test_a_busy_session_refuses_a_message_and_frees_its_key(talk: Talk) -> None:
    session_id = await talk.create()
    first = (await talk.send(session_id, "a fox")).message

    busy = await talk.refused(session_id, "an owl", "k")
    assert (busy.code, busy.reason) == ("ABORTED", "SESSION_BUSY")
    assert busy.failure.metadata["session_id"] == session_id
    await talk.turn(session_id, first.id)
    # Another text with the same key: the first was not taken.
    assert not (await talk.send(session_id, "a wolf", "k")).replayed
    assert talk.said == [("a fox", "202"), ("an owl", "409"), ("a wolf", "202")]


async def test_refusals_have_distinct_reasons_and_free_the_key(talk: Talk) -> None:
    session_id = await talk.create()
    for changes, code, reason in (
        ({"credits": 0}, "RESOURCE_EXHAUSTED", "INSUFFICIENT_CREDITS"),
        ({"agents_enabled": False}, "PERMISSION_DENIED", "FEATURE_NOT_ENABLED"),
        (
            {"agents_enabled": True, "credits": 10, "credentials": "other:pair"},
            "INTERNAL",
            "UPSTREAM_CREDENTIALS_REFUSED",
        ),
    ):
        talk.running.sandbox.state.change(changes)
        refused = await talk.refused(session_id, "a fox", "k")
        assert (refused.code, refused.reason) == (code, reason), changes
    with pytest.raises(RpcFailure) as raised:
        await talk.create("another")
    assert raised.value.reason == "UPSTREAM_CREDENTIALS_REFUSED"
    talk.running.sandbox.state.change({"credentials": "sandbox:sandbox"})

    assert not (await talk.send(session_id, "a fox", "k")).replayed
    assert talk.charges == 1


async def test_a_message_that_was_not_taken_frees_its_key(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="429", headers={"Retry-After": "7"})
    talk.running.plan(on="agent_messages", kind="")
    talk.running.plan(on="agent_messages", kind="500")  # it is not looked up, because it certainly was not taken
    full = await talk.refused(session_id, "a fox", "k")
    assert (full.code, full.reason) == ("RESOURCE_EXHAUSTED", "UPSTREAM_SATURATED")
    assert full.failure.retry_delay.seconds == 7

    away = await talk.refused(session_id, "a fox", "k")
    assert (away.code, away.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")

    talk.running.plan(on="agent_send", kind="423")  # documented for models; a message has none
    blocked = await talk.refused(session_id, "a fox", "k")
    assert (blocked.code, blocked.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert blocked.failure.metadata["http_status"] == "423"
    assert not (await talk.send(session_id, "a fox", "k")).replayed


async def test_invalid_fields_are_named(talk: Talk) -> None:
    session_id = await talk.create()
    send = pb.SendMessageRequest
    for method, request, fields in (
        ("CreateSession", pb.CreateSessionRequest(), ["idempotency_key"]),
        ("GetSession", pb.GetSessionRequest(), ["id"]),
        ("SendMessage", send(), ["session_id", "text", "idempotency_key"]),
        ("SendMessage", send(session_id=session_id, text="x" * 20_001, idempotency_key="k"), ["text"]),
        ("SendMessage", send(session_id=session_id, text="x", idempotency_key="k k"), ["idempotency_key"]),
        ("ListMessages", pb.ListMessagesRequest(), ["session_id"]),
        ("ListMessages", pb.ListMessagesRequest(session_id=session_id, page_size=-1), ["page_size"]),
        ("ListMessages", pb.ListMessagesRequest(session_id=session_id, after_message_id="/"), ["after_message_id"]),
        ("InterruptSession", pb.InterruptSessionRequest(), ["id"]),
        ("CreateMedia", pb.CreateMediaRequest(extension=".png", kind=1), ["extension"]),
        ("CreateMedia", pb.CreateMediaRequest(extension="png"), ["kind"]),
        ("CreateMedia", pb.CreateMediaRequest(extension="png", kind=9), ["kind"]),
        ("ConfirmMedia", pb.ConfirmMediaRequest(kind=1), ["id"]),
    ):
        with pytest.raises(RpcFailure) as raised:
            await talk.transport.call(method, request)
        assert (raised.value.code, raised.value.fields) == ("INVALID_ARGUMENT", fields)
    with pytest.raises(RpcFailure) as raised:
        await anext(talk.watch(session_id, "/"))
    assert raised.value.fields == ["after_message_id"]


@pytest.mark.parametrize(
    "session_id", ["unknown", "0e5f9a3e-0000-4000-8000-000000000000", "../../models", "a/b", "a..b", "x" * 200]
)
async def test_an_unknown_session_is_not_found(talk: Talk, session_id: str) -> None:
    for request in (
        pb.GetSessionRequest(id=session_id),
        pb.InterruptSessionRequest(id=session_id),
        pb.SendMessageRequest(session_id=session_id, text="x", idempotency_key="k"),
        pb.ListMessagesRequest(session_id=session_id),
    ):
        with pytest.raises(RpcFailure) as raised:
            await talk.transport.call(type(request).__name__.removesuffix("Request"), request)
        assert (raised.value.code, raised.value.reason) == ("NOT_FOUND", "NOT_FOUND")
    assert talk.said == []


async def test_an_unknown_message_is_reported_as_such(talk: Talk) -> None:
    session_id = await talk.create()
    for call in (talk.messages(session_id, after_message_id="m1"), anext(talk.watch(session_id, "m1"))):
        with pytest.raises(RpcFailure) as raised:
            await call
        assert (raised.value.code, raised.value.message) == ("NOT_FOUND", "no such session, or no such message in it")
    talk.running.plan(on="agent_messages", kind="422")
    with pytest.raises(RpcFailure) as raised:
        await talk.messages(session_id, after_message_id="m1")
    assert raised.value.fields == ["after_message_id"]


async def test_unknown_rows_and_states_are_shown_with_their_known_fields(talk: Talk) -> None:
    session_id = await talk.create()
    strange = [
        {"message_id": "m1", "role": "tool", "status": "dreaming", "message": {"text": "secret of sandbox:sandbox"}},
        {"message_id": "m2", "role": "user", "status": "completed", "message": "plain", "llm_cost_usd": 0.5},
        {"message_id": "m3", "role": "assistant", "status": "failed", "message": {"parts": [
            {"type": "text", "text": "a"}, {"type": "image", "url": "x"}, {"type": "text", "text": "\ud800b"}, None,
            {"type": "text"},
        ]}, "created_at": "2026-01-01T00:00:01Z"},
        {"role": "user"}, {"message_id": "../x"}, "no row",
    ]  # fmt: skip
    talk.running.plan(on="agent_messages", patch={"status": "pondering", "messages": strange}, times=2)

    listed = (await talk.messages(session_id)).messages
    answer = await talk.transport.call("GetSession", pb.GetSessionRequest(id=session_id))

    assert rows(listed) == [
        ("UNSPECIFIED", "UNSPECIFIED", "secret of [removed]"),
        ("USER", "COMPLETED", "plain"),
        ("ASSISTANT", "FAILED", "a\n?b"),
    ]
    assert listed[1].llm_cost_usd == "0.5"
    assert listed[2].create_time.seconds == 1767225601
    assert (state_name(answer.session), answer.session.upstream_status) == ("UNSPECIFIED", "pondering")


async def test_other_values_of_a_session_and_of_messages_are_kept(talk: Talk) -> None:
    """They are shown by reads and watches: a configuration, the parts of a message, the URLs of its assets."""
    talk.running.plan(on="agent_session", patch={"config": {"model": "one"}, "status": "idle"}, processed=True)
    created = await talk.transport.call("CreateSession", pb.CreateSessionRequest(idempotency_key="k"))
    assert MessageToDict(created.session.extra) == {"config": {"model": "one"}}
    asset = {"url": "https://files.example/1.png", "width": 64}
    row = {
        "message_id": "m1", "role": "assistant", "status": "completed", "assets": [asset],
        "message": {"id": "m1", "parts": [{"type": "step-start"}, {"type": "text", "text": "Done"}, {"file": asset}]},
    }  # fmt: skip
    patch = {"status": "idle", "config": {"model": "two"}, "messages": [row]}
    talk.running.plan(on="agent_messages", patch=patch, times=100)
    shown = {"assets": [asset | {"width": 64.0}]}
    shown["message"] = {"id": "m1", "parts": [{"type": "step-start"}, {"type": "text"}, {"file": shown["assets"][0]}]}
    (listed,) = (await talk.messages(created.session.id)).messages
    assert (listed.text, MessageToDict(listed.extra)) == ("Done", shown)
    session = (await talk.transport.call("GetSession", pb.GetSessionRequest(id=created.session.id))).session
    assert MessageToDict(session.extra) == {"config": {"model": "two"}}
    async with asyncio.timeout(WAIT_TIMEOUT), aclosing(talk.watch(created.session.id, until_idle=True)) as stream:
        watched = [answer async for answer in stream]
    assert [MessageToDict(one.message.extra) for one in watched if one.HasField("message")] == [shown]
    assert {one.session.extra["config"]["model"] for one in watched if one.HasField("session")} == {"two"}


async def test_without_keys_sessions_created_elsewhere_can_be_used(talk: Talk) -> None:
    elsewhere = talk.running.sandbox.state.accounts["sandbox:sandbox"].agents.create()
    assert await talk.state(elsewhere) == "IDLE"
    await talk.send(elsewhere, "a fox")
    assert talk.charges == 1
    other = talk.running.sandbox.state.accounts["sandbox:sandbox"].agents.create()
    store = talk.running.gateway._core.store.agents  # as while keys were required
    await store.add_agent_session(KeyRecord("red", "key", SESSION, other, used_at=1.0))
    assert (await talk.refused(other, "a fox")).reason == "NOT_FOUND"


async def test_with_keys_sessions_created_elsewhere_are_not_found(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        red = Talk(running, running.caller("grpc", await running.key("red")))
        elsewhere = running.sandbox.state.accounts["sandbox:sandbox"].agents.create()
        assert (await red.refused(elsewhere, "a fox")).reason == "NOT_FOUND"
        assert await red.state(await red.create()) == "IDLE"


async def test_a_session_that_higgsfield_creates_twice_stays_with_its_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        red, blue = (Talk(running, caller) for caller in await running.callers("red", "blue"))
        sessions = running.sandbox.state.accounts["sandbox:sandbox"].agents
        created = sessions.create()
        monkeypatch.setattr(sessions, "create", lambda: created)

        assert [await red.create(key) for key in ("one", "two")] == [created] * 2
        with pytest.raises(RpcFailure) as raised:
            await blue.create("one")
        assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
        monkeypatch.undo()
        assert await blue.state(await blue.create("one")) == "IDLE"


@pytest.mark.parametrize("transport", ["grpc", "connect-proto"])
async def test_media_is_uploaded_to_storage_without_credentials(running: Running, transport: str) -> None:
    client = running.transports[transport]
    slot = await client.call("CreateMedia", pb.CreateMediaRequest(extension="jpeg", kind="AGENT_MEDIA_KIND_IMAGE"))
    confirm = pb.ConfirmMediaRequest(id=slot.id, kind="AGENT_MEDIA_KIND_IMAGE")
    with pytest.raises(RpcFailure) as raised:
        await client.call("ConfirmMedia", confirm)
    assert (raised.value.code, raised.value.reason) == ("FAILED_PRECONDITION", "NOT_DONE")

    async with aiohttp.ClientSession() as session:
        put = await whole(session.put(slot.upload_url, data=b"a picture", headers={"Content-Type": slot.content_type}))
        assert put.status == 200
        await client.call("ConfirmMedia", confirm)
        async with session.get(slot.url) as answer:
            assert await answer.read() == b"a picture"
    assert running.ledger.credentials_sent_to_storage == 0
    for unknown in ("m99.jpeg", "a b", "a..b"):
        with pytest.raises(RpcFailure) as raised:
            await client.call("ConfirmMedia", pb.ConfirmMediaRequest(id=unknown, kind="AGENT_MEDIA_KIND_IMAGE"))
        assert raised.value.reason == "NOT_FOUND"


async def test_an_invalid_upload_url_is_not_returned(running: Running) -> None:
    odd = {"content_type": "image/jpeg\r\nx: y"}
    for wrong in ({"upload_url": "ftp://x/y"}, {"url": "http://user@host/x"}, {"id": "../x"}, odd):
        running.plan(on="agent_media", patch=wrong)
        with pytest.raises(RpcFailure) as raised:
            await running.grpc.call("CreateMedia", pb.CreateMediaRequest(extension="jpeg", kind=1))
        assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
