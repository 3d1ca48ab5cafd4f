"""A gateway that reaches Higgsfield only over an HTTP proxy, and trusts only the authority of SSL_CERT_FILE."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.settings.config import SettingError, read_settings
from hfgateway_client import AsyncClient, soul
from tests.app.certificates import Authority
from tests.app.command import FRESH, environment, run
from tests.durability.process import GatewayProcess
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import WAIT_TIMEOUT, eventually

pytestmark = pytest.mark.toolchain("openssl")
UPSTREAM = "https://higgsfield.test"
"""Only the proxy knows the name."""
TARGET = "higgsfield.test:443"
STORE = {"HFGATEWAY_STORE_URL": "sqlite:////store.db"}
REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"


def served_with(authority: Authority, host: str) -> ssl.SSLContext:
    pair = authority.signed(host, hosts=f"DNS:{host},IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


@asynccontextmanager
async def higgsfield(authority: Authority) -> AsyncIterator[tuple[Sandbox, ConnectProxy]]:
    options = SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.1)
    async with (
        Sandbox(options, tls=served_with(authority, "higgsfield.test")) as sandbox,
        ConnectProxy({TARGET: sandbox.url.removeprefix("https://")}, credentials="egress:p%40ss word") as proxy,
    ):
        yield sandbox, proxy


def variables(authority: Authority, proxy: ConnectProxy) -> dict[str, str]:
    return {
        "HTTPS_PROXY": f"http://egress:p%2540ss%20word@{proxy.address}",
        "https_proxy": "",
        "NO_PROXY": "",
        "no_proxy": "",
        "SSL_CERT_FILE": str(authority.cert),
    }


async def test_higgsfield_and_its_files_are_reached_over_the_proxy(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with higgsfield(authority) as (sandbox, proxy):
        process = GatewayProcess(
            tmp_path, UPSTREAM, launcher=(sys.executable,), environment=variables(authority, proxy),
            archive_url=f"file://{tmp_path}/archive", log_level="info",
        )  # fmt: skip
        async with process, AsyncClient(process.address) as client, asyncio.timeout(WAIT_TIMEOUT):
            uploaded = await client.upload(b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png")
            assert uploaded.url.startswith(UPSTREAM)
            generation = await client.generate(soul("a fox"), idempotency_key="a-fox")
            while not generation.outputs[0].HasField("archived"):
                await asyncio.sleep(0.01)
                generation = await client.get(generation.id)
            await process.terminate()
        assert set(proxy.asked) == {TARGET}
        assert sandbox.ledger.summary()["charge_count"] == 1
        log = await process.errors()
    assert proxy.address in log
    assert "egress" not in log
    assert "p%40ss" not in log


async def test_a_submission_waits_for_a_proxy_that_refuses(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with higgsfield(authority) as (sandbox, proxy):
        proxy.response = REFUSED
        process = GatewayProcess(
            tmp_path, UPSTREAM, launcher=(sys.executable,), environment=variables(authority, proxy)
        )
        async with process, AsyncClient(process.address) as client, asyncio.timeout(WAIT_TIMEOUT):
            generating = asyncio.create_task(client.generate(soul("a fox"), idempotency_key="a-fox"))
            await eventually(lambda: len(proxy.asked) >= 2)
            assert sandbox.ledger.summary()["submissions_seen"] == 0
            proxy.response = None
            assert (await generating).outputs
        assert sandbox.ledger.summary()["submissions_seen"] == 1


async def test_the_doctor_names_the_proxy_and_what_it_responds(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    async with higgsfield(authority) as (_, proxy):
        given = {"HFGATEWAY_UPSTREAM_URL": UPSTREAM, **variables(authority, proxy)}
        where = f"{UPSTREAM} over the proxy {proxy.address}"
        assert await found(tmp_path, given) == ("ok", f"{where} answers and accepts the credentials", "")
        status, text, advice = await found(tmp_path, given | {"HTTPS_PROXY": f"http://egress:canary@{proxy.address}"})
        *_, distrusts = await found(tmp_path, given | {"SSL_CERT_FILE": ""})
    assert status == "problem"
    assert text == f"{where} cannot be reached (the proxy refused the connection with HTTP status 407)"
    assert "HTTPS_PROXY" in advice
    assert "SSL_CERT_FILE" in distrusts


async def found(folder: Path, given: Mapping[str, str]) -> tuple[str, str, str]:
    """Run the doctor, and return the status, text and advice of its finding about Higgsfield."""
    ended = await run("doctor", "--json", environment=environment(folder, given), launcher=FRESH)
    assert "canary" not in ended.out + ended.err
    (one,) = [finding for finding in json.loads(ended.out)["findings"] if finding["about"] == "higgsfield"]
    return one["status"], one["found"], one["advice"]


@pytest.mark.parametrize(
    ("given", "url", "proxy"),
    [
        ({}, UPSTREAM, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, UPSTREAM, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example:3128/"}, UPSTREAM, "http://proxy.example:3128/"),
        ({"HTTPS_PROXY": "http://proxy.example"}, UPSTREAM, "http://proxy.example"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, UPSTREAM, "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": "http://one:1", "https_proxy": "http://two:2"}, UPSTREAM, "http://two:2"),
        ({"HTTPS_PROXY": "http://one:1"}, "http://127.0.0.1:8090", None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "example.com, .test"}, UPSTREAM, None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "localhost,higgsfield.Test"}, UPSTREAM, None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "*.test"}, UPSTREAM, None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "field.test,,example.com"}, UPSTREAM, "http://one:1"),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": "*"}, UPSTREAM, None),
        ({"HTTPS_PROXY": "http://one:1", "NO_PROXY": ","}, "https://higgsfield.test./x", "http://one:1"),
        ({"HTTP_PROXY": "http://one:1", "ALL_PROXY": "http://one:1"}, UPSTREAM, None),
    ],
)
def test_the_standard_variables_choose_the_proxy(given: dict[str, str], url: str, proxy: str | None) -> None:
    assert read_settings({**STORE, **given}).proxy_for(url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        "socks5://proxy:1080", "https://proxy:3128", "http://", "http://user:canary@pass@proxy:1", "proxy:0",
        "proxy:65536", "http://proxy:3128/path", "http://user:canary word@proxy:1",
        "http://us%3Aer:canary@proxy:1", "us%3aer@proxy:1",
    ],
)  # fmt: skip
def test_another_proxy_is_refused_without_its_value(url: str) -> None:
    with pytest.raises(SettingError, match="HTTPS_PROXY: must be http://USER:PASSWORD@HOST:PORT") as refused:
        read_settings({**STORE, "HTTPS_PROXY": url})
    assert "canary" not in str(refused.value)
    sandbox = {"HFGATEWAY_UPSTREAM_URL": "http://127.0.0.1:8090"}
    assert read_settings({**STORE, **sandbox, "HTTPS_PROXY": url}).proxy is None
