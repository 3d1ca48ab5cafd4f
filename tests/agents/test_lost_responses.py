"""Messages with a lost response: charged once, and found by a repeat with the key."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf.json_format import MessageToDict

from gateway.agents import messages
from gateway.agents.model import KeyRecord, message_fingerprint
from gateway.generations.clock import SystemClock, since_boot
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.stores import StoreError, UnknownCommitError
from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from tests.agents.conftest import TURN, Talk, rows
from tests.support.commits import commits, lose_responses
from tests.support.running import CREDENTIALS, WAIT_TIMEOUT, Running, eventually, run
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure

T = TypeVar("T")
DAY = 86_400.0
LOST = ("502", "504", "lost", "half_reset", "html", "bad_chunk")


@pytest.mark.parametrize("kind", LOST)
async def test_a_message_taken_with_a_lost_response_is_found_at_once(talk: Talk, kind: str) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind=kind, processed=True)

    answer = await talk.send(session_id, "a fox", "k")
    again = await talk.send(session_id, "a fox", "k")

    assert rows([answer.message]) == [("USER", "PROCESSING", "a fox")]
    assert not answer.replayed
    assert (again.replayed, again.message.id) == (True, answer.message.id)
    assert answer.message.id == talk.running.ledger.agent_messages[0].message_id
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_message_is_found_despite_normalised_text(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="502", processed=True)
    (session,) = talk.running.sandbox.state.accounts["sandbox:sandbox"].agents.sessions.values()
    session.turns = _Plain()

    answer = await talk.send(session_id, " a cafe\u0301\r\nin the snow\n", "k")

    assert answer.message.text == "a caf\u00e9\nin the snow"
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_message_that_contains_the_gateways_secret_is_found(talk: Talk) -> None:
    """It is compared as it was sent: what its caller wrote is no secret from the caller."""
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="502", processed=True)
    text = f"what is {CREDENTIALS.key_id}:{CREDENTIALS.secret}?"
    assert (await talk.send(session_id, text, "k")).message.text == text
    assert (len(talk.said), talk.charges) == (1, 1)


class _Plain(list[Any]):
    """Turns that store their texts with normalised Unicode, line ends and spaces."""

    def append(self, turn: Any) -> None:
        turn.text = unicodedata.normalize("NFC", turn.text.replace("\r\n", "\n").strip())
        super().append(turn)


async def test_a_message_is_not_sent_long_after_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that wakes up after a pause must not send: another may serve now, and the key may be free again."""
    paused_for = [0.0]
    clock_from = partial(SystemClock, monotonic=lambda: since_boot() + paused_for[0])
    async with run(tmp_path, clock_from=clock_from, agent_seconds=TURN) as running:
        talk, store = Talk(running), running.gateway._core.agents._store
        session_id = await talk.create()
        mark = store.mark_agent_message

        async def mark_then_pause(record: KeyRecord) -> bool:
            marked = await mark(record)
            paused_for[0] += SEND_TIMEOUT
            return marked

        monkeypatch.setattr(store, "mark_agent_message", mark_then_pause)
        assert (await talk.refused(session_id, "a fox", "k")).reason == "UPSTREAM_UNAVAILABLE"
        assert (len(talk.said), talk.charges) == (0, 0)
        monkeypatch.undo()
        assert not (await talk.send(session_id, "a fox", "k")).replayed
        assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_message_is_sent_if_its_record_was_stored_with_a_lost_response(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = talk.running.gateway._core.agents._store
    mark, lost = store.mark_agent_message, [UnknownCommitError("the connection was lost")]

    async def mark_and_lose(record: KeyRecord) -> bool:
        marked = await mark(record)
        if lost:
            raise lost.pop()
        return marked

    monkeypatch.setattr(store, "mark_agent_message", mark_and_lose)
    session_id = await talk.create()
    assert not (await talk.send(session_id, "a fox", "k")).replayed
    assert (await talk.send(session_id, "a fox", "k")).replayed
    assert (lost, talk.said, talk.charges) == ([], [("a fox", "202")], 1)


async def test_a_message_is_not_sent_if_its_key_has_the_record_of_another_session(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome of its own record is unknown."""
    store = talk.running.gateway._core.agents._store
    mark, (one, other) = store.mark_agent_message, [await talk.create(key) for key in ("one", "other")]
    lost = [UnknownCommitError("the connection was lost")]

    async def mark_too_late(record: KeyRecord) -> bool:
        if lost:
            await mark(replace(record, session_id=other, fingerprint=message_fingerprint(other, "a fox")))
            raise lost.pop()
        return await mark(record)

    monkeypatch.setattr(store, "mark_agent_message", mark_too_late)
    assert (await talk.refused(one, "a fox", "k")).reason == "IDEMPOTENCY_KEY_REUSED"
    assert talk.said == []


async def test_a_late_clean_up_leaves_the_record_of_a_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs while the repeat is sent: the record of the repeat must stay, or the next repeat is charged as well."""
    unconfirmed = [UnknownCommitError("the connection was lost")] * 2
    sent, cleaned = asyncio.Event(), asyncio.Event()
    async with run(tmp_path, agent_seconds=TURN) as running, asyncio.timeout(WAIT_TIMEOUT):
        talk, store = Talk(running), running.gateway._core.agents._store
        session_id = await talk.create()
        mark, free, bind = store.mark_agent_message, store.release_agent_key, store.bind_agent_message

        async def mark_unconfirmed(record: KeyRecord) -> bool:
            if unconfirmed:
                raise unconfirmed.pop()
            return await mark(record)

        async def free_late(record: KeyRecord) -> None:
            await sent.wait()
            await free(record)
            cleaned.set()

        async def bind_later(record: KeyRecord, message_id: str) -> bool:
            sent.set()
            await cleaned.wait()
            return await bind(record, message_id)

        monkeypatch.setattr(store, "mark_agent_message", mark_unconfirmed)
        monkeypatch.setattr(store, "release_agent_key", free_late)
        monkeypatch.setattr(store, "bind_agent_message", bind_later)
        assert (await talk.refused(session_id, "a fox", "k")).reason == "GATEWAY_UNAVAILABLE"
        assert not (await talk.send(session_id, "a fox", "k")).replayed
        assert (await talk.send(session_id, "a fox", "k")).replayed
        assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_message_that_times_out_is_found_and_sent_once(tmp_path: Path) -> None:
    async with run(tmp_path, UPSTREAM_TIMEOUT=2, agent_seconds=TURN) as running:
        talk = Talk(running)
        session_id = await talk.create()
        running.plan(on="agent_send", kind="hang", processed=True)
        assert rows([(await talk.send(session_id, "a fox")).message]) == [("USER", "PROCESSING", "a fox")]
        assert (len(talk.said), talk.charges) == (1, 1)


@pytest.mark.parametrize("kind", ["500", "503", "reset", "html"])
async def test_a_message_not_found_stays_unresolved_and_is_not_sent_again(talk: Talk, kind: str) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind=kind)

    for _ in range(3):
        unresolved = await talk.refused(session_id, "a fox", "k")
        assert (unresolved.code, unresolved.reason) == ("ABORTED", "SUBMISSION_UNRESOLVED")
        assert (unresolved.failure.retryable, unresolved.failure.retry_delay.seconds) == (True, 2)
    assert (len(talk.said), talk.charges) == (1, 0)
    # The caller may decide to send it again with another key.
    await talk.send(session_id, "a fox", "another")
    assert talk.charges == 1


async def test_a_failed_lookup_is_repeated_by_the_next_call(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="502", processed=True)
    talk.running.plan(on="agent_messages", kind="", times=1)  # the read before the message succeeds
    talk.running.plan(on="agent_messages", kind="500", times=2)

    for _ in range(2):
        assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
    found = await talk.send(session_id, "a fox", "k")
    assert found.replayed
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_lookup_that_fails_in_the_store_is_repeated_by_the_next_call(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="502", processed=True)
    store = talk.running.gateway._core.agents._store
    with monkeypatch.context() as failing:
        failing.setattr(store, "bound_agent_messages", fails)
        assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
    assert (await talk.send(session_id, "a fox", "k")).replayed
    assert (len(talk.said), talk.charges) == (1, 1)


async def fails(_: str) -> frozenset[str]:
    raise StoreError("the store cannot be read")


async def test_a_message_that_appears_late_is_found_by_a_repeat(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="502", processed=True)
    talk.running.plan(on="agent_messages", kind="", times=1)
    talk.running.plan(on="agent_messages", patch={"messages": [], "status": "idle"})

    assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
    assert rows([(await talk.send(session_id, "a fox", "k")).message]) == [("USER", "PROCESSING", "a fox")]
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_an_earlier_message_with_the_same_text_is_not_bound(talk: Talk) -> None:
    session_id = await talk.create()
    first = (await talk.send(session_id, "yes", "one")).message
    await talk.turn(session_id, first.id)
    talk.running.plan(on="agent_send", kind="503")

    assert (await talk.refused(session_id, "yes", "two")).reason == "SUBMISSION_UNRESOLVED"
    assert (await talk.send(session_id, "yes", "one")).message.id == first.id
    assert talk.charges == 1
    talk.running.plan(on="agent_send", kind="", patch={"message_id": first.id})  # even if Higgsfield says so
    assert (await talk.refused(session_id, "no", "three")).reason == "SUBMISSION_UNRESOLVED"


async def test_an_earlier_message_sent_elsewhere_is_not_bound(talk: Talk) -> None:
    account = talk.running.sandbox.state.accounts["sandbox:sandbox"]
    session_id = account.agents.create()
    for text in ("no", "yes"):
        account.send_agent_message(session_id, text)
        talk.running.clock.advance(TURN)
    talk.running.plan(on="agent_send", kind="503")
    assert (await talk.refused(session_id, "yes")).reason == "SUBMISSION_UNRESOLVED"

    await talk.send(session_id, "a fox")  # and nothing is newer than that
    await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))
    talk.running.plan(on="agent_send", kind="503")
    assert (await talk.refused(session_id, "yes", "again")).reason == "SUBMISSION_UNRESOLVED"


async def test_a_later_message_with_another_text_is_not_bound(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="503")
    assert (await talk.refused(session_id, "yes", "k")).reason == "SUBMISSION_UNRESOLVED"
    talk.running.sandbox.state.accounts["sandbox:sandbox"].send_agent_message(session_id, "no")
    assert (await talk.refused(session_id, "yes", "k")).reason == "SUBMISSION_UNRESOLVED"


async def test_a_message_of_another_key_is_not_bound(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="503")
    assert (await talk.refused(session_id, "yes", "never-came")).reason == "SUBMISSION_UNRESOLVED"

    await talk.send(session_id, "yes", "came")

    assert (await talk.refused(session_id, "yes", "never-came")).reason == "SUBMISSION_UNRESOLVED"
    assert talk.charges == 1


async def test_the_agents_words_are_not_taken_for_the_message(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.sandbox.state.accounts["sandbox:sandbox"].send_agent_message(session_id, "a fox [ask]")
    talk.running.plan(on="agent_send", kind="503")
    assert (await talk.refused(session_id, "Which colour?", "k")).reason == "SUBMISSION_UNRESOLVED"
    talk.running.clock.advance(TURN)
    assert rows((await talk.messages(session_id)).messages)[-1][::2] == ("ASSISTANT", "Which colour?")

    assert (await talk.refused(session_id, "Which colour?", "k")).reason == "SUBMISSION_UNRESOLVED"


async def test_a_message_processed_after_another_with_its_text_is_bound(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="503")
    assert (await talk.refused(session_id, "yes", "late")).reason == "SUBMISSION_UNRESOLVED"
    other = (await talk.send(session_id, "yes", "other")).message
    await talk.turn(session_id, other.id)
    # The message that seemed lost is delivered now.
    came = talk.running.sandbox.state.accounts["sandbox:sandbox"].send_agent_message(session_id, "yes")

    for _ in range(2):  # the second time, its key is known
        assert (await talk.send(session_id, "yes", "late")).message.id == came.message_id


async def test_two_unresolved_messages_are_bound_to_two_taken_ones(talk: Talk) -> None:
    session_id = await talk.create()
    # The lookup after each lost message is empty once, so that both stay unresolved.
    for key in ("one", "two"):
        talk.running.plan(on="agent_send", kind="502", processed=True)
        talk.running.plan(on="agent_messages", kind="")
        talk.running.plan(on="agent_messages", patch={"messages": []})
        assert (await talk.refused(session_id, "yes", key)).reason == "SUBMISSION_UNRESOLVED"
        talk.running.clock.advance(TURN)

    bound = [(await talk.send(session_id, "yes", key)).message.id for key in ("two", "one")]

    taken = [one.message_id for one in talk.running.ledger.agent_messages]
    assert sorted(bound) == sorted(taken)
    assert talk.charges == 2


async def test_a_session_busy_with_this_very_message_has_taken_it(talk: Talk) -> None:
    """A proxy on the way sent the message twice, and passed on the second response."""
    session_id = await talk.create()
    talk.running.plan(on="agent_send", status=409, body={"detail": "session_busy"}, processed=True)

    answer = await talk.send(session_id, "a fox", "k")

    assert answer.message.id == talk.running.ledger.agent_messages[0].message_id
    assert (await talk.send(session_id, "a fox", "k")).replayed
    assert talk.charges == 1


async def test_a_busy_sessions_own_message_is_found_if_the_store_loses_its_answer(talk: Talk) -> None:
    session_id = await talk.create()
    lose_responses(talk.running.gateway._core.agents._store, "bind_agent_message", 1, stored=True)
    talk.running.plan(on="agent_send", status=409, body={"detail": "session_busy"}, processed=True)
    answer = await talk.send(session_id, "a fox", "k")
    assert answer.message.id == talk.running.ledger.agent_messages[0].message_id


async def test_a_busy_session_with_unreadable_messages_is_reported_as_busy(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="409")
    talk.running.plan(on="agent_messages", kind="")
    talk.running.plan(on="agent_messages", kind="500")
    assert (await talk.refused(session_id, "a fox", "k")).reason == "SESSION_BUSY"
    assert not (await talk.send(session_id, "a fox", "k")).replayed


@pytest.mark.parametrize(
    "fault", [{"kind": "502"}, {"status": 200, "body": {"detail": "later"}}, {"status": 200, "body": {}}]
)
async def test_a_busy_session_whose_messages_stay_unreadable_is_unresolved(talk: Talk, fault: dict[str, Any]) -> None:
    """A proxy sent the message twice, so it may have been accepted."""
    session_id = await talk.create()
    talk.running.plan(on="agent_send", status=409, body={"detail": "session_busy"}, processed=True)
    talk.running.plan(on="agent_messages", kind="")
    talk.running.plan(on="agent_messages", **fault, times=len(messages.BUSY_PAUSES))
    assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
    assert (await talk.send(session_id, "a fox", "k")).replayed
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_busy_session_frees_the_key_once_the_store_can_be_read(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = talk.running.gateway._core.agents._store
    session_id = await talk.create()
    read, failures = store.bound_agent_messages, [StoreError("the store cannot be read")]

    async def read_late(session_id: str) -> frozenset[str]:
        if failures:
            raise failures.pop()
        return await read(session_id)

    monkeypatch.setattr(store, "bound_agent_messages", read_late)
    talk.running.plan(on="agent_send", kind="409")
    assert (await talk.refused(session_id, "a fox", "k")).reason == "SESSION_BUSY"
    assert not failures
    assert not (await talk.send(session_id, "a fox", "k")).replayed


async def test_a_key_that_is_used_in_two_sessions_at_once_sends_one_message(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = talk.running.gateway._core.agents._store
    sessions = [await talk.create("one"), await talk.create("two")]
    read, both = store.agent_key, asyncio.Barrier(2)

    async def read_together(tenant: str, key: str) -> KeyRecord | None:
        record = await read(tenant, key)
        await both.wait()
        return record

    monkeypatch.setattr(store, "agent_key", read_together)
    sends = (talk.send(session_id, "a fox", "k") for session_id in sessions)
    async with asyncio.timeout(WAIT_TIMEOUT):
        sent, refused = sorted(
            await asyncio.gather(*sends, return_exceptions=True), key=lambda one: isinstance(one, RpcFailure)
        )
    assert not sent.replayed
    assert refused.reason == "IDEMPOTENCY_KEY_REUSED"
    assert not refused.failure.metadata  # its own session is not the one in which the key was used
    assert (len(talk.said), talk.charges) == (1, 1)


async def test_a_failing_store_sends_nothing(talk: Talk) -> None:
    session_id = await talk.create()
    with commits("agent message") as said:
        said.fail_from(1)

        refused = await talk.refused(session_id, "a fox", "k")

    assert (refused.code, refused.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert talk.said == []
    await talk.send(session_id, "a fox", "k")
    assert talk.charges == 1


async def stored_later(step: str, call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a call. The commits of a step fail until it has been tried twice, and the call waits."""
    with commits(step) as said:
        said.fail_from(1)
        calling = asyncio.create_task(call)
        await said.reached(2)
        assert not calling.done()
        said.fail_from(0)
        return await calling


async def test_an_outcome_that_cannot_be_stored_is_stored_later(talk: Talk) -> None:
    session_id = await talk.create()
    answer = await stored_later("agent message bound", talk.send(session_id, "a fox", "k"))
    assert (await talk.send(session_id, "a fox", "k")).message.id == answer.message.id
    assert talk.charges == 1


async def test_a_refusal_that_cannot_be_stored_frees_the_key_later(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", kind="429")
    refused = await stored_later("agent message refused", talk.refused(session_id, "a fox", "k"))
    assert refused.reason == "UPSTREAM_SATURATED"
    assert not (await talk.send(session_id, "an owl", "k")).replayed


async def test_a_session_with_a_lost_response_is_created_again(talk: Talk) -> None:
    talk.running.plan(on="agent_session", kind="502", processed=True)
    with pytest.raises(RpcFailure) as raised:
        await talk.create("k")
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    session_id = await talk.create("k")
    assert await talk.create("k") == session_id


async def test_canceling_a_send_call_does_not_cancel_the_message(running: Running, talk: Talk) -> None:
    session_id = await talk.create()
    request = pb.SendMessageRequest(session_id=session_id, text="a fox", idempotency_key="k")
    with running.held(on="agent_send"):
        call = asyncio.create_task(talk.transport.call("SendMessage", request))
        await eventually(lambda: bool(talk.said))
        call.cancel()
        await running.calls_open("SendMessage", 0, "AgentService")

    answer = await talk.send(session_id, "a fox", "k")

    assert answer.replayed
    assert ([text for text, _ in talk.said], talk.charges) == (["a fox"], 1)


async def test_messages_whose_callers_have_left_count_against_the_limit_of_their_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agents.service.MAX_IN_PROGRESS", 2)
    async with run(tmp_path, agent_seconds=TURN, AUTH="keys") as running:
        red, blue = [Talk(running, running.caller("grpc", await running.key(tenant))) for tenant in ("red", "blue")]
        sessions = [await red.create(f"session-{number}") for number in range(3)]
        with running.held(on="agent_send", times=2, processed=True):
            leaving = [asyncio.create_task(red.send(session_id, "a fox", session_id)) for session_id in sessions[:2]]
            await eventually(lambda: len(red.said) == 2)
            for call in leaving:
                call.cancel()
            await running.calls_open("SendMessage", 0, "AgentService")

            refused = await red.refused(sessions[2], "a fox")
            assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED")
            await blue.send(await blue.create(), "an owl")
        await eventually(lambda: not running.gateway._core.agents._in_progress)
        for session_id in sessions[:2]:
            assert (await red.send(session_id, "a fox", session_id)).replayed
        await red.send(sessions[2], "a fox")
        assert red.charges == 4


async def test_a_drain_waits_for_a_message_and_refuses_new_ones(running: Running, talk: Talk) -> None:
    session_id = await talk.create()
    with running.held(on="agent_send"):
        sending = asyncio.create_task(talk.send(session_id, "a fox", "k"))
        await eventually(lambda: bool(talk.said))
        await running.begin_drain()
        refused = asyncio.create_task(talk.refused(session_id, "an owl"))
        await running.calls_open("SendMessage", 2, "AgentService")
    answer = await sending
    assert (await refused).code == "UNAVAILABLE"
    await running.stop_gateway()

    await running.start_gateway()
    assert (await talk.send(session_id, "a fox", "k")).message.id == answer.message.id
    assert [text for text, _ in talk.said] == ["a fox"]


async def test_a_drain_sends_no_message_whose_session_is_still_being_read(running: Running, talk: Talk) -> None:
    """Otherwise the drain could end during the POST, after which it is unknown whether the message was charged."""
    session_id = await talk.create()
    with running.held(on="agent_messages"):
        refused = asyncio.create_task(talk.refused(session_id, "a fox", "k"))
        await eventually(lambda: not len(running.sandbox.state.plan))
        await running.begin_drain()
    await running.stop_gateway()
    assert (await refused).reason == "GATEWAY_UNAVAILABLE"
    assert talk.said == []

    await running.start_gateway()
    assert not (await talk.send(session_id, "a fox", "k")).replayed


async def test_the_key_of_a_message_is_kept_for_a_week(tmp_path: Path) -> None:
    async with run_timed(tmp_path, agent_seconds=TURN) as timed:
        talk = Talk(timed)
        session_id = await talk.create()
        first = (await talk.send(session_id, "a fox", "k")).message
        hour, day = 3600.0, 86_400.0
        await timed.advance(6.9 * day, step=hour)
        assert (await talk.send(session_id, "a fox", "k")).message.id == first.id
        await timed.advance(0.2 * day, step=hour)

        again = await talk.send(session_id, "a fox", "k")

        assert not again.replayed
        assert again.message.id != first.id
        assert await talk.state(session_id) == "PROCESSING"


async def test_the_key_of_an_unresolved_message_is_not_pruned(tmp_path: Path) -> None:
    """The key prevents a second charge for as long as the outcome is unknown."""
    async with run_timed(tmp_path, agent_seconds=TURN) as running:
        talk = Talk(running)
        session_id = await talk.create()
        running.plan(on="agent_send", kind="504", processed=False)
        assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
        await talk.send(session_id, "an owl", "settled")
        await running.advance(8 * DAY, step=3600.0)
        assert (await talk.refused(session_id, "a fox", "k")).reason == "SUBMISSION_UNRESOLVED"
        assert len(talk.said) == 2


async def test_the_response_that_settles_nothing_is_in_the_error(talk: Talk) -> None:
    session_id = await talk.create()
    talk.running.plan(on="agent_send", status=500, body={"message": "unexpected"})
    refused = await talk.refused(session_id, "a fox")
    assert refused.reason == "SUBMISSION_UNRESOLVED"
    assert MessageToDict(refused.failure)["upstreamResponse"] == {"message": "unexpected"}
