"""The Higgsfield accounts that this process knows, and which of them a tenant uses. docs/accounts.md specifies it.

An account has one or more sets of credentials, of which the newest is used for new submissions. A set of credentials
has an id, a hash of its key id, which the parameters `credentials` of this module are. A generation keeps the id of the
credentials that it is sent with (`Spec.account`).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

from gateway.errors import upstream_unavailable
from gateway.frozen import frozen

DEFAULT = "default"
"""The account of the environment's credentials. Tenants without an assignment use it."""

Pool = Mapping[str, int]
"""The weights of a tenant's accounts, by name. The first one is the tenant's account for everything but generations."""


@frozen
class Account:
    """An account. `credentials` are their ids, newest first, including those that were removed.

    If `tenant` is set, only that tenant may use it.
    """

    name: str
    credentials: tuple[str, ...]
    tenant: str = ""


class Accounts:
    """All accounts and the pools of tenants, in memory. `default` is the id of the environment's credentials."""

    def __init__(self, default: str) -> None:
        self._default = Account(DEFAULT, (default,))
        self._pools: Mapping[str, Pool] = {}
        self.replace((), {})

    def replace(self, accounts: Sequence[Account], pools: Mapping[str, Pool]) -> None:
        """Replace all accounts but the default one, and all pools."""
        self.by_name = {account.name: account for account in (self._default, *accounts)}
        self._names = {id: account.name for account in self.by_name.values() for id in account.credentials}
        self._pools = pools

    def name_of(self, credentials: str) -> str | None:
        """Return the account of credentials; None if they are not known."""
        return self._names.get(credentials)

    def newest(self, name: str) -> str:
        """Return the newest credentials of an account. Raises UPSTREAM_UNAVAILABLE if a pool names one that is gone.

        This happens only if an operator has deleted credentials in the store, because their encryption key was lost.
        """
        if name not in self.by_name:
            raise upstream_unavailable("a Higgsfield account of the tenant is not configured")
        return self.by_name[name].credentials[0]

    def current(self, credentials: str) -> str | None:
        """Return the newest credentials of the account with these credentials; None if they are not known.

        The credentials of the environment stay in use, even if another account has them as older ones.
        """
        if credentials in self._default.credentials:
            return credentials
        name = self.name_of(credentials)
        return None if name is None else self.newest(name)

    def replaced(self, credentials: str) -> bool:
        """Return whether the account with these credentials has newer ones."""
        return self.current(credentials) not in {None, credentials}

    def pool(self, tenant: str) -> Pool:
        """Return the accounts of a tenant."""
        return self._pools.get(tenant) or {DEFAULT: 1}

    def uses(self, tenant: str, credentials: str) -> bool:
        """Return whether one of a tenant's accounts has these credentials. More than one account may have them."""
        accounts = (self.by_name.get(name) for name in self.pool(tenant))
        return any(account is not None and credentials in account.credentials for account in accounts)

    def first(self, tenant: str) -> str:
        """Return the newest credentials of a tenant's first account."""
        return self.newest(next(iter(self.pool(tenant))))

    def candidates(self, tenant: str, generation_id: str) -> Sequence[str]:
        """Return the newest credentials of each of a tenant's accounts, in the order in which a generation tries them.

        The order depends only on the id and the weights: each account is first for its share of the ids.
        """
        pool = self.pool(tenant)
        if len(pool) == 1:
            return [self.newest(name) for name in pool]
        return [self.newest(name) for name in sorted(pool, key=lambda name: _draw(name, generation_id) / pool[name])]

    def same(self, one: str, other: str) -> bool:
        """Return whether two credentials belong to the same account."""
        return one == other or ((name := self.name_of(one)) is not None and name == self.name_of(other))


def _draw(name: str, generation_id: str) -> float:
    """Return an exponentially distributed number. Divided by weights, the smallest is each one's by its weight."""
    drawn = int.from_bytes(hashlib.sha256(f"{name} {generation_id}".encode()).digest()[:8])
    return -math.log((drawn + 1) / (1 << 64))
