"""`hfgateway agents`: talk to Higgsfield's agents."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import click

from gateway.cli import exit_codes
from gateway.cli.advice import Advice
from gateway.cli.connection import Connection, check_reachable, client_options
from gateway.cli.numbers import Seconds
from gateway.cli.output import echo, echo_lines, fail, json_option, print_json

if TYPE_CHECKING:
    from hfgateway_client import Client
    from hfgateway_client.agents import Change, SentMessage, Turn

_session = click.option("--session", "session_id", metavar="ID", help="Continue this session; default: a new one.")
_timeout = click.option(
    "--timeout", type=Seconds(), metavar="SECONDS", help="Stop following a turn after this time. Default: no limit."
)


@click.group()
def agents() -> None:
    """Talk to Higgsfield's agents, which can generate images and videos. Every message is charged."""


@agents.command()
@click.argument("text")
@_session
@click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: the same text with the same key and --session is sent and charged once. Default: a new key.",
)
@_timeout
@json_option
@client_options
def ask(
    *, connection: Connection, text: str, session_id: str | None, key: str | None, timeout: float | None, as_json: bool
) -> int:
    """Send TEXT, and print the answer as it is written. On a terminal, without --json, you can answer questions.

    Exit codes: 0 answered; 1 failed, no answer, or a question that cannot be answered here; 2 usage; 3 refused; 4 the
    gateway does not respond; 5 unknown whether the message was sent; 6 no whole answer within --timeout; 8 Higgsfield
    does not respond; 9 standard output cannot be written; 130 Ctrl-C (the turn continues).
    """
    conversation = _Conversation(connection, session_id, timeout, as_json=as_json)
    turn = conversation.send(text, key)
    while turn.is_question and sys.stdin.isatty() and not as_json:
        turn = conversation.send(click.prompt("", prompt_suffix="> ", err=True))
    if turn.is_question:
        echo(f"The agent asks a question. Answer with: {conversation.command('ANSWER')}", err=True)
    return exit_codes.NOT_COMPLETED if turn.is_question or turn.failed or not turn.messages else exit_codes.COMPLETED


@agents.command()
@_session
@_timeout
@json_option
@client_options
def chat(*, connection: Connection, session_id: str | None, timeout: float | None, as_json: bool) -> None:
    """Send each line of standard input as a message. Exit codes: 0 at the end of input, otherwise those of `ask`."""
    conversation = _Conversation(connection, session_id, timeout, as_json=as_json)
    while (line := _read_line()) is not None:
        if line.strip():
            conversation.send(line)
    if conversation.session_id:
        echo(f"Continue with: {conversation.command()}", err=True)


class _Conversation:
    """A conversation: sends messages and shows the answers."""

    def __init__(self, connection: Connection, session_id: str | None, timeout: float | None, *, as_json: bool) -> None:
        self.session_id = session_id or ""
        self._connection = connection
        self._timeout = timeout
        self._as_json = as_json

    def send(self, text: str, key: str | None = None) -> Turn:
        """Send a message, follow its turn, and report if it fails. If interrupted, print the command that continues."""
        from hfgateway_client import new_idempotency_key

        key = new_idempotency_key() if key is None else key
        shown, advice = _AnswerPrinter(), Advice()
        with advice.given(), closing(shown), self._connection.client(on_retry=advice.retried) as client:
            check_reachable(client)
            if not self.session_id:
                self.session_id = client.agents.create_session().id
                echo(f"session {self.session_id}", err=True)
            advice.replace(f"The turn continues if the message was sent. {self._advice(text, key)}")
            turn = self._turn(client, text, key, print_json if self._as_json else shown, advice)
        if turn.failed:
            echo("The turn failed or was interrupted: the answer may not be complete.", err=True)
        elif not turn.messages:
            echo("The turn ended without an answer.", err=True)
        return turn

    def command(self, *arguments: str) -> str:
        """Return the command that continues this session."""
        name = "ask" if arguments else "chat"
        return self._connection.command("agents", name, "--session", self.session_id, *arguments)

    def _turn(self, client: Client, text: str, key: str, show: Callable[[Change], None], advice: Advice) -> Turn:
        from hfgateway_client.errors import DeadlineExceeded

        sent = client.agents.send(self.session_id, text, idempotency_key=key)
        advice.replace(f"The turn continues. {self._advice(text, key)}", continues=True)
        try:
            turn = _follow(client, self.session_id, sent, self._timeout, show)
        except DeadlineExceeded:
            if self._timeout is None:
                raise
            echo(f"No whole answer after {self._timeout:g} s (exit code {exit_codes.STILL_RUNNING}).", err=True)
            echo(f"The turn continues. {self._advice(text, key)}", err=True)
            raise click.exceptions.Exit(exit_codes.STILL_RUNNING) from None
        if turn.sent.replayed:
            echo("The key was used before: nothing was sent again.", err=True)
        return turn

    def _advice(self, text: str, key: str) -> str:
        again = self.command("--key", key, text)
        return f"To find out without being charged twice: {again}"


def _follow(
    client: Client, session_id: str, sent: SentMessage, timeout: float | None, show: Callable[[Change], None]
) -> Turn:
    """Show the changes of a turn, and return it, as the client's `ask` does.

    `ask` sends the message too: its errors do not say whether it was sent.
    """
    from hfgateway.agents.v1alpha1.agent_service_pb2 import Role
    from hfgateway_client.agents import Message, Session, Turn

    session, answers = Session(), dict[str, Message]()
    with closing(client.agents.watch(session_id, sent.id, until_idle=True, timeout=timeout)) as changes:
        for change in changes:
            if isinstance(change, Session):
                session = change
            elif change.role == Role.ROLE_USER:  # the next message: the session is that of its turn
                session = Session()
                break
            elif change.role == Role.ROLE_ASSISTANT:
                answers[change.id] = change
            show(change)
    return Turn(session, sent, tuple(answers.values()))


class _AnswerPrinter:
    """Writes answers as they grow: text to standard output, thoughts to standard error."""

    def __init__(self) -> None:
        self._printed: dict[str, tuple[str, str]] = {}
        """The printed text and thoughts of each message."""
        self._column = ""

    def __call__(self, change: Change) -> None:
        """Print what a change adds."""
        from hfgateway.agents.v1alpha1.agent_service_pb2 import Role
        from hfgateway_client.agents import Message

        if not isinstance(change, Message) or change.role != Role.ROLE_ASSISTANT:
            return
        text, thoughts = self._printed.get(change.id, ("", ""))
        self._printed[change.id] = change.text, change.reasoning
        for line in _appended(thoughts, change.reasoning).splitlines():
            if line.strip():
                echo(line, err=True, dim=True)
        if self._column not in {"", change.id}:
            self.close()
        if added := _appended(text, change.text):
            rewritten = text and not change.text.startswith(text)
            echo_lines(f"\n{added}" if rewritten else added, nl=False)
            self._column = change.id

    def close(self) -> None:
        """End the current line."""
        if self._column:
            echo()
            self._column = ""


def _appended(before: str, now: str) -> str:
    """Return what was appended to a text; the whole text if it was rewritten."""
    return now.removeprefix(before) if now.startswith(before) else now


def _read_line() -> str | None:
    """Read a line, with a prompt on a terminal; None at the end of input."""
    if sys.stdin.isatty():
        echo("> ", nl=False, err=True)
    try:
        line = sys.stdin.readline()
        line.encode()  # with the locale C, bytes that are not UTF-8 are read as surrogates
    except UnicodeError:
        fail("standard input is not text in UTF-8", exit_codes.USAGE)
    return line.rstrip("\n") if line else None
