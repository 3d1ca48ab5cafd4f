"""Higgsfield's REST API with one account's credentials. They are sent to the configured origin only."""

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

import httpx

from gateway import failpoints
from gateway.concurrency import Signals
from gateway.errors import GatewayError, Reason, Violation, upstream_unavailable
from gateway.generations.inputs import Input, only_v1
from gateway.generations.model import (
    Generation,
    GenerationId,
    InputKind,
    PreparedRequest,
    RequestId,
    StatusReport,
    UpstreamCall,
    UpstreamKey,
    Wall,
)
from gateway.generations.ports import Estimate, MaybeTaken, Outcome, Prepared, Taken, WebhookAddress
from gateway.generations.stores import Removal
from gateway.headers import parse_http_date
from gateway.higgsfield import v1, v2
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.errors import (
    Response,
    UnreadResponseError,
    capped_retry_after,
    is_foreign,
    is_not_found,
    is_page,
    judge_call,
    judge_submission,
    judge_submission_error,
    unresolved_failure,
)
from gateway.higgsfield.jobsets import read_job_set
from gateway.higgsfield.json_values import collect_extra, parse_object
from gateway.higgsfield.late_transport import LateTransport, TransportFrom
from gateway.higgsfield.payloads import EstimateResponse, read_amount, read_request_id, read_status, uuid_of
from gateway.higgsfield.redact import redacted
from gateway.higgsfield.request_context import SendCheck, send_check, sending

log = logging.getLogger(__name__)

MAX_RESPONSE_BYTES = 1 << 20
MAX_CATALOG_BYTES = 8 << 20
"""The most bytes of a catalog. One response has hundreds of models with their schemas."""
CONNECT_TIMEOUT = 10.0
_PATH = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+")
JSON_HEADERS = {"content-type": "application/json"}
OnCall = Callable[[str, GenerationId | None, UpstreamCall], None]
"""Receives the name of each call, its generation if it has one, and its outcome."""
NO_REQUEST_PATH = f"/requests/{UUID(int=0)}/status"
"""The path of a call that is free: its response has a date, and shows whether Higgsfield accepts the credentials."""
NOT_SERVED = (404, 405)
"""The statuses of a path or an id that Higgsfield does not serve."""
UPLOAD_REFUSALS = frozenset({Reason.UPSTREAM_UNAVAILABLE, Reason.UPSTREAM_CREDENTIALS_REFUSED})
LAST_DATE = 253_370_764_799.0
"""The end of the year 9998, in seconds since the epoch: the calendar ends before the month that follows a later one."""
LAST_READ_TIMEOUT = 0.05
"""Seconds for a last read of the socket after the timeout: a response may be there if the event loop stalled."""


class HiggsfieldClient:
    """The client for one origin and one account.

    `timeout` is the total time of a call, in seconds. `proxy` is the URL of the proxy if there is one.
    """

    def __init__(
        self,
        origin: str,
        credentials: Credentials,
        *,
        timeout: float = 60.0,
        on_call: OnCall | None = None,
        proxy: str | None = None,
        transport: TransportFrom = LateTransport,
    ) -> None:
        self.origin = origin.rstrip("/")
        """The origin of all requests."""
        self._base = httpx.URL(self.origin)
        self.account = credentials.account
        """The id of the credentials."""
        self.secrets = credentials.secrets
        """The secrets to remove from Higgsfield's texts."""
        self._timeout = timeout
        self._on_call = on_call
        self._on_date: Callable[[Wall | None], None] | None = None
        self._last_date = ""
        self.credentials_accepted: bool | None = None
        """What the newest response says about the credentials; None if none has shown it."""
        self.logs_credentials = True
        """Whether to log when Higgsfield begins to accept or to refuse the credentials."""
        self.credentials_were_accepted = False
        """Whether a response has shown that the credentials are valid, even if a later one refused them."""
        self._connect_within = min(CONNECT_TIMEOUT, timeout)
        self._calls = 0
        self._idle = Signals()
        headers = {
            "Authorization": credentials.header,
            "User-Agent": "hfgateway",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        # The transport is used without httpx.AsyncClient: its cookies, redirects, proxies and authentication are not
        # wanted here, and it would double the cost of a call.
        self._transport = transport(headers, proxy)

    def prepare(
        self, given: Input, key: UpstreamKey, outputs_ttl: float | None, webhook: WebhookAddress | None
    ) -> Prepared:
        """Return the exact request for a submission. Makes no call.

        The form of the request does not follow from its path: Higgsfield's older documentation has v1
        endpoints that do not begin with /v1/.
        """
        if only_v1(given) is not None:
            return self._prepare_v1(given, key, webhook)
        model_id = v2.model_id(given)
        headers = {**JSON_HEADERS, "idempotency-key": key}
        if outputs_ttl is not None:
            headers["hf-expires-after"] = str(int(outputs_ttl))
        request = PreparedRequest(
            account=self.account,
            origin=self.origin,
            path=f"/{model_id}",
            query="" if webhook is None else urlencode({"hf_webhook": webhook.url}),
            headers=headers,
            body=v2.body(given),
            key=key,
            kind=v2.kind(given),
        )
        return Prepared(model_id, "v2", v2.outputs(given), request)

    def _prepare_v1(self, given: Input, key: UpstreamKey, webhook: WebhookAddress | None) -> Prepared:
        model_id = v1.model_id(given)
        request = PreparedRequest(
            account=self.account,
            origin=self.origin,
            path=f"/{model_id}",
            query="",
            headers=JSON_HEADERS,
            body=v1.body(given, webhook),
            key=key,
            kind=v1.kind(given),
        )
        return Prepared(model_id, "v1", v1.outputs(given), request)

    async def submit(self, request: PreparedRequest, may_send: Callable[[], bool]) -> Outcome:
        """POST a prepared request once. `may_send` is called right before the first byte."""
        try:
            with unsent_before_check(may_send):
                response = await self.call(
                    "POST",
                    request.path,
                    request.body,
                    request.query,
                    headers=request.headers,
                    name="submit call",
                    about=GenerationId(request.key),
                )
        except httpx.TransportError as error:
            return judge_submission_error(error)
        if response.succeeded:
            report = self._read_receipt(response, v1=request.kind in v1.KINDS)
            if report is not None:
                return Taken(report)
            named = read_request_id(response.body) or read_request_id(response.body, "id")
            failure = unresolved_failure(response, self.secrets)
            return MaybeTaken(failure, is_complete=False, request_id=named)
        return judge_submission(response, request.kind, self.secrets)

    async def status(self, generation: Generation, request_id: RequestId | None = None) -> StatusReport | None:
        """Return the status of the generation's request, or of another one, by the API of the generation.

        None for a 404. Raises GatewayError. The job set of a generation is also read under the path of v2 if v1 does
        not serve it; a user saw that work.
        """
        if request_id is None:
            request_id = generation.request_id
        read = read_status
        path = _request_path(request_id, "/status")
        if generation.spec.api == "v2":
            response = await self.call_uncharged("GET", path, name="status call", about=generation.id)
        else:
            job_set = f"/v1/job-sets/{_plain_id(request_id)}"
            response = await self.call_uncharged("GET", job_set, name="status call", about=generation.id)
            if response.status in NOT_SERVED and request_id == generation.request_id:
                # Job sets were observed there as well, but without the status of each job. A job set and a request look
                # the same there, so only the generation's own id is looked up.
                response = await self.call_uncharged("GET", path, name="status call", about=generation.id)
            else:
                read = read_job_set
        if is_not_found(response):
            return None
        if response.status != 200:
            raise judge_call(response, InputKind.NONE, self.secrets)
        report = read(response.body, response.correlation_id, self.secrets)
        if report is None or report.request_id != request_id:
            raise upstream_unavailable("Higgsfield's status response could not be read")
        return report

    async def cancel(self, generation: Generation, request_id: RequestId | None = None) -> None:
        """Ask Higgsfield to cancel the generation's request, or another one of the account.

        The response proves nothing. Raises GatewayError for 429 or no response.
        """
        path = _request_path(generation.request_id if request_id is None else request_id, "/cancel")
        response = await self.call_uncharged("POST", path, name="cancel call", about=generation.id)
        if response.status == 429:
            raise judge_call(response, InputKind.NONE, self.secrets)

    async def delete(self, removal: Removal) -> None:
        """Delete the data of the requests at Higgsfield. A 404 means that it is deleted. Raises GatewayError."""
        for request_id in filter(None, (removal.request_id, removal.stray_request_id)):
            response = await self.call_uncharged("DELETE", _request_path(request_id, ""), name="delete call")
            if not (response.succeeded or is_not_found(response)):
                raise judge_call(response, InputKind.NONE, self.secrets)

    async def estimate(self, given: Input) -> Estimate:
        """Return the price of an input for this account. Raises GatewayError."""
        response = await self.call_uncharged(
            "POST", f"/estimate/{v2.model_id(given)}", v2.body(given), name="estimate call"
        )
        if response.status != 200:
            raise judge_call(response, v2.kind(given), self.secrets)
        content = parse_object(response.body)
        if not any(name in content for name in EstimateResponse.model_fields):  # an error with the status of a success
            raise upstream_unavailable("Higgsfield's estimate has no price")
        try:
            price = EstimateResponse.model_validate(content)
        except ValueError as error:
            raise upstream_unavailable("Higgsfield's estimate could not be read") from error
        shown = {
            "credits": read_amount(price.credits),
            "usd": read_amount(price.usd),
            "pricing_description": redacted(price.pricing_description or "", self.secrets),
        }
        taken = [(name,) for name, text in shown.items() if content.get(name) == text]
        return Estimate(
            credits=shown["credits"],
            usd=shown["usd"],
            description=shown["pricing_description"],
            extra=collect_extra(content, taken, self.secrets),
        )

    async def upload_slot(self, content_type: str) -> bytes:
        """Return the response to a request for an upload slot. Raises GatewayError; its field is `content_type`."""
        body = json.dumps({"content_type": content_type}).encode()
        response = await self.call_uncharged("POST", "/files/generate-upload-url", body, name="upload call")
        if response.status == 200:
            return response.body
        error = judge_call(response, InputKind.NONE, self.secrets)
        if error.failure.reason is Reason.INPUT_REFUSED:
            violation = Violation("content_type", error.failure.message)
            raise GatewayError(replace(error.failure, violations=(violation,)))
        if error.failure.reason in UPLOAD_REFUSALS:
            raise error
        raise upstream_unavailable("Higgsfield offers no upload slots now")

    async def catalog(self, path: str, query: str) -> bytes:
        """Return the body of a catalog. Raises GatewayError."""
        response = await self.call_uncharged("GET", path, query=query, max_bytes=MAX_CATALOG_BYTES, name="catalog call")
        if response.status != 200:
            raise judge_call(response, InputKind.NONE, self.secrets)
        return response.body

    @property
    def local(self) -> bool:
        """Whether the origin is on this machine, as a sandbox is."""
        return self._base.scheme == "http"

    async def time(self) -> Wall | None:
        """Return the Date of a response to a status call for the nil id; None without one. Raises GatewayError."""
        response = await self.call_uncharged("GET", NO_REQUEST_PATH, name="status call")
        return read_date(response.date)

    async def check_credentials(self) -> None:
        """Make a call that is free and shows whether Higgsfield accepts the credentials. Its failure shows nothing."""
        with contextlib.suppress(GatewayError):
            await self.call_uncharged("GET", NO_REQUEST_PATH, name="credentials call")

    async def close_when_idle(self) -> None:
        """Close all connections after the last response to the calls in progress, or at once if this is canceled."""
        try:
            while self._calls:
                await self._idle.signal()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Calls in progress fail, and it stays unknown what became of them."""
        await self._transport.aclose()

    async def call_uncharged(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: str = "",
        *,
        name: str,
        about: GenerationId | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Make a call that charges nothing. Raises GatewayError if there is no response of Higgsfield's."""
        try:
            response = await self.call(method, path, body, query, name=name, about=about, max_bytes=max_bytes)
        except httpx.TransportError as error:
            raise upstream_unavailable("Higgsfield cannot be reached") from error
        if response.status < 300 and is_page(response):  # it would count as done
            raise upstream_unavailable("another server answered in place of Higgsfield")
        return response

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        name: str,
        about: GenerationId | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Make one request with a total timeout. After it the socket is read once more before the call fails.

        Failpoints use its `name`; `about` is the generation whose timeline records it. Without `headers`, a body is
        JSON. Raises httpx.TransportError.
        """
        if headers is None:
            headers = JSON_HEADERS if body else {}
        sending.set(name)
        self._calls += 1
        began, start = Wall(time.time()), time.perf_counter()
        response: Response | None = None
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        # The timeout has two steps. The loop reads the socket between them, even after a long stall.
        timer = loop.call_later(self._timeout, lambda: limit.reschedule(loop.time() + LAST_READ_TIMEOUT))
        try:
            async with limit:
                response = await self._exchange(method, path, body, headers, query, max_bytes=max_bytes)
                failpoints.after(name)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no whole answer in time") from error
        except UnreadResponseError as error:
            if self._on_call is not None:  # what records the call shows it like a lost response
                log.warning("a response of Higgsfield is not read", extra={"path": path, "why": str(error)})
            raise
        finally:
            timer.cancel()
            self._calls -= 1
            if not self._calls:
                self._idle.wake()
            if response is None and self._on_date is not None:
                self._on_date(None)
            if self._on_call is not None:
                status, correlation_id = (response.status, response.correlation_id) if response else (0, "")
                seconds = time.perf_counter() - start
                foreign = response is not None and is_foreign(response)
                self._on_call(name, about, UpstreamCall(method, path, status, correlation_id, began, seconds, foreign))
        return response

    async def _exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], query: str, *, max_bytes: int
    ) -> Response:
        """Make one request; note the date of its response, and whether it accepts the credentials."""
        reply = await self._transport.real.exchange(
            method,
            self._base,
            _target(path, query),
            headers,
            body,
            connect=self._connect_within,
            max_bytes=max_bytes,
        )
        date = reply.headers.get("date", "")
        self._report_date(date)
        response = Response(
            status=reply.status,
            content_type=reply.headers.get("content-type", ""),
            retry_after=capped_retry_after(reply.headers.get("retry-after"), date),
            correlation_id=redacted(reply.headers.get("x-correlation-id", ""), self.secrets)[:128],
            body=reply.body,
            date=date,
        )
        self._note_credentials(response)
        return response

    def _note_credentials(self, response: Response) -> None:
        """Note whether a response accepts or refuses the credentials, and log when that changes."""
        if response.status == 401:
            accepted = False
        elif response.succeeded or response.status in (400, 404, 422):
            accepted = True
        else:
            return
        if accepted is self.credentials_accepted:
            return
        if is_foreign(response):
            return
        self.credentials_accepted = accepted
        self.credentials_were_accepted |= accepted
        if not self.logs_credentials:
            return
        if accepted:
            log.info("Higgsfield accepts the credentials", extra={"account": self.account})
        else:
            log.error(
                "Higgsfield refuses the credentials; correct HF_KEY or rotate the account",
                extra={"account": self.account},
            )

    def on_date(self, on_date: Callable[[Wall | None], None]) -> None:
        """Call `on_date` with the Date of responses, once per second, and with None if a call gets no response."""
        self._on_date = on_date

    def _report_date(self, date: str) -> None:
        if self._on_date is None or date == self._last_date:
            return
        self._last_date = date
        self._on_date(read_date(date))

    def _read_receipt(self, response: Response, *, v1: bool) -> StatusReport | None:
        """Parse the response to a submission: a request, or a job set.

        Some paths of v2 were documented with a job set as well, which is followed as a request. There only
        jobs show that an id is that of a set.
        """
        request = read_status(response.body, response.correlation_id, self.secrets)
        job_set = read_job_set(response.body, response.correlation_id, self.secrets) if request is None else None
        return job_set if job_set is not None and (v1 or job_set.outputs) else request


@contextlib.contextmanager
def unsent_before_check(may_send: SendCheck) -> Iterator[None]:
    """Call `may_send` right before the first byte. A failure before that call becomes ConnectTimeout: nothing was sent.

    Raises httpx.TransportError, as the call within does.
    """
    asked = False

    def ask() -> bool:
        nonlocal asked
        asked = True
        return may_send()

    token = send_check.set(ask)
    try:
        yield
    except httpx.TransportError as error:
        if asked:
            raise
        raise httpx.ConnectTimeout("no connection in time") from error
    finally:
        send_check.reset(token)


def _request_path(request_id: str, tail: str) -> str:
    return f"/requests/{_plain_id(request_id)}{tail}"


def _plain_id(request_id: str) -> str:
    """Return an id that is safe in a path. Raises ValueError if it is not a request id."""
    plain = uuid_of(request_id)
    if plain is None:
        raise ValueError("not a request id")
    return plain


def _target(path: str, query: str) -> str:
    """Return the request target. The origin is fixed, so a path can change only this.

    The request carries credentials, so a path without plain segments is a bug and is not sent.
    """
    if not _PATH.fullmatch(path):
        raise AssertionError("a request would leave the paths of the API")
    return f"{path}?{query}" if query else path


def read_date(date: str) -> Wall | None:
    """Parse the Date of a response; None if it is malformed, or no date that budgets and messages can contain."""
    seconds = parse_http_date(date)
    return Wall(seconds) if seconds is not None and 0.0 <= seconds <= LAST_DATE else None
