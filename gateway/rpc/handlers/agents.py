"""The handlers of AgentService."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.agents.model import MediaKind, Message, Session
from gateway.agents.service import Agents
from gateway.errors import Violation, invalid_field, raise_if_invalid
from gateway.rpc.call import Call
from gateway.rpc.messages import convert
from gateway.rpc.messages.pages import Page
from gateway.rpc.messages.structs import struct
from gateway.rpc.messages.wire import timestamp
from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb

MAX_MESSAGE_LENGTH = 20_000
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,16}")


class AgentHandlers:
    """Handles the RPCs of the service, independent of the transport."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def create_session(self, request: pb.CreateSessionRequest, call: Call) -> pb.CreateSessionResponse:
        """Create a session, once for an idempotency key."""
        wrong: list[Violation] = []
        key = convert.check_idempotency_key(request.idempotency_key, "session", wrong)
        raise_if_invalid(wrong)
        session, replayed = await self._agents.create_session(call.tenant, key)
        return pb.CreateSessionResponse(session=session_message(session), replayed=replayed)

    async def get_session(self, request: pb.GetSessionRequest, call: Call) -> pb.GetSessionResponse:
        """Return the current state of a session."""
        session = await self._agents.session(call.tenant, convert.require_text(request.id))
        return pb.GetSessionResponse(session=session_message(session))

    async def send_message(self, request: pb.SendMessageRequest, call: Call) -> pb.SendMessageResponse:
        """Send a message, once for an idempotency key."""
        wrong: list[Violation] = []
        if not request.session_id:
            wrong.append(Violation("session_id", "is required"))
        if not 1 <= len(request.text) <= MAX_MESSAGE_LENGTH:
            wrong.append(Violation("text", f"must be 1 to {MAX_MESSAGE_LENGTH} characters"))
        key = convert.check_idempotency_key(request.idempotency_key, "message", wrong)
        raise_if_invalid(wrong)
        message, replayed = await self._agents.send(call.tenant, request.session_id, request.text, key)
        return pb.SendMessageResponse(message=message_message(message), replayed=replayed)

    async def list_messages(self, request: pb.ListMessagesRequest, call: Call) -> pb.ListMessagesResponse:
        """Return a page of messages, oldest first, of at most 2 MiB."""
        session_id = convert.require_text(request.session_id, "session_id")
        page: Page[Message] = Page(request, lambda message: message.id, tenant=call.tenant, default=100, largest=1000)
        found = await self._agents.messages(call.tenant, session_id, page.after or request.after_message_id)
        response = pb.ListMessagesResponse()
        response.next_page_token = page.fill(response.messages, found, message_message)
        return response

    async def interrupt_session(self, request: pb.InterruptSessionRequest, call: Call) -> pb.InterruptSessionResponse:
        """Stop the turn that is running."""
        session = await self._agents.interrupt(call.tenant, convert.require_text(request.id))
        return pb.InterruptSessionResponse(session=session_message(session))

    async def watch_session(
        self, request: pb.WatchSessionRequest, call: Call
    ) -> AsyncGenerator[pb.WatchSessionResponse, None]:
        """Stream the session and its messages, and then every change of both."""
        changes = self._agents.watch(
            call.tenant,
            convert.require_text(request.id),
            request.after_message_id,
            until_idle=request.until_idle,
            check=call.check,
        )
        async with aclosing(changes):
            async for change in changes:
                match change:
                    case Session():
                        yield pb.WatchSessionResponse(session=session_message(change))
                    case Message():
                        yield pb.WatchSessionResponse(message=message_message(change))
                    case None:
                        yield pb.WatchSessionResponse()

    async def create_media(self, request: pb.CreateMediaRequest, call: Call) -> pb.CreateMediaResponse:
        """Return a URL to which the client uploads a file."""
        if not _EXTENSION.fullmatch(request.extension):
            raise invalid_field("extension", "must be 1 to 16 letters and digits, without a dot")
        slot = await self._agents.create_media(call.tenant, request.extension, _kind(request.kind))
        return pb.CreateMediaResponse(
            id=slot.id, content_type=slot.content_type, upload_url=slot.upload_url, url=slot.url
        )

    async def confirm_media(self, request: pb.ConfirmMediaRequest, call: Call) -> pb.ConfirmMediaResponse:
        """Confirm that a file was uploaded."""
        await self._agents.confirm_media(call.tenant, convert.require_text(request.id), _kind(request.kind))
        return pb.ConfirmMediaResponse()


def session_message(session: Session) -> pb.Session:
    return pb.Session(
        id=session.id,
        state=session.state.value,  # type: ignore[arg-type]  # the numbers are those of SessionState
        upstream_status=session.upstream_status,
        extra=struct(session.extra),
    )


def message_message(message: Message) -> pb.Message:
    return pb.Message(
        id=message.id,
        role=message.role.value,  # type: ignore[arg-type]  # the numbers are those of Role
        state=message.state.value,  # type: ignore[arg-type]  # the numbers are those of MessageState
        text=message.text,
        llm_cost_usd=message.llm_cost_usd,
        reasoning=message.reasoning,
        create_time=timestamp(message.create_time),
        extra=struct(message.extra),
    )


def _kind(number: int) -> MediaKind:
    try:
        return MediaKind(number)
    except ValueError:
        raise invalid_field("kind", "is required, and a value this gateway knows") from None
