"""A model of the Higgsfield API with a ledger of its charges, and of the network between it and the gateway."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from urllib.parse import parse_qs
from uuid import UUID

import httpx

from gateway.higgsfield.late_transport import LateTransport
from gateway.higgsfield.request_context import send_check, sending
from gateway.higgsfield.transport import Reply
from tests.simulation.loop import CURRENT_PROCESS, Process
from tests.simulation.world import DAY, HOUR, MINUTE, World

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()
WEBHOOK_RETRY_TIMES = (0.0, 5.0, 30.0, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR)
"""Seconds after the end of a request at which its webhook is sent, until the gateway confirms or rejects it."""
KEY_ID = "key"
"""The id of the API key of the gateway's settings."""
JSON = "application/json"
CHARACTERS = "/v1/custom-references"
SESSIONS = "/v1/agent/sessions"
LONGEST_TURN = 60.0
"""Seconds for which an agent works on a message, at most. Meanwhile its session is busy."""
MAX_STATUS_CALLS = 30
"""The limit of status calls for one request in ten seconds. A gateway that exceeds it polls in a busy loop."""
REFUSALS = ((403, "not_enough_credits"), (422, "no"), (423, "blocked"), (400, "bad"), (401, "Invalid credentials"))

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Sends a webhook with headers and body to a URL; returns the HTTP status, or 0 if there was no response."""


@dataclass
class Request:
    """A request that Higgsfield accepted and charged. All times are true times."""

    id: str
    api: str
    """"v1" or "v2"."""
    prompt: str
    """The idempotency key of the caller, which identifies the submission."""
    starts_at: float
    ends_at: float
    end: str
    """The final status, unless it is canceled."""
    account: str = ""
    """The account that was charged. The others know nothing of the request."""
    webhook: str = ""
    """The URL for its webhook; empty if there is none."""
    webhook_secret: str = ""
    """Sent back in a header (v1 only)."""
    canceled_at: float | None = None
    deleted_at: float | None = None
    """When its data was deleted."""

    def status(self, now: float) -> str:
        """Return the status at a true time."""
        if self.canceled_at is not None:
            return "canceled"
        return "queued" if now < self.starts_at else "in_progress" if now < self.ends_at else self.end

    @property
    def url(self) -> str:
        """The URL of the output."""
        return f"https://files.example/{self.id}.png"


@dataclass
class TrainedCharacter:
    """A character that Higgsfield trains and has charged."""

    id: str
    name: str
    image_url: str
    """The URL of its image, which contains the idempotency key of the caller."""
    version: str
    created_at: float
    """The true time."""
    account: str
    ends_at: float

    def body(self, now: float) -> dict[str, object]:
        """Return what Higgsfield says of it at a true time."""
        created = datetime.fromtimestamp(self.created_at, UTC).isoformat().replace("+00:00", "Z")
        status = "in_progress" if now < self.ends_at else "completed"
        return {
            "id": self.id, "name": self.name, "model_version": self.version, "status": status, "created_at": created,
            "thumbnail_url": None,
        }  # fmt: skip


@dataclass
class Text:
    """A message to an agent that Higgsfield accepted and charged."""

    id: str
    session_id: str
    text: str
    answered_at: float
    """The true time until which the session is busy."""


@dataclass
class Post:
    """A POST of the gateway with a submission. All times are true times."""

    prompt: str
    started_at: float
    process: int
    """The number of the process that made it."""
    sent: bool = False
    """Whether the gateway sent the first byte."""
    sent_at: float | None = None
    """When it did."""
    response_received: bool = False
    aborted_at: float | None = None
    """When the gateway canceled the call, if it did."""


@dataclass
class UpstreamBehaviour:
    """How Higgsfield and the network behave. The first group are probabilities of a fault in one call or webhook."""

    refused_connection: float = 0.0
    """The connection is refused, or the gateway's connect timeout expires."""
    hanging_lookup: float = 0.0
    """The DNS lookup hangs for ten hours."""
    request_lost: float = 0.0
    response_lost: float = 0.0
    no_response: float = 0.0
    """The request or the response is dropped, and the connection stays open."""
    server_error: float = 0.0
    """A 5xx response instead of any work."""
    server_error_after: float = 0.0
    """A 5xx response after the work was done."""
    truncated_body: float = 0.0
    refusal: float = 0.0
    """A submission is refused with one of REFUSALS."""
    false_404: float = 0.0
    """A 404 for a request that exists."""
    slow_network: float = 0.0
    """A message takes seconds to minutes instead of milliseconds."""
    repeated_message: float = 0.0
    """A proxy sends a message to an agent twice. The second is refused, because the first keeps the session busy."""
    webhook_lost: float = 0.0
    webhook_duplicated: float = 0.0

    concurrency_limit: int = 0
    """Requests that may be queued or running at once; 0 means no limit."""
    max_queue_time: float = 20.0
    """Seconds from acceptance to the start, at most."""
    min_run_time: float = 0.5
    max_run_time: float = 120.0
    """Seconds from the start to the end."""
    key_retention: float = DAY
    """Seconds for which idempotency keys are remembered."""
    signs_webhooks: bool = False
    outage: str = ""
    """The present outage, which affects every call. One of: "refuses" (connections), "silent" (no response), "503",
    "429", "404" (to calls about a request); empty if there is none."""


@dataclass
class Ledger:
    """What happened at Higgsfield. The checker compares it with what callers were shown."""

    requests: dict[str, Request] = field(default_factory=dict)
    """The accepted requests, by id. Each is a charge."""
    characters: dict[str, TrainedCharacter] = field(default_factory=dict)
    """By id. Each is a charge."""
    sessions: dict[str, str] = field(default_factory=dict)
    """The sessions of agents, by id, with their accounts. They cost nothing."""
    texts: list[Text] = field(default_factory=list)
    """The messages to agents, in the order of their acceptance. Each is a charge."""
    posts: list[Post] = field(default_factory=list)
    rejected_deliveries: list[tuple[float, str, int]] = field(default_factory=list)
    """Time, request id and status of each webhook to which the gateway responded with 4xx."""
    status_calls: dict[str, deque[float]] = field(default_factory=dict)
    """The times of the last MAX_STATUS_CALLS status calls for each request."""
    polled_too_often: set[str] = field(default_factory=set)
    """The ids of requests with more than MAX_STATUS_CALLS status calls in ten seconds."""

    def characters_of(self, key: str) -> list[TrainedCharacter]:
        """Return the characters that were trained for the caller of this key."""
        return [one for one in self.characters.values() if one.image_url.endswith(f"/{key}.png")]

    def count_status_call(self, request_id: str, now: float) -> None:
        """Count a status call for a request at a true time."""
        times = self.status_calls.setdefault(request_id, deque(maxlen=MAX_STATUS_CALLS))
        if len(times) == MAX_STATUS_CALLS and now - times[0] < 10.0:
            self.polled_too_often.add(request_id)
        times.append(now)


class Higgsfield:
    """The simulated API: responds to calls, runs requests and sends webhooks with `deliver`."""

    def __init__(self, world: World, behaviour: UpstreamBehaviour, deliver: Deliver) -> None:
        self.world = world
        self.behaviour = behaviour
        self.ledger = Ledger()
        self.on_submit: Callable[[], None] = lambda: None
        """Called when the gateway sends the first byte of a submission."""
        self.refused_keys: set[str] = set()
        """The ids of the API keys that are refused."""
        self._deliver = deliver
        self._keys: dict[tuple[str, str], tuple[str, bytes, float]] = {}

    def transport(self, headers: Mapping[str, str], proxy: str | None) -> LateTransport:
        """Return a transport that takes the place of the gateway's HTTP transport."""
        return _Transport(self, headers)  # type: ignore[return-value]

    def request_elsewhere(self, prompt: str, api: str) -> Request:
        """Accept a request that was made without the gateway."""
        body: dict[str, object] = {"prompt": prompt}
        return self._accept("", json.dumps({"params": body} if api == "v1" else body).encode(), KEY_ID)

    # -- The network ---------------------------------------------------------------------------------------------------

    async def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, connect: float
    ) -> Reply:
        """Make a call of the gateway over the simulated network, and return the response.

        `connect` is the connect timeout in seconds. Raises httpx.TransportError if the network fails.
        """
        world = self.world
        post = self._post(method, target, body)
        try:
            process = CURRENT_PROCESS.get()
            await self._connect(connect, process)
            may_send = send_check.get()
            if may_send is not None and not may_send():
                raise httpx.ConnectTimeout("the send check refused it")
            if post is not None:
                post.sent, post.sent_at = True, world.now
            if sending.get() in {"submit call", "train call", "agent message call"}:
                self.on_submit()
            response: asyncio.Future[Reply | None] = world.loop.create_future()
            world.call_later(
                self._latency(), partial(self._receive, process=process), method, target, dict(headers), body, response
            )
            reply = await response
            if reply is None:
                raise httpx.ReadError("the connection broke")
            if post is not None:
                post.response_received = True
            return reply
        except (asyncio.CancelledError, GeneratorExit):
            if post is not None:
                post.aborted_at = world.now
            raise
        finally:
            if post is not None:
                world.record("post ended", post.prompt, f"sent={post.sent}", f"response={post.response_received}")

    def _post(self, method: str, target: str, body: bytes) -> Post | None:
        if sending.get() != "submit call":
            return None
        process = CURRENT_PROCESS.get()
        post = Post(_prompt(body), self.world.now, 0 if process is None else process.number)
        self.ledger.posts.append(post)
        self.world.record("post", post.prompt)
        return post

    async def _connect(self, connect: float, process: Process | None) -> None:
        world, behaviour = self.world, self.behaviour
        await self.world.sleep(self._latency())
        if process is not None and process.cut_off:
            await self.world.sleep(connect)
            raise httpx.ConnectTimeout("no connection in time")
        if world.draw_fault(behaviour.hanging_lookup):
            await self.world.sleep(10 * HOUR)  # the connect timeout does not cover the lookup
        if behaviour.outage == "refuses" or world.draw_fault(behaviour.refused_connection):
            if world.rng.random() < 0.5:
                raise httpx.ConnectError("refused")
            await self.world.sleep(connect)
            raise httpx.ConnectTimeout("no connection in time")

    def _latency(self) -> float:
        slow_network = self.world.draw_fault(self.behaviour.slow_network)
        return self.world.log_uniform(1.0, 90.0) if slow_network else self.world.log_uniform(0.001, 0.2)

    def _receive(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        response: asyncio.Future[Reply | None],
        *,
        process: Process | None,
    ) -> None:
        """Receive a call, even if the gateway no longer waits for the response."""
        world, behaviour = self.world, self.behaviour
        if method == "GET" and (request_id := _request_id_in(target)) in self.ledger.requests:
            self.ledger.count_status_call(request_id, world.now)
        if (
            behaviour.outage == "silent"
            or (process is not None and process.cut_off)
            or world.draw_fault(behaviour.no_response / 2)
        ):
            return
        if world.draw_fault(behaviour.request_lost):
            world.call_later(self._latency(), _resolve, response, None)
            return
        reply = self._error_response(method) or self._respond(method, target, headers, body)
        if world.draw_fault(behaviour.no_response / 2):
            return
        if world.draw_fault(behaviour.response_lost):
            world.record("response lost:", method, target)
            world.call_later(self._latency(), _resolve, response, None)
            return
        if world.draw_fault(behaviour.server_error_after):
            reply = _reply(502, {"detail": "bad gateway"}, self._date())
        if world.draw_fault(behaviour.truncated_body):
            reply = Reply(reply.status, reply.headers, reply.body[: len(reply.body) // 2])
        world.call_later(self._latency(), _resolve, response, reply)

    # -- The service ---------------------------------------------------------------------------------------------------

    def _error_response(self, method: str) -> Reply | None:
        """Return an error response that replaces any work; None if there is no such fault."""
        behaviour = self.behaviour
        if behaviour.outage == "503" or self.world.draw_fault(behaviour.server_error):
            status = 503 if behaviour.outage else self.world.rng.choice((500, 502, 503, 504))
            return _reply(status, {"detail": "trouble"}, self._date())
        if behaviour.outage == "429":
            return _reply(429, {"code": "account_queue_full", "detail": "full"}, self._date(), {"retry-after": "7"})
        return None

    def _respond(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        query = target.partition("?")[2]
        if _key_id(headers) in self.refused_keys:
            return _reply(401, {"detail": "Invalid credentials"}, self._date())
        if target.startswith(CHARACTERS):
            return self._respond_about_characters(method, target, headers, body)
        if target.startswith(SESSIONS):
            return self._respond_about_sessions(method, target, headers, body)
        if request_id := _request_id_in(target):
            request = self.ledger.requests.get(request_id)
            known = request is not None and request.account == _account(headers)
            return self._respond_about(request if known else None, method)
        if target.startswith("/estimate/"):
            return _reply(200, {"type": "estimate", "credits": price_of(_prompt(body)), "usd": "0.1"}, self._date())
        if method == "POST":
            return self._submit(query, headers, body)
        return _reply(404, {"detail": "Not found"}, self._date())

    def _respond_about(self, request: Request | None, method: str) -> Reply:
        now, behaviour, date = self.world.now, self.behaviour, self._date()
        if behaviour.outage == "404" or self.world.draw_fault(behaviour.false_404):
            request = None
        if request is None:
            return _reply(404, {"detail": "Not found"}, date)
        if method == "DELETE":
            request.deleted_at = now
            self.world.record("deleted", request.id)
            return _reply(200, {}, date)
        if method == "POST":
            if request.status(now) != "queued":
                return _reply(400, {"detail": "too late"}, date)
            request.canceled_at = now
            self.world.record("canceled", request.id)
            return Reply(202, {"date": date}, b"")
        return self._status_response(request)

    def _respond_about_characters(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        world, account, date = self.world, _account(headers), self._date()
        own = {name: one for name, one in self.ledger.characters.items() if one.account == account}
        name = target.partition("?")[0].removeprefix(CHARACTERS).strip("/")
        if method == "POST":
            return self._train(body, account)
        if name == "list":
            page = int(parse_qs(target.partition("?")[2])["page"][0])
            shown = sorted(own.values(), key=lambda one: -one.created_at)
            items = [one.body(world.now) for one in shown[20 * (page - 1) : 20 * page]]
            return _reply(200, {"total": len(shown), "total_pages": max(-(-len(shown) // 20), 1), "items": items}, date)
        if name not in own or world.draw_fault(self.behaviour.false_404):
            return _reply(404, {"detail": "Not found"}, date)
        return _reply(200, own[name].body(world.now), date)

    def _respond_about_sessions(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        world, account, date = self.world, _account(headers), self._date()
        path, _, query = target.removeprefix(SESSIONS).partition("?")
        if not path:
            name = str(UUID(int=world.rng.getrandbits(128), version=4))
            self.ledger.sessions[name] = account
            return _reply(201, {"session_id": name, "status": "idle"}, date)
        name = path.split("/")[1]
        if self.ledger.sessions.get(name) != account or world.draw_fault(self.behaviour.false_404):
            return _reply(404, {"detail": "Not found"}, date)
        texts = [one for one in self.ledger.texts if one.session_id == name]
        busy = bool(texts) and world.now < texts[-1].answered_at
        if method == "POST":
            return _reply(409, {"detail": "session_busy"}, date) if busy else self._take_text(name, body)
        after = parse_qs(query).get("after", [""])[0]
        place = next((place for place, one in enumerate(texts, 1) if one.id == after), 0)
        messages = [
            {"message_id": one.id, "role": "user", "status": "completed", "message": {"text": one.text}}
            for one in texts[place:]
        ]
        return _reply(200, {"status": "processing" if busy else "idle", "messages": messages}, date)

    def _take_text(self, session_id: str, body: bytes) -> Reply:
        world = self.world
        if world.draw_fault(self.behaviour.refusal):
            status, detail = world.rng.choice(REFUSALS)
            return _reply(status, {"detail": detail}, self._date())
        name = str(UUID(int=world.rng.getrandbits(128), version=4))
        text = Text(name, session_id, json.loads(body)["content"], world.now + world.log_uniform(0.1, LONGEST_TURN))
        self.ledger.texts.append(text)
        world.record("message", text.text, name)
        if world.draw_fault(self.behaviour.repeated_message):
            return _reply(409, {"detail": "session_busy"}, self._date())
        return _reply(202, {"message_id": name, "status": "processing"}, self._date())

    def _train(self, body: bytes, account: str) -> Reply:
        world, wanted = self.world, json.loads(body)
        if world.draw_fault(self.behaviour.refusal):
            status, detail = world.rng.choice(REFUSALS)
            return _reply(status, {"detail": detail}, self._date())
        character = TrainedCharacter(
            id=str(UUID(int=world.rng.getrandbits(128), version=4)),
            name=wanted["name"],
            image_url=wanted["input_images"][0]["image_url"],
            version=wanted["model_version"],
            created_at=world.now,
            account=account,
            ends_at=world.now + world.log_uniform(1.0, 10 * MINUTE),
        )
        self.ledger.characters[character.id] = character
        world.record("trains", character.image_url, character.id)
        return _reply(200, character.body(world.now), self._date())

    def _status_response(self, request: Request) -> Reply:
        return _reply(200, self._status_body(request), self._date())

    def _status_body(self, request: Request) -> dict[str, object]:
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

    def _submit(self, query: str, headers: dict[str, str], body: bytes) -> Reply:
        world, behaviour, now, date = self.world, self.behaviour, self.world.now, self._date()
        key = (_key_id(headers), headers.get("idempotency-key", ""))  # nothing says that API keys share them
        if world.draw_fault(behaviour.refusal):
            status, detail = world.rng.choice(REFUSALS)
            return _reply(status, {"detail": detail}, date)
        known = self._keys.get(key)
        if known is not None and now - known[2] <= behaviour.key_retention:
            if known[1] != body:
                return _reply(422, {"detail": "the key was used with other content"}, date)
            return self._status_response(self.ledger.requests[known[0]])
        mine = [one for one in self.ledger.requests.values() if one.account == _account(headers)]
        running = sum(one.status(now) in {"queued", "in_progress"} for one in mine)
        if behaviour.concurrency_limit and running >= behaviour.concurrency_limit:
            detail = f"Maximum number of concurrent requests ({behaviour.concurrency_limit}) has been reached"
            return _reply(400, {"detail": detail}, date)
        request = self._accept(query, body, _account(headers))
        if key[1]:
            self._keys[key] = (request.id, body, now)
        return self._status_response(request)

    def _accept(self, query: str, body: bytes, account: str) -> Request:
        api, prompt = _api(body), _prompt(body)
        world, behaviour, rng = self.world, self.behaviour, self.world.rng
        starts_at = world.now + world.log_uniform(0.05, behaviour.max_queue_time)
        end = rng.choices(("completed", "failed", "nsfw"), (8, 1, 1))[0]
        request = Request(
            id=str(UUID(int=rng.getrandbits(128), version=4)),
            api=api,
            prompt=prompt,
            starts_at=starts_at,
            ends_at=starts_at + world.log_uniform(behaviour.min_run_time, behaviour.max_run_time),
            end=end,
            account=account,
        )
        if api == "v2":
            request.webhook = parse_qs(query).get("hf_webhook", [""])[0]
        else:
            hook = json.loads(body).get("webhook") or {}
            request.webhook, request.webhook_secret = hook.get("url", ""), hook.get("secret", "")
        self.ledger.requests[request.id] = request
        world.record("accepted", prompt, request.id)
        if request.webhook:
            world.call_later(request.ends_at - world.now, self._send_webhook, request)
        return request

    # -- Webhooks ------------------------------------------------------------------------------------------------------

    def _send_webhook(self, request: Request) -> None:
        if request.canceled_at is not None or self.world.draw_fault(self.behaviour.webhook_lost):
            return
        for _ in range(2 if self.world.draw_fault(self.behaviour.webhook_duplicated) else 1):
            self.world.spawn(self._deliver_with_retries(request))

    async def _deliver_with_retries(self, request: Request) -> None:
        body = json.dumps(self._status_body(request)).encode()
        ended = self.world.now
        for pause in WEBHOOK_RETRY_TIMES:
            await self.world.sleep(max(ended + pause - self.world.now, 0.0) + self._latency())
            status = await self._deliver(request.webhook, self._webhook_headers(request, body), body)
            self.world.record("webhook", request.id, status)
            if 400 <= status < 500:
                self.ledger.rejected_deliveries.append((self.world.now, request.id, status))
            if 200 <= status < 500:
                return

    def _webhook_headers(self, request: Request, body: bytes) -> dict[str, str]:
        headers = {"content-type": JSON}
        if request.webhook_secret:
            headers["x-webhook-secret-key"] = request.webhook_secret
        if self.behaviour.signs_webhooks:
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
    """Implements the interface of LateTransport on the simulated network."""

    def __init__(self, higgsfield: Higgsfield, headers: Mapping[str, str]) -> None:
        self._higgsfield = higgsfield
        self._headers = headers
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
        max_bytes: int,
    ) -> Reply:
        return await self._higgsfield.exchange(method, target, {**self._headers, **headers}, body, connect)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


def price_of(prompt: str) -> str:
    """Return the credits of a request."""
    return f"{1 + len(prompt) % 2}.{sum(prompt.encode()) % 1000:03}"


def _key_id(headers: Mapping[str, str]) -> str:
    """Return the id of the API key of a call."""
    return headers["Authorization"].removeprefix("Key ").partition(":")[0]


def _account(headers: Mapping[str, str]) -> str:
    """Return the account of a call. API keys whose ids differ only in their number have the same one."""
    return _key_id(headers).partition("-")[0]


def _api(body: bytes) -> str:
    """Return the API version by the form of a body."""
    return "v1" if "params" in json.loads(body) else "v2"


def _prompt(body: bytes) -> str:
    content = json.loads(body)
    return str(content.get("params", content)["prompt"])


def _request_id_in(target: str) -> str:
    """Return the request id in a path, or an empty string if the path has none."""
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
