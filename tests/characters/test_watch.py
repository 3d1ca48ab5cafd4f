"""WatchCharacter: the current state, then changes up to the end of training; one poller serves all watchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo

from gateway.characters.registry import MAX_VISIBILITY_DELAY, Registry
from gateway.characters.watch import CharacterWatches
from hfgateway.v1 import character_service_pb2 as pb
from tests.characters.conftest import StartStudio, Studio
from tests.support.running import WAIT_TIMEOUT, collected, eventually
from tests.support.transports import RpcFailure, Transport

NAMES = pb.CharacterState


def watched(client: Transport, character_id: str) -> AsyncIterator[Any]:
    return client.stream("WatchCharacter", pb.WatchCharacterRequest(id=character_id))


def state(message: Any) -> str:
    return NAMES.Name(message.character.state).removeprefix("CHARACTER_STATE_")


async def test_a_watch_sends_the_state_then_every_change_and_ends(studio: Studio, client: Transport) -> None:
    character = (await studio.create(by=client)).character
    seen = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for message in watched(client, character.id):
            assert message.character.id == character.id
            seen.append(state(message))
            studio.clock.advance({"NOT_READY": 0.5, "QUEUED": 0.5, "IN_PROGRESS": 10}.get(seen[-1], 0))
    assert seen == ["NOT_READY", "QUEUED", "IN_PROGRESS", "COMPLETED"]


async def test_a_temporary_404_does_not_end_a_watch(studio: Studio) -> None:
    character = (await studio.create()).character
    watch = watched(studio.grpc, character.id)
    assert state(await anext(watch)) == "NOT_READY"
    studio.plan(on="character", kind="404", times=2)
    await eventually(lambda: len(studio.sandbox.state.plan) == 0)
    studio.clock.advance(60)
    assert [state(message) async for message in watch] == ["COMPLETED"]


async def test_a_watch_of_an_ended_character_sends_one_message(studio: Studio) -> None:
    character_id = await studio.create_directly("[fail] Anna")
    studio.clock.advance(60)
    (message,) = await collected(watched(studio.grpc, character_id))
    assert (state(message), message.character.done) == ("FAILED", True)


async def test_many_watchers_of_one_character_cause_one_poll(start: StartStudio) -> None:
    studio = await start(POLL_MIN="3600", POLL_MAX="3600")
    character_id = (await studio.create()).character.id
    watches = [watched(studio.grpc, character_id) for _ in range(50)]
    firsts = await asyncio.gather(*(anext(watch) for watch in watches))
    assert {state(message) for message in firsts} == {"NOT_READY"}
    assert studio.ledger.character_calls == {character_id: 1}


async def test_one_poller_serves_all_watchers_of_a_character(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    watches = [watched(studio.grpc, character_id) for _ in range(50)]
    await asyncio.gather(*(anext(watch) for watch in watches))
    (watched_character,) = studio.gateway._core.characters._watches._watched.values()
    assert watched_character.watchers == 50
    studio.clock.advance(60)
    ends = await asyncio.gather(*(collected(watch) for watch in watches))
    assert [state(messages[-1]) for messages in ends] == ["COMPLETED"] * 50


async def test_without_watchers_a_character_is_not_polled(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    watches = [watched(studio.grpc, character_id) for _ in range(3)]
    await asyncio.gather(*(anext(watch) for watch in watches))
    (watched_character,) = studio.gateway._core.characters._watches._watched.values()
    for watch in watches:
        await watch.aclose()  # type: ignore[attr-defined]
    assert watched_character.task is not None
    await eventually(watched_character.task.cancelled)
    assert studio.gateway._core.characters._watches._watched == {}


async def test_a_watch_continues_after_another_watcher_has_left(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    left, watch = watched(studio.grpc, character_id), watched(studio.grpc, character_id)
    await asyncio.gather(anext(left), anext(watch))
    (watched_character,) = studio.gateway._core.characters._watches._watched.values()
    await left.aclose()  # type: ignore[attr-defined]
    await eventually(lambda: watched_character.watchers == 1)
    studio.clock.advance(60)
    assert state((await collected(watch))[-1]) == "COMPLETED"


async def test_a_watch_survives_upstream_errors(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    watch = watched(studio.grpc, character_id)
    await anext(watch)
    for kind in ("502", "429", "html"):
        studio.plan(on="character", kind=kind, headers={"Retry-After": "0"})
    studio.clock.advance(60)
    assert state((await collected(watch))[-1]) == "COMPLETED"


async def test_the_poller_slows_down_without_changes_and_obeys_retry_after(
    start: StartStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: asyncio.Queue[float] = asyncio.Queue()
    ends: asyncio.Queue[None] = asyncio.Queue()

    async def rest(_: CharacterWatches, seconds: float) -> None:
        rests.put_nowait(seconds)
        await ends.get()

    async def next_rest() -> float:
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await rests.get()

    monkeypatch.setattr(CharacterWatches, "_sleep", rest)
    studio = await start(POLL_MIN="1", POLL_MAX="60")
    watch = watched(studio.grpc, (await studio.create()).character.id)
    await anext(watch)
    pauses = [await next_rest()]
    failed = {"kind": "503", "headers": {"Retry-After": "0"}}
    limited = {"kind": "429", "headers": {"Retry-After": "30"}}
    changed = {"patch": {"status": "queued"}}
    for fault in ({}, {}, failed, failed, limited, {}, failed, changed, {}, *[{}] * 6, *[failed] * 7):
        studio.plan(on="character", processed=True, **fault)
        ends.put_nowait(None)
        pauses.append(await next_rest())
    assert pauses[:10] == [1, 1.5, 2.25, 2, 4, 30, 3.375, 2, 1, 1]
    assert pauses[10:16] == [1.5, 2.25, 3.375, 5.0625, 7.59375, 10]
    assert pauses[16:] == [2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("here", [True, False])
async def test_a_watch_ends_when_its_character_is_deleted(start: StartStudio, here: bool) -> None:
    studio = await start(**{"POLL_MIN": "3600", "POLL_MAX": "3600"} if here else {})
    character_id = (await studio.create()).character.id
    watches = [watched(studio.grpc, character_id) for _ in range(2)]
    await asyncio.gather(*(anext(watch) for watch in watches))
    if here:
        await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character_id))
    else:
        studio.ahead += MAX_VISIBILITY_DELAY  # until then, a 404 may mean that the character is not shown yet
        await studio.call_higgsfield("DELETE", f"/{character_id}")
    for watch in [*watches, watched(studio.grpc, character_id)]:
        with pytest.raises(RpcFailure) as ended:
            await collected(watch)
        assert (ended.value.code, ended.value.reason) == ("NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize("name", ["0199aaaa-0000-4000-8000-000000000000", "list", "no/such"])
async def test_a_watch_of_an_unknown_character_is_not_found(studio: Studio, client: Transport, name: str) -> None:
    with pytest.raises(RpcFailure) as refused:
        await collected(watched(client, name))
    assert (refused.value.code, refused.value.reason) == ("NOT_FOUND", "NOT_FOUND")


async def test_a_watch_without_a_known_state_is_unavailable(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    studio.plan(on="character", kind="503")
    with pytest.raises(RpcFailure) as refused:
        await collected(watched(studio.grpc, character_id))
    assert (refused.value.code, refused.value.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert state(await anext(watched(studio.grpc, character_id))) == "NOT_READY"


async def test_a_bug_in_the_poller_ends_a_watch(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    character_id = (await studio.create()).character.id

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Registry, "record_seen", broken)
    with pytest.raises(RpcFailure) as ended:
        await asyncio.wait_for(collected(watched(studio.grpc, character_id)), WAIT_TIMEOUT)
    assert (ended.value.code, ended.value.reason) == ("INTERNAL", "INTERNAL")
    monkeypatch.undo()
    assert state(await anext(watched(studio.grpc, character_id))) == "NOT_READY"


async def test_a_drain_ends_a_watch_with_a_retry_delay(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    watch = watched(studio.grpc, character_id)
    await anext(watch)
    await studio.begin_drain()
    with pytest.raises(RpcFailure) as ended:
        await collected(watch)
    assert (ended.value.code, ended.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert ended.value.has(RetryInfo)


async def test_an_idle_watch_of_a_character_sends_heartbeats(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.characters.watch.HEARTBEAT", 0.02)
    character_id = (await studio.create()).character.id
    watch = watched(studio.grpc, character_id)
    while not (await anext(watch)).HasField("character"):
        pass  # heartbeats until Higgsfield has responded
    for _ in range(3):
        assert not (await anext(watch)).HasField("character")
    (known,) = studio.gateway._core.characters._watches._watched.values()
    assert len(known._waiting or ()) <= 1  # the signals of waits that have ended are forgotten


async def test_revoking_a_key_ends_its_watches(start: StartStudio) -> None:
    studio = await start(AUTH="keys", POLL_MIN="3600", POLL_MAX="3600")
    caller = studio.caller("grpc", await studio.key("red"))
    watch = watched(caller, (await studio.create(by=caller)).character.id)
    await anext(watch)
    (key,) = studio.gateway.access.listed()
    await studio.gateway.access.revoke_key(key.id)
    with pytest.raises(RpcFailure) as ended:
        await collected(watch)
    assert ended.value.code == "UNAUTHENTICATED"
