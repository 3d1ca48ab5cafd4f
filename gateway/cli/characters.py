"""`hfgateway characters`: trains and manages characters, which keep a face the same over several generations."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

import click

from gateway.cli import exit_codes
from gateway.cli.advice import Advice, key_advice
from gateway.cli.connection import Connection, check_reachable, client_options
from gateway.cli.inputs import is_file
from gateway.cli.numbers import Whole
from gateway.cli.output import echo, fail, json_option, print_json
from gateway.cli.progress import timeout_option
from gateway.cli.tables import created, print_fields, print_messages

if TYPE_CHECKING:
    from hfgateway_client import Client, SoulCharacter

VERSIONS = ("v1", "v2", "cinema")
HEADINGS = ("ID", "STATE", "VERSION", "CREATED", "NAME")


@click.group()
def characters() -> None:
    """Train, list and delete characters (Soul IDs). Training is charged."""


@characters.command()
@click.argument("name")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE_URL_OR_FILE...")
@click.option("--version", type=click.Choice(VERSIONS), help="The version of Soul; default: v1.")
@click.option("--wait", is_flag=True, help="Follow the training until it ends.")
@click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: the same command with the same key returns the same character, which is charged once. "
    "Repeat it with URLs in place of local files. Default: a new key.",
)
@timeout_option
@json_option
@client_options
def create(
    *,
    connection: Connection,
    name: str,
    images: tuple[str, ...],
    version: str | None,
    wait: bool,
    key: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Train a character NAME from images, and print its id. Files are uploaded first.

    Exit codes: 0 created, or with --wait trained; 1 training failed; 2 usage; 3 refused; 4 the gateway does not
    respond; 5 unknown whether it was created; 6 still training after --timeout; 8 Higgsfield does not respond; 9
    standard output cannot be written; 130 Ctrl-C (training continues).
    """
    from hfgateway_client import new_idempotency_key

    key = new_idempotency_key() if key is None else key
    advice = Advice()
    with advice.given(), connection.client(on_retry=advice.retried) as client:
        # All images are checked before the first upload, so that no unused file is uploaded.
        types = [_content_type(image) for image in images]
        check_reachable(client)
        urls = _urls(connection, images, types)
        again = ["characters", "create", name, *urls, *(["--version", version] if version else []), "--key", key]
        advice.replace(
            "The character may have been created. To find out without being charged twice: "
            f"{connection.command(*again)}"
        )
        made = client.create_character(name, urls, version=version, idempotency_key=key)  # type: ignore[arg-type]  # a choice
        _advise(advice, made.character, connection, key)
        if made.replayed:
            echo("The key was used before: nothing new was started.", err=True)
        if not wait:
            _print(made.character, connection, as_json=as_json)
            return exit_codes.COMPLETED
        return _follow(client, made.id, timeout, connection=connection, advice=advice, key=key, as_json=as_json)


@characters.command()
@click.argument("character_id", metavar="ID")
@timeout_option
@json_option
@client_options
def watch(*, connection: Connection, character_id: str, timeout: float | None, as_json: bool) -> int:
    """Follow the training of the character ID. Prints its id at the end. The exit codes are those of `create`."""
    advice = Advice()
    with advice.given(), connection.client() as client:
        _advise(advice, client.get_character(character_id), connection)  # fails at once if no gateway answers
        return _follow(client, character_id, timeout, connection=connection, advice=advice, as_json=as_json)


@characters.command()
@click.argument("character_id", metavar="ID")
@json_option
@client_options
def get(*, connection: Connection, character_id: str, as_json: bool) -> None:
    """Show the character ID."""
    with connection.client() as client:
        character = client.get_character(character_id)
    if as_json:
        print_json(character)
        return
    names = ("id", "state", "version", "created", "name")
    print_fields([*zip(names, _row(character), strict=True), ("failure", character.failure.message)])


@characters.command(name="list")
@click.option("--limit", type=Whole(min=1), default=20, show_default=True, help="Show at most this many.")
@json_option
@client_options
def list_characters(*, connection: Connection, limit: int, as_json: bool) -> None:
    """List characters, newest first."""
    with connection.client() as client:
        found = list(islice(client.list_characters(page_size=min(limit, 500)), limit))
    print_messages(found, HEADINGS, [_row(character) for character in found], as_json=as_json)


@characters.command()
@click.argument("character_ids", nargs=-1, required=True, metavar="ID...")
@client_options
def delete(*, connection: Connection, character_ids: Iterable[str]) -> None:
    """Delete characters. Their cost is not refunded. It is no error if a character is already deleted."""
    with connection.client() as client:
        for character_id in character_ids:
            client.delete_character(character_id)


def _follow(
    client: Client,
    character_id: str,
    timeout: float | None,
    *,
    connection: Connection,
    advice: Advice,
    key: str = "",
    as_json: bool,
) -> int:
    from hfgateway_client import character_state_name
    from hfgateway_client.errors import DeadlineExceeded, NotFound

    character: SoulCharacter | None = None
    try:
        with closing(client.watch_character(character_id, timeout=timeout)) as changes:
            for character in changes:
                _advise(advice, character, connection, key)
                if as_json:
                    print_json(character)
                else:
                    echo(f"{character_state_name(character)}  {character.id}", err=True)
    except NotFound:
        fail("the character was deleted", exit_codes.NOT_COMPLETED)
    except DeadlineExceeded:
        if timeout is None:
            raise
        echo(f"Still training after {timeout:g} s (exit code {exit_codes.STILL_RUNNING}).", err=True)
        advice.show()
    if character is None or not character.done:
        return exit_codes.STILL_RUNNING
    if character_state_name(character) != "COMPLETED":
        fail(character.failure.message or "the training failed", exit_codes.NOT_COMPLETED)
    if not as_json:
        echo(character.id)
    return exit_codes.COMPLETED


def _content_type(image: str) -> str:
    """Return the content type of a file; empty for a URL. Raises UsageError for anything else."""
    if image.startswith(("https://", "http://")):
        return ""
    if not is_file(image):
        raise click.UsageError(f"{image} is neither a file nor an http or https URL")
    content_type = mimetypes.guess_type(image)[0] or ""
    if not content_type.startswith("image/"):
        raise click.UsageError(f"{image} does not have the name of an image")
    return content_type


def _urls(connection: Connection, images: Sequence[str], types: Sequence[str]) -> list[str]:
    """Return the URLs of the images, after uploading the files."""
    if not any(types):
        return [*images]
    urls = []
    with connection.uploading() as client:
        for image, content_type in zip(images, types, strict=True):
            urls.append(client.upload(image, content_type).url if content_type else image)
            if content_type:
                echo(f"uploaded {image}", err=True)
    return urls


def _print(character: SoulCharacter, connection: Connection, *, as_json: bool) -> None:
    if as_json:
        print_json(character)
        return
    echo(_watch_advice(character, connection), err=True)
    echo(character.id)


def _row(character: SoulCharacter) -> tuple[str, ...]:
    from hfgateway_client import character_state_name

    version = VERSIONS[character.version - 1] if 0 < character.version <= len(VERSIONS) else ""
    return character.id, character_state_name(character), version, created(character), character.name


def _advise(advice: Advice, character: SoulCharacter, connection: Connection, key: str = "") -> None:
    """Set the advice for a character in this state."""
    from hfgateway_client import character_state_name

    failed = character.done and character_state_name(character) != "COMPLETED"
    code = exit_codes.NOT_COMPLETED if failed else exit_codes.COMPLETED
    watch_it = _watch_advice(character, connection)
    advice.replace(*key_advice(key), watch_it, continues=not character.done, code=code)


def _watch_advice(character: SoulCharacter, connection: Connection) -> str:
    state = "has ended. Show" if character.done else "continues. Watch"
    return f"The training {state} it with: {connection.command('characters', 'watch', character.id)}"
