"""Where Higgsfield delivers: token, size, proof; then it is kept and answered, and has its effect later.

The proof is a signature for what went to v2, and for v1 the secret that was given with the submission. An unknown
token, a wrong proof and a body that is no delivery are answered alike: 404. Trouble of our own is a 5xx, for then it is
delivered again; a 4xx would lose it.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.config import WEBHOOK_PATH
from gateway.generations.model import Generation, RequestId, StatusReport, token_hash
from gateway.generations.ports import Delivery, StoreError
from gateway.higgsfield.jobsets import read_job_set_id
from gateway.higgsfield.v1 import DELIVERY_HEADER
from gateway.higgsfield.webhooks import Proof, Signatures
from gateway.rpc.limits import Door
from gateway.telemetry import Bad

log = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
BODY_WITHIN = 5.0

ByToken = Callable[[bytes], Awaitable[Generation | None]]
Receive = Callable[[Delivery], Awaitable[bool]]
Read = Callable[[bytes], StatusReport | None]


@dataclass(frozen=True, slots=True)
class Proofs:
    """How deliveries are read and prove themselves.

    `signatures`: those of the account, where it has a secret; `secret`: whether a text is the secret that was given to
    v1 for the token of a path. The other two read what a delivery of v2, or of v1, says.
    """

    signatures: Signatures | None
    secret: Callable[[str, str], bool]
    read: Read
    read_job_set: Read


def webhook_route(
    by_token: ByToken, receive: Receive, proofs: Proofs, door: Door, bad: Callable[[Bad], None] = lambda _: None
) -> Route:
    """The route of deliveries. With signatures, one of v2 must have one; a stale one makes it a hint to ask.

    `bad` counts refusals.
    """

    async def deliver(request: Request) -> Response:
        try:
            # Before the body is read: one with an unknown token takes no place.
            generation = await by_token(token_hash(request.path_params["token"]))
            if generation is None:
                return unknown()
            if not door.enter(generation.id):
                return _later()
            try:
                return await take(request, generation)
            finally:
                door.leave(generation.id)
        except StoreError:
            return _later()

    async def take(request: Request, generation: Generation) -> Response:
        try:
            async with asyncio.timeout(BODY_WITHIN):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("too slow\n", status_code=503)
        if body is None:
            return unknown()
        judge = _of_v1 if generation.spec.api == "v1" else _of_v2
        delivery = judge(request, body, generation, proofs)
        if delivery is None:
            return unknown()
        if not await receive(delivery):
            return _later()
        return PlainTextResponse("ok\n")

    def unknown() -> Response:
        bad(Bad.WEBHOOK)
        return PlainTextResponse("not found\n", status_code=404)

    return Route(WEBHOOK_PATH + "{token}", deliver, methods=["POST"])


def _of_v2(request: Request, body: bytes, generation: Generation, proofs: Proofs) -> Delivery | None:
    proof = None if proofs.signatures is None else proofs.signatures.judge(request.headers, body, time.time())
    if proof is Proof.NONE:
        log.warning("a webhook is not signed by our secret", extra={"generation_id": generation.id})
        return None
    report = proofs.read(body)
    if report is None:
        log.warning("a webhook could not be read", extra={"generation_id": generation.id})
        return None
    name = request.headers.get("webhook-id", "") if proof is not None else ""
    return Delivery(
        generation_id=generation.id,
        name=name[:255] or f"{report.request_id}:{report.status}",
        request_id=report.request_id,
        status=report.status,
        report=report if proof is Proof.VALID else None,
    )


def _of_v1(request: Request, body: bytes, generation: Generation, proofs: Proofs) -> Delivery | None:
    """A hint to ask, whatever it says: neither its form nor a proof of its content is documented.

    The secret must be there, or the signature that is to take its place one day.
    """
    given = request.headers.get(DELIVERY_HEADER, "")
    signed = (
        proofs.signatures is not None and proofs.signatures.judge(request.headers, body, time.time()) is not Proof.NONE
    )
    if not (proofs.secret(request.path_params["token"], given) or signed):
        log.warning("a webhook does not have the secret of its generation", extra={"generation_id": generation.id})
        return None
    name = read_job_set_id(body, generation.request_id)
    if name is None:
        log.warning("a webhook names no job set", extra={"generation_id": generation.id})
        return None
    report = proofs.read_job_set(body)
    return Delivery(
        generation_id=generation.id,
        name=hashlib.sha256(body).hexdigest(),
        request_id=RequestId(name),
        status=report.status if report is not None else "news",
    )


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _later() -> Response:
    return PlainTextResponse("try again\n", status_code=503)
