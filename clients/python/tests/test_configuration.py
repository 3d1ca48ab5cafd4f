"""The address and the API key: defaults from the environment, and keys that must not be sent."""

import re
from collections.abc import Awaitable, Callable

import grpc
import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, refusal
from hfgateway.agents.v1alpha1.agent_service_pb2 import Message, SendMessageResponse
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import CreateCharacterResponse, SoulCharacter
from hfgateway_client import AsyncClient, Client, errors, soul

FOUND = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


@pytest.mark.parametrize("key", ["hfg_secret\n", "hfg_se\r\ncret", " hfg_secret", "hfg_sécret"])
def test_a_key_that_is_not_visible_ascii_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as raised:
        Client(api_key=key)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "gateway.example:443", "10.0.0.7:50051", "[2001:db8::1]:50051", "dns:///far:1", "unix1.example:50051",
        "ipv4:127.0.0.1:50051,10.0.0.7:50051", "localhost:1@gateway.example:50051",
    ],
)  # fmt: skip
def test_a_key_is_sent_in_plaintext_off_loopback_only_if_allowed(address: str) -> None:
    with pytest.raises(ValueError, match="insecure") as raised:
        Client(address, api_key="hfg_secret")
    assert "hfg_secret" not in str(raised.value)
    for options in ({"tls": True}, {"insecure": True}, {"api_key": ""}):
        Client(address, **{"api_key": "hfg_secret", **options}).close()  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["127.0.0.1:65536", "[::1]:99999", "dns:///localhost:4294967296"])
def test_an_address_with_an_impossible_port_is_refused(address: str) -> None:
    """gRPC would connect to another port of the machine, and send the key there."""
    with pytest.raises(ValueError, match="its port is above 65535"):
        Client(address, api_key="hfg_secret")
    Client("[::1]:65535").close()


@pytest.mark.parametrize(
    "form", ["127.0.0.1:{port}", "localhost:{port}", "ipv4:127.0.0.1:{port}", "dns:///localhost:{port}"]
)
async def test_a_key_may_be_sent_in_plaintext_to_this_machine(gateway: ScriptedGateway, form: str) -> None:
    gateway.on("GetGeneration", FOUND)
    async with AsyncClient(form.format(port=gateway.address.rpartition(":")[2]), api_key="hfg_secret") as client:
        await client.get("g1")
    assert gateway.metadata["authorization"] == "Bearer hfg_secret"


@pytest.mark.parametrize("address", ["127.9.9.9:1", "[::1]:1", "unix:/run/gateway"])
def test_every_loopback_address_is_of_this_machine(address: str) -> None:
    with Client(address, api_key="hfg_secret") as client, pytest.raises(errors.GatewayError, match=re.escape(address)):
        client.check()


async def test_a_key_that_changes_is_read_before_each_attempt(gateway: ScriptedGateway) -> None:
    gateway.on("GetGeneration", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE"), FOUND)
    keys = iter(["hfg_old", "hfg_new"])
    async with AsyncClient(gateway.address, api_key=lambda: next(keys)) as client:
        await client.get("g1")
    assert gateway.metadata["authorization"] == "Bearer hfg_new"
    assert list(keys) == []


async def test_a_function_that_returns_an_invalid_key_fails_the_call(gateway: ScriptedGateway) -> None:
    async with AsyncClient(gateway.address, api_key=lambda: "hfg_secret\n") as client:
        with pytest.raises(ValueError, match="visible ASCII"):
            await client.get("g1")
    with pytest.raises(ValueError, match="insecure"):
        Client("gateway.example:443", api_key=lambda: "hfg_secret")


async def test_a_function_that_fails_before_a_retry_leaves_the_error_with_the_idempotency_key(
    gateway: ScriptedGateway,
) -> None:
    gateway.on("SubmitGeneration", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", retry_delay=0.01))
    async with AsyncClient(gateway.address, api_key=["hfg_only"].pop) as client:
        with pytest.raises(errors.GatewayUnavailable) as raised:
            await client.submit(soul("a fox"))
        (request,) = gateway.requests["SubmitGeneration"]
        assert raised.value.idempotency_key == request.idempotency_key
        assert isinstance(raised.value.__cause__, IndexError)
        with pytest.raises(IndexError):  # nothing was sent
            await client.submit(soul("a fox"))


async def test_a_function_that_fails_before_a_watch_resumes_leaves_the_error_with_the_idempotency_key(
    gateway: ScriptedGateway,
) -> None:
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=generation("QUEUED", 1)))
    gateway.on("WatchGeneration", [refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", retry_delay=0.01)])
    async with AsyncClient(gateway.address, api_key=["hfg_watch", "hfg_submit"].pop) as client:
        with pytest.raises(errors.GatewayUnavailable) as raised:
            await client.generate(soul("a fox"))
    (request,) = gateway.requests["SubmitGeneration"]
    assert raised.value.idempotency_key == request.idempotency_key
    assert isinstance(raised.value.__cause__, IndexError)


async def test_a_function_that_fails_before_the_watch_of_something_charged_is_the_cause_of_an_error_with_the_key(
    gateway: ScriptedGateway,
) -> None:
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=generation("QUEUED", 1)))
    gateway.on("CreateCharacter", CreateCharacterResponse(character=SoulCharacter(id="c1")))
    gateway.on("SendMessage", SendMessageResponse(message=Message(id="m1")))
    calls: list[Callable[[AsyncClient], Awaitable[object]]] = [
        lambda client: client.generate(soul("a fox"), idempotency_key="order-7"),
        lambda client: client.train_character("Anna", ["https://images.example/1"], idempotency_key="order-7"),
        lambda client: client.agents.ask("s1", "a fox", idempotency_key="order-7"),
    ]
    for call in calls:
        async with AsyncClient(gateway.address, api_key=["hfg_first"].pop) as client:
            with pytest.raises(errors.GatewayError) as raised:
                await call(client)
        assert raised.value.idempotency_key == "order-7"
        assert isinstance(raised.value.__cause__, IndexError)


def test_a_function_for_retries_that_fails_leaves_the_error_with_the_idempotency_key() -> None:
    def on_retry(_error: errors.GatewayError, _delay: float) -> None:
        raise IndexError

    with Client("127.0.0.1:1", on_retry=on_retry) as client, pytest.raises(errors.Unavailable) as raised:
        client.submit(soul("a fox"), idempotency_key="order-7")
    assert raised.value.idempotency_key == "order-7"
    assert isinstance(raised.value.__cause__, IndexError)


def test_a_function_for_retries_that_raises_the_error_it_was_called_with_does_not_make_it_its_own_cause() -> None:
    def on_retry(error: errors.GatewayError, _delay: float) -> None:
        raise error

    with Client("127.0.0.1:1", on_retry=on_retry) as client, pytest.raises(errors.Unavailable) as raised:
        client.get("g1")
    assert isinstance(raised.value.__cause__, grpc.RpcError)


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
