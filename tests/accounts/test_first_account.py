"""Characters, agents and uploads use the first account of a tenant, and a generation follows its character."""

from __future__ import annotations

import asyncio

import pytest

from gateway.access.identity import DEFAULT_TENANT
from gateway.higgsfield.credentials import Credentials, parse_credentials
from hfgateway.admin.v1 import admin_service_pb2 as admin
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agents
from hfgateway.v1 import character_service_pb2 as characters
from hfgateway.v1 import generation_input_pb2 as inputs
from hfgateway.v1 import generation_service_pb2 as generations
from hfgateway.v1 import upload_service_pb2 as uploads
from tests.accounts.conftest import ADS, FILMS, MAIN, NEWER, Start, add, assign, caller, listed, rotate, sent, submit
from tests.support.operator import ask, refused
from tests.support.running import WAIT_TIMEOUT, Running, collected, eventually, model, soul
from tests.support.transports import RpcFailure, Transport


def order(name: str) -> characters.CreateCharacterRequest:
    return characters.CreateCharacterRequest(
        name=name,
        image_urls=["https://example.invalid/a.jpg"],
        version=inputs.SOUL_VERSION_V1,
        idempotency_key=f"key-of-{name}",
    )


@pytest.fixture
async def unresolved(running: Running, monkeypatch: pytest.MonkeyPatch) -> Transport:
    """The tenant "shop" with the account "films", whose order of "Anna" had no response and was not found."""
    monkeypatch.setattr("gateway.characters.creator.LOOKUP_PAUSES", (0.0,))
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    running.plan(on="train", kind="reset")
    with pytest.raises(RpcFailure) as raised:
        await shop.call("CreateCharacter", order("Anna"))
    assert raised.value.reason == "SUBMISSION_UNRESOLVED"
    return shop


async def portrait(by: Transport, character_id: str, prompt: str) -> None:
    request = soul(prompt)
    request.input.soul.character_id = character_id
    request.input.soul.version = inputs.SOUL_VERSION_V1
    await submit(by, request)


async def test_generations_follow_their_character(running: Running) -> None:
    await assign(running, "shop", films=1, ads=9)
    shop = await caller(running, "shop")
    anna = (await shop.call("CreateCharacter", order("Anna"))).character
    running.clock.advance(600)
    await shop.call("GetCharacter", characters.GetCharacterRequest(id=anna.id))
    for number in range(3):
        await portrait(shop, anna.id, f"{number}")
        parameters = {"prompt": f"{number} in a field that the gateway does not know", "people": [anna.id]}
        await submit(shop, model("higgsfield-ai/soul/standard", parameters, f"m{number}"))
    assert len(sent(running, FILMS)) == 6
    listed = await shop.call("ListCharacters", characters.ListCharactersRequest())
    assert [one.id for one in listed.characters] == [anna.id]
    # The order of the pool does not matter for a character that exists; without its account it is not found.
    await assign(running, "shop", ads=1, films=1)
    for form in (anna.id.upper(), anna.id.replace("-", ""), f"urn:uuid:{anna.id}"):
        await portrait(shop, form, f"after {form}")
        await submit(shop, model("higgsfield-ai/soul/standard", {"prompt": "x", "people": [form]}, f"p{form}"))
    assert len(sent(running, FILMS)) == 12
    await assign(running, "shop", ads=1)
    try:
        await portrait(shop, anna.id, "not found")
    except RpcFailure as refused:
        assert refused.fields == ["input.soul.character_id"]
    else:
        raise AssertionError("the character was used")
    # Nor may it be named in another parameter, in a pool whose other accounts are still the tenant's.
    await assign(running, "shop", ads=1, default=1)
    with pytest.raises(RpcFailure) as elsewhere:
        await submit(shop, model("higgsfield-ai/soul/standard", {"prompt": "not found", "people": [anna.id]}, "m4"))
    assert elsewhere.value.fields == ["input.model.parameters.people[0]"]
    assert (sent(running, ADS), len(sent(running, FILMS))) == ([], 12)
    for method, hidden in (
        ("GetCharacter", characters.GetCharacterRequest(id=anna.id)),
        ("DeleteCharacter", characters.DeleteCharacterRequest(id=anna.id)),
    ):
        with pytest.raises(RpcFailure) as unknown:
            await shop.call(method, hidden)
        assert unknown.value.code == "NOT_FOUND"


@pytest.mark.parametrize("auth", ["keys", "none"])
@pytest.mark.parametrize("removed", [False, True])
async def test_a_watch_of_a_character_ends_with_its_account(
    start: Start, monkeypatch: pytest.MonkeyPatch, auth: str, removed: bool
) -> None:
    monkeypatch.setattr("gateway.characters.watch.HEARTBEAT", 0.05)
    running = await start(AUTH=auth)
    await add(running, "films", FILMS)
    tenant = "shop" if auth == "keys" else DEFAULT_TENANT
    await assign(running, tenant, films=1)
    shop = await caller(running, tenant) if auth == "keys" else running.grpc
    anna = (await shop.call("CreateCharacter", order("Anna"))).character
    watch = shop.stream("WatchCharacter", characters.WatchCharacterRequest(id=anna.id))
    await anext(watch)
    await assign(running, tenant, default=1)
    if removed:
        await ask(running, "RemoveAccount", admin.RemoveAccountRequest(name="films"))
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(RpcFailure) as ended:
            await collected(watch)
    assert ended.value.code == "NOT_FOUND"
    with pytest.raises(RpcFailure) as unknown:
        await shop.call("GetCharacter", characters.GetCharacterRequest(id=anna.id))
    assert unknown.value.code == "NOT_FOUND"


async def test_an_estimate_follows_its_character(running: Running) -> None:
    """Prices are those of an account, and it may be the only one whose credentials are valid."""
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    anna = (await shop.call("CreateCharacter", order("Anna"))).character
    running.clock.advance(600)
    await shop.call("GetCharacter", characters.GetCharacterRequest(id=anna.id))
    await assign(running, "shop", ads=1, films=1)
    del running.sandbox.state.accounts[ADS]
    await portrait(shop, anna.id, "a portrait")
    estimate = generations.EstimateGenerationRequest(input=soul("a portrait").input)
    with pytest.raises(RpcFailure) as refusal:
        await shop.call("EstimateGeneration", estimate)
    assert refusal.value.reason == "UPSTREAM_CREDENTIALS_REFUSED"
    estimate.input.soul.character_id = anna.id
    estimate.input.soul.version = inputs.SOUL_VERSION_V1
    assert (await shop.call("EstimateGeneration", estimate)).cost.credits


@pytest.mark.usefixtures("unresolved")
async def test_an_unresolved_character_blocks_no_name_in_another_account(running: Running) -> None:
    await assign(running, "studio", ads=1)
    studio = await caller(running, "studio")
    assert not (await studio.call("CreateCharacter", order("Anna"))).replayed


async def test_an_order_that_waited_for_its_name_uses_the_account_of_the_time_when_it_is_sent(running: Running) -> None:
    """In the account before, its tenant could not use the character."""
    await assign(running, "shop", films=1)
    agency, shop = await caller(running, "agency"), await caller(running, "shop")
    with running.held(on="train", processed=True):
        first = asyncio.create_task(agency.call("CreateCharacter", order("Anna")))
        await eventually(lambda: len(running.ledger.trainings) == 1)
        second = asyncio.create_task(shop.call("CreateCharacter", order("Anna")))
        await running.calls_open("CreateCharacter", 2, "CharacterService")
        await eventually(lambda: len(running.gateway._core.characters._creator._in_progress) == 2)
        await assign(running, "shop", ads=1)
    await first
    anna = (await second).character
    assert (await shop.call("GetCharacter", characters.GetCharacterRequest(id=anna.id))).character.id == anna.id


async def test_an_unresolved_character_blocks_its_name_also_after_a_rotation(
    running: Running, unresolved: Transport
) -> None:
    await rotate(running, "films", NEWER)
    another = order("Anna")
    another.idempotency_key = "another"
    with pytest.raises(RpcFailure) as blocked:
        await unresolved.call("CreateCharacter", another)
    assert blocked.value.reason == "UPSTREAM_UNAVAILABLE"
    assert len(running.ledger.trainings) == 1


async def test_a_character_stays_its_tenants_after_its_account_is_gone(running: Running) -> None:
    shop, other = await caller(running, "shop"), await running.key("other")
    anna = (await shop.call("CreateCharacter", order("Anna"))).character
    running.clock.advance(600)
    await running.stop_gateway()
    running.credentials = Credentials(*NEWER.split(":"))  # another HF_KEY
    await running.start_gateway()
    submission = model("higgsfield-ai/soul/standard", {"prompt": "someone else", "people": [anna.id]}, "m")
    with pytest.raises(RpcFailure) as refusal:
        await submit(running.caller("grpc", other), submission)
    assert refusal.value.fields == ["input.model.parameters.people[0]"]
    assert sent(running, NEWER) == []


async def test_an_account_with_a_training_without_an_outcome_is_removed_only_by_force(
    running: Running, unresolved: Transport
) -> None:
    await assign(running, "shop", ads=1)
    assert await refused(running, "RemoveAccount", admin.RemoveAccountRequest(name="films")) == "INVALID_ARGUMENT"
    await rotate(running, "films", NEWER)  # newer credentials can look its character up
    await ask(running, "RemoveAccount", admin.RemoveAccountRequest(name="films", only_old_credentials=True))
    assert await refused(running, "RemoveAccount", admin.RemoveAccountRequest(name="films")) == "INVALID_ARGUMENT"
    await ask(running, "RemoveAccount", admin.RemoveAccountRequest(name="films", force=True))
    # Its character cannot be looked up any more, but the operator may know that there is none.
    request = admin.ResolveCharacterRequest(tenant="shop", idempotency_key="key-of-Anna")
    for character_id, code in (("no id!", "INVALID_ARGUMENT"), ("list", "INVALID_ARGUMENT"), ("a", "UNAVAILABLE")):
        request.character_id = character_id
        assert await refused(running, "ResolveCharacter", request) == code
    request.not_taken.SetInParent()
    await ask(running, "ResolveCharacter", request)
    assert not (await unresolved.call("CreateCharacter", order("Anna"))).replayed


async def test_the_default_account_may_have_old_credentials_of_another_one(running: Running) -> None:
    """For example because a change of HF_KEY was taken back."""
    await rotate(running, "films", NEWER)
    await running.stop_gateway()
    running.credentials = parse_credentials(FILMS)
    await running.start_gateway()
    await ask(running, "RemoveAccount", admin.RemoveAccountRequest(name="films", only_old_credentials=True))
    default = (await listed(running)).accounts[0].credentials[0]
    assert not default.removed
    assert not default.HasField("create_time")
    other, both = await caller(running, "other"), [running.sandbox.state.accounts[one] for one in (FILMS, NEWER)]
    await other.call("CreateSession", agents.CreateSessionRequest(idempotency_key="key"))
    assert [len(one.agents.sessions) for one in both] == [1, 0]
    anna = (await other.call("CreateCharacter", order("Anna"))).character
    running.clock.advance(600)
    await other.call("GetCharacter", characters.GetCharacterRequest(id=anna.id))
    await portrait(other, anna.id, "a portrait")
    assert [sent(running, one) for one in (FILMS, NEWER)] == [["a portrait"], []]


async def test_agents_and_uploads_use_the_first_account(running: Running) -> None:
    await assign(running, "shop", films=1, ads=9)
    shop = await caller(running, "shop")
    for number in range(3):
        await shop.call("CreateSession", agents.CreateSessionRequest(idempotency_key=f"{number}"))
        await shop.call("CreateUpload", uploads.CreateUploadRequest(content_type="image/png"))
    counts = {one: len(running.sandbox.state.accounts[one].agents.sessions) for one in (FILMS, ADS, MAIN)}
    assert counts == {FILMS: 3, ADS: 0, MAIN: 0}


async def test_characters_stay_after_a_rotation(start: Start) -> None:
    running = await start(credentials=f"{MAIN} {FILMS} {NEWER}")
    await add(running, "films", FILMS)
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    anna = (await shop.call("CreateCharacter", order("Anna"))).character
    state = running.sandbox.state
    state.accounts[NEWER] = state.accounts[FILMS]  # two API keys of one account
    await rotate(running, "films", NEWER)
    found = await shop.call("GetCharacter", characters.GetCharacterRequest(id=anna.id))
    assert found.character.id == anna.id
