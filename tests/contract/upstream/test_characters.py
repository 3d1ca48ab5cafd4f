"""The adapter for characters: its requests, and how it handles any response."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.characters.model import Character, CharacterState, Order
from gateway.characters.ports import Listing, OrderTaken
from gateway.errors import GatewayError, Reason
from gateway.generations.inputs import SoulVersion
from gateway.generations.ports import MaybeTaken, NotTaken
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.rpc.handlers.characters import _message
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.faults import Fault
from harness.responses.mutations import RECORDED, Case, case
from tests.contract.upstream.test_client import higgsfield
from tests.contract.upstream.test_fuzz import assert_presentable, peer

ID = "d7e6c0f3-6699-4f6c-bb45-2ad7fd9158ff"
ORDER = Order("Anna", ("https://example.invalid/a.jpg", "https://example.invalid/b.jpg"), SoulVersion.V2, "k")
REFERENCE = {
    "id": ID, "name": "Anna", "model_version": "v2", "status": "failed", "created_at": "2026-11-20T09:00:00.123Z",
    "thumbnail_url": "https://cdn.example.invalid/1.png", "in_progress_at": None, "fail_reason": "too few faces",
}  # fmt: skip
PAGE = {"total": 2, "page": 1, "page_size": 20, "total_pages": 1, "items": [REFERENCE, REFERENCE | {"id": ID[::-1]}]}
REFERENCES: list[tuple[int, Any]] = [(200, REFERENCE), (200, PAGE), (201, REFERENCE), *RECORDED[-9:]]


async def test_a_character_is_trained_found_and_removed() -> None:
    clock = ManualClock()
    async with higgsfield(clock=clock) as (sandbox, client):
        characters = HiggsfieldCharacters(client)
        outcome = await characters.train(ORDER, lambda: True)
        assert isinstance(outcome, OrderTaken)
        made = outcome.character
        assert (made.name, made.version, made.state) == ("Anna", SoulVersion.V2, CharacterState.NOT_READY)
        clock.advance(3600)
        seen = await characters.find(made.id)
        assert seen is not None
        assert seen.state is CharacterState.COMPLETED
        listing = await characters.listing()
        assert listing.characters == (seen,)
        assert listing.date is not None
        assert await characters.remove(made.id)
        assert not await characters.remove(made.id)
        assert await characters.find(made.id) is None
        assert sandbox.ledger.foreign_headers == {}


async def test_a_refused_send_check_sends_nothing() -> None:
    async with higgsfield() as (sandbox, client):
        outcome = await HiggsfieldCharacters(client).train(ORDER, lambda: False)
        assert isinstance(outcome, NotTaken)
        assert sandbox.ledger.trainings == []


async def test_a_response_about_another_character_is_rejected() -> None:
    async with higgsfield() as (sandbox, client):
        characters = HiggsfieldCharacters(client)
        outcome = await characters.train(ORDER, lambda: True)
        assert isinstance(outcome, OrderTaken)
        sandbox.state.plan.add([Fault.parse({"on": "character", "patch": {"id": ID}, "processed": True})])
        try:
            await characters.find(outcome.character.id)
        except GatewayError as error:
            assert error.failure.reason is Reason.UPSTREAM_UNAVAILABLE
        else:
            raise AssertionError("the response was accepted")


async def test_a_list_in_which_an_item_repeats_or_is_missing_is_not_complete() -> None:
    async with peer() as (one, client):
        characters = HiggsfieldCharacters(client)
        for items in ([REFERENCE, REFERENCE], [REFERENCE]):
            one.answer = Case(200, "application/json", json.dumps(PAGE | {"items": items}).encode())
            with pytest.raises(GatewayError, match="changes while it is read"):
                await characters.listing()


async def test_an_unreadable_item_does_not_make_a_list_incomplete() -> None:
    async with peer() as (one, client):
        page = PAGE | {"items": [REFERENCE, {"id": 5}]}
        one.answer = Case(200, "application/json", json.dumps(page).encode())
        assert [found.id for found in (await HiggsfieldCharacters(client).listing()).characters] == [ID]


async def test_an_empty_page_ends_a_list() -> None:
    async with peer() as (one, client):
        page = {"total": 0, "total_pages": 1000, "items": []}
        one.answer = Case(200, "application/json", json.dumps(page).encode())
        assert (await HiggsfieldCharacters(client).listing()).characters == ()


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -2300", "Thu, 01 Jan 1960 00:00:00 GMT"])
async def test_a_list_with_an_impossible_date_has_none(monkeypatch: pytest.MonkeyPatch, date: str) -> None:
    monkeypatch.setattr("aiohttp.web_response.rfc822_formatted_time", lambda: date)
    async with higgsfield() as (_, client):
        assert (await HiggsfieldCharacters(client).listing()).date is None


async def test_any_response_is_handled() -> None:
    """Results can be sent and contain no secret, and only documented refusals are certain."""
    async with peer() as (one, client):
        characters = HiggsfieldCharacters(client)
        for seed in range(600):
            one.answer = case(seed, REFERENCES)
            outcome = await characters.train(ORDER, lambda: True)
            assert isinstance(outcome, OrderTaken | NotTaken | MaybeTaken), seed
            assert not isinstance(outcome, NotTaken) or 400 <= one.answer.status < 500, seed
            found = [outcome.character] if isinstance(outcome, OrderTaken) else []
            for call in (characters.listing, lambda: characters.find(ID), lambda: characters.remove(ID)):
                try:
                    answer = await call()  # type: ignore[operator]
                except GatewayError as refused:
                    assert_presentable(refused.failure.message)
                    continue
                found += answer.characters if isinstance(answer, Listing) else ()
                found += [answer] if isinstance(answer, Character) else []
            for character in found:
                message = _message(character)
                assert message.FromString(message.SerializeToString()) == message, seed
                assert_presentable(message.failure.message)
