"""Higgsfield, as its documentation describes it, with the ledger of what it charged; and the network in between."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs
from uuid import UUID

import httpx

from gateway.higgsfield.late_transport import LateTransport
from gateway.higgsfield.request_context import send_gate, sending
from gateway.higgsfield.transport import Reply
from tests.simulation.loop import LIFE
from tests.simulation.world import DAY, HOUR, MINUTE, World

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()
WEBHOOK_PAUSES = (0.0, 5.0, 30.0, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR)
"""Seconds after the end at which a delivery that was not taken is made again."""
JSON = "application/json"
MOST_READS = 30
"""Status calls for one request in ten seconds: more is no polling."""
REFUSALS = ((403, "not_enough_credits"), (422, "no"), (423, "blocked"), (400, "bad"), (401, "Invalid credentials"))

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Makes a delivery to a URL of the gateway; its status, or 0 without an answer."""


@dataclass
class Request:
    """One request that Higgsfield accepted, and charged."""

    id: str
    api: str
    prompt: str
    accepted_at: float
    starts_at: float
    ends_at: float
    end: str
    webhook: str = ""
    webhook_secret: str = ""
    canceled_at: float | None = None
    deleted_at: float | None = None

    def status(self, now: float) -> str:
        """Its status at that time."""
        if self.canceled_at is not None:
            return "canceled"
        return "queued" if now < self.starts_at else "in_progress" if now < self.ends_at else self.end

    @property
    def url(self) -> str:
        """Where its output is."""
        return f"https://files.example/{self.id}.png"


@dataclass
class Post:
    """One submission of the gateway, as the network saw it."""

    prompt: str
    api: str
    began: float
    life: int
    sent: bool = False
    answered: bool = False
    cut_at: float | None = None
    over_at: float | None = None


@dataclass
class Moods:
    """What can go wrong at Higgsfield and on the way, as probabilities; `limit` 0: none."""

    refused_connection: float = 0.0
    hanging_lookup: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    silent: float = 0.0
    error: float = 0.0
    error_after: float = 0.0
    rubbish: float = 0.0
    refusal: float = 0.0
    missing: float = 0.0
    slow: float = 0.0
    webhook_lost: float = 0.0
    webhook_twice: float = 0.0
    limit: int = 0
    queue_most: float = 20.0
    run_least: float = 0.5
    run_most: float = 120.0
    keys_kept: float = DAY
    signs: bool = False
    outage: str = ""
    """What it does to every call for now: refuses connections, is silent, answers 503, 429, or 404 to status calls."""


@dataclass
class Ledger:
    """What happened at Higgsfield: the judge's second source."""

    requests: dict[str, Request] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    calls: int = 0
    refused_deliveries: list[tuple[float, str, int]] = field(default_factory=list)
    deliveries: int = 0
    missing_told: list[tuple[float, str]] = field(default_factory=list)
    reads: dict[str, deque[float]] = field(default_factory=dict)
    """The times of the last MOST_READS status calls for each request."""
    hurried: set[str] = field(default_factory=set)
    """The requests with more status calls than MOST_READS in ten seconds."""

    def read(self, request_id: str, now: float) -> None:
        """Count a status call."""
        times = self.reads.setdefault(request_id, deque(maxlen=MOST_READS))
        if len(times) == MOST_READS and now - times[0] < 10.0:
            self.hurried.add(request_id)
        times.append(now)


class Higgsfield:
    """Answers calls, runs requests, delivers webhooks."""

    def __init__(self, world: World, moods: Moods, deliver: Deliver) -> None:
        self.world = world
        self.moods = moods
        self.ledger = Ledger()
        self.on_submit: Callable[[], None] = lambda: None
        self._deliver = deliver
        self._keys: dict[str, tuple[str, bytes, float]] = {}

    def transport(self, headers: Mapping[str, str], tls: object) -> LateTransport:
        """The gateway's way here."""
        return _Transport(self)  # type: ignore[return-value]

    # -- The network ---------------------------------------------------------------------------------------------------

    async def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, connect: float
    ) -> Reply:
        """One call of the gateway over a network with faults."""
        world = self.world
        post = self._post(method, target, body)
        try:
            await self._connect(connect)
            gate = send_gate.get()
            if gate is not None and not gate():
                raise httpx.ConnectTimeout("the gate is closed")
            if post is not None:
                post.sent = True
                self.on_submit()
            arrived: asyncio.Future[Reply | None] = world.loop.create_future()
            world.later(self._way(), self._arrive, method, target, dict(headers), body, arrived)
            reply = await arrived
            if reply is None:
                raise httpx.ReadError("the connection broke")
            if post is not None:
                post.answered = True
            return reply
        except (asyncio.CancelledError, GeneratorExit):
            if post is not None:
                post.cut_at = world.now
            raise
        finally:
            if post is not None:
                post.over_at = world.now
                world.tell("post ends", post.prompt, post.sent, post.answered)

    def _post(self, method: str, target: str, body: bytes) -> Post | None:
        if sending.get() != "submit call":
            return None
        life = LIFE.get()
        api = "v1" if target.startswith("/v1/") else "v2"
        post = Post(_prompt(body, api), api, self.world.now, 0 if life is None else life.number)
        self.ledger.posts.append(post)
        self.world.tell("post", post.prompt)
        return post

    async def _connect(self, connect: float) -> None:
        world, moods = self.world, self.moods
        await self.world.sleep(self._way())
        if world.might(moods.hanging_lookup):
            await self.world.sleep(10 * HOUR)  # whatever limits connections does not limit this
        if moods.outage == "refuses" or world.might(moods.refused_connection):
            if world.chance.random() < 0.5:
                raise httpx.ConnectError("refused")
            await self.world.sleep(connect)
            raise httpx.ConnectTimeout("no connection in time")

    def _way(self) -> float:
        slow = self.world.might(self.moods.slow)
        return self.world.between(1.0, 90.0) if slow else self.world.between(0.001, 0.2)

    def _arrive(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        arrived: asyncio.Future[Reply | None],
    ) -> None:
        """The call is here, whether or not the gateway still waits for its answer."""
        world, moods = self.world, self.moods
        self.ledger.calls += 1
        if method == "GET" and (request_id := _named(target)) in self.ledger.requests:
            self.ledger.read(request_id, world.now)
        if moods.outage == "silent" or world.might(moods.silent / 2):
            return
        if world.might(moods.lost_before):
            world.later(self._way(), _resolve, arrived, None)
            return
        reply = self._trouble(method) or self._answer(method, target, headers, body)
        if world.might(moods.silent / 2):
            return
        if world.might(moods.lost_after):
            world.tell("an answer is lost:", method, target)
            world.later(self._way(), _resolve, arrived, None)
            return
        if world.might(moods.error_after):
            reply = _reply(502, {"detail": "bad gateway"}, self._date())
        if world.might(moods.rubbish):
            reply = Reply(reply.status, reply.headers, reply.body[: len(reply.body) // 2])
        world.later(self._way(), _resolve, arrived, reply)

    # -- The service ---------------------------------------------------------------------------------------------------

    def _trouble(self, method: str) -> Reply | None:
        """What it answers instead of doing anything."""
        moods = self.moods
        if moods.outage == "503" or self.world.might(moods.error):
            status = 503 if moods.outage else self.world.chance.choice((500, 502, 503, 504))
            return _reply(status, {"detail": "trouble"}, self._date())
        if moods.outage == "429":
            return _reply(429, {"code": "account_queue_full", "detail": "full"}, self._date(), {"retry-after": "7"})
        return None

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        path, _, query = target.partition("?")
        if request_id := _named(target):
            return self._about(self.ledger.requests.get(request_id), method)
        if method == "POST":
            return self._submission(path, query, headers, body)
        return _reply(404, {"detail": "Not found"}, self._date())

    def _about(self, request: Request | None, method: str) -> Reply:
        now, moods, date = self.world.now, self.moods, self._date()
        if moods.outage == "404" or self.world.might(moods.missing):
            if request is not None:
                self.ledger.missing_told.append((now, request.id))
            request = None
        if request is None:
            return _reply(404, {"detail": "Not found"}, date)
        if method == "DELETE":
            request.deleted_at = now
            self.world.tell("deleted", request.id)
            return _reply(200, {}, date)
        if method == "POST":
            if request.status(now) != "queued":
                return _reply(400, {"detail": "too late"}, date)
            request.canceled_at = now
            self.world.tell("canceled", request.id)
            return Reply(202, {"date": date}, b"")
        return self._status(request)

    def _status(self, request: Request) -> Reply:
        return _reply(200, self._shown(request), self._date())

    def _shown(self, request: Request) -> dict[str, object]:
        status = request.status(self.world.now)
        if request.api == "v1":
            job: dict[str, object] = {"id": request.id, "status": status}
            if status == "completed":
                job["results"] = {"raw": {"type": "image", "url": request.url}}
            return {"id": request.id, "type": "text2image_soul", "jobs": [job]}
        shown: dict[str, object] = {"status": status, "request_id": request.id}
        if status == "completed" and request.deleted_at is None:
            shown["images"] = [{"url": request.url}]
        if status == "failed":
            shown["error"] = "it failed"
        return shown

    def _submission(self, path: str, query: str, headers: dict[str, str], body: bytes) -> Reply:
        world, moods, now, date = self.world, self.moods, self.world.now, self._date()
        api = "v1" if path.startswith("/v1/") else "v2"
        key = headers.get("idempotency-key", "")
        if world.might(moods.refusal):
            status, detail = world.chance.choice(REFUSALS)
            return _reply(status, {"detail": detail}, date)
        known = self._keys.get(key)
        if known is not None and now - known[2] <= moods.keys_kept:
            if known[1] != body:
                return _reply(422, {"detail": "the key was used with other content"}, date)
            return self._status(self.ledger.requests[known[0]])
        prompt = _prompt(body, api)
        running = sum(one.status(now) in {"queued", "in_progress"} for one in self.ledger.requests.values())
        if moods.limit and running >= moods.limit:
            detail = f"Maximum number of concurrent requests ({moods.limit}) has been reached"
            return _reply(400, {"detail": detail}, date)
        request = self._accept(api, prompt, query, body)
        if key:
            self._keys[key] = (request.id, body, now)
        return self._status(request)

    def _accept(self, api: str, prompt: str, query: str, body: bytes) -> Request:
        world, moods, chance = self.world, self.moods, self.world.chance
        starts_at = world.now + world.between(0.05, moods.queue_most)
        end = chance.choices(("completed", "failed", "nsfw"), (8, 1, 1))[0]
        request = Request(
            id=str(UUID(int=chance.getrandbits(128), version=4)),
            api=api,
            prompt=prompt,
            accepted_at=world.now,
            starts_at=starts_at,
            ends_at=starts_at + world.between(moods.run_least, moods.run_most),
            end=end,
        )
        if api == "v2":
            request.webhook = parse_qs(query).get("hf_webhook", [""])[0]
        else:
            hook = json.loads(body).get("webhook") or {}
            request.webhook, request.webhook_secret = hook.get("url", ""), hook.get("secret", "")
        self.ledger.requests[request.id] = request
        world.tell("accepted", prompt, request.id)
        if request.webhook:
            world.later(request.ends_at - world.now, self._report, request)
        return request

    # -- Webhooks ------------------------------------------------------------------------------------------------------

    def _report(self, request: Request) -> None:
        if request.canceled_at is not None or self.world.might(self.moods.webhook_lost):
            return
        for _ in range(2 if self.world.might(self.moods.webhook_twice) else 1):
            self.world.outside(self._deliver_until_taken(request))

    async def _deliver_until_taken(self, request: Request) -> None:
        body = json.dumps(self._shown(request)).encode()
        ended = self.world.now
        for pause in WEBHOOK_PAUSES:
            await self.world.sleep(max(ended + pause - self.world.now, 0.0) + self._way())
            status = await self._deliver(request.webhook, self._proof(request, body), body)
            self.world.tell("webhook", request.id, status)
            self.ledger.deliveries += 1
            if 400 <= status < 500:
                self.ledger.refused_deliveries.append((self.world.now, request.id, status))
            if 200 <= status < 500:
                return

    def _proof(self, request: Request, body: bytes) -> dict[str, str]:
        headers = {"content-type": JSON}
        if request.webhook_secret:
            headers["x-webhook-secret-key"] = request.webhook_secret
        if self.moods.signs:
            sent = str(int(self.world.now))
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            mac = hmac.digest(key, f"{request.id}.{sent}.".encode() + body, hashlib.sha256)
            headers |= {
                "webhook-id": request.id,
                "webhook-timestamp": sent,
                "webhook-signature": "v1," + base64.b64encode(mac).decode(),
            }
        return headers

    def _date(self) -> str:
        return formatdate(self.world.now, usegmt=True)


class _Transport:
    """Stands in the place of the gateway's transport."""

    def __init__(self, higgsfield: Higgsfield) -> None:
        self._higgsfield = higgsfield
        self.real = self

    async def exchange(
        self,
        method: str,
        url: httpx.URL,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connect: float,
        most: int,
    ) -> Reply:
        return await self._higgsfield.exchange(method, target, headers, body, connect)

    async def aclose(self) -> None:
        """There is nothing to close."""


def _prompt(body: bytes, api: str) -> str:
    content = json.loads(body)
    return str((content["params"] if api == "v1" else content)["prompt"])


def _named(target: str) -> str:
    """Return the id of the request in a path; an empty string if it is about none."""
    match target.partition("?")[0].strip("/").split("/"):
        case ["requests", request_id, *_] | ["v1", "job-sets", request_id, *_]:
            return request_id
    return ""


def _reply(status: int, content: object, date: str, headers: Mapping[str, str] | None = None) -> Reply:
    sent = {"content-type": JSON, "date": date, **(headers or {})}
    return Reply(status, sent, json.dumps(content).encode())


def _resolve(future: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    if not future.done():
        future.set_result(reply)
