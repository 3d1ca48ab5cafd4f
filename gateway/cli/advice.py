"""Says how to continue when a command ends before what it has started, or when its output is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gateway.cli import exit_codes
from gateway.cli.output import OutputWriteError, echo, echo_error

if TYPE_CHECKING:
    from hfgateway_client import GatewayError


class Advice:
    """The lines that say how to continue. A command replaces them as it proceeds."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines
        self._acts = False
        self._in_doubt = False
        self._continues = False
        self._code = exit_codes.OUTPUT_NOT_WRITTEN

    def replace(self, *lines: str, continues: bool = False, code: int = exit_codes.COMPLETED) -> None:
        """Set the lines. `continues`: what the command has started continues. `code` is its exit code if it has ended.

        A call that is refused while it continues says nothing about its outcome. A failure keeps its exit code when the
        output is lost. Otherwise the code says that the output is missing.
        """
        self._lines = lines
        self._acts, self._in_doubt = True, False
        self._continues = continues
        self._code = code or exit_codes.OUTPUT_NOT_WRITTEN

    def retried(self, error: GatewayError, _delay: float) -> None:
        """Note an attempt that failed and is repeated: it may have had its effect, also if the next one is refused.

        Before the first lines are replaced, no call has an effect.
        """
        self._in_doubt |= self._acts and exit_codes.of_error(error) in exit_codes.UNKNOWN_OUTCOMES

    def show(self) -> None:
        """Print the lines to standard error."""
        for line in self._lines:
            echo(line, err=True)

    @contextmanager
    def given(self) -> Iterator[None]:
        """Print the lines if the block is interrupted, loses its output, or ends with an unknown outcome."""
        try:
            yield
        except KeyboardInterrupt:
            echo(err=True)
            self.show()
            raise click.exceptions.Exit(exit_codes.INTERRUPTED) from None
        except OutputWriteError as lost:
            echo_error(lost)
            self.show()
            raise click.exceptions.Exit(self._code) from None
        except click.exceptions.Exit as end:
            unknown = (self._continues or self._in_doubt) and end.exit_code == exit_codes.REFUSED
            code = exit_codes.UNRESOLVED if unknown else end.exit_code
            if code in exit_codes.UNKNOWN_OUTCOMES:
                self.show()
            raise click.exceptions.Exit(code) from None


def key_advice(key: str) -> tuple[str, ...]:
    """Return the line that names an idempotency key; none without a key."""
    return (f"Idempotency key: {key} (with another key it would be charged again)",) if key else ()
