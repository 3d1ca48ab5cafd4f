"""TLS and mTLS, with a self-signed certificate."""

import subprocess
from pathlib import Path

import grpc
import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, make_certificate
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient, TlsConfig, errors

RESPONSE = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def test_a_client_connects_only_to_a_trusted_gateway(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    secured = ScriptedGateway()
    await secured.start(grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
    secured.on("GetGeneration", RESPONSE)

    async with AsyncClient(secured.address, tls=TlsConfig(ca=cert)) as client:
        assert (await client.get("g1")).id == "g1"
    async with AsyncClient(secured.address, tls=True, timeout=2.0) as stranger:
        with pytest.raises(errors.Unavailable):
            await stranger.get("g1")
    await secured.stop()


async def test_a_client_presents_its_certificate(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    pair = [(key.read_bytes(), cert.read_bytes())]
    secured = ScriptedGateway()
    await secured.start(grpc.ssl_server_credentials(pair, cert.read_bytes(), require_client_auth=True))
    secured.on("GetGeneration", RESPONSE)

    async with AsyncClient(secured.address, tls=TlsConfig(ca=cert, cert=cert, key=key)) as client:
        assert (await client.get("g1")).id == "g1"
    await secured.stop()


def test_a_certificate_and_its_key_are_both_needed(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    for half in (TlsConfig(cert=cert), TlsConfig(key=key)):
        with pytest.raises(ValueError, match="both needed"):
            AsyncClient(tls=half)


@pytest.mark.parametrize(
    "text", ["", "no PEM\n", "-----BEGIN CERTIFICATE-----\nno base64!\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_no_authority(text: str, tmp_path: Path) -> None:
    """For an empty one gRPC would trust its default roots."""
    ca = tmp_path / "ca.pem"
    ca.write_text(text)
    with pytest.raises(ValueError, match=str(ca)):
        AsyncClient(tls=TlsConfig(ca=ca))


def test_a_key_that_is_not_that_of_the_certificate_is_refused(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """gRPC would try for the whole timeout to connect, and not say why it cannot."""
    cert, key = certificate
    _, other = make_certificate(tmp_path)
    locked = tmp_path / "locked.pem"
    with_password = ("openssl", "ec", "-aes256", "-passout", "pass:secret", "-in", str(key), "-out", str(locked))
    subprocess.run(with_password, check=True, capture_output=True)
    for cert_file, key_file in (cert, other), (cert, locked), (cert, cert), (key, key):
        with pytest.raises(ValueError, match=str(key_file)):
            AsyncClient(tls=TlsConfig(cert=cert_file, key=key_file))
