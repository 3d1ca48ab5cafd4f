"""`hfgateway audit`: exports and verifies the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.audit import BrokenChainError, Entry, Head, line, read_export
from gateway.audit import verify as verified
from gateway.cli import exit_codes
from gateway.cli.numbers import Whole
from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo, fail, write
from gateway.cli.usage import parse_time
from hfgateway.admin.v1 import admin_service_pb2 as pb

_SQLITE = b"SQLite format 3\0"


@click.group()
def audit() -> None:
    """Export and verify the log of submissions and administrative acts (HFGATEWAY_AUDIT)."""


@audit.command()
@click.option("--since", type=parse_time, metavar="WHEN", help="A UTC date, or an age such as 7d. Default: everything.")
@click.option("--after", type=Whole(min=0), default=0, metavar="NUMBER", help="Only entries after this number.")
@operator_options
def export(operator: Operator, since: float | None, after: int) -> None:
    """Print the entries as lines of JSON, oldest first."""
    request = pb.ExportAuditRequest(after_sequence=after)
    if since is not None:
        request.start_time.FromMicroseconds(round(since * 1e6))
    empty = True
    for entry in operator.stream(lambda admin: admin.ExportAudit, request):
        empty = False
        write(line(entry.previous_hash, Entry(entry.sequence, entry.text, entry.hash)) + "\n")
    if empty:
        _explain(_head(operator))


@audit.command()
@operator_options
def head(operator: Operator) -> None:
    """Print the number and the hash of the last entry. Keep them elsewhere, and give them to `verify --head` later."""
    last = _head(operator)
    echo(str(last))
    _explain(last)


def _head(operator: Operator) -> Head:
    response = operator.ask(lambda admin: admin.GetAuditHead, pb.GetAuditHeadRequest())
    return Head(response.sequence, response.hash)


def _explain(last: Head) -> None:
    """Say why a log has no entries: with HFGATEWAY_AUDIT, the first one is that of the gateway's start."""
    if not last.sequence:
        echo("The log has no entries: HFGATEWAY_AUDIT is off, or the start is not stored yet", err=True)


def _heads(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[Head]:
    try:
        return [Head.parse(text) for text in given]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE]")
@click.option("--offline", is_flag=True, help="Verify the SQLite store of HFGATEWAY_STORE_URL instead of a file.")
@click.option(
    "--head", "heads", multiple=True, callback=_heads, metavar="NUMBER:HASH",
    help="What `audit head` printed earlier: the log must contain it. Can be repeated.",
)  # fmt: skip
def verify(file: Path | None, offline: bool, heads: list[Head]) -> None:
    """Verify FILE, an export or a SQLite store. This needs no gateway.

    Exit codes: 0 unchanged, with the new head on the last line if there are entries; 1 changed, and the first entry
    that shows it is named; 2 usage, or FILE does not exist; 3 FILE, or with --offline the store, cannot be read.
    """
    from gateway.cli.operator import store_file
    from gateway.store.sqlite.files import StoreFileError

    if (file is None) is not offline:
        raise click.UsageError("name a FILE, or use --offline")
    path = file or store_file("export the log with `hfgateway audit export`, and verify the export")
    if offline and not path.exists():
        fail(f"{path}: there is no store", exit_codes.REFUSED)
    try:
        result = verified(_entries(path, offline=offline), heads)
    except BrokenChainError as error:
        fail(f"{path}: {error}", exit_codes.NOT_COMPLETED)
    except (StoreFileError, OSError) as error:
        fail(error, exit_codes.REFUSED)
    if not result.first:
        echo(f"{path}: no entries")
        return
    if result.first > 1 and not any(noted.sequence == result.first - 1 for noted in heads):
        echo(f"The entries before {result.first} are not in it: give --head for entry {result.first - 1}", err=True)
    echo(f"{path}: entries {result.first} to {result.head.sequence} are unchanged")
    echo(str(result.head))


def _entries(path: Path, *, offline: bool) -> Iterator[tuple[bytes, Entry]]:
    from gateway.store.sqlite.audit import stored

    with path.open("rb") as file:
        is_store = offline or file.read(len(_SQLITE)) == _SQLITE
    if is_store:
        yield from stored(path)
        return
    # Bytes that no export contains reach the check, which names their entry.
    with path.open(encoding="ascii", errors="surrogateescape") as lines:
        yield from read_export(lines)
