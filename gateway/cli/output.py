"""What commands print. Text from outside may hold anything, so control characters are shown and never sent."""

from __future__ import annotations

import click


def plain(text: str) -> str:
    """The text in one line, without anything that a terminal would obey: what is not printable is escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def echo(text: str = "", *, err: bool = False, nl: bool = True, dim: bool = False) -> None:
    """Print one line; a line break in it is shown and not made, so that no value looks like another line."""
    shown = plain(text)
    click.echo(click.style(shown, dim=True) if dim else shown, err=err, nl=nl)


def echo_cells(cells: tuple[str, ...] | list[str]) -> None:
    """Print one line of columns, divided by tabs."""
    click.echo("\t".join(map(plain, cells)))


def echo_lines(text: str, *, nl: bool = True) -> None:
    """Print a text that may have lines."""
    click.echo("\n".join(map(plain, text.split("\n"))), nl=nl)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
