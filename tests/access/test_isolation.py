"""Resources of other tenants do not exist: for every method of every service, over every transport.

The methods are read from the service descriptors, so a new method without a case here fails a test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from gateway.rpc.services import PUBLIC_SERVICES
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agent_pb
from hfgateway.v1 import callback_service_pb2 as callback_pb
from hfgateway.v1 import catalog_service_pb2 as catalog_pb
from hfgateway.v1 import character_service_pb2 as character_pb
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from hfgateway.v1 import upload_service_pb2 as upload_pb
from tests.callbacks.receiver import Receiver
from tests.support.elsewhere import request_elsewhere
from tests.support.running import WAIT_TIMEOUT, Running, collected, soul
from tests.support.transports import METHODS, TRANSPORTS, RpcFailure, Transport, responses_of

Named = Callable[[str], Message]

UNKNOWN = "01999999-9999-7999-8999-999999999999"
LABELS = {"team": "red"}

NAMING: dict[str, Named] = {
    "GetGeneration": lambda name: pb.GetGenerationRequest(id=name),
    "CancelGeneration": lambda name: pb.CancelGenerationRequest(id=name),
    "WaitGeneration": lambda name: pb.WaitGenerationRequest(id=name),
    "WatchGeneration": lambda name: pb.WatchGenerationRequest(id=name),
    "DeleteGeneration": lambda name: pb.DeleteGenerationRequest(id=name),
    "ExplainGeneration": lambda name: pb.ExplainGenerationRequest(id=name),
}
"""Methods that name a generation: one of another tenant is refused like an unknown one."""

NAMING_CALLBACKS: dict[str, Named] = {
    "GetCallback": lambda name: callback_pb.GetCallbackRequest(id=name),
    "UpdateCallback": lambda name: callback_pb.UpdateCallbackRequest(id=name, paused=True),
    "RotateCallbackSecret": lambda name: callback_pb.RotateCallbackSecretRequest(id=name),
    "TestCallback": lambda name: callback_pb.TestCallbackRequest(id=name),
    "ListDeliveries": lambda name: callback_pb.ListDeliveriesRequest(callback_id=name),
}
"""Methods that name a callback."""

AGENTS: dict[str, Named] = {
    "GetSession": lambda name: agent_pb.GetSessionRequest(id=name),
    "SendMessage": lambda name: agent_pb.SendMessageRequest(session_id=name, text="x", idempotency_key="k"),
    "ListMessages": lambda name: agent_pb.ListMessagesRequest(session_id=name),
    "InterruptSession": lambda name: agent_pb.InterruptSessionRequest(id=name),
    "WatchSession": lambda name: agent_pb.WatchSessionRequest(id=name, until_idle=True),
}
"""Methods that name a session with an agent."""

ELSEWHERE = {
    "CreateCallback": "test_one_key_of_two_tenants_creates_two_callbacks",
    "ListCallbacks": "test_one_key_of_two_tenants_creates_two_callbacks",
    "DeleteCallback": "test_a_tenant_cannot_delete_another_tenants_callback",
    "RedeliverDelivery": "test_callbacks_deliver_only_the_tenants_own_generations",
    "CreateSession": "test_one_key_of_two_tenants_creates_two_sessions",
    "CreateMedia": "test_agent_media_belong_to_the_tenant_that_created_them",
    "ConfirmMedia": "test_agent_media_belong_to_the_tenant_that_created_them",
    "SubmitGeneration": "test_one_key_of_two_tenants_submits_two_generations",
    "AdoptGeneration": "test_a_request_that_another_tenant_has_is_unknown",
    "ListGenerations": "test_a_list_contains_only_the_tenants_own_generations",
    "WatchGenerations": "test_a_watch_of_many_sends_only_the_tenants_own_generations",
    "EstimateGeneration": "test_methods_without_tenant_data_require_a_key",
    "UploadMedia": "test_methods_without_tenant_data_require_a_key",
    "CreateUpload": "test_methods_without_tenant_data_require_a_key",
    "ListModels": "test_catalogs_are_shared_by_tenants_and_require_a_key",
    "GetModel": "test_catalogs_are_shared_by_tenants_and_require_a_key",
    "WatchModels": "test_catalogs_are_shared_by_tenants_and_require_a_key",
    "ListMotions": "test_catalogs_are_shared_by_tenants_and_require_a_key",
    "ListSoulStyles": "test_catalogs_are_shared_by_tenants_and_require_a_key",
    "ListPresets": "test_catalogs_are_shared_by_tenants_and_require_a_key",
    "CreateWatchToken": "test_a_watch_token_does_not_see_other_tenants",
    "CreateCharacter": "test_one_key_of_two_tenants_creates_two_characters",
    "ListCharacters": "test_one_key_of_two_tenants_creates_two_characters",
    "GetCharacter": "test_another_tenants_character_is_reported_as_unknown",
    "DeleteCharacter": "test_another_tenants_character_is_reported_as_unknown",
    "WatchCharacter": "test_another_tenants_character_is_reported_as_unknown",
}
"""Other methods, and the tests that cover them."""


def test_every_method_has_a_test() -> None:
    served = {method.name for service in PUBLIC_SERVICES for method in service.methods}
    assert served == NAMING.keys() | NAMING_CALLBACKS.keys() | AGENTS.keys() | ELSEWHERE.keys()
    assert all(test in globals() for test in ELSEWHERE.values())


async def tenants(running: Running, transport: str = "grpc") -> tuple[Transport, Transport]:
    return (
        running.caller(transport, await running.key("red")),
        running.caller(transport, await running.key("blue")),
    )


async def refusal(client: Transport, method: str, request: Message) -> RpcFailure:
    with pytest.raises(RpcFailure) as refused:
        await responses_of(client, method, request)
    return refused.value


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_method_requires_a_valid_key(running: Running, transport: str) -> None:
    good = await running.key("red")
    strangers = {
        "no key": "",
        "no such key": "hfg_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "a wrong secret": good[:-4] + "AAAA",
        "no key at all": "letmein",
        "a made-up token": "hfw_AAAA",
    }
    for secret in strangers.values():
        stranger = running.caller(transport, secret)
        for method, described in METHODS.items():
            refused = await refusal(stranger, method, running.message(described.input_type))
            assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")
            assert secret not in refused.message or not secret


async def assert_unknown(client: Transport, method: str, named: Named, name: str) -> None:
    """Assert that the method refuses another tenant's resource exactly as it refuses an unknown one."""
    theirs = await refusal(client, method, named(name))
    unknown = await refusal(client, method, named(UNKNOWN))
    assert (method, theirs.code, theirs.reason) == (method, "NOT_FOUND", "NOT_FOUND")
    assert (method, str(theirs.failure).replace(name, UNKNOWN)) == (method, str(unknown.failure))
    assert (method, theirs.message) == (method, unknown.message)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_another_tenants_generation_is_reported_as_unknown(running: Running, transport: str) -> None:
    red, blue = await tenants(running, transport)
    generation = (await red.call("SubmitGeneration", soul("a fox"))).generation

    for method, named in NAMING.items():
        await assert_unknown(blue, method, named, generation.id)
        found = (await red.call("GetGeneration", pb.GetGenerationRequest(id=generation.id))).generation
        assert (method, found.id) == (method, generation.id)


def character(name: str) -> character_pb.CreateCharacterRequest:
    image = "https://example.invalid/a.jpg"
    return character_pb.CreateCharacterRequest(name=name, image_urls=[image], idempotency_key="order-7")


NAMING_CHARACTERS: dict[str, Named] = {
    "GetCharacter": lambda name: character_pb.GetCharacterRequest(id=name),
    "DeleteCharacter": lambda name: character_pb.DeleteCharacterRequest(id=name),
    "WatchCharacter": lambda name: character_pb.WatchCharacterRequest(id=name),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_another_tenants_character_is_reported_as_unknown(running: Running, transport: str) -> None:
    red, blue = await tenants(running, transport)
    made = (await red.call("CreateCharacter", character("Anna"))).character

    for method, named in NAMING_CHARACTERS.items():
        await assert_unknown(blue, method, named, made.id)
        found = (await red.call("GetCharacter", character_pb.GetCharacterRequest(id=made.id))).character
        assert (method, found.id) == (method, made.id)


async def test_one_key_of_two_tenants_creates_two_characters(running: Running) -> None:
    red, blue = await tenants(running)
    first = await red.call("CreateCharacter", character("Anna"))
    second = await blue.call("CreateCharacter", character("Anna"))
    assert not second.replayed
    assert first.character.id != second.character.id
    for caller, own in ((red, first), (blue, second)):
        listed = await caller.call("ListCharacters", character_pb.ListCharactersRequest())
        assert [one.id for one in listed.characters] == [own.character.id]


async def test_another_tenants_ended_generation_is_reported_as_unknown(running: Running) -> None:
    red, blue = await tenants(running)
    generation = (await red.call("SubmitGeneration", soul("a fox"))).generation
    running.clock.advance(60)
    await red.call("WaitGeneration", pb.WaitGenerationRequest(id=generation.id))

    for method in ("GetGeneration", "WatchGeneration", "ExplainGeneration", "DeleteGeneration"):
        assert (await refusal(blue, method, NAMING[method](generation.id))).reason == "NOT_FOUND", method
        assert await responses_of(red, method, NAMING[method](generation.id)), method


async def callback_of(client: Transport, url: str = "http://127.0.0.1:9/hook") -> callback_pb.Callback:
    request = callback_pb.CreateCallbackRequest(url=url, idempotency_key="one")
    answer: callback_pb.CreateCallbackResponse = await client.call("CreateCallback", request)
    return answer.callback


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_another_tenants_callback_is_reported_as_unknown(running: Running, transport: str) -> None:
    red, blue = await tenants(running, transport)
    callback = await callback_of(red)

    for method, named in NAMING_CALLBACKS.items():
        await assert_unknown(blue, method, named, callback.id)
        found = await red.call("GetCallback", callback_pb.GetCallbackRequest(id=callback.id))
        assert (method, found.callback) == (method, callback)


async def test_one_key_of_two_tenants_creates_two_callbacks(running: Running) -> None:
    red, blue = await tenants(running)
    theirs, ours = await callback_of(red), await callback_of(blue, "http://127.0.0.1:9/another")

    assert theirs.id != ours.id
    for client, own in ((red, theirs), (blue, ours)):
        listed = await client.call("ListCallbacks", callback_pb.ListCallbacksRequest())
        assert list(listed.callbacks) == [own]


async def test_a_tenant_cannot_delete_another_tenants_callback(running: Running) -> None:
    red, blue = await tenants(running)
    callback = await callback_of(red)

    await blue.call("DeleteCallback", callback_pb.DeleteCallbackRequest(id=callback.id))

    assert (await red.call("GetCallback", callback_pb.GetCallbackRequest(id=callback.id))).callback == callback


async def test_callbacks_deliver_only_the_tenants_own_generations(running: Running) -> None:
    red, blue = await tenants(running)
    async with Receiver() as receiver:
        for client, path in ((red, "red"), (blue, "blue")):
            await callback_of(client, f"{receiver.url}&{path}")
        made = [(await client.call("SubmitGeneration", soul("a fox"))).generation.id for client in (red, blue)]
        running.clock.advance(60)
        await receiver.gets(2)
        theirs = next(got.id for got in receiver.got if got.target.endswith("red"))

        def named(name: str) -> Message:
            return callback_pb.RedeliverDeliveryRequest(id=name)

        await assert_unknown(blue, "RedeliverDelivery", named, theirs)

    delivered = {got.target.rpartition("&")[2]: got.generation.id for got in receiver.got}
    assert (delivered, len(receiver.got)) == ({"red": made[0], "blue": made[1]}, 2)


async def test_one_key_of_two_tenants_submits_two_generations(running: Running) -> None:
    red, blue = await tenants(running)

    first = await red.call("SubmitGeneration", soul("a fox", "order-7"))
    second = await blue.call("SubmitGeneration", soul("an owl", "order-7"))

    assert not second.replayed
    assert first.generation.id != second.generation.id
    assert len(running.ledger.charges) == 2


async def test_a_request_that_another_tenant_has_is_unknown(running: Running) -> None:
    red, blue = await tenants(running)

    def adoption(request_id: str) -> Message:
        return pb.AdoptGenerationRequest(upstream_request_id=request_id)

    contested, taken = [await request_elsewhere(running, prompt) for prompt in ("a fox", "a hen")]
    found = (await red.call("AdoptGeneration", adoption(taken))).generation
    races = [one.call("AdoptGeneration", adoption(contested)) for one in (red, blue) * 3]
    answers = await asyncio.gather(*races, return_exceptions=True)
    losses = [one for one in answers if isinstance(one, RpcFailure)]
    assert len({one.generation.id for one in answers if isinstance(one, pb.AdoptGenerationResponse)}) == 1
    assert (len(losses), {one.reason for one in losses}) == (3, {"NOT_FOUND"})

    running.clock.advance(60)
    ended = (await red.call("WaitGeneration", pb.WaitGenerationRequest(id=found.id))).generation
    assert ended.done, "it is polled no more"
    before = running.ledger.status_calls[taken]
    refused = await refusal(blue, "AdoptGeneration", adoption(taken))
    unknown = await refusal(blue, "AdoptGeneration", adoption(UNKNOWN))
    assert str([refused, *refused.details]).replace(taken, "") == str([unknown, *unknown.details]).replace(UNKNOWN, "")
    # The number of calls to Higgsfield is the same, too.
    assert (running.ledger.status_calls[taken] - before, running.ledger.status_calls[UNKNOWN]) == (1, 1)
    wanted = pb.ListGenerationsRequest(filter=pb.GenerationFilter(upstream_request_ids=[taken]))
    assert not (await blue.call("ListGenerations", wanted)).generations
    assert [one.id for one in (await red.call("ListGenerations", wanted)).generations] == [found.id]


async def test_a_list_contains_only_the_tenants_own_generations(running: Running) -> None:
    red, blue = await tenants(running)
    generation = (await red.call("SubmitGeneration", soul("a fox", labels=LABELS))).generation

    for filter in (
        pb.GenerationFilter(),
        pb.GenerationFilter(ids=[generation.id]),
        pb.GenerationFilter(labels=LABELS),
        pb.GenerationFilter(idempotency_key=generation.idempotency_key),
    ):
        assert not (await blue.call("ListGenerations", pb.ListGenerationsRequest(filter=filter))).generations
        assert len((await red.call("ListGenerations", pb.ListGenerationsRequest(filter=filter))).generations) == 1


async def test_a_page_token_of_another_tenant_is_invalid(running: Running) -> None:
    red, blue = await tenants(running)
    for prompt in ("a fox", "an owl"):
        await red.call("SubmitGeneration", soul(prompt))
    page = await red.call("ListGenerations", pb.ListGenerationsRequest(page_size=1))
    assert page.next_page_token

    request = pb.ListGenerationsRequest(page_size=1, page_token=page.next_page_token)
    assert (await refusal(blue, "ListGenerations", request)).fields == ["page_token"]


async def test_a_watch_of_many_sends_only_the_tenants_own_generations(running: Running) -> None:
    red, blue = await tenants(running)
    generation = (await red.call("SubmitGeneration", soul("a fox"))).generation

    by_id = pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=[generation.id]))
    seen = await collected(blue.stream("WatchGenerations", by_id))
    assert [list(message.missing_ids) for message in seen if message.missing_ids] == [[generation.id]]
    assert not any(message.HasField("generation") for message in seen)

    everything = blue.stream("WatchGenerations", pb.WatchGenerationsRequest())
    first = await anext(everything)
    assert first.caught_up
    assert not first.HasField("generation")
    own = (await blue.call("SubmitGeneration", soul("an owl"))).generation
    running.clock.advance(60)
    await red.call("WaitGeneration", pb.WaitGenerationRequest(id=generation.id))
    async for message in everything:
        assert message.generation.id in {"", own.id}
        if message.generation.done:
            break

    stolen = pb.WatchGenerationsRequest(resume_token=first.resume_token)
    assert (await refusal(red, "WatchGenerations", stolen)).fields == ["resume_token"]


async def test_methods_without_tenant_data_require_a_key(running: Running) -> None:
    red, _ = await tenants(running)
    request = pb.EstimateGenerationRequest(input=soul("a fox").input)

    assert (await red.call("EstimateGeneration", request)).cost.credits
    assert (await refusal(running.caller("grpc", ""), "EstimateGeneration", request)).code == "UNAUTHENTICATED"
    slot = upload_pb.CreateUploadRequest(content_type="image/png")
    assert (await red.call("CreateUpload", slot)).upload_url
    assert (await refusal(running.caller("grpc", ""), "CreateUpload", slot)).code == "UNAUTHENTICATED"


async def test_catalogs_are_shared_by_tenants_and_require_a_key(running: Running) -> None:
    """Any key may read them; a call without a key may not, and neither may a watch token."""
    red, blue = await tenants(running)
    made = await red.call("CreateWatchToken", token_pb.CreateWatchTokenRequest(filter={"labels": LABELS}))
    stranger, browser = running.caller("grpc", ""), running.caller("grpc", made.token)
    for method, request in {
        "ListModels": catalog_pb.ListModelsRequest(page_size=2),
        "GetModel": catalog_pb.GetModelRequest(id="z-image/turbo"),
        "ListMotions": catalog_pb.ListMotionsRequest(),
        "ListSoulStyles": catalog_pb.ListSoulStylesRequest(),
        "ListPresets": catalog_pb.ListPresetsRequest(model_id="marketing-studio/image"),
    }.items():
        answer = await red.call(method, request)
        assert answer.ByteSize() > 0
        assert answer == await blue.call(method, request)
        assert (await refusal(stranger, method, request)).code == "UNAUTHENTICATED"
        assert (await refusal(browser, method, request)).reason == "NOT_ALLOWED"
    watch = catalog_pb.WatchModelsRequest()
    for caller in (red, blue):
        messages = caller.stream("WatchModels", watch)
        assert not (await asyncio.wait_for(anext(messages), WAIT_TIMEOUT)).HasField("model")
        await messages.aclose()
    for caller, reason in ((stranger, "INVALID_CREDENTIALS"), (browser, "NOT_ALLOWED")):
        with pytest.raises(RpcFailure) as refused:
            await anext(caller.stream("WatchModels", watch))
        assert refused.value.reason == reason


async def test_a_watch_token_does_not_see_other_tenants(running: Running) -> None:
    red, blue = await tenants(running)
    generation = (await red.call("SubmitGeneration", soul("a fox", labels=LABELS))).generation

    for filter in (pb.GenerationFilter(ids=[generation.id]), pb.GenerationFilter(labels=LABELS)):
        made = await blue.call("CreateWatchToken", token_pb.CreateWatchTokenRequest(filter=filter))
        browser = running.caller("grpc", made.token)
        refused = await refusal(browser, "GetGeneration", pb.GetGenerationRequest(id=generation.id))
        assert refused.reason == "NOT_FOUND"
        assert not (await browser.call("ListGenerations", pb.ListGenerationsRequest())).generations


async def session_of(client: Transport, key: str = "s") -> str:
    answer = await client.call("CreateSession", agent_pb.CreateSessionRequest(idempotency_key=key))
    return str(answer.session.id)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_another_tenants_session_is_reported_as_unknown(running: Running, transport: str) -> None:
    red, blue = await tenants(running, transport)
    session_id = await session_of(red)

    for method, named in AGENTS.items():
        await assert_unknown(blue, method, named, session_id)
    assert running.ledger.agent_messages == []
    for method, named in AGENTS.items():
        assert await responses_of(red, method, named(session_id)) or method == "ListMessages"
        running.clock.advance(60)


async def test_one_key_of_two_tenants_creates_two_sessions(running: Running) -> None:
    red, blue = await tenants(running)
    assert await session_of(red) != await session_of(blue)


async def test_agent_media_belong_to_the_tenant_that_created_them(running: Running) -> None:
    red, blue = await tenants(running)
    slot = await red.call("CreateMedia", agent_pb.CreateMediaRequest(extension="png", kind="AGENT_MEDIA_KIND_IMAGE"))
    confirm = agent_pb.ConfirmMediaRequest(id=slot.id, kind="AGENT_MEDIA_KIND_IMAGE")

    assert (await refusal(blue, "ConfirmMedia", confirm)).reason == "NOT_FOUND"
    assert (await refusal(red, "ConfirmMedia", confirm)).reason == "NOT_DONE"


async def test_a_watch_token_cannot_use_agents(running: Running) -> None:
    red, _ = await tenants(running)
    session_id = await session_of(red)
    made = await red.call(
        "CreateWatchToken", token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(ids=[session_id]))
    )
    browser = running.caller("grpc", made.token)
    for method, named in AGENTS.items():
        refused = await refusal(browser, method, named(session_id))
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "NOT_ALLOWED")
    assert running.ledger.agent_messages == []
