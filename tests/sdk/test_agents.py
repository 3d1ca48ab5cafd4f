"""Conversations with agents by both official SDKs against the sandbox, and the cost of a lost response."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from higgsfield_client import AsyncClient
from higgsfield_client.agents import (
    AgentAccessDeniedError,
    AgentBackendError,
    InsufficientCreditsError,
    SessionBusyError,
)


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch, python_sdk: Any) -> Any:
    """The synchronous namespace, with short gaps instead of 2 s between polls."""
    monkeypatch.setattr("higgsfield_client.agents.resources._POLL_INITIAL", 0.01)
    return lambda sandbox: python_sdk(sandbox).agents


async def test_python_holds_a_conversation_with_a_question(start: Any, agents: Any) -> None:
    sandbox = await start()
    sessions = agents(sandbox).sessions
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "red"

    session = await asyncio.to_thread(sessions.create)
    turn = await asyncio.to_thread(sessions.run, session.session_id, "a fox [ask]", answer)
    state = await asyncio.to_thread(sessions.messages, session.session_id)

    assert (asked, turn.status, turn.text) == (["Which colour?"], "completed", "Done: red")
    assert state.status == "idle"
    assert [(row.role, row.text, row.status) for row in state.messages] == [
        ("user", "a fox [ask]", "completed"),
        ("assistant", "Which colour?", "completed"),
        ("user", "red", "completed"),
        ("assistant", "Done: red", "completed"),
    ]
    assert [row.llm_cost_usd for row in state.messages] == ["0.0400", None, "0.0400", None]
    assert len(sandbox.ledger.agent_charges) == 2
    assert sandbox.ledger.foreign_headers == {}


async def test_python_returns_an_open_question_and_a_failed_turn(start: Any, agents: Any) -> None:
    sessions = agents(await start()).sessions
    session = await asyncio.to_thread(sessions.create)
    parked = await asyncio.to_thread(sessions.run, session.session_id, "[ask]")
    assert (parked.status, parked.text) == ("awaiting_input", "Which colour?")
    assert (await asyncio.to_thread(sessions.run, session.session_id, "[fail]")).status == "failed"


async def test_python_is_refused_while_busy_and_can_interrupt(start: Any, clock: Any, agents: Any) -> None:
    sandbox = await start(clock)
    sessions = agents(sandbox).sessions
    session = await asyncio.to_thread(sessions.create)
    await asyncio.to_thread(sessions.send, session.session_id, "a fox")
    with pytest.raises(SessionBusyError):
        await asyncio.to_thread(sessions.send, session.session_id, "an owl")
    await asyncio.to_thread(sessions.interrupt, session.session_id)
    await asyncio.to_thread(sessions.send, session.session_id, "an owl")
    assert len(sandbox.ledger.agent_charges) == 2


@pytest.mark.parametrize(
    ("options", "error"),
    [({"credits": 0}, InsufficientCreditsError), ({"agents_enabled": False}, AgentAccessDeniedError)],
)
async def test_python_raises_distinct_errors_for_refusals(
    start: Any, agents: Any, options: Any, error: type[Exception]
) -> None:
    sandbox = await start(**options)
    sessions = agents(sandbox).sessions

    def talk() -> None:
        sessions.send(sessions.create().session_id, "a fox")

    with pytest.raises(error):
        await asyncio.to_thread(talk)
    assert sandbox.ledger.agent_charges == []


async def test_python_uploads_media_without_credentials(start: Any, agents: Any) -> None:
    sandbox = await start()
    url = await asyncio.to_thread(agents(sandbox).media.upload, b"a picture", "jpeg")
    async with httpx.AsyncClient() as session:
        assert (await session.get(url)).content == b"a picture"
    assert sandbox.ledger.credentials_sent_to_storage == 0


async def test_the_asynchronous_python_client_holds_a_conversation(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("higgsfield_client.agents.resources._POLL_INITIAL", 0.01)
    sandbox = await start()
    client = AsyncClient(base_url=sandbox.url, api_key="sandbox:sandbox")
    session = await client.agents.sessions.create()
    turn = await client.agents.sessions.run(session.session_id, "a fox")
    await client._client.aclose()
    assert turn.text == "Done: a fox"


async def test_resending_a_message_with_a_lost_response_is_charged_twice(start: Any, plan: Any, agents: Any) -> None:
    """The gateway prevents this."""
    sandbox = await start()
    sessions = agents(sandbox).sessions
    session = await asyncio.to_thread(sessions.create)
    plan(sandbox, on="agent_send", kind="502", processed=True)
    with pytest.raises(AgentBackendError):
        await asyncio.to_thread(sessions.send, session.session_id, "a fox [slow=0]")
    await asyncio.to_thread(sessions.run, session.session_id, "a fox [slow=0]")
    assert len(sandbox.ledger.agent_charges) == 2


@pytest.mark.toolchain("node")
async def test_javascript_holds_a_conversation(start: Any, js_agents: Any) -> None:
    sandbox = await start()
    _, asked, parked, answered, failed, state, uploaded = await js_agents(
        sandbox.url,
        {"do": "run", "text": "a fox [ask]", "answer": "red"},
        {"do": "run", "text": "[ask]"},
        {"do": "run", "text": "blue"},
        {"do": "run", "text": "[fail]"},
        {"do": "messages"},
        {"do": "upload", "content": "a picture", "extension": "jpeg"},
    )
    assert (asked["result"]["status"], asked["result"]["text"]) == ("completed", "Done: red")
    assert (parked["result"]["status"], parked["result"]["text"]) == ("awaiting_input", "Which colour?")
    assert (answered["result"]["status"], failed["result"]["status"]) == ("completed", "failed")
    assert (state["result"]["status"], len(state["result"]["messages"])) == ("idle", 10)
    assert uploaded["result"].startswith(f"{sandbox.url}/storage/agent/")
    assert (len(sandbox.ledger.agent_charges), sandbox.ledger.credentials_sent_to_storage) == (5, 0)


@pytest.mark.toolchain("node")
async def test_javascript_does_not_retry_refusals(start: Any, js_agents: Any, clock: Any) -> None:
    sandbox = await start(clock)
    answers = await js_agents(
        sandbox.url,
        {"do": "send", "text": "a fox"},
        {"do": "send", "text": "an owl"},
        {"do": "interrupt"},
        {"do": "send", "text": "an owl"},
    )
    assert [answer.get("error", {}).get("type") for answer in answers] == [None, None, "SessionBusyError", None, None]
    assert [one.outcome for one in sandbox.ledger.agent_messages] == ["202", "409", "202"]

    denied = await js_agents((await start(agents_enabled=False)).url)
    poor = await js_agents((await start(credits=0)).url, {"do": "send", "text": "a fox"})
    assert denied[0]["error"]["type"] == "AgentAccessDeniedError"
    assert poor[1]["error"]["type"] == "NotEnoughCreditsError"
