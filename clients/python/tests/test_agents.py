"""Conversations with agents, with both clients: lost responses, broken streams, turns, pages and media."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from hfgateway_client import AsyncClient, Client, errors
from hfgateway_client.agents import Message, Session

AWAY = refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", retry_delay=0.01)
UNRESOLVED = refusal("ABORTED", "SUBMISSION_UNRESOLVED", retry_delay=0.01)
BUSY = refusal("ABORTED", "SESSION_BUSY")


def session(state: str) -> pb.WatchSessionResponse:
    return pb.WatchSessionResponse(session=pb.Session(id="s1", state=f"SESSION_STATE_{state}"))


def message(id: str, text: str, state: str = "COMPLETED", role: str = "ASSISTANT") -> pb.WatchSessionResponse:
    return pb.WatchSessionResponse(
        message=pb.Message(id=id, text=text, state=f"MESSAGE_STATE_{state}", role=f"ROLE_{role}")
    )


def sent(id: str = "m1", *, replayed: bool = False) -> pb.SendMessageResponse:
    return pb.SendMessageResponse(message=pb.Message(id=id, role="ROLE_USER"), replayed=replayed)


async def test_a_message_is_retried_with_the_same_key_after_a_lost_response(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SendMessage", gateway.cut, UNRESOLVED, sent(replayed=True))

    message = await client.agents.send("s1", "a fox")

    first, second, third = gateway.requests["SendMessage"]
    assert first == second == third
    assert first.idempotency_key == message.idempotency_key != ""
    assert (message.id, message.replayed) == ("m1", True)


async def test_a_busy_session_is_not_retried_and_the_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SendMessage", BUSY)
    with pytest.raises(errors.SessionBusy) as caught:
        await client.agents.send("s1", "a fox", idempotency_key="k")
    assert (caught.value.idempotency_key, len(gateway.requests["SendMessage"])) == ("k", 1)


async def test_an_error_of_create_session_has_the_key(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("CreateSession", refusal("PERMISSION_DENIED", "FEATURE_NOT_ENABLED"))
    with pytest.raises(errors.FeatureNotEnabled) as caught:
        await client.agents.create_session()
    (request,) = gateway.requests["CreateSession"]
    assert caught.value.idempotency_key == request.idempotency_key != ""


async def test_session_calls_are_retried_and_creation_uses_the_same_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("CreateSession", gateway.cut, pb.CreateSessionResponse(session=pb.Session(id="s1")))
    gateway.on("GetSession", pb.GetSessionResponse(session=pb.Session(id="s1")))
    gateway.on("InterruptSession", AWAY, pb.InterruptSessionResponse(session=pb.Session(id="s1")))
    assert (await client.agents.create_session()).id == "s1"
    assert (await client.agents.session("s1")).id == "s1"
    assert (await client.agents.interrupt("s1")).id == "s1"
    first, second = gateway.requests["CreateSession"]
    assert first.idempotency_key == second.idempotency_key != ""


async def test_ask_returns_the_answer_when_the_turn_has_ended(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SendMessage", sent("m1"))
    gateway.on(
        "WatchSession",
        [session("PROCESSING"), message("m2", "Do", "PROCESSING"), message("m2", "Done"), session("IDLE")],
    )
    seen: list[Any] = []

    turn = await client.agents.ask("s1", "a fox", on_change=seen.append)

    assert (turn.text, str(turn), turn.is_question, turn.failed, turn.sent.id) == ("Done", "Done", False, False, "m1")
    assert [one.text for one in seen if isinstance(one, Message)] == ["Do", "Done"]
    (request,) = gateway.requests["WatchSession"]
    assert request == pb.WatchSessionRequest(id="s1", after_message_id="m1", until_idle=True)


async def test_a_callback_of_ask_that_raises_is_the_cause_of_an_error_with_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    """The message was charged."""

    def out_of_paper(_change: object) -> None:
        raise LookupError("paper")

    gateway.on("SendMessage", sent("m1"))
    gateway.on("WatchSession", [session("PROCESSING")])
    with pytest.raises(errors.GatewayError) as failed:
        await client.agents.ask("s1", "a fox", on_change=out_of_paper, idempotency_key="order-7")
    assert isinstance(failed.value.__cause__, LookupError)
    assert failed.value.idempotency_key == "order-7"


async def test_ask_returns_a_question_and_a_failed_turn(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SendMessage", sent("m1"), sent("m3"))
    gateway.on("WatchSession", [message("m2", "Which?", "PROCESSING"), session("AWAITING_INPUT")])
    gateway.on("WatchSession", [message("m4", "No", "FAILED"), session("IDLE")])

    asked = await client.agents.ask("s1", "a fox")
    failed = await client.agents.ask("s1", "red")

    assert (asked.text, asked.is_question, asked.failed) == ("Which?", True, False)
    assert (failed.text, failed.is_question, failed.failed) == ("No", False, True)


async def test_a_watch_that_a_proxy_ends_in_a_turn_is_resumed(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SendMessage", sent("m1"))
    gateway.on(
        "WatchSession",
        [session("PROCESSING"), message("m2", "Do", "PROCESSING")],
        [session("PROCESSING"), message("m2", "Done"), session("IDLE")],
        [session("IDLE")],
        [session("TERMINATED")],
    )

    turn = await client.agents.ask("s1", "a fox")
    changes = [change async for change in client.agents.watch("s1")]

    assert (turn.text, turn.session.state) == ("Done", pb.SESSION_STATE_IDLE)
    assert [change.state for change in changes] == [pb.SESSION_STATE_IDLE, pb.SESSION_STATE_TERMINATED]


async def test_a_broken_watch_resumes_after_the_last_final_message_and_repeats_nothing(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on(
        "WatchSession",
        [session("PROCESSING"), message("m1", "a", role="USER"), message("m2", "b", "PROCESSING"), gateway.cut],
        [session("PROCESSING"), message("m2", "b", "PROCESSING"), AWAY],
        [pb.WatchSessionResponse(), session("TERMINATED"), message("m2", "bc")],
    )

    changes = [change async for change in client.agents.watch("s1")]

    assert [change.text for change in changes if isinstance(change, Message)] == ["a", "b", "bc"]
    assert [change.state for change in changes if isinstance(change, Session)] == [
        pb.SESSION_STATE_PROCESSING,
        pb.SESSION_STATE_TERMINATED,
    ]
    assert [request.after_message_id for request in gateway.requests["WatchSession"]] == ["", "m1", "m1"]


async def test_messages_are_fetched_in_pages(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on(
        "ListMessages",
        pb.ListMessagesResponse(messages=[pb.Message(id="m1")], next_page_token="next"),
        pb.ListMessagesResponse(messages=[pb.Message(id="m2")]),
    )
    assert [one.id async for one in client.agents.messages("s1", "m0")] == ["m1", "m2"]
    assert [one.page_token for one in gateway.requests["ListMessages"]] == ["", "next"]


async def test_the_synchronous_client_asks_as_well(gateway: ScriptedGateway) -> None:
    gateway.on("SendMessage", sent("m1"))
    gateway.on("WatchSession", [message("m2", "Done"), session("IDLE")])

    def ask() -> str:
        with Client(gateway.address) as client:
            return client.agents.ask("s1", "a fox").text

    assert await asyncio.to_thread(ask) == "Done"


class Storage(http.server.BaseHTTPRequestHandler):
    """Stores uploaded files, and responds with 403 to paths that contain "refused", and not in HTTP to "garbage"."""

    uploads: list[tuple[str, dict[str, str], bytes]]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.uploads.append((self.path, dict(self.headers), content))
        if "garbage" in self.path:
            self.wfile.write(b"garbage\r\n")
            return
        self.send_response(403 if "refused" in self.path else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def storage() -> Iterator[tuple[str, list[Any]]]:
    uploads: list[Any] = []
    handler = type("Recording", (Storage,), {"uploads": uploads})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", uploads
        server.shutdown()
        thread.join()


def slot(url: str) -> pb.CreateMediaResponse:
    return pb.CreateMediaResponse(id="m1.png", content_type="image/png", upload_url=url, url="https://media.test/1")


async def test_media_are_uploaded_to_the_storage_without_the_api_key(
    gateway: ScriptedGateway, storage: tuple[str, list[Any]], tmp_path: Path
) -> None:
    url, uploads = storage
    path = tmp_path / "fox.png"
    path.write_bytes(b"a picture")
    gateway.on("CreateMedia", slot(url), slot(url))
    gateway.on("ConfirmMedia", pb.ConfirmMediaResponse(), pb.ConfirmMediaResponse())

    async with AsyncClient(gateway.address, api_key="hfg_secret") as client:
        assert await client.agents.upload_media(path) == "https://media.test/1"

    def upload() -> str:
        with Client(gateway.address) as client:
            return client.agents.upload_media(b"a picture", extension="pdf")

    assert await asyncio.to_thread(upload) == "https://media.test/1"
    first, second = gateway.requests["CreateMedia"]
    assert (first.extension, first.kind) == ("png", pb.AGENT_MEDIA_KIND_IMAGE)
    assert (second.extension, second.kind) == ("pdf", pb.AGENT_MEDIA_KIND_FILE)
    assert [request.id for request in gateway.requests["ConfirmMedia"]] == ["m1.png", "m1.png"]
    for _, headers, content in uploads:
        assert (headers["Content-Type"], content) == ("image/png", b"a picture")
        assert "hfg_secret" not in str(headers)


async def test_media_that_the_storage_refused_are_not_confirmed(
    gateway: ScriptedGateway, client: AsyncClient, storage: tuple[str, list[Any]]
) -> None:
    url, _ = storage
    gateway.on("CreateMedia", slot(f"{url}/refused"), slot("http://127.0.0.1:1"), slot(f"{url}/garbage"))
    for message in ("403", "storage failed", "storage failed: garbage"):
        with pytest.raises(errors.Unavailable, match=message):
            await client.agents.upload_media(b"a picture", extension="png")
    with pytest.raises(ValueError, match="extension"):
        await client.agents.upload_media(b"a picture")
    assert gateway.requests["ConfirmMedia"] == []
