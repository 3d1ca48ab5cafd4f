"""`hfgateway agents`: talk to Higgsfield's agents."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from gateway.cli import exits
from gateway.cli.connection import Connection, client_options
from gateway.cli.output import echo, echo_lines
from gateway.cli.progress import print_json

if TYPE_CHECKING:
    from hfgateway_client import Client
    from hfgateway_client.agents import Change, Message, Turn

_session = click.option("--session", "session_id", metavar="ID", help="Go on with this session; a new one if not said.")
_timeout = click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Follow a turn no longer.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print every change as a line of JSON, nothing else.")


@click.group()
def agents() -> None:
    """Talk to Higgsfield's agents, which generate by themselves. Every message is paid."""


@agents.command()
@click.argument("text")
@_session
@click.option("--key", metavar="KEY", help="Idempotency key: the same key is never sent, or charged, twice.")
@_timeout
@_as_json
@client_options
def ask(
    *, connection: Connection, text: str, session_id: str | None, key: str | None, timeout: float | None, as_json: bool
) -> int:
    """Say TEXT, and print the answer as it is written. On a terminal, questions can be answered.

    Exit codes: 0 answered; 1 failed, or asked back with nobody there to answer; 2 usage; 3 refused; 4 gateway away;
    5 it cannot be told whether it was sent; 130 Ctrl-C (the turn goes on).
    """
    talk = _Talk(connection, session_id, timeout, as_json=as_json)
    turn = talk.say(text, key)
    while turn.is_question and sys.stdin.isatty() and not as_json:
        turn = talk.say(click.prompt("", prompt_suffix="> ", err=True))
    if turn.is_question:
        echo(f"it asks: answer with {talk.command('ANSWER')}", err=True)
    return exits.ENDED_OTHERWISE if turn.is_question or turn.failed or not turn.messages else exits.COMPLETED


@agents.command()
@_session
@_timeout
@_as_json
@client_options
def chat(*, connection: Connection, session_id: str | None, timeout: float | None, as_json: bool) -> int:
    """Talk, a line at a time, until there are no more; exit codes as of `ask`, 0 at the end."""
    talk = _Talk(connection, session_id, timeout, as_json=as_json)
    while (line := _line()) is not None:
        if line.strip():
            talk.say(line)
    if talk.session_id:
        echo(f"go on with {talk.command()}", err=True)
    return exits.COMPLETED


class _Talk:
    """One conversation: says something and shows what comes of it."""

    def __init__(self, connection: Connection, session_id: str | None, timeout: float | None, *, as_json: bool) -> None:
        self.session_id = session_id or ""
        self._connection = connection
        self._timeout = timeout
        self._as_json = as_json

    def say(self, text: str, key: str | None = None) -> Turn:
        """Say it and follow the turn to its end; the way to go on is told where that is cut short."""
        from hfgateway_client import new_idempotency_key

        key = new_idempotency_key() if key is None else key
        shown = _Shown()
        try:
            with self._connection.client() as client:
                if not self.session_id:
                    self.session_id = client.agents.create_session().id
                    echo(f"session {self.session_id}", err=True)
                return self._turn(client, text, key, print_json if self._as_json else shown)
        except KeyboardInterrupt:
            echo(err=True)
            echo(f"The turn continues. {self._advice(text, key)}", err=True)
            raise click.exceptions.Exit(exits.INTERRUPTED) from None
        except click.exceptions.Exit as end:
            if self.session_id and end.exit_code in (exits.AWAY, exits.UNRESOLVED):
                echo(f"it may have been sent. {self._advice(text, key)}", err=True)
            raise
        finally:
            shown.end()

    def command(self, *arguments: str) -> str:
        """The command that goes on with this session."""
        name = "ask" if arguments else "chat"
        return shlex.join(["hfgateway", "agents", name, "--session", self.session_id, *arguments])

    def _turn(self, client: Client, text: str, key: str, show: Callable[[Change], None]) -> Turn:
        turn = client.agents.ask(self.session_id, text, on_change=show, idempotency_key=key, timeout=self._timeout)
        if turn.sent.replayed:
            echo("the key was known: nothing was sent", err=True)
        return turn

    def _advice(self, text: str, key: str) -> str:
        again = self.command("--key", key, text)
        return f"To find out, and never pay twice: {again}"


class _Shown:
    """Writes answers as they grow: text to standard output, thoughts to standard error."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, str]] = {}
        self._column = ""

    def __call__(self, change: Change) -> None:
        """Show what is new in it."""
        from hfgateway_client.agents import Message

        if isinstance(change, Message):
            self._message(change)

    def end(self) -> None:
        """Leave the line."""
        if self._column:
            echo()
            self._column = ""

    def _message(self, message: Message) -> None:
        from hfgateway.agents.v1alpha1.agent_service_pb2 import Role

        if message.role != Role.ROLE_ASSISTANT:
            return
        text, thoughts = self._told.get(message.id, ("", ""))
        self._told[message.id] = message.text, message.reasoning
        for line in _news(thoughts, message.reasoning).splitlines():
            if line.strip():
                echo(line, err=True, dim=True)
        if self._column not in {"", message.id}:
            self.end()
        if news := _news(text, message.text):
            rewritten = text and not message.text.startswith(text)
            echo_lines(f"\n{news}" if rewritten else news, nl=False)
            self._column = message.id


def _news(before: str, now: str) -> str:
    """What was added; all of it where it is another text."""
    return now.removeprefix(before) if now.startswith(before) else now


def _line() -> str | None:
    """The next line, asked for on a terminal; None at the end."""
    if sys.stdin.isatty():
        echo("> ", nl=False, err=True)
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None
