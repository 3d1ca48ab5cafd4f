"""`hfgateway sandbox`: runs a local imitation of Higgsfield."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option("--port", type=click.IntRange(0, 65535), default=9200, show_default=True, help="0 picks a free port.")
@click.option(
    "--credentials",
    default="sandbox:sandbox",
    show_default=True,
    metavar="ID:SECRET",
    help="The credentials of the account. Separate those of several accounts by spaces.",
)
@click.option(
    "--latency", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Added to every response."
)
@click.option(
    "--fail",
    "faults",
    multiple=True,
    metavar="KIND=P",
    help="The probability, 0 to 1, that a call or a generation fails. KIND is 500, 502, 503, 429, reset, lost, hang, "
    "html, half, nsfw or failed. May be repeated.",
)
@click.option(
    "--time-scale", type=float, default=1.0, show_default=True, help="Generations run this many times faster."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same faults and images.")
@click.option(
    "--concurrency-mode",
    type=click.Choice(["queue", "legacy"]),
    default="queue",
    show_default=True,
    help="What happens at the concurrency limit: submissions are queued, or refused as by the older API.",
)
@click.option(
    "--concurrency-limit",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Outputs that may run at once.",
)
@click.option(
    "--webhook-shape",
    type=click.Choice(["flat", "envelope"]),
    default="flat",
    show_default=True,
    help="The body of a webhook: the status response itself, or with the files under payload.",
)
@click.option("--webhook-secret", default="", metavar="whsec_…", help="Signs webhooks. Separate several by spaces.")
@click.option(
    "--webhook-retry",
    type=click.Choice(["5xx", "until_2xx"]),
    default="5xx",
    show_default=True,
    help="When a webhook is repeated: after network errors, timeouts and 5xx, or after everything except 2xx.",
)
@click.option(
    "--webhook-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="The time that a receiver has to answer.",
)
@click.option("--webhook-canceled", is_flag=True, help="Also send webhooks for cancellations.")
@click.option("--webhook-duplicates", is_flag=True, help="Deliver every webhook twice at once.")
@click.option(
    "--webhook-loss",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="P",
    help="The probability that a webhook is lost.",
)
def sandbox(faults: tuple[str, ...], **options: Any) -> int:
    """Serve an imitation of the Higgsfield REST API, free of charge: small real media files, queues, and at
    GET /__ledger an exact ledger of charges.

    Directives in a prompt cause faults: [fail] [nsfw] [slow=5] [http=503] [lost]. With a number, [fail=1] and [nsfw=2]
    affect that many jobs of a v1 batch.
    """
    from gateway.sandbox.server import SandboxOptions, run

    try:
        chosen = SandboxOptions(fail=dict(_probability(fault) for fault in faults), **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return run(chosen)


def _probability(fault: str) -> tuple[str, float]:
    kind, _, text = fault.partition("=")
    try:
        return kind, float(text)
    except ValueError:
        raise ValueError(f"--fail {fault!r} is not KIND=P") from None
