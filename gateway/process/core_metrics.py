"""Registers the metrics that are read from the parts of a running core."""

from collections.abc import Callable, Sequence

from gateway.archive.archiver import Archiver
from gateway.catalog.cached import CachedCatalog
from gateway.generations.admission.admission import Admission
from gateway.generations.stores import Saved
from gateway.process.core import Core
from gateway.process.replica import Replica
from gateway.store.store import SharedStore
from gateway.telemetry import Telemetry

_Row = tuple[str, str, Callable[[], float]]
"""A metric: its name without `hfgateway_`, its help text, and a function that reads its value.

If the name ends with `_total`, it is a counter, otherwise a gauge.
"""


def register_metrics(core: Core, telemetry: Telemetry) -> None:
    """Count generations as they end, and register a metric for each value of the core."""

    def count_ends(saved: Sequence[Saved]) -> None:
        for save in saved:
            if save.generation is not None and save.generation.done and save.change is not None:
                spec = save.generation.spec
                accepted = save.generation.accept_time is not None
                telemetry.generation_ended(save.generation.state.name, spec.tenant, spec.model_id, accepted=accepted)

    core.store.change_log.listen(count_ends)
    telemetry.registry.register(core.calls.metrics)
    _register_accounts(core, telemetry)
    rows = [*_generations(core), *_callbacks(core), *_catalogs(core), *_webhooks(core)]
    if core.archiver is not None:
        rows += _archive(core.archiver)
        telemetry.before_scrape(core.archiver.count_waiting)
    _register(rows, telemetry)


def register_role(serving: Callable[[], Core | Replica], telemetry: Telemetry) -> None:
    """Register the metrics of a gateway among the replicas of its store. `serving` returns what it is now."""
    began_leading = isinstance(serving(), Core)

    def leads() -> bool:
        store = serving().store
        return isinstance(serving(), Core) and (not isinstance(store, SharedStore) or store.current)

    def took_over() -> bool:
        return isinstance(serving(), Core) and not began_leading

    def age() -> float:
        store = serving().store
        return store.age if isinstance(store, SharedStore) else 0.0

    rows: list[_Row] = [
        ("leads", "1 if this gateway does all work and all writes of its store, else 0", leads),
        ("takeovers_total", "Takeovers of the lead by this gateway", took_over),
        ("log_position", "The newest change of the store that this gateway knows", lambda: serving().feed.position),
        ("log_age_seconds", "Time since this gateway read the log or, if it leads, stored a heartbeat", age),
    ]
    _register(rows, telemetry)


def _register_accounts(core: Core, telemetry: Telemetry) -> None:
    upstream, admissions, clock = core.upstream, core.admissions, core.clock

    def of_each(read: Callable[[Admission], float | None]) -> Callable[[], dict[str, float]]:
        def values() -> dict[str, float]:
            found = {name: read(one) for name, one in admissions.by_name.items()}
            return {name: value for name, value in found.items() if value is not None}

        return values

    def refused() -> dict[str, float]:
        names = upstream.refused
        return {name: name in names for name in admissions.accounts.by_name}

    for name, help_text, read in (
        ("refused", "1 if Higgsfield's newest response refused the account's credentials, else 0", refused),
        ("running", "Outputs that may be running at Higgsfield", of_each(lambda one: one.running)),
        ("waiting", "Generations that wait for their turn", of_each(lambda one: one.waiting)),
        (
            "concurrency",
            "Outputs that may run at once, as configured or learned",
            of_each(lambda one: one.limit(clock.moment().steady)),
        ),
    ):
        telemetry.add_labeled_gauge(f"hfgateway_account_{name}", help_text, "account", read)


def _register(rows: Sequence[_Row], telemetry: Telemetry) -> None:
    for name, help_text, read in rows:
        register = telemetry.add_counter if name.endswith("_total") else telemetry.add_gauge
        register(f"hfgateway_{name.removesuffix('_total')}", help_text, read)


def _generations(core: Core) -> list[_Row]:
    def uncertain() -> float:
        return sum(generation.state.name == "UNCERTAIN" for generation in core.feed.entries.generations())

    health, service = core.store.health, core.service
    return [
        ("generations_live", "Generations that have not ended", lambda: len(core.feed.entries)),
        ("generations_uncertain", "Generations whose submission has an unknown outcome", uncertain),
        (
            "ends_contradicted_total",
            "Final statuses that contradict the stored final state of the generation",
            lambda: service.contradictions,
        ),
        (
            "upstream_credentials_refused",
            "1 if Higgsfield's newest response refused the credentials of an account, else 0",
            lambda: bool(core.upstream.refused),
        ),
        ("agent_sessions_read", "Agent sessions that are polled for watchers", lambda: core.agents.watched),
        ("characters_open", "Creations of characters with an unknown outcome", lambda: core.characters.open_count),
        ("store_writable", "1 if the store accepts writes, else 0", lambda: not health.trouble),
        ("store_writes_refused_total", "Writes that the store has refused", lambda: health.writes_refused),
    ]


def _callbacks(core: Core) -> list[_Row]:
    dispatcher = core.dispatcher
    return [
        ("callbacks_delivered_total", "Callback delivery attempts that succeeded", lambda: dispatcher.delivered),
        ("callbacks_failed_total", "Callback delivery attempts that failed", lambda: dispatcher.failed),
        (
            "callbacks_skipped_total",
            "Times that a callback missed changes because they were pruned before their delivery",
            lambda: dispatcher.skipped,
        ),
        ("callbacks_waiting", "Callback deliveries that are pending", dispatcher.waiting),
        ("callbacks_paused", "Callbacks that are paused", dispatcher.paused),
    ]


def _catalogs(core: Core) -> list[_Row]:
    def sum_of(read: Callable[[CachedCatalog], int]) -> Callable[[], float]:
        return lambda: sum(map(read, core.catalogs.cached))

    return [
        (
            "catalog_attempts_total",
            "Calls to Higgsfield for a catalog: models, motions, styles or presets",
            sum_of(lambda catalog: catalog.attempts),
        ),
        ("catalog_failures_total", "Calls for a catalog that failed", sum_of(lambda catalog: catalog.failures)),
        (
            "catalog_skipped",
            "Items of the newest catalogs that could not be read",
            sum_of(lambda catalog: catalog.skipped),
        ),
    ]


def _webhooks(core: Core) -> list[_Row]:
    def reader(outcome: str) -> Callable[[], float]:
        return lambda: core.webhook_inbox.received[outcome]

    return [
        (f"webhooks_{outcome}_total", f"Webhooks with a known token and the result {outcome}", reader(outcome))
        for outcome in (
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


def _archive(archiver: Archiver) -> list[_Row]:
    return [
        ("archive_waiting", "Files that wait to be archived or removed", lambda: archiver.waiting),
        ("archive_failing", "Waiting files whose last attempt failed", lambda: archiver.failing),
        ("archive_files_total", "Files that were archived", lambda: archiver.archived),
        ("archive_bytes_total", "Bytes of the files that were archived", lambda: archiver.bytes),
        ("archive_failures_total", "Attempts to archive or remove a file that failed", lambda: archiver.failures),
        ("archive_given_up_total", "Files that will not be archived", lambda: archiver.given_up),
    ]
