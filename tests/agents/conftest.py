"""A gateway and a sandbox with agents, and helpers for the calls of a conversation over any transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from tests.support.running import WAIT_TIMEOUT, Running, run
from tests.support.transports import RpcFailure, Transport

TURN = 6.0
"""Duration of a turn, in seconds of the sandbox's clock."""


class Talk:
    """The calls of a conversation by one caller."""

    def __init__(self, running: Running, transport: Transport | None = None) -> None:
        self.running = running
        self._given = transport

    @property
    def transport(self) -> Transport:
        return self._given or self.running.grpc

    async def create(self, key: str = "session-1") -> str:
        answer = await self.transport.call("CreateSession", pb.CreateSessionRequest(idempotency_key=key))
        assert answer.session.state == pb.SESSION_STATE_IDLE
        return str(answer.session.id)

    async def send(self, session_id: str, text: str, key: str = "") -> Any:
        request = pb.SendMessageRequest(
            session_id=session_id, text=text, idempotency_key=key or f"key-of-{text}".replace(" ", "-")
        )
        return await self.transport.call("SendMessage", request)

    async def refused(self, session_id: str, text: str, key: str = "") -> RpcFailure:
        with pytest.raises(RpcFailure) as raised:
            await self.send(session_id, text, key)
        return raised.value

    async def state(self, session_id: str) -> str:
        answer = await self.transport.call("GetSession", pb.GetSessionRequest(id=session_id))
        return state_name(answer.session)

    async def messages(self, session_id: str, **fields: Any) -> Any:
        return await self.transport.call("ListMessages", pb.ListMessagesRequest(session_id=session_id, **fields))

    def watch(self, session_id: str, after: str = "", *, until_idle: bool = False) -> AsyncIterator[Any]:
        request = pb.WatchSessionRequest(id=session_id, after_message_id=after, until_idle=until_idle)
        return self.transport.stream("WatchSession", request)

    async def turn(self, session_id: str, after: str) -> list[Any]:
        """Advance the clock by a turn; return the messages of a watch up to the end of the turn."""
        self.running.clock.advance(TURN)
        async with asyncio.timeout(WAIT_TIMEOUT), aclosing(self.watch(session_id, after, until_idle=True)) as stream:
            return [answer async for answer in stream]

    @property
    def said(self) -> list[tuple[str, str]]:
        """The messages sent to Higgsfield: their texts and outcomes."""
        return [(one.text, one.outcome) for one in self.running.ledger.agent_messages]

    @property
    def charges(self) -> int:
        return len(self.running.ledger.agent_charges)


def state_name(session: Any) -> str:
    return pb.SessionState.Name(session.state).removeprefix("SESSION_STATE_")


def rows(messages: Any) -> list[tuple[str, str, str]]:
    """Return the role, state and text of each message."""
    return [
        (
            pb.Role.Name(one.role).removeprefix("ROLE_"),
            pb.MessageState.Name(one.state).removeprefix("MESSAGE_STATE_"),
            one.text,
        )
        for one in messages
    ]


@pytest.fixture(autouse=True)
def _short_busy_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agents.messages.BUSY_PAUSES", (0.0, 0.01, 0.01))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path, agent_seconds=TURN) as started:
        yield started


@pytest.fixture
def talk(running: Running) -> Talk:
    return Talk(running)
