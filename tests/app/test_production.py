"""`serve --production` refuses every unsafe setting, and lists them all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.higgsfield.credentials import read_credentials
from gateway.process.production import unsafe
from gateway.settings.config import read_settings
from tests.app.certificates import Authority
from tests.app.command import environment, run

SAFE = {
    "HF_KEY": "a-key-id:a-long-secret",
    "HFGATEWAY_UPSTREAM_URL": "https://api.higgsfield.ai",
    "HFGATEWAY_GRPC_ADDRESS": "10.0.0.7:50051",
    "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:8080",
    "HFGATEWAY_AUTH": "keys",
}
UNSAFE: Mapping[str, Mapping[str, str]] = {
    "HFGATEWAY_AUTH": {"HFGATEWAY_AUTH": "none", "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:50051"},
    "HFGATEWAY_GRPC_ADDRESS": {"HFGATEWAY_GRPC_ADDRESS": "8.8.8.8:50051"},
    "HFGATEWAY_HTTP_ADDRESS": {"HFGATEWAY_HTTP_ADDRESS": "[::]:8080"},
    "HFGATEWAY_ADMIN_ADDRESS": {"HFGATEWAY_ADMIN_ADDRESS": "10.0.0.7:50052"},
    "HFGATEWAY_WEBHOOK_ADDRESS": {
        "HFGATEWAY_WEBHOOK_ADDRESS": "hooks.example.com:8081", "HFGATEWAY_PUBLIC_URL": "https://hooks.example.com",
    },
    "HFGATEWAY_ALLOWED_ORIGINS": {"HFGATEWAY_ALLOWED_ORIGINS": "https://a.example.com,http://b.example.com"},
    "HFGATEWAY_UPSTREAM_URL": {"HFGATEWAY_UPSTREAM_URL": "http://127.0.0.1:9200"},
    "HF_KEY": {"HF_KEY": "sandbox:sandbox"},
    "HFGATEWAY_FAILPOINT": {"HFGATEWAY_FAILPOINT": "after claim"},
}  # fmt: skip


def names(variables: Mapping[str, str], config: Path | None = None) -> list[str]:
    """Return the names of the settings that are refused."""
    settings, credentials = read_settings(variables, config), read_credentials(variables)
    return [line.partition(":")[0] for line in unsafe(settings, credentials, variables, config)]


@pytest.fixture
def safe(tmp_path: Path) -> dict[str, str]:
    tmp_path.chmod(0o700)
    return SAFE | {"HFGATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}"}


@pytest.mark.parametrize("host", ["10.0.0.7", "100.64.3.7", "[fd00::7]", "127.0.0.1", "localhost"])
def test_safe_settings_are_not_refused(safe: dict[str, str], host: str) -> None:
    """Clusters also give addresses of 100.64.0.0/10 to pods, whose addresses the manifests listen on."""
    more = {"HFGATEWAY_ADMIN_ADDRESS": "127.0.0.1:50052", "HFGATEWAY_ALLOWED_ORIGINS": "https://a.example.com"}
    assert names(safe | more | {"HFGATEWAY_GRPC_ADDRESS": f"{host}:50051"}) == []


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_setting_is_refused_by_name(name: str, safe: dict[str, str]) -> None:
    assert names(safe | UNSAFE[name]) == [name]


def test_a_public_address_with_tls_is_not_refused(safe: dict[str, str], tmp_path: Path) -> None:
    served = Authority.made(tmp_path).signed("gateway")
    served.key.chmod(0o600)
    public = {"HFGATEWAY_GRPC_ADDRESS": "0.0.0.0:50051", "HFGATEWAY_HTTP_ADDRESS": "0.0.0.0:8080"}
    given = safe | public | {"HFGATEWAY_TLS_CERT": str(served.cert), "HFGATEWAY_TLS_KEY": str(served.key)}
    assert names(given) == []
    served.key.chmod(0o644)
    assert names(given) == ["HFGATEWAY_TLS_KEY"]


def test_files_that_other_users_can_access_are_refused(safe: dict[str, str], tmp_path: Path) -> None:
    store, key, config = tmp_path / "store.db", tmp_path / "key", tmp_path / "gateway.toml"
    key.write_text(safe["HF_KEY"])
    config.write_text('HFGATEWAY_WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NQ=="')
    store.touch()
    given = safe | {"HF_KEY_FILE": str(key), "HFGATEWAY_PUBLIC_URL": "https://hooks.example.com"}
    for file in (store, key, config):
        file.chmod(0o640)
    assert names(given, config) == []
    for file in (store, key, config):
        file.chmod(0o644)
    tmp_path.chmod(0o777)
    assert names(given, config) == ["HFGATEWAY_STORE_URL", "HF_KEY_FILE", "settings file", "HFGATEWAY_STORE_URL"]


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ('HFGATEWAY_LOG_LEVEL = "warning"', []),
        (f'HFGATEWAY_ACCOUNTS_KEY = "{"A" * 43}="', ["settings file"]),
        ('HFGATEWAY_STORE_URL = "postgresql://user:secret@127.0.0.1/gateway"', ["settings file"]),
    ],
)
def test_a_settings_file_that_other_users_can_read_has_no_secrets(
    safe: dict[str, str], tmp_path: Path, content: str, refused: list[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(content)
    config.chmod(0o644)
    assert names({name: text for name, text in safe.items() if name not in content}, config) == refused


@pytest.mark.parametrize(
    ("server", "verified"),
    [
        ("user:secret@db.example.com/gateway", False),
        ("db.example.com:5432,127.0.0.1/gateway?sslmode=require", False),
        ("user@db.example.com/gateway?sslmode=verify-full&sslrootcert=system", True),
        ("user@127.0.0.1:5432/gateway", True),
        ("user@[::1]:5432/gateway", True),
        ("/gateway?host=/run/postgresql", True),
        ("/gateway?host=db.example.com", False),
        ("localhost/gateway?hostaddr=10.0.0.5", False),
        ("/gateway?service=production", False),
        ("/gateway?service=production&sslmode=verify-full", True),
    ],
)
def test_a_postgresql_server_elsewhere_must_be_verified(safe: dict[str, str], server: str, verified: bool) -> None:
    given = safe | {"HFGATEWAY_STORE_URL": f"postgresql://{server}"}
    assert names(given) == ([] if verified else ["HFGATEWAY_STORE_URL"])


@pytest.mark.parametrize(
    ("variables", "verified"),
    [
        ({}, True),
        ({"PGHOST": "db.example.com"}, False),
        ({"PGHOSTADDR": "10.0.0.5"}, False),
        ({"PGHOST": "db.example.com", "PGSSLMODE": "verify-full"}, True),
        ({"PGHOST": "/run/postgresql"}, True),
        ({"PGSERVICE": "production"}, False),
    ],
)
def test_a_postgresql_server_may_be_named_by_the_environment(
    safe: dict[str, str], variables: dict[str, str], verified: bool
) -> None:
    given = safe | {"HFGATEWAY_STORE_URL": "postgresql:///gateway"} | variables
    assert names(given) == ([] if verified else ["HFGATEWAY_STORE_URL"])


async def test_the_start_lists_all_unsafe_settings_and_changes_nothing(tmp_path: Path) -> None:
    ended = await run("serve", "--production", environment=environment(tmp_path, {}))

    assert (ended.code, ended.out) == (2, "")
    first, *lines = ended.err.splitlines()
    assert first == "error: --production refuses unsafe settings:"
    found = [line.partition(":")[0] for line in lines]
    assert found == ["HFGATEWAY_AUTH", "HFGATEWAY_UPSTREAM_URL", "HF_KEY"]
    assert list(tmp_path.iterdir()) == []


async def test_the_doctor_reports_what_production_refuses(tmp_path: Path) -> None:
    ended = await run("doctor", "--production", environment=environment(tmp_path, {}))
    refused = [line for line in ended.out.splitlines() if line.startswith("problem") and " production " in line]
    assert [line.split()[2] for line in refused] == ["HFGATEWAY_AUTH:", "HFGATEWAY_UPSTREAM_URL:", "HF_KEY:"]
