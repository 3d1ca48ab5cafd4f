"""The audit log of each store: an entry for each change and none for anything else, in one chain."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from gateway import failpoints
from gateway.access.keys import ApiKey
from gateway.audit import GENESIS, BrokenChainError, Entry, Head, chained, line, read_export, verify
from gateway.generations.journal import Caller, caller
from gateway.generations.limits.model import LimitExceededError, Limits, SubmissionTime
from gateway.generations.model import Generation, Source, State, Steady, Wall
from gateway.generations.resolve import BY_OPERATOR
from gateway.generations.state import Accepted, CancelAsked, Expired, Marked, Observation, OwnerDied, step
from gateway.generations.stores import StoredCredentials, UnknownCommitError
from gateway.store.auditor import ACTS
from gateway.store.sqlite import audit as store_audit
from gateway.store.sqlite.audit import stored
from gateway.store.store import Store
from tests.contract.store.conftest import Engine, PostgresEngine, SqliteEngine
from tests.contract.store.examples import NOW, after, claim, generation, marked, report

CALLER = Caller("the shop's", "peer", "key:k1")
COUNTS = ("credits_per_day", "credits_per_month", "submissions_per_minute", "in_flight", "concurrency_share")


@pytest.fixture(autouse=True)
def called() -> Iterator[None]:
    token = caller.set(CALLER)
    yield
    caller.reset(token)


@pytest.fixture
def audited(store: Store) -> Store:
    store.auditor.mode = "on"
    return store


async def entries(store: Store) -> list[dict[str, Any]]:
    """Return the content of all entries, after a verification of the chain."""
    found = await store.audit.audit_entries(1, 10_000)
    before = [GENESIS, *(entry.hash for entry in found)]
    head = verify(zip(before, found, strict=False)).head
    assert head == await store.audit.audit_head()
    return [json.loads(entry.text) for entry in found]


def acts(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["act"], entry.get("id", "")) for entry in found]


async def test_a_submission_has_an_entry_and_a_repeat_has_none(audited: Store) -> None:
    wanted = [claim(idempotency_key=f"key-{number}") for number in range(30)]
    await asyncio.gather(*(audited.claims.claim(one) for one in wanted))
    await audited.claims.claim(wanted[0])
    conflict = claim(fingerprint=b"another", idempotency_key="key-1")
    assert (await audited.claims.claim(conflict)).conflict
    found = await entries(audited)
    assert acts(found) == [("generation.submit", one.generation.id) for one in wanted]
    first = found[0]
    assert (first["actor"], first["tenant"]) == ("key:k1", wanted[0].generation.tenant)
    of = next(one for one in wanted if one.generation.id == first["id"])
    assert first["details"] == {"input_sha256": of.fingerprint[1:].hex(), "model": of.generation.spec.model_id}


async def test_a_refused_submission_has_no_entry(audited: Store) -> None:
    tenant = "tenant"
    await audited.limits.set_limits(tenant, "tenant", Limits(in_flight=1), "2026-01-01")
    submission_time = SubmissionTime("2026-01-01", 1)
    wanted = [replace(claim(), submission_time=submission_time) for number in range(3)]
    results = await asyncio.gather(*(audited.claims.claim(one) for one in wanted), return_exceptions=True)
    assert sum(isinstance(result, LimitExceededError) for result in results) == 2
    assert [act for act, _ in acts(await entries(audited))] == ["limits.set", "generation.submit"]


async def test_changes_by_callers_have_entries_and_those_of_the_gateway_have_none(audited: Store) -> None:
    async def save(before: Generation, observation: Observation) -> Generation:
        changed = after(before, observation)
        assert await audited.generations.save(before, changed, step(observation))
        assert not await audited.generations.save(before, changed, step(observation))
        return changed

    fresh, lost, again = [marked(generation()) for _ in range(3)]
    for one in (fresh, lost, again):
        await audited.claims.claim(claim(one))
    asked = await save(fresh, CancelAsked())
    assert asked.revision == fresh.revision  # nothing that clients see
    lost, again = [await save(one, OwnerDied(one.marker, 0.0)) for one in (lost, again) if one.marker]
    await save(lost, Expired(BY_OPERATOR, Source.OPERATOR))
    await save(again, Marked("owner"))
    await save(asked, Accepted(report("r1", State.QUEUED)))
    caller.set(None)
    other = generation()
    await audited.claims.claim(claim(other))
    await save(other, CancelAsked())
    found = await entries(audited)
    assert acts(found)[3:] == [
        ("generation.cancel", fresh.id), ("generation.resolve", lost.id), ("generation.resolve", again.id),
        ("generation.submit", other.id),
    ]  # fmt: skip
    assert [entry["details"]["state"] for entry in found[3:6]] == ["PENDING", "LOST", "UNCERTAIN"]
    assert [entry["actor"] for entry in found[5:]] == ["key:k1", "gateway"]


def test_the_steps_of_callers_exist() -> None:
    assert {f"before {one}" for one in ACTS} <= failpoints.PLACES


async def test_changes_of_keys_and_limits_have_entries(audited: Store) -> None:
    """What changes nothing has no entry, for example a repeat after a lost answer."""
    key = ApiKey("k2", "red", "the shop's", b"\x00" * 32, NOW)
    await audited.keys.add_api_key(key)
    for _ in range(2):
        await audited.keys.expire_api_key(key, NOW + 60)
        await audited.keys.revoke_api_key(key, NOW + 1)
        await audited.limits.set_limits("red", "tenant", Limits(in_flight=3, models=("acme/",)), "")
    changed = Limits(in_flight=4)
    for name, value in (*((name, 5) for name in COUNTS), ("models", ("b/",))):
        changed = replace(changed, **{name: value})
        for tenant in ("blue", "red"):
            await audited.limits.set_limits(tenant, "tenant", changed, "")
            assert [one.limits for one in await audited.limits.limits(tenant)] == [changed]
    for _ in range(2):
        await audited.limits.set_limits("red", "tenant", Limits(), "")
    found = await entries(audited)
    assert acts(found) == [
        ("key.create", "k2"), ("key.expire", "k2"), ("key.revoke", "k2"),
        ("limits.set", "tenant"), *[("limits.set", "tenant")] * 2 * (len(COUNTS) + 1), ("limits.clear", "tenant"),
    ]  # fmt: skip
    assert {entry["tenant"] for entry in found[:3]} == {"red"}
    assert found[0]["details"] == {"name": "the shop's", "scopes": ["cancel", "read", "submit"]}
    assert found[3]["details"] == {"in_flight": 3, "models": ["acme/"]}


async def test_changes_of_accounts_have_entries(audited: Store) -> None:
    one = StoredCredentials("id-1", "films", "red", b"sealed", Wall(NOW))
    for _ in range(2):
        await audited.accounts.save_credentials(one)
        await audited.accounts.seal_credentials("id-1", b"sealed with a new key")
        await audited.accounts.set_pool("red", {"films": 3, "ads": 1})
    await audited.accounts.set_pool("red", {"ads": 1, "films": 3})  # other uploads, agents and characters
    await audited.accounts.seal_credentials("id-1", b"")
    await audited.accounts.save_credentials(replace(one, id="id-2"))
    for _ in range(2):
        await audited.accounts.set_pool("red", {})
        await audited.accounts.delete_account("films")
    found = await entries(audited)
    assert [entry["act"] for entry in found] == [
        "account.add", "account.assign", "account.assign", "account.retire", "account.add", "account.unassign",
        "account.remove",
    ]  # fmt: skip
    assert [entry.get("id", "") for entry in found] == ["films", "", "", "id-1", "films", "", "films"]
    assert found[0]["details"] == {"credentials": "id-1"}
    assert [entry["details"]["accounts"] for entry in found[1:3]] == [["films=3", "ads=1"], ["ads=1", "films=3"]]
    assert {found[place]["tenant"] for place in (1, 2, 5)} == {"red"}


async def test_a_deletion_has_an_entry(audited: Store) -> None:
    one = generation()
    await audited.claims.claim(claim(one))
    for _ in range(2):
        await audited.deletions.delete(one, at_upstream=False, steady=Steady(NOW))
    assert acts(await entries(audited)) == [("generation.submit", one.id), ("generation.delete", one.id)]


async def test_the_log_continues_after_a_restart_and_shows_when_it_was_off(engine: Engine) -> None:
    caller.set(None)
    for mode in ("off", "on", "off", "on"):
        store = await engine.open()
        store.auditor.mode = mode
        if mode == "on" or (await store.audit.audit_head()).sequence:
            await store.audit.record("gateway.start", {"audit": mode})
        await store.claims.claim(claim())
        found = await entries(store)
        await engine.close()
    assert [(entry["act"], entry["details"].get("audit")) for entry in found] == [
        ("gateway.start", "on"), ("generation.submit", None), ("gateway.start", "off"), ("gateway.start", "on"),
        ("generation.submit", None),
    ]  # fmt: skip
    assert {entry["actor"] for entry in found} == {"gateway"}


async def test_inputs_are_stored_if_that_is_wanted(audited: Store) -> None:
    audited.auditor.mode = "inputs"
    audited.auditor.input_of = lambda given: {"prompt": "ä fox\x00", "size": given.decode("latin-1")[:0]}
    await audited.claims.claim(claim())
    (found,) = await entries(audited)
    assert found["details"]["input"] == {"prompt": "ä fox\x00", "size": ""}


@pytest.mark.toolchain("postgres")
async def test_a_statement_whose_answer_was_lost_is_recorded_once(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = PostgresEngine(emptied)
    store = await engine.open()
    try:
        store.auditor.mode = "on"
        database = store.audit._database  # type: ignore[attr-defined]
        run, lost = database.run, set[str]()
        losable = {"claim", "save", "delete", "insert_api_key", "revoke_api_key", "set_new_limits", "set_limits"}

        async def losing(pool: Any, name: str, *values: Any, **more: Any) -> Any:
            rows = await run(pool, name, *values, **more)
            if name in losable - lost:
                lost.add(name)
                raise UnknownCommitError("the answer was lost")
            return rows

        monkeypatch.setattr(database, "run", losing)
        one = generation()
        assert (await store.claims.claim(claim(one))).new
        assert await store.generations.save(one, after(one, CancelAsked()), step(CancelAsked()))
        await store.deletions.delete(one, at_upstream=False, steady=Steady(NOW))
        key = ApiKey("k2", "red", "", b"\x00" * 32, NOW)
        await store.keys.add_api_key(key)
        await store.keys.revoke_api_key(key, NOW + 1)
        for count in (3, 4):
            await store.limits.set_limits("red", "tenant", Limits(in_flight=count), "")
        assert lost == losable
        assert [act for act, _ in acts(await entries(store))] == [
            "generation.submit", "generation.cancel", "generation.delete", "key.create", "key.revoke", "limits.set",
            "limits.set",
        ]  # fmt: skip
    finally:
        await engine.close()


# -- What a verification finds -----------------------------------------------------------------------------------------


def chain(length: int = 5) -> list[tuple[bytes, Entry]]:
    found, previous = [], GENESIS
    for number in range(1, length + 1):
        text = json.dumps({"act": "test", "n": number}, separators=(",", ":"))
        found.append((previous, Entry(number, text, chained(previous, number, text))))
        previous = found[-1][1].hash
    return found


def exported(found: list[tuple[bytes, Entry]]) -> list[str]:
    return [line(previous, entry) + "\n" for previous, entry in found]


def broken(lines: list[str], *noted: Head) -> str:
    with pytest.raises(BrokenChainError) as raised:
        verify(read_export(lines), noted)
    return str(raised.value)


def test_an_unchanged_export_is_verified_as_a_whole_and_in_part() -> None:
    whole = chain()
    heads = [Head(entry.sequence, entry.hash) for _, entry in whole]
    result = verify(read_export(exported(whole)), heads)
    assert (result.first, result.head) == (1, heads[-1])
    part = verify(read_export(exported(whole[2:])), [heads[1], heads[3]])
    assert (part.first, part.head) == (3, heads[-1])
    assert verify(read_export(exported(whole[2:])), [Head()]).first == 3  # noted when the log was empty
    assert verify([], [Head()]).head == Head()
    assert Head.parse(str(heads[2])) == heads[2]
    with pytest.raises(ValueError, match="NUMBER:HASH"):
        Head.parse("7")


def test_each_change_of_an_export_is_found() -> None:
    whole = chain()
    lines = exported(whole)
    noted = Head(5, whole[-1][1].hash)
    assert broken([*lines[:2], lines[2].replace('"n":3', '"n":7'), *lines[3:]]) == (
        "entry 3: was changed: it does not have its hash"
    )
    assert broken([*lines[:2], *lines[3:]]) == "entry 3 is missing: entry 4 is in its place"
    assert broken([lines[0], lines[2], lines[1], *lines[3:]]) == "entry 2 is missing: entry 3 is in its place"
    assert broken(lines[:4], noted) == "entry 5, whose hash was noted, is missing: the log ends before it"
    assert broken([], noted) == "entry 5, whose hash was noted, is missing: the log ends before it"
    assert broken(lines[3:], Head(1, whole[0][1].hash)).endswith("is missing: before the first entry")
    assert broken([*lines[:3], lines[3].replace(":", ": ", 1), lines[4]]).startswith("entry 4: its line was changed")
    for other in ("nothing", "[" * 100_000, lines[3].replace(":4,", ":Infinity,", 1)):
        assert broken([*lines[:3], f"{other}\n"]) == "line 4 is not an entry"
    for number in (0, -1, 1 << 64):
        made = line(GENESIS, Entry(number, "{}", chained(GENESIS, 0, "{}"))) + "\n"
        assert broken([made, *lines]) == f"entry {number}: no entry has this number"
    begun = line(bytes(range(32)), Entry(1, "{}", chained(bytes(range(32)), 1, "{}"))) + "\n"
    assert broken([begun]) == "entry 1: the hash before it is not that of entry 0"
    foreign = line(bytes(range(32)), Entry(3, "{}", chained(bytes(range(32)), 3, "{}"))) + "\n"
    assert broken([*lines[:2], foreign, *lines[3:]]) == "entry 3: the hash before it is not that of entry 2"
    for heads in ((Head(5, bytes(32)), noted), (noted, Head(5, bytes(32)))):
        assert broken(lines, *heads) == "entry 5: is not the one whose hash was noted"
    rewritten = chain(6)  # a whole new chain, which is consistent with itself
    text = '{"act":"another"}'
    other = Entry(5, text, chained(rewritten[4][0], 5, text))
    assert broken(exported([*rewritten[:4], (rewritten[4][0], other)]), noted) == (
        "entry 5: is not the one whose hash was noted"
    )


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit SET text = replace(text, 'key:k1', 'key:k2') WHERE sequence = 3", "entry 3: was changed"),
        ("DELETE FROM audit WHERE sequence = 3", "entry 3 is missing"),
        ("UPDATE audit SET sequence = -sequence WHERE sequence IN (2, 3);"
         "UPDATE audit SET sequence = 5 + sequence WHERE sequence < 0", "entry 2: was changed"),
        ("DELETE FROM audit WHERE sequence > 3", "entry 5, whose hash was noted, is missing"),
        ("DELETE FROM audit", "entry 5, whose hash was noted, is missing"),
    ],
    ids=["edited", "deleted", "reordered", "truncated", "emptied"],
)  # fmt: skip
async def test_each_change_of_a_file_is_found(
    tmp_path: Any, statement: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_audit, "ROWS_PER_BATCH", 2)
    engine = SqliteEngine(tmp_path)
    store = await engine.open()
    store.auditor.mode = "on"
    for _ in range(5):
        await store.claims.claim(claim())
    head = await store.audit.audit_head()
    assert verify(stored(engine.path), [head]).head == head  # also while a gateway runs
    await engine.close()
    with closing(sqlite3.connect(engine.path)) as connection, connection:
        connection.executescript(statement)
    with pytest.raises(BrokenChainError, match=f"^{found}"):
        verify(stored(engine.path), [head])
