"""A refused start: exit code 2, one line that names the setting, no traceback, no secret, and no changes.

Each start is a separate process, as an operator would see it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.cli import exit_codes
from gateway.higgsfield.credentials import read_credentials
from gateway.process import listening
from gateway.process.app import Gateway
from gateway.process.listening import listen, reachable_at
from gateway.process.opening import open_store
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.settings.config import SettingError, default_store, read_settings, settings_table
from gateway.settings.values import Address
from gateway.store.sqlite import files
from gateway.store.sqlite.files import StoreFileError
from gateway.store.sqlite.store import SqliteStore
from tests.app.certificates import Authority
from tests.app.command import CONFINED, FRESH, NO_ROOM, ROOT, WAIT_TIMEOUT, Finished, environment, run
from tests.contract.store import examples
from tests.durability.process import GatewayProcess
from tests.support.imports import imported
from tests.support.namespaces import first_process

SECRET = "swordfish"
WRONG = {
    "GRPC_ADDRESS": ["50051", "127.0.0.1:", ":50051", "127.0.0.1:65536"],
    "HTTP_ADDRESS": ["localhost:http", "localhost", "[::1:8080"],
    "UPSTREAM_URL": [
        f"https://user:{SECRET}@api.example.invalid", f"https://:{SECRET}@api.example.invalid",
        f"https://api.example.invalid/?key={SECRET}", f"https://api.example.invalid#{SECRET}",
        "http://api.example.invalid", "https://api.example.invalid/v1", "ftp://api.example.invalid", "https://",
        "https://api.example.invalid:99999", "https://api..example.invalid", f"https://{'a' * 64}.example.invalid",
        "https://api.example.invalid:port", "https://[::1", "https://a b",
        f"https://user:{SECRET}@api\u2100.example.invalid",
    ],
    "UPSTREAM_IDEMPOTENCY": ["yes", "V2"],
    "UPSTREAM_IDEMPOTENCY_WINDOW": ["-1", "soon", "15 m"],
    "PRICES": ["bytedance", "bytedance/=-1", "bytedance/=1.0000001", "*=5", f"{SECRET}==5", "a=1,b=2 a=3"],
    "PRICE_CACHE": ["-1", "soon"],
    "UNKNOWN_PRICE": ["free"],
    "UPSTREAM_TIMEOUT": ["0", "nan", "inf", "1e3", "1w", "36501d", "9" * 400],
    "UPSTREAM_CONCURRENCY": ["-1", "1.5", SECRET, "9" * 5000],
    "STORE_URL": [
        f"postgresql://gateway:{SECRET}@2@db.example.invalid/gateway",
        f"postgres://gateway:{SECRET}/2@db.example.invalid", f"postgresql://gateway:{SECRET}#@db.example.invalid",
        f"postgresql://db.example.invalid/gateway#{SECRET}", "store.db", "sqlite:store.db", "sqlite:///",
        f"postgresql://gateway:{SECRET}%zz@db.example.invalid", f"postgresql://gateway:{SECRET}%00@db.example.invalid",
        f"postgresql://gateway:{SECRET}%E9@db.example.invalid", f"postgresql://gateway:{SECRET}\udce9@db.example.invalid",
        f"postgresql://gateway:{SECRET}?2@db.example.invalid/gateway", f"postgresql://gateway:{SECRET}@[::1/gateway",
        "mysql://db.example.invalid",
    ],
    "ACCOUNTS_KEY": [SECRET, f"{SECRET},", "A" * 44],
    "ACCOUNTS_KEY_FILE": ["no-such-file.key"],
    "STORE_CONNECTIONS": ["0", "2", "-1", "many"],
    "PUBLIC_URL": [
        "gateway.example.invalid", "ftp://gateway.example.invalid", f"https://user:{SECRET}@gateway.example.invalid",
        "https://gateway.example.invalid?x=1", "https://[1:2:3]", "https://gateway.example.invalid/#part",
        "https://gateway.example.invalid/a\tb",
    ],
    "ADMIN_ADDRESS": ["50052", "nowhere"],
    "AUDIT": ["yes", "input"],
    "REPLICA_ADDRESS": ["50051", "127.0.0.1:50051"],
    "WEBHOOK_ADDRESS": ["127.0.0.1:8081", "nowhere"],
    "WEBHOOK_SECRET": [f"whsec_{SECRET}", SECRET],
    "CALLBACK_NETWORKS": ["example.invalid", "10.0.0.1/8", "10.0.0.0/33", f"10.0.0.0/8 {SECRET}"],
    "CALLBACK_PORTS": ["https", "0", "65536", "-1", "443-445"],
    "POLL_MIN": ["0", "31", "fast"],
    "POLL_MAX": ["never", "0"],
    "UNCERTAIN_TIMEOUT": ["0", "a day"],
    "RETENTION": ["0", "59m", "forever"],
    "AUTH": ["no", "Keys"],
    "TLS_CERT": ["no-such-file.pem"],
    "TLS_KEY": [
        "no-such-file.key", f"-----BEGIN PRIVATE KEY-----\n{SECRET}{'x' * 300}\n-----END PRIVATE KEY-----",
        f"{SECRET}{'/x' * 3000}",
    ],
    "TLS_CLIENT_CA": ["no-such-file.pem"],
    "DRAIN": ["-5", "1y"],
    "ALLOWED_ORIGINS": [
        "*", "https://*.example.com", "app.example.com", "https://app.example.com/page", "https://App.example.com",
        "https://app.example.com:443", "http://app.example.com:80", "https://bücher.example", "https://a@b.example",
        "https://app.example.com?", "https://app.example.com#",
    ],
    "MCP": ["yes", "On"],
    "ARCHIVE_URL": [
        "ftp://files", "file://relative/folder", "file:///a/../b", "file:///a?b", "s3://", "s3://B", "s3://bucket/../up",
        "s3://bucket/a//b", "s3://user:swordfish@bucket", "/folder",
    ],
    "ARCHIVE_PUBLIC_URL": ["files.example.com", "https://files.example.com/?x", "https://user:swordfish@files.example.com"],
    "ARCHIVE_BANDWIDTH": ["fast", "-1", "1.5"],
    "ARCHIVE_CONCURRENCY": ["0", "many", "9" * 20], "ARCHIVE_LARGEST": ["0", "1G", f"{10**15 + 1}"],
    "OIDC_ISSUER": ["login.example.com", "http://login.example.com", "https://login.example.com"],
    "OIDC_AUDIENCE": ["two words"],
    "OIDC_TENANT_CLAIM": ["two words"],
    "OIDC_SCOPE_CLAIM": ["two words"],
    "FORWARD_HEADERS": ["Authorization", "x-team, cookie", "grpc-timeout", "two words!", "hf-expires-after"],
    "TRACES": ["on"],
    "LOG_FORMAT": ["xml"],
    "LOG_LEVEL": ["loud", "INFO"],
}  # fmt: skip
"""Values that each setting refuses. A process is started with the first of each; all are passed to `read_settings`."""


def the_line(ended: Finished) -> str:
    """Check a refused start, and return its one line."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert SECRET not in ended.err
    lines = ended.err.splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


async def refusal(folder: Path, variables: Mapping[str, str], *arguments: str, launcher: str = "") -> str:
    """Return the line of a start that is refused with these variables."""
    given = environment(folder, variables)
    return the_line(await run("serve", *arguments, environment=given, launcher=launcher))


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in the folder."""
    return [path.name for path in folder.iterdir()]


def names_of(line: str) -> str:
    """Return the subject of a line: the part before its first colon."""
    return line.partition(":")[0]


@pytest.mark.parametrize(
    ("host", "name", "reached"),
    [
        ("0.0.0.0", "10.1.2.3", "10.1.2.3"),
        ("::", "10.1.2.3", "10.1.2.3"),
        ("::", "fd00::5", "fd00::5"),
        ("0.0.0.0", "fd00::5", "0.0.0.0"),
        ("10.1.2.4", "10.1.2.3", "10.1.2.4"),
    ],
)
def test_a_port_on_every_address_is_reached_at_the_host_name(
    monkeypatch: pytest.MonkeyPatch, host: str, name: str, reached: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert reachable_at(host, 50051) == Address(reached, 50051)


def test_the_text_of_the_settings_has_no_secrets() -> None:
    key, secret = "A" * 43 + "=", "whsec_" + "B" * 32
    store = f"postgresql://gateway:{SECRET}@db.example.invalid/store?password={SECRET}"
    public = "https://gateway.example.invalid"
    given = {"ACCOUNTS_KEY": key, "WEBHOOK_SECRET": secret, "STORE_URL": store, "PUBLIC_URL": public}
    settings = read_settings({f"HFGATEWAY_{name}": text for name, text in given.items()})
    assert (settings.accounts_keys, settings.webhook_secrets) == ((key,), (secret,))
    assert not [hidden for hidden in (key, secret, SECRET) if hidden in repr(settings)]


async def test_a_postgresql_store_needs_its_library_and_keeps_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://gateway:{SECRET}@db.example.invalid:5433,other.example.invalid/store?password={SECRET}"
    settings = read_settings({"HFGATEWAY_STORE_URL": url})
    assert str(settings.store) == "postgresql://gateway@db.example.invalid:5433,other.example.invalid/store"
    for name in [name for name in sys.modules if name.startswith("gateway.store.postgres.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingError, match=r"HFGATEWAY_STORE_URL: needs the extra postgresql"):
        await open_store(settings, lambda error: None)


def test_every_setting_has_wrong_values() -> None:
    assert {f"HFGATEWAY_{name}" for name in WRONG} == {name for name, *_ in settings_table()}


@pytest.mark.parametrize("name", WRONG)
def test_every_wrong_value_is_refused_by_name_without_the_value(name: str) -> None:
    for value in WRONG[name]:
        with pytest.raises(SettingError) as refused:
            read_settings({f"HFGATEWAY_{name}": value})
        assert str(refused.value).startswith(f"HFGATEWAY_{name}: "), value
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["https://a.test,https://b.test/", "https://a.test https://b.test", " https://a.test , https://b.test"]
)
def test_origins_are_separated_by_commas_or_spaces(text: str) -> None:
    assert read_settings({"HFGATEWAY_ALLOWED_ORIGINS": text}).allowed_origins == ("https://a.test", "https://b.test")


@pytest.mark.parametrize("name", WRONG)
def test_an_empty_setting_has_its_default(name: str) -> None:
    """Files of environment variables often name a setting without a value."""
    for text in ("", " "):
        assert read_settings({f"HFGATEWAY_{name}": text}) == read_settings({})


def test_the_limits_of_settings_are_inclusive() -> None:
    price = "999999999.999999"
    given = {
        "GRPC_ADDRESS": "127.0.0.1:65535", "CALLBACK_PORTS": "1,65535", "PUBLIC_URL": "https://g.test:65535",
        "WEBHOOK_SECRET": "whsec_AAAAAAAAAAAAAAAAAAAAAA==", "DRAIN": "36500d", "PRICES": f"a={price}",
        "RETENTION": "1h",
    }  # fmt: skip
    settings = read_settings({f"HFGATEWAY_{name}": text for name, text in given.items()})
    assert settings.grpc_address.port == 65535
    assert settings.callback_ports == (1, 65535)
    assert settings.public_url == "https://g.test:65535"
    assert settings.webhook_secrets == (given["WEBHOOK_SECRET"],)
    assert settings.drain == 36_500 * 86_400
    assert settings.retention == 3600
    assert settings.prices == {"a": Decimal(price)}


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("HFGATEWAY_DRAIN = 5\nHFGATEWAY_POLL_MAX = '7s'")
    settings = read_settings({"HFGATEWAY_DRAIN": "6"}, file)
    assert (settings.drain, settings.poll_max) == (6.0, 7.0)


def test_the_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("HFGATEWAY_DRAIN = 5", encoding="utf-8-sig")
    assert read_settings({}, file).drain == 5.0


def test_an_empty_variable_does_not_override_the_file(tmp_path: Path) -> None:
    """Such as one that a compose file names and the machine does not set."""
    file = tmp_path / "gateway.toml"
    file.write_text("HFGATEWAY_AUTH = 'keys'\nHFGATEWAY_STORE_URL = 'sqlite:////srv/gateway.db'")
    for text in ("", " "):
        settings = read_settings({"HFGATEWAY_AUTH": text, "HFGATEWAY_STORE_URL": text}, file)
        assert (settings.auth, settings.store) == ("keys", Path("/srv/gateway.db"))


def test_two_sources_of_the_encryption_key_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "gateway.key"
    file.touch()
    both = {"HFGATEWAY_ACCOUNTS_KEY": "A" * 43 + "=", "HFGATEWAY_ACCOUNTS_KEY_FILE": str(file)}
    with pytest.raises(SettingError, match="HFGATEWAY_ACCOUNTS_KEY_FILE: is set as well as ACCOUNTS_KEY"):
        read_settings(both)


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:0"])
def test_a_replica_address_to_which_no_replica_can_connect_is_refused(address: str) -> None:
    values = {"HFGATEWAY_STORE_URL": "postgresql://gateway@db.example.invalid/store"}
    assert str(read_settings(values | {"HFGATEWAY_REPLICA_ADDRESS": "10.0.0.1:1"}).replica_address) == "10.0.0.1:1"
    with pytest.raises(SettingError, match="HFGATEWAY_REPLICA_ADDRESS: must have a host and a port"):
        read_settings(values | {"HFGATEWAY_REPLICA_ADDRESS": address})


@pytest.mark.parametrize(
    ("one", "other"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "[::]"), ("[::]", "127.0.0.1"), ("10.0.0.1", "0.0.0.0")],
)
def test_two_ports_at_one_address_are_refused(one: str, other: str) -> None:
    """Doctor takes both for free, and the start would name one of them as in use."""
    same = {"HFGATEWAY_GRPC_ADDRESS": f"{one}:50051", "HFGATEWAY_ADMIN_ADDRESS": f"{other}:50051"}
    with pytest.raises(SettingError, match="HFGATEWAY_ADMIN_ADDRESS: has the port of GRPC_ADDRESS"):
        read_settings(same)


def test_one_port_at_two_addresses_is_accepted() -> None:
    for one, other in (("127.0.0.1", "[::1]"), ("0.0.0.0", "[::1]"), ("10.0.0.1", "10.0.0.2")):
        read_settings({"HFGATEWAY_GRPC_ADDRESS": f"{one}:50051", "HFGATEWAY_ADMIN_ADDRESS": f"{other}:50051"})
    free = {"HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0", "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0"}
    assert {address.port for address in read_settings(free).listen_addresses.values()} == {0}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"OIDC_AUDIENCE": "hfgateway"}, "OIDC_AUDIENCE: needs OIDC_ISSUER"),
        ({"OIDC_ISSUER": "https://login.example.com", "AUTH": "keys"}, "OIDC_AUDIENCE: is missing"),
        ({"WEBHOOK_SECRET": "whsec_AAAAAAAAAAAAAAAAAAAAAA=="}, "WEBHOOK_SECRET: needs PUBLIC_URL"),
        ({"ARCHIVE_PUBLIC_URL": "https://files.example.com"}, "ARCHIVE_PUBLIC_URL: needs ARCHIVE_URL"),
    ],
)
def test_a_setting_without_the_one_that_it_needs_is_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(SettingError, match=f"HFGATEWAY_{why}"):
        read_settings({f"HFGATEWAY_{name}": text for name, text in given.items()})


def test_an_issuer_without_tls_is_accepted_on_this_machine_only() -> None:
    others = {"HFGATEWAY_AUTH": "keys", "HFGATEWAY_OIDC_AUDIENCE": "hfgateway"}
    local = read_settings(others | {"HFGATEWAY_OIDC_ISSUER": "http://127.0.0.1:9000/realm/"})
    assert local.oidc_issuer == "http://127.0.0.1:9000/realm/"
    with pytest.raises(SettingError, match="HFGATEWAY_OIDC_ISSUER: must be https"):
        read_settings(others | {"HFGATEWAY_OIDC_ISSUER": "http://login.example.com"})


def test_a_negative_time_is_refused_because_of_its_sign() -> None:
    for text in ("-1", "-1.5h"):
        with pytest.raises(SettingError, match="HFGATEWAY_DRAIN: must be 0 or more"):
            read_settings({"HFGATEWAY_DRAIN": text})


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_setting_refuses_the_start(name: str, tmp_path: Path) -> None:
    setting = f"HFGATEWAY_{name}"
    assert names_of(await refusal(tmp_path, {setting: WRONG[name][0]})) == setting
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["GRPC_ADDRESS", "HTTP_ADDRESS"])
@pytest.mark.parametrize("address", ["0.0.0.0:50053", "[::]:50053", "192.0.2.1:1"])
def test_a_non_loopback_address_requires_keys(name: str, address: str) -> None:
    assert read_settings({f"HFGATEWAY_{name}": address}).auth == "keys"
    with pytest.raises(SettingError, match=f"HFGATEWAY_{name}: is not a loopback address"):
        read_settings({f"HFGATEWAY_{name}": address, "HFGATEWAY_AUTH": "none"})


@pytest.mark.parametrize("address", ["localhost:50051", "127.0.0.2:50051", "[::1]:50051"])
def test_a_loopback_address_needs_no_keys_and_is_shown_as_it_is_given(address: str) -> None:
    settings = read_settings({"HFGATEWAY_GRPC_ADDRESS": address})
    assert settings.auth == "none"
    assert str(settings.grpc_address) == address


def test_keys_are_optional_on_loopback_addresses() -> None:
    assert read_settings({}).auth == "none"
    assert read_settings({"HFGATEWAY_AUTH": "keys"}).auth == "keys"


async def test_an_unknown_failpoint_refuses_the_start(tmp_path: Path) -> None:
    assert names_of(await refusal(tmp_path, {"HFGATEWAY_FAILPOINT": "before clam"})) == "HFGATEWAY_FAILPOINT"
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example.invalid", "https://127.0.0.1", "https://localhost", "https://10.0.0.1",
        "https://gateway.local", "https://gateway.internal",
    ],
)  # fmt: skip
async def test_webhooks_of_the_real_higgsfield_need_a_public_https_url(tmp_path: Path, url: str) -> None:
    settings = {"HFGATEWAY_PUBLIC_URL": url, "HFGATEWAY_UPSTREAM_URL": "https://api.example.invalid"}
    assert "HFGATEWAY_PUBLIC_URL" in await refusal(tmp_path, settings)


CREDENTIALS = {
    "none": ({}, "HF_KEY"),
    "a key without its secret": ({"HF_KEY": f"{SECRET}:"}, "HF_KEY"),
    "a secret without its key": ({"HF_KEY": f":{SECRET}"}, "HF_KEY"),
    "no colon": ({"HF_CREDENTIALS": SECRET}, "HF_CREDENTIALS"),
    "quotes, which Docker's --env-file keeps": ({"HF_KEY": f'"id:{SECRET}"'}, "HF_KEY"),
    "single quotes": ({"HF_KEY": f"'id:{SECRET}'"}, "HF_KEY"),
    "control characters": ({"HF_KEY": f"id:{SECRET}\n"  "more"}, "HF_KEY"),
    "not ASCII": ({"HF_CREDENTIALS": f"id:{SECRET}é"}, "HF_CREDENTIALS"),
    "only the key id": ({"HF_API_KEY": "id"}, "HF_API_KEY"),
    "only the secret": ({"HF_API_SECRET": SECRET}, "HF_API_SECRET"),
    "only the secret by its other name": ({"HF_SECRET": SECRET}, "HF_SECRET"),
    "two forms that differ": (
        {"HF_KEY": f"id:{SECRET}", "HF_CREDENTIALS": f"id:{SECRET}2"}, "HF_KEY and HF_CREDENTIALS",
    ),
    "one and two parts that differ": (
        {"HF_KEY": f"id:{SECRET}", "HF_API_KEY": "id2", "HF_API_SECRET": SECRET},
        "HF_KEY and HF_API_KEY and HF_API_SECRET",
    ),
    "two secrets": (
        {"HF_API_KEY": "id", "HF_API_SECRET": SECRET, "HF_SECRET": f"{SECRET}2"},
        "HF_API_KEY and HF_API_SECRET and HF_API_KEY and HF_SECRET",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CREDENTIALS)
async def test_unusable_credentials_refuse_the_start(case: str, tmp_path: Path) -> None:
    variables, names = CREDENTIALS[case]
    assert names_of(await refusal(tmp_path, {"HF_KEY": "", **variables})) == names
    assert names_in(tmp_path) == []


TOML = {
    "not TOML": ("HFGATEWAY_DRAIN = ", "settings file"),
    "a name that is no setting": ("HFGATEWAY_DRIAN = 5", "HFGATEWAY_DRIAN"),
    "credentials, which are not allowed": (f"HF_KEY = 'id:{SECRET}'", "HF_KEY"),
    "a table": ("[HFGATEWAY_DRAIN]\nseconds = 5", "HFGATEWAY_DRAIN"),
    "a switch": ("HFGATEWAY_DRAIN = true", "HFGATEWAY_DRAIN"),
    "a wrong value": ("HFGATEWAY_DRAIN = -1", "HFGATEWAY_DRAIN"),
    "a name of two lines": ('"HFGATEWAY_DRAIN\\nHFGATEWAY" = 1', "HFGATEWAY_DRAIN HFGATEWAY"),
    "no file": (None, "settings file"),
}


@pytest.mark.parametrize("case", TOML)
async def test_an_invalid_settings_file_refuses_the_start(case: str, tmp_path: Path) -> None:
    content, name = TOML[case]
    file = tmp_path / "gateway.toml"
    if content is not None:
        file.write_text(content)
    line = await refusal(tmp_path, {}, "--config", str(file))
    assert names_of(line) == name
    if name == "settings file":
        assert f"settings file: {file}: " in line


async def test_a_settings_file_is_utf_8_in_every_locale(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("# für die Küche\nHFGATEWAY_DRIAN = 5", encoding="utf-8")
    in_ascii = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    line = await refusal(tmp_path, in_ascii, "--config", str(file), launcher=FRESH)
    assert names_of(line) == "HFGATEWAY_DRIAN"


async def test_all_commands_read_the_settings_file_of_the_environment(tmp_path: Path) -> None:
    file, store = tmp_path / "gateway.toml", tmp_path / "its.db"
    file.write_text(f"HFGATEWAY_STORE_URL = 'sqlite:///{store}'")
    given = environment(tmp_path, {"HFGATEWAY_CONFIG": str(file), "HFGATEWAY_STORE_URL": ""})
    served = await run("serve", environment=given)
    assert "hfgateway: gRPC on" in served.out
    assert "HFGATEWAY_CONFIG" not in served.err
    assert f"no gateway runs on the store {store}\n" in (await run("keys", "list", environment=given)).err
    copied = await run("backup", str(tmp_path / "copy.db"), environment=given)
    assert (copied.code, copied.err) == (0, "")
    assert copied.out == f"{tmp_path / 'copy.db'}: backup of {store}\n"
    file.write_text("HFGATEWAY_DRIAN = 5")
    refused = await run("migrate", environment=given)
    assert refused.code == exit_codes.USAGE
    assert "HFGATEWAY_DRIAN: is not a setting" in refused.err


@pytest.mark.parametrize("name", ["HFGATEWAY_GRPC_ADDRESS", "HFGATEWAY_HTTP_ADDRESS"])
async def test_a_port_in_use_refuses_the_start(name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = await refusal(tmp_path, {name: address})
    assert names_of(line) == name
    assert address in line


def test_a_host_name_with_an_ipv6_address_only_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **options: look_up("::1", port, **options))
    with listen("HTTP_ADDRESS", Address("gateway.invalid", 0)) as bound:
        assert bound.getsockname()[0] == "::1"


def test_a_port_that_another_process_takes_meanwhile_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        monkeypatch.setattr(listening, "_detect_dead_clients", lambda _: other.listen())
        with pytest.raises(SettingError, match=r"HFGATEWAY_HTTP_ADDRESS: .* cannot be used \(Address already in use\)"):
            listen("HTTP_ADDRESS", Address(*other.getsockname()))


async def test_a_host_that_is_no_name_refuses_the_start(tmp_path: Path) -> None:
    address = "bücher..example:0"
    given = {"HFGATEWAY_HTTP_ADDRESS": address, "HFGATEWAY_AUTH": "keys", "HFGATEWAY_LOG_LEVEL": "error"}
    line = await refusal(tmp_path, given)
    assert line == f"HFGATEWAY_HTTP_ADDRESS: {address} cannot be used (no name in DNS)"


@pytest.mark.toolchain("openssl")
async def test_unusable_tls_files_refuse_the_start(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    pair, other = authority.signed("gateway"), authority.signed("other")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text(f"-----BEGIN CERTIFICATE-----\n{SECRET}\n-----END CERTIFICATE-----\n")
    unreadable = tmp_path / "unreadable.key"
    unreadable.write_bytes(pair.key.read_bytes())
    unreadable.chmod(0)
    cert, key, client_ca = "HFGATEWAY_TLS_CERT", "HFGATEWAY_TLS_KEY", "HFGATEWAY_TLS_CLIENT_CA"
    good = {cert: str(pair.cert), key: str(pair.key), client_ca: str(authority.cert)}
    for changed, name in [
        ({cert: ""}, cert),
        ({key: ""}, key),
        ({cert: "", key: ""}, client_ca),
        ({cert: str(garbage)}, cert),
        ({key: str(garbage)}, key),
        ({key: str(other.key)}, key),
        ({key: str(unreadable)}, key),
        ({client_ca: str(garbage)}, client_ca),
    ]:
        launcher = CONFINED if str(unreadable) in changed.values() else ""
        assert names_of(await refusal(tmp_path, good | changed, launcher=launcher)) == name, changed


@pytest.mark.toolchain("openssl")
async def test_a_key_that_is_too_short_is_called_so(tmp_path: Path) -> None:
    pair = Authority.made(tmp_path).signed("short", kind="rsa:1024")
    line = await refusal(tmp_path, {"HFGATEWAY_TLS_CERT": str(pair.cert), "HFGATEWAY_TLS_KEY": str(pair.key)})
    assert line.endswith("HFGATEWAY_TLS_KEY: cannot be used with TLS_CERT: EE_KEY_TOO_SMALL")


@contextmanager
def unchanged(file: Path) -> Iterator[None]:
    """Fail if the block changes the file, or creates a file that SQLite would read as a part of it."""
    before = file.read_bytes()
    yield
    assert file.read_bytes() == before
    assert not any(Path(f"{file}{end}").exists() for end in ("-wal", "-shm", "-journal"))


async def filled(file: Path) -> None:
    """Create a store with several pages."""
    store = SqliteStore(file, lambda error: None)
    for _ in range(20):
        await store.claims.claim(examples.claim(input=os.urandom(2_000)))
    await store.close()


async def store_refusal(file: Path, launcher: str = "") -> str:
    """Return the line of a start that refuses this store, without the setting."""
    line = await refusal(file.parent, {"HFGATEWAY_STORE_URL": f"sqlite:///{file}"}, launcher=launcher)
    name, _, rest = line.partition(": ")
    assert name == "HFGATEWAY_STORE_URL"
    assert str(file) in rest
    return rest


def garbage(file: Path) -> None:
    file.write_bytes(b"no database at all, " * 1_000)


def short(file: Path) -> None:
    file.write_text("hello\n")


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def flipped(file: Path) -> None:
    """Invert the first bytes of a page in the middle."""
    content = bytearray(file.read_bytes())
    page = len(content) // 4096 // 2 * 4096
    content[page : page + 64] = bytes(255 - byte for byte in content[page : page + 64])
    file.write_bytes(content)


@pytest.mark.parametrize("spoil", [garbage, short, cut, flipped])
async def test_a_corrupt_store_is_refused_unchanged(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    spoil(file)
    with unchanged(file):
        assert "corrupt" in await store_refusal(file)


async def test_a_large_store_is_opened_without_reading_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    flipped(file)
    monkeypatch.setattr(files, "MAX_CHECKED_BYTES", file.stat().st_size)
    with pytest.raises(StoreFileError, match="is corrupt"):
        files.prepare(file)
    monkeypatch.setattr(files, "MAX_CHECKED_BYTES", file.stat().st_size - 1)
    files.prepare(file).close()
    with pytest.raises(StoreFileError, match="is corrupt"):
        files.examine(file, "integrity_check")


@pytest.mark.parametrize("journal", ["delete", "wal"])
async def test_the_database_of_another_program_is_refused_unchanged(journal: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    theirs = sqlite3.connect(file, isolation_level=None)
    theirs.execute(f"PRAGMA journal_mode={journal}")
    theirs.execute("CREATE TABLE notes (content TEXT)")
    theirs.close()
    with unchanged(file):
        assert "is not a store of this gateway" in await store_refusal(file)


async def test_a_store_of_a_newer_gateway_is_refused_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    newer = sqlite3.connect(file, isolation_level=None)
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with unchanged(file):
        assert "newer" in await store_refusal(file)


async def test_a_store_in_use_is_refused(tmp_path: Path) -> None:
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9"):
        assert "in use by another gateway" in await store_refusal(tmp_path / "store.db")


async def test_a_store_locked_by_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    assert "locked by another program" in await store_refusal(file)
    other.close()


async def test_a_read_only_store_is_refused_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    file.chmod(0o444)
    with unchanged(file):
        assert "cannot write it" in await store_refusal(file, CONFINED)


@pytest.mark.parametrize("mode", [0o000, 0o400])
@pytest.mark.parametrize("beside", [".mark", ".lock", "-wal"])
async def test_a_file_beside_the_store_that_another_user_owns_is_named(tmp_path: Path, beside: str, mode: int) -> None:
    """A command of root made it. A declaration of the store is no remedy: it would hold or repeat submissions."""
    store = tmp_path / "store.db"
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9") as gateway:
        assert await gateway.terminate() == 0
    file = Path(f"{store}{beside}")
    file.touch()
    file.chmod(mode)
    line = await store_refusal(store, CONFINED)
    assert line.startswith(f"{file}: ")
    assert "let the gateway's user read and write" in line
    assert "migrate" not in line


async def test_a_store_in_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    in_a_file = tmp_path / "file"
    in_a_file.touch()
    for folder, launcher in ((closed, CONFINED), (in_a_file, ""), (tmp_path / "missing", "")):
        assert "folder cannot be written" in await store_refusal(folder / "store.db", launcher)
    (tmp_path / "folder").mkdir()
    assert "is a folder" in await store_refusal(tmp_path / "folder")


def overwritten(file: Path) -> None:
    """Overwrite a row's text with invalid JSON, which SQLite does not notice."""
    content = file.read_bytes()
    assert b'{"s":1,' in content
    file.write_bytes(content.replace(b'{"s":1,', b"{'s':1,"))


def undecodable(file: Path) -> None:
    """Overwrite a row's text with invalid UTF-8."""
    file.write_bytes(file.read_bytes().replace(b'{"s":1,', b'{"s\xff:1,'))


@pytest.mark.parametrize("spoil", [overwritten, undecodable])
async def test_a_store_with_an_unreadable_row_is_refused(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    await filled(file)
    spoil(file)
    assert "cannot be read" in await store_refusal(file)


async def test_a_disk_without_space_for_a_store_refuses_the_start(tmp_path: Path) -> None:
    line = await refusal(tmp_path, {}, launcher=NO_ROOM)
    assert names_of(line) == "HFGATEWAY_STORE_URL"
    assert "the disk may be full" in line


async def test_a_folder_whose_path_is_too_long_for_sockets_refuses_the_start(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    assert names_of(await refusal(tmp_path, {"TMPDIR": str(folder)})) == "TMPDIR"


async def test_a_folder_without_permission_is_no_readable_file(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0)
    line = await refusal(tmp_path, {"HFGATEWAY_TLS_KEY": str(closed / "tls.key")}, launcher=CONFINED)
    assert names_of(line) == "HFGATEWAY_TLS_KEY"


async def test_a_refused_start_leaves_no_task_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = environment(tmp_path, {"HFGATEWAY_GRPC_ADDRESS": f"127.0.0.1:{taken.getsockname()[1]}"})
        before = asyncio.all_tasks()
        for _ in range(2):  # the second start finds the store unlocked
            with pytest.raises(SettingError):
                await Gateway(read_settings(given), read_credentials(given)).start()
            assert asyncio.all_tasks() == before


async def test_unknown_settings_are_only_warned_of(tmp_path: Path) -> None:
    given = environment(tmp_path, {"HFGATEWAY_SERVICE_HOST": SECRET, "HFGATEWAY_LOG_FORMAT": "json"})
    ended = await run("serve", environment=given)
    assert ended.out.count("hfgateway: gRPC on ") == 1
    lines = [json.loads(line) for line in ended.err.splitlines()]
    (warning,) = (line for line in lines if line["logger"] == "gateway.process.app")
    assert warning["level"] == "warning"
    assert "HFGATEWAY_SERVICE_HOST" in warning["message"]
    assert SECRET not in ended.err


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    given = {"HFGATEWAY_DRIAN": "5", "HFGATEWAY_RETENTON": "1d", "HFGATEWAY_SERVICE_PORT": "50051"}
    assert read_settings(given).warnings == (
        "HFGATEWAY_DRIAN: is not a setting of this gateway; did you mean HFGATEWAY_DRAIN?",
        "HFGATEWAY_RETENTON: is not a setting of this gateway; did you mean HFGATEWAY_RETENTION?",
        "HFGATEWAY_SERVICE_PORT: is not a setting of this gateway",
    )
    file = tmp_path / "gateway.toml"
    file.write_text("HFGATEWAY_DRIAN = 5")
    with pytest.raises(SettingError, match=r"did you mean HFGATEWAY_DRAIN\? \(in the settings file\)"):
        read_settings({}, file)


async def test_missing_api_keys_are_warned_of_unless_an_issuer_gives_tokens(tmp_path: Path) -> None:
    issuer = {"HFGATEWAY_OIDC_ISSUER": "https://login.example.invalid", "HFGATEWAY_OIDC_AUDIENCE": "hfgateway"}
    for variables, warned in (({}, True), (issuer, False)):
        given = environment(tmp_path, {"HFGATEWAY_AUTH": "keys", **variables})
        started = await run("serve", environment=given)
        assert "hfgateway: gRPC on" in started.out
        assert ("there are no API keys yet" in started.err) == warned


async def test_both_ports_respond_when_the_start_line_is_printed(tmp_path: Path) -> None:
    async with Sandbox(SandboxOptions(port=0)) as sandbox, GatewayProcess(tmp_path, sandbox.url) as gateway:
        async with gateway.channel() as channel, httpx.AsyncClient(trust_env=False) as client:
            health = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=False)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            assert (await client.get(f"{gateway.http_address}/readyz")).text == "ready\n"
        assert await gateway.terminate() == 0


async def test_the_start_line_shows_the_path_of_the_store(tmp_path: Path) -> None:
    given = environment(tmp_path, {"HFGATEWAY_STORE_URL": "sqlite:///relative.db"})
    ended = await run("serve", environment=given, folder=tmp_path)
    address = r"127\.0\.0\.1:\d+"
    started = json.loads(ended.out)
    pattern = rf"hfgateway: gRPC on {address}, HTTP on http://{address}, store (.+)"
    line = re.fullmatch(pattern, started["message"])
    assert line is not None, ended
    assert line[1] == started["store"] == str(tmp_path / "relative.db")
    assert (tmp_path / "relative.db").exists()


async def test_the_default_store_is_the_same_in_every_folder(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    elsewhere.mkdir()
    given = environment(tmp_path, {"HFGATEWAY_STORE_URL": "", "XDG_DATA_HOME": str(data), "HOME": str(tmp_path)})
    store = default_store(given)
    assert store.is_absolute()
    for folder in (tmp_path, elsewhere):
        ended = await run("serve", environment=given, folder=folder)
        assert json.loads(ended.out)["store"] == str(store)
    assert store.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has its own folder for data")
def test_a_relative_folder_for_data_is_ignored(tmp_path: Path) -> None:
    """The default store would depend on the working directory."""
    store = default_store({"HOME": str(tmp_path), "XDG_DATA_HOME": "data"})
    assert store == (tmp_path / ".local" / "share" / "hfgateway" / "hfgateway.db").resolve()


async def test_a_store_of_the_former_default_is_not_left_behind(tmp_path: Path) -> None:
    """A new store would not know its idempotency keys: callers that repeat a submission would pay twice."""
    (tmp_path / "hfgateway.db").touch()
    given = environment(tmp_path, {"HFGATEWAY_STORE_URL": "", "XDG_DATA_HOME": str(tmp_path / "data")})
    ended = await run("serve", environment=given, folder=tmp_path)
    assert ended.code == exit_codes.USAGE
    assert ended.err.startswith("error: HFGATEWAY_STORE_URL: is not set")
    assert "sqlite:///hfgateway.db" in ended.err


def test_the_start_imports_no_module_that_it_does_not_need() -> None:
    late = {"aiohttp", "starlette", "uvicorn", "connectrpc", "jsonschema_rs"}
    never = {"rich", "pygments", "jsonschema", "mcp", "PIL", "av", "obstore"}
    assert imported("import gateway.__main__, gateway.process.app", of=late | never) == []


async def test_a_container_that_is_stopped_during_its_start_ends(tmp_path: Path) -> None:
    """Its process 1 ignores SIGTERM until it has a handler. An import that never ends holds the start."""
    launcher = first_process()
    # A signal right before a sleep does not interrupt it: Python handles it afterwards. So no sleep is long.
    (tmp_path / "grpc.py").write_text("import time\nprint('imported', flush=True)\nwhile True: time.sleep(0.1)\n")
    variables = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    started = await asyncio.create_subprocess_exec(
        *launcher, sys.executable, "-m", "gateway", "serve", cwd=ROOT, env=environment(tmp_path, variables),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert started.stdout is not None
            assert await started.stdout.readline() == b"imported\n"
            (child,) = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
            os.kill(int(child), signal.SIGTERM)
            assert await started.wait() == 128 + signal.SIGTERM
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()
