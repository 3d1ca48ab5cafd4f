"""Receives Higgsfield's webhooks: checks token, size and proof, stores the webhook, and answers. It is processed later.

A webhook of the v2 API proves itself by a signature, one of the v1 API by the secret that was sent with the submission.
The webhook of an adopted request has no token of the gateway, and is recognized by the request that it names. An
unknown token, a wrong proof and an invalid body are all answered with 404. If the gateway itself fails, it answers with
5xx, so that Higgsfield delivers again; a webhook that gets a 4xx would be lost.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.errors import GatewayError
from gateway.frozen import frozen
from gateway.generations.model import Generation, RequestId, StatusReport, token_hash
from gateway.generations.stores import UnconfirmedError, Webhook
from gateway.higgsfield.jobsets import read_job_set_id
from gateway.higgsfield.payloads import read_request_id
from gateway.higgsfield.v1 import PROOF_HEADER
from gateway.higgsfield.webhooks import Proof, Signatures
from gateway.rpc.errors import RpcError
from gateway.rpc.limits.call_limits import WebhookLimit
from gateway.rpc.transports.forwarding import ReceiveWebhook
from gateway.settings.config import WEBHOOK_PATH
from gateway.telemetry import Rejection

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT = 5.0

UNKNOWN_TOKEN = ""
"""Takes the place of a generation's id in the limit for webhooks whose token is not known."""

FORWARDED_HEADERS = frozenset(("webhook-id", "webhook-timestamp", "webhook-signature", PROOF_HEADER))
"""The headers of a webhook that matter."""
Receive = Callable[[Webhook], Awaitable[bool]]
Parse = Callable[[bytes], StatusReport | None]


class KnownGenerations(Protocol):
    """The generations that a webhook may be for. The methods raise UnconfirmedError."""

    async def by_token(self, token_hash: bytes) -> Generation | None:
        """Return the generation whose webhook URL has the token with this hash."""

    async def by_request(self, request_id: RequestId) -> Generation | None:
        """Return the generation of an upstream request."""


@frozen
class Proofs:
    """The functions that verify and parse webhooks.

    `signatures` verifies the signatures of the account; None if no secret is configured. `is_secret` takes the token of
    a path and a text, and returns whether the text is the secret that was sent to the v1 API. `parse` parses a webhook
    of the v2 API, and `parse_job_set` one of the v1 API; both return None for an invalid body.
    """

    signatures: Signatures | None
    is_secret: Callable[[str, str], bool]
    parse: Parse
    parse_job_set: Parse

    def judge_signature(self, request: Request, body: bytes) -> Proof | None:
        """Return what the signature of a webhook proves; None if no secret is configured."""
        return None if self.signatures is None else self.signatures.judge(request.headers, body, time.time())


def webhook_route(
    known: KnownGenerations,
    receive: Receive,
    proofs: Proofs,
    limit: WebhookLimit,
    count_rejection: Callable[[Rejection], None] = lambda _: None,
) -> Route:
    """Return the route of webhooks.

    If signatures are configured, a webhook of the v2 API must be signed. With a stale signature it is not believed, and
    only causes a status call. `known` finds generations, `receive` stores a webhook, and `limit` bounds how many are
    read at once. `count_rejection` counts refused webhooks.
    """

    async def handle(request: Request, generation: Generation | None, body: bytes | None) -> Response:
        if body is not None and generation is None:
            generation = await find_adopted(request, body)
        if body is None or generation is None:
            return reject()
        parse = _parse_v1_webhook if generation.spec.api == "v1" else _parse_v2_webhook
        webhook = parse(request, body, generation, proofs)
        if webhook is None:
            return reject()
        if not await receive(webhook):
            return _try_again()
        return PlainTextResponse("ok\n")

    async def find_adopted(request: Request, body: bytes) -> Generation | None:
        """Return the adopted generation whose request a webhook names. Anyone can send one, so this must be cheap."""
        if proofs.judge_signature(request, body) is Proof.NONE:
            return None
        named = read_request_id(body) or read_job_set_id(body, "")
        generation = await known.by_request(RequestId(named)) if named else None
        return generation if generation is not None and generation.spec.adopted else None

    def reject() -> Response:
        count_rejection(Rejection.WEBHOOK)
        return _not_found()

    return _route(known, limit, handle)


def forwarding_route(known: KnownGenerations, forward: ReceiveWebhook, limit: WebhookLimit) -> Route:
    """Return the route of webhooks of a replica, which leaves them to the leader.

    The leader verifies and stores a webhook before it answers. If `forward` raises GatewayError or RpcError, Higgsfield
    has to deliver the webhook again.
    """

    async def handle(request: Request, _: Generation | None, body: bytes | None) -> Response:
        if body is None:
            return _not_found()
        given = request.headers.items()
        headers = {name: text for name, text in given if name in FORWARDED_HEADERS and _can_be_forwarded(text)}
        try:
            # The parser of HTTP refuses a path that could not be metadata of gRPC.
            status, text = await forward(request.path_params["token"], headers, body)
        except (GatewayError, RpcError):
            return _try_again()
        return Response(text, status, media_type="text/plain")

    return _route(known, limit, handle)


def webhook_receiver(app: Route) -> ReceiveWebhook:
    """Return a function with which the leader receives webhooks that replicas forward: it calls the route `app`."""

    async def receive(token: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        async def message() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        named = [(name.encode(), text.encode()) for name, text in headers.items()]
        scope = {"type": "http", "method": "POST", "path": WEBHOOK_PATH + token, "headers": named, "query_string": b""}
        request = Request({**scope, "path_params": {"token": token}}, message)
        response = await app.endpoint(request)
        return response.status_code, bytes(response.body)

    return receive


def _route(
    known: KnownGenerations,
    limit: WebhookLimit,
    handle: Callable[[Request, Generation | None, bytes | None], Awaitable[Response]],
) -> Route:
    """Return the route; it calls `handle` with each webhook, its generation and its body (None if too large)."""

    async def receive_webhook(request: Request) -> Response:
        try:
            # The token is checked before the body is read, so that unknown tokens only take places of one another.
            generation = await known.by_token(token_hash(request.path_params["token"]))
            place = UNKNOWN_TOKEN if generation is None else generation.id
            if not limit.enter(place):
                return _try_again()
            try:
                async with asyncio.timeout(BODY_TIMEOUT):
                    body = await _read_body(request)
                return await handle(request, generation, body)
            finally:
                limit.leave(place)
        except UnconfirmedError:
            return _try_again()
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("too slow\n", status_code=503)

    return Route(WEBHOOK_PATH + "{token}", receive_webhook, methods=["POST"])


def _parse_v2_webhook(request: Request, body: bytes, generation: Generation, proofs: Proofs) -> Webhook | None:
    proof = proofs.judge_signature(request, body)
    if proof is Proof.NONE:
        _log_refused(generation, "it has no valid signature; check HFGATEWAY_WEBHOOK_SECRET")
        return None
    report = proofs.parse(body)
    if report is None:
        _log_refused(generation, "it could not be parsed")
        return None
    name = request.headers.get("webhook-id", "") if proof is not None else ""
    return Webhook(
        generation_id=generation.id,
        name=name[:255] or f"{report.request_id}:{report.status}",
        request_id=report.request_id,
        status=report.status,
        report=report if proof is Proof.VALID else None,
    )


def _parse_v1_webhook(request: Request, body: bytes, generation: Generation, proofs: Proofs) -> Webhook | None:
    """Return a webhook of the v1 API, which only causes a status call: neither its form nor a proof is documented.

    It must carry the secret of its generation, or a signature. The request of an adopted generation was not sent with a
    secret of the gateway: its webhook was recognized by its request, after its signature was verified.
    """
    given = request.headers.get(PROOF_HEADER, "")
    signed = proofs.judge_signature(request, body) not in (None, Proof.NONE)
    if not (generation.spec.adopted or signed or proofs.is_secret(request.path_params["token"], given)):
        _log_refused(generation, "it lacks the secret of its generation")
        return None
    name = read_job_set_id(body, generation.request_id)
    if name is None:
        _log_refused(generation, "it names no job set")
        return None
    report = proofs.parse_job_set(body)
    return Webhook(
        generation_id=generation.id,
        name=hashlib.sha256(body).hexdigest(),
        request_id=RequestId(name),
        status=report.status if report is not None else "unknown",
    )


def _log_refused(generation: Generation, why: str) -> None:
    about = {"generation_id": generation.id, "why": why}
    log.warning("a webhook was refused, and changes nothing", extra=about)


async def _read_body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _can_be_forwarded(text: str) -> bool:
    """Return True if a text can be metadata of gRPC, as all signatures and secrets can."""
    return text.isascii() and text.isprintable()


def _not_found() -> Response:
    return PlainTextResponse("not found\n", status_code=404)


def _try_again() -> Response:
    return PlainTextResponse("try again\n", status_code=503)
