"""From what a call carries to who it comes from; and the keys of one gateway, as they are now."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.access import keys, tokens
from gateway.access.keys import ApiKey
from gateway.access.tokens import WatchToken
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable
from gateway.generations.ports import Clock, Filter, StoreError
from gateway.generations.tasks import OwnedTasks

DEFAULT_TENANT = "default"
"""Whose everything is where no keys are asked for."""
SCHEME = "bearer "
WATCHING = frozenset({"GetGeneration", "ListGenerations", "WaitGeneration", "WatchGeneration", "WatchGenerations"})
"""The RPCs that a watch token is for."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a call comes from. `within` and `expire_time` (wall) are a watch token's limits; None has none."""

    tenant: str
    key_id: str = ""
    within: Filter | None = None
    include_input: bool = True
    expire_time: float | None = None
    token: str = ""
    """Tells a watch token from others; empty for an API key."""


ANYBODY = Identity(DEFAULT_TENANT)


class KeyStore(Protocol):
    """Where keys are kept. Raises StoreError."""

    async def add_api_key(self, key: ApiKey) -> None:
        """Keep a new key."""

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        """Note when it was revoked; the first time stays."""


class Access:
    """The keys and tokens that a gateway takes. One process has a store to itself, so what is in memory is right."""

    def __init__(
        self, store: KeyStore, clock: Clock, stored: Iterable[ApiKey], token_secret: bytes, *, required: bool
    ) -> None:
        """`required`: who brings no key is refused; else everything is one tenant's, and only tokens limit anybody."""
        self._store = store
        self._clock = clock
        self._keys = {key.id: key for key in stored}
        self._token_secret = token_secret
        self._required = required
        self._on_revoke: list[Callable[[], None]] = []
        self._tasks = OwnedTasks()

    def when_revoked(self, act: Callable[[], None]) -> None:
        """Have open streams looked at again whenever a key is revoked."""
        self._on_revoke.append(act)

    def identify(self, authorization: str, rpc: str) -> Identity:
        """Who calls, by the value of `authorization`, empty where none was sent.

        Raises INVALID_CREDENTIALS, and NOT_ALLOWED for a watch token that calls another RPC than it is for.
        """
        secret = authorization[len(SCHEME) :].strip() if authorization[: len(SCHEME)].lower() == SCHEME else ""
        if secret.startswith(tokens.PREFIX):
            identity = self._of_token(secret)
            if rpc not in WATCHING:
                raise not_allowed("a watch token is for watching only")
            return identity
        if not self._required:
            return ANYBODY
        if not authorization:
            raise invalid_credentials("an API key is required: authorization: Bearer hfg_…")
        key = self._keys.get(keys.id_of(secret))
        if key is None or not key.opens_with(secret):
            raise invalid_credentials("the API key is wrong or was revoked")
        return Identity(key.tenant, key.id)

    def check(self, identity: Identity) -> None:
        """Raise INVALID_CREDENTIALS where an identity that was good once is good no more."""
        if identity.key_id and self._keys[identity.key_id].revoke_time is not None:
            raise invalid_credentials("the API key was revoked")
        if identity.expire_time is not None and self._clock.moment().wall >= identity.expire_time:
            raise invalid_credentials("the watch token has expired", expired="true")

    def seconds_left(self, identity: Identity) -> float | None:
        """Until it expires; None where it does not."""
        return None if identity.expire_time is None else identity.expire_time - self._clock.moment().wall

    def watch_token(self, by: Identity, within: Filter, *, ttl: float, include_input: bool) -> tuple[str, float]:
        """A token for what matches, and when it ends."""
        expire_time = self._clock.moment().wall + ttl
        token = WatchToken(by.tenant, by.key_id, within, include_input, expire_time)
        return tokens.signed(token, self._token_secret), expire_time

    async def create_key(self, tenant: str, name: str) -> tuple[ApiKey, str]:
        """A new key, and its secret, which nobody can tell again."""
        key, secret = keys.new_key(tenant, name, self._clock.moment().wall)
        await self._tasks.finish(self._add(key))
        return key, secret

    async def _add(self, key: ApiKey) -> None:
        await self._stored(self._store.add_api_key, key)
        self._keys[key.id] = key

    async def revoke_key(self, key_id: str) -> ApiKey:
        """From now on it opens nothing, even if the caller leaves meanwhile. Raises NOT_FOUND."""
        return await self._tasks.finish(self._revoke(key_id))

    async def drained(self) -> None:
        """Wait until what was stored of keys is known here, too."""
        await self._tasks.drained()

    async def _revoke(self, key_id: str) -> ApiKey:
        key = self._keys.get(key_id)
        if key is None:
            raise GatewayError(Failure(Reason.NOT_FOUND, "no such API key"))
        if key.revoke_time is None:
            revoked = replace(key, revoke_time=self._clock.moment().wall)
            await self._stored(self._store.revoke_api_key, key_id, revoked.revoke_time)
            self._keys[key_id] = key = revoked
            for act in self._on_revoke:
                act()
        return key

    def listed(self) -> Sequence[ApiKey]:
        """All keys, oldest first."""
        return sorted(self._keys.values(), key=lambda key: (key.create_time, key.id))

    def _of_token(self, text: str) -> Identity:
        token = tokens.read(text, self._token_secret)
        if token is None or (token.key_id and token.key_id not in self._keys):
            raise invalid_credentials("the watch token is not one of this gateway")
        identity = Identity(
            token.tenant, token.key_id, token.within, token.include_input, token.expire_time, tokens.name_of(text)
        )
        if self._required and not token.key_id:
            raise invalid_credentials("the watch token was made without an API key")
        self.check(identity)
        return identity

    async def _stored(self, write: Callable[..., Awaitable[None]], *values: object) -> None:
        try:
            await write(*values)
        except StoreError as error:
            raise gateway_unavailable("the store is not available") from error


def invalid_credentials(message: str, **metadata: str) -> GatewayError:
    """Who calls is not known here."""
    return GatewayError(Failure(Reason.INVALID_CREDENTIALS, message, metadata=metadata))


def not_allowed(message: str) -> GatewayError:
    """Who calls is known, and may not do this."""
    return GatewayError(Failure(Reason.NOT_ALLOWED, message))
