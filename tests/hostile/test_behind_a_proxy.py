"""What a proxy in front of the HTTP port relies on: paths that it refuses, redirects, and addresses of callers."""

from __future__ import annotations

import logging

import aiohttp
import pytest
from yarl import URL

from tests.hostile.conftest import Start, bad_requests, connected, read_response_head
from tests.support.running import soul

OTHER_FORMS = ("/%6detrics", "/metric%73", "/metrics/", "/%2fmetrics")


@pytest.mark.parametrize("path", OTHER_FORMS)
async def test_metrics_have_one_path_which_a_proxy_can_refuse(start: Start, path: str) -> None:
    running = await start()
    url = URL(running.gateway.http_address + path, encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as answer:
        assert answer.status == 404
        assert b"hfgateway_" not in await answer.read()


@pytest.mark.parametrize("target", [b"/metrics#", b"/metrics#/../page", b"http://localhost/metrics#x"])
async def test_a_fragment_does_not_hide_a_path_from_a_proxy(start: Start, target: bytes) -> None:
    running = await start()
    async with connected(running.gateway.http_address) as (reader, writer):
        writer.write(b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % target)
        assert (await read_response_head(reader)).startswith(b"HTTP/1.1 400 ")
    assert await bad_requests(running, "encoding") == 1


async def test_an_rpc_has_one_path_which_a_proxy_can_refuse(start: Start) -> None:
    running = await start()
    service = "/hfgateway.v1.GenerationService"
    async with aiohttp.ClientSession(running.gateway.http_address) as session:
        for path, served in ((f"{service}/ListGenerations", True), (f"{service}{service}/ListGenerations", False)):
            async with session.post(path, json={}) as answer:
                assert answer.status == (200 if served else 404)


@pytest.mark.parametrize("path", ["/v1/session/", "/hfgateway.v1.GenerationService"])
async def test_no_redirect_leaves_the_scheme_or_the_host_of_the_proxy(start: Start, path: str) -> None:
    running = await start(AUTH="keys")
    headers = {"host": "gateway.example"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(running.gateway.http_address + path, headers=headers, allow_redirects=False) as answer,
    ):
        assert "location" not in answer.headers
        assert answer.status == 404


async def test_a_caller_cannot_choose_its_address_in_the_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start()
    caplog.set_level(logging.INFO)
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            running.gateway.http_address + "/hfgateway.v1.GenerationService/SubmitGeneration",
            json={"idempotencyKey": "key", "input": {"soul": {"prompt": "a fox"}}},
            headers={"x-forwarded-for": "192.0.2.1"},
        ) as answer,
    ):
        assert answer.status == 200
    (peer,) = {vars(record)["peer"] for record in caplog.records if record.message == "generation stored"}
    assert peer.startswith("127.0.0.1:")


async def test_the_log_has_an_ipv6_address_in_brackets(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start(GRPC_ADDRESS="[::1]:0", HTTP_ADDRESS="[::1]:0")
    caplog.set_level(logging.INFO)
    await running.submit(soul("a fox"))
    url = running.gateway.http_address + "/hfgateway.v1.GenerationService/SubmitGeneration"
    request = {"idempotencyKey": "another", "input": {"soul": {"prompt": "a fox"}}}
    async with aiohttp.ClientSession() as session, session.post(url, json=request) as answer:
        assert answer.status == 200
    peers = [vars(record)["peer"] for record in caplog.records if record.message == "generation stored"]
    assert [peer.rpartition(":")[0] for peer in peers] == ["ipv6:[::1]", "[::1]"]
