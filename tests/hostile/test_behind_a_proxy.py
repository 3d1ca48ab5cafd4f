"""What a proxy in front of the HTTP port relies on: paths that it refuses, redirects."""

from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from tests.hostile.conftest import Start

OTHER_FORMS = ("/%6detrics", "/metric%73", "/metrics/", "/%2fmetrics")


@pytest.mark.parametrize("path", OTHER_FORMS)
async def test_metrics_have_one_path_which_a_proxy_can_refuse(start: Start, path: str) -> None:
    running = await start()
    url = URL(running.gateway.http_address + path, encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as answer:
        assert answer.status == 404
        assert b"hfgateway_" not in await answer.read()


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
