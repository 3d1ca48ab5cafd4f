"""Several Higgsfield accounts: which one a tenant's generations are sent with, and that they stay with it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from gateway.accounts.manager import AccountState
from gateway.errors import GatewayError
from gateway.generations import removals
from gateway.higgsfield.credentials import parse_credentials
from gateway.settings.config import SettingError
from hfgateway.admin.v1 import admin_service_pb2 as pb
from hfgateway.v1 import generation_service_pb2 as generations
from tests.accounts.conftest import (
    ADS,
    FILMS,
    KEY,
    MAIN,
    NEWER,
    Start,
    accepted,
    add,
    assign,
    assignment,
    caller,
    finish,
    listed,
    rotate,
    sent,
    submit,
)
from tests.support.commits import commits
from tests.support.elsewhere import request_elsewhere
from tests.support.operator import ask, refused
from tests.support.running import WAIT_TIMEOUT, Running, eventually, name_of, soul
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure, Transport
from tests.support.whole import whole

OTHER_KEY = "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cyAgIDAxMjM0NTY="
STORED = generations.WAIT_FOR_STORED


async def refusal(caller: Transport, prompt: str) -> str:
    """Submit, and return the reason with which Higgsfield refuses."""
    with pytest.raises(RpcFailure) as raised:
        await accepted(caller, prompt)
    return raised.value.reason


async def test_tenants_use_their_accounts_and_others_the_default_one(running: Running) -> None:
    await assign(running, "shop", films=1)
    shop, other = await caller(running, "shop"), await caller(running, "other")
    fox = await accepted(shop, "a fox")
    await accepted(other, "an owl")
    assert (sent(running, FILMS), sent(running, MAIN)) == (["a fox"], ["an owl"])
    assert await finish(running, shop, fox.id) == "COMPLETED"
    await assign(running, "shop")
    await accepted(shop, "a hen")
    assert sent(running, MAIN) == ["a hen", "an owl"]


async def test_a_generation_whose_account_is_gone_can_be_declared_lost(tmp_path: Path) -> None:
    async with run_timed(
        tmp_path, AUTH="keys", ACCOUNTS_KEY=KEY, credentials=f"{MAIN} {FILMS}", image_seconds=60.0
    ) as running:
        await add(running, "films", FILMS)
        await assign(running, "shop", films=1)
        shop = await caller(running, "shop")
        fox = await accepted(shop, "a fox")
        lost = pb.ResolveGenerationRequest(id=fox.id, lost=pb.Lost())
        assert await refused(running, "ResolveGeneration", lost) == "INVALID_ARGUMENT"
        await assign(running, "shop")
        await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", force=True))
        await running.advance(600.0, step=10.0)
        await ask(running, "ResolveGeneration", lost)
        ended = (await shop.call("GetGeneration", generations.GetGenerationRequest(id=fox.id))).generation
    assert name_of(ended) == "LOST"
    assert "declared lost by an operator" in ended.failure.message


async def test_a_price_is_that_of_the_account(running: Running) -> None:
    await assign(running, "shop", films=1)
    for tenant, credits in (("shop", "0.1"), ("other", "0.2")):
        budget = pb.Limits(credits_per_day="9")
        await ask(running, "SetLimits", pb.SetLimitsRequest(tenant=tenant, limits=budget))
        running.plan(on="estimate", status=200, body={"credits": credits})
        assert (await accepted(await caller(running, tenant), "a fox")).estimated_cost.credits == credits


async def test_the_weights_of_a_pool_decide(start: Start) -> None:
    running = await start(concurrency_limit=200)
    await add(running, "films", FILMS)
    await add(running, "ads", ADS)
    await assign(running, "shop", films=3, ads=1)
    shop = await caller(running, "shop")
    await asyncio.gather(*(accepted(shop, f"{number}") for number in range(120)))
    counts = len(sent(running, FILMS)), len(sent(running, ADS))
    assert sum(counts) == 120
    assert 70 <= counts[0] <= 110, counts  # by chance, once in 10,000 runs
    assert sent(running, MAIN) == []


async def test_a_repeated_key_finds_its_generation_after_the_pool_has_changed(running: Running) -> None:
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    first = await submit(shop, soul("a fox", "key"))
    await assign(running, "shop", ads=1)
    again = await submit(shop, soul("a fox", "key"))
    assert again.id == first.id
    assert (sent(running, FILMS), sent(running, ADS)) == (["a fox"], [])


async def test_a_rotation_leaves_generations_with_their_credentials(running: Running) -> None:
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    before = await accepted(shop, "before")
    account = await rotate(running, "films", NEWER)
    assert [one.in_flight for one in account.credentials] == [0, 1]
    after = await accepted(shop, "after")
    assert (sent(running, FILMS), sent(running, NEWER)) == (["before"], ["after"])

    old = pb.RemoveAccountRequest(name="films", only_old_credentials=True)
    assert await refused(running, "RemoveAccount", old) == "INVALID_ARGUMENT"
    assert await finish(running, shop, before.id) == "COMPLETED"
    assert await finish(running, shop, after.id) == "COMPLETED"
    await ask(running, "RemoveAccount", old)
    films = next(one for one in (await listed(running)).accounts if one.name == "films")
    assert [one.removed for one in films.credentials] == [False, True]
    stored = [one for one in await running.gateway._core.store.accounts.credentials() if one.account == "films"]
    assert [bool(one.sealed) for one in stored] == [False, True]  # oldest first
    await accepted(shop, "last")
    await running.stop_gateway()
    await running.start_gateway()
    (films,) = (one for one in (await listed(running)).accounts if one.name == "films")
    assert [one.removed for one in films.credentials] == [False, True]
    assert sent(running, NEWER) == ["after", "last"]


async def test_a_rotation_by_a_clock_that_was_set_back_takes_effect(running: Running) -> None:
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path)) as store, store:
        store.execute("UPDATE credentials SET create_time = create_time + 86400")
    await running.start_gateway()
    await assign(running, "shop", films=1)
    await rotate(running, "films", NEWER)
    await accepted(await caller(running, "shop"), "a fox")
    await running.stop_gateway()  # the next process reads their order from the store
    await running.start_gateway()
    await accepted(await caller(running, "shop"), "an owl")
    assert sent(running, NEWER) == ["a fox", "an owl"]


async def test_a_list_of_accounts_counts_the_generations_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many in flight, to count them for each of many credentials would keep all other calls waiting."""
    await rotate(running, "films", NEWER)
    manager, counts = running.gateway._core.accounts, list[Mapping[str, int]]()
    count = manager._in_flight

    def counted() -> Mapping[str, int]:
        counts.append(count())
        return counts[-1]

    monkeypatch.setattr(manager, "_in_flight", counted)
    assert sum(len(one.credentials) for one in (await listed(running)).accounts) > 1
    assert len(counts) == 1


async def test_a_list_of_accounts_asks_higgsfield_only_if_told_to(running: Running) -> None:
    running.sandbox.state.change({"account": "films", "credentials": "films:revoked-at-higgsfield"})
    for check in (False, True):
        (films,) = (one for one in (await listed(running, check=check)).accounts if one.name == "films")
        assert [one.accepted for one in films.credentials] == [not check]


async def test_leaked_credentials_can_be_revoked_at_once(running: Running) -> None:
    """What was sent with them is then followed with the new ones of the account."""
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    fox = await accepted(shop, "a fox")
    both = running.sandbox.state.accounts
    both[NEWER] = both[FILMS]  # the new key of the same account
    await rotate(running, "films", NEWER)
    running.sandbox.state.change({"account": "films", "credentials": "films:revoked-at-higgsfield"})
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", only_old_credentials=True, force=True))
    assert await finish(running, shop, fox.id) == "COMPLETED"


async def test_a_submission_in_flight_gets_its_answer_though_its_credentials_are_removed(running: Running) -> None:
    """Otherwise it would be uncertain whether it is charged, and it could not be repeated."""
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    running.sandbox.state.accounts[NEWER] = running.sandbox.state.accounts[FILMS]  # the new key of the same account
    with running.held(on="submit"):
        submitting = asyncio.create_task(accepted(shop, "a fox"))
        await eventually(lambda: len(running.ledger.charges) == 1)
        await rotate(running, "films", NEWER)
        removal = pb.RemoveAccountRequest(name="films", only_old_credentials=True, force=True)
        await ask(running, "RemoveAccount", removal)
    fox = await submitting
    assert name_of(fox) == "QUEUED"
    assert await finish(running, shop, fox.id) == "COMPLETED"
    assert len(running.ledger.submissions) == 1


async def test_an_account_with_the_credentials_of_the_environment_can_be_removed(running: Running) -> None:
    """For example one that an operator has added before a change of HF_KEY that was then taken back."""
    await running.stop_gateway()
    running.credentials = parse_credentials(FILMS)
    await running.start_gateway()
    shop = await caller(running, "shop")
    fox = await accepted(shop, "a fox")
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", force=True))
    await accepted(shop, "an owl")
    assert sent(running, FILMS) == ["a fox", "an owl"]
    assert await finish(running, shop, fox.id) == "COMPLETED"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for path in ("readyz", "metrics"):
            await whole(session.get(f"{running.gateway.http_address}/{path}"))


async def test_a_restart_follows_the_generations_of_all_credentials(running: Running) -> None:
    await assign(running, "shop", films=1)
    await assign(running, "agency", ads=1)
    secrets = {tenant: await running.key(tenant) for tenant in ("shop", "agency")}
    submitted = {}
    for tenant, secret in secrets.items():
        submitted[tenant] = await accepted(running.caller("grpc", secret), f"of {tenant}")
    await rotate(running, "films", NEWER)
    await running.stop_gateway()
    await running.start_gateway()
    for tenant, secret in secrets.items():
        assert await finish(running, running.caller("grpc", secret), submitted[tenant].id) == "COMPLETED"
    await accepted(running.caller("grpc", secrets["shop"]), "later")
    assert sent(running, NEWER) == ["later"]
    assert running.ledger.summary()["charge_count"] == 3


async def test_refused_credentials_of_an_account_hold_up_no_other_one(running: Running) -> None:
    await assign(running, "shop", films=1)
    await assign(running, "agency", ads=1)
    await assign(running, "both", films=1, ads=1)
    shop, agency, both = [await caller(running, tenant) for tenant in ("shop", "agency", "both")]
    running.sandbox.state.change({"account": "films", "credentials": "films:revoked-at-higgsfield"})
    assert await refusal(shop, "refused") == "UPSTREAM_CREDENTIALS_REFUSED"
    waits = await submit(shop, soul("waits", wait_for=STORED))
    assert waits.delay.reason
    owl = await accepted(agency, "an owl")
    for number in range(8):  # the gate of films would let none of them through
        await accepted(both, f"{number}")
    assert len(sent(running, ADS)) == 9
    lines = (await running.metrics()).splitlines()
    for metric, films, ads in (("refused", 1, 0), ("running", 0, 9), ("waiting", 1, 0), ("concurrency", 200, 200)):
        assert f'hfgateway_account_{metric}{{account="films"}} {films:.1f}' in lines
        assert f'hfgateway_account_{metric}{{account="ads"}} {ads:.1f}' in lines
    assert await finish(running, agency, owl.id) == "COMPLETED"
    states = {one.name: [c.accepted for c in one.credentials] for one in (await listed(running)).accounts}
    assert states["films"] == [False]
    assert states["ads"] == [True]


async def test_refused_credentials_are_logged_once(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Not for each submission, and not if an operator offers them."""
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    wrong = pb.AddAccountRequest(name="newer", credentials="newer:wrong-secret")
    assert await refused(running, "AddAccount", wrong) == "INVALID_ARGUMENT"
    with running.held(on="submit", kind="401"):
        running.plan(on="submit", kind="401")
        calls = [asyncio.create_task(refusal(shop, prompt)) for prompt in ("a fox", "an owl")]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT_TIMEOUT)
    assert await asyncio.gather(*calls) == ["UPSTREAM_CREDENTIALS_REFUSED"] * 2
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["Higgsfield refuses the credentials; correct HF_KEY or rotate the account"]


async def test_a_pool_avoids_an_account_without_credits(running: Running) -> None:
    await assign(running, "shop", films=1, ads=1)
    shop = await caller(running, "shop")
    running.sandbox.state.change({"account": "films", "credits": "0"})
    agency = await caller(running, "agency")
    await assign(running, "agency", films=1)
    assert await refusal(agency, "first") == "INSUFFICIENT_CREDITS"
    for number in range(12):
        await accepted(shop, f"{number}")
    assert len(sent(running, ADS)) == 12


async def test_a_pool_avoids_an_account_that_refuses_estimates(running: Running) -> None:
    await assign(running, "shop", films=1, ads=1)
    await assign(running, "agency", films=1)
    for tenant in ("shop", "agency"):
        limits = pb.Limits(credits_per_day="100")
        await ask(running, "SetLimits", pb.SetLimitsRequest(tenant=tenant, limits=limits))
    shop, agency = await caller(running, "shop"), await caller(running, "agency")
    running.sandbox.state.change({"account": "films", "credentials": "films:revoked-at-higgsfield"})
    assert await refusal(agency, "first") == "UPSTREAM_CREDENTIALS_REFUSED"
    for number in range(12):
        await accepted(shop, f"{number}")
    assert len(sent(running, ADS)) == 12


async def test_a_wrong_secret_is_replaced_by_a_rotation(running: Running) -> None:
    """It is stored if Higgsfield does not respond when it is added. It has the key id of the right credentials."""
    running.plan(on="time", kind="503")
    await add(running, "newer", "newer:wrong-secret")
    await assign(running, "shop", newer=1)
    assert not (await listed(running, check=True)).accounts[-1].credentials[0].accepted
    await rotate(running, "newer", NEWER)
    key = await running.key("shop")
    for prompt in ("a fox", "an owl"):
        await accepted(running.caller("grpc", key), prompt)
        before = await listed(running)
        await rotate(running, "newer", NEWER)
        assert await listed(running) == before
        await running.stop_gateway()
        await running.start_gateway()
    assert sent(running, NEWER) == ["a fox", "an owl"]


@pytest.mark.parametrize("renewed", ["films:films-secret-3", NEWER], ids=["same key id", "other key id"])
async def test_submissions_do_not_wait_for_replaced_credentials(running: Running, renewed: str) -> None:
    await assign(running, "shop", films=100, ads=1)
    await assign(running, "agency", films=1)
    shop, agency = await caller(running, "shop"), await caller(running, "agency")
    running.sandbox.state.change({"account": "films", "credentials": "films:films-secret-3"})
    assert await refusal(agency, "refused") == "UPSTREAM_CREDENTIALS_REFUSED"
    waiting = [await submit(agency, soul(f"{n}", wait_for=STORED)) for n in range(3)]
    assert [name_of(one) for one in waiting] == ["PENDING"] * 3
    await rotate(running, "films", renewed)
    assert name_of(await accepted(agency, "new")) == "QUEUED"
    if renewed == NEWER:
        assert [await finish(running, agency, one.id) for one in waiting] == ["FAILED"] * 3
    else:
        await eventually(lambda: {*sent(running, renewed)} == {"0", "1", "2", "new"})
    await asyncio.gather(*(accepted(shop, f"of the pool {n}") for n in range(20)))
    assert len(sent(running, ADS)) < 10


async def test_an_account_of_a_tenant_is_for_that_tenant_only(running: Running) -> None:
    await add(running, "own", NEWER, tenant="shop")
    assert await refused(running, "AssignAccounts", assignment("agency", own=1)) == "INVALID_ARGUMENT"
    await assign(running, "shop", own=1)
    await accepted(await caller(running, "shop"), "a fox")
    assert sent(running, NEWER) == ["a fox"]


async def test_what_cannot_be_stored_is_refused(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (
        ("films", NEWER, ""), ("Films", NEWER, ""), ("", NEWER, ""), ("x", "", ""), ("x", "no colon", ""),
        ("x", FILMS, ""), ("x", MAIN, ""), ("x", NEWER, "No Tenant"), ("x", "newer:wrong-secret", ""),
        ("default", NEWER, ""),
    )  # fmt: skip
    for name, credentials, tenant in wrong:
        request = pb.AddAccountRequest(name=name, credentials=credentials, tenant=tenant)
        assert await refused(running, "AddAccount", request) == "INVALID_ARGUMENT", request
    for pool in ({"none": 1}, {"films": 0}, {"films": 1001}):
        assigned = assignment("shop", **pool)
        if not pool.get("films", 1):
            assigned.accounts[0].weight = -1
        assert await refused(running, "AssignAccounts", assigned) == "INVALID_ARGUMENT", pool
    twice = pb.AssignAccountsRequest(tenant="shop", accounts=[pb.WeightedAccount(name="films")] * 2)
    assert await refused(running, "AssignAccounts", twice) == "INVALID_ARGUMENT"
    assert await refused(running, "RotateAccount", pb.RotateAccountRequest(name="no", credentials=NEWER)) == "NOT_FOUND"
    default = pb.RotateAccountRequest(name="default", credentials=NEWER)
    assert await refused(running, "RotateAccount", default) == "INVALID_ARGUMENT"
    assert await refused(running, "RemoveAccount", pb.RemoveAccountRequest(name="default")) == "INVALID_ARGUMENT"
    assert await refused(running, "RemoveAccount", pb.RemoveAccountRequest(name="no")) == "NOT_FOUND"
    monkeypatch.setattr("gateway.accounts.manager.MAX_CREDENTIALS", 2)
    another = pb.AddAccountRequest(name="x", credentials=NEWER)
    assert await refused(running, "AddAccount", another) == "INVALID_ARGUMENT"
    assert [one.name for one in (await listed(running)).accounts] == ["default", "films", "ads"]


async def test_credentials_without_a_secret_do_not_count_against_the_limit(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.accounts.manager.MAX_CREDENTIALS", 3)
    await rotate(running, "films", NEWER)
    running.sandbox.state.change({"account": "newer", "credentials": "newer:films-secret-3"})
    await rotate(running, "films", "newer:films-secret-3")  # another secret of the same credentials
    running.sandbox.state.change({"account": "films", "credentials": "newest:films-secret-4"})
    newest = pb.RotateAccountRequest(name="films", credentials="newest:films-secret-4")
    assert await refused(running, "RotateAccount", newest) == "INVALID_ARGUMENT"
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", only_old_credentials=True))
    await rotate(running, "films", "newest:films-secret-4")


async def test_a_repeated_call_changes_nothing(running: Running) -> None:
    before = await listed(running)
    await add(running, "films", FILMS)
    await rotate(running, "ads", f" {ADS}\n")
    assert await listed(running) == before
    owned = pb.AddAccountRequest(name="films", credentials=FILMS, tenant="shop")
    assert await refused(running, "AddAccount", owned) == "INVALID_ARGUMENT"
    other = pb.RotateAccountRequest(name="films", credentials="films:other-secret")
    assert await refused(running, "RotateAccount", other) == "INVALID_ARGUMENT"
    await rotate(running, "films", NEWER)
    older = pb.RotateAccountRequest(name="films", credentials=FILMS)
    assert await refused(running, "RotateAccount", older) == "INVALID_ARGUMENT"


async def test_a_submission_does_not_use_an_account_that_was_removed_during_its_estimate(running: Running) -> None:
    await assign(running, "shop", films=1)
    budget = pb.SetLimitsRequest(tenant="shop", limits=pb.Limits(credits_per_day="9"))
    await ask(running, "SetLimits", budget)
    shop = await caller(running, "shop")
    with running.held(on="estimate"):
        submitting = asyncio.create_task(accepted(shop, "a fox"))
        await eventually(lambda: not len(running.sandbox.state.plan))
        await assign(running, "shop", ads=1)
        await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films"))
    assert name_of(await submitting) == "QUEUED"
    assert sent(running, ADS) == ["a fox"]


async def test_the_first_submission_does_not_use_credentials_that_were_removed_while_it_waits_for_the_time(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would send it, and it would end as FAILED after a day."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def learn() -> None:
        asked.set()
        await answered.wait()

    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    monkeypatch.setattr(running.gateway._core.trusted_time, "learn", learn)
    submitting = asyncio.create_task(accepted(shop, "a fox"))
    await asked.wait()
    await rotate(running, "films", NEWER)
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", only_old_credentials=True))
    answered.set()
    assert name_of(await submitting) == "QUEUED"
    assert sent(running, NEWER) == ["a fox"]


async def test_an_account_in_use_is_removed_only_by_force(running: Running) -> None:
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    fox = await accepted(shop, "a fox")
    remove = pb.RemoveAccountRequest(name="films")
    assert await refused(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", force=True)) == (
        "INVALID_ARGUMENT"  # the tenant would use the default account without having been asked
    )
    await assign(running, "shop")
    await assign(running, "agency", ads=1)
    assert await refused(running, "RemoveAccount", remove) == "INVALID_ARGUMENT"
    remove.force = True
    await ask(running, "RemoveAccount", remove)
    with pytest.raises(RpcFailure) as raised:
        await shop.call("CancelGeneration", generations.CancelGenerationRequest(id=fox.id))
    assert raised.value.reason == "NOT_CANCELABLE"  # the default account does not know its request
    await add(running, "again", FILMS)
    assert await finish(running, shop, fox.id) == "COMPLETED"


async def test_what_waited_for_removed_credentials_is_sent_when_they_are_added_again(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    await add(running, "films", FILMS)
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    fox = await accepted(shop, "a fox")
    await submit(shop, soul("an owl", wait_for=STORED))
    await assign(running, "shop")
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", force=True))
    assert not any(admission.waiting for admission in running.gateway._core.admissions.by_name.values())
    await add(running, "again", FILMS)
    assert await finish(running, shop, fox.id) == "COMPLETED"
    await eventually(lambda: sent(running, FILMS) == ["a fox", "an owl"])


async def test_a_start_reports_what_is_not_sent_because_its_credentials_are_gone(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    client = await caller(running, "shop")
    await accepted(client, "a fox")
    for prompt in ("an owl", "a hen"):
        await submit(client, soul(prompt, wait_for=STORED))
    await running.stop_gateway()
    running.credentials = parse_credentials(FILMS)
    await running.start_gateway()
    records = [record for record in caplog.records if record.getMessage().startswith("generations are not sent")]
    assert [vars(record)["generations"] for record in records] == [2]
    assert vars(records[0])["account"] == parse_credentials(MAIN).account


async def test_changes_at_once_are_made_one_after_another(start: Start) -> None:
    running = await start()
    manager = running.gateway._core.accounts
    two = await asyncio.gather(manager.add("own", FILMS, ""), manager.add("own", ADS, ""), return_exceptions=True)
    assert [type(one) for one in two] == [AccountState, GatewayError]
    await add(running, "films", NEWER)
    removed, assigned = await asyncio.gather(
        manager.remove("films", only_old=False, force=False),
        manager.assign("shop", [("films", 1)]),
        return_exceptions=True,
    )
    assert removed is None
    assert isinstance(assigned, GatewayError)


async def test_a_change_that_the_store_does_not_confirm_is_an_error_and_can_be_repeated(running: Running) -> None:
    rotation = pb.RotateAccountRequest(name="films", credentials=NEWER)
    with commits("account") as failing:
        failing.fail_from(1)
        assert await refused(running, "RotateAccount", rotation) == "UNAVAILABLE"
    assert len((await rotate(running, "films", NEWER)).credentials) == 2


async def test_an_account_is_not_removed_after_an_assignment_with_an_unknown_outcome(running: Running) -> None:
    """The answer to the write was lost: the assignment is in the store, but not in memory."""
    await running.gateway._core.store.accounts.set_pool("shop", {"films": 1})
    assert await refused(running, "RemoveAccount", pb.RemoveAccountRequest(name="films")) == "INVALID_ARGUMENT"


async def test_credentials_are_encrypted_and_a_wrong_key_is_an_error_at_the_start(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await running.stop_gateway()
    stored = b"".join(file.read_bytes() for file in running.store_path.parent.glob("store.db*"))
    assert b"films" in stored
    assert b"films-secret" not in stored
    for key, why in (("", "is required"), (OTHER_KEY, "does not decrypt the credentials of the account films")):
        running._settings["ACCOUNTS_KEY"] = key  # type: ignore[index]
        with pytest.raises(SettingError, match=why) as raised:
            await running.start_gateway()
        assert str(raised.value).startswith("HFGATEWAY_ACCOUNTS_KEY: ")
    # A new key in front encrypts all credentials again at the start; then the old one is not needed.
    for key in (f"{OTHER_KEY},{KEY}", OTHER_KEY):
        running._settings["ACCOUNTS_KEY"] = key  # type: ignore[index]
        await running.start_gateway()
        assert [one.name for one in (await listed(running, check=True)).accounts] == ["default", "films", "ads"]
        await running.stop_gateway()
    await running.start_gateway()
    encrypted = [line for line in caplog.records if line.message == "credentials encrypted with the new key"]
    assert [line.account for line in encrypted] == ["films", "ads"]  # type: ignore[attr-defined]


async def test_credentials_in_the_place_of_others_are_an_error_at_the_start(running: Running) -> None:
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path)) as store, store:
        store.execute("UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE account = 'ads')")
    with pytest.raises(SettingError, match="other credentials than those of the account films"):
        await running.start_gateway()


async def test_a_tenant_whose_account_was_deleted_in_the_store_is_refused_until_it_is_added_again(
    running: Running,
) -> None:
    """It is what docs/accounts.md advises if the encryption key is lost."""
    await assign(running, "shop", films=1)
    key = await running.key("shop")
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path)) as store, store:
        store.execute("DELETE FROM credentials")
    await running.start_gateway()
    shop = running.caller("grpc", key)
    with pytest.raises(RpcFailure) as raised:
        await submit(shop, soul("a fox"))
    assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
    assert "is not configured" in str(raised.value)
    await add(running, "films", FILMS)
    await submit(shop, soul("a fox"))
    assert sent(running, FILMS) == ["a fox"]


async def test_a_gateway_without_a_key_stores_no_credentials(start: Start) -> None:
    running = await start(ACCOUNTS_KEY="")
    request = pb.AddAccountRequest(name="films", credentials=FILMS)
    assert await refused(running, "AddAccount", request) == "INVALID_ARGUMENT"


async def test_no_output_has_a_secret(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await rotate(running, "films", NEWER)
    running.sandbox.state.change({"account": "newer", "credentials": "newer:revoked-at-higgsfield"})
    answers = str(await listed(running, check=True)), await running.metrics(), caplog.text
    settings = str(running.gateway._settings)
    assert "refuses the credentials" in caplog.text
    for secret in ("films-secret", "ads-secret", KEY):
        assert not [one for one in (*answers, settings) if secret in one]


async def test_the_key_can_be_in_a_file(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "accounts.key"
    file.write_text(f"{KEY}\n")
    running = await start(ACCOUNTS_KEY="", ACCOUNTS_KEY_FILE=file)
    await add(running, "films", FILMS)
    await running.stop_gateway()
    for content, why in (
        ("", "the file is empty"),
        (f"{KEY[:-1]}", "must be keys"),
        (OTHER_KEY, "does not decrypt the credentials of the account films"),
    ):
        file.write_text(content)
        with pytest.raises(SettingError, match=f"HFGATEWAY_ACCOUNTS_KEY_FILE: {why}"):
            await running.start_gateway()
    file.write_text(f"{OTHER_KEY} {KEY}")
    await running.start_gateway()
    assert [one.name for one in (await listed(running)).accounts] == ["default", "films"]


async def test_a_tenant_adopts_only_the_requests_of_its_own_accounts(running: Running) -> None:
    await assign(running, "shop", films=1)
    await assign(running, "agency", ads=1)
    request_id = await request_elsewhere(running, "a fox", key=FILMS)
    adoption = generations.AdoptGenerationRequest(upstream_request_id=request_id)
    shop, agency, other = [await caller(running, tenant) for tenant in ("shop", "agency", "other")]
    for foreign in (agency, other):
        with pytest.raises(RpcFailure) as raised:
            await foreign.call("AdoptGeneration", adoption)
        assert raised.value.reason == "NOT_FOUND"
    adopted = (await shop.call("AdoptGeneration", adoption)).generation
    assert adopted.upstream.request_id == request_id


async def test_a_request_that_another_tenant_has_adopted_is_not_bound_again_after_a_rotation(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The adoption is stored with the newer credentials, and the lost response is found with the older ones."""
    await assign(running, "shop", films=1)
    await assign(running, "agency", films=1)
    shop, agency = await caller(running, "shop"), await caller(running, "agency")
    running.plan(on="submit", kind="502", processed=True)
    lost = await submit(shop, soul("a fox", wait_for=STORED))
    account = running.sandbox.state.accounts[FILMS]
    await eventually(lambda: bool(account.generations))
    (request_id,) = account.generations
    running.sandbox.state.accounts[NEWER] = account
    await rotate(running, "films", NEWER)
    adoption = generations.AdoptGenerationRequest(upstream_request_id=request_id)
    adopted = (await agency.call("AdoptGeneration", adoption)).generation
    assert adopted.upstream.request_id == request_id
    await eventually(lambda: "Higgsfield returned a request that belongs to another generation" in caplog.messages)
    shown = (await shop.call("GetGeneration", generations.GetGenerationRequest(id=lost.id))).generation
    assert shown.upstream.request_id != request_id
    assert len(running.ledger.charges) == 1


async def test_data_is_deleted_with_newer_credentials_of_the_account(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "FIRST_PAUSE", 0.05)
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    first, second = [await accepted(shop, prompt) for prompt in ("a fox", "an owl")]
    for one in (first, second):
        assert await finish(running, shop, one.id) == "COMPLETED"
    running.plan(on="delete", kind="503")
    with pytest.raises(RpcFailure):
        await shop.call("DeleteGeneration", generations.DeleteGenerationRequest(id=first.id))
    running.sandbox.state.accounts[NEWER] = running.sandbox.state.accounts[FILMS]
    await rotate(running, "films", NEWER)
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films", only_old_credentials=True))
    again = await shop.call("DeleteGeneration", generations.DeleteGenerationRequest(id=second.id))
    assert again.removed_upstream
    store = running.gateway._core.store
    async with asyncio.timeout(WAIT_TIMEOUT):
        while await store.deletions.removals():
            await asyncio.sleep(0.01)


async def test_a_deletion_succeeds_after_the_account_of_its_data_was_removed(running: Running) -> None:
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    fox = await accepted(shop, "a fox")
    assert await finish(running, shop, fox.id) == "COMPLETED"
    running.plan(on="delete", kind="503")
    delete = generations.DeleteGenerationRequest(id=fox.id)
    with pytest.raises(RpcFailure) as raised:
        await shop.call("DeleteGeneration", delete)
    assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
    await assign(running, "shop")
    await ask(running, "RemoveAccount", pb.RemoveAccountRequest(name="films"))
    assert not (await shop.call("DeleteGeneration", delete)).removed_upstream
    await add(running, "films", FILMS)
    assert (await shop.call("DeleteGeneration", delete)).removed_upstream
