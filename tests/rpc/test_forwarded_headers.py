"""The callers' headers that HFGATEWAY_FORWARD_HEADERS passes on to Higgsfield."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc
import pytest

from hfgateway_client.status import error_from_rpc
from tests.durability.process import stub
from tests.support.running import WAIT_TIMEOUT, Running, run, soul

HEADERS = {"x-team": "red", "x-other": "canary"}
Submit = Callable[[Running, str, dict[str, str]], Awaitable[None]]


async def over_grpc(running: Running, prompt: str, headers: dict[str, str]) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        await stub(channel).SubmitGeneration(soul(prompt), metadata=tuple(headers.items()), timeout=WAIT_TIMEOUT)


async def over_connect(running: Running, prompt: str, headers: dict[str, str]) -> None:
    url = f"{running.gateway.http_address}/hfgateway.v1.GenerationService/SubmitGeneration"
    body = {"idempotencyKey": "key", "input": {"soul": {"prompt": prompt}}}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("submit", [over_grpc, over_connect])
async def test_a_submission_passes_on_the_named_headers(tmp_path: Path, submit: Submit) -> None:
    async with run(tmp_path, FORWARD_HEADERS="X-Team, x-cost-center") as running:
        await submit(running, "a fox", HEADERS)
        assert running.ledger.foreign_headers == {"x-team": 1}


async def test_pages_of_allowed_origins_may_send_the_named_headers_and_traces(tmp_path: Path) -> None:
    origin = {"Origin": "https://shop.test"}
    settings = {"FORWARD_HEADERS": "x-team", "ALLOWED_ORIGINS": "https://shop.test"}
    async with run(tmp_path, **settings) as running, aiohttp.ClientSession() as session:
        url = f"{running.gateway.http_address}/hfgateway.v1.GenerationService/SubmitGeneration"
        for method, names, status in (
            ("POST", "content-type,x-team,traceparent", 200),
            ("GET", "authorization,last-event-id", 200),
            ("POST", "x-other", 400),
        ):
            asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": names}
            async with session.options(url, headers=origin | asks) as answer:
                assert answer.status == status


async def test_without_the_setting_nothing_is_passed_on(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        await over_grpc(running, "a fox", HEADERS)
        assert running.ledger.foreign_headers == {}


async def test_a_header_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with run(tmp_path, FORWARD_HEADERS="x-team") as running:
        await over_grpc(running, "a badger", {"x-team": "r" * 1024})
        assert running.ledger.foreign_headers == {"x-team": 1}
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await over_grpc(running, "a fox", {"x-team": "r" * 1025})
        assert "metadata.x-team" in str(error_from_rpc(refused.value))
        assert len(running.ledger.submissions) == 1


@pytest.mark.parametrize("value", ["gr\u00fcn", "a\tb"])
async def test_a_header_that_is_not_printable_ascii_is_refused(tmp_path: Path, value: str) -> None:
    async with run(tmp_path, FORWARD_HEADERS="x-team") as running:
        with pytest.raises(AssertionError, match=r"metadata\.x-team"):
            await over_connect(running, "a fox", {"x-team": value})
        assert running.ledger.submissions == []
