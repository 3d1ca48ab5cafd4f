"""What the parts of a running core tell `/metrics` of themselves."""

from collections.abc import Callable, Sequence

from gateway.archive.archiver import Archiver
from gateway.core import Core
from gateway.generations.ports import Saved
from gateway.telemetry import Telemetry

_Row = tuple[str, str, Callable[[], float]]
"""A name without its beginning, a help text, and what reads the value."""


def measure(core: Core, telemetry: Telemetry) -> None:
    """Count what ends, and show what there is."""

    def count_ends(saved: Sequence[Saved]) -> None:
        for one in saved:
            if one.generation is not None and one.generation.done and one.change is not None:
                telemetry.generation_ended(one.generation.state.name)

    core.store.listen(count_ends)
    rows = [*_generations(core), *_others(core), *_callbacks(core), *_catalogs(core), *_webhooks(core)]
    if core.archiver is not None:
        rows += _archive(core, core.archiver)
    for name, help_text, read in rows:
        telemetry.watch(f"hfgateway_{name}", help_text, read)


def _generations(core: Core) -> list[_Row]:
    def uncertain() -> float:
        return sum(entry.generation.state.name == "UNCERTAIN" for entry in core.feed.entries.values())

    store, service = core.store, core.service
    return [
        ("generations_live", "Generations that have not ended", lambda: len(core.feed.entries)),
        ("generations_uncertain", "Generations of which it is not known whether Higgsfield runs them", uncertain),
        (
            "ends_contradicted",
            "Ends that Higgsfield told after another end of the same request",
            lambda: service.contradictions,
        ),
        ("store_writable", "1 while the store takes writes", lambda: not store.trouble),
        ("store_writes_refused", "Writes that the store could not take", lambda: store.writes_refused),
    ]


def _others(core: Core) -> list[_Row]:
    return [
        ("agent_sessions_read", "Agents' sessions that are watched", lambda: core.agents.watched),
        (
            "characters_open",
            "Creations of characters of which it is not known what came of them",
            lambda: core.characters.open_count,
        ),
    ]


def _callbacks(core: Core) -> list[_Row]:
    courier = core.courier
    return [
        ("callbacks_delivered", "Callbacks: attempts that were taken", lambda: courier.delivered),
        ("callbacks_failed", "Callbacks: attempts that were not taken", lambda: courier.failed),
        (
            "callbacks_skipped",
            "Callbacks: times that changes were removed before one was told of them",
            lambda: courier.skipped,
        ),
        ("callbacks_waiting", "Callbacks: deliveries that wait", courier.waiting),
        ("callbacks_paused", "Callbacks that are paused", courier.paused),
    ]


def _catalogs(core: Core) -> list[_Row]:
    def reader(what: str) -> Callable[[], float]:
        return lambda: core.catalogs.counted(what)

    return [
        (f"catalog_{what}", help_text, reader(what))
        for what, help_text in (
            ("attempts", "Calls for lists of models, motions and the like"),
            ("failures", "Those that failed"),
            ("skipped", "Items of the newest lists that could not be read"),
        )
    ]


def _webhooks(core: Core) -> list[_Row]:
    def reader(what: str) -> Callable[[], float]:
        return lambda: core.deliveries.received.get(what, 0)

    return [
        (f"webhooks_{what}", f"Webhooks that came with a known token: {what}", reader(what))
        for what in (
            "counted",
            "bound",
            "duplicate",
            "ignored",
            "foreign",
            "unconfirmed",
            "late",
            "stray",
            "gone",
            "too_many",
        )
    ]


def _archive(core: Core, archiver: Archiver) -> list[_Row]:
    return [
        ("archive_waiting", "Files that wait to be archived, or to be removed", core.store.copies.copies_waiting),
        ("archive_files", "Files that were archived", lambda: archiver.archived),
        ("archive_bytes", "Bytes of the files that were archived", lambda: archiver.bytes),
        (
            "archive_failures",
            "Attempts to archive a file, or to remove one, that failed",
            lambda: archiver.failures,
        ),
        (
            "archive_given_up",
            "Files that could not be archived before Higgsfield let go of them",
            lambda: archiver.given_up,
        ),
    ]
