"""Prints text. Control characters are escaped, because text from other servers may contain anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

import click


def plain(text: str) -> str:
    """Return the text as one line, with all characters escaped that are not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def echo(text: str = "", *, err: bool = False, nl: bool = True, dim: bool = False) -> None:
    """Print one line. Line breaks in it are escaped, so that a value cannot look like another line."""
    shown = plain(text)
    click.echo(click.style(shown, dim=True) if dim else shown, err=err, nl=nl)


def echo_cells(cells: tuple[str, ...] | list[str]) -> None:
    """Print one line of columns, separated by tabs."""
    click.echo("\t".join(map(plain, cells)))


def echo_lines(text: str, *, nl: bool = True) -> None:
    """Print a text of several lines."""
    click.echo("\n".join(map(plain, text.split("\n"))), nl=nl)


def time_text(seconds: float) -> str:
    """Return a wall time as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def fail(message: object, code: int) -> NoReturn:
    """End the command with an error and this exit code."""
    echo(f"hfgateway: {message}", err=True)
    raise click.exceptions.Exit(code) from None


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
