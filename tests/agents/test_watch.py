"""WatchSession: one reader for all watchers, the messages they get, and how watches end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.access.identity import DEFAULT_TENANT
from gateway.agents.conversation import Conversation, Pace
from gateway.agents.model import Message, MessageState, Role, Session, SessionState, Transcript, session_not_found
from gateway.agents.service import PROCESSING_DURATION
from gateway.generations.clock import SystemClock
from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from tests.agents.conftest import TURN, Talk, rows, state_name
from tests.support.faulty_clock import FaultyClock
from tests.support.running import WAIT_TIMEOUT, Running, collected, eventually, run
from tests.support.timeline import Timed, run_timed
from tests.support.transports import TRANSPORTS, RpcFailure

TRANSPORTS_OF_NOTE = ("grpc", "connect-json")


class Watcher:
    """Collects the messages of a watch in the background."""

    def __init__(self, stream: AsyncIterator[Any]) -> None:
        self.received: list[Any] = []
        self._stream = stream
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async with aclosing(self._stream) as stream:  # type: ignore[type-var]
            async for answer in stream:
                self.received.append(answer)

    @property
    def states(self) -> list[str]:
        return [state_name(one.session) for one in self.received if one.HasField("session")]

    @property
    def messages(self) -> list[Any]:
        return [one.message for one in self.received if one.HasField("message")]

    @property
    def heartbeats(self) -> int:
        return sum(not one.HasField("session") and not one.HasField("message") for one in self.received)

    async def reaches(self, state: str) -> None:
        await eventually(lambda: state in self.states)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def held(timed: Timed, session_id: str, after: str = "", *, until_idle: bool = False) -> Any:
    """Return a watch that stands still between two `anext`, as for a client that does not read."""
    watch = timed.gateway._core.agents.watch
    return watch(DEFAULT_TENANT, session_id, after, until_idle=until_idle, check=lambda: None)


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[Timed]:
    async with run_timed(tmp_path, agent_seconds=TURN) as started:
        yield started


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_watch_shows_a_turn_in_progress(running: Running, transport: str) -> None:
    talk = Talk(running, running.transports[transport])
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")

    await talk.send(session_id, "a fox")
    await watcher.reaches("PROCESSING")
    for _ in range(3):
        running.clock.advance(TURN / 3)
        count = len(watcher.messages)
        await eventually(lambda count=count: len(watcher.messages) > count)  # type: ignore[misc]
    await eventually(lambda: watcher.states[-1] == "IDLE")
    await watcher.leave()

    assert watcher.states == ["IDLE", "PROCESSING", "IDLE"]
    # The end of the turn is reported after its messages.
    assert watcher.received[-1].HasField("session")
    answers = [one for one in watcher.messages if one.role == pb.ROLE_ASSISTANT]
    assert len({one.id for one in answers}) == 1
    assert [one.text for one in answers] == sorted((one.text for one in answers), key=len)
    last = {one.id: one for one in watcher.messages}
    assert rows(last.values()) == [("USER", "COMPLETED", "a fox"), ("ASSISTANT", "COMPLETED", "Done: a fox")]


async def test_fifty_watchers_share_one_reader(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    await talk.send(session_id, "a fox [slow=1000]")
    before = timed.ledger.agent_reads[session_id]
    watchers = [Watcher(talk.watch(session_id)) for _ in range(50)]
    for watcher in watchers:
        await watcher.reaches("PROCESSING")
    opened = timed.ledger.agent_reads[session_id] - before

    await timed.advance(120.0)

    # 2, 3, 4.5, 6.75, then 10 s each, with 10 % jitter.
    reads = timed.ledger.agent_reads[session_id] - before - opened
    assert opened <= 2
    assert 12 <= reads <= 17
    for watcher in watchers:
        await watcher.leave()
    await eventually(lambda: timed.gateway._core.agents.watched == 0)
    await timed.advance(120.0)
    assert timed.ledger.agent_reads[session_id] == before + opened + reads


async def test_the_reader_speeds_up_after_a_message_and_reads_the_open_turn(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    await timed.advance(100.0)
    asked_after: list[str | None] = []
    desk = timed.sandbox.state.accounts["sandbox:sandbox"].agents
    answer = desk.messages

    def noted(session: str, after: str | None) -> Any:
        asked_after.append(after)
        return answer(session, after)

    desk.messages = noted  # type: ignore[method-assign]
    first = (await talk.send(session_id, "a fox")).message
    await timed.advance(TURN + 1.0)
    assert len(asked_after) in {4, 5}  # before the message, right after it, after 2 s, after 3 s more
    assert set(asked_after) == {None}  # the message and its answer may still change
    await watcher.reaches("PROCESSING")
    await timed.advance(20.0)
    await eventually(lambda: watcher.states[-1] == "IDLE")
    asked_after.clear()
    await timed.advance(30.0)

    assert asked_after
    (last,) = {one.id for one in watcher.messages} - {first.id}
    assert set(asked_after) == {last}
    await watcher.leave()


async def test_an_interrupt_is_shown_to_watchers_at_once(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    await talk.send(session_id, "a fox [slow=1000]")
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("PROCESSING")
    await timed.advance(30.0)  # the reader waits for about 10 s
    await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))
    await watcher.reaches("IDLE")  # although the clock stands still
    assert watcher.states == ["PROCESSING", "IDLE"]
    await watcher.leave()


async def test_a_message_is_sent_while_the_first_read_of_a_watch_is_under_way(running: Running, talk: Talk) -> None:
    session_id = await talk.create()
    with running.held(on="agent_messages"):
        watcher = Watcher(talk.watch(session_id))
        await eventually(lambda: len(running.sandbox.state.plan) == 0)
        assert not (await talk.send(session_id, "a fox")).replayed
    await watcher.reaches("PROCESSING")
    await watcher.leave()


async def test_the_start_of_a_turn_keeps_the_other_values_of_the_session(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    timed.plan(on="agent_messages", patch={"config": {"model": "soul"}}, times=100)
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    await talk.send(session_id, "a fox")
    await timed.advance(2 * TURN)
    await eventually(lambda: watcher.states == ["IDLE", "PROCESSING", "IDLE"])
    sessions = [one.session for one in watcher.received if one.HasField("session")]
    assert [session.extra["config"]["model"] for session in sessions] == ["soul"] * 3
    await watcher.leave()


async def test_an_outdated_read_at_the_start_of_a_turn_is_no_change(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    # The first is the read before the message.
    timed.plan(on="agent_messages", patch={"status": "idle", "messages": []}, times=2)
    await talk.send(session_id, "a fox")
    await timed.advance(2 * TURN + PROCESSING_DURATION)
    await eventually(lambda: watcher.states[-1] == "IDLE" and len(watcher.states) > 2)
    assert not len(timed.sandbox.state.plan)
    assert watcher.states == ["IDLE", "PROCESSING", "IDLE"]
    await watcher.leave()


@pytest.mark.parametrize("refused", [False, True])
async def test_an_interrupt_during_a_poll_is_shown_by_the_next_one(timed: Timed, refused: bool) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    await talk.send(session_id, "a fox [slow=1000]")
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("PROCESSING")
    await timed.advance(30.0)  # the reader waits for about 10 s
    fault: dict[str, Any] = {"kind": "429", "headers": {"Retry-After": "60"}} if refused else {}
    with timed.held(on="agent_messages", **fault):
        timed.time.step(timed.time.now + 15.0, 15.0)
        await eventually(lambda: len(timed.sandbox.state.plan) == 0)
        await talk.transport.call("InterruptSession", pb.InterruptSessionRequest(id=session_id))
    if refused:
        before = timed.ledger.agent_reads[session_id]
        await timed.advance(50.0)
        assert timed.ledger.agent_reads[session_id] == before
        await timed.advance(20.0)
    await watcher.reaches("IDLE")  # without a Retry-After although the clock stands still
    await watcher.leave()


async def test_an_idle_watch_sends_a_heartbeat_every_15_seconds(timed: Timed) -> None:
    talk = Talk(timed)
    watcher = Watcher(talk.watch(await talk.create()))
    await watcher.reaches("IDLE")
    await timed.advance(14.0)
    assert watcher.heartbeats == 0
    # The watch may begin to wait a step after the one that sent the last heartbeat, and does not catch up.
    await timed.advance(2.0)
    await eventually(lambda: watcher.heartbeats == 1)
    await timed.advance(12.0)
    assert watcher.heartbeats == 1
    await timed.advance(4.0)
    await eventually(lambda: watcher.heartbeats == 2)
    (conversation,) = timed.gateway._core.agents._conversations.values()
    assert len(conversation._waiting or ()) <= 1  # the signals of waits that have ended are forgotten
    await watcher.leave()


async def test_the_reader_obeys_retry_after_and_survives_an_outage(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    timed.plan(on="agent_messages", kind="429", headers={"Retry-After": "60"})
    await timed.advance(5.0)
    await timed.advance(200.0)
    assert timed.ledger.ignored_retry_after == 0

    timed.plan(on="agent_messages", kind="500", times=5)
    await timed.advance(60.0)
    await talk.send(session_id, "[slow=1]")
    await timed.advance(30.0)
    await eventually(lambda: [one.text for one in watcher.messages][-1:] == ["Done: [slow=1]"])
    assert not watcher.task.done()
    await watcher.leave()


async def test_the_reader_obeys_retry_after_also_after_a_message(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    timed.plan(on="agent_messages", kind="429", headers={"Retry-After": "60"})
    await timed.advance(15.0, until=lambda: len(timed.sandbox.state.plan) == 0)
    before = timed.ledger.agent_reads[session_id]
    await talk.send(session_id, "a fox")
    await watcher.reaches("PROCESSING")
    await timed.advance(50.0)
    assert timed.ledger.agent_reads[session_id] == before + 1, "the call has read the messages, and the reader has not"
    await timed.advance(30.0, until=lambda: watcher.states[-1] == "IDLE")
    await eventually(lambda: watcher.states[-1] == "IDLE")
    await watcher.leave()


@pytest.mark.parametrize("transport", TRANSPORTS_OF_NOTE)
@pytest.mark.parametrize(("text", "state"), [("x", "IDLE"), ("[ask]", "AWAITING_INPUT"), ("[terminate]", "TERMINATED")])
async def test_a_watch_until_idle_ends_with_the_turn(running: Running, transport: str, text: str, state: str) -> None:
    talk = Talk(running, running.transports[transport])
    session_id = await talk.create()
    # The session is idle, so the watch ends at once.
    assert [state_name(one.session) for one in await collected(talk.watch(session_id, until_idle=True))] == ["IDLE"]

    message = (await talk.send(session_id, text)).message
    watcher = Watcher(talk.watch(session_id, message.id, until_idle=True))
    await watcher.reaches("PROCESSING")
    running.clock.advance(TURN)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await watcher.task

    assert watcher.states == ["PROCESSING", state]
    assert {one.role for one in watcher.messages} == {pb.ROLE_ASSISTANT}


@pytest.mark.parametrize("lost", [False, True])
async def test_an_outdated_read_does_not_end_a_turn(running: Running, talk: Talk, lost: bool) -> None:
    session_id = await talk.create()
    if lost:
        running.plan(on="agent_send", kind="502", processed=True)
    message = (await talk.send(session_id, "a fox")).message
    running.plan(on="agent_messages", patch={"status": "idle", "messages": []}, times=3)

    watcher = Watcher(talk.watch(session_id, message.id, until_idle=True))
    await eventually(lambda: len(running.sandbox.state.plan) == 0)
    assert await talk.state(session_id) == "PROCESSING"
    running.clock.advance(TURN)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await watcher.task

    *before, end = watcher.states
    assert set(before) == {"PROCESSING"}
    assert end == "IDLE"
    assert [one.text for one in watcher.messages] == ["Done: a fox"]


async def test_an_outdated_read_after_an_interrupt_does_not_end_the_turn_of_a_later_message(
    running: Running, talk: Talk
) -> None:
    session_id = await talk.create()
    with running.held(on="agent_interrupt"):
        request = pb.InterruptSessionRequest(id=session_id)
        interrupting = asyncio.create_task(talk.transport.call("InterruptSession", request))
        await eventually(lambda: len(running.sandbox.state.plan) == 0)
        await talk.send(session_id, "a fox")
        running.plan(on="agent_messages", patch={"status": "idle", "messages": []})
    assert state_name((await interrupting).session) == "PROCESSING"


async def test_an_outdated_read_with_the_answer_to_an_earlier_message_does_not_end_a_turn(
    running: Running, talk: Talk
) -> None:
    session_id = await talk.create()
    await talk.turn(session_id, (await talk.send(session_id, "a fox")).message.id)
    before = running.sandbox.state.accounts["sandbox:sandbox"].agents.messages(session_id, None)
    await talk.send(session_id, "an owl")
    running.plan(on="agent_messages", patch=before, times=2)
    watcher = Watcher(talk.watch(session_id, until_idle=True))
    await eventually(lambda: len(running.sandbox.state.plan) == 0)
    running.clock.advance(TURN)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await watcher.task
    assert watcher.messages[-1].text == "Done: an owl"


async def test_an_outdated_read_after_another_call_saw_the_end_does_not_end_a_watch(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    message = (await talk.send(session_id, "a fox")).message
    desk = timed.sandbox.state.accounts["sandbox:sandbox"].agents
    answer, outdated = desk.messages, True

    def read(session: str, after: str | None) -> Any:
        found = answer(session, after)
        return found | {"status": "idle", "messages": []} if outdated else found

    desk.messages = read  # type: ignore[method-assign]
    watchers = [Watcher(talk.watch(session_id, message.id, until_idle=True))]
    await watchers[0].reaches("PROCESSING")
    await timed.advance(8.0)  # the reads are after about 2 s, 5 s and 9.5 s
    outdated = False
    assert await talk.state(session_id) == "IDLE"
    outdated = True
    watchers.append(Watcher(talk.watch(session_id, message.id, until_idle=True)))  # causes a read
    await eventually(lambda: len(watchers[1].states) > 0)
    outdated = False
    for watcher in watchers:
        await timed.advance(30.0, until=watcher.task.done)
        await eventually(watcher.task.done)
        assert (watcher.states, [one.text for one in watcher.messages]) == (["PROCESSING", "IDLE"], ["Done: a fox"])


async def test_a_repeated_idle_read_ends_a_turn(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    message = (await talk.send(session_id, "a fox")).message
    timed.plan(on="agent_messages", patch={"status": "idle", "messages": []}, times=100)
    watcher = Watcher(talk.watch(session_id, message.id, until_idle=True))
    await watcher.reaches("PROCESSING")
    await timed.advance(30.0, until=watcher.task.done)
    await eventually(watcher.task.done)
    assert watcher.states == ["PROCESSING", "IDLE"]


async def test_the_time_of_a_message_is_forgotten_when_it_has_no_effect_any_more(timed: Timed) -> None:
    """Else each session would take memory until the gateway stops."""
    talk = Talk(timed)
    for key in ("one", "two"):
        await talk.send(await talk.create(key), "a fox", key=f"to-{key}")
        assert len(timed.gateway._core.agents._accepted) == 1
        await timed.advance(PROCESSING_DURATION + 1.0)


async def test_a_turn_whose_messages_are_final_ends_with_the_next_idle_read(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    message = (await talk.send(session_id, "a fox")).message
    await timed.advance(TURN)
    timed.plan(on="agent_messages", patch={"status": "processing"}, processed=True)
    watcher = Watcher(talk.watch(session_id, message.id, until_idle=True))
    await watcher.reaches("PROCESSING")
    await timed.advance(PROCESSING_DURATION - TURN - 1.0, until=watcher.task.done)
    await eventually(watcher.task.done)
    assert watcher.states == ["PROCESSING", "IDLE"]


async def test_a_watch_ends_when_the_session_is_terminated(running: Running, talk: Talk) -> None:
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    await talk.send(session_id, "[terminate]")
    running.clock.advance(TURN)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await watcher.task
    assert watcher.states == ["IDLE", "PROCESSING", "TERMINATED"]
    assert [state_name(one.session) for one in await collected(talk.watch(session_id)) if one.HasField("session")] == [
        "TERMINATED"
    ]


async def test_each_watch_begins_after_its_given_message(running: Running, talk: Talk) -> None:
    session_id = await talk.create()
    for text in ("one", "two"):
        await talk.turn(session_id, (await talk.send(session_id, text)).message.id)
    known = (await talk.messages(session_id)).messages
    latest = Watcher(talk.watch(session_id, known[2].id))
    await latest.reaches("IDLE")

    seen = {}
    for place, after in ((0, ""), (2, known[1].id), (4, known[3].id)):
        watcher = Watcher(talk.watch(session_id, after))
        await watcher.reaches("IDLE")
        seen[place] = [one.text for one in watcher.messages]
        # A client that stops at the end of the turn must not miss its messages, also after it has resumed.
        assert [one.HasField("session") for one in watcher.received] == [False] * (4 - place) + [True]
        await watcher.leave()
    await latest.leave()

    assert seen == {0: ["one", "Done: one", "two", "Done: two"], 2: ["two", "Done: two"], 4: []}
    assert [one.text for one in latest.messages] == ["Done: two"]


async def test_a_watch_that_joins_others_begins_with_the_present_state(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    first = Watcher(talk.watch(session_id))
    await first.reaches("IDLE")
    await timed.advance(60.0)
    reads = timed.ledger.agent_reads
    known = reads[session_id]
    await timed.advance(15.0, until=lambda: reads[session_id] > known)
    timed.sandbox.state.accounts["sandbox:sandbox"].agents.send(
        session_id, "from elsewhere [slow=1000]", lambda _: None
    )
    await timed.advance(5.0)  # the reader waits for about 10 s
    second = Watcher(talk.watch(session_id, until_idle=True))
    await eventually(lambda: len(second.states) > 0)
    assert second.states == ["PROCESSING"]
    for watcher in (first, second):
        await watcher.leave()


async def test_a_message_that_settles_after_its_answer_is_shown_as_settled(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    desk = timed.sandbox.state.accounts["sandbox:sandbox"].agents
    answer, late = desk.messages, True

    def delayed(session: str, after: str | None) -> Any:
        found = answer(session, after)
        if late:
            found["status"] = "processing"
            for row in found["messages"]:
                row["status"] = "processing" if row["role"] == "user" else row["status"]
        return found

    desk.messages = delayed  # type: ignore[method-assign]
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("PROCESSING")

    def shown() -> list[tuple[str, str, str]]:
        return rows({one.id: one for one in watcher.messages}.values())

    await talk.send(session_id, "a fox")
    await timed.advance(30.0)
    await eventually(lambda: shown() == [("USER", "PROCESSING", "a fox"), ("ASSISTANT", "COMPLETED", "Done: a fox")])
    late = False
    await timed.advance(30.0)
    await eventually(lambda: shown() == [("USER", "COMPLETED", "a fox"), ("ASSISTANT", "COMPLETED", "Done: a fox")])
    await watcher.leave()


async def test_a_watch_after_an_unread_message_takes_nothing_from_others(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    first = Watcher(talk.watch(session_id))
    await first.reaches("IDLE")
    # The reads before the message and right after it.
    timed.plan(on="agent_messages", patch={"status": "idle", "messages": []}, times=2)
    message = (await talk.send(session_id, "a fox")).message
    await eventually(lambda: len(timed.sandbox.state.plan) == 0)

    second = Watcher(talk.watch(session_id, message.id))
    await second.reaches("PROCESSING")
    await timed.advance(30.0, until=lambda: first.states[-1] == second.states[-1] == "IDLE")

    def received() -> list[tuple[str, str, str]]:
        return rows({one.id: one for one in first.messages}.values())

    # The messages of the last state may still be in flight.
    await eventually(lambda: received() == [("USER", "COMPLETED", "a fox"), ("ASSISTANT", "COMPLETED", "Done: a fox")])
    assert {one.role for one in second.messages} == {pb.ROLE_ASSISTANT}
    for watcher in (first, second):
        await watcher.leave()


async def test_a_watch_after_a_message_not_shown_yet_is_unavailable(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    first = Watcher(talk.watch(session_id))
    await first.reaches("IDLE")
    timed.plan(on="agent_messages", patch={"status": "idle", "messages": []}, times=4)
    message = (await talk.send(session_id, "a fox")).message

    second = Watcher(talk.watch(session_id, message.id))
    await eventually(second.task.done)
    with pytest.raises(RpcFailure) as raised:
        await second.task
    assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
    await timed.advance(30.0, until=lambda: first.states[-1] == "IDLE")
    await eventually(lambda: {one.text for one in first.messages} >= {"a fox", "Done: a fox"})
    await first.leave()


@pytest.mark.parametrize("transport", TRANSPORTS_OF_NOTE)
async def test_a_drain_ends_a_watch_with_a_retry_delay(running: Running, transport: str) -> None:
    talk = Talk(running, running.transports[transport])
    watcher = Watcher(talk.watch(await talk.create()))
    await watcher.reaches("IDLE")
    await running.begin_drain()
    with pytest.raises(RpcFailure) as raised:
        await watcher.task
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert raised.value.failure.HasField("retry_delay")


async def test_a_watch_at_its_maximum_age_ends(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    await timed.advance(5 * 3600.0, until=watcher.task.done, step=60.0)
    with pytest.raises(RpcFailure) as raised:
        await watcher.task
    assert raised.value.reason == "GATEWAY_UNAVAILABLE"


async def test_a_watch_of_a_removed_session_ends_with_not_found(running: Running, talk: Talk) -> None:
    session_id = await talk.create()
    watcher = Watcher(talk.watch(session_id))
    await watcher.reaches("IDLE")
    running.sandbox.state.accounts["sandbox:sandbox"].agents.sessions.clear()
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(RpcFailure) as raised:
            await watcher.task
    assert raised.value.reason == "NOT_FOUND"


async def test_a_client_that_reads_slowly_gets_the_end_of_a_turn_after_its_messages(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    message = (await talk.send(session_id, "a fox")).message
    async with asyncio.timeout(WAIT_TIMEOUT), aclosing(held(timed, session_id, message.id, until_idle=True)) as slow:
        assert (await anext(slow)).state.name == "PROCESSING"
        other = Watcher(talk.watch(session_id, message.id, until_idle=True))
        await other.reaches("PROCESSING")
        await timed.advance(30.0, until=other.task.done)
        await eventually(other.task.done)
        answer, session = [one async for one in slow]
    assert (answer.text, session.state.name) == ("Done: a fox", "IDLE")


async def test_a_watch_after_a_failed_one_goes_on_while_a_slow_client_still_holds_that(timed: Timed) -> None:
    talk = Talk(timed)
    session_id = await talk.create()
    slow = held(timed, session_id)
    await anext(slow)
    failing = Watcher(talk.watch(session_id))
    await failing.reaches("IDLE")
    sessions = timed.sandbox.state.accounts["sandbox:sandbox"].agents.sessions
    removed = dict(sessions)
    sessions.clear()
    await timed.advance(30.0, until=failing.task.done)
    with pytest.raises(RpcFailure, match="NOT_FOUND"):
        async with asyncio.timeout(WAIT_TIMEOUT):
            await failing.task
    sessions.update(removed)

    again = Watcher(talk.watch(session_id))
    await again.reaches("IDLE")
    await slow.aclose()
    await talk.send(session_id, "a fox")
    await again.reaches("PROCESSING")
    await timed.begin_drain()
    with pytest.raises(RpcFailure) as raised:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await again.task
    assert raised.value.reason == "GATEWAY_UNAVAILABLE"


async def test_an_exception_in_the_reader_ends_the_watch_with_internal(tmp_path: Path) -> None:
    clock = FaultyClock()
    async with run(tmp_path, clock_from=lambda _: clock, agent_seconds=TURN) as running:
        talk = Talk(running)
        session_id = await talk.create()
        await talk.send(session_id, "a fox")
        watcher = Watcher(talk.watch(session_id))
        await watcher.reaches("PROCESSING")
        clock.broken = "Conversation._read_new"
        async with asyncio.timeout(WAIT_TIMEOUT):
            with pytest.raises(RpcFailure) as raised:
                await watcher.task
        assert (raised.value.code, raised.value.reason) == ("INTERNAL", "INTERNAL")
        clock.broken = ""
        again = Watcher(talk.watch(session_id))
        await again.reaches("PROCESSING")
        await again.leave()


async def test_revoking_a_key_ends_its_session_watches(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys", agent_seconds=TURN) as running:
        talk = Talk(running, running.caller("grpc", await running.key("red")))
        watcher = Watcher(talk.watch(await talk.create()))
        await watcher.reaches("IDLE")
        (key,) = running.gateway.access.listed()
        await running.gateway.access.revoke_key(key.id)
        async with asyncio.timeout(WAIT_TIMEOUT):
            with pytest.raises(RpcFailure) as raised:
                await watcher.task
        assert raised.value.code == "UNAUTHENTICATED"


async def test_a_message_without_a_change_is_not_repeated() -> None:
    class Api:
        async def messages(self, _session_id: str, _after: str) -> Transcript:
            return Transcript(Session("one", SessionState.PROCESSING, "processing"), list(known))

    known: list[Message] = []
    api: Any = Api()
    conversation = Conversation("one", lambda: api, SystemClock(), Pace(), lambda _, read: read.session)
    await conversation.open("")
    for name in "abc":
        seen = conversation.changes
        known.append(Message(name, Role.ASSISTANT, MessageState.PROCESSING, "text"))
        await conversation.refresh()
        assert conversation.changes_since(seen, "") == known[-1:]
    known.append(replace(known[0], text="another text"))  # Higgsfield returns two messages with one id
    for repeated in ([known[-1]], []):
        seen = conversation.changes
        await conversation.refresh()
        assert conversation.changes_since(seen, "") == repeated
    conversation.stop()


async def test_an_outdated_read_shows_a_watch_nothing_before_its_message() -> None:
    class Api:
        async def messages(self, _session_id: str, _after: str) -> Transcript:
            return Transcript(Session("one", SessionState.PROCESSING, "processing"), list(known))

    asked = Message("a", Role.USER, MessageState.PROCESSING, "a fox")
    answer = Message("b", Role.ASSISTANT, MessageState.COMPLETED, "Done: a fox")
    later = Message("c", Role.USER, MessageState.PROCESSING, "an owl")
    known = [asked, answer, later]
    api: Any = Api()
    conversation = Conversation("one", lambda: api, SystemClock(), Pace(), lambda _, read: read.session)
    await conversation.open("")
    await conversation.open(later.id)
    outdated = [asked, replace(answer, state=MessageState.PROCESSING, text="Done:")]
    for read in (outdated, [asked, answer, later]):
        seen, known[:] = conversation.changes, read
        await conversation.refresh()
        assert conversation.changes > seen
        assert conversation.changes_since(seen, later.id) == []
    conversation.stop()


async def test_a_poll_that_fails_wakes_the_watchers() -> None:
    """Else they would wait for a heartbeat."""
    transcripts = [Transcript(Session("one", SessionState.PROCESSING, "processing"), [])]

    class Api:
        async def messages(self, session_id: str, _after: str) -> Transcript:
            if transcripts:
                return transcripts.pop()
            raise session_not_found(session_id)

    api: Any = Api()
    conversation = Conversation("one", lambda: api, SystemClock(), Pace(), lambda _, read: read.session)
    await conversation.open("")
    watcher = asyncio.create_task(conversation.wait(3600.0))
    await asyncio.sleep(0)
    conversation.poll_soon()
    async with asyncio.timeout(WAIT_TIMEOUT):
        await watcher
    assert conversation.failure is not None
    conversation.stop()
