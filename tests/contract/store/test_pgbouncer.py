"""PgBouncer between a gateway and PostgreSQL: it works in transaction mode, and other settings are reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.store.load import load, sandbox_for_load
from tests.contract.store.test_postgres import open_only
from tests.durability.process import GatewayProcess

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = [pytest.mark.toolchain("postgres"), pytest.mark.toolchain("pgbouncer")]


async def test_a_gateway_works_through_pgbouncer_and_survives_cut_connections(tmp_path: Path, postgres: Server) -> None:
    """The pooler has fewer connections to the server than the gateway to the pooler, and creates the schema."""
    from tests.support.postgres import Pooler

    with postgres.database() as name, Pooler(postgres, default_pool_size="2") as pooler:
        async with (
            sandbox_for_load() as sandbox,
            GatewayProcess(tmp_path, sandbox.url, store_url=f"postgresql://gateway@{pooler.address}/{name}") as gateway,
            load(gateway.address, sandbox, tmp_path / "history.jsonl") as clients,
        ):
            await clients.more()
            postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            await clients.more()
            pooler.cut(name)
            await clients.more()


@pytest.mark.parametrize(
    ("settings", "parameters", "message"),
    [
        ({}, "?options=-c%20jit%3Doff", "unsupported startup parameter: options.*set it for the role, and not in"),
        ({"pool_mode": "statement"}, "", "transaction blocks not allowed.*set pool_mode = transaction"),
        (
            {"auth_type": "scram-sha-256"},
            "?password=wrong",
            r"SASL authentication failed.*check the user and the password",
        ),
        ({"max_client_conn": "0"}, "", r"no more connections allowed.*raise max_client_conn of the pooler"),
    ],
)
async def test_a_pooler_that_cannot_be_used_is_reported(
    postgres: Server, settings: dict[str, str], parameters: str, message: str
) -> None:
    from gateway.store.postgres.errors import ServerError
    from gateway.store.postgres.store import examine
    from tests.support.postgres import Pooler

    with postgres.database() as name, Pooler(postgres, **settings) as pooler:
        for opens in (open_only, examine):  # a gateway, and `hfgateway doctor`
            with pytest.raises(ServerError, match=message):
                await opens(f"postgresql://gateway@{pooler.address}/{name}{parameters}", "the store")
