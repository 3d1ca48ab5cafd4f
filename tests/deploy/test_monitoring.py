"""The alert rules and the dashboard: valid, and about metrics and labels that a running gateway has."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections import defaultdict
from contextlib import aclosing, suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway_client import AsyncClient, TlsConfig, errors, soul
from tests.app.certificates import Authority
from tests.docs.markdown import anchors, documents, read
from tests.durability.process import WAIT_TIMEOUT, GatewayProcess
from tests.support.whole import whole
from tools import dashboard
from tools.deployment import read_yaml
from tools.generate import run

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
METRIC = re.compile(r"\b((?:hfgateway|process)_\w+|up)\b(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
FROM_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to what it scrapes."""
WITHOUT_DATA = {"sum by (code) (rate(hfgateway_forwarded_calls_total[5m]))": "a gateway without replicas forwards none"}
"""Queries of the dashboard that return nothing from one gateway, with the reasons."""


def expressions() -> list[str]:
    (alerts,) = read_yaml(MONITORING / "alerts.yaml")
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    rules = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return rules + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.toolchain("promtool")
def test_the_rules_are_valid_and_fire() -> None:
    run("promtool", "check", "rules", MONITORING / "alerts.yaml")
    run("promtool", "test", "rules", MONITORING / "alerts_test.yaml")


@pytest.mark.toolchain("openssl")
async def test_every_metric_and_label_is_that_of_a_running_gateway(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    served = authority.signed("gateway")
    async with (
        Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox,
        GatewayProcess(
            tmp_path, sandbox.url, upstream_concurrency="8", archive_url=(tmp_path / "archive").as_uri(),
            tls_cert=str(served.cert), tls_key=str(served.key),
        ) as gateway,
        AsyncClient(gateway.address, tls=TlsConfig(ca=authority.cert)) as client,
    ):  # fmt: skip
        await client.generate(soul("a fox"))
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "402"})])
        with pytest.raises(errors.GatewayError):
            await client.generate(soul("an owl"))
        # Metrics that only exist once they were counted.
        trusted = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority.cert))
        async with aiohttp.ClientSession(connector=trusted) as session:
            await whole(session.get(f"{gateway.http_address}/healthz", headers={"Host": "elsewhere.example"}))
            async with session.get(f"{gateway.http_address}/metrics") as answer:
                text = await answer.text()
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for name, pairs in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        labels[name] |= set(re.findall(r'(\w+)="', pairs))
    # They are counted when a call is refused before it was read, and when one is forwarded.
    labels["hfgateway_rpc_refused_total"] |= {"method"}
    labels["hfgateway_forwarded_calls_total"] |= {"code"}
    labels["up"] = set()  # of Prometheus itself
    assert 'hfgateway_upstream_calls_total{operation="submit",outcome="402"} 1.0' in text
    explained = "".join(read(file) for file in documents())
    unexplained = []
    for name in re.findall(r"^# TYPE (hfgateway_\w+)(?<!_created) ", text, re.MULTILINE):
        result = re.fullmatch(r"hfgateway_webhooks_(\w+)_total", name)
        one = re.sub(r"(places|queued)_\w+", r"\1_local", name)  # the docs name one kind of place
        if (f"| `{result[1]}` | " if result else f"`{one}`") not in explained:
            unexplained.append(name)
    assert unexplained == []
    for expression in expressions():
        found = METRIC.findall(expression)
        assert found, expression
        known: set[str] = set()
        for name, matchers in found:
            assert name in labels, f"{name} in {expression}"
            assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= labels[name] | FROM_PROMETHEUS, expression
            known |= labels[name]
        for group in GROUPED.findall(expression):
            assert set(re.split(r",\s*", group)) <= known | FROM_PROMETHEUS, expression


@pytest.mark.toolchain("prometheus")
async def test_every_query_of_the_dashboard_returns_data_of_a_running_gateway(tmp_path: Path) -> None:
    """Evaluate the queries in a Prometheus that scrapes the gateway."""
    async with (
        Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url, upstream_concurrency="8") as gateway,
        AsyncClient(gateway.address) as client,
        aiohttp.ClientSession() as session,
    ):
        with dashboard.prometheus(tmp_path, gateway.http_address) as api:
            targets = [target for panel in dashboard.panels() for target in panel["targets"]]
            empty = {target["expr"]: target for target in targets if target["expr"] not in WITHOUT_DATA}
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_TIMEOUT), aclosing(client.watch_many()) as watch:
                    await anext(watch)
                    while empty:
                        await client.generate(soul("a fox"))
                        async with session.get(
                            f"{gateway.http_address}/healthz", headers={"Host": "elsewhere.example"}
                        ):
                            now = time.time()
                        found = [query for query in empty if dashboard.series(api, empty[query], now - 60, now)]
                        empty = {query: target for query, target in empty.items() if query not in found}
            assert list(empty) == []


def test_every_alert_has_a_page_that_says_what_to_do() -> None:
    (alerts,) = read_yaml(MONITORING / "alerts.yaml")
    for group in alerts["groups"]:
        for rule in group["rules"]:
            page, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert not anchor or anchor in anchors(page), rule["alert"]
