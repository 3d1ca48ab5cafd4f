"""`hfgateway serve`: runs the gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gateway.cli.exits import USAGE
from gateway.cli.output import fail

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with settings; environment variables override it.",
)


@click.command()
@config_option
@click.option("--production", is_flag=True, help="Refuse unsafe settings, and list them all.")
def serve(config: Path | None, production: bool) -> int:
    """Run the gateway until SIGTERM. Settings are environment variables, which docs/settings.md lists."""
    import asyncio
    import gc

    gc.disable()  # until `app.tune_garbage_collector`: most of what the imports make stays
    from gateway import app
    from gateway.config import SettingError, read_settings
    from gateway.higgsfield.credentials import CredentialsError, read_credentials
    from gateway.production import unsafe
    from gateway.store.store import StoreOpenError
    from gateway.telemetry import set_up_logging

    try:
        settings = read_settings(os.environ, config)
        credentials = read_credentials(os.environ)
        if production and (refused := unsafe(settings, credentials, os.environ, config)):
            print("hfgateway: --production refuses unsafe settings:", file=sys.stderr)
            print(*refused, sep="\n", file=sys.stderr)
            return USAGE
        set_up_logging(settings.log_format, settings.log_level)
        asyncio.run(app.serve(settings, credentials))
    except (SettingError, CredentialsError) as error:
        fail(error, USAGE)
    except StoreOpenError as error:
        fail(f"HFGATEWAY_STORE_URL: {error}", USAGE)
    return 0
