"""`hfgateway callbacks`: manages callbacks, which are sent to the user's own servers."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click
from google.protobuf.message import Message

from gateway.cli import exit_codes
from gateway.cli.advice import Advice
from gateway.cli.connection import Connection, client_options
from gateway.cli.inputs import filter_options
from gateway.cli.numbers import Whole
from gateway.cli.output import echo, echo_cells, json_option, print_json, time_text
from hfgateway.v1 import callback_service_pb2 as pb


@click.group()
def callbacks() -> None:
    """Send signed callbacks to your own servers when generations end."""


@callbacks.command()
@click.argument("url", metavar="[URL]", default="")
@click.option("--every-change", is_flag=True, help="Send every change; default: only final states.")
@filter_options
@click.option("--key", "idempotency_key", metavar="TEXT", help="Idempotency key: a key creates one callback only.")
@json_option
@client_options
def create(*, connection: Connection, url: str, as_json: bool, **wanted: Any) -> None:
    """Send callbacks about matching generations to URL from now on.

    Without URL, callbacks go to the callback URL of each submission.

    Prints the id of the callback, and then the secret that verifies the signatures. The secret is shown only once.
    """
    with connection.client() as client:
        made = client.create_callback(url, **wanted)
    with _secret_advice(connection, made.id).given():
        if as_json:
            print_json(pb.CreateCallbackResponse(callback=made.callback, secret=made.secret, replayed=made.replayed))
            return
        echo(made.id)
        echo(made.secret or "(the secret was shown when the callback was created; `callbacks rotate` makes a new one)")


@callbacks.command(name="list")
@json_option
@client_options
def list_callbacks(connection: Connection, as_json: bool) -> None:
    """List callbacks. A line has id, health, what it receives, and the URL."""
    with connection.client() as client:
        for callback in client.list_callbacks():
            _print(callback, as_json, *_cells(callback))


@callbacks.command()
@click.argument("callback_id", metavar="ID")
@client_options
def delete(connection: Connection, callback_id: str) -> None:
    """Delete the callback ID."""
    with connection.client() as client:
        client.delete_callback(callback_id)
    echo(f"{callback_id} deleted")


@callbacks.command()
@click.argument("callback_id", metavar="ID")
@client_options
def pause(connection: Connection, callback_id: str) -> None:
    """Pause the callback ID. Deliveries wait until it is resumed."""
    with connection.client() as client:
        client.update_callback(callback_id, paused=True)
    echo(f"{callback_id} paused")


@callbacks.command()
@click.argument("callback_id", metavar="ID")
@client_options
def resume(connection: Connection, callback_id: str) -> None:
    """Resume the callback ID. Waiting deliveries are sent at once."""
    with connection.client() as client:
        client.update_callback(callback_id, paused=False)
    echo(f"{callback_id} resumed")


@callbacks.command()
@click.argument("callback_id", metavar="ID")
@client_options
def rotate(connection: Connection, callback_id: str) -> None:
    """Make a new secret for the callback ID and print it once. Old secrets sign as well for another 24 h."""
    with connection.client() as client:
        secret = client.rotate_callback_secret(callback_id)
    with _secret_advice(connection, callback_id).given():
        echo(secret)


@callbacks.command()
@click.argument("callback_id", metavar="ID")
@json_option
@client_options
def test(connection: Connection, callback_id: str, as_json: bool) -> None:
    """Send a test event to the callback ID, and print the outcome. The exit code is 1 if the delivery failed."""
    with connection.client() as client:
        delivery = client.test_callback(callback_id)
    _print(delivery, as_json, _outcome(delivery))
    if delivery.problem:
        raise click.exceptions.Exit(exit_codes.NOT_COMPLETED)


@callbacks.command()
@click.argument("callback_id", metavar="ID")
@click.option("--failed", "failed_only", is_flag=True, help="Only deliveries whose last attempt failed.")
@click.option("--limit", type=Whole(min=1), default=20, show_default=True, help="Show at most this many.")
@json_option
@client_options
def deliveries(*, connection: Connection, callback_id: str, failed_only: bool, limit: int, as_json: bool) -> None:
    """List the deliveries of the callback ID, newest first. A line has id and outcome."""
    with connection.client() as client:
        found = client.list_deliveries(callback_id, failed_only=failed_only, page_size=min(limit, 500))
        for delivery in islice(found, limit):
            _print(delivery, as_json, delivery.id, _outcome(delivery))


@callbacks.command()
@click.argument("delivery_id", metavar="DELIVERY")
@client_options
def redeliver(connection: Connection, delivery_id: str) -> None:
    """Send DELIVERY again, with the same webhook-id."""
    with connection.client() as client:
        client.redeliver(delivery_id)
    echo(f"{delivery_id} is due")


def _secret_advice(connection: Connection, callback_id: str) -> Advice:
    """Return what to do if a new secret cannot be printed."""
    again = connection.command("callbacks", "rotate", callback_id)
    return Advice(f"The secret of the callback {callback_id} is not shown again. Make another one: {again}")


def _print(message: Message, as_json: bool, *cells: str) -> None:
    if as_json:
        print_json(message)
    else:
        echo_cells(cells)


def _cells(callback: pb.Callback) -> tuple[str, ...]:
    health = "paused" if callback.paused else "active"
    if callback.problem:
        since = time_text(callback.problem_time.seconds)
        health += f", failing since {since} ({_problem(callback.problem, callback.problem_http_status)})"
    reported = "every change" if callback.every_change else "ends"
    return callback.id, health, reported, callback.url or "the URL of each submission"


def _outcome(delivery: pb.Delivery) -> str:
    outcome = pb.DeliveryState.Name(delivery.state).removeprefix("DELIVERY_STATE_")
    if delivery.problem:
        outcome += f": {_problem(delivery.problem, delivery.http_status)}"
    if delivery.HasField("next_attempt_time"):
        outcome += f", next attempt {time_text(delivery.next_attempt_time.seconds)}"
    return outcome


def _problem(problem: Any, status: int) -> str:
    name = pb.DeliveryProblem.Name(problem).removeprefix("DELIVERY_PROBLEM_").lower().replace("_", " ")
    if problem == pb.DELIVERY_PROBLEM_CONNECTION:
        name = "no connection"
    return f"{name} {status}" if status else name
