"""The health check of the container, as its own process beside a gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.app.certificates import Authority
from tests.durability.process import GatewayProcess
from tests.support.addresses import free_address
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import WAIT_TIMEOUT

SCRIPT = Path(__file__).parents[2] / "deploy" / "container" / "healthy.py"


async def exit_code(address: str, more: Mapping[str, str] = MappingProxyType({})) -> int:
    """Run the check of a gateway whose HTTP address is given; return its exit code."""
    environment = {**os.environ, "HFGATEWAY_HTTP_ADDRESS": address, "no_proxy": "", "NO_PROXY": "", **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(WAIT_TIMEOUT):
        return await process.wait()


async def test_a_gateway_that_responds_is_healthy_also_with_a_proxy_in_the_environment(tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, f"http://{free_address()}") as gateway, ConnectProxy() as proxy:
        address = gateway.http_address.removeprefix("http://")
        everywhere = address.replace("127.0.0.1", "0.0.0.0")
        assert [await exit_code(address), await exit_code(everywhere)] == [0, 0]
        assert await exit_code(address, {"http_proxy": f"http://{proxy.address}"}) == 0
        await gateway.kill()
        assert await exit_code(address) == 1
        assert proxy.asked == []


@pytest.mark.toolchain("openssl")
async def test_a_gateway_that_requires_client_certificates_is_healthy(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    served = authority.signed("gateway")
    tls = {"tls_cert": str(served.cert), "tls_key": str(served.key), "tls_client_ca": str(authority.cert)}
    async with GatewayProcess(tmp_path, f"http://{free_address()}", **tls) as gateway, ConnectProxy() as proxy:
        more = {f"HFGATEWAY_{name.upper()}": value for name, value in tls.items()}
        more["https_proxy"] = f"http://{proxy.address}"
        assert await exit_code(gateway.http_address.removeprefix("https://"), more) == 0
        assert proxy.asked == []


@pytest.mark.toolchain("openssl")
async def test_a_gateway_whose_clients_have_another_authority_is_healthy(tmp_path: Path) -> None:
    served, clients = Authority.made(tmp_path).signed("gateway"), Authority.made(tmp_path, "clients")
    tls = {"tls_cert": str(served.cert), "tls_key": str(served.key), "tls_client_ca": str(clients.cert)}
    async with GatewayProcess(tmp_path, f"http://{free_address()}", **tls) as gateway:
        address = gateway.http_address.removeprefix("https://")
        more = {f"HFGATEWAY_{name.upper()}": value for name, value in tls.items()}
        assert await exit_code(address, more) == 0
        await gateway.kill()
        assert await exit_code(address, more) == 1


@pytest.mark.toolchain("openssl")
async def test_a_gateway_that_requires_client_certificates_is_healthy_during_a_renewal(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    served, renewed = authority.signed("gateway"), authority.signed("renewed")
    tls = {"tls_cert": str(served.cert), "tls_key": str(served.key), "tls_client_ca": str(authority.cert)}
    async with GatewayProcess(tmp_path, f"http://{free_address()}", **tls) as gateway:
        renewed.cert.replace(served.cert)  # and the key a moment later
        more = {f"HFGATEWAY_{name.upper()}": value for name, value in tls.items()}
        assert await exit_code(gateway.http_address.removeprefix("https://"), more) == 0


@pytest.mark.toolchain("openssl")
async def test_settings_in_a_file_are_read(tmp_path: Path) -> None:
    served = Authority.made(tmp_path).signed("gateway")
    config = tmp_path / "settings.toml"
    config.write_text(f'HFGATEWAY_TLS_CERT = "{served.cert}"\nHFGATEWAY_TLS_KEY = "{served.key}"\n')
    async with GatewayProcess(tmp_path, f"http://{free_address()}", config=str(config)) as gateway:
        address = gateway.http_address.removeprefix("https://")
        assert await exit_code(address, {"HFGATEWAY_CONFIG": str(config)}) == 0
        empty = {"HFGATEWAY_TLS_CERT": "", "HFGATEWAY_TLS_KEY": " "}
        assert await exit_code(address, {"HFGATEWAY_CONFIG": str(config), **empty}) == 0
