"""TLS and mTLS, with certificates that are made for the test."""

from pathlib import Path

import grpc
import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, make_certificate
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient, TlsConfig, errors

ANSWER = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def test_a_trusted_gateway_is_talked_to(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    secured = ScriptedGateway()
    await secured.start(grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
    secured.on("GetGeneration", ANSWER)

    async with AsyncClient(secured.address, tls=TlsConfig(ca=cert)) as client:
        assert (await client.get("g1")).id == "g1"
    async with AsyncClient(secured.address, tls=True, timeout=2.0) as stranger:
        with pytest.raises(errors.Unavailable):
            await stranger.get("g1")
    await secured.stop()


async def test_a_client_shows_its_own_certificate(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    pair = [(key.read_bytes(), cert.read_bytes())]
    secured = ScriptedGateway()
    await secured.start(grpc.ssl_server_credentials(pair, cert.read_bytes(), require_client_auth=True))
    secured.on("GetGeneration", ANSWER)

    async with AsyncClient(secured.address, tls=TlsConfig(ca=cert, cert=cert, key=key)) as client:
        assert (await client.get("g1")).id == "g1"
    await secured.stop()
