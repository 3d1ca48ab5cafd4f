"""The port `AgentStore`: sessions, records of idempotency keys, and media slots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.agents.model import SESSION, KeyRecord, message_fingerprint

MESSAGE = KeyRecord("red", "k", message_fingerprint("s", "a fox"), "s", after="m1", used_at=1.0)
CREATED = KeyRecord("red", "made", SESSION, "s", used_at=1.0)


@pytest.fixture
async def agents(store: Any) -> Any:
    return store.agents


async def test_a_session_and_its_key_are_stored_together(agents: Any) -> None:
    assert await agents.add_agent_session(CREATED)
    assert not await agents.add_agent_session(replace(CREATED, session_id="t", used_at=2.0))
    assert await agents.agent_key("red", "made") == CREATED
    assert await agents.agent_tenant("s") == "red"
    assert await agents.agent_tenant("t") is None
    assert await agents.add_agent_session(replace(CREATED, tenant="blue", session_id="u", used_at=3.0))


async def test_a_session_may_have_two_keys_and_stays_with_its_tenant(store: Any, agents: Any) -> None:
    for tenant in ("red", "blue"):
        assert await agents.add_agent_session(replace(CREATED, tenant=tenant, key="again", used_at=2.0))
        assert await agents.add_agent_session(replace(CREATED, tenant=tenant))
    assert await agents.agent_tenant("s") == "red"
    assert store.health.trouble == ""


async def test_a_message_is_marked_once_and_stays_bound(agents: Any) -> None:
    assert await agents.mark_agent_message(MESSAGE)
    assert not await agents.mark_agent_message(replace(MESSAGE, after="m9", used_at=2.0))
    assert await agents.agent_key("red", "k") == MESSAGE
    assert await agents.bound_agent_messages("s") == frozenset()
    assert await agents.newest_agent_message("s") == ""

    assert await agents.bind_agent_message(MESSAGE, "m2")
    await agents.release_agent_key(MESSAGE)  # too late: a bound record stays

    assert await agents.agent_key("red", "k") == replace(MESSAGE, message_id="m2")
    assert await agents.bound_agent_messages("s") == {"m2"}


async def test_a_message_belongs_to_one_key(agents: Any) -> None:
    other = replace(MESSAGE, tenant="blue")
    for one in (MESSAGE, other):
        await agents.mark_agent_message(one)
    assert await agents.bind_agent_message(MESSAGE, "m2")
    assert not await agents.bind_agent_message(other, "m2")
    assert (await agents.agent_key("blue", "k")).message_id is None
    # The ids of messages are unique within a session only.
    elsewhere = replace(MESSAGE, key="l", session_id="t")
    await agents.mark_agent_message(elsewhere)
    assert await agents.bind_agent_message(elsewhere, "m2")


async def test_the_newest_message_is_the_last_one_sent(agents: Any) -> None:
    for number, key in enumerate(("a", "b", "c")):
        kept = replace(MESSAGE, key=key, used_at=float(number))
        await agents.mark_agent_message(kept)
        if key != "c":
            assert await agents.bind_agent_message(kept, f"m{number}")
    elsewhere = replace(MESSAGE, session_id="t", used_at=9.0)
    await agents.mark_agent_message(elsewhere)
    await agents.bind_agent_message(elsewhere, "m9")
    assert await agents.newest_agent_message("s") == "m1"
    assert await agents.bound_agent_messages("s") == {"m0", "m1"}


async def test_a_refused_message_leaves_no_trace(agents: Any) -> None:
    others = [replace(MESSAGE, tenant="blue"), replace(MESSAGE, key="l")]
    for one in (MESSAGE, *others):
        await agents.mark_agent_message(one)
    await agents.release_agent_key(MESSAGE)
    assert await agents.agent_key("red", "k") is None
    assert await agents.mark_agent_message(MESSAGE)
    await agents.bind_agent_message(MESSAGE, "m2")
    assert [await agents.agent_key(one.tenant, one.key) for one in others] == others


async def test_an_earlier_record_of_a_key_changes_nothing_in_a_later_one(agents: Any) -> None:
    later = replace(MESSAGE, used_at=2.0)
    await agents.mark_agent_message(later)
    await agents.release_agent_key(MESSAGE)
    assert not await agents.bind_agent_message(MESSAGE, "m2")
    assert await agents.agent_key("red", "k") == later
    assert await agents.bind_agent_message(later, "m3")
    assert not await agents.bind_agent_message(later, "m4")
    assert await agents.bind_agent_message(later, "m3")  # a repeat, after an unknown commit


async def test_a_media_slot_belongs_to_its_tenant(agents: Any) -> None:
    await agents.add_agent_media("red", "m1.png", 1.0)
    await agents.add_agent_media("red", "m1.png", 2.0)
    assert await agents.has_agent_media("red", "m1.png")
    assert not await agents.has_agent_media("blue", "m1.png")


async def test_prune_removes_old_keys_and_media_slots_but_no_sessions(agents: Any) -> None:
    await agents.add_agent_session(CREATED)
    later = replace(MESSAGE, used_at=5.0)
    await agents.mark_agent_message(later)
    await agents.add_agent_media("red", "old.png", 1.0)
    await agents.add_agent_media("red", "new.png", 5.0)
    assert not await agents.prunable(1.0)
    assert await agents.prunable(2.0)

    await agents.prune(2.0)

    assert not await agents.prunable(2.0)
    assert await agents.agent_key("red", "made") is None
    assert await agents.agent_tenant("s") == "red"
    assert await agents.agent_key("red", "k") == later
    assert [await agents.has_agent_media("red", name) for name in ("old.png", "new.png")] == [False, True]


async def test_prune_keeps_the_keys_beside_an_unresolved_message(agents: Any) -> None:
    """Its lookup must not find the message of a key that was pruned."""
    sent = replace(MESSAGE, key="sent")
    await agents.mark_agent_message(MESSAGE)
    await agents.mark_agent_message(sent)
    await agents.bind_agent_message(sent, "m2")
    assert not await agents.prunable(9.0)
    await agents.prune(9.0)
    assert await agents.bound_agent_messages("s") == {"m2"}
    await agents.bind_agent_message(MESSAGE, "m3")
    assert await agents.prunable(9.0)
    await agents.prune(9.0)
    assert await agents.bound_agent_messages("s") == frozenset()


async def test_sessions_and_keys_survive_a_restart(engine: Any) -> None:
    agents = (await engine.open()).agents
    await agents.add_agent_session(CREATED)
    await agents.mark_agent_message(MESSAGE)
    await engine.close()
    agents = (await engine.open()).agents
    assert await agents.agent_tenant("s") == "red"
    assert await agents.agent_key("red", "k") == MESSAGE
