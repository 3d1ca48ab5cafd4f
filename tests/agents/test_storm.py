"""Many conversations with random upstream failures: every message is charged once and reported right."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.agents.conftest import TURN, Talk
from tests.support.running import WAIT_TIMEOUT, run
from tests.support.transports import RpcFailure

FAULTS = {"500": 0.05, "502": 0.05, "503": 0.05, "429": 0.05, "reset": 0.05, "lost": 0.1, "html": 0.05, "half": 0.05}
SESSIONS, MESSAGES = 10, 8
AGAIN = {"UPSTREAM_UNAVAILABLE", "UPSTREAM_SATURATED", "SESSION_BUSY", "SUBMISSION_UNRESOLVED"}
LOOKS = 16
"""The number of lookups of an unresolved message: it is very unlikely that all of them fail."""


async def sent_with_retries(talk: Talk, session_id: str, text: str) -> str | None:
    """Send the text with one key until it is taken; return its id, or None if it stays unresolved."""
    doubts = 0
    while doubts < LOOKS:
        try:
            return str((await talk.send(session_id, text)).message.id)
        except RpcFailure as refused:
            assert refused.reason in AGAIN, refused
            doubts += refused.reason == "SUBMISSION_UNRESOLVED"
            talk.running.clock.advance(TURN)
    return None


async def begun(talk: Talk, key: str) -> str:
    while True:
        try:
            return await talk.create(key)
        except RpcFailure as refused:
            assert refused.reason in AGAIN, refused


@pytest.mark.parametrize("seed", range(2))
async def test_no_message_is_charged_twice_and_no_taken_message_is_lost(tmp_path: Path, seed: int) -> None:
    async with run(tmp_path, agent_seconds=TURN, fail=FAULTS, seed=seed) as running, asyncio.timeout(WAIT_TIMEOUT):
        talk = Talk(running)

        async def converse(number: int) -> dict[str, str | None]:
            session_id = await begun(talk, f"session-{number}")
            return {text: await sent_with_retries(talk, session_id, text) for text in texts(number)}

        def texts(number: int) -> list[str]:
            return [f"{number} says {count}" for count in range(MESSAGES)]

        said: dict[str, str | None] = {}
        for sent in await asyncio.gather(*(converse(number) for number in range(SESSIONS))):
            said |= sent

        taken = [(one.text, one.message_id) for one in running.ledger.agent_messages if one.message_id is not None]
        assert max(Counter(text for text, _ in taken).values()) == 1
        assert len(running.ledger.agent_charges) == len(taken)
        assert {text: message_id for text, message_id in said.items() if message_id is not None} == dict(taken)
        outcomes = Counter(one.outcome for one in running.ledger.agent_messages)
        assert outcomes["202"] < len(taken) < len(said), outcomes  # responses were lost, and messages too
