"""Verifies the JSON Web Tokens of an OpenID Connect issuer (docs/access.md).

`Access` calls `identify` for each call with such a token. It makes no network call: `run` fetches the issuer's keys in
the background. While they are not known, calls fail with UNAVAILABLE, which clients retry.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt

from gateway.access.identity import ISSUED, Identity, invalid_credentials
from gateway.access.keys import is_name
from gateway.access.scopes import Scope
from gateway.concurrency import Wakeup
from gateway.errors import gateway_unavailable
from gateway.generations.clock import sleep
from gateway.generations.ports import Clock
from gateway.settings.values import ProxyFor, is_loopback_host, no_proxy

log = logging.getLogger(__name__)

ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""The accepted algorithms by the type of the key, which need not name its algorithm (RFC 7517, 4.4).

Only algorithms with private keys. With a shared secret, the gateway itself could sign tokens.
"""
FETCH_INTERVAL, FETCH_RETRY_DELAY = 600.0, 10.0
"""Seconds between fetches of the issuer's keys: usually, and after a failure or if a token names an unknown key."""
FETCH_TIMEOUT = 10.0
"""Seconds for one fetch, of the issuer's configuration and its keys."""
LEEWAY = 30
"""Seconds by which the issuer's clock may differ."""
MAX_KEY_ID_LENGTH = 256
"""Characters of the id of a key in a token."""
MAX_VERIFIED = 10_000
"""The size of the cache of verified tokens, because a signature takes longer to verify than most calls. Also the most
unknown key ids that one fetch looks for."""
MAX_DOCUMENT_BYTES = 1 << 20
"""The most bytes of the issuer's configuration, and of its keys."""
MAX_SUBJECT_LENGTH = 255
"""Characters of a subject (OpenID Connect Core, 2)."""
SCOPE = re.compile(r"hfgateway:(read|submit|cancel|admin)")


class IssuerError(ValueError):
    """The issuer's keys cannot be fetched. The message says why, for the operator."""


class OidcIssuer:
    """Accepts the tokens of one issuer, for one audience. `run` must run.

    `tenant_claim` and `scope_claim` are the claims with the tenant and the scopes.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        clock: Clock,
        *,
        tenant_claim: str,
        scope_claim: str,
        proxy_for: ProxyFor = no_proxy,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._tenant_claim = tenant_claim
        self._scope_claim = scope_claim
        self._proxy_for = proxy_for
        self._keys: dict[str, jwt.PyJWK] | None = None
        """The issuer's keys by their ids; None before the first fetch has succeeded."""
        self._wanted: set[str] = set()
        """The unknown key ids of tokens that arrived since the last fetch began."""
        self._absent: set[str] = set()
        """The key ids that the last fetch looked for and did not find."""
        self._wakeup = Wakeup()
        self._verified: dict[str, Identity] = {}

    def identify(self, token: str) -> Identity:
        """Return the identity of a token's bearer. Raises INVALID_CREDENTIALS.

        If the token names a key that is not known, the keys are fetched, and this raises GATEWAY_UNAVAILABLE.
        """
        identity = self._verified.get(token)
        if identity is None:
            identity = self._verify(token)
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[token] = identity
        return identity

    async def fetch(self) -> dict[str, jwt.PyJWK]:
        """Return the issuer's keys by their ids. Every failure raises IssuerError."""
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                return await self._fetch()
        except IssuerError:
            raise
        except Exception as error:
            raise IssuerError(type(error).__name__) from error

    async def run(self) -> None:
        """Fetch the issuer's keys: at the start, regularly, and when a token names an unknown one."""
        while True:
            wanted, self._wanted = self._wanted, set()
            try:
                self._keys = await self.fetch()
            except IssuerError as error:
                log.warning("the keys of the issuer could not be fetched", extra={"error": str(error)})
                fetched = False
            else:
                self._absent = wanted - self._keys.keys()
                self._verified.clear()
                fetched = True
            await sleep(self._clock, FETCH_RETRY_DELAY)
            if fetched and not self._wanted:
                await self._clock.wait(self._wakeup.signal(), FETCH_INTERVAL)

    def _verify(self, token: str) -> Identity:
        try:
            name = str(jwt.get_unverified_header(token).get("kid", ""))
            if len(name) > MAX_KEY_ID_LENGTH:  # it is kept, although anyone can send it
                raise invalid_credentials("the id of the token's key is too long")
            keys = self._keys or {}
            key = keys.get(name)
            if key is None and not name and keys:  # OpenID Connect demands the name if there are several
                if len(keys) > 1:
                    raise invalid_credentials("the token does not name its key (kid), although its issuer has several")
                (key,) = keys.values()
            if key is None:
                self._request_fetch(name)
                if name in self._absent:
                    raise invalid_credentials("the token is signed with a key that its issuer does not have")
                raise gateway_unavailable("the keys of the issuer are being fetched")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS.get(str(key.key_type), ()),
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, OverflowError, RecursionError, TypeError) as error:  # the last three: PyJWT 2.10
            expired = {"expired": "true"} if isinstance(error, jwt.ExpiredSignatureError) else {}
            raise invalid_credentials(_reason(error), **expired) from None
        return self._identity(claims)

    def _request_fetch(self, name: str) -> None:
        """Have `run` fetch the keys as soon as FETCH_RETRY_DELAY allows, because the issuer may have this one."""
        if len(self._wanted) < MAX_VERIFIED:
            self._wanted.add(name)
        self._wakeup.wake()

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        tenant = claims.get(self._tenant_claim)
        if not isinstance(tenant, str) or not is_name(tenant):
            raise invalid_credentials(f"the claim {self._tenant_claim} of the token is not a tenant")
        given = claims.get(self._scope_claim, "")
        names = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        scopes = frozenset(Scope(found[1]) for name in names if (found := SCOPE.fullmatch(str(name))))
        subject = _subject(str(claims.get("sub", "")))
        try:
            expires = float(claims["exp"]) + LEEWAY
        except OverflowError:  # JSON has larger whole numbers than floats
            raise invalid_credentials("the token is not valid") from None
        return Identity(tenant, ISSUED, subject, expire_time=expires, scopes=scopes)

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        async with aiohttp.ClientSession() as session:
            described = await self._document(session, self._issuer.rstrip("/") + "/.well-known/openid-configuration")
            if described.get("issuer") != self._issuer:
                raise IssuerError(f"its configuration names the issuer {str(described.get('issuer', ''))[:200]!r}")
            url = str(described.get("jwks_uri", ""))
            parts = urlsplit(url)
            if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
                raise IssuerError("its jwks_uri is not an https URL")
            found = (await self._document(session, url)).get("keys")
        if not isinstance(found, list):
            raise IssuerError("its keys are not a JWK Set")
        return _keys_of(found)

    async def _document(self, session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
        """Return a JSON object. Raises IssuerError, ValueError or aiohttp.ClientError."""
        body = bytearray()
        proxy = self._proxy_for(url)
        async with session.get(url, allow_redirects=False, proxy=proxy) as response:
            if response.status != 200:
                raise IssuerError(f"it answered with the status {response.status}")
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise IssuerError(f"a document has more than {MAX_DOCUMENT_BYTES} bytes")
        content = json.loads(body)
        if not isinstance(content, dict):
            raise IssuerError("a document is not a JSON object")
        return content


def _keys_of(found: Sequence[object]) -> dict[str, jwt.PyJWK]:
    """Return the keys of a JWK Set that verify signatures, by their ids. There are none if the issuer withdrew all.

    Raises IssuerError if no key of the set can be parsed.
    """
    keys: list[jwt.PyJWK] = []
    for jwk in found:
        with contextlib.suppress(Exception):  # whatever is wrong with a key, the others are valid
            keys.append(jwt.PyJWK(jwk))  # type: ignore[arg-type]
    if found and not keys:
        raise IssuerError("none of its keys can be parsed")
    return {str(key.key_id or ""): key for key in keys if key.public_key_use in (None, "sig")}


def _subject(given: str) -> str:
    """Return a token's subject for the logs and the audit log; with its hash if it had to be shortened or changed."""
    shown = re.sub(r"[^\x20-\x7e]", "?", given)[:MAX_SUBJECT_LENGTH]
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return shown if shown == given else f"{shown}#{digest}"


def _reason(error: Exception) -> str:
    """Return why a token is refused."""
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired"
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet"
        case jwt.MissingRequiredClaimError(claim=claim):
            return f"the token has no {claim}"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is of another issuer"
        case jwt.InvalidSignatureError():
            return "the signature of the token is wrong"
        case jwt.InvalidAlgorithmError():
            return "the token is signed with an algorithm that is not accepted"
        case _:
            return "the token is not valid"
