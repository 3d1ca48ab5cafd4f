"""`hfgateway upload`, and the upload of local files that are inputs of a generation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.connection import Connection, client_options
from gateway.cli.output import echo, print_json

if TYPE_CHECKING:
    from hfgateway_client import AnyInput, GenerationInput


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--type", "content_type", metavar="TYPE", help="The content type, such as image/png; default: by the file's name."
)
@click.option("--json", "as_json", is_flag=True, help="Print URL, size and expire time as JSON.")
@client_options
def upload(connection: Connection, file: Path, content_type: str | None, as_json: bool) -> None:
    """Upload FILE to Higgsfield's storage, free of charge, and print the URL to use as an input.

    The file goes through the gateway in pieces. An upload that breaks off is repeated. If it fails for good, no file is
    left behind.
    """
    with connection.uploading() as client:
        try:
            uploaded = client.upload(file, content_type)
        except ValueError as error:
            raise click.UsageError(f"{error}; set it with --type") from None
    if as_json:
        print_json(uploaded)
    else:
        echo(uploaded.url)


def upload_first(connection: Connection, input: AnyInput) -> GenerationInput:
    """Upload the files of an input, and return the input with their URLs.

    The URLs are printed, so that the command can be repeated with the same input.
    """
    from hfgateway_client import LocalInput

    if not isinstance(input, LocalInput):
        return input
    with connection.uploading() as client:
        try:
            message = client.upload_media(input)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    for source, url in zip(input.media, input.urls.values(), strict=True):
        echo(f"uploaded {source!s} as {url}", err=True)
    return message
