"""Prints text. Control characters are escaped, because text from other servers may contain anything.

If standard output cannot be written, `OutputWriteError` is raised. Standard error has only progress and advice: if it
cannot be written, the command continues.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

if TYPE_CHECKING:
    from google.protobuf.message import Message

json_option = click.option("--json", "as_json", is_flag=True, help="Print only JSON, a line for each item or change.")


class OutputWriteError(OSError):
    """Standard output cannot be written: its reader has closed the pipe, or a disk is full.

    It has no `errno`, because click ends a command with exit code 1 after EPIPE.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"the output cannot be written: {cause.strerror or cause}")
        self.closed = isinstance(cause, BrokenPipeError)


def plain(text: str) -> str:
    """Return the text as one line, with all characters escaped that are not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def echo(text: str = "", *, err: bool = False, nl: bool = True, dim: bool = False) -> None:
    """Print one line. Line breaks in it are escaped, so that a value cannot look like another line."""
    shown = plain(text)
    _print(click.style(shown, dim=True) if dim else shown, err=err, nl=nl)


def echo_cells(cells: Iterable[str]) -> None:
    """Print one line of columns, separated by tabs."""
    _print("\t".join(map(plain, cells)))


def echo_lines(text: str, *, nl: bool = True) -> None:
    """Print a text of several lines."""
    _print("\n".join(map(plain, text.split("\n"))), nl=nl)


def write(text: str) -> None:
    """Write a text as it is to standard output. It may stay in the buffer until the command ends."""
    with _writing(err=False):
        sys.stdout.write(text)


def print_json(*messages: Message) -> None:
    """Print each message as one line of proto3 JSON, in ASCII, to standard output: the JSON of all commands."""
    from google.protobuf.json_format import MessageToDict

    for message in messages:
        echo(json.dumps(whole_numbers(MessageToDict(message))))


def whole_numbers(value: Any) -> Any:
    """Return JSON whose whole floats are integers, because a Struct holds only floats."""
    if isinstance(value, dict):
        return {name: whole_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [whole_numbers(element) for element in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def time_text(seconds: float) -> str:
    """Return a wall time as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def echo_error(message: object) -> None:
    """Print an error to standard error."""
    echo(f"error: {message}", err=True)


def fail(message: object, code: int) -> NoReturn:
    """End the command with an error and this exit code."""
    echo_error(message)
    raise click.exceptions.Exit(code) from None


class StandardStream:
    """Standard output or error, as a file for libraries that print."""

    def __init__(self, *, err: bool) -> None:
        self._err = err
        self._stream = sys.stderr if err else sys.stdout

    def write(self, text: str) -> None:
        if text == "":  # click writes it to find out what a stream takes, and ignores an error
            return
        with _writing(err=self._err):
            self._stream.write(text)

    def flush(self) -> None:
        with _writing(err=self._err):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def show(error: click.ClickException) -> None:
    """Print an error of click to standard error."""
    with _writing(err=True):
        error.show()


def flush() -> None:
    """Write what `print` has left in the buffers. Raises OutputWriteError."""
    for stream, err in ((sys.stdout, False), (sys.stderr, True)):
        with _writing(err=err):
            stream.flush()


def _print(text: str, *, err: bool = False, nl: bool = True) -> None:
    with _writing(err=err):
        click.echo(text, err=err, nl=nl)


@contextmanager
def _writing(*, err: bool) -> Iterator[None]:
    try:
        yield
    except OutputWriteError:  # of the StandardStream to which click has written
        raise
    except OSError as error:
        _discard(sys.stderr if err else sys.stdout)
        if not err:
            raise OutputWriteError(error) from None


def _discard(stream: TextIO) -> None:
    """Let a stream lead nowhere. Otherwise the interpreter would fail at its end, when it flushes the stream again."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
