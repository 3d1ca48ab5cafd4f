"""The choice of an account: by weights, the same for the same id, and only for the tenants that may use it."""

from __future__ import annotations

from collections import Counter

from gateway.generations.accounts import DEFAULT, Account, Accounts


def accounts(**pools: dict[str, int]) -> Accounts:
    found = Accounts("main")
    known = [Account("films", ("films-2", "films-1")), Account("ads", ("ads-1",)), Account("own", ("own-1",), "shop")]
    found.replace(known, pools)
    return found


def test_a_tenant_without_a_pool_uses_the_default_account() -> None:
    found = accounts(shop={"films": 1})
    assert found.candidates("other", "id") == ["main"]
    assert found.pool("other") == {DEFAULT: 1}
    assert (found.first("other"), found.first("shop")) == ("main", "films-2")


def test_ids_are_divided_by_the_weights_and_always_in_the_same_way() -> None:
    found = accounts(shop={"films": 6, "ads": 3, "own": 1})
    ids = [f"{number}" for number in range(10_000)]
    orders = [found.candidates("shop", one) for one in ids]
    assert orders == [accounts(shop={"own": 1, "films": 6, "ads": 3}).candidates("shop", one) for one in ids]
    assert all(sorted(order) == ["ads-1", "films-2", "own-1"] for order in orders)
    first = Counter(order[0] for order in orders)
    assert all(abs(first[name] - share) < 200 for name, share in (("films-2", 6000), ("ads-1", 3000), ("own-1", 1000)))
    # Without its first account, an id goes to the others by their weights.
    second = Counter(order[1] for order in orders if order[0] == "films-2")
    assert 2.7 < second["ads-1"] / second["own-1"] < 3.3


def test_credentials_belong_to_accounts() -> None:
    found = accounts()
    assert [found.name_of(one) for one in ("films-1", "films-2", "main", "gone")] == ["films", "films", DEFAULT, None]
    assert (found.current("films-1"), found.current("gone")) == ("films-2", None)
    assert [found.same("films-1", one) for one in ("films-2", "films-1", "ads-1", "gone")] == [True, True, False, False]
    assert found.same("gone", "gone")
    assert not found.same("gone", "gone too")
