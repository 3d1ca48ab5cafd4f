"""Credentials of accounts and pools of tenants, on every engine, also after the store was opened again."""

from __future__ import annotations

from dataclasses import replace

from gateway.generations.model import Wall
from gateway.generations.stores import StoredCredentials
from gateway.store.store import Store
from tests.contract.store.conftest import Engine

FIRST = StoredCredentials("b", "films", "", b"sealed", Wall(1.0))
SECOND = StoredCredentials("a", "films", "shop", b"\x00\xff", Wall(2.0))
OTHER = StoredCredentials("c", "ads", "", b"other", Wall(1.5))


async def test_credentials_are_kept_replaced_and_deleted_by_account(store: Store, engine: Engine) -> None:
    for one in (SECOND, OTHER, FIRST):
        await store.accounts.save_credentials(one)
    assert await store.accounts.credentials() == [FIRST, OTHER, SECOND]
    other_secret = replace(FIRST, sealed=b"other secret", create_time=Wall(1.2))
    await store.accounts.save_credentials(other_secret)
    assert await store.accounts.credentials() == [other_secret, OTHER, SECOND]
    await store.accounts.seal_credentials(SECOND.id, b"new")
    moved = replace(SECOND, account="other", sealed=b"moved")
    await store.accounts.save_credentials(moved)
    await store.accounts.save_credentials(replace(SECOND, sealed=b"new"))
    removed = replace(other_secret, sealed=b"")
    await store.accounts.seal_credentials(FIRST.id, b"")
    await engine.close()
    accounts = (await engine.open()).accounts
    assert await accounts.credentials() == [removed, OTHER, replace(SECOND, sealed=b"new")]
    await accounts.delete_account("films")
    await accounts.delete_account("films")
    assert await accounts.credentials() == [OTHER]


async def test_pools_keep_the_order_of_their_accounts(store: Store, engine: Engine) -> None:
    assert await store.accounts.pools() == {}
    await store.accounts.set_pool("shop", {"films": 3, "ads": 1})
    await store.accounts.set_pool("agency", {"ads": 1})
    await store.accounts.set_pool("agency", {"films": 1, "ads": 2, "own": 1})
    await engine.close()
    accounts = (await engine.open()).accounts
    pools = await accounts.pools()
    assert {tenant: [*pool.items()] for tenant, pool in pools.items()} == {
        "shop": [("films", 3), ("ads", 1)],
        "agency": [("films", 1), ("ads", 2), ("own", 1)],
    }
    await accounts.set_pool("shop", {})
    assert [*await accounts.pools()] == ["agency"]
