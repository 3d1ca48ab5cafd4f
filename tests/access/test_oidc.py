"""Tokens of an OpenID Connect issuer instead of API keys; the issuer is an HTTP server on a real socket."""

from __future__ import annotations

import asyncio
import functools
import hmac
import json
import math
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway import oidc
from gateway.errors import GatewayError
from gateway.generations.clock import SystemClock
from gateway.oidc import OidcIssuer
from gateway.process.opening import open_issuer
from gateway.settings.config import read_settings
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import WAIT_TIMEOUT, Running, eventually, run, soul
from tests.support.transports import RpcFailure, Transport

AUDIENCE = "hfgateway"
LIST = pb.ListGenerationsRequest()
RSA, OTHER_RSA, EC, ED = "RSA", "another RSA", "EC", "Ed25519"
"""The names of keys."""


@functools.cache
def private_key(name: str) -> Any:
    """Return the key with a name. It is made when a test needs it, because every worker imports this file."""
    if name == EC:
        return ec.generate_private_key(ec.SECP256R1())
    if name == ED:
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Serves its description and its keys, and signs tokens."""

    def __init__(self) -> None:
        self.keys = {"one": RSA}
        """The keys at the issuer, by the names that tokens give them."""
        self.url = ""
        self.named = ""
        self.keys_url = ""
        """The address of the keys in the description, if it is another one than that of this server."""
        self.padding = ""
        self.instead = ""
        """What is sent in place of the keys."""
        self.use = "sig"
        self.fetched = self.described = 0

    async def __aenter__(self) -> Issuer:
        application = web.Application()
        application.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._description),
                web.get("/keys", self._keys),
                web.get("/moved", self._moved),
            ]
        )
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _description(self, _: web.Request) -> web.Response:
        self.described += 1
        return web.json_response({"issuer": self.named or self.url, "jwks_uri": self.keys_url or f"{self.url}/keys"})

    async def _moved(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")

    async def _keys(self, _: web.Request) -> web.Response:
        self.fetched += 1
        if self.instead:
            return web.Response(text=self.instead)
        found = []
        for name, key in self.keys.items():
            others: dict[str, Any] = {EC: jwt.algorithms.ECAlgorithm, ED: jwt.algorithms.OKPAlgorithm}
            algorithm = others.get(key, jwt.algorithms.RSAAlgorithm)
            public = json.loads(algorithm.to_jwk(private_key(key).public_key()))
            found.append({**public, "kid": name} | ({"use": self.use} if self.use else {}))
        return web.json_response({"keys": found, "padding": self.padding})

    def token(
        self, *, key: str | bytes | None = RSA, name: str | None = "one", algorithm: str = "RS256", **claims: Any
    ) -> str:
        """Return a token. `key` is the name of a key, or a shared secret. A claim that is None is left out."""
        content = {
            "iss": self.url,
            "aud": AUDIENCE,
            "exp": time.time() + 600,
            "sub": "order service",
            "tenant": "red",
            "scope": "openid hfgateway:read hfgateway:submit",
        } | claims
        content = {claim: value for claim, value in content.items() if value is not None}
        signing = private_key(key) if isinstance(key, str) else key
        return jwt.encode(content, signing, algorithm, headers={} if name is None else {"kid": name})


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as issuer:
        yield issuer


@pytest.fixture
async def running(tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(oidc, "FETCH_RETRY_DELAY", 0.05)
    async with run(tmp_path, AUTH="keys", OIDC_ISSUER=issuer.url, OIDC_AUDIENCE=AUDIENCE) as started:
        yield started


async def code(client: Transport, method: str, request: Any) -> str:
    """Return the code of a call. A call is repeated while the gateway fetches the keys, as the clients do."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            try:
                await client.call(method, request)
            except RpcFailure as refused:
                if refused.code != "UNAVAILABLE":
                    return refused.code
            else:
                return "OK"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")],
    ids=["RSA", "RSA with SHA-512", "RSA with PSS", "EC", "Ed25519"],
)
async def test_a_token_acts_as_its_tenant_with_its_scopes(
    running: Running, issuer: Issuer, key: str, algorithm: str
) -> None:
    issuer.keys["two"] = key
    client = running.caller("grpc", issuer.token(key=key, name="two", algorithm=algorithm))
    assert await code(client, "ListGenerations", LIST) == "OK"
    generation = (await client.call("SubmitGeneration", soul("a fox"))).generation
    assert await code(client, "CancelGeneration", pb.CancelGenerationRequest(id=generation.id)) == "PERMISSION_DENIED"
    reader = running.caller("grpc", issuer.token(scope=["openid", "hfgateway:read"]))
    assert await code(reader, "ListGenerations", LIST) == "OK"
    assert await code(reader, "SubmitGeneration", soul("an owl")) == "PERMISSION_DENIED"
    other = running.caller("grpc", issuer.token(tenant="blue"))
    assert await code(other, "GetGeneration", pb.GetGenerationRequest(id=generation.id)) == "NOT_FOUND"
    same = running.caller("connect-json", await running.key("red"))
    assert await code(same, "GetGeneration", pb.GetGenerationRequest(id=generation.id)) == "OK"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"aud": "another service"}, "the token is for another audience"),
        ({"aud": None}, "the token has no aud"),
        ({"iss": "https://another.example"}, "the token is of another issuer"),
        ({"exp": 1}, "the token has expired"),
        ({"exp": None}, "the token has no exp"),
        ({"exp": 10**400}, "the token is not valid"),
        ({"exp": math.inf}, "the token is not valid"),
        ({"nbf": {}}, "the token is not valid"),
        ({"nbf": 4_000_000_000, "exp": 4_000_000_600}, "the token is not valid yet"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_600}, "the token is not valid yet"),
        ({"tenant": None}, "the claim tenant of the token is not a tenant"),
        ({"tenant": "Not A Tenant"}, "the claim tenant of the token is not a tenant"),
        ({"tenant": ["red"]}, "the claim tenant of the token is not a tenant"),
        ({"key": OTHER_RSA}, "the signature of the token is wrong"),
        ({"name": "unknown"}, "the token is signed with a key that its issuer does not have"),
        ({"name": "k" * 257}, "the id of the token's key is too long"),
        ({"algorithm": "none", "key": None}, "the token is signed with an algorithm that is not accepted"),
        ({"algorithm": "HS256", "key": b"k" * 32}, "the token is signed with an algorithm that is not accepted"),
    ],
    ids=lambda claims: " ".join(claims) if isinstance(claims, dict) else "",
)
async def test_another_token_is_refused(running: Running, issuer: Issuer, claims: dict[str, Any], message: str) -> None:
    client = running.caller("grpc", issuer.token(**claims))
    assert await code(client, "ListGenerations", LIST) == "UNAUTHENTICATED"
    with pytest.raises(RpcFailure) as refused:
        await client.call("ListGenerations", LIST)
    assert refused.value.message == message
    assert ("expired" in refused.value.detail(error_pb2.Failure).metadata) == (message == "the token has expired")


async def test_a_token_whose_head_is_nested_too_deeply_is_refused(running: Running) -> None:
    """Anyone can send it, because no signature is checked before."""
    head = urlsafe_b64encode(b'{"kid": ' + b"[" * 6_000).decode().rstrip("=")
    assert await code(running.caller("grpc", f"{head}.e30.AAAA"), "ListGenerations", LIST) == "UNAUTHENTICATED"


async def test_the_issuers_clock_may_differ_by_30_seconds(issuer: Issuer) -> None:
    verifies = verifier(issuer)
    verifies._keys = await verifies._fetch()
    assert verifies.identify(issuer.token(exp=time.time() - 20)).tenant == "red"
    with pytest.raises(GatewayError, match="the token has expired"):
        verifies.identify(issuer.token(exp=time.time() - 40))


async def test_a_token_that_names_no_key_is_valid_while_its_issuer_has_one_key_only(
    running: Running, issuer: Issuer
) -> None:
    """OpenID Connect demands the name if the issuer has several."""
    assert await code(running.caller("grpc", issuer.token(name=None)), "ListGenerations", LIST) == "OK"
    forged = running.caller("grpc", issuer.token(key=OTHER_RSA, name=None))
    assert await code(forged, "ListGenerations", LIST) == "UNAUTHENTICATED"

    issuer.keys["two"] = EC
    second = running.caller("grpc", issuer.token(key=EC, name="two", algorithm="ES256"))
    assert await code(second, "ListGenerations", LIST) == "OK"
    with pytest.raises(RpcFailure) as refused:
        await running.caller("grpc", issuer.token(name=None)).call("ListGenerations", LIST)
    assert refused.value.message == "the token does not name its key (kid), although its issuer has several"


async def test_the_claims_with_the_tenant_and_the_scopes_can_be_chosen(tmp_path: Path, issuer: Issuer) -> None:
    claims = {"OIDC_TENANT_CLAIM": "org", "OIDC_SCOPE_CLAIM": "permissions"}
    async with run(tmp_path, AUTH="keys", OIDC_ISSUER=issuer.url, OIDC_AUDIENCE=AUDIENCE, **claims) as running:
        of_blue = running.caller("grpc", await running.key("blue"))
        generation = (await of_blue.call("SubmitGeneration", soul("a fox"))).generation
        client = running.caller("grpc", issuer.token(org="blue", permissions=["hfgateway:read"]))
        assert await code(client, "GetGeneration", pb.GetGenerationRequest(id=generation.id)) == "OK"
        assert await code(client, "SubmitGeneration", soul("an owl")) == "PERMISSION_DENIED"


async def test_a_token_without_scopes_may_do_nothing(running: Running, issuer: Issuer) -> None:
    for scope in (None, 5, {"hfgateway:read": True}, "read", "hfgateway:reader", ["hfgateway:all"]):
        client = running.caller("grpc", issuer.token(scope=scope))
        assert await code(client, "ListGenerations", LIST) == "PERMISSION_DENIED"


async def test_a_public_key_is_no_shared_secret(running: Running, issuer: Issuer) -> None:
    public = private_key(RSA).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = issuer.token(key=b"k" * 32, algorithm="HS256").rpartition(".")[0]
    signature = urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).rstrip(b"=").decode()
    client = running.caller("grpc", f"{signed}.{signature}")
    assert await code(client, "ListGenerations", LIST) == "UNAUTHENTICATED"


async def test_a_new_key_of_the_issuer_is_fetched_and_an_old_one_forgotten(running: Running, issuer: Issuer) -> None:
    old = running.caller("grpc", issuer.token())
    assert await code(old, "ListGenerations", LIST) == "OK"

    issuer.keys = {"two": EC}
    new = running.caller("grpc", issuer.token(key=EC, name="two", algorithm="ES256"))
    assert await code(new, "ListGenerations", LIST) == "OK"

    assert await code(old, "ListGenerations", LIST) == "UNAUTHENTICATED"


async def test_a_token_is_refused_once_the_issuer_has_withdrawn_all_keys(running: Running, issuer: Issuer) -> None:
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"
    issuer.keys = {}
    unknown = running.caller("grpc", issuer.token(name="unknown"))
    assert await code(unknown, "ListGenerations", LIST) == "UNAUTHENTICATED"
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "UNAUTHENTICATED"


async def test_keys_that_arrive_in_parts_are_read(running: Running, issuer: Issuer) -> None:
    issuer.keys, issuer.padding = {"two": EC}, "x" * (300 << 10)  # more than a socket returns at once
    client = running.caller("grpc", issuer.token(key=EC, name="two", algorithm="ES256"))
    assert await code(client, "ListGenerations", LIST) == "OK"


async def test_keys_over_the_size_limit_are_not_read(running: Running, issuer: Issuer) -> None:
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"
    before, issuer.keys, issuer.padding = issuer.fetched, {"two": EC}, "x" * oidc.MAX_DOCUMENT_BYTES
    client = running.caller("grpc", issuer.token(key=EC, name="two", algorithm="ES256"))

    while issuer.fetched < before + 2:
        with pytest.raises(RpcFailure, match="UNAVAILABLE"):
            await client.call("ListGenerations", LIST)
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"


@pytest.mark.parametrize(
    "instead",
    ['{"keys": ' + "[" * 100_000, '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": ["RS256"]}]}', "<html>"],
    ids=["nested too deeply", "of a wrong type", "a page"],
)
async def test_keys_that_cannot_be_read_are_fetched_again(running: Running, issuer: Issuer, instead: str) -> None:
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"
    before, issuer.instead, issuer.keys = issuer.fetched, instead, {"two": EC}
    client = running.caller("grpc", issuer.token(key=EC, name="two", algorithm="ES256"))
    async with asyncio.timeout(WAIT_TIMEOUT):
        while issuer.fetched < before + 2:
            with pytest.raises(RpcFailure, match="UNAVAILABLE"):
                await client.call("ListGenerations", LIST)
    issuer.instead = ""
    assert await code(client, "ListGenerations", LIST) == "OK"


async def test_another_issuer_at_the_address_is_not_believed(running: Running, issuer: Issuer) -> None:
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"
    before, issuer.named, issuer.keys = issuer.described, "https://another.example", {"two": EC}
    client = running.caller("grpc", issuer.token(key=EC, name="two", algorithm="ES256"))

    while issuer.described < before + 2:
        with pytest.raises(RpcFailure, match="UNAVAILABLE"):
            await client.call("ListGenerations", LIST)
    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"


def verifier(issuer: Issuer, clock: SystemClock | None = None) -> OidcIssuer:
    clock = clock or SystemClock()
    return OidcIssuer(issuer.url, AUDIENCE, clock, tenant_claim="tenant", scope_claim="scope")


@asynccontextmanager
async def fetching(issuer: Issuer, clock: Rests) -> AsyncIterator[OidcIssuer]:
    """Yield a verifier that fetches the issuer's keys in the background."""
    verifies = verifier(issuer, clock)
    task = asyncio.create_task(verifies.run())
    try:
        yield verifies
    finally:
        task.cancel()


async def test_keys_are_fetched_with_tls_and_without_redirects(issuer: Issuer) -> None:
    issuer.keys_url = "http://keys.example.invalid/keys"
    with pytest.raises(ValueError, match="not an https URL"):
        await verifier(issuer)._fetch()
    issuer.keys_url = issuer.url + "/moved"
    with pytest.raises(ValueError, match="answered with the status 302"):
        await verifier(issuer)._fetch()
    assert issuer.fetched == 0


async def test_a_fetch_without_a_response_ends(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the keys that the issuer withdraws would stay valid."""
    monkeypatch.setattr(oidc, "FETCH_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuer.keys_url = "http://{}:{}/keys".format(*silent.getsockname())
        async with asyncio.timeout(WAIT_TIMEOUT):
            with pytest.raises(oidc.IssuerError, match="TimeoutError"):
                await verifier(issuer).fetch()


async def test_keys_are_fetched_over_the_proxy() -> None:
    async with ConnectProxy() as proxy:
        settings = read_settings(
            {
                "HTTPS_PROXY": f"http://{proxy.address}",
                "HFGATEWAY_AUTH": "keys",
                "HFGATEWAY_OIDC_ISSUER": "https://issuer.test",
                "HFGATEWAY_OIDC_AUDIENCE": AUDIENCE,
            }
        )
        verifies = open_issuer(settings, SystemClock())
        assert verifies is not None
        with pytest.raises(aiohttp.ClientHttpProxyError):
            await verifies._fetch()
        assert proxy.asked == ["issuer.test:443"]


async def test_an_issuer_may_end_with_a_slash(issuer: Issuer) -> None:
    """Those of Auth0 do, and tokens name it as it is."""
    issuer.url += "/"
    issuer.keys_url = f"{issuer.url}keys"
    verifies = verifier(issuer)
    verifies._keys = await verifies.fetch()
    assert verifies.identify(issuer.token()).tenant == "red"


async def test_a_key_for_encryption_verifies_nothing(issuer: Issuer) -> None:
    for use in ("sig", ""):  # which a key need not have (RFC 7517, 4.2)
        issuer.use = use
        assert list(await verifier(issuer)._fetch()) == ["one"]
    issuer.use = "enc"
    assert await verifier(issuer)._fetch() == {}


async def test_a_key_whose_id_is_no_text_leaves_the_others_valid(issuer: Issuer) -> None:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key(RSA).public_key()))
    other = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key(OTHER_RSA).public_key()))
    issuer.instead = json.dumps({"keys": [{**other, "kid": ["one"]}, {**public, "kid": "one"}]})
    verifies = verifier(issuer)
    verifies._keys = await verifies.fetch()
    assert verifies.identify(issuer.token()).tenant == "red"


class Rests(SystemClock):
    """Records the rests between fetches. Those of FETCH_RETRY_DELAY end at once, the others with their signal."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
        self.seconds.append(seconds)
        if seconds != oidc.FETCH_RETRY_DELAY:
            await signal


async def test_a_fetch_looks_for_the_unknown_keys_since_the_one_before_and_for_no_older_ones(issuer: Issuer) -> None:
    clock = Rests()
    async with fetching(issuer, clock) as verifies:
        for name in ("two", "three", "two"):
            count = len(clock.seconds)
            await eventually(lambda count=count: len(clock.seconds) >= count + 2)  # type: ignore[misc]
            with pytest.raises(GatewayError, match="being fetched"):
                verifies.identify(issuer.token(name=name))
    assert clock.seconds == [oidc.FETCH_RETRY_DELAY, oidc.FETCH_INTERVAL] * 3


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("named", "https://another.example", "its configuration names the issuer 'https://another.example'"),
        ("keys_url", "http://keys.example.invalid/keys", "its jwks_uri is not an https URL"),
        ("keys_url", "{url}/missing", "it answered with the status 404"),
        ("instead", "[]", "a document is not a JSON object"),
        ("instead", "{}", "its keys are not a JWK Set"),
    ],
    ids=["another issuer", "no TLS", "not found", "no object", "no keys"],
)
async def test_the_log_says_why_the_keys_cannot_be_used(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, attribute: str, value: str, reason: str
) -> None:
    setattr(issuer, attribute, value.replace("{url}", issuer.url))
    async with fetching(issuer, Rests()):
        await eventually(lambda: bool(caplog.records))
    assert caplog.records[0].message == "the keys of the issuer could not be fetched"
    assert vars(caplog.records[0])["error"] == reason


async def test_a_fetch_that_failed_is_repeated_soon(issuer: Issuer) -> None:
    """A key that the issuer has removed must not stay valid until the next regular fetch."""
    clock = Rests()
    async with fetching(issuer, clock) as verifies:
        await eventually(lambda: len(clock.seconds) == 2)
        issuer.named = "https://another.example"
        with pytest.raises(GatewayError, match="being fetched"):
            verifies.identify(issuer.token(name="two"))
        await eventually(lambda: len(clock.seconds) >= 4)
        issuer.named, issuer.keys = "", {"two": RSA}
        await eventually(lambda: clock.seconds[-1] == oidc.FETCH_INTERVAL)
    assert verifies._keys is not None
    assert list(verifies._keys) == ["two"]
    failures = clock.seconds[2:].index(oidc.FETCH_INTERVAL)
    assert clock.seconds[:2] == [oidc.FETCH_RETRY_DELAY, oidc.FETCH_INTERVAL]
    assert failures >= 2
    assert set(clock.seconds[2 : 2 + failures]) == {oidc.FETCH_RETRY_DELAY}


async def test_many_tokens_take_little_memory(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "MAX_VERIFIED", 2)
    verifies = verifier(issuer)
    verifies._keys = await verifies._fetch()
    for number in range(5):
        assert verifies.identify(issuer.token(sub=str(number))).tenant == "red"
        with pytest.raises(GatewayError, match="being fetched"):
            verifies.identify(issuer.token(name=f"unknown-{number}"))
    assert len(verifies.identify(issuer.token(sub="x" * 1_000)).key_name) <= 300
    assert 0 < len(verifies._verified) <= 2
    assert len(verifies._wanted) == 2


async def test_different_subjects_have_different_names_in_the_audit_log(issuer: Issuer) -> None:
    verifies = verifier(issuer)
    verifies._keys = await verifies._fetch()
    job = f"spiffe://example.com/{'pipelines/' * 20}render"  # more than 200 characters, fewer than 255
    subjects = [
        "müller@example.com",
        "möller@example.com",
        f"{job}-blue",
        f"{job}-green",
        "x" * 300 + "1",
        "x" * 300 + "2",
    ]
    names = [verifies.identify(issuer.token(sub=subject)).actor for subject in subjects]
    assert len(set(names)) == len(names)
    assert names[2:4] == [f"token:{subject}" for subject in subjects[2:4]]
    assert names[0].startswith("token:m?ller@example.com#")


async def test_a_watch_token_lives_no_longer_than_the_token_that_created_it(running: Running, issuer: Issuer) -> None:
    expires = int(time.time()) + 300
    client = running.caller("grpc", issuer.token(exp=expires))
    assert await code(client, "ListGenerations", LIST) == "OK"
    request = token_pb.CreateWatchTokenRequest(filter={"labels": {"a": "b"}}, ttl={"seconds": 3000})
    made = await client.call("CreateWatchToken", request)
    assert made.expire_time.seconds == expires + oidc.LEEWAY
    assert await code(running.caller("grpc", made.token), "ListGenerations", LIST) == "OK"


async def test_an_issuer_that_is_away_is_asked_again(running: Running, issuer: Issuer) -> None:
    await eventually(lambda: issuer.fetched > 0)
    key = await running.key("red")
    issuer.named = "https://another.example"
    await running.stop_gateway()
    await running.start_gateway()
    with pytest.raises(RpcFailure, match="UNAVAILABLE"):
        await running.caller("grpc", issuer.token()).call("ListGenerations", LIST)
    assert await code(running.caller("grpc", key), "ListGenerations", LIST) == "OK"

    issuer.named = ""

    assert await code(running.caller("grpc", issuer.token()), "ListGenerations", LIST) == "OK"
