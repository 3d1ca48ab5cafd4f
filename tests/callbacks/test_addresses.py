"""Callbacks never reach internal networks: not by URL, by DNS or by redirect, on any attempt."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import addresses
from gateway.addresses import LOOPBACK, Network, allowed
from gateway.callbacks.model import NotSentError, Outcome, Problem
from gateway.callbacks_http import client, transport
from gateway.callbacks_http.client import LOOKUP_THREADS, MAX_CONCURRENT_LOOKUPS, HttpReceivers, Lookup
from gateway.callbacks_http.urls import InvalidUrlError, parse
from gateway.process import assembly
from hfgateway.v1 import callback_service_pb2 as pb
from tests.app.certificates import Authority
from tests.callbacks.conftest import Start
from tests.callbacks.receiver import Receiver, create, deliveries, state_of
from tests.support.running import WAIT_TIMEOUT, Running, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure

INNER = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
REFUSED = (
    *INNER, "::", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fe80::1%1", "fec0::1", "ff02::1", "100::1", "5f00::1", "2606:4700::5efe:7f00:1", "4000::1", "localhost", "",
)  # fmt: skip
PUBLIC = (
    "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8",
    "64:ff9b::808:808", "2002:808:808::1",
)  # fmt: skip


def wrapped(inner: IPv4Address) -> list[IPv6Address]:
    """Return every IPv6 form of the IPv4 address."""
    number = int(inner)
    return [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
        IPv6Address(int(IPv6Address("2606:4700::5efe:0:0")) | number),
        IPv6Address(int(IPv6Address("2606:4700::200:5efe:0:0")) | number),
    ]


@pytest.mark.parametrize("text", REFUSED)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    assert not allowed(text, ())


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    assert allowed(text, ())


@given(
    st.sampled_from(addresses.REFUSED_V4).flatmap(
        lambda net: st.integers(0, net.num_addresses - 1).map(lambda n: net[n])
    )
)
def test_no_ipv6_form_of_an_internal_address_is_allowed(inner: IPv4Address) -> None:
    assert not allowed(str(inner), ())
    assert [str(one) for one in wrapped(inner) if allowed(str(one), ())] == []


URLS = {
    "http://example.com/": "must start with https://",
    "https://127.0.0.1/": "does not call",
    "https://127.1/": "usual form",
    "https://2130706433/": "usual form",
    "https://0x7f000001/": "usual form",
    "https://0177.0.0.1/": "usual form",
    "https://0/": "usual form",
    "https://127.0.0.1./": "usual form",
    "https://[::1]/": "does not call",
    "https://[::ffff:127.0.0.1]/": "does not call",
    "https://[64:ff9b::7f00:1]/": "does not call",
    "https://[fe80::1%25eth0]/": "",
    "https://169.254.169.254/latest/meta-data/": "does not call",
    "https://10.0.0.1:8443/": "does not call",
    "https://127。0。0。1/": "ASCII",
    "https://user:canary@example.com/": "a user",
    "https://example.com@127.0.0.1/": "a user",
    "https://example.com\\@127.0.0.1/": "",
    "https://example.com/#part": "fragment",
    "https://example.com:0/": "port",
    "https://example.com:99999/": "not a URL",
    "https://example.com[2606:4700::1111]/": "not a URL",
    "https://[2606:4700::1111];a/": "not a URL",
    "https://[2606:4700::1111]:443[::1]/": "not a URL",
    "https://[v1.example.com]/": "not a URL",
    "https://example.com[v1.example.com]/": "not a URL",
    "https:///path": "",
    "https://exa mple.com/": "",
    "https://-/": "",
    "https://a..b/": "",
    "ftp://example.com/": "must start with https://",
    "file:///etc/passwd": "must start with https://",
    "example.com": "must start with https://",
    "https://example.com/" + "x" * 2048: "at most 2048",
}


async def test_urls_with_internal_addresses_are_refused_on_creation(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "LOOPBACK", ())
    running = await start()
    for url, why in URLS.items():
        with pytest.raises(RpcFailure) as refused:
            await create(running, url)
        assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", ["url"]), url
        assert why in refused.value.message
        assert "canary" not in refused.value.message
    good = await create(running, "https://hooks.example.com:8443/a%20b?token=t")
    assert good.callback.url == "https://hooks.example.com:8443/a%20b?token=t"


@pytest.mark.parametrize("url", ["localhost:3000/hook", "127.0.0.1:3000/hook", "ftp://10.0.0.1/"])
def test_a_gateway_that_calls_private_networks_names_both_schemes(url: str) -> None:
    with pytest.raises(InvalidUrlError, match="must start with https://, or http:// in a private network"):
        parse(url, LOOPBACK, (443,))


def names(*answers: Sequence[str]) -> tuple[Lookup, list[str]]:
    """Return a resolver with these responses, the last one repeated, and the list of its queries."""
    asked: list[str] = []

    async def lookup(host: str) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return lookup, asked


@asynccontextmanager
async def receivers(
    networks: Sequence[Network] = (),
    tls: ssl.SSLContext | bool = True,
    *,
    answers: Sequence[Sequence[str]],
    ports: Sequence[int] = (443, 8443),
) -> AsyncIterator[tuple[HttpReceivers, list[str]]]:
    lookup, asked = names(*answers)
    one = HttpReceivers(networks, time.time, ports=ports, tls=tls, lookup=lookup)
    try:
        yield one, asked
    finally:
        await one.aclose()


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["::1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], []], ids=str
)
async def test_a_name_that_resolves_to_an_internal_address_is_not_called(receiver: Receiver, found: list[str]) -> None:
    async with receivers(answers=[found], ports=[receiver.port]) as (outside, asked):
        outcome = await outside.post("t", f"https://hooks.example:{receiver.port}/", {}, b"{}", lambda: True)
    assert outcome == Outcome(Problem.ADDRESS_REFUSED)
    assert asked == ["hooks.example"]
    assert receiver.got == []
    assert receiver.most_open == 0


async def test_plain_http_is_sent_to_configured_networks_only(receiver: Receiver) -> None:
    url = f"http://hooks.example:{receiver.port}/"
    async with receivers(LOOPBACK, answers=[["8.8.8.8"], ["127.0.0.1"]]) as (outside, _):
        assert await outside.post("t", url, {}, b"{}", lambda: True) == Outcome(Problem.ADDRESS_REFUSED)
        assert (await outside.post("t", url, {}, b"{}", lambda: True)).http_status == 200
    assert [got.headers["host"] for got in receiver.got] == [f"hooks.example:{receiver.port}"]


async def test_an_internationalized_name_is_called_in_its_ascii_form(receiver: Receiver) -> None:
    host = f"xn--mnchen-3ya.example:{receiver.port}"
    async with receivers(LOOPBACK, answers=[["127.0.0.1"]]) as (outside, _):
        assert (await outside.post("t", f"http://{host}/", {}, b"{}", lambda: True)).http_status == 200
    assert [got.headers["host"] for got in receiver.got] == [host]


async def test_lookups_of_a_tenant_that_hang_delay_no_other_tenant(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def resolve(host: str) -> list[str]:
        if host == "hangs.example":
            let_go.wait(WAIT_TIMEOUT)
        return ["127.0.0.1"]

    monkeypatch.setattr(addresses, "resolve", resolve)
    outside = HttpReceivers(LOOPBACK, time.time)
    try:
        url = f"http://hangs.example:{receiver.port}/"
        attempts = (outside.post("one", url, {}, b"{}", lambda: True) for _ in range(LOOKUP_THREADS))
        hanging = [asyncio.create_task(attempt) for attempt in attempts]
        await asyncio.sleep(0)
        other = await outside.post("other", f"http://hooks.example:{receiver.port}/", {}, b"{}", lambda: True)
        assert (other.http_status, len(receiver.got)) == (200, 1)
        let_go.set()
        assert {outcome.http_status for outcome in await asyncio.gather(*hanging)} == {200}
    finally:
        let_go.set()
        await outside.aclose()


async def test_a_lookup_that_outlives_its_attempt_counts_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        let_go.wait(WAIT_TIMEOUT)
        return []

    monkeypatch.setattr(addresses, "resolve", resolve)
    monkeypatch.setattr(client, "ATTEMPT_TIMEOUT", 0.1)
    outside = HttpReceivers((), time.time)
    try:
        for _ in range(2):
            attempts = (
                outside.post("t", "https://hangs.example/", {}, b"{}", lambda: True)
                for _ in range(MAX_CONCURRENT_LOOKUPS)
            )
            assert {outcome.problem for outcome in await asyncio.gather(*attempts)} == {Problem.TIMEOUT}
        assert len(asked) == MAX_CONCURRENT_LOOKUPS
    finally:
        let_go.set()
        await outside.aclose()


async def test_a_name_is_resolved_and_checked_for_each_attempt(timed: Timed, receiver: Receiver) -> None:
    lookup, asked = names(["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"])
    timed.gateway._core.receivers._lookup = lookup
    receiver.plan.append(500)
    made = await create(timed, f"http://hooks.example:{receiver.port}/")
    stored = await timed.submit(soul("a fox"))
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    await timed.advance(30.0, until=lambda: len(asked) == 2)
    (waits,) = await deliveries(timed, made.callback.id)
    assert (waits.problem, waits.http_status) == (pb.DELIVERY_PROBLEM_ADDRESS_REFUSED, 0)
    assert len(receiver.got) == 1
    await timed.advance(1_000.0, until=lambda: len(receiver.got) == 2, step=10.0)
    await timed.wait_until_idle()
    assert len(asked) == 3
    assert (await state_of(timed, made.callback.id)).problem == pb.DELIVERY_PROBLEM_UNSPECIFIED


async def test_the_certificate_must_match_the_name_at_any_address(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    pair = authority.signed("receiver")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(pair.cert, pair.key)
    named: list[str | None] = []
    serving.sni_callback = lambda _socket, name, _context: named.append(name)
    trusting = ssl.create_default_context(cafile=str(authority.cert))
    async with Receiver(serving) as receiver:
        good, other = (f"https://{name}:{receiver.port}/" for name in ("localhost", "hooks.example"))
        async with receivers(LOOPBACK, trusting, answers=[["127.0.0.1"]]) as (outside, _):
            assert await outside.post("t", good, {}, b"{}", lambda: True) == Outcome(http_status=200)
            assert await outside.post("t", other, {}, b"{}", lambda: True) == Outcome(Problem.CERTIFICATE)
        async with receivers(LOOPBACK, answers=[["127.0.0.1"]]) as (outside, _):
            assert await outside.post("t", good, {}, b"{}", lambda: True) == Outcome(Problem.CERTIFICATE)
        assert [got.headers["host"] for got in receiver.got] == [f"localhost:{receiver.port}"]
        assert named[:2] == ["localhost", "hooks.example"]


async def test_proxies_from_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receivers(LOOPBACK, answers=[["127.0.0.1"]]) as (outside, _):
        assert await outside.post("t", receiver.url, {}, b"{}", lambda: True) == Outcome(http_status=200)


async def test_a_url_with_another_host_than_the_checked_one_is_not_called(receiver: Receiver) -> None:
    """The connection would be made to the address in the URL, without a lookup."""
    with pytest.raises(OSError, match="another host"):
        await transport.post(
            receiver.url, "elsewhere.test", ["127.0.0.1"], headers={}, body=b"{}", tls=True, may_send=lambda: True
        )
    assert receiver.got == []


async def test_nothing_is_sent_if_the_gateway_is_replaced_while_it_connects(receiver: Receiver) -> None:
    asked: list[bool] = []

    def may_send() -> bool:
        asked.append(True)
        return False

    async with receivers(LOOPBACK, answers=[["127.0.0.1"]]) as (outside, _):
        with pytest.raises(NotSentError):
            await outside.post("t", f"http://hooks.example:{receiver.port}/", {}, b"{}", may_send)
    assert asked == [True]
    assert receiver.got == []


async def test_networks_configured_by_the_operator_can_be_called(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "LOOPBACK", ())
    running: Running = await start(CALLBACK_NETWORKS="127.0.0.0/8, 10.20.0.0/16")
    made = await create(running, receiver.url)
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    assert tested.delivery.state == pb.DELIVERY_STATE_DELIVERED
    assert (await create(running, "http://10.20.3.4/", key="two")).secret
    with pytest.raises(RpcFailure):
        await create(running, "http://10.21.3.4/", key="three")


async def test_ports_configured_by_the_operator_can_be_called(start: Start) -> None:
    running: Running = await start(CALLBACK_PORTS="9443 10443")
    for url in ("https://8.8.8.8:9443/", "https://8.8.8.8:10443/"):
        assert (await create(running, url, key=url)).secret
    with pytest.raises(RpcFailure, match="ports 9443, 10443"):
        await create(running, "https://8.8.8.8/", key="default")


@pytest.mark.parametrize("port", [22, 25, 80, 6379, 9200])
async def test_other_ports_are_refused(port: int) -> None:
    async def lookup(_: str) -> Sequence[str]:
        return ["8.8.8.8"]

    strict = HttpReceivers((), time.time, lookup=lookup)
    with_networks = HttpReceivers(LOOPBACK, time.time, lookup=lookup)
    try:
        assert "ports 443, 8443" in strict.refusal(f"https://shop.example:{port}/hook")
        assert "ports 443, 8443" in with_networks.refusal(f"https://8.8.8.8:{port}/hook")
        assert not with_networks.refusal(f"https://127.0.0.1:{port}/hook")
        assert not with_networks.refusal(f"https://[::ffff:127.0.0.1]:{port}/hook")
        # A name may resolve to an address in a configured network, so it is checked after the lookup.
        assert not with_networks.refusal(f"https://shop.example:{port}/hook")
        refused = await with_networks.post("t", f"https://shop.example:{port}/hook", {}, b"", lambda: True)
        assert refused == Outcome(Problem.ADDRESS_REFUSED)
        plain = await with_networks.post("t", "http://shop.example:8443/hook", {}, b"", lambda: True)
        assert plain == refused
        assert not strict.refusal("https://shop.example:8443/hook")
        assert not strict.refusal("https://shop.example/hook")
    finally:
        await strict.aclose()
        await with_networks.aclose()
