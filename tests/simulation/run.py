"""Runs one seed: injects faults while callers use the gateway, and calls the checker at the end."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import sqlite3
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gateway.audit import BrokenChainError, Entry, verify
from gateway.generations.limits.model import utc_date
from gateway.generations.model import State
from gateway.store.sqlite import files
from gateway.store.sqlite.audit import stored
from tests.simulation.accounts import Operator
from tests.simulation.archive import Archive, ArchiveReader
from tests.simulation.books import Books, set_budgets
from tests.simulation.budgeting import BudgetingOperator
from tests.simulation.callers import Adopter, Caller, Watcher
from tests.simulation.checker import Evidence, violations
from tests.simulation.disk import FULL, HANGS, READ_ONLY, Disk
from tests.simulation.gateway import Endpoint, SqliteServer
from tests.simulation.higgsfield import Higgsfield
from tests.simulation.keys import KeyHolder, KeyOperator
from tests.simulation.loop import DeadlockError, Process, SimulatedLoop, StepLimitError, discard_tasks
from tests.simulation.plans import Plan, Scenario, plan
from tests.simulation.readers import Reader
from tests.simulation.receiver import CallbackOwner, Receivers
from tests.simulation.resolving import ResolvingOperator
from tests.simulation.talkers import Listener, Talker
from tests.simulation.trainers import Trainer
from tests.simulation.world import DAY, HOUR, MINUTE, World, simulated_environment

Actor = (
    Operator | BudgetingOperator | ResolvingOperator | KeyOperator | KeyHolder | CallbackOwner | ArchiveReader
)  # fmt: skip
MAX_STEPS = 1_000_000
"""The limit of steps in a run. A normal run takes some thousands."""
SUBMITTED = "SELECT id FROM generations WHERE NOT adopted AND idempotency_key NOT LIKE 'resolved %'"
"""The generations that a caller has submitted. One that an operator found after its end has no submission."""
SETTLE_TIME, SHORT_SETTLE_TIME = 4 * DAY, 12 * HOUR
"""Simulated seconds after the last fault within which every generation must reach a final state.

Only if callers act for hours, or generations run for hours or wait for removed credentials, it may take days.
"""
CALM_TIME = HOUR
"""Simulated seconds after that in which nothing may happen. By then every watcher has reconnected."""
RESTORE_TIME = 5.0
"""Simulated seconds between two restores, at least. An operator needs this time."""


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
                    with simulation.receivers.installed(), simulation.archive.installed():
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
    loop.ended = True
    discard_tasks(asyncio.all_tasks(loop))
    loop._ready.clear()  # type: ignore[attr-defined]
    loop._scheduled.clear()  # type: ignore[attr-defined]
    asyncio.set_event_loop(None)
    loop.close()


class Simulation:
    """A run: callers use a gateway at an endpoint, while faults occur. Its subclasses have the gateway."""

    settle_time = SETTLE_TIME
    calm_time = CALM_TIME
    keys_known_within = 0.0
    """Seconds after which all processes that serve callers know a change of an API key."""

    def __init__(self, world: World, scenario: Scenario, endpoint: Endpoint, higgsfield: Higgsfield) -> None:
        self.world = world
        self.higgsfield = higgsfield
        self.receivers = Receivers(world, scenario.receiver)
        self.archive = Archive(world, higgsfield, scenario.archive)
        self._scenario = scenario
        self._endpoint = endpoint
        self._horizon = scenario.horizon
        count, behaviour = scenario.caller_count, scenario.caller
        self.callers = [Caller(world, endpoint, behaviour, number) for number in range(count)]
        self.callers += [
            Adopter(world, endpoint, behaviour, count + number, higgsfield) for number in range(scenario.adopters)
        ]
        self.watchers = [Watcher(world, endpoint, behaviour, f"tenant-{number}") for number in range(2)]
        self.trainers = [
            Trainer(world, endpoint, higgsfield, number, scenario.horizon) for number in range(scenario.trainers)
        ]
        self.talkers = [
            Talker(world, endpoint, higgsfield, number, scenario.horizon) for number in range(scenario.talkers)
        ]
        histories = [caller.history for caller in self.callers]
        self.readers = [
            Reader(
                world,
                endpoint,
                f"tenant-{number}",
                histories=histories,
                leaves=behaviour.leaves,
                pause=scenario.horizon / 4,
            )
            for number in range(2 if scenario.readers else 0)
        ]
        self.listeners = [
            Listener(world, endpoint, higgsfield, talker.talk, scenario.horizon)
            for talker in self.talkers
            if scenario.listens
        ]
        self.evidence = Evidence(
            histories=histories,
            views=[watcher.view for watcher in self.watchers],
            ledger=higgsfield.ledger,
            defects=world.defects,
            uncertain_timeout=scenario.settings.uncertain_timeout,
            drain=scenario.settings.drain,
            retention=scenario.settings.retention,
            poll_max=scenario.settings.poll_max,
            callbacks=self.receivers.callbacks,
            trainings=[trainer.training for trainer in self.trainers],
            talks=[talker.talk for talker in self.talkers],
            archived=self.archive.archived,
        )
        self._reader = ArchiveReader(world, endpoint, self.archive, self.callers, self._horizon / 4)

    async def run(self) -> None:
        """Run until everything has settled after the last fault."""
        world = self.world
        serving, injecting = world.spawn(self._serve()), world.spawn(self._inject_faults())
        _monitoring = world.spawn(self._monitor())
        callers: list[Caller | Trainer | Talker | Listener | Reader]
        callers = [*self.callers, *self.trainers, *self.talkers, *self.listeners, *self.readers]
        acting = [world.spawn(one.run()) for one in (*callers, *self._actors())]
        for watcher in self.watchers:
            world.spawn(watcher.run())
        await self.world.sleep(self._horizon)
        self._stop_faults()
        injecting.cancel()
        await self._recover()
        self.evidence.served_from = world.now
        until = world.now + self.settle_time
        await asyncio.wait(acting, timeout=self.settle_time)
        await self._wait_until_settled(until)
        for caller in self.callers:
            await caller.get_final()
        for listener in self.listeners:
            await listener.finish()
        await self.world.sleep(self.calm_time)
        for _ in range(60):
            if all(watcher.view.caught_up for watcher in self.watchers):
                break
            await self.world.sleep(1.0)  # the stream of one has just ended, because it was old
        self.evidence.ended_at = world.now
        if self.archive.exists:
            await self._reader.finish()
        self.evidence.listings = [one for reader in self.readers for one in reader.listings]
        self.evidence.watches = [one for reader in self.readers for one in reader.watches]
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

    def _actors(self) -> Iterator[Actor]:
        """Return those who act beside callers and watchers."""
        world, endpoint, scenario, pause = self.world, self._endpoint, self._scenario, self._horizon / 4
        if scenario.accounts:
            yield Operator(world, endpoint, self.higgsfield, pause, revokes=not scenario.restores)
        if scenario.changes_budgets:
            yield BudgetingOperator(world, endpoint, pause)
        if scenario.resolves:
            yield ResolvingOperator(world, endpoint, self.evidence, pause / 5)
        if scenario.uses_keys:
            operator = KeyOperator(world, endpoint, pause)
            self.evidence.wrong_keys = operator.wrong
            yield operator
            yield from (KeyHolder(world, endpoint, operator, self.keys_known_within) for _ in range(2))
        for callbacks in self.receivers.callbacks:
            yield CallbackOwner(world, endpoint, callbacks, pause, managed=self.receivers.managed)
        if self.archive.exists:
            yield self._reader

    def _stop_faults(self) -> None:
        raise NotImplementedError

    async def _recover(self) -> None:
        """Wait until the gateway has recovered from the last fault, and serves callers."""
        raise NotImplementedError

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
        if self.evidence.retention > SETTLE_TIME + self._horizon:  # otherwise some are removed by their age
            wrong += [f"{name} has an entry, and is not stored" for name in sorted(submitted.keys() - kept - gone)]

    async def _at_random_time(self, fault: Callable[[], Awaitable[None]], window: float = 0.8) -> None:
        await self.world.sleep(self.world.rng.random() * self._horizon * window)
        await fault()

    async def _wait_until_settled(self, until: float) -> None:
        """Return when every generation in the store is in a final state, or at the true time `until`."""
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
        super().__init__(world, planned, self.server, higgsfield)
        self.evidence.terminations = self.server.terminations
        longest = max(planned.horizon, planned.caller.horizon, planned.caller.max_resubmit_delay)
        if longest <= 3 * HOUR and planned.upstream.max_run_time <= HOUR and not planned.accounts:
            self.settle_time = SHORT_SETTLE_TIME
        self._crashes_left = planned.crashes
        world.wall_skew = planned.initial_wall_skew
        self._restore_undeclared = False
        disk.commit_time = planned.commit_time
        disk.commit_failure, disk.io_error = planned.commit_failure, planned.io_error
        disk.lost_answers, disk.announce_within = planned.lost_answers, planned.announce_within
        disk.on_commit = self.higgsfield.on_submit = self._target_next_steps
        self.server.response_loss = planned.response_loss
        if planned.budget or planned.changes_budgets:
            self.books = Books(self.evidence.wrong_sums, lambda: utc_date(world.now))
            disk.in_commit = self.books.check
        if planned.budget:
            with closing(sqlite3.connect(disk.path)) as connection, connection:
                set_budgets(connection.executemany, "?", planned.budget)

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
                if self.evidence.restores and world.now < self.evidence.restores[-1][0] + RESTORE_TIME:
                    await world.sleep(RESTORE_TIME)
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

    async def _recover(self) -> None:
        while self.server.instance is None or not self.server.instance.accepting:
            await self.world.sleep(10.0)

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
            (pending,) = reader.execute("SELECT count(*) FROM callback_deliveries WHERE state = 1").fetchone()
            (waiting,) = reader.execute("SELECT count(*) FROM archive_files WHERE state IN (0, 3)").fetchone()
        return not (open_ones or pending or waiting)

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
