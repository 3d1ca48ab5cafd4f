"""`hfgateway generate`: submits a generation once, and follows it until it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.advice import Advice
from gateway.cli.connection import Connection, check_reachable, client_options
from gateway.cli.inputs import input_options, label_option
from gateway.cli.outcome import advise, conclude, follow, follow_options, warn
from gateway.cli.output import echo
from gateway.cli.save import check_folder
from gateway.cli.upload import upload_first

if TYPE_CHECKING:
    from hfgateway_client import AnyInput


@click.command()
@input_options
@click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: the same command with the same key returns the same generation, which is charged once. "
    "Repeat it with URLs in place of local files. Default: a new key.",
)
@label_option("A label. May be repeated.")
@click.option(
    "--callback-url", metavar="URL", default="", help="Send signed callbacks here: see `hfgateway callbacks create`."
)
@follow_options
@client_options
def generate(
    *,
    connection: Connection,
    input: AnyInput,
    save: Path | None,
    key: str | None,
    labels: dict[str, str],
    callback_url: str,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Generate an image or a video from PROMPT, and print the URLs of the outputs.

    Exit codes: 0 completed; 1 failed, refused by moderation, or canceled; 2 usage; 3 refused; 4 the gateway does not
    respond; 5 unknown whether it was generated (UNCERTAIN or LOST); 6 still running after --timeout; 7 completed, but
    an output is not saved; 8 Higgsfield does not respond; 9 standard output cannot be written; 130 Ctrl-C (which
    cancels nothing).
    """
    from gateway.cli.catalog import confirm_unlisted, like, suggesting
    from gateway.cli.progress import showing
    from hfgateway.v1.error_pb2 import ErrorReason
    from hfgateway_client import new_idempotency_key

    check_folder(save)
    key = new_idempotency_key() if key is None else key
    advice, hint = Advice("Nothing was submitted."), ""
    again = (
        "The generation may have been submitted. To find out without being charged twice, repeat this command with "
        f"--key {key}"
    )
    with advice.given():
        with connection.client(on_retry=advice.retried) as client:
            check_reachable(client)
            message = upload_first(connection, input)
            if message is not input:
                again += ", with the URLs in place of the files"
            if message.WhichOneof("kind") == "model":
                confirm_unlisted(client, message.model.model_id)
            # From here on, the command must say how to continue, however it ends.
            advice.replace(again)
            with suggesting(client, message.model.model_id), showing(as_json=as_json) as show:
                submission = client.submit(
                    message, idempotency_key=key, labels=labels, callback_url=callback_url, wait_for="stored"
                )
                advise(advice, submission.generation, connection, key)
                warn(submission.warnings)
                generation = follow(
                    client, submission.generation, show, timeout, connection=connection, advice=advice, key=key
                )
            if generation.failure.reason == ErrorReason.ERROR_REASON_MODEL_UNKNOWN:
                hint = like(client, generation.model_id)
            if submission.replayed:
                echo("The key was used before: nothing new was started.", err=True)
        code = conclude(generation, connection=connection, save=save, as_json=as_json)
    if hint:
        echo(hint, err=True)
    return code
