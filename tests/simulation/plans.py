"""The plans of runs: which callers, settings and faults a seed chooses."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from gateway.settings.config import Settings, read_settings
from tests.simulation.accounts import KEY
from tests.simulation.archive import ArchiveBehaviour
from tests.simulation.books import PRICE_OF_V1
from tests.simulation.callers import CallerBehaviour
from tests.simulation.gateway import PUBLIC_URL
from tests.simulation.higgsfield import SECRET, UpstreamBehaviour
from tests.simulation.receiver import ReceiverBehaviour
from tests.simulation.world import DAY, HOUR, MINUTE


@dataclass(kw_only=True)
class Scenario:
    """What a run is about, apart from the faults of the gateway's processes and its store. Times are in seconds."""

    caller_count: int
    caller: CallerBehaviour
    upstream: UpstreamBehaviour
    settings: Settings
    horizon: float
    """The time after which all faults stop."""
    budget: str = ""
    """The credits of each tenant for a month; empty if there is no budget."""
    changes_budgets: bool = False
    """Whether an operator sets and clears budgets. There are none at first."""
    adopters: int = 0
    """The number of callers that adopt a request instead of submitting one, beside the others."""
    accounts: bool = False
    """Whether there are two accounts, which an operator changes."""
    restores: bool = False
    """Whether copies of the store are made and restored."""
    resolves: bool = False
    """Whether an operator resolves generations that are UNCERTAIN or LOST."""
    trainers: int = 0
    """The number of callers that train a character, beside the others."""
    talkers: int = 0
    """The number of callers that talk to agents, beside the others."""
    readers: bool = False
    """Whether readers list generations and watch them by their ids."""
    uses_keys: bool = False
    """Whether an operator creates and revokes API keys while callers use them."""
    listens: bool = False
    """Whether the sessions of those callers are watched."""
    receiver: ReceiverBehaviour | None = None
    """How the receivers of callbacks behave; None if there are no callbacks."""
    archive: ArchiveBehaviour | None = None
    """How the archive of outputs behaves; None if there is none."""


@dataclass(kw_only=True)
class Plan(Scenario):
    """The parameters of a run, which the seed determines before the run begins. Times are in seconds.

    Most runs have a few kinds of faults, and some have none.
    """

    crashes: int
    """The number of processes, from the first on, that end at a random step."""
    targeted_ends: float
    """Four times the probability that a commit or a submission ends its process within the next twelve steps."""
    sigterms: int
    """The number of SIGTERMs at random times."""
    max_downtime: float
    """The longest time between the end of a process and the next start."""
    wall_clock_changes: float
    """The probability that the wall clock is changed while the gateway is down."""
    disk_faults: int
    """The number of times at which the disk is full, read-only or hanging for a while."""
    commit_failure: float
    """A probability; see `Disk`."""
    io_error: float
    """A probability; see `Disk`."""
    commit_time: float
    """See `Disk`."""
    outages: int
    """The number of outages of Higgsfield."""
    response_loss: float
    """The probability that the gateway's response to a call is lost."""
    max_outage: float
    outage_kinds: tuple[str, ...]
    """The kinds that an outage is chosen from; see `UpstreamBehaviour.outage`."""
    min_outage: float = 1.0
    outage_window: float = 0.8
    """The fraction of the horizon within which outages begin."""
    initial_wall_skew: float = 0.0
    """Seconds by which the wall clock is ahead of the true time at the start."""
    theme: str = ""
    """The name of the theme; empty if there is none."""
    lost_answers: float = 0.0
    """A probability; see `Disk`."""
    announce_within: float = 0.0
    """See `Disk`."""
    sigterm_share: float = 0.25
    """The probability that the end of a process at a chosen step is a SIGTERM. The others are crashes."""


class Draws(random.Random):
    """Draws the parameters of a plan."""

    def probability(self, likely: float, least: float, most: float) -> float:
        """Return a log-uniform number from `least` to `most` with the probability `likely`; otherwise 0."""
        return least * (most / least) ** self.random() if self.random() < likely else 0.0

    def count(self, likely: float, most: int) -> int:
        """Return a number from 1 to `most` with the probability `likely`; otherwise 0."""
        return self.randint(1, most) if self.random() < likely else 0


def receiver_of(rng: Draws, seed: int) -> ReceiverBehaviour:
    """Draw how receivers and owners of callbacks behave."""
    return ReceiverBehaviour(
        refuses=rng.probability(0.4, 0.02, 0.3),
        unreachable=rng.probability(0.4, 0.02, 0.5),
        silent=rng.probability(0.4, 0.02, 0.3),
        every_change=rng.random() < 0.5,
        managed=Draws(f"owners {seed}").random() < 0.5,
    )


def archive_of(rng: Draws) -> ArchiveBehaviour:
    """Draw how the archive and the hosts of outputs behave."""
    return ArchiveBehaviour(
        refused=rng.probability(0.4, 0.02, 0.5),
        cut_off=rng.probability(0.4, 0.02, 0.3),
        fails=rng.probability(0.5, 0.02, 0.3),
        corrupts=rng.probability(0.3, 0.02, 0.2),
        slow=rng.choice((0.01, 0.5, 20.0)),
        appends=rng.random() < 0.5,
    )


ADOPTED_IN, ADOPTED_AT = 16, 11
"""Requests are adopted in every sixteenth seed, so that the other seeds stay as they were without adoption."""
BUDGETS_IN, BUDGETS_AT = 16, (6, 13)
"""Budgets are set in two of sixteen seeds, for the same reason."""
LOST_IN, LOST_AT = 16, (3, 5, 9)
"""Responses to writes are lost in three of sixteen seeds, for the same reason."""

ACCOUNTS_IN, ACCOUNTS_AT = 16, (1, 10)
"""There are two accounts in two of sixteen seeds, for the same reason."""
RESOLVED_IN, RESOLVED_AT = 16, (7, 15)
"""An operator resolves generations in two of sixteen seeds, for the same reason."""
TRAINERS_IN, TRAINERS_AT = 16, (0, 8)
"""Characters are trained in two of sixteen seeds, for the same reason."""
TALKERS_IN, TALKERS_AT = 32, (0, 24)
"""Callers talk to agents in two of 32 seeds, which are among those with characters."""
CALLBACKS_IN, CALLBACKS_AT = 16, (2, 14)
"""Each tenant has a callback in two of sixteen seeds, for the same reason."""
LATE_IN, LATE_AT = 16, (4, 12)
"""Commits are announced late in two of sixteen seeds, for the same reason."""
LOOKED_UP_IN, LOOKED_UP_AT = 32, (1, 14, 17, 26)
"""Callers look their keys up in four of 32 seeds, for the same reason."""

ARCHIVE_IN, ARCHIVE_AT = 32, (4, 14, 19, 27)
"""Outputs are archived in four of 32 seeds, for the same reason."""
READERS_IN, READERS_AT = 32, (14, 25, 28, 31)
"""Readers list and watch in four of 32 seeds, for the same reason."""
USES_KEYS_IN, USES_KEYS_AT = 32, (6, 22)
"""API keys are used in two of 32 seeds, for the same reason."""
CHANGES_BUDGETS_IN, CHANGES_BUDGETS_AT = 32, (0, 1, 19, 28)
"""An operator changes budgets in four of 32 seeds, for the same reason."""


def plan(seed: int) -> Plan:
    """Return the plan of a seed."""
    rng = Draws(f"plan {seed}")
    probability, count = rng.probability, rng.count
    horizon = rng.choices((60.0, 600.0, 2 * HOUR, 4 * DAY), (4, 4, 2, 1))[0]
    long = horizon > HOUR
    webhooks = rng.random() < 0.4
    signs = webhooks and rng.random() < 0.6
    repeats = rng.random() < 0.8
    window = rng.choice((120.0, 900.0))
    pace = horizon / 200 if long else 20.0
    settings = replace(
        default_settings(),
        upstream_idempotency="v2" if repeats else "off",
        upstream_idempotency_window=window,
        upstream_concurrency=rng.choice((0, 0, 1, 2, 4)),
        uncertain_timeout=rng.choice((900.0, 3 * HOUR)),
        poll_min=min(pace, 600.0),
        poll_max=max(pace, 60.0),
        public_url=PUBLIC_URL if webhooks else None,
        webhook_secrets=(SECRET,) if signs else (),
        retention=rng.choice((DAY, 30 * DAY)),
    )
    planned = Plan(
        caller_count=rng.choice((1, 2, 3, 5, 8)),
        caller=CallerBehaviour(
            leaves=probability(0.4, 0.05, 0.6),
            cancels=probability(0.3, 0.1, 0.7),
            deletes=probability(0.3, 0.1, 0.7),
            watches=0.5,
            submits_again=probability(0.5, 0.1, 1.0),
            uses_v1=probability(0.3, 0.2, 1.0),
            sets_start_timeout=probability(0.2, 0.3, 1.0),
            fails_when_saturated=probability(0.1, 0.3, 1.0),
            horizon=min(horizon, DAY),
            max_resubmit_delay=max(horizon, HOUR),
        ),
        upstream=UpstreamBehaviour(
            refused_connection=probability(0.2, 0.02, 0.3),
            hanging_lookup=probability(0.1, 0.02, 0.3),
            request_lost=probability(0.2, 0.02, 0.3),
            response_lost=probability(0.3, 0.02, 0.5),
            no_response=probability(0.2, 0.02, 0.3),
            server_error=probability(0.2, 0.02, 0.3),
            server_error_after=probability(0.2, 0.02, 0.3),
            truncated_body=probability(0.1, 0.02, 0.3),
            refusal=probability(0.2, 0.05, 0.5),
            false_404=probability(0.2, 0.02, 0.3),
            slow_network=probability(0.2, 0.02, 0.4),
            webhook_lost=probability(0.3, 0.1, 0.9),
            webhook_duplicated=probability(0.3, 0.1, 0.9),
            concurrency_limit=rng.choice((0, 0, 0, 1, 2)),
            max_queue_time=min(horizon, 300.0) if not long else horizon / 20,
            max_run_time=min(2 * horizon, 300.0) if not long else horizon / 4,
            key_retention=window + 240.0 if rng.random() < 0.5 else DAY,
            signs_webhooks=signs,
        ),
        settings=settings,
        horizon=horizon,
        crashes=count(0.5, 4),
        targeted_ends=probability(0.3, 0.02, 0.3),
        sigterms=count(0.3, 3),
        max_downtime=rng.choice((2.0, MINUTE, HOUR if long else MINUTE, horizon)),
        wall_clock_changes=probability(0.3, 0.3, 1.0),
        restores=rng.random() < 0.12,
        disk_faults=count(0.25, 3),
        commit_failure=probability(0.15, 0.01, 0.2),
        io_error=probability(0.1, 0.005, 0.05),
        commit_time=rng.choice((0.0005, 0.003, 0.1)),
        outages=count(0.35, 3),
        response_loss=probability(0.3, 0.02, 0.3),
        max_outage=30 * HOUR if long else horizon,
        outage_kinds=("refuses", "silent", "503", "429", "404"),
    )
    if rng.random() < 0.5:
        theme = rng.choice(THEMES)
        theme(planned, rng)
        planned.theme = theme.__name__.strip("_")
    _add_what_few_seeds_have(planned, seed)
    return planned


def _add_what_few_seeds_have(planned: Plan, seed: int) -> None:
    planned.lost_answers = random.Random(seed).choice((0.01, 0.05, 0.3)) if seed % LOST_IN in LOST_AT else 0.0
    planned.adopters = 2 if seed % ADOPTED_IN == ADOPTED_AT else 0
    if seed % BUDGETS_IN in BUDGETS_AT and not planned.restores:
        planned.budget = random.Random(seed).choice(("2.5", "4.001", "6"))
        planned.settings = replace(planned.settings, prices={"": Decimal(PRICE_OF_V1)})
    if seed % ACCOUNTS_IN in ACCOUNTS_AT:
        planned.accounts = True
        planned.settings = replace(planned.settings, accounts_keys=(KEY,))
        planned.lost_answers = random.Random(seed).choice((0.0, 0.0, 0.05))
    if seed % RESOLVED_IN in RESOLVED_AT:
        planned.resolves = True
        planned.settings = replace(planned.settings, retention=30 * DAY)
        planned.upstream.response_lost = max(planned.upstream.response_lost, 0.4)
        planned.upstream.request_lost = max(planned.upstream.request_lost, 0.2)
    if seed % TRAINERS_IN in TRAINERS_AT:
        faults = Draws(f"trainers {seed}")
        planned.trainers = faults.choice((1, 3, 3, 6))
        planned.lost_answers = faults.choice((0.0, 0.05, 0.3))
        planned.upstream.response_lost = max(planned.upstream.response_lost, faults.choice((0.0, 0.3)))
    if seed % TALKERS_IN in TALKERS_AT:
        planned.talkers = random.Random(seed).choice((1, 2, 4))
        planned.listens = True
        planned.upstream.repeated_message = Draws(f"talkers {seed}").choice((0.0, 0.0, 0.3))
    if seed % CALLBACKS_IN in CALLBACKS_AT:
        faults = Draws(f"callbacks {seed}")
        planned.receiver = receiver_of(faults, seed)
        planned.receiver.down_for = planned.horizon / 2 if faults.random() < 0.3 else 0.0
    if seed % LATE_IN in LATE_AT:
        planned.announce_within = random.Random(seed).choice((0.05, 1.0, 5.0))
        planned.caller.reads_back = True
    if seed % LOOKED_UP_IN in LOOKED_UP_AT:
        planned.caller.looks_up = True
    if seed % ARCHIVE_IN in ARCHIVE_AT:
        planned.archive = archive_of(Draws(f"archive {seed}"))
    if seed % CHANGES_BUDGETS_IN in CHANGES_BUDGETS_AT and not planned.restores:
        planned.changes_budgets = True
        planned.settings = replace(planned.settings, prices={"": Decimal(PRICE_OF_V1)})
    planned.readers = seed % READERS_IN in READERS_AT
    # A restored copy has keys again that were revoked.
    if seed % USES_KEYS_IN in USES_KEYS_AT and not planned.restores:
        planned.uses_keys = True
        planned.settings = replace(planned.settings, auth="keys")


def _wrong_wall_clock(planned: Plan, rng: random.Random) -> None:
    """The wall clock changes during long downtimes, while generations wait whose age matters."""
    planned.wall_clock_changes, planned.crashes, planned.targeted_ends = 1.0, max(planned.crashes, 2), 0.3
    planned.max_downtime = max(planned.horizon, HOUR)
    planned.initial_wall_skew = rng.choice((0.0, -20 * DAY))
    planned.upstream.response_lost = max(planned.upstream.response_lost, 0.4)
    planned.upstream.concurrency_limit = rng.choice((0, 1, 2))
    planned.caller.sets_start_timeout, planned.caller.submits_again = rng.choice((0.0, 0.7)), 1.0
    planned.caller.max_resubmit_delay = 3 * HOUR


def _old_copy(planned: Plan, rng: random.Random) -> None:
    """Copies of the store are made and restored, with several callers and frequent crashes."""
    planned.restores, planned.crashes, planned.targeted_ends = True, max(planned.crashes, 2), 0.2
    planned.caller_count = max(planned.caller_count, 5)
    planned.settings = replace(planned.settings, upstream_concurrency=rng.choice((0, 1, 1)))
    planned.caller.uses_v1 = rng.choice((0.0, 0.8))
    planned.upstream.max_queue_time, planned.upstream.max_run_time = 3.0, 15.0
    planned.max_downtime = rng.choice((2.0, MINUTE, planned.horizon))


def _absent_callers(planned: Plan, rng: random.Random) -> None:
    """Watchers are disconnected most of the time, and callers delete generations that have ended."""
    planned.caller.leaves, planned.caller.deletes, planned.caller.max_disconnected = 0.9, 0.9, 600.0
    planned.caller.horizon = min(planned.caller.horizon, 600.0)
    planned.upstream.max_run_time = min(planned.upstream.max_run_time, 60.0)


def _repeated_sigterm(planned: Plan, rng: random.Random) -> None:
    """The gateway receives SIGTERM again and again, often during a commit or a submission, and the disk is slow."""
    planned.sigterms, planned.commit_time = 4, rng.choice((0.01, 0.1, 0.3))
    planned.sigterm_share = 1.0
    planned.targeted_ends = 0.4


def _failing_disk(planned: Plan, rng: random.Random) -> None:
    """The disk fails while callers leave their calls and delete generations."""
    planned.disk_faults, planned.commit_failure = 3, rng.choice((0.0, 0.2))
    planned.caller.leaves, planned.caller.deletes = 0.5, 0.5
    planned.upstream.slow_network = planned.upstream.slow_network and 0.1


def _long_outage(planned: Plan, rng: random.Random) -> None:
    """Higgsfield has a single outage of about a day. Mostly it responds with 404 to every call about a request."""
    planned.horizon = 4 * DAY
    planned.upstream.min_run_time, planned.upstream.max_run_time, planned.upstream.max_queue_time = (
        10 * HOUR,
        2 * DAY,
        HOUR,
    )
    planned.settings = replace(planned.settings, poll_min=600.0, poll_max=1800.0)
    planned.outages, planned.max_outage = 1, 34 * HOUR
    planned.min_outage, planned.outage_window = 22 * HOUR, 0.1
    planned.outage_kinds = ("404", "404", "silent", "503")
    planned.caller.horizon = HOUR
    # A start that Higgsfield refuses for its limit is tried again every 5 s. For two days, a run has too few steps.
    planned.upstream.concurrency_limit = 0


THEMES = (
    _wrong_wall_clock,
    _wrong_wall_clock,
    _old_copy,
    _repeated_sigterm,
    _failing_disk,
    _absent_callers,
    _long_outage,
)
"""Combinations of faults that do harm only together. Half of the seeds have one of them. The first is listed twice, and
so chosen twice as often."""


@cache
def default_settings() -> Settings:
    """Return the settings of a gateway for which only the required ones are set."""
    return read_settings(
        {"HFGATEWAY_STORE_URL": "sqlite:////nowhere", "HFGATEWAY_UPSTREAM_URL": "https://higgsfield.example"}
    )
