"""The address and the API key: defaults from the environment, and keys that must not be sent."""

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, generation
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient, Client

FOUND = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


@pytest.mark.parametrize("key", ["hfg_secret\n", "hfg_se\r\ncret", " hfg_secret", "hfg_sécret"])
def test_a_key_that_is_not_visible_ascii_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as raised:
        Client(api_key=key)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("address", ["gateway.example:443", "10.0.0.7:50051", "[2001:db8::1]:50051", "dns:///far:1"])
def test_a_key_is_sent_in_plaintext_off_loopback_only_if_allowed(address: str) -> None:
    with pytest.raises(ValueError, match="insecure") as raised:
        Client(address, api_key="hfg_secret")
    assert "hfg_secret" not in str(raised.value)
    for options in ({"tls": True}, {"insecure": True}, {"api_key": ""}):
        Client(address, **{"api_key": "hfg_secret", **options}).close()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:50051", "127.9.9.9:1", "localhost:50051", "[::1]:50051", "unix:/run/gateway", "ipv4:127.0.0.1:1"],
)
def test_a_key_may_be_sent_in_plaintext_to_this_machine(address: str) -> None:
    Client(address, api_key="hfg_secret").close()


async def test_the_address_and_the_key_are_taken_from_the_environment(
    gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.on("GetGeneration", FOUND, FOUND)
    monkeypatch.setenv("HFGATEWAY_ADDRESS", gateway.address)
    monkeypatch.setenv("HFGATEWAY_API_KEY", "hfg_environment")
    async with AsyncClient() as client:
        await client.get("g1")
    assert gateway.metadata["authorization"] == "Bearer hfg_environment"
    async with AsyncClient(api_key="") as client:
        await client.get("g1")
    assert "authorization" not in gateway.metadata
