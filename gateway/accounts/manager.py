"""The operator's use cases of Higgsfield accounts: add, rotate, remove and assign them (docs/accounts.md).

Credentials are stored encrypted. Nothing shows them again: they leave this module only for the client that uses them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from gateway.access.keys import NAME_RULE, is_name
from gateway.concurrency import OwnedTasks, uninterrupted
from gateway.errors import Violation, gateway_unavailable, invalid_field, not_found, raise_if_invalid
from gateway.frozen import frozen
from gateway.generations.accounts import DEFAULT, Account, Accounts, Pool
from gateway.generations.model import Wall
from gateway.generations.ports import Clock
from gateway.generations.stores import AccountStore, StoredCredentials, UnconfirmedError
from gateway.settings.config import PREFIX, SettingError

log = logging.getLogger(__name__)

T = TypeVar("T")

KEY_SETTING = PREFIX + "ACCOUNTS_KEY"
MAX_WEIGHT = 1000
MAX_CREDENTIALS = 1000
"""Credentials with a secret, of all accounts together; each has a client in memory."""


class Encryption(Protocol):
    """Encrypts credentials with the keys of a setting, whose name is `setting`."""

    setting: str

    def encrypt(self, text: str) -> bytes:
        """Return the encrypted text."""

    def decrypt(self, sealed: bytes) -> str | None:
        """Return a text that was encrypted with one of the keys; None if it was not."""

    def is_current(self, sealed: bytes) -> bool:
        """Return whether a text was encrypted with the first key."""


class Connections(Protocol):
    """The clients of all credentials. Credentials are a text, `ID:SECRET`."""

    def identify(self, text: str) -> str:
        """Return the id of credentials. Raises ValueError, without the text, if they are malformed."""

    async def accepts(self, text: str) -> bool | None:
        """Ask Higgsfield, and return whether it accepts credentials; None if it does not respond."""

    def connect(self, text: str, accepted: bool | None = None) -> None:
        """Open a client. `accepted`: whether Higgsfield accepts the credentials, if it was asked."""

    def disconnect(self, credentials: str) -> None:
        """Make no more calls with credentials. Those in progress still get their responses."""

    def accepted(self, credentials: str) -> bool | None:
        """Return whether Higgsfield's newest response accepts credentials; None if it is not known."""

    async def check_credentials(self) -> None:
        """Let Higgsfield respond to all credentials."""


@frozen
class CredentialsState:
    """Credentials as an operator sees them. `create_time` is None for those of the environment.

    `accepted`: whether Higgsfield accepted them in its newest response; None if it is not known.
    """

    id: str
    create_time: Wall | None
    removed: bool
    accepted: bool | None
    in_flight: int


@frozen
class AccountState:
    """An account as an operator sees it, with its credentials, newest first."""

    name: str
    tenant: str
    credentials: Sequence[CredentialsState]


class AccountManager:
    """Changes accounts in the store and in memory. The methods raise GatewayError. Call `load` first.

    `in_flight` counts the unfinished generations by the ids of their credentials. It reads all of them. `trainings`
    returns the ids of the credentials of the trainings whose outcome is unknown.
    """

    def __init__(
        self,
        *,
        store: AccountStore,
        accounts: Accounts,
        connections: Connections,
        encryption: Encryption | None,
        clock: Clock,
        in_flight: Callable[[], Mapping[str, int]],
        trainings: Callable[[], Collection[str]],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._connections = connections
        self._encryption = encryption
        self._clock = clock
        self._in_flight = in_flight
        self._trainings = trainings
        self._on_change: Callable[[Collection[str]], Awaitable[None]]
        self._stored: list[StoredCredentials] = []
        self._pools: dict[str, Pool] = {}
        self._tasks = OwnedTasks()
        self._changing = asyncio.Lock()
        """Held by each change, so that it sees what it depends on."""

    async def load(self) -> None:
        """Decrypt and connect the stored credentials. Raises SettingError if a key is missing or wrong.

        Those that were encrypted with an older key are encrypted with the first one.
        """
        self._pools = {**await self._store.pools()}
        for one, text in decrypted(await self._store.credentials(), self._encryption):
            kept = one
            if text:
                assert self._encryption is not None
                if self._connections.identify(text) != one.id:
                    raise SettingError(
                        self._encryption.setting,
                        f"decrypts other credentials than those of the account {one.account}",
                    )
                self._connections.connect(text)
                if not self._encryption.is_current(one.sealed):
                    kept = replace(one, sealed=self._encryption.encrypt(text))
                    await self._store.seal_credentials(one.id, kept.sealed)
                    log.info("credentials encrypted with the new key", extra={"account": one.account})
            self._stored.append(kept)
        self._publish()

    def on_change(self, act: Callable[[Collection[str]], Awaitable[None]]) -> None:
        """Call `act` with the ids of credentials that were added or removed, after each such change."""
        self._on_change = act

    @uninterrupted
    async def add(self, name: str, text: str, tenant: str) -> AccountState:
        """Add an account with its first credentials. With a `tenant`, only that one may use it."""
        async with self._changing:
            wrong = []
            if not is_name(name):
                wrong.append(Violation("name", NAME_RULE))
            elif name in self._accounts.by_name and not self._has(name, tenant, text):
                wrong.append(Violation("name", "is the name of an account already"))
            if tenant and not is_name(tenant):
                wrong.append(Violation("tenant", "is not the name of a tenant"))
            raise_if_invalid(wrong)
            if name not in self._accounts.by_name:
                await self._keep(name, text, tenant)
            return self._state(name, self._in_flight())

    @uninterrupted
    async def rotate(self, name: str, text: str) -> AccountState:
        """Add credentials to an account. New submissions use them at once; the older ones stay until `remove`."""
        async with self._changing:
            account = self._existing(name)
            if not self._has(name, account.tenant, text):
                await self._keep(name, text, account.tenant)
            return self._state(name, self._in_flight())

    @uninterrupted
    async def remove(self, name: str, *, only_old: bool, force: bool) -> None:
        """Remove an account, or with `only_old` the secrets of its older credentials.

        It is refused while unfinished generations or trainings of unknown outcome need them, unless with `force`, and
        while a tenant uses the account.
        """
        async with self._changing:
            account = self._existing(name)
            # Not those in memory: an assignment whose outcome is unknown is in the store only.
            pools = {} if only_old else await self._confirmed(self._store.pools)
            if tenants := [tenant for tenant, pool in pools.items() if name in pool]:
                raise invalid_field("name", f"is used by the tenant {tenants[0]}: assign other accounts first")
            gone = account.credentials[1:] if only_old else account.credentials
            in_flight = self._in_flight()
            needed = sum(in_flight.get(account_id, 0) for account_id in gone)
            if needed and not force:
                why = f"has credentials that unfinished generations need ({needed}): wait, or force it"
                raise invalid_field("name", why)
            if not (only_old or force) and not set(gone).isdisjoint(self._trainings()):
                raise invalid_field(
                    "name", "has trainings of characters with an unknown outcome: resolve them, or force it"
                )
            if only_old:
                for place, one in enumerate(self._stored):
                    if one.id in gone and one.sealed:
                        await self._confirmed(partial(self._store.seal_credentials, one.id, b""))
                        self._stored[place] = replace(one, sealed=b"")
            else:
                await self._confirmed(lambda: self._store.delete_account(name))
                self._stored = [row for row in self._stored if row.account != name]
            self._publish()
            for credentials in gone:
                self._connections.disconnect(credentials)
            await self._on_change(gone)

    @uninterrupted
    async def assign(self, tenant: str, pool: Sequence[tuple[str, int]]) -> Pool:
        """Set the accounts of a tenant, as names and weights; without any, it uses the default account."""
        async with self._changing:
            wrong = [] if is_name(tenant) else [Violation("tenant", "is not the name of a tenant")]
            for place, (name, weight) in enumerate(pool):
                account = self._accounts.by_name.get(name)
                if account is None:
                    wrong.append(Violation(f"accounts[{place}].name", "is not the name of an account"))
                elif account.tenant not in {"", tenant}:
                    wrong.append(Violation(f"accounts[{place}].name", "belongs to another tenant"))
                if not 1 <= weight <= MAX_WEIGHT:
                    wrong.append(Violation(f"accounts[{place}].weight", f"must be 1 to {MAX_WEIGHT}"))
            names = [name for name, _ in pool]
            if len(set(names)) < len(names):
                wrong.append(Violation("accounts", "must have each account once"))
            raise_if_invalid(wrong)
            assigned = dict(pool)
            await self._confirmed(lambda: self._store.set_pool(tenant, assigned))
            self._pools.pop(tenant, None)
            if assigned:
                self._pools[tenant] = assigned
            self._publish()
            return assigned

    async def listed(self, *, check: bool) -> tuple[Sequence[AccountState], Mapping[str, Pool]]:
        """Return all accounts and the accounts of tenants. With `check`, Higgsfield is asked about the credentials."""
        if check:
            await self._connections.check_credentials()
        in_flight = self._in_flight()
        return [self._state(name, in_flight) for name in self._accounts.by_name], self._pools

    async def drained(self) -> None:
        """Wait until all changes that were started have finished."""
        await self._tasks.drained()

    def _has(self, name: str, tenant: str, text: str) -> bool:
        """Return whether an account has these newest credentials: then an earlier call has stored them."""
        newest = next((row for row in self._stored if row.id == self._accounts.newest(name)), None)
        if newest is None or self._encryption is None:
            return False
        return newest.tenant == tenant and self._encryption.decrypt(newest.sealed) == text.strip()

    async def _keep(self, name: str, text: str, tenant: str) -> None:
        """Check, encrypt and store credentials, and use them."""
        text = text.strip()
        if self._encryption is None:
            raise invalid_field("credentials", f"cannot be stored without an encryption key: set {KEY_SETTING}")
        try:
            credentials = self._connections.identify(text)
        except ValueError as error:
            raise invalid_field("credentials", str(error)) from None
        if sum(bool(row.sealed) and row.id != credentials for row in self._stored) >= MAX_CREDENTIALS:
            raise invalid_field(
                "credentials", f"cannot be stored: there are {MAX_CREDENTIALS} already, remove old ones"
            )
        account, known = self._accounts.by_name.get(name), self._accounts.name_of(credentials)
        # Only the secret is another one, for example because Higgsfield did not respond when a wrong one was added.
        replaces_secret = account is not None and account.credentials[0] == credentials
        if known is not None and not replaces_secret:
            raise invalid_field("credentials", f"belong to the account {known} already")
        accepted = await self._connections.accepts(text)
        if accepted is False:
            raise invalid_field("credentials", "are refused by Higgsfield")
        newest = max((row.create_time for row in self._stored if row.account == name), default=0.0)
        create_time = Wall(max(self._clock.moment().wall, newest + 0.001))  # the clock may have been set back
        one = StoredCredentials(credentials, name, tenant, self._encryption.encrypt(text), create_time)
        await self._confirmed(lambda: self._store.save_credentials(one))
        self._stored = [*(row for row in self._stored if row.id != credentials), one]
        self._connections.disconnect(credentials)
        self._connections.connect(text, accepted)
        self._publish()
        await self._on_change([credentials])

    def _existing(self, name: str) -> Account:
        """Return an account that was added. Raises NOT_FOUND, or INVALID_INPUT for the default one."""
        account = self._accounts.by_name.get(name)
        if account is None:
            raise not_found("no such account")
        if name == DEFAULT:
            raise invalid_field("name", "is the account of HF_KEY, which only a restart changes")
        return account

    def _state(self, name: str, in_flight: Mapping[str, int]) -> AccountState:
        account = self._accounts.by_name[name]
        stored = {row.id: row for row in self._stored if row.account == name}
        return AccountState(
            name,
            account.tenant,
            [
                CredentialsState(
                    id,
                    stored[id].create_time if id in stored else None,
                    id in stored and not stored[id].sealed,
                    self._connections.accepted(id),
                    in_flight.get(id, 0),
                )
                for id in account.credentials
            ],
        )

    def _publish(self) -> None:
        """Make the present state valid for all parts of the gateway."""
        found: dict[str, Account] = {}
        for credentials in sorted(self._stored, key=lambda credentials: credentials.create_time):
            newer = found.get(credentials.account)
            found[credentials.account] = Account(
                credentials.account, (credentials.id, *(newer.credentials if newer else ())), credentials.tenant
            )
        self._accounts.replace([*found.values()], self._pools)

    async def _confirmed(self, access: Callable[[], Awaitable[T]]) -> T:
        """Access the store. Raises GatewayError if it does not confirm it."""
        try:
            return await access()
        except UnconfirmedError as error:
            raise gateway_unavailable("the store did not confirm the change: make it again") from error


def decrypted(
    stored: Sequence[StoredCredentials], encryption: Encryption | None
) -> Sequence[tuple[StoredCredentials, str]]:
    """Return credentials with their texts; "" for those that were removed. Raises SettingError."""
    found = []
    for credentials in stored:
        text = ""
        if credentials.sealed:
            if encryption is None:
                raise SettingError(KEY_SETTING, "is required: the store has encrypted credentials of accounts")
            opened = encryption.decrypt(credentials.sealed)
            if opened is None:
                raise SettingError(
                    encryption.setting, f"does not decrypt the credentials of the account {credentials.account}"
                )
            text = opened
        found.append((credentials, text))
    return found
