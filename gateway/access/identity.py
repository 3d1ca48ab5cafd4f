"""Authenticates calls by API key or watch token, and holds the API keys of the gateway."""

import hmac
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.access import keys, tokens
from gateway.access.keys import ApiKey
from gateway.access.scopes import ALL, REQUIRED_SCOPES, Scope
from gateway.access.tokens import WatchToken
from gateway.concurrency import OwnedTasks, uninterrupted
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable, invalid_field, not_found
from gateway.frozen import frozen
from gateway.generations.ports import Clock
from gateway.generations.read_back import repeated_if_unknown
from gateway.generations.stores import Filter

DEFAULT_TENANT = "default"
"""The tenant of all calls if API keys are not required."""
MAX_OVERLAP = 30 * 86_400.0
"""Seconds for which a key stays valid after its rotation, at most."""
SCHEME = "bearer "
ISSUED = "issued"
"""The `key_id` of callers with a token of an issuer. Ids of API keys have another form."""
OPERATOR_ID = "operator"
"""The `key_id` of the caller on the operator's socket."""
WATCHING = frozenset({"GetGeneration", "ListGenerations", "WaitGeneration", "WatchGeneration", "WatchGenerations"})
"""The RPCs that a watch token may call."""


@frozen
class Identity:
    """The tenant of a call, and its limits.

    `key_id` is the API key of the call, or the one that created its watch token; "" if none. `key_name` is the note of
    an API key, or the subject of an issuer's token. `scopes` is what either may do. `expire_time` is the wall time at
    which a token expires. The other fields are set by watch tokens: `within` is the filter of what may be watched.
    """

    tenant: str
    key_id: str = ""
    key_name: str = ""
    within: Filter | None = None
    include_input: bool = True
    expire_time: float | None = None
    scopes: frozenset[Scope] = ALL
    token: str = ""
    """The fingerprint of the watch token; "" for an API key."""

    @property
    def actor(self) -> str:
        """The caller's name in the audit log: "key:ID", "token:SUBJECT", "operator" on the socket, or "anonymous"."""
        if self.key_id == ISSUED:
            return f"token:{self.key_name}"
        if self.key_id == OPERATOR_ID:
            return OPERATOR_ID
        return f"key:{self.key_id}" if self.key_id else "anonymous"


ANONYMOUS = Identity(DEFAULT_TENANT)
OPERATOR = Identity(DEFAULT_TENANT, OPERATOR_ID)
"""The caller on the operator's socket."""


class Issuer(Protocol):
    """Verifies the tokens of an OpenID Connect issuer."""

    def identify(self, token: str) -> Identity:
        """Return the identity of the bearer. Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE."""

    async def run(self) -> None:
        """Fetch the keys with which the issuer signs, until canceled."""


class KeyStore(Protocol):
    """The store of API keys. Its methods raise UnconfirmedError."""

    async def add_api_key(self, key: ApiKey) -> None:
        """Store a new key. A second call does nothing."""

    async def revoke_api_key(self, key: ApiKey, wall: float) -> None:
        """Store when a key was revoked. A second call does not change the time."""

    async def expire_api_key(self, key: ApiKey, wall: float) -> None:
        """Store when a key expires."""

    async def api_keys(self) -> Sequence[ApiKey]:
        """Return all keys, including revoked ones."""

    async def token_secret(self) -> bytes:
        """Return the secret that signs this store's watch tokens."""


class Access:
    """The API keys and watch tokens that a gateway accepts.

    All keys are in memory. A replica that does not write the store reads those that have changed.
    """

    def __init__(
        self,
        store: KeyStore,
        clock: Clock,
        stored: Iterable[ApiKey],
        token_secret: bytes,
        *,
        required: bool,
        issuer: Issuer | None = None,
        current: Callable[[], bool] = lambda: True,
    ) -> None:
        """`required`: calls without a key or token are refused. Otherwise they act as DEFAULT_TENANT, without limits.

        `stored` are the keys in the store. `issuer` verifies tokens of others; without one they are refused. `current`
        returns whether the gateway knows the present state of keys and generations. If it does not, it serves no
        caller, because what it would show may be wrong.
        """
        self._issuer = issuer
        self._store = store
        self._clock = clock
        self._keys = {key.id: key for key in stored}
        self._several, self._several_until = False, -math.inf
        """Whether the keys of several tenants may submit, and the wall time at which the next of these keys expires.

        After a change of a key it is not known, and the time is -inf.
        """
        self._token_secret = token_secret
        self.replica_secret = hmac.digest(token_secret, b"replicas", "sha256").hex()
        """The secret that replicas of this gateway send with the calls that they forward."""
        self._required = required
        self._current = current
        self._on_revoke: list[Callable[[], None]] = []
        self._tasks = OwnedTasks()

    def several_tenants(self) -> bool:
        """Return whether more than one tenant may submit, by valid keys or by tokens of the issuer.

        The tenants of an issuer are not known, so there may always be several.
        """
        # Each submission asks several times, so the clock is not read if none of the keys expires.
        if self._several_until < math.inf and (now := self._clock.moment().wall) >= self._several_until:
            tenants, ends = set[str](), [math.inf]
            for key in self._keys.values():
                end = math.inf if key.expire_time is None else key.expire_time
                if key.revoke_time is None and end > now and Scope.SUBMIT in key.scopes:
                    tenants.add(key.tenant)
                    ends.append(end)
            self._several, self._several_until = len(tenants) > 1, min(ends)
        return self._required and (self._issuer is not None or self._several)

    def on_revoke(self, *wakes: Callable[[], None]) -> None:
        """Call these after each revocation, so that open streams check their keys again."""
        self._on_revoke += wakes

    def identify(self, authorization: str, rpc: str) -> Identity:
        """Return the identity for an `authorization` header ("" if absent) and the name of the called RPC.

        Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE, or NOT_ALLOWED if the RPC is not one of WATCHING for
        a watch token, or is outside of the scopes of a key.
        """
        identity = self.authenticate(authorization)
        if identity.token:
            if rpc not in WATCHING:
                raise not_allowed("a watch token is for watching only")
        elif self._required:
            _require(identity, REQUIRED_SCOPES[rpc])
        return identity

    def authenticate(self, authorization: str) -> Identity:
        """Return the identity for an `authorization` header, whatever it may call.

        Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE.
        """
        self._check_current()
        secret = _secret_of(authorization)
        if secret.startswith(tokens.PREFIX):
            return self._identify_token(secret)
        return self._identify_caller(secret) if self._required else ANONYMOUS

    def identify_admin(self, authorization: str) -> Identity:
        """Return the identity of a caller of AdminService, who needs the scope ADMIN even if others need no key.

        Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE, NOT_ALLOWED.
        """
        self._check_current()
        identity = self._identify_caller(_secret_of(authorization))
        _require(identity, Scope.ADMIN)
        return identity

    def _identify_caller(self, secret: str) -> Identity:
        if not secret:
            raise invalid_credentials("an API key is required: authorization: Bearer hfg_…")
        identity = self._identity_of(secret)
        self._check_valid(identity)
        return identity

    def _identity_of(self, secret: str) -> Identity:
        if self._issuer is not None and not secret.startswith(keys.PREFIX) and secret.count(".") == 2:
            return self._issuer.identify(secret)
        key = self._keys.get(keys.id_of(secret))
        if key is None or not key.matches(secret):
            raise invalid_credentials("the API key is invalid")
        return Identity(key.tenant, key.id, key.name, scopes=key.scopes)

    def check(self, identity: Identity, *, begun: bool = False) -> None:
        """Raise INVALID_CREDENTIALS if the key of an identity was revoked, or it or its token has expired.

        Raises GATEWAY_UNAVAILABLE if that is not known, or if an API key or a token of the issuer has expired during a
        call that has `begun`: the caller may have the next one by now, and repeats the call with it.
        """
        self._check_current()
        self._check_valid(identity, begun=begun)

    def _check_valid(self, identity: Identity, *, begun: bool = False) -> None:
        key = self._keys.get(identity.key_id)
        if key is not None and key.revoke_time is not None:
            raise invalid_credentials("the API key was revoked")
        if key is not None and key.expire_time is not None and self._clock.moment().wall >= key.expire_time:
            expired = invalid_credentials("the API key has expired")
        elif identity.expire_time is not None and self._clock.moment().wall >= identity.expire_time:
            expired = invalid_credentials("the token has expired", expired="true")
        else:
            return
        raise gateway_unavailable(expired.failure.message) if begun and not identity.token else expired

    def seconds_left(self, identity: Identity) -> float | None:
        """Return the seconds until an identity expires; None if it does not expire."""
        return None if identity.expire_time is None else identity.expire_time - self._clock.moment().wall

    def watch_token(self, creator: Identity, within: Filter, *, ttl: float, include_input: bool) -> tuple[str, float]:
        """Return a new watch token, which lives for `ttl` seconds, and its expiry as wall time."""
        expire_time = self._clock.moment().wall + ttl
        key = self._keys.get(creator.key_id)
        for limit in (creator.expire_time, None if key is None else key.expire_time):
            if limit is not None:
                expire_time = min(expire_time, limit)
        token = WatchToken(creator.tenant, creator.key_id, within, include_input, expire_time)
        return tokens.sign(token, self._token_secret), expire_time

    @uninterrupted
    async def create_key(
        self, tenant: str, name: str, scopes: Iterable[Scope] = (), expire_time: float | None = None
    ) -> tuple[ApiKey, str]:
        """Create an API key; return it and its text, which cannot be read again. Raises INVALID_INPUT.

        `expire_time` is wall time. Without scopes the key has those of ALL.
        """
        key, secret = keys.new_key(tenant, name, self._clock.moment().wall, scopes, expire_time)
        await self._add(key)
        return key, secret

    @uninterrupted
    async def rotate_key(self, key_id: str, overlap: float) -> tuple[ApiKey, str]:
        """Create a key like this one, which expires `overlap` seconds later. Return the new key and its text.

        Raises NOT_FOUND, or INVALID_INPUT if the key was revoked or has expired, or the overlap is too long.
        """
        if overlap > MAX_OVERLAP:
            raise invalid_field("overlap", "must be at most 30 days")
        old, now = self._known(key_id), self._clock.moment().wall
        if old.revoke_time is not None or (old.expire_time is not None and old.expire_time <= now):
            raise invalid_field("id", "names a key that was revoked or has expired")
        key, secret = keys.new_key(old.tenant, old.name, now, old.scopes, old.expire_time)
        # In this order, a failure between the two writes leaves a key too many, and never none.
        await self._add(key)
        ends = now + overlap if old.expire_time is None else min(now + overlap, old.expire_time)
        await repeated_if_unknown(lambda: self._store.expire_api_key(old, ends))
        self._keep(replace(self._known(key_id), expire_time=ends))
        return key, secret

    async def _add(self, key: ApiKey) -> None:
        await repeated_if_unknown(lambda: self._store.add_api_key(key))
        self._keep(key)

    def _keep(self, *changed: ApiKey) -> None:
        self._keys.update((key.id, key) for key in changed)
        self._several_until = -math.inf

    @uninterrupted
    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key, even if the call is canceled while it runs. Raises NOT_FOUND."""
        key = self._known(key_id)
        if key.revoke_time is None:
            now = self._clock.moment().wall
            await repeated_if_unknown(lambda: self._store.revoke_api_key(key, now))
            key = replace(key, revoke_time=now)
            self._keep(key)
            for wake in self._on_revoke:
                wake()
        return key

    async def drained(self) -> None:
        """Wait until all creations and revocations that were started have finished."""
        await self._tasks.drained()

    def _has(self, key_id: str) -> bool:
        return key_id in self._keys or (key_id == ISSUED and self._issuer is not None)

    def _known(self, key_id: str) -> ApiKey:
        key = self._keys.get(key_id)
        if key is None:
            raise not_found("no such API key")
        return key

    def update(self, changed: Iterable[ApiKey]) -> None:
        """Add or replace keys, after another gateway has changed them."""
        self._keep(*changed)
        for wake in self._on_revoke:
            wake()

    def listed(self) -> Sequence[ApiKey]:
        """Return all keys, oldest first, including revoked ones."""
        return sorted(self._keys.values(), key=lambda key: (key.create_time, key.id))

    def has_key(self, tenant: str, key_id: str) -> bool:
        """Return whether a tenant has this key, which may be revoked."""
        key = self._keys.get(key_id)
        return key is not None and key.tenant == tenant

    def _check_current(self) -> None:
        if not self._current():
            raise gateway_unavailable("this replica cannot use the store")

    def _identify_token(self, text: str) -> Identity:
        token = tokens.verify(text, self._token_secret)
        if token is None or (token.key_id and not self._has(token.key_id)):
            raise invalid_credentials("the watch token was not issued by this gateway")
        identity = Identity(
            token.tenant,
            token.key_id,
            within=token.within,
            include_input=token.include_input,
            expire_time=token.expire_time,
            token=tokens.fingerprint(text),
        )
        if self._required and not token.key_id:
            raise invalid_credentials("the watch token was created without an API key")
        self._check_valid(identity)
        return identity


def _require(identity: Identity, scope: Scope) -> None:
    if scope not in identity.scopes:
        raise not_allowed(f"the API key or token lacks the scope {scope}")


def _secret_of(authorization: str) -> str:
    """Return the key or token of an `authorization` header; "" if it has none."""
    return authorization[len(SCHEME) :].strip() if authorization[: len(SCHEME)].lower() == SCHEME else ""


def invalid_credentials(message: str, **metadata: str) -> GatewayError:
    """Return INVALID_CREDENTIALS: the caller is not authenticated."""
    return GatewayError(Failure(Reason.INVALID_CREDENTIALS, message, metadata=metadata))


def not_allowed(message: str) -> GatewayError:
    """Return NOT_ALLOWED: the caller is authenticated but may not make this call."""
    return GatewayError(Failure(Reason.NOT_ALLOWED, message))
