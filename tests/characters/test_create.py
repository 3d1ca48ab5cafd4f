"""Creating characters: trained once per key, whatever happens to the response."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo

from gateway.characters.lookup import CREATION_TIMEOUT
from gateway.characters.model import Creation
from gateway.characters.registry import MAX_VISIBILITY_DELAY
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.stores import StoreError, UnknownCommitError
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.higgsfield.credentials import Credentials
from hfgateway.v1 import character_service_pb2 as pb
from hfgateway.v1 import generation_input_pb2 as inputs
from tests.characters.conftest import URL, StartStudio, Studio, order
from tests.support.running import WAIT_TIMEOUT, eventually
from tests.support.transports import Transport

UNRESOLVED = ("ABORTED", "SUBMISSION_UNRESOLVED")
WRONG_IMAGE = [{"type": "x", "loc": ["body", "input_images", 1, "image_url"], "msg": "not an image"}]


async def test_a_character_is_trained_and_shown(studio: Studio, client: Transport) -> None:
    answer = await studio.create(by=client, version=inputs.SOUL_VERSION_V2)
    character = answer.character
    assert (character.name, character.version, character.done) == ("Anna", inputs.SOUL_VERSION_V2, False)
    assert character.state == pb.CHARACTER_STATE_NOT_READY
    assert character.create_time.seconds == int(studio.clock.epoch.timestamp())
    assert not answer.replayed
    assert studio.paid == [character.id]
    assert studio.ledger.foreign_headers == {}

    studio.clock.advance(60)
    shown = await studio.show(character.id, client)
    assert (shown.state, shown.done, shown.id) == (pb.CHARACTER_STATE_COMPLETED, True, character.id)


async def test_a_failed_training_has_a_message(studio: Studio) -> None:
    character = (await studio.create("[fail] Anna")).character
    studio.clock.advance(60)
    failed = await studio.show(character.id)
    assert (failed.state, failed.done) == (pb.CHARACTER_STATE_FAILED, True)
    assert "asked to fail" in failed.failure.message


async def test_a_repeat_with_the_same_key_trains_once(studio: Studio, client: Transport) -> None:
    first = await studio.create(by=client)
    again = await studio.create(by=client)
    assert (again.replayed, again.character.id) == (True, first.character.id)
    assert studio.sent == ["Anna"]


async def test_concurrent_calls_with_the_same_key_train_once(studio: Studio) -> None:
    answers = await asyncio.gather(*(studio.create() for _ in range(10)))
    assert len({answer.character.id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    assert studio.sent == ["Anna"]


async def test_a_repeat_after_a_restart_trains_once(studio: Studio) -> None:
    first = await studio.create()
    await studio.stop_gateway()
    await studio.start_gateway()
    again = await studio.create()
    assert (again.replayed, again.character.id) == (True, first.character.id)
    assert studio.sent == ["Anna"]


@pytest.mark.parametrize(
    "changed",
    [{"name": "Bo"}, {"image_urls": [URL, URL]}, {"version": inputs.SOUL_VERSION_CINEMA}],
    ids=lambda changed: next(iter(changed)),
)
async def test_the_same_key_with_other_fields_is_refused(studio: Studio, changed: dict[str, Any]) -> None:
    await studio.create("Anna", "one")
    wanted = {"name": "Anna", "key": "one"} | changed
    for _ in range(2):
        refused = await studio.refused("CreateCharacter", order(**wanted))
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED")
        await studio.stop_gateway()
        await studio.start_gateway()
    assert studio.sent == ["Anna"]


async def test_other_fields_are_refused_while_the_order_of_the_key_is_not_recorded_yet(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator = studio.gateway._core.characters._creator
    claim, claiming, may_claim = creator._store.claim, asyncio.Event(), asyncio.Event()

    async def claim_late(creation: Creation) -> None:
        claiming.set()
        await may_claim.wait()
        await claim(creation)

    monkeypatch.setattr(creator._store, "claim", claim_late)
    async with asyncio.timeout(WAIT_TIMEOUT):
        first = asyncio.create_task(studio.create("Anna", "k"))
        await claiming.wait()
        assert (await studio.refused("CreateCharacter", order("Bo", "k"))).reason == "IDEMPOTENCY_KEY_REUSED"
        may_claim.set()
        assert not (await first).replayed


async def test_a_404_of_a_new_character_is_not_reported_as_a_deletion(studio: Studio) -> None:
    character = (await studio.create("Anna", "one")).character
    get = pb.GetCharacterRequest(id=character.id)
    for method, request in (("CreateCharacter", order("Anna", "one")), ("GetCharacter", get)):
        studio.plan(on="character", kind="404")
        refused = await studio.refused(method, request)
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert (await studio.create("Anna", "one")).character.id == character.id

    studio.ahead += MAX_VISIBILITY_DELAY
    studio.plan(on="character", kind="404")
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "IDEMPOTENCY_KEY_REUSED"
    assert studio.sent == ["Anna"]


async def test_the_default_version_is_version_1(studio: Studio) -> None:
    await studio.create("Anna", "one")
    assert (await studio.create("Anna", "one", version=inputs.SOUL_VERSION_V1)).replayed


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.CreateCharacterRequest(), ["idempotency_key", "name", "image_urls"]),
        (order("x" * 101, "k"), ["name"]),
        (order(" ", "k"), ["name"]),
        (order("A\0na", "k"), ["name"]),
        (order("x" * 100, "k", image_urls=[URL] * 101), ["image_urls"]),
        (order("x", "k", image_urls=[URL, "file:///a", ""]), ["image_urls[1]", "image_urls[2]"]),
        (order("x", "a key"), ["idempotency_key"]),
        (order("x", "k", version=99), ["version"]),
    ],
)
async def test_every_invalid_field_is_named_and_nothing_is_sent(
    studio: Studio, request_: pb.CreateCharacterRequest, fields: list[str]
) -> None:
    refused = await studio.refused("CreateCharacter", request_)
    assert (refused.code, refused.reason, refused.fields) == ("INVALID_ARGUMENT", "INVALID_INPUT", fields)
    assert studio.sent == []


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "422", "body": {"detail": WRONG_IMAGE}}, ("INVALID_ARGUMENT", "INPUT_REFUSED")),
        ({"kind": "400"}, ("INVALID_ARGUMENT", "INPUT_REFUSED")),
        ({"kind": "403"}, ("RESOURCE_EXHAUSTED", "INSUFFICIENT_CREDITS")),
        ({"kind": "402"}, ("RESOURCE_EXHAUSTED", "INSUFFICIENT_CREDITS")),
        ({"kind": "401"}, ("INTERNAL", "UPSTREAM_CREDENTIALS_REFUSED")),
        ({"kind": "404"}, ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")),
        ({"kind": "423"}, ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")),
        ({"kind": "429", "headers": {"Retry-After": "7"}}, ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_a_definite_refusal_frees_the_key(
    studio: Studio, fault: dict[str, Any], expected: tuple[str, str]
) -> None:
    studio.plan(on="train", **fault)
    refused = await studio.refused("CreateCharacter", order())
    assert (refused.code, refused.reason) == expected
    if fault.get("body"):
        assert refused.fields == ["image_urls[1]"]
    if fault.get("headers"):
        assert refused.detail(RetryInfo).retry_delay.seconds == 7

    other = await studio.create("Bo", "key-of-Anna")
    assert (other.replayed, other.character.name) == (False, "Bo")
    assert len(studio.paid) == 1


async def test_an_unreachable_higgsfield_frees_the_key(studio: Studio) -> None:
    await studio.sandbox.stop()
    refused = await studio.refused("CreateCharacter", order())
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    await studio.stop_gateway()
    await studio.sandbox.start()
    await studio.start_gateway()
    assert not (await studio.create("Bo", "key-of-Anna")).replayed


AMBIGUOUS = [
    {"kind": "502", "processed": True},
    {"kind": "504", "processed": True},
    {"kind": "408", "processed": True},
    {"kind": "html", "status": 403, "processed": True},
    {"kind": "reset", "processed": True},
    {"kind": "lost"},
    {"kind": "half"},
    {"kind": "garbage", "processed": True},
    {"status": 200, "body": {"hello": 1}, "processed": True},
    {"status": 200, "body": "done", "processed": True},
]


@pytest.mark.parametrize("fault", AMBIGUOUS, ids=str)
async def test_a_character_with_a_lost_response_is_found_and_not_sent_again(
    studio: Studio, fault: dict[str, Any]
) -> None:
    await studio.create_directly("Anna")
    studio.plan(on="train", **fault)
    answer = await studio.create()
    assert answer.character.id == studio.paid[-1]
    assert (answer.replayed, (await studio.create()).replayed) == (False, True)
    assert studio.sent == ["Anna", "Anna"]


@pytest.mark.parametrize("fault", [one | {"processed": False} for one in AMBIGUOUS[::3]], ids=str)
async def test_a_character_not_found_stays_unresolved_and_is_not_sent_again(
    studio: Studio, fault: dict[str, Any]
) -> None:
    await studio.create_directly("Anna")
    studio.plan(on="train", **fault)
    for _ in range(2):
        refused = await studio.refused("CreateCharacter", order())
        assert (refused.code, refused.reason) == UNRESOLVED
        assert refused.failure.retryable
    assert studio.sent == ["Anna", "Anna"]


async def test_an_unresolved_character_stays_unresolved_after_a_restart(studio: Studio) -> None:
    studio.plan(on="train", kind="502")
    for _ in range(2):
        assert (await studio.refused("CreateCharacter", order())).reason == "SUBMISSION_UNRESOLVED"
        await studio.metric_becomes("hfgateway_characters_open", 1)
        await studio.stop_gateway()
        await studio.start_gateway()
    assert studio.sent == ["Anna"]


async def test_a_character_that_appears_late_is_found_by_a_repeat(studio: Studio) -> None:
    studio.plan(on="train", kind="504")
    assert (await studio.refused("CreateCharacter", order())).reason == "SUBMISSION_UNRESOLVED"
    late = await studio.create_directly("Anna")  # stands in for the delayed creation
    found = await studio.create()
    assert (found.character.id, found.replayed) == (late, True)
    assert (await studio.create()).character.id == late


async def test_no_character_is_bound_while_two_could_match(studio: Studio) -> None:
    studio.plan(on="characters")
    studio.plan(on="characters", kind="500", times=3)
    studio.plan(on="train", kind="502", processed=True)
    assert (await studio.refused("CreateCharacter", order())).reason == "SUBMISSION_UNRESOLVED"
    (own,) = studio.paid
    other = await studio.create_directly("Anna")
    assert (await studio.refused("CreateCharacter", order())).reason == "SUBMISSION_UNRESOLVED"

    await studio.call_higgsfield("DELETE", f"/{other}")
    assert (await studio.create()).character.id == own


@pytest.mark.parametrize("name", ["Anna", "Anna "], ids=["the same", "with a space"])
async def test_two_lost_responses_with_one_name_bind_two_characters(studio: Studio, name: str) -> None:
    studio.plan(on="train", kind="502", processed=True, times=2)
    first, second = await asyncio.gather(studio.create("Anna", "one"), studio.create(name, "two"))
    assert {first.character.id, second.character.id} == set(studio.paid)
    assert (await studio.create("Anna", "one")).character.id == first.character.id
    assert (await studio.create(name, "two")).character.id == second.character.id
    assert sorted(studio.sent) == ["Anna", name]


@pytest.mark.parametrize("name", ["Anna", "Anna "], ids=["the same", "with a space"])
async def test_orders_of_one_name_are_sent_one_after_another(studio: Studio, name: str) -> None:
    with studio.held(on="train", processed=True):
        first = asyncio.create_task(studio.create("Anna", "one"))
        await studio.until_paid(1)
        second = asyncio.create_task(studio.create(name, "two"))
        await studio.calls_open("CreateCharacter", 2, "CharacterService")
        await studio.create("Bo")
        assert studio.sent == ["Anna", "Bo"]
    await asyncio.gather(first, second)
    assert studio.sent == ["Anna", "Bo", name]


async def test_an_unresolved_character_blocks_others_of_its_name(studio: Studio) -> None:
    studio.plan(on="train", kind="502")
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "SUBMISSION_UNRESOLVED"

    refused = await studio.refused("CreateCharacter", order(" Anna", "two"))
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert refused.has(RetryInfo)
    assert studio.sent == ["Anna"]
    assert (await studio.create("Bo", "three")).character.name == "Bo"


async def test_a_later_character_is_found_after_the_clock_was_set_back(studio: Studio) -> None:
    studio.plan(on="train", kind="502")
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "SUBMISSION_UNRESOLVED"
    await studio.stop_gateway()
    studio.ahead -= 7200
    await studio.start_gateway()
    studio.ahead += CREATION_TIMEOUT + 1  # by a clock that may be wrong
    assert (await studio.refused("CreateCharacter", order("Anna", "two"))).reason == "UPSTREAM_UNAVAILABLE"
    studio.ahead += CREATION_TIMEOUT + 1  # the clocks still differ by the same amount

    studio.plan(on="train", kind="502", processed=True)
    found = await studio.create("Anna", "two")

    assert studio.paid == [found.character.id]
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "SUBMISSION_UNRESOLVED"


async def test_an_unresolved_key_is_not_bound_to_a_later_character(studio: Studio) -> None:
    studio.plan(on="train", kind="502")
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "SUBMISSION_UNRESOLVED"
    studio.ahead += CREATION_TIMEOUT + 1

    studio.plan(on="train", kind="502", processed=True)
    studio.plan(on="characters")
    studio.plan(on="characters", kind="500", times=3)
    assert (await studio.refused("CreateCharacter", order("Anna", "two"))).reason == "SUBMISSION_UNRESOLVED"
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "SUBMISSION_UNRESOLVED"
    assert (await studio.create("Anna", "two")).character.id == studio.paid[-1]
    assert len(studio.sent) == 2


async def test_the_next_creation_with_its_name_resolves_an_unresolved_one(studio: Studio) -> None:
    studio.plan(on="train", kind="504")
    assert (await studio.refused("CreateCharacter", order("Anna", "one"))).reason == "SUBMISSION_UNRESOLVED"
    late = await studio.create_directly("Anna")
    second = (await studio.create("Anna", "two")).character
    first = await studio.create("Anna", "one")
    assert (first.character.id, first.replayed) == (late, True)
    assert second.id == studio.paid[-1] != late


async def test_a_known_character_is_not_replaced_by_a_later_one_from_elsewhere(studio: Studio) -> None:
    created = await studio.create("Anna", "one")
    await studio.create_directly("Anna")
    await studio.create("Anna", "two")
    assert (await studio.create("Anna", "one")).character.id == created.character.id


async def test_a_response_with_the_id_of_another_character_is_not_trusted(studio: Studio) -> None:
    first = (await studio.create("Anna", "one")).character
    studio.plan(on="train", patch={"id": first.id}, processed=True)
    assert (await studio.refused("CreateCharacter", order("Bo", "two"))).reason == "SUBMISSION_UNRESOLVED"
    assert (await studio.create("Bo", "two")).character.id == studio.paid[-1]


@pytest.mark.parametrize("canceled", [0, 1], ids=["the first call", "a repeat"])
async def test_canceling_a_create_call_does_not_cancel_the_training(studio: Studio, canceled: int) -> None:
    with studio.held(on="train", processed=True):
        calls = [asyncio.create_task(studio.create())]
        await studio.until_paid(1)
        calls.append(asyncio.create_task(studio.create()))
        await studio.calls_open("CreateCharacter", 2, "CharacterService")
        calls[canceled].cancel()
        await studio.calls_open("CreateCharacter", 1, "CharacterService")
    assert (await calls[1 - canceled]).character.id == studio.paid[0]
    assert studio.sent == ["Anna"]


async def test_orders_whose_callers_have_left_count_against_the_limit_of_their_tenant(
    start: StartStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.characters.creator.MAX_IN_PROGRESS", 2)
    studio = await start(AUTH="keys")
    red, blue = [studio.caller("grpc", await studio.key(tenant)) for tenant in ("red", "blue")]
    with studio.held(on="train", processed=True, times=2):
        leaving = [asyncio.create_task(studio.create(name, by=red)) for name in ("Anna", "Bo")]
        await studio.until_paid(2)
        for call in leaving:
            call.cancel()
        await studio.calls_open("CreateCharacter", 0, "CharacterService")

        refused = await studio.refused("CreateCharacter", order("Cy"), red)
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED")
        await studio.create("Dee", by=blue)
        again = asyncio.create_task(studio.create("Anna", by=red))
        await studio.calls_open("CreateCharacter", 1, "CharacterService")
    assert (await again).replayed
    await studio.create("Cy", by=red)
    assert studio.sent[2:] == ["Dee", "Cy"]


async def test_a_drain_waits_for_a_create_call_in_flight(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    core, left = studio.gateway._core, list[int]()
    after = core.dispatcher.drained

    async def next_step() -> None:
        left.append(len(core.characters._creator._in_progress))
        await after()

    monkeypatch.setattr(core.dispatcher, "drained", next_step)
    with studio.held(on="train", processed=True):
        call = asyncio.create_task(studio.create())
        await studio.until_paid(1)
        await studio.begin_drain()
        assert (await studio.refused("CreateCharacter", order())).reason == "GATEWAY_UNAVAILABLE"
    await studio.stop_gateway()
    assert left == [0]
    created = (await call).character.id
    await studio.start_gateway()
    again = await studio.create()
    assert (again.character.id, again.replayed) == (created, True)
    assert studio.sent == ["Anna"]


async def test_a_drain_does_not_wait_for_a_list(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it report that a submission is in flight."""
    studio = await start(DRAIN="0.1")
    with studio.held(on="characters"):
        call = asyncio.create_task(studio.refused("ListCharacters", pb.ListCharactersRequest()))
        await eventually(lambda: bool(studio.gateway._core.characters._listings))
        await studio.stop_gateway()
        assert (await call).code == "UNAVAILABLE"
    assert "in flight" not in caplog.text


async def test_a_drain_does_not_send_waiting_create_calls(studio: Studio) -> None:
    with studio.held(on="train", processed=True):
        first = asyncio.create_task(studio.create("Anna", "one"))
        await studio.until_paid(1)
        second = asyncio.create_task(studio.refused("CreateCharacter", order("Anna", "two")))
        await studio.calls_open("CreateCharacter", 2, "CharacterService")
        await studio.begin_drain()
    await studio.stop_gateway()
    assert (await first).character.id == studio.paid[0]
    refused = await second
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert studio.sent == ["Anna"]


async def test_a_bug_after_the_training_call_counts_as_a_lost_response(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = HiggsfieldCharacters.train

    async def broken(*arguments: Any) -> NoReturn:
        await train(*arguments)
        raise ZeroDivisionError

    monkeypatch.setattr(HiggsfieldCharacters, "train", broken)
    assert [(await studio.create()).character.id] == studio.paid


async def test_an_order_is_not_sent_long_after_its_record(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that wakes up after a pause must not send: another may serve now, and the key may be free again."""
    creator = studio.gateway._core.characters._creator
    claim = creator._store.claim

    async def claim_then_pause(creation: Creation) -> None:
        await claim(creation)
        studio.ahead += SEND_TIMEOUT

    with monkeypatch.context() as patched:
        patched.setattr(creator._store, "claim", claim_then_pause)
        assert (await studio.refused("CreateCharacter", order())).reason == "UPSTREAM_UNAVAILABLE"
    assert studio.sent == []
    assert not (await studio.create()).replayed


async def test_a_record_whose_commit_is_unknown_is_deleted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    creator = studio.gateway._core.characters._creator
    claim = creator._store.claim

    async def claim_unconfirmed(creation: Creation) -> None:
        await claim(creation)
        raise UnknownCommitError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(creator._store, "claim", claim_unconfirmed)
        assert (await studio.refused("CreateCharacter", order())).reason == "GATEWAY_UNAVAILABLE"
    await studio.stop_gateway()
    await studio.start_gateway()
    assert not (await studio.create()).replayed
    assert studio.sent == ["Anna"]


async def test_a_store_that_fails_loses_no_response(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    store = studio.gateway._core.characters._creator._store
    bind, errors = store.bind, [StoreError(), StoreError()]

    async def bind_at_last(creation_id: str, character_id: str) -> None:
        if errors:
            raise errors.pop()
        await bind(creation_id, character_id)

    monkeypatch.setattr(store, "bind", bind_at_last)
    assert [(await studio.create()).character.id] == studio.paid


async def test_a_failed_store_write_sends_nothing(studio: Studio) -> None:
    studio.database.sql["insert_character"] = "INSERT INTO nothing VALUES (:id)"
    refused = await studio.refused("CreateCharacter", order())
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert studio.sent == []


async def test_a_repeat_with_another_account_is_unavailable(start: Any) -> None:
    studio = await start(credentials="sandbox:sandbox other:pair")
    character = (await studio.create()).character
    studio.plan(on="train", kind="502")
    assert (await studio.refused("CreateCharacter", order("Bo"))).reason == "SUBMISSION_UNRESOLVED"
    await studio.stop_gateway()
    studio.credentials = Credentials("other", "pair")
    await studio.start_gateway()
    for name in ("Anna", "Bo"):
        refused = await studio.refused("CreateCharacter", order(name))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert studio.sent == ["Anna", "Bo"]
    # The credentials may be new ones of the same account. Then they show all its characters.
    accounts = studio.sandbox.state.accounts
    accounts["other:pair"] = accounts["sandbox:sandbox"]
    assert (await studio.show(character.id)).name == "Anna"


async def test_the_response_that_settles_nothing_is_in_the_error(studio: Studio) -> None:
    body = {"message": "unexpected", "trace": [1, None]}
    for status, reason in ((500, "SUBMISSION_UNRESOLVED"), (423, "UPSTREAM_UNAVAILABLE")):
        detail = {"detail": "no"} if status == 423 else {}
        studio.plan(on="train", status=status, body=body | detail)
        refused = await studio.refused("CreateCharacter", order(f"Anna {status}", f"key-{status}"))
        assert refused.reason == reason
        assert MessageToDict(refused.failure)["upstreamResponse"] == body | detail
