"""`hfgateway serve`: runs the gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gateway.cli.exit_codes import USAGE
from gateway.cli.output import echo_error, fail

config_option = click.option(
    "--config",
    envvar="HFGATEWAY_CONFIG",
    show_envvar=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with settings; environment variables override it.",
)


@click.command()
@config_option
@click.option("--production", is_flag=True, help="Refuse unsafe settings, and list them all.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share the ports; more than 1 needs PostgreSQL.",
)
@click.option("--worker", type=(int, str, str), hidden=True)
def serve(config: Path | None, production: bool, workers: int, worker: tuple[int, str, str] | None) -> int:
    """Run the gateway until SIGTERM. Settings are environment variables, which docs/settings.md lists."""
    import asyncio
    import gc

    gc.disable()  # until `app.tune_garbage_collector`: most of what the imports make stays
    from gateway.higgsfield.credentials import CredentialsError, read_credentials
    from gateway.process.production import unsafe
    from gateway.process.workers import Worker, supervise
    from gateway.settings.config import SettingError, read_settings
    from gateway.store.store import StoreOpenError
    from gateway.telemetry import set_up_logging

    try:
        settings = read_settings(os.environ, config)
        credentials = read_credentials(os.environ)
        if production and (refused := unsafe(settings, credentials, os.environ, config)):
            echo_error("--production refuses unsafe settings:")
            print(*refused, sep="\n", file=sys.stderr)
            return USAGE
        this_worker = None if worker is None else Worker.of(*worker)
        set_up_logging(settings.log_format, settings.log_level, None if this_worker is None else this_worker.number)
        if workers > 1 and this_worker is None:
            gc.enable()
            return asyncio.run(supervise(settings, workers, [sys.executable, *sys.orig_argv[1:]]))
        from gateway.process import app

        return asyncio.run(app.serve(settings, credentials, this_worker))
    except (SettingError, CredentialsError) as error:
        fail(error, USAGE)
    except StoreOpenError as error:
        fail(f"HFGATEWAY_STORE_URL: {error}", USAGE)
