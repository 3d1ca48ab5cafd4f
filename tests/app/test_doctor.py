"""`hfgateway doctor` as a process, with a sandbox: it reports problems with advice, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.settings.extras import missing
from gateway.store.sqlite import migrations
from tests.access.test_oidc import Issuer
from tests.app.certificates import Authority
from tests.app.command import CONFINED, environment, run
from tests.app.test_start import filled, flipped
from tests.durability.process import GatewayProcess
from tests.support.addresses import free_address
from tests.support.forked import AHEAD

SECRET = "swordfish"
WITHOUT_LIBRARIES = """
import runpy, sys
sys.modules["mcp"] = sys.modules["mcp_types"] = sys.modules["opentelemetry"] = None
sys.argv[:] = sys.argv[2:]
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
"""Python that runs a command as if the extras `mcp` and `traces` were not installed."""


class Doctor:
    """Runs the command with a sandbox."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox

    async def __call__(
        self, variables: Mapping[str, str] = MappingProxyType({}), *arguments: str, launcher: str = ""
    ) -> dict[str, list[Any]]:
        """Run the command; return the status and text of the findings by their subject."""
        given = environment(self.folder, {"HFGATEWAY_UPSTREAM_URL": self.sandbox.url, **variables})
        ended = await run("doctor", "--json", *arguments, environment=given, launcher=launcher)
        assert ended.err == ""
        assert SECRET not in ended.out
        report = json.loads(ended.out)
        problems = [finding for finding in report["findings"] if finding["status"] == "problem"]
        assert (ended.code, report["healthy"]) == ((1, False) if problems else (0, True))
        found: dict[str, list[Any]] = {}
        for finding in report["findings"]:
            assert finding["status"] == "ok" or finding["advice"], finding
            found.setdefault(finding["about"], []).append((finding["status"], finding["found"]))
        return found

    def plan(self, **fault: Any) -> None:
        self.sandbox.state.plan.add([Fault.parse({"on": "status"} | fault)])


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(port=0)) as sandbox:
        yield sandbox


@pytest.fixture
def doctor(tmp_path: Path, sandbox: Sandbox) -> Doctor:
    return Doctor(tmp_path, sandbox)


async def test_a_healthy_gateway_has_one_ok_line_per_check(tmp_path: Path, sandbox: Sandbox) -> None:
    given = environment(tmp_path, {"HFGATEWAY_UPSTREAM_URL": sandbox.url, "HF_KEY": f"sandbox:{SECRET}"})
    sandbox.state.change({"credentials": f"sandbox:{SECRET}"})
    ended = await run("doctor", environment=given)
    assert (ended.code, ended.err) == (0, "")
    assert SECRET not in ended.out
    about = [line.split()[:2] for line in ended.out.splitlines()]
    names = ["settings", "credentials", "disk", "store", "higgsfield", "clock", "grpc", "http"]
    assert about == [["ok", name] for name in names]
    assert os.listdir(tmp_path) == []


async def test_the_doctor_makes_no_upstream_call_that_could_cost(doctor: Doctor) -> None:
    await doctor()
    summary = doctor.sandbox.ledger.summary()
    assert summary["credentials_seen_ok"] == summary["status_calls"] == 1
    assert summary["submissions_seen"] == summary["cancel_calls"] == summary["delete_calls"] == 0


async def test_wrong_settings_are_problems_and_unknown_ones_warnings(doctor: Doctor, tmp_path: Path) -> None:
    found = await doctor({"HFGATEWAY_DRIAN": "5"})
    assert found["settings"][0][0] == "warning"
    assert "HFGATEWAY_DRIAN" in found["settings"][0][1]

    found = await doctor({"HFGATEWAY_DRAIN": "soon", "HF_KEY": ""})
    assert found["settings"][0][0] == "problem"
    assert found["settings"][0][1].startswith("HFGATEWAY_DRAIN: ")
    assert found["credentials"][0][0] == "problem"
    assert set(found) == {"settings", "credentials"}

    (tmp_path / "gateway.toml").write_text("HFGATEWAY_DRAIN = 5\nHFGATEWAY_POLL_MIN = 60")
    found = await doctor({}, "--config", str(tmp_path / "gateway.toml"))
    status, text = found["settings"][0]
    assert (status, text.split(":")[0]) == ("problem", "HFGATEWAY_POLL_MIN")
    assert "is longer than HFGATEWAY_POLL_MAX" in text


async def test_upstream_failures_are_reported_by_their_kind(doctor: Doctor) -> None:
    wrong = await doctor({"HF_KEY": f"sandbox:{SECRET}"})
    assert wrong["higgsfield"][0][0] == "problem"
    assert "refuses the credentials" in wrong["higgsfield"][0][1]

    away = await doctor({"HFGATEWAY_UPSTREAM_URL": f"http://{free_address()}"})
    assert away["higgsfield"][0][0] == "problem"
    assert "cannot be reached" in away["higgsfield"][0][1]
    assert "clock" not in away

    doctor.plan(kind="503")
    assert (await doctor())["higgsfield"] == [("warning", f"{doctor.sandbox.url} answers HTTP 503")]
    doctor.plan(status=404, body="<html>no such page</html>")
    (other,) = (await doctor())["higgsfield"]
    assert other == ("problem", f"{doctor.sandbox.url} answers HTTP 404, unlike the API")
    doctor.plan(status=404, body="no gzip", headers={"Content-Encoding": "gzip"})
    ((status, text),) = (await doctor())["higgsfield"]
    assert status == "problem"
    assert text.startswith(f"{doctor.sandbox.url} cannot be reached (")


@pytest.mark.parametrize(("off", "words"), [(-3600, "ahead of"), (3600, "behind")])
async def test_a_clock_difference_is_a_warning(doctor: Doctor, off: int, words: str) -> None:
    date = formatdate(time.time() + off, usegmt=True)
    doctor.plan(status=404, body={"detail": "Not found"}, headers={"Date": date})
    ((status, text),) = (await doctor())["clock"]
    assert status == "warning"
    assert words in text


async def test_the_store_is_checked_and_not_changed(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    before, names = file.read_bytes(), set(os.listdir(tmp_path))
    assert (await doctor())["store"] == [("ok", f"{file} is intact, schema {len(list(migrations.folder().iterdir()))}")]

    file.chmod(0o400)
    found = await doctor(launcher=CONFINED)
    assert found["store"][-1] == ("problem", f"this user cannot write {file}")
    file.chmod(0o600)
    assert file.read_bytes() == before
    assert set(os.listdir(tmp_path)) == names

    for beside in (Path(f"{file}.lock"), Path(f"{file}.mark")):
        beside.chmod(0o400)
        assert (await doctor(launcher=CONFINED))["store"][-1] == ("problem", f"this user cannot write {beside}")
        beside.chmod(0o600)
    Path(f"{file}.mark").chmod(0o000)
    unreadable, unwritable = (await doctor(launcher=CONFINED))["store"]
    assert unreadable[0] == unwritable[0] == "problem"
    assert f"{file}.mark: cannot be read" in unreadable[1]

    flipped(file)
    ((status, text),) = (await doctor())["store"]
    assert status == "problem"
    assert "corrupt" in text


async def test_a_folder_in_place_of_the_store_is_not_to_be_made_a_private_file(doctor: Doctor, tmp_path: Path) -> None:
    """A folder with mode 0600 cannot be entered."""
    (tmp_path / "store.db").mkdir(mode=0o755)
    ((status, text),) = (await doctor())["store"]
    assert status == "problem"
    assert "is a folder" in text


async def test_a_broken_index_is_found(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    store = sqlite3.connect(file, isolation_level=None)
    store.execute("PRAGMA writable_schema=1")
    store.execute("UPDATE sqlite_schema SET sql = replace(sql, '(tenant, id)', '(tenant, state)') WHERE type = 'index'")
    store.close()
    ((status, _),) = (await doctor())["store"]
    assert status == "problem"


async def test_an_unwritable_folder_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    for folder in (closed, tmp_path / "missing"):
        found = await doctor({"HFGATEWAY_STORE_URL": f"sqlite:///{folder}/store.db"}, launcher=CONFINED)
        assert found["disk"][0][0] == "problem"


async def test_a_running_gateway_is_recognised_by_its_store_and_ports(doctor: Doctor, tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, doctor.sandbox.url) as gateway:
        http_address = gateway.http_address.removeprefix("http://")
        served = {"HFGATEWAY_GRPC_ADDRESS": gateway.address, "HFGATEWAY_HTTP_ADDRESS": http_address}
        proxied = {"http_proxy": f"http://{free_address()}", "no_proxy": "", "NO_PROXY": ""}
        found = await doctor(served | proxied)
        assert found["store"][0][0] == "ok"
        assert "in use by a running gateway" in found["store"][0][1]
        assert found["grpc"] == [("ok", f"{gateway.address} is served by a running gateway")]
        assert found["http"] == [("ok", f"{http_address} is served by a running gateway")]
        second = await doctor({"HFGATEWAY_GRPC_ADDRESS": (free := free_address())})  # its start is refused
        text = f"{free} is free: the gateway that runs on the store has other addresses"
        assert (second["grpc"], second["http"]) == ([("warning", text)], [("ok", "127.0.0.1:0 is free")])
        other = await doctor(served | {"HFGATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'other.db'}"})
        assert other["grpc"] == [("problem", f"{gateway.address} is served by a gateway with another store")]
        assert other["http"] == [("problem", f"{http_address} is served by a gateway with another store")]
        assert await gateway.terminate() == 0


async def test_the_credentials_of_each_account_are_checked(doctor: Doctor, tmp_path: Path) -> None:
    key, secret = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc=", "films:films-secret"
    variables = {"HFGATEWAY_ACCOUNTS_KEY": key}
    doctor.sandbox.state.accounts[secret] = doctor.sandbox.state.accounts["sandbox:sandbox"]
    (tmp_path / "films.key").write_text(secret)
    accepts = ("ok", "films: Higgsfield accepts the credentials")
    refuses = ("problem", "films: Higgsfield refuses the credentials")
    async with GatewayProcess(tmp_path, doctor.sandbox.url, accounts_key=key) as gateway:
        http_address = gateway.http_address.removeprefix("http://")
        served = {"HFGATEWAY_GRPC_ADDRESS": gateway.address, "HFGATEWAY_HTTP_ADDRESS": http_address} | variables
        given = environment(tmp_path, served)
        added = await run("accounts", "add", "films", "--file", str(tmp_path / "films.key"), environment=given)
        assert added.code == 0, added
        assert (await doctor(served))["accounts"] == [accepts]
        account = doctor.sandbox.state.accounts.pop(secret)
        assert (await doctor(served))["accounts"] == [refuses]
        # It is the next start that needs the settings.
        other = served | {"HFGATEWAY_ACCOUNTS_KEY": "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cyAgIDAxMjM0NTY="}
        (finding,) = (await doctor(other))["accounts"]
        assert finding == (
            "problem", "HFGATEWAY_ACCOUNTS_KEY: does not decrypt the credentials of the account films"
        )  # fmt: skip
        assert await gateway.terminate() == 0
    assert (await doctor(variables))["accounts"] == [refuses]
    elsewhere = {"HFGATEWAY_UPSTREAM_URL": f"http://{free_address()}"}
    (finding,) = (await doctor(variables | elsewhere))["accounts"]
    assert finding == ("warning", "films: Higgsfield does not answer")
    doctor.sandbox.state.accounts[secret] = account
    assert (await doctor(variables))["accounts"] == [accepts]
    (finding,) = (await doctor())["accounts"]
    assert finding == (
        "problem",
        "HFGATEWAY_ACCOUNTS_KEY: is required: the store has encrypted credentials of accounts",
    )


async def test_the_keys_of_the_issuer_are_fetched(doctor: Doctor) -> None:
    async with Issuer() as issuer:
        given = {
            "HFGATEWAY_AUTH": "keys",
            "HFGATEWAY_OIDC_ISSUER": issuer.url,
            "HFGATEWAY_OIDC_AUDIENCE": "hfgateway",
        }
        assert (await doctor(given))["issuer"] == [("ok", f"{issuer.url} sends its keys")]
        issuer.keys = {}
        assert (await doctor(given))["issuer"] == [("warning", f"{issuer.url} has no keys")]
        issuer.named = f"{issuer.url}/"
        why = f"its configuration names the issuer '{issuer.url}/'"
        expected = ("problem", f"the keys of {issuer.url} cannot be fetched: {why}")
        assert (await doctor(given))["issuer"] == [expected]
    refused = ("problem", f"the keys of {issuer.url} cannot be fetched: ClientConnectorError")
    assert (await doctor(given))["issuer"] == [refused]


@pytest.mark.toolchain("openssl")
async def test_an_issuer_whose_certificate_is_not_trusted_needs_its_authority(doctor: Doctor, tmp_path: Path) -> None:
    pair = Authority.made(tmp_path).signed("issuer")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        given = {
            "HFGATEWAY_UPSTREAM_URL": doctor.sandbox.url,
            "HFGATEWAY_AUTH": "keys",
            "HFGATEWAY_OIDC_ISSUER": "https://{}:{}".format(*server.sockets[0].getsockname()),
            "HFGATEWAY_OIDC_AUDIENCE": "hfgateway",
        }
        ended = await run("doctor", environment=environment(tmp_path, given))
    (line,) = [line for line in ended.out.splitlines() if line.startswith("problem  issuer ")]
    assert line.endswith(": set SSL_CERT_FILE to a PEM file with the authorities to trust")


async def test_the_libraries_of_traces_and_mcp_are_checked(doctor: Doctor) -> None:
    given = {"HFGATEWAY_TRACES": "otlp", "HFGATEWAY_MCP": "on"}
    found = await doctor(given)
    assert (found["traces"], found["mcp"]) == (
        [("ok", "their settings are valid")],
        [("ok", "its library is installed")],
    )
    ((status, text),) = (await doctor(given | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{SECRET}@localhost"}))[
        "traces"
    ]
    assert (status, text.split(":")[0]) == ("problem", "OTEL_EXPORTER_OTLP_ENDPOINT")
    found = await doctor(given, launcher=WITHOUT_LIBRARIES)
    assert found["traces"] == [("problem", f"HFGATEWAY_TRACES: {missing('traces')}")]
    assert found["mcp"] == [("problem", f"HFGATEWAY_MCP: {missing('mcp')}")]


@pytest.mark.parametrize("about", ["grpc", "http", "webhook", "admin"])
async def test_a_port_used_by_another_program_is_a_problem(doctor: Doctor, about: str) -> None:
    address = doctor.sandbox.url.removeprefix("http://")
    public = {"HFGATEWAY_PUBLIC_URL": "https://gateway.example"}
    found = await doctor({f"HFGATEWAY_{about.upper()}_ADDRESS": address} | public)
    assert found[about][0][0] == "problem"
    assert address in found[about][0][1]


@pytest.mark.toolchain("openssl")
async def test_a_certificate_that_other_replicas_refuse_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    served = Authority.made(tmp_path).signed("gateway", hosts="DNS:gateway.example")
    given = {
        "HFGATEWAY_TLS_CERT": str(served.cert),
        "HFGATEWAY_TLS_KEY": str(served.key),
        "HFGATEWAY_STORE_URL": f"postgresql://gateway@{free_address()}/gateway",
    }
    _, (status, text) = (await doctor(given))["tls"]
    assert status == "warning"
    assert "127.0.0.1" in text
    named = given | {"HFGATEWAY_REPLICA_ADDRESS": "gateway.example:50051"}
    assert [status for status, _ in (await doctor(named))["tls"]] == ["ok"]


@pytest.mark.toolchain("openssl")
async def test_a_certificate_that_other_replicas_may_not_present_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    """With a client CA, a replica presents its own certificate to the leader."""
    other = Authority.made(tmp_path, "other")
    authority = Authority.made(tmp_path, "root").intermediate("authority")
    served = authority.signed("gateway")
    given = {
        "HFGATEWAY_TLS_CERT": str(served.cert),
        "HFGATEWAY_TLS_KEY": str(served.key),
        "HFGATEWAY_TLS_CLIENT_CA": str(other.cert),
    }
    replica = {"HFGATEWAY_STORE_URL": f"postgresql://gateway@{free_address()}/gateway"}
    _, (status, text) = (await doctor(given | replica))["tls"]
    assert status == "warning"
    assert text.startswith("other replicas, if there are any, may not connect with the certificate: ")
    own = {"HFGATEWAY_TLS_CLIENT_CA": str(authority.cert)}
    for settings in (given, given | own | replica):
        assert [status for status, _ in (await doctor(settings))["tls"]] == ["ok"]


@pytest.mark.toolchain("openssl")
async def test_a_certificate_is_reported_with_its_remaining_days(doctor: Doctor, tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    for days, ahead, status, text in [
        (90, 0, "ok", "is valid for 90 days"),
        (3, 0, "warning", "is valid for 3 days"),
        (-1, 0, "problem", "has expired 1 day ago"),
        (90, -3, "problem", "is not valid yet: it becomes valid in 3 days"),
    ]:
        pair = authority.signed(f"for{days}", days)
        named = {"HFGATEWAY_TLS_CERT": str(pair.cert), "HFGATEWAY_TLS_KEY": str(pair.key)}
        assert (await doctor(named | {AHEAD: str(ahead * 86_400)}))["tls"] == [(status, f"the certificate {text}")]


@pytest.mark.toolchain("openssl")
async def test_a_key_that_no_client_or_grpc_can_use_is_named(doctor: Doctor, tmp_path: Path) -> None:
    pair = Authority.made(tmp_path).signed("gateway", kind="secp256k1")
    given = {"HFGATEWAY_TLS_CERT": str(pair.cert), "HFGATEWAY_TLS_KEY": str(pair.key)}
    found = await doctor(given)
    assert found["tls"][0][0] == "problem"
    refused = await run("serve", environment=environment(tmp_path, given))
    assert refused.code == 2
    assert "HFGATEWAY_TLS_KEY: gRPC cannot use this key" in refused.err
    assert "in use" not in refused.err


async def test_an_address_that_this_machine_does_not_have_is_not_called_used(doctor: Doctor, tmp_path: Path) -> None:
    given = {"HFGATEWAY_GRPC_ADDRESS": "192.0.2.1:50051", "HFGATEWAY_AUTH": "keys"}
    found = await doctor(given)
    assert found["grpc"][0][0] == "problem"
    ended = await run("doctor", environment=environment(tmp_path, given))
    assert "192.0.2.1:50051 cannot be used" in ended.out
    assert "other program" not in ended.out
    assert "it speaks TLS" not in ended.out


@pytest.mark.toolchain("openssl")
async def test_a_running_gateway_with_tls_is_recognised_by_its_certificate(doctor: Doctor, tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    pair, other = authority.signed("gateway"), authority.signed("other")
    pair.cert.write_bytes(b"# M\xfcller AG, a comment that is not UTF-8\n" + pair.cert.read_bytes())
    files = {"tls_cert": str(pair.cert), "tls_key": str(pair.key), "tls_client_ca": str(authority.cert)}
    async with GatewayProcess(tmp_path, doctor.sandbox.url, **files) as gateway:
        given = {
            "HFGATEWAY_GRPC_ADDRESS": gateway.address,
            "HFGATEWAY_HTTP_ADDRESS": gateway.http_address.removeprefix("https://"),
        }
        for shown, status in ((pair, "ok"), (other, "problem")):
            tls = {"HFGATEWAY_TLS_CERT": str(shown.cert), "HFGATEWAY_TLS_KEY": str(shown.key)}
            found = await doctor(given | tls)
            assert [found[about][0][0] for about in ("grpc", "http")] == [status, status]
        ended = await run("doctor", environment=environment(tmp_path, given))
        assert ended.out.count("it speaks TLS: if it is the gateway, run doctor with its settings") == 2
