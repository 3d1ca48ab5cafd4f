"""The Agent API of the sandbox: turns, questions, refusals, media and costs."""

from __future__ import annotations

import uuid
from typing import Any

import aiohttp
import pytest

from tests.sandbox.conftest import Api, Response, StartApi

SESSIONS = "/v1/agent/sessions"


@pytest.fixture
async def api(start: StartApi) -> Api:
    """A sandbox whose turns take 6 s; the answer begins after 2 s."""
    return await start(agent_seconds=6)


async def session(api: Api) -> str:
    answer = await api.call("POST", SESSIONS, json={"config": {}})
    assert (answer.status, answer.json["status"]) == (201, "idle")
    return str(answer.json["session_id"])


async def say(api: Api, session_id: str, text: Any) -> Response:
    return await api.call("POST", f"{SESSIONS}/{session_id}/messages", json={"content": text})


async def said(api: Api, session_id: str, text: str) -> str:
    answer = await say(api, session_id, text)
    assert (answer.status, answer.json["status"]) == (202, "processing")
    return str(answer.json["message_id"])


async def read(api: Api, session_id: str, after: str = "") -> Any:
    query = {"after": after} if after else {}
    answer = await api.call("GET", f"{SESSIONS}/{session_id}/messages", params=query)
    assert answer.status == 200, answer.text
    return answer.json


def row_statuses(state: Any) -> list[tuple[str, str]]:
    return [(row["role"], row["status"]) for row in state["messages"]]


def text_of(row: Any) -> str:
    return "\n".join(part["text"] for part in row["message"]["parts"] if part["type"] == "text")


async def test_a_turn_grows_and_completes_with_its_cost(api: Api) -> None:
    one = await session(api)
    message = await said(api, one, "a fox")
    begun = await read(api, one)
    assert (begun["status"], row_statuses(begun)) == ("processing", [("user", "processing")])
    assert begun["messages"][0]["message"] == {"type": "text", "text": "a fox"}
    assert begun["messages"][0]["llm_cost_usd"] is None

    api.clock.advance(4)
    (answer,) = (await read(api, one, after=message))["messages"]
    api.clock.advance(2)
    done = await read(api, one)

    assert (answer["role"], answer["status"]) == ("assistant", "processing")
    assert (done["status"], row_statuses(done)) == ("idle", [("user", "completed"), ("assistant", "completed")])
    whole = text_of(done["messages"][1])
    assert (text_of(answer), whole) == ("Done: a", "Done: a fox")
    assert [row["message"]["parts"][1]["state"] for row in (answer, done["messages"][1])] == ["streaming", "done"]
    assert done["messages"][0]["llm_cost_usd"] == "0.0400"
    assert done["messages"][1]["message_id"] == answer["message_id"]
    assert {part["type"] for part in answer["message"]["parts"]} == {"step-start", "reasoning", "text"}


async def test_a_question_waits_until_it_is_answered(api: Api) -> None:
    one = await session(api)
    await said(api, one, "a fox [ask]")
    api.clock.advance(6)
    asked = await read(api, one)
    assert (asked["status"], row_statuses(asked)) == (
        "awaiting_input",
        [("user", "processing"), ("assistant", "processing")],
    )
    assert text_of(asked["messages"][1]) == "Which colour?"

    answer = await said(api, one, "red")
    assert (await read(api, one, after=answer))["status"] == "processing"
    api.clock.advance(6)
    done = await read(api, one)
    assert (done["status"], {status for _, status in row_statuses(done)}) == ("idle", {"completed"})
    assert len(done["messages"]) == 4


@pytest.mark.parametrize(
    ("word", "status", "rows"), [("[fail]", "idle", "failed"), ("[terminate]", "terminated", "completed")]
)
async def test_words_in_the_prompt_fail_or_terminate_a_turn(api: Api, word: str, status: str, rows: str) -> None:
    one = await session(api)
    await said(api, one, word)
    api.clock.advance(6)
    state = await read(api, one)
    assert (state["status"], row_statuses(state)) == (status, [("user", rows), ("assistant", rows)])
    assert (await say(api, one, "an owl")).status == (400 if status == "terminated" else 202)
    later = await read(api, one, after=state["messages"][0]["message_id"])
    assert later["messages"][0] == state["messages"][1]


async def test_a_busy_session_refuses_messages_without_charge(api: Api) -> None:
    one = await session(api)
    await said(api, one, "a fox")
    refused = await say(api, one, "an owl")
    assert (refused.status, refused.detail) == (409, "session_busy")
    ledger = await api.ledger()
    assert (ledger["agent_messages_seen"], ledger["agent_charge_count"]) == (2, 1)
    assert [one["outcome"] for one in ledger["agent_messages"]] == ["202", "409"]
    assert ledger["agent_charged_credits"] == "0.5"


@pytest.mark.parametrize(
    ("text", "seconds", "roles"),
    [
        ("a fox", 1, ["user"]),
        ("a fox", 3, ["user", "assistant"]),
        ("a fox [ask]", 6, ["user", "assistant"]),
        ("a fox [terminate]", 3, ["user", "assistant"]),
    ],
)
async def test_an_interrupt_ends_the_turn_only(api: Api, text: str, seconds: float, roles: list[str]) -> None:
    one = await session(api)
    await said(api, one, text)
    api.clock.advance(seconds)
    assert (await api.call("POST", f"{SESSIONS}/{one}/interrupt")).status == 200
    state = await read(api, one)
    api.clock.advance(60)
    assert (await api.call("POST", f"{SESSIONS}/{one}/interrupt")).status == 200
    assert await read(api, one) == state
    assert (state["status"], row_statuses(state)) == ("idle", [(role, "failed") for role in roles])
    await said(api, one, "an owl")


async def test_invalid_agent_calls_are_refused_without_charge(api: Api, start: StartApi) -> None:
    one = await session(api)
    for content in (None, "", "x" * 20_001, 7):
        assert (await say(api, one, content)).status == 422
    assert (await api.call("POST", SESSIONS, json={"config": 7})).status == 422
    assert (await say(api, str(uuid.uuid4()), "x")).status == 404
    assert (await api.call("GET", f"{SESSIONS}/{one}/messages", params={"after": "nobody"})).status == 404
    await api.account(credits=0)
    assert (await say(api, one, "x")).status == 402
    await api.account(agents_enabled=False)
    assert (await say(api, one, "x")).status == 403
    assert (await api.call("POST", SESSIONS, json={})).status == 403
    assert (await api.call("POST", SESSIONS, json={}, headers={"Authorization": "Key a:b"})).status == 401
    assert (await api.ledger())["agent_charge_count"] == 0
    poor = await start(credits="0.4")
    assert (await say(poor, await session(poor), "x")).status == 402


async def test_a_message_is_paid_from_the_credits(start: StartApi) -> None:
    api = await start(agent_seconds=6, credits="0.5")
    one = await session(api)
    await said(api, one, "a fox")
    assert (await api.ledger())["balance"] == "0.0"
    api.clock.advance(6)
    assert (await say(api, one, "an owl")).status == 402


async def test_accounts_do_not_see_each_others_sessions(start: StartApi) -> None:
    api = await start(credentials="a:a b:b")
    api.auth = {"Authorization": "Key a:a"}
    one = await session(api)
    api.auth = {"Authorization": "Key b:b"}
    assert (await say(api, one, "x")).status == 404


async def test_faults_apply_to_messages_by_plan_and_by_word(api: Api) -> None:
    one = await session(api)
    await api.plan(on="agent_send", kind="502", processed=True, prompt="a fox")
    assert (await say(api, one, "a fox")).status == 502
    assert row_statuses(await read(api, one)) == [("user", "processing")]
    api.clock.advance(6)
    assert (await say(api, one, "[http=503]")).status == 503
    with pytest.raises(aiohttp.ClientError):
        await say(api, one, "[lost]")
    await api.plan(on="agent_messages", kind="500")
    assert (await api.call("GET", f"{SESSIONS}/{one}/messages")).status == 500
    sent = (await api.ledger())["agent_messages"]
    seen = [(entry["outcome"], entry["message_id"] is None) for entry in sent]
    assert seen == [("502", False), ("503", True), ("lost", False)]
    assert (await api.ledger())["agent_reads"] == 2


async def test_media_is_uploaded_to_a_slot_and_confirmed(api: Api) -> None:
    slot = (await api.call("POST", "/v1/agent/media", json={"extension": "jpeg", "type": "image"})).json
    confirm = f"/v1/agent/media/{slot['id']}/confirm"
    assert (slot["id"], slot["content_type"]) == ("m1.jpeg", "image/jpeg")
    assert (await api.call("POST", confirm, json={"type": "image"})).json == {"status": "pending"}
    assert (await api.call("GET", slot["url"])).status == 404
    refused = await api.call("PUT", slot["url"], data=b"bytes", headers={"Content-Type": "image/jpeg"})
    assert (refused.status, (await api.ledger())["credentials_sent_to_storage"]) == (403, 1)
    api.auth, auth = {}, api.auth
    put = await api.call("PUT", slot["upload_url"], data=b"bytes", headers={"Content-Type": "image/png"})
    assert put.status == 403
    put = await api.call("PUT", slot["upload_url"], data=b"bytes", headers={"Content-Type": "image/jpeg"})
    assert put.status == 200
    assert (await api.call("GET", slot["url"])).content == b"bytes"
    ledger = await api.ledger()
    assert (ledger["uploads"], ledger["credentials_sent_to_storage"]) == (1, 1)
    api.auth = auth
    assert (await api.call("POST", confirm, json={"type": "image"})).json == {"status": "uploaded"}
    assert (await api.call("POST", "/v1/agent/media/m9.x/confirm", json={"type": "image"})).status == 404
    assert (await api.call("POST", "/v1/agent/media", json={"extension": "x", "type": "song"})).status == 422
