"""Outcomes of a message to an agent: certainly refused, or ambiguous. Transcripts."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from gateway.agents.model import SessionState
from gateway.errors import GatewayError, Reason
from gateway.generations.ports import MaybeTaken, NotTaken
from gateway.higgsfield.agents import HiggsfieldAgents
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.errors import AGENT_REASONS, Response, judge_call, judge_submission

CERTAIN = {
    400: Reason.INPUT_REFUSED,
    401: Reason.UPSTREAM_CREDENTIALS_REFUSED,
    402: Reason.INSUFFICIENT_CREDITS,
    403: Reason.FEATURE_NOT_ENABLED,
    404: Reason.NOT_FOUND,
    409: Reason.SESSION_BUSY,
    422: Reason.INPUT_REFUSED,
    423: Reason.MODEL_UNAVAILABLE,
    429: Reason.UPSTREAM_SATURATED,
}


def answer(status: int, body: bytes = b'{"detail":"no"}', content_type: str = "application/json") -> Response:
    return Response(status, content_type, None, "", body)


@pytest.mark.parametrize("status", range(300, 600))
def test_only_documented_refusals_are_certain(status: int) -> None:
    judged = judge_submission(answer(status), "", (), AGENT_REASONS)
    if status in CERTAIN:
        assert isinstance(judged, NotTaken)
        assert judged.failure.reason is CERTAIN[status]
    else:
        assert isinstance(judged, MaybeTaken)


@pytest.mark.parametrize("status", CERTAIN)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>", "text/html"),
        (b'{"detail":"no"}', "text/html"),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (json.dumps({"error": "no"}).encode(), "application/json"),
    ],
)
def test_undocumented_refusals_are_ambiguous(status: int, body: bytes, content_type: str) -> None:
    assert isinstance(judge_submission(answer(status, body, content_type), "", (), AGENT_REASONS), MaybeTaken)


def test_a_409_is_ambiguous_for_generations() -> None:
    """409 is documented for agents only."""
    assert isinstance(judge_submission(answer(409), "soul", ()), MaybeTaken)
    assert judge_call(answer(403), "", ()).failure.reason is Reason.INSUFFICIENT_CREDITS
    assert judge_call(answer(403), "", (), AGENT_REASONS).failure.reason is Reason.FEATURE_NOT_ENABLED


async def test_a_transcript_is_parsed_outside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have megabytes, and a leader that blocks for two seconds counts as dead."""
    transcript, threads = HiggsfieldAgents._transcript, list[int]()

    def record(agents: HiggsfieldAgents, *given: Any) -> Any:
        threads.append(threading.get_ident())
        return transcript(agents, *given)

    monkeypatch.setattr(HiggsfieldAgents, "_transcript", record)
    row = {"message_id": "m", "role": "assistant", "status": "completed", "message": {"parts": []}}
    agents = HiggsfieldAgents(_Scripted(answer(200, json.dumps({"status": "idle", "messages": [row]}).encode())))
    assert [message.id for message in (await agents.messages("session", "")).messages] == ["m"]
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("body", ["{}", '{"detail":"later"}', '{"status":"idle"}', '{"status":"idle","messages":null}'])
async def test_a_response_without_messages_is_no_transcript(body: str) -> None:
    """An empty transcript would say that a message did not arrive."""
    with pytest.raises(GatewayError, match="could not be read"):
        await HiggsfieldAgents(_Scripted(answer(200, body.encode()))).messages("session", "")


@pytest.mark.parametrize("body", ['{"messages":[]}', '{"status":null,"messages":[]}', '{"status":7,"messages":[]}'])
async def test_a_session_without_a_status_is_not_idle(body: str) -> None:
    """A turn may be running."""
    transcript = await HiggsfieldAgents(_Scripted(answer(200, body.encode()))).messages("session", "")
    assert transcript.session.state is SessionState.UNKNOWN


class _Scripted(HiggsfieldClient):
    """Answers every call with one response, without a connection."""

    def __init__(self, scripted: Response) -> None:
        super().__init__("http://127.0.0.1", Credentials("id", "secret"))
        self._scripted = scripted

    async def call_uncharged(self, *_: Any, **__: Any) -> Response:
        return self._scripted
