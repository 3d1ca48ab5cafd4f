"""Webhooks are served under any host name on the HTTP port, or on a separate port that serves nothing else."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.settings.config import SettingError, read_settings
from tests.support.addresses import free_address
from tests.support.running import soul
from tests.support.webhooks import path_of, post, webhook_body
from tests.webhooks.conftest import Start

ELSEWHERE = (
    "/", "/healthz", "/readyz", "/metrics", "/hfgateway.v1.GenerationService/ListGenerations",
    "/hfgateway.admin.v1.AdminService/ResolveGeneration", "/webhooks/higgsfield/", "/webhooks/higgsfield", "/docs",
)  # fmt: skip


async def test_a_separate_port_serves_webhooks_and_nothing_else(start: Start) -> None:
    address = free_address()
    running = await start(WEBHOOK_ADDRESS=address, PUBLIC_URL=f"http://{address}")
    queued = await running.submit(soul("a fox"))
    for path in ELSEWHERE:
        assert (await post(f"http://{address}{path}", b"{}", {"Content-Type": "application/json"})).status == 404
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
            assert response.status == 404, path
    url = path_of(running, "a fox")
    body = webhook_body(queued.upstream.request_id)
    assert (await post(url.replace(f"http://{address}", running.gateway.http_address), body)).status == 404
    await running.finish(queued.id)


async def test_the_http_port_accepts_any_host_name_for_webhooks_only(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    named = {"Host": "gateway.example.com"}
    assert (await post(path_of(running, "a fox"), webhook_body(queued.upstream.request_id), named)).status == 200
    async with (
        aiohttp.ClientSession(headers=named) as session,
        session.get(running.gateway.http_address + "/metrics") as response,
    ):
        assert response.status == 400


async def test_webhook_urls_include_the_path_of_the_public_url(start: Start) -> None:
    running = await start(PUBLIC_URL="http://gateway.example.com/behind/")
    await running.submit(soul("a fox"))
    assert path_of(running, "a fox").startswith("http://gateway.example.com/behind/webhooks/higgsfield/")


async def test_without_a_public_url_there_are_no_webhooks(start: Start) -> None:
    running = await start(PUBLIC_URL="")
    await running.submit(soul("a fox"))
    assert [one.webhook for one in running.ledger.submissions] == [None]
    assert (await post(running.gateway.http_address + "/webhooks/higgsfield/token", b"{}")).status == 404


@pytest.mark.parametrize(
    "secret", ["whsec_" + "A" * 25, "whsec_" + "A" * 200, "whsec_QUJD"], ids=["odd", "long", "short"]
)
def test_an_invalid_secret_is_refused_by_name_without_its_value(secret: str) -> None:
    with pytest.raises(SettingError, match="HFGATEWAY_WEBHOOK_SECRET") as raised:
        read_settings({"HFGATEWAY_PUBLIC_URL": "https://gateway.example.com", "HFGATEWAY_WEBHOOK_SECRET": secret})
    assert secret not in str(raised.value)
