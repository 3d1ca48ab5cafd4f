"""The port `CharacterStore`: claims, bindings and removals, also after the store was opened again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.inputs import SoulVersion
from gateway.generations.stores import StoreError
from gateway.store.sqlite.store import SqliteStore

CREATION = Creation(
    id="1", tenant="red", key="k", fingerprint=b"\x01f", account="a", name="Anna \u00e9", version=SoulVersion.CINEMA,
    known=frozenset({"x", "y"}), sent_date=1e9, sent_at=2e9,
)  # fmt: skip


@pytest.fixture
async def characters(store: Any) -> Any:
    return store.characters


async def test_claims_survive_a_restart(engine: Any) -> None:
    characters = (await engine.open()).characters
    await characters.claim(CREATION)
    await characters.bind("1", "c")
    await characters.claim(replace(CREATION, id="2", key="l", known=frozenset()))
    await engine.close()
    kept = await (await engine.open()).characters.creations()
    assert list(kept) == [
        replace(CREATION, character_id="c"),
        replace(CREATION, id="2", key="l", known=frozenset()),
    ]


async def test_a_key_is_claimed_once_for_a_tenant(characters: Any) -> None:
    await characters.claim(CREATION)
    with pytest.raises(StoreError):
        await characters.claim(replace(CREATION, id="2"))
    await characters.claim(replace(CREATION, id="3", tenant="blue"))
    assert [one.id for one in await characters.creations()] == ["1", "3"]


async def test_a_claim_can_be_repeated(characters: Any) -> None:
    await characters.claim(CREATION)
    await characters.bind("1", "c")
    await characters.claim(CREATION)
    assert await characters.creations() == [replace(CREATION, character_id="c")]


async def test_a_character_belongs_to_one_creation_of_its_account(characters: Any) -> None:
    for number, account in (("1", "a"), ("2", "a"), ("3", "b")):
        await characters.claim(replace(CREATION, id=number, key=number, account=account))
    await characters.bind("1", "c")
    with pytest.raises(CharacterTakenError):
        await characters.bind("2", "c")
    await characters.bind("3", "c")
    assert [one.character_id for one in await characters.creations()] == ["c", "", "c"]


async def test_only_an_unbound_creation_can_be_freed_and_its_key_reused(characters: Any) -> None:
    await characters.claim(CREATION)
    await characters.free("1")
    assert await characters.creations() == []
    await characters.claim(replace(CREATION, id="2"))
    await characters.bind("2", "c")
    await characters.free("2")
    assert [one.id for one in await characters.creations()] == ["2"]


async def test_a_confirmed_deletion_is_never_undone(characters: Any) -> None:
    asked = Removal("a", "c", "red")
    for removal in (asked, replace(asked, gone=True), asked):
        await characters.remove(removal)
    assert await characters.removals() == [replace(asked, gone=True)]


async def test_the_clock_continues_from_the_last_creation(store: Any, characters: Any) -> None:
    await characters.claim(CREATION)
    assert await store.times.newest_steady() == 2e9


async def test_a_corrupt_row_raises_a_store_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", lambda error: None)
    try:
        await store.characters.claim(CREATION)
        await store.database.writer.write(None, lambda one: (one.execute("UPDATE characters SET known = '['"), None))
        with pytest.raises(StoreError):
            await store.characters.creations()
    finally:
        await store.close()
