"""Runs one seed: makes its plan, injects faults while callers use the gateway, and calls the checker at the end."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import shutil
import sqlite3
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path

from gateway.audit import BrokenChainError, Entry, verify
from gateway.config import Settings, read_settings
from gateway.generations.limits import day_at
from gateway.generations.model import State
from gateway.store import files
from gateway.store.audit import stored
from tests.simulation.accounts import KEY, Operator
from tests.simulation.books import PRICE_OF_V1, Books, set_budgets
from tests.simulation.callers import Adopter, Caller, CallerBehaviour, Watcher
from tests.simulation.checker import Evidence, violations
from tests.simulation.disk import FULL, HANGS, READ_ONLY, Disk
from tests.simulation.gateway import PUBLIC_URL, Endpoint, SqliteServer
from tests.simulation.higgsfield import SECRET, Higgsfield, UpstreamBehaviour
from tests.simulation.loop import DeadlockError, Process, SimulatedLoop, StepLimitError, discard_tasks
from tests.simulation.world import DAY, HOUR, MINUTE, World, simulated_environment

MAX_STEPS = 1_000_000
"""The limit of steps in a run. A normal run takes some thousands."""
SUBMITTED = "SELECT id FROM generations WHERE NOT adopted"
SETTLE_TIME = 4 * DAY
"""Simulated seconds after the last fault within which every generation must reach a final state."""


@dataclass
class Report:
    """The result of one seed."""

    seed: int
    violations: list[str]
    """A text for each violation; empty if the run was clean."""
    fingerprint: str
    """A hash of the trace."""
    steps: int
    """The number of callbacks that the event loop ran."""
    trace: list[str]
    """Everything that happened; empty without `keep_trace`."""
    plan: str


@dataclass
class Scenario:
    """What a run is about, apart from the faults of the gateway's processes and its store. Times are in seconds."""

    caller_count: int
    caller: CallerBehaviour
    upstream: UpstreamBehaviour
    settings: Settings
    horizon: float
    """The time after which all faults stop."""


@dataclass
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
    restores: bool
    """Whether copies of the store are made and restored."""
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
    budget: str = ""
    """The credits of each tenant for a month; empty if there is no budget."""
    adopters: int = 0
    """The number of callers that adopt a request instead of submitting one, beside the others."""
    accounts: bool = False
    """Whether there are two accounts, which an operator changes."""
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


ADOPTED_IN, ADOPTED_AT = 16, 11
"""Requests are adopted in every sixteenth seed, so that the other seeds stay as they were without adoption."""
BUDGETS_IN, BUDGETS_AT = 16, (6, 13)
"""Budgets are set in two of sixteen seeds, for the same reason."""
LOST_IN, LOST_AT = 16, (3, 5, 9)
"""Answers to writes are lost in three of sixteen seeds, for the same reason."""

ACCOUNTS_IN, ACCOUNTS_AT = 16, (1, 10)
"""There are two accounts in two of sixteen seeds, for the same reason."""
LATE_IN, LATE_AT = 16, (4, 12)
"""Commits are announced late in two of sixteen seeds, for the same reason."""


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
    planned.lost_answers = random.Random(seed).choice((0.01, 0.05, 0.3)) if seed % LOST_IN in LOST_AT else 0.0
    planned.adopters = 2 if seed % ADOPTED_IN == ADOPTED_AT else 0
    if seed % BUDGETS_IN in BUDGETS_AT and not planned.restores:
        planned.budget = random.Random(seed).choice(("2.5", "4.001", "6"))
        planned.settings = replace(planned.settings, prices={"": Decimal(PRICE_OF_V1)})
    if seed % ACCOUNTS_IN in ACCOUNTS_AT:
        planned.accounts = True
        planned.settings = replace(planned.settings, accounts_keys=(KEY,))
        planned.lost_answers = random.Random(seed).choice((0.0, 0.0, 0.05))
    if seed % LATE_IN in LATE_AT:
        planned.announce_within = random.Random(seed).choice((0.05, 1.0, 5.0))
        planned.caller.reads_back = True
    return planned


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


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the process exits, in memory if the machine has /dev/shm."""
    parent = "/dev/shm"
    return tempfile.TemporaryDirectory(prefix="simulation-", dir=parent if os.access(parent, os.W_OK) else None)


@cache
def _template() -> Path:
    """Return the path of an empty store with the present schema, which each run copies."""
    path = Path(_scratch().name) / "template.db"
    connection = files.prepare(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def simulate(seed: int, planned: Plan | None = None, *, keep_trace: bool = False) -> Report:
    """Run one seed, with its own plan if none is given, and check the result.

    `keep_trace` keeps the lines of the trace for the report.
    """
    world = World(seed, SimulatedLoop(MAX_STEPS), keep_trace=keep_trace)
    folder = Path(_scratch().name) / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    planned, template = planned or plan(seed), _template()
    environment = simulated_environment(world, max(20.0, planned.horizon / 500))
    return run(world, planned, environment, lambda: _OneProcess(world, planned, Disk(world, folder, template)))


def run(
    world: World, planned: Scenario, environment: AbstractContextManager[None], begin: Callable[[], Simulation]
) -> Report:
    """Run a simulation in its environment, and check the result."""
    loop = world.loop
    collecting = gc.isenabled()
    gc.disable()  # a collection at a time that depends on earlier runs would break the replay
    try:
        with environment:
            try:
                simulation = begin()
                try:
                    loop.run_until_complete(simulation.run())
                except (StepLimitError, DeadlockError) as error:
                    simulation.evidence.finished = False
                    world.record(type(error).__name__)
                simulation.close()
                world.defects += loop.unhandled_errors
                wrong = violations(simulation.evidence)
            finally:
                _close_loop(loop)
    finally:
        if collecting:
            gc.enable()
    return Report(world.seed, wrong, world.fingerprint(), loop.steps, world.trace, repr(planned))


def _close_loop(loop: SimulatedLoop) -> None:
    """Discard all tasks and timers, and close the loop."""
    discard_tasks(asyncio.all_tasks(loop))
    loop._ready.clear()  # type: ignore[attr-defined]
    loop._scheduled.clear()  # type: ignore[attr-defined]
    asyncio.set_event_loop(None)
    loop.close()


class Simulation:
    """A run: callers use a gateway at an endpoint, while faults occur. Its subclasses have the gateway."""

    settle_time = SETTLE_TIME

    def __init__(
        self, world: World, scenario: Scenario, endpoint: Endpoint, higgsfield: Higgsfield, adopters: int = 0
    ) -> None:
        self.world = world
        self.higgsfield = higgsfield
        self._horizon = scenario.horizon
        count, behaviour = scenario.caller_count, scenario.caller
        self.callers = [Caller(world, endpoint, behaviour, number) for number in range(count)]
        self.callers += [Adopter(world, endpoint, behaviour, count + number, higgsfield) for number in range(adopters)]
        self.watchers = [Watcher(world, endpoint, behaviour, f"tenant-{number}") for number in range(2)]
        self.evidence = Evidence(
            histories=[caller.history for caller in self.callers],
            views=[watcher.view for watcher in self.watchers],
            ledger=higgsfield.ledger,
            defects=world.defects,
            uncertain_timeout=scenario.settings.uncertain_timeout,
            drain=scenario.settings.drain,
            retention=scenario.settings.retention,
        )

    async def run(self) -> None:
        """Run until everything has settled after the last fault."""
        world = self.world
        serving, injecting = world.spawn(self._serve()), world.spawn(self._inject_faults())
        _monitoring = world.spawn(self._monitor())
        caller_tasks = [world.spawn(caller.run()) for caller in self.callers]
        for watcher in self.watchers:
            world.spawn(watcher.run())
        self._begin()
        await self.world.sleep(self._horizon)
        self._stop_faults()
        injecting.cancel()
        await self._recover()
        await asyncio.wait(caller_tasks, timeout=self.settle_time)
        await self._wait_until_settled()
        for caller in self.callers:
            await caller.get_final()
        await self.world.sleep(HOUR)  # by then every watcher has reconnected
        for _ in range(60):
            if all(watcher.view.caught_up for watcher in self.watchers):
                break
            await self.world.sleep(1.0)  # the stream of one has just ended, because it was old
        self.evidence.ended_at = world.now
        self._measure()
        serving.cancel()

    def close(self) -> None:
        """End the last processes, and complete the evidence."""
        raise NotImplementedError

    async def _serve(self) -> None:
        """Run the processes of the gateway."""
        raise NotImplementedError

    async def _inject_faults(self) -> None:
        """Run all faults that occur at random times."""
        raise NotImplementedError

    async def _monitor(self) -> None:
        """Look from time to time at what the gateway does."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Start what else there is beside callers and watchers."""

    def _stop_faults(self) -> None:
        raise NotImplementedError

    async def _recover(self) -> None:
        """Wait until the gateway has recovered from the last fault, if that takes time."""

    def _settled(self) -> bool:
        """Return whether every generation in the store is in a final state."""
        raise NotImplementedError

    def _measure(self) -> None:
        """Complete the evidence at the end of the run."""
        raise NotImplementedError

    def _check_audit(self, found: Sequence[tuple[bytes, Entry]], kept: set[str]) -> None:
        """Compare the submissions in the audit log with the generations in the store."""
        wrong = self.evidence.wrong_audit
        try:
            verify(found)
        except BrokenChainError as error:
            wrong.append(str(error))
            return
        contents = [json.loads(entry.text) for _, entry in found]
        submitted = Counter(content["id"] for content in contents if content["act"] == "generation.submit")
        wrong += [f"{name} was submitted {count} times" for name, count in submitted.items() if count > 1]
        gone = {content["id"] for content in contents if content["act"] == "generation.delete"}
        wrong += [f"{name} has no entry" for name in sorted(kept - submitted.keys())]
        if self.evidence.retention > self.settle_time + self._horizon:  # otherwise some are removed by their age
            wrong += [f"{name} has an entry, and is not stored" for name in sorted(submitted.keys() - kept - gone)]

    async def _at_random_time(self, fault: Callable[[], Awaitable[None]], window: float = 0.8) -> None:
        await self.world.sleep(self.world.rng.random() * self._horizon * window)
        await fault()

    async def _wait_until_settled(self) -> None:
        """Return when every generation in the store is in a final state, or after `settle_time`."""
        until = self.world.now + self.settle_time
        while self.world.now < until:
            await self.world.sleep(120.0)
            if self._settled():
                return


class _OneProcess(Simulation):
    """A gateway on SQLite: one process after another."""

    def __init__(self, world: World, planned: Plan, disk: Disk) -> None:
        self.plan = planned
        self.disk = disk
        self.server = SqliteServer(world, disk, replace(planned.settings, store=disk.path))
        higgsfield = self.server.higgsfield = Higgsfield(world, planned.upstream, self.server.deliver_webhook)
        super().__init__(world, planned, self.server, higgsfield, planned.adopters)
        self.evidence.terminations = self.server.terminations
        self._crashes_left = planned.crashes
        world.wall_skew = planned.initial_wall_skew
        self._restore_undeclared = False
        disk.commit_time = planned.commit_time
        disk.commit_failure, disk.io_error = planned.commit_failure, planned.io_error
        disk.lost_answers, disk.announce_within = planned.lost_answers, planned.announce_within
        disk.on_commit = self.higgsfield.on_submit = self._target_next_steps
        self.server.response_loss = planned.response_loss
        if planned.budget:
            self.books = Books(self.evidence.wrong_sums, lambda: day_at(world.now))
            disk.in_commit = self.books.check
            with closing(sqlite3.connect(disk.path)) as connection, connection:
                set_budgets(connection.executemany, "?", planned.budget)

    def _begin(self) -> None:
        if self.plan.accounts:
            revokes, pause = not self.plan.restores, self.plan.horizon / 4
            operator = Operator(self.world, self.server, self.higgsfield, pause, revokes=revokes)
            self.world.spawn(operator.run())

    def close(self) -> None:
        instance = self.server.instance
        self.evidence.crashes += [(number, 0.0) for number, _, ended_at in self.server.terminations if ended_at is None]
        self.disk.release()
        if instance is not None:
            instance.process.dead = True
            instance.process.kill()

    # -- The gateway and its end ---------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Run processes one after another. In between, change the wall clock or restore a copy."""
        world = self.world
        while True:
            await self.server.run_process(self._plan_end)
            if self.server.refused_starts:
                self._on_refused_start(self.server.refused_starts.pop())
                continue
            if not any(
                number == self.server.process_count
                for number, _, ended_at in self.server.terminations
                if ended_at is not None
            ):
                self.evidence.crashes.append((self.server.process_count, world.now))
            await self.world.sleep(
                world.log_uniform(0.2, max(self.plan.max_downtime, 0.3)) if world.faults_enabled else 1.0
            )
            if not world.faults_enabled:
                continue
            if world.draw_fault(self.plan.wall_clock_changes):
                sign = world.rng.choice((-1, 1))
                world.wall_skew = (
                    0.0
                    if world.rng.random() < 0.3
                    else world.log_uniform(MINUTE, 2 * DAY)
                    if sign > 0
                    else -world.log_uniform(MINUTE, 40 * DAY)
                )
                world.record("wall clock skew", world.wall_skew)
            if self.plan.restores and self.disk.copied_at is not None and world.draw_fault(0.6):
                self.disk.restore()
                self.evidence.restores.append((world.now, self.disk.copied_at))
                self._restore_undeclared = True

    def _on_refused_start(self, why: str) -> None:
        """Declare the store restored after a refused start. The refusal is a defect if no copy was restored."""
        if not self._restore_undeclared:
            self.world.defects.append(f"a start was refused: {why}")
        self._restore_undeclared = False
        self.disk.declare_restored()

    def _plan_end(self, process: Process) -> None:
        """Let a new process end at a random step, while planned crashes are left."""
        if self._crashes_left and self.world.faults_enabled:
            self._crashes_left -= 1
            process.steps_left = int(self.world.log_uniform(1, 4000))
        process.on_steps_exhausted = lambda: self._end_process(process)

    def _end_process(self, process: Process) -> None:
        """Crash a process or send it SIGTERM."""
        instance = self.server.instance
        if instance is None or instance.process is not process or not self.world.faults_enabled:
            return
        if self.world.rng.random() >= self.plan.sigterm_share:
            self.server.crash(instance)
        else:
            self.server.terminate(instance)

    def _target_next_steps(self) -> None:
        """Let the process end within twelve steps, by chance. Called during each commit and submission."""
        instance = self.server.instance
        if instance is not None and self.world.draw_fault(self.plan.targeted_ends / 4):
            instance.process.steps_left = self.world.rng.randrange(12)

    # -- Faults --------------------------------------------------------------------------------------------------------

    async def _inject_faults(self) -> None:
        world, planned = self.world, self.plan
        faults = [self._outage] * planned.outages + [self._disk_fault] * planned.disk_faults
        faults += [self._terminate] * planned.sigterms
        if planned.restores:
            faults += [self._make_copy] * 5
        if planned.wall_clock_changes and world.rng.random() < 0.2:
            faults.append(self._change_wall_clock)
        windows = [self.plan.outage_window if fault == self._outage else 0.8 for fault in faults]
        await asyncio.gather(*map(self._at_random_time, faults, windows))

    async def _outage(self) -> None:
        behaviour, world = self.higgsfield.behaviour, self.world
        behaviour.outage = world.rng.choice(self.plan.outage_kinds)
        world.record("outage", behaviour.outage)
        await self.world.sleep(world.log_uniform(self.plan.min_outage, self.plan.max_outage))
        behaviour.outage = ""
        world.record("outage ended")

    async def _disk_fault(self) -> None:
        world = self.world
        self.disk.set_state(world.rng.choice((FULL, READ_ONLY, HANGS)))
        await self.world.sleep(world.log_uniform(0.05, 10 * MINUTE))
        self.disk.set_state("")

    async def _terminate(self) -> None:
        self.server.terminate(self.server.instance)

    async def _make_copy(self) -> None:
        if self.world.rng.random() < 0.7:
            self.disk.make_copy()

    async def _change_wall_clock(self) -> None:
        self.world.wall_skew += self.world.rng.choice((-1, 1)) * self.world.log_uniform(1.0, 2 * DAY)
        self.world.record("wall clock skew", self.world.wall_skew)

    def _stop_faults(self) -> None:
        world = self.world
        world.record("faults stopped")
        world.faults_enabled = False
        world.wall_skew = 0.0
        self.higgsfield.behaviour.outage = ""
        self.disk.set_state("")
        self.disk.commit_time, self.disk.announce_within = 0.001, 0.0

    async def _monitor(self) -> None:
        """Check whether the gateway reports a hanging disk, and count attempted commits."""
        world, disk, evidence = self.world, self.disk, self.evidence
        while True:
            await self.world.sleep(10.0 if world.faults_enabled and (disk.state or self.plan.horizon < HOUR) else 600.0)
            if disk.commit_attempts and len(disk.commit_attempts) > evidence.most_commits:
                recent = len(disk.commit_attempts) - bisect_right(disk.commit_attempts, world.now - 10.0)
                evidence.most_commits = max(evidence.most_commits, recent)
            instance = self.server.instance
            hanging = disk.hanging_since is not None and world.now - disk.hanging_since > 60.0
            if hanging and instance is not None and instance.accepting:
                core = instance.core
                if not core.service.draining and not core.store.health.trouble:
                    evidence.unreported_hangs.append(world.now)

    # -- The end -------------------------------------------------------------------------------------------------------

    def _settled(self) -> bool:
        instance = self.server.instance
        if instance is None or not instance.accepting:
            return False
        with closing(sqlite3.connect(self.disk.path)) as reader:
            # After a restore, UNCERTAIN generations are held until the operator decides.
            held = f"AND state <> {State.UNCERTAIN.value}" if self.evidence.restores else ""
            (open_ones,) = reader.execute(f"SELECT count(*) FROM generations WHERE done = 0 {held}").fetchone()
        return not open_ones

    def _measure(self) -> None:
        instance = self.server.instance
        if instance is not None:
            self.evidence.tasks_left = len(instance.process.unfinished_tasks())
            self.evidence.timers_left = self.world.loop.timers()
        if self.plan.settings.audit == "on":
            with closing(sqlite3.connect(self.disk.path)) as reader:
                kept = {name for (name,) in reader.execute(SUBMITTED)}
            self._check_audit(list(stored(self.disk.path)), kept)
        if self.plan.budget:
            self.books.compare(self.higgsfield.ledger, self.world.now)
