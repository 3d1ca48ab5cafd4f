"""Higgsfield's Agent API, `/v1/agent`, as its documentation and SDKs have it. Responses are parsed tolerantly."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ValidationError

from gateway.agents.model import (
    MediaKind,
    MediaSlot,
    Message,
    MessageState,
    MessageTaken,
    Role,
    Session,
    SessionState,
    Transcript,
    is_id,
    media_not_found,
    session_not_found,
)
from gateway.errors import GatewayError, Reason, Violation, invalid_field, upstream_unavailable
from gateway.generations.model import InputKind
from gateway.generations.ports import MaybeTaken, NotTaken
from gateway.higgsfield.client import HiggsfieldClient, unsent_before_check
from gateway.higgsfield.errors import (
    AGENT_REASONS,
    Response,
    documented_error,
    judge_call,
    judge_submission,
    judge_submission_error,
    unresolved_failure,
)
from gateway.higgsfield.json_values import Path, collect_extra, parse
from gateway.higgsfield.payloads import read_moment, written
from gateway.higgsfield.redact import redacted, without_secrets
from gateway.higgsfield.uploads import fit_for_files

BASE = "/v1/agent"
MAX_TRANSCRIPT_BYTES = 16 << 20
"""The most bytes of a response with messages."""
MAX_TEXT_LENGTH = 250_000
"""The most characters of a text. Two texts with four bytes per character fit into a gRPC message."""
_SESSION_STATES = {state.name.lower(): state for state in SessionState if state}
_MESSAGE_STATES = {state.name.lower(): state for state in MessageState if state}
_ROLES = {role.name.lower(): role for role in Role if role}
_PASSED_ON = frozenset({Reason.INSUFFICIENT_CREDITS, Reason.FEATURE_NOT_ENABLED, Reason.UPSTREAM_CREDENTIALS_REFUSED})
"""The reasons that are reported as they are. Any other refusal of a call without input is a fault of Higgsfield."""


class _Row(BaseModel):
    """A message. Only its id must be readable, so that an odd value hides no message."""

    message_id: str
    role: Any = None
    status: Any = None
    message: Any = None
    created_at: Any = None
    llm_cost_usd: Any = None


class _SessionResponse(BaseModel):
    session_id: str
    status: str = "idle"


class _MessagesResponse(BaseModel):
    """A transcript. Without a list of messages it is none: an empty one would say that a message did not arrive."""

    status: Any = None
    messages: list[Any]


class _SentResponse(BaseModel):
    message_id: str


class _SlotResponse(BaseModel):
    id: str
    content_type: str
    upload_url: str
    url: str


class _ConfirmResponse(BaseModel):
    status: str = ""


_Model = TypeVar("_Model", bound=BaseModel)


class HiggsfieldAgents:
    """Implements `AgentApi` over HTTP, with the transport and the error table of submissions."""

    def __init__(self, client: HiggsfieldClient) -> None:
        self._client = client

    async def create_session(self) -> Session:
        """Create a session with the default configuration. Raises GatewayError."""
        response = await self._client.call_uncharged(
            "POST", f"{BASE}/sessions", _json({"config": {}}), name="agent session call"
        )
        if not response.succeeded:
            raise self._refused(response, _PASSED_ON)
        content = _parse_response(response)
        read = _read(_SessionResponse, content)
        return self._session(_checked_id(read.session_id), read.status, content)

    async def messages(self, session_id: str, after: str) -> Transcript:
        """Return the session and the messages after one. Unreadable messages are skipped. Raises GatewayError."""
        response = await self._client.call_uncharged(
            "GET",
            f"{BASE}/sessions/{session_id}/messages",
            query=urlencode({"after": after}) if after else "",
            name="agent messages call",
            max_bytes=MAX_TRANSCRIPT_BYTES,
        )
        if response.status != 200:
            if after and response.status in {400, 422} and documented_error(response) is not None:
                raise invalid_field("after_message_id", "is not a message of this session")
            raise self._refused(response, _PASSED_ON, not_found=session_not_found(session_id, after))
        # Parse in a thread, because the body may have megabytes: a leader that blocks for 2 s counts as dead.
        return await asyncio.to_thread(self._transcript, session_id, response)

    async def send(
        self, session_id: str, text: str, may_send: Callable[[], bool]
    ) -> MessageTaken | NotTaken | MaybeTaken:
        """POST a message once, and return its outcome."""
        path = f"{BASE}/sessions/{session_id}/messages"
        try:
            with unsent_before_check(may_send):
                response = await self._client.call("POST", path, _json({"content": text}), name="agent message call")
        except httpx.TransportError as error:
            judged = judge_submission_error(error)
            if isinstance(judged, NotTaken):
                failure = upstream_unavailable("Higgsfield cannot be reached: nothing was sent").failure
                return replace(judged, failure=failure)
            return judged
        if response.succeeded:
            try:
                content = _parse_response(response)
                message_id = _checked_id(_read(_SentResponse, content).message_id)
                settled = content.get("status") == MessageState.PROCESSING.name.lower()
                taken: list[Path] = [("message_id",), *([("status",)] if settled else [])]
                return MessageTaken(message_id, collect_extra(content, taken, self._client.secrets))
            except GatewayError:
                return MaybeTaken(unresolved_failure(response, self._client.secrets), is_complete=False)
        return self._not_sent(
            session_id, judge_submission(response, InputKind.NONE, self._client.secrets, AGENT_REASONS)
        )

    async def interrupt(self, session_id: str) -> None:
        """Stop the turn. It is no error if none is running; the code for it is not documented. Raises GatewayError."""
        response = await self._client.call_uncharged(
            "POST", f"{BASE}/sessions/{session_id}/interrupt", name="agent interrupt call"
        )
        nothing_to_stop = response.status in {400, 409, 422} and documented_error(response) is not None
        if not response.succeeded and not nothing_to_stop:
            raise self._refused(response, _PASSED_ON, not_found=session_not_found(session_id))

    async def create_media(self, extension: str, kind: MediaKind) -> MediaSlot:
        """Return an upload slot for a file. Raises GatewayError."""
        wanted = _json({"extension": extension, "type": kind.name.lower()})
        response = await self._client.call_uncharged("POST", f"{BASE}/media", wanted, name="agent media call")
        if not response.succeeded:
            raise self._refused(response, _PASSED_ON | {Reason.INPUT_REFUSED})
        read = _read(_SlotResponse, _parse_response(response))
        if not all(fit_for_files(url, local=self._client.local) for url in (read.upload_url, read.url)):
            raise upstream_unavailable("Higgsfield's upload URL for media is not allowed")
        if not read.content_type.isprintable():
            raise _not_understood()
        return MediaSlot(_checked_id(read.id), read.content_type, read.upload_url, read.url)

    async def confirm_media(self, media_id: str, kind: MediaKind) -> bool:
        """Confirm an upload. Only the documented status counts as confirmed. Raises GatewayError."""
        wanted = _json({"type": kind.name.lower()})
        response = await self._client.call_uncharged(
            "POST", f"{BASE}/media/{media_id}/confirm", wanted, name="agent confirm call"
        )
        if not response.succeeded:
            raise self._refused(response, _PASSED_ON | {Reason.INPUT_REFUSED}, not_found=media_not_found(media_id))
        return _read(_ConfirmResponse, _parse_response(response)).status == "uploaded"

    def _refused(
        self, response: Response, passed_on: frozenset[Reason], not_found: GatewayError | None = None
    ) -> GatewayError:
        """Return the error for a refusal. Reasons outside `passed_on` become UPSTREAM_UNAVAILABLE."""
        error = judge_call(response, InputKind.NONE, self._client.secrets, AGENT_REASONS)
        reason = error.failure.reason
        if reason is Reason.NOT_FOUND and not_found is not None:
            return not_found
        if reason in passed_on or reason is Reason.UPSTREAM_UNAVAILABLE:
            return error
        return upstream_unavailable(
            f"Higgsfield answered with HTTP status {response.status}", response=error.failure.response
        )

    def _not_sent(self, session_id: str, judged: NotTaken | MaybeTaken) -> NotTaken | MaybeTaken:
        """Reword an outcome of the submission table for a message."""
        if isinstance(judged, MaybeTaken):
            return judged
        failure = judged.failure
        if failure.reason is Reason.NOT_FOUND:
            failure = session_not_found(session_id).failure
        elif failure.reason is Reason.UPSTREAM_SATURATED:
            failure = replace(failure, message="Higgsfield accepts no more messages now: nothing was sent")
        elif failure.reason is Reason.INPUT_REFUSED:
            failure = replace(failure, violations=(Violation("text", failure.message),))
        elif failure.reason is Reason.MODEL_UNAVAILABLE:  # the caller of an agent names no model
            message = "Higgsfield refused the message with HTTP status 423: nothing was sent"
            failure = replace(
                upstream_unavailable(message, response=failure.response).failure, metadata=failure.metadata
            )
        metadata = {**failure.metadata, "session_id": session_id}
        return replace(judged, failure=replace(failure, metadata=metadata))

    def _transcript(self, session_id: str, response: Response) -> Transcript:
        """Return what a response with messages shows. Raises GatewayError."""
        content = _parse_response(response)
        read = _read(_MessagesResponse, content)
        messages = [message for row in read.messages if (message := self._message(row)) is not None]
        about_session = {name: value for name, value in content.items() if name != "messages"}
        return Transcript(self._session(session_id, _word(read.status), about_session), messages)

    def _session(self, session_id: str, status: str, content: dict[str, Any]) -> Session:
        state = _SESSION_STATES.get(status, SessionState.UNKNOWN)
        shown = redacted(status, self._client.secrets)[:100]
        exact = {"session_id": session_id, "status": shown}
        taken = [(name,) for name, value in exact.items() if content.get(name) == value]
        return Session(session_id, state, shown, collect_extra(content, taken, self._client.secrets))

    def _message(self, row: object) -> Message | None:
        try:
            read = _Row.model_validate(row)
        except ValidationError:
            return None
        if not is_id(read.message_id):
            return None
        role = _ROLES.get(_word(read.role), Role.UNKNOWN)
        text, reasoning, places = _texts(read.message)
        # A user's text stays unchanged, because lost messages are found by their text.
        secrets = () if role is Role.USER else self._client.secrets
        cost = _cost(read.llm_cost_usd, self._client.secrets)
        created = read_moment(read.created_at)
        message = Message(
            id=read.message_id,
            role=role,
            state=_MESSAGE_STATES.get(_word(read.status), MessageState.UNKNOWN),
            text=_shown(text, secrets),
            reasoning=_shown(reasoning, secrets),
            llm_cost_usd=cost,
            create_time=created,
        )
        exact = {
            "message_id": True,
            "role": role is not Role.UNKNOWN,
            "status": message.state is not MessageState.UNKNOWN,
            "llm_cost_usd": read.llm_cost_usd == (cost or None),
            "created_at": created is not None and written(created) == read.created_at,
        }
        taken: list[Path] = [(name,) for name, same in exact.items() if same]
        taken += [("message", *path) for path, said in places if said in (message.text, message.reasoning)]
        assert isinstance(row, dict)
        return replace(message, extra=collect_extra(row, taken, self._client.secrets))


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def _shown(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text without the gateway's secrets and without characters that no message can hold."""
    text = without_secrets(text, secrets)
    cut = text if len(text) <= MAX_TEXT_LENGTH else text[:MAX_TEXT_LENGTH] + "…"
    return cut.encode("utf-8", "replace").decode()


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _cost(value: object, secrets: tuple[str, ...]) -> str:
    """Return an amount as text; empty if it is none."""
    amount = isinstance(value, str | int | float) and not isinstance(value, bool)
    return redacted(str(value), secrets) if amount else ""


def _texts(body: object) -> tuple[str, str, list[tuple[Path, str]]]:
    """Return a message's text and reasoning, and the texts in the body with their paths.

    A user's body is one text; an agent's has parts, each on its own line.
    """
    if isinstance(body, str):
        return body, "", [((), body)]
    if not isinstance(body, dict):
        return "", "", []
    if isinstance(body.get("text"), str):
        return body["text"], "", [(("text",), body["text"])]
    parts = body.get("parts")
    found: dict[str, list[str]] = {"text": [], "reasoning": []}
    places: list[tuple[Path, str]] = []
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in found and isinstance(part.get("text"), str):
            found[kind].append(part["text"])
            places.append((("parts", index, "text"), part["text"]))
    return "\n".join(found["text"]), "\n".join(found["reasoning"]), places


def _parse_response(response: Response) -> dict[str, Any]:
    """Parse a response. Raises GatewayError if it is no object."""
    try:
        content = parse(response.body)
    except ValueError as error:
        raise _not_understood() from error
    if not isinstance(content, dict):
        raise _not_understood()
    return content


def _read(model: type[_Model], content: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(content)
    except ValueError as error:
        raise _not_understood() from error


def _checked_id(name: str) -> str:
    """Return an id that is safe in a path. Raises GatewayError."""
    if not is_id(name):
        raise _not_understood()
    return name


def _not_understood() -> GatewayError:
    return upstream_unavailable("Higgsfield's response about agents could not be read")
