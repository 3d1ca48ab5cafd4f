"""Conversations by the Python client, against a real gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hfgateway_client import AsyncClient
from hfgateway_client.agents import Message, put
from hfgateway_client.errors import Unavailable
from tests.support.running import Running


async def test_the_python_client_holds_a_conversation(running: Running, tmp_path: Path) -> None:
    picture = tmp_path / "fox.png"
    picture.write_bytes(b"a picture")

    def later(_: Any) -> None:
        running.clock.advance(2.0)

    async with AsyncClient(running.gateway.grpc_address) as client:
        session = await client.agents.create_session()
        url = await client.agents.upload_media(picture)
        running.plan(on="agent_send", kind="lost", processed=True)
        asked = await client.agents.ask(session.id, f"this, please [ask] {url}", on_change=later)
        answered = await client.agents.ask(session.id, "red", on_change=later)
        texts = [message.text async for message in client.agents.messages(session.id)]
        stopped = await client.agents.interrupt(session.id)

    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert await answer.read() == b"a picture"
    assert (asked.is_question, answered.is_question) == (True, False)
    assert texts == [f"this, please [ask] {url}", asked.text, "red", answered.text]
    assert (asked.text, answered.text) == ("Which colour?", "Done: red")
    assert stopped.id == session.id
    assert len(running.ledger.agent_charges) == 2


@pytest.mark.parametrize("name", ["red fox.png", "größe.png"])
def test_an_invalid_upload_url_is_an_error_without_its_signature(name: str) -> None:
    with pytest.raises(Unavailable) as failed:
        put(b"a picture", f"http://127.0.0.1/{name}?X-Amz-Signature=canary", "image/png", 5.0)
    assert "canary" not in str(failed.value)


async def test_a_repeated_ask_returns_the_turn_of_its_own_message(running: Running) -> None:
    def later(_: Any) -> None:
        running.clock.advance(2.0)

    async with AsyncClient(running.gateway.grpc_address) as client:
        session = await client.agents.create_session()
        for text in ("a fox", "a wolf [ask]"):
            await client.agents.ask(session.id, text, on_change=later, idempotency_key=text[2:4])
        seen: list[Any] = []
        again = await client.agents.ask(session.id, "a fox", on_change=seen.append, idempotency_key="fo")
        last = await client.agents.ask(session.id, "a wolf [ask]", idempotency_key="wo")

    assert (again.text, again.is_question, again.sent.replayed) == ("Done: a fox", False, True)
    assert [change.text for change in seen if isinstance(change, Message)] == ["Done: a fox"]
    assert (last.text, last.is_question, last.sent.replayed) == ("Which colour?", True, True)
    assert len(running.ledger.agent_charges) == 2
