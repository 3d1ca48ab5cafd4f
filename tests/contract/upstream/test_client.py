"""The adapter against the sandbox, over a real socket."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.characters.model import Order
from gateway.errors import GatewayError, Reason
from gateway.generations.inputs import DopInput, DopVariant, Input, ModelInput, Motion, SoulInput, SoulVersion
from gateway.generations.model import Generation, InputKind, PreparedRequest, RequestId, Spec, State, UpstreamKey
from gateway.generations.ports import MaybeTaken, NotTaken, Outcome, Taken
from gateway.generations.stores import Removal
from gateway.higgsfield.agents import HiggsfieldAgents
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.credentials import Credentials, CredentialsError, read_credentials
from gateway.higgsfield.redact import redacted
from gateway.sandbox.clock import Clock
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.support.running import WAIT_TIMEOUT, eventually

SOUL = ModelInput("higgsfield-ai/soul/standard", {"prompt": "a boat", "aspect_ratio": "1:1"})


@asynccontextmanager
async def higgsfield(
    *, timeout: float = 5.0, clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[Sandbox, HiggsfieldClient]]:
    async with Sandbox(SandboxOptions(port=0, **options), clock) as sandbox:
        # As in a gateway, something records the calls.
        client = HiggsfieldClient(
            sandbox.url, Credentials("sandbox", "sandbox"), timeout=timeout, on_call=lambda *_: None
        )
        try:
            yield sandbox, client
        finally:
            await client.aclose()


async def submit(client: HiggsfieldClient, given: Input = SOUL, key: str | None = None) -> Outcome:
    return await client.submit(client.prepare(given, key or str(uuid4()), None, None).request, lambda: True)


def generation(client: HiggsfieldClient, request_id: str) -> Generation:
    spec = Spec("g", "t", "m", "v2", client.account, "", b"", {}, "k", 0.0, 0.0)
    return Generation(spec, state=State.QUEUED, request_id=request_id)


async def accepted(client: HiggsfieldClient) -> Generation:
    outcome = await submit(client)
    assert isinstance(outcome, Taken)
    return generation(client, outcome.report.request_id)


def removal(one: Generation) -> Removal:
    return Removal(one.id, one.request_id, one.spec.account, one.spec.origin)


async def test_a_generation_is_submitted_polled_and_deleted() -> None:
    async with higgsfield(queue_seconds=0.01, image_seconds=0.01) as (sandbox, client):
        outcome = await submit(client)
        assert isinstance(outcome, Taken)
        assert outcome.report.state is State.QUEUED
        assert outcome.report.correlation_id
        one = generation(client, outcome.report.request_id)
        report = await client.status(one)
        while report is not None and report.state is not State.COMPLETED:
            report = await client.status(one)
        assert report is not None
        assert len(report.outputs) == 1
        assert report.expire_time is not None
        await client.delete(removal(one))
        await client.delete(removal(one))
        summary = sandbox.ledger.summary()
        assert (summary["charge_count"], summary["foreign_headers"]) == (1, {})


async def test_a_stray_request_is_deleted_with_its_generation() -> None:
    async with asyncio.timeout(60.0), higgsfield(queue_seconds=0.01, image_seconds=0.01) as (sandbox, client):
        both = [await accepted(client), await accepted(client)]
        for one in both:
            while (report := await client.status(one)) is None or report.state is not State.COMPLETED:
                pass
        await client.delete(replace(removal(both[0]), stray_request_id=both[1].request_id))
        assert [one.request_id for one in sandbox.ledger.deletes] == [one.request_id for one in both]


async def test_one_key_is_one_charge() -> None:
    async with higgsfield() as (sandbox, client):
        first = await submit(client, key="same")
        second = await submit(client, key="same")
        assert isinstance(first, Taken)
        assert isinstance(second, Taken)
        assert first.report.request_id == second.report.request_id
        assert sandbox.ledger.summary()["charge_count"] == 1


@pytest.mark.parametrize(
    "kind", ["500", "502", "503", "html", "reset", "close", "half", "bad_chunk", "garbage", "lost"]
)
async def test_a_submission_that_may_be_charged_is_ambiguous(kind: str) -> None:
    async with higgsfield() as (sandbox, client):
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": kind, "processed": True})])
        assert isinstance(await submit(client), MaybeTaken)
        assert sandbox.ledger.summary()["charge_count"] == 1


async def test_a_silent_submission_ends_at_the_timeout() -> None:
    async with higgsfield(timeout=0.2) as (sandbox, client):
        faults = [{"on": "submit", "kind": "hang"}, {"on": "submit", "kind": "drip", "delay": 0.05}]
        sandbox.state.plan.add([Fault.parse(fault) for fault in faults])
        dates: list[float | None] = []
        client.on_date(dates.append)
        async with asyncio.timeout(60.0):
            for _ in faults:
                while isinstance(outcome := await submit(client), NotTaken):
                    pass  # a slow machine may need longer than the timeout to connect: the fault is still planned
                assert isinstance(outcome, MaybeTaken)
        assert set(dates) == {None}


async def test_a_response_that_arrives_during_a_stall_is_read_after_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, hour = asyncio.get_running_loop(), 3600.0
    body = json.dumps({"status": "queued", "request_id": str(uuid4())}).encode()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        url = "http://{}:{}".format(*listening.getsockname())
        client = HiggsfieldClient(url, Credentials("sandbox", "sandbox"), timeout=hour)
        try:
            calling = asyncio.create_task(submit(client))
            connection, _ = await loop.sock_accept(listening)
            with connection:
                await loop.sock_recv(connection, 1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                after = loop.time() + hour
                with monkeypatch.context() as stalled:
                    stalled.setattr(loop, "time", lambda: after)
                    assert isinstance(await calling, Taken)
        finally:
            await client.aclose()


async def test_the_timeout_of_a_call_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, hour = asyncio.get_running_loop(), 3600.0
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, error: errors.append(error))
    async with higgsfield(timeout=hour) as (_, client):
        assert isinstance(await submit(client), Taken)
        after = loop.time() + 2 * hour
        with monkeypatch.context() as later:
            later.setattr(loop, "time", lambda: after)
            for _ in range(3):
                await asyncio.sleep(0)
    assert errors == []


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_request_in_any_successful_response_is_an_acceptance(status: int) -> None:
    async with higgsfield() as (sandbox, client):
        request_id = str(uuid4())
        body = json.dumps({"status": "queued", "request_id": request_id})
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": str(status), "body": body})])
        outcome = await submit(client)
        assert isinstance(outcome, Taken)
        assert outcome.report.request_id == request_id


@pytest.mark.parametrize("name", ["request_id", "id"])
async def test_the_id_in_an_invalid_200_is_kept(name: str) -> None:
    async with higgsfield() as (sandbox, client):
        request_id = str(uuid4())
        body = json.dumps({"status": 7, name: request_id})
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "200", "body": body})])
        outcome = await submit(client)
        assert isinstance(outcome, MaybeTaken)
        assert outcome.request_id == request_id


async def test_a_refused_send_check_sends_nothing() -> None:
    async with higgsfield() as (sandbox, client):
        outcome = await client.submit(client.prepare(SOUL, "k", None, None).request, lambda: False)
        assert isinstance(outcome, NotTaken)
        assert not outcome.was_reached
        assert sandbox.ledger.summary()["submissions_seen"] == 0


async def test_too_long_or_encoded_responses_are_rejected(caplog: pytest.LogCaptureFixture) -> None:
    """The log says why: in the timeline they look like lost ones."""
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        status = json.dumps({"request_id": one.request_id, "status": "in_progress"})
        answers: list[dict[str, Any]] = [
            {"body": status.ljust(1 << 20)},
            {"body": status.ljust((1 << 20) + 1)},
            {"body": status, "headers": {"Content-Encoding": "br"}},
        ]
        sandbox.state.plan.add([Fault.parse({"on": "status", "kind": "200", **answer}) for answer in answers])
        report = await client.status(one)
        assert report is not None
        assert report.state is State.IN_PROGRESS
        for _ in range(2):
            with pytest.raises(GatewayError) as failed:
                await client.status(one)
            assert failed.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE
        logged = [vars(record) for record in caplog.records if record.name == "gateway.higgsfield.client"]
        path = f"/requests/{one.request_id}/status"
        assert [(line["path"], line["why"]) for line in logged] == [
            (path, "the response is longer than 1048576 bytes"),
            (path, "the response is compressed"),
        ]


async def test_a_redirect_is_not_followed() -> None:
    async with higgsfield() as (sandbox, client), Sandbox(SandboxOptions(port=0)) as elsewhere:
        headers = {"Location": elsewhere.url + "/higgsfield-ai/soul/standard"}
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "307", "body": "", "headers": headers})])
        assert isinstance(await submit(client), MaybeTaken)
        assert elsewhere.ledger.summary()["submissions_seen"] == 0
        assert elsewhere.ledger.summary()["credentials_seen_ok"] == 0


async def test_links_in_a_response_are_not_followed() -> None:
    async with higgsfield() as (sandbox, client), Sandbox(SandboxOptions(port=0)) as elsewhere:
        links = {"status_url": f"{elsewhere.url}/requests/x/status", "cancel_url": f"{elsewhere.url}/requests/x/cancel"}
        for on in ("submit", "status"):
            sandbox.state.plan.add([Fault.parse({"on": on, "patch": links, "times": 2})])
        one = await accepted(client)
        await client.status(one)
        await client.cancel(one)
        await client.status(one)
        assert (sandbox.ledger.summary()["status_calls"], len(sandbox.ledger.cancels)) == (2, 1)
        seen = elsewhere.ledger.summary()
        assert (seen["credentials_seen_ok"], seen["credentials_seen_bad"]) == (0, 0)


async def test_the_status_of_another_request_is_rejected() -> None:
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        sandbox.state.plan.add([Fault.parse({"on": "status", "patch": {"request_id": str(uuid4())}})])
        with pytest.raises(GatewayError) as failed:
            await client.status(one)
        assert failed.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_an_empty_request_id_does_not_mean_the_request_of_the_generation() -> None:
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        for call in (client.status, client.cancel):
            with pytest.raises(ValueError, match="not a request id"):
                await call(one, RequestId(""))
        assert (sandbox.ledger.summary()["status_calls"], sandbox.ledger.cancels) == (0, [])


async def test_an_unknown_request_is_none_and_wrong_credentials_raise() -> None:
    async with higgsfield() as (sandbox, client):
        assert await client.status(generation(client, str(uuid4()))) is None
        stranger = HiggsfieldClient(sandbox.url, Credentials("sandbox", "wrong"))
        with pytest.raises(GatewayError) as failed:
            await stranger.status(generation(client, str(uuid4())))
        assert failed.value.failure.reason is Reason.UPSTREAM_CREDENTIALS_REFUSED
        await stranger.aclose()


@pytest.mark.parametrize(
    ("status", "own", "accepted"),
    [
        (401, True, False), (401, False, None), (404, True, True), (404, False, None), (400, True, True),
        (422, True, True), (402, True, None), (403, True, None), (429, True, None), (500, True, None),
        (200, False, None),
    ],
)  # fmt: skip
async def test_only_some_of_higgsfields_own_errors_show_whether_it_accepts_the_credentials(
    status: int, own: bool, accepted: bool | None
) -> None:
    async with higgsfield() as (sandbox, client):
        form: dict[str, Any] = {"body": {"detail": "some text"}} if own else {"kind": "html"}
        sandbox.state.plan.add([Fault.parse({"on": "time", "status": status, "processed": False, **form})])
        await client.check_credentials()
        assert (client.credentials_accepted, client.credentials_were_accepted) == (accepted, bool(accepted))


async def test_credentials_that_were_accepted_once_stay_so_until_a_refusal() -> None:
    async with higgsfield() as (sandbox, client):
        seen: list[tuple[bool | None, bool]] = []
        for status in (404, 401, 400):
            fault = {"on": "time", "status": status, "body": {"detail": "some text"}, "processed": False}
            sandbox.state.plan.add([Fault.parse(fault)])
            await client.check_credentials()
            seen.append((client.credentials_accepted, client.credentials_were_accepted))
        assert seen == [(True, True), (False, True), (True, True)]


async def test_a_request_that_is_gone_counts_as_unknown() -> None:
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        for operation in ("status", "delete"):
            fault = {"on": operation, "status": 410, "body": {"detail": "Gone"}, "processed": False}
            sandbox.state.plan.add([Fault.parse(fault)])
        assert await client.status(one) is None
        await client.delete(removal(one))
        assert not len(sandbox.state.plan)


@pytest.mark.parametrize(("status", "repeated"), [(400, False), (404, False), (429, True), (500, False)])
async def test_only_a_cancel_that_came_too_early_fails(status: int, repeated: bool) -> None:
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        fault = {"on": "cancel", "status": status, "body": {"detail": "some text"}, "headers": {"Retry-After": "7"}}
        sandbox.state.plan.add([Fault.parse(fault)])
        try:
            await client.cancel(one)
        except GatewayError as error:
            assert repeated
            assert error.failure.retry_after == 7.0
        else:
            assert not repeated


@pytest.mark.parametrize("status", [200, 404])
async def test_a_page_of_another_server_confirms_nothing(status: int) -> None:
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        for operation, ask in (("status", client.status(one)), ("delete", client.delete(removal(one)))):
            sandbox.state.plan.add([Fault.parse({"on": operation, "kind": "html", "status": status})])
            with pytest.raises(GatewayError) as failed:
                await ask
            assert failed.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_an_estimate_returns_the_price_without_a_charge() -> None:
    async with higgsfield() as (sandbox, client):
        price = await client.estimate(SOUL)
        assert price.credits
        assert price.usd
        with pytest.raises(GatewayError) as failed:
            await client.estimate(ModelInput("no/such-model", {}))
        assert failed.value.failure.reason is Reason.MODEL_UNKNOWN
        assert sandbox.ledger.summary()["charge_count"] == 0


@pytest.mark.parametrize("path", ["/../requests/x/cancel", "//evil.test/x", "/a#b", "/a?b", "/%2e%2e/x", "/a\\b"])
async def test_no_request_leaves_the_origin(path: str) -> None:
    async with higgsfield() as (sandbox, client):
        request = PreparedRequest(client.account, sandbox.url, path, "", {}, b"{}", UpstreamKey("k"), InputKind.MODEL)
        with pytest.raises(AssertionError, match="would leave the paths"):
            await client.submit(request, lambda: True)
        assert sandbox.ledger.peak_calls == 0


SOUL_BODY = {"prompt": "p", "resolution": "720p", "batch_size": 1}
BODIES: list[tuple[Input, str, dict[str, Any]]] = [
    (SoulInput("p"), "/higgsfield-ai/soul/standard", SOUL_BODY),
    (SoulInput("p", version=SoulVersion.V2), "/higgsfield-ai/soul/v2/standard", SOUL_BODY),
    (SoulInput("p", version=SoulVersion.CINEMA, seed=7), "/higgsfield-ai/soul/cinema", SOUL_BODY | {"seed": 7}),
    (
        SoulInput(
            "p", aspect_ratio="3:2", resolution="1080p", batch_size=4, style_id="s", style_strength=0.5,
            character_id="c", character_strength=0.0, image_reference_url="https://a/b.png", enhance_prompt=False,
        ),
        "/higgsfield-ai/soul/standard",
        {
            "prompt": "p", "aspect_ratio": "3:2", "resolution": "1080p", "batch_size": 4, "style_id": "s",
            "style_strength": 0.5, "custom_reference_id": "c", "custom_reference_strength": 0.0,
            "image_reference_url": "https://a/b.png", "enhance_prompt": False,
        },
    ),
    (
        DopInput("p", image_urls=("https://a/b.png",)),
        "/higgsfield-ai/dop/turbo",
        {"prompt": "p", "image_url": "https://a/b.png"},
    ),
    (
        DopInput(
            "p", DopVariant.LITE, ("https://a/b.png",), "https://a/c.png", (Motion("m"), Motion("n", 0.0)), True, 9
        ),
        "/higgsfield-ai/dop/lite",
        {
            "prompt": "p", "image_url": "https://a/b.png", "end_image_url": "https://a/c.png",
            "motions": [{"id": "m", "strength": 1}, {"id": "n", "strength": 0.0}], "enhance_prompt": True, "seed": 9,
        },
    ),
    (ModelInput("a/b", {"z": 1, "a": [None, {"y": 2.5}]}), "/a/b", {"z": 1, "a": [None, {"y": 2.5}]}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "path", "body"), BODIES)
def test_inputs_map_to_the_fields_of_the_model(given: Input, path: str, body: dict[str, Any]) -> None:
    client = HiggsfieldClient("https://h.test", Credentials("a", "b"))
    request = client.prepare(given, "key", 3600.0, None).request
    assert (request.path, json.loads(request.body)) == (path, body)
    assert request.headers["idempotency-key"] == "key"
    assert request.headers["hf-expires-after"] == "3600"
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "environment",
    [
        {"HF_KEY": "id:se:cret"},
        {"HF_CREDENTIALS": "id:se:cret"},
        {"HF_API_KEY": "id", "HF_API_SECRET": "se:cret"},
        {"HF_API_KEY": "id", "HF_SECRET": "se:cret"},
        {"HF_KEY": "id:se:cret", "HF_API_KEY": "id", "HF_API_SECRET": "se:cret"},
    ],
)
def test_all_forms_of_credentials_are_read(environment: dict[str, str]) -> None:
    credentials = read_credentials(environment)
    assert credentials == Credentials("id", "se:cret")
    assert "cret" not in repr(credentials) + credentials.account


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, ["HF_KEY"]),
        ({"HF_KEY": "no-colon-hush"}, ["HF_KEY"]),
        ({"HF_KEY": ":hush"}, ["HF_KEY"]),
        ({"HF_KEY_FILE": "/no/such/file"}, ["HF_KEY_FILE: cannot be read"]),
        ({"HF_KEY_FILE": "/dev/null"}, ["HF_KEY_FILE: the file is empty"]),
        ({"HF_KEY_FILE": sys.executable}, ["HF_KEY_FILE: cannot be read (not text)"]),
        ({"HF_KEY": "id:hush", "HF_KEY_FILE": __file__}, ["HF_KEY"]),
        ({"HF_API_KEY": "id"}, ["HF_API_KEY"]),
        ({"HF_API_SECRET": "hush"}, ["HF_API_SECRET"]),
        ({"HF_KEY": "id:hush", "HF_CREDENTIALS": "id:other"}, ["HF_KEY", "HF_CREDENTIALS"]),
        ({"HF_KEY": "id:hüsh"}, ["HF_KEY"]),
    ],
)
def test_invalid_credentials_are_named_but_not_shown(environment: dict[str, str], named: list[str]) -> None:
    with pytest.raises(CredentialsError) as wrong:
        read_credentials(environment)
    assert all(name in str(wrong.value) for name in named)
    assert "hush" not in str(wrong.value)


def test_credentials_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("id:secret\n")
    assert read_credentials({"HF_KEY_FILE": str(file)}) == Credentials("id", "secret")


async def test_a_correlation_id_is_bounded_and_has_no_secret() -> None:
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        body = json.dumps({"request_id": one.request_id, "status": "in_progress"})
        for sent, shown in ("c-1 of sandbox:sandbox", "c-1 of [removed]"), ("c" * 129, "c" * 128):
            fault = {"on": "status", "kind": "200", "body": body, "headers": {"X-Correlation-Id": sent}}
            sandbox.state.plan.add([Fault.parse(fault)])
            report = await client.status(one)
            assert report is not None
            assert report.correlation_id == shown


async def test_the_word_sandbox_stays_in_errors_of_the_sandbox() -> None:
    """Its documented secret is an ordinary word."""
    async with higgsfield(image_seconds=0.0) as (_, client):
        assert redacted("the sandbox was asked to fail", client.secrets) == "the sandbox was asked to fail"
        assert "sandbox:sandbox" not in redacted("Key sandbox:sandbox", client.secrets)


async def test_a_closed_client_certainly_sends_nothing() -> None:
    """For example one with removed credentials, of which a list that has several pages reads the next one."""
    async with higgsfield() as (sandbox, client):
        one = await accepted(client)
        await client.aclose()
        outcome = await submit(client)
        with pytest.raises(GatewayError) as raised:
            await client.status(one)
    assert isinstance(outcome, NotTaken)
    assert raised.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE
    assert len(sandbox.ledger.submissions) == 1


@pytest.mark.parametrize("canceled", ["the call", "the wait for it"])
async def test_a_client_that_is_not_needed_closes_after_its_last_call(canceled: str) -> None:
    async with higgsfield() as (sandbox, client):
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "hang"})])
        last = asyncio.create_task(submit(client))
        await eventually(lambda: sandbox.ledger.submissions)
        closing = asyncio.create_task(client.close_when_idle())
        one = await accepted(client)
        assert not closing.done()
        (last if canceled == "the call" else closing).cancel()
        await asyncio.wait({closing}, timeout=WAIT_TIMEOUT)
        with pytest.raises(GatewayError):
            await client.status(one)


@pytest.mark.parametrize("call", ["submission", "message to an agent", "character"])
async def test_a_hanging_name_lookup_certainly_sent_nothing(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: Any, **__: Any) -> list[Any]:
        await asyncio.get_running_loop().create_future()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hangs)
    client = HiggsfieldClient("http://hangs.test", Credentials("a", "b"), timeout=0.1)
    # Otherwise the timeout for connecting would come first. It comes later if aiohttp rounds it up, from 5 s on.
    client._connect_within = 60.0
    order = Order("a name", ("https://files.example/a.png",), SoulVersion.V2, "key")
    try:
        match call:
            case "submission":
                outcome: Any = await submit(client)
            case "character":
                outcome = await HiggsfieldCharacters(client).train(order, lambda: True)
            case _:
                outcome = await HiggsfieldAgents(client).send("session", "hello", lambda: True)
    finally:
        await client.aclose()
    assert isinstance(outcome, NotTaken)
    assert (outcome.may_retry, outcome.was_reached) == (True, False)
