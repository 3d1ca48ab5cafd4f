"""One seed: a world with its weather, a gateway that dies in it and comes back, callers, and the judge at the end."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gateway.config import Settings, read_settings
from gateway.generations.model import State
from gateway.store import files
from tests.simulation.callers import Customer, Habits, Watcher
from tests.simulation.checker import Evidence, violations
from tests.simulation.disk import FULL, READ_ONLY, Disk
from tests.simulation.gateway import PUBLIC_URL, Server
from tests.simulation.higgsfield import SECRET, Higgsfield, Moods
from tests.simulation.loop import Life, NothingToDoError, SimulatedLoop, TooManyStepsError, forget
from tests.simulation.world import DAY, HOUR, MINUTE, World, taken_over

MOST_STEPS = 1_000_000
"""A run takes some thousands; what goes round without letting time pass is found by the loop itself."""
QUIET_MOST = 4 * DAY
"""Simulated seconds after the last fault within which everything has to have ended."""


@dataclass
class Report:
    """What became of one seed."""

    seed: int
    violations: list[str]
    fingerprint: str
    steps: int
    trace: list[str]
    plan: str


@dataclass
class Plan:
    """What a seed decides before anything happens. Most runs have a few kinds of trouble; some have none."""

    customers: int
    habits: Habits
    moods: Moods
    settings: Settings
    horizon: float
    crashes: int
    aimed: float
    terminations: int
    downtime: float
    jumps: float
    restores: bool
    disk_trouble: int
    commit_fails: float
    disk_breaks: float
    slowness: float
    outages: int
    answers_lost: float
    longest_outage: float
    outage_kinds: tuple[str, ...]
    shortest_outage: float = 1.0
    outages_within: float = 0.8
    first_skew: float = 0.0
    theme: str = ""
    aimed_ends: float = 0.25
    """How many of the ends that are aimed at a commit or a submission are orderly."""


def plan(seed: int) -> Plan:
    """What the seed has in store."""
    chance = random.Random(f"plan {seed}")

    def some(likely: float, least: float, most: float) -> float:
        return least * (most / least) ** chance.random() if chance.random() < likely else 0.0

    def times(likely: float, most: int) -> int:
        return chance.randint(1, most) if chance.random() < likely else 0

    horizon = chance.choices((60.0, 600.0, 2 * HOUR, 4 * DAY), (4, 4, 2, 1))[0]
    long = horizon > HOUR
    webhooks = chance.random() < 0.4
    signs = webhooks and chance.random() < 0.6
    repeats = chance.random() < 0.8
    window = chance.choice((120.0, 900.0))
    pace = horizon / 200 if long else 20.0
    settings = replace(
        _settings(),
        upstream_idempotency="v2" if repeats else "off",
        upstream_idempotency_window=window,
        upstream_concurrency=chance.choice((0, 0, 1, 2, 4)),
        uncertain_timeout=chance.choice((900.0, 3 * HOUR)),
        poll_min=min(pace, 600.0),
        poll_max=max(pace, 60.0),
        public_url=PUBLIC_URL if webhooks else None,
        webhook_secrets=(SECRET,) if signs else (),
        retention=chance.choice((DAY, 30 * DAY)),
    )
    planned = Plan(
        customers=chance.choice((1, 2, 3, 5, 8)),
        habits=Habits(
            leaves=some(0.4, 0.05, 0.6),
            cancels=some(0.3, 0.1, 0.7),
            deletes=some(0.3, 0.1, 0.7),
            watches=0.5,
            asks_again=some(0.5, 0.1, 1.0),
            v1=some(0.3, 0.2, 1.0),
            start_timeout=some(0.2, 0.3, 1.0),
            not_queued=some(0.1, 0.3, 1.0),
            horizon=min(horizon, DAY),
            again_most=max(horizon, HOUR),
        ),
        moods=Moods(
            refused_connection=some(0.2, 0.02, 0.3),
            hanging_lookup=some(0.1, 0.02, 0.3),
            lost_before=some(0.2, 0.02, 0.3),
            lost_after=some(0.3, 0.02, 0.5),
            silent=some(0.2, 0.02, 0.3),
            error=some(0.2, 0.02, 0.3),
            error_after=some(0.2, 0.02, 0.3),
            rubbish=some(0.1, 0.02, 0.3),
            refusal=some(0.2, 0.05, 0.5),
            missing=some(0.2, 0.02, 0.3),
            slow=some(0.2, 0.02, 0.4),
            webhook_lost=some(0.3, 0.1, 0.9),
            webhook_twice=some(0.3, 0.1, 0.9),
            limit=chance.choice((0, 0, 0, 1, 2)),
            queue_most=min(horizon, 300.0) if not long else horizon / 20,
            run_most=min(2 * horizon, 300.0) if not long else horizon / 4,
            keys_kept=window + 240.0 if chance.random() < 0.5 else DAY,
            signs=signs,
        ),
        settings=settings,
        horizon=horizon,
        crashes=times(0.5, 4),
        aimed=some(0.3, 0.02, 0.3),
        terminations=times(0.3, 3),
        downtime=chance.choice((2.0, MINUTE, HOUR if long else MINUTE, horizon)),
        jumps=some(0.3, 0.3, 1.0),
        restores=chance.random() < 0.12,
        disk_trouble=times(0.25, 3),
        commit_fails=some(0.15, 0.01, 0.2),
        disk_breaks=some(0.1, 0.005, 0.05),
        slowness=chance.choice((0.0005, 0.003, 0.1)),
        outages=times(0.35, 3),
        answers_lost=some(0.3, 0.02, 0.3),
        longest_outage=30 * HOUR if long else horizon,
        outage_kinds=("refuses", "silent", "503", "429", "404"),
    )
    if chance.random() < 0.5:
        theme = chance.choice(THEMES)
        theme(planned, chance)
        planned.theme = theme.__name__.strip("_")
    return planned


def _wrong_calendar(planned: Plan, chance: random.Random) -> None:
    """Long pauses after which the calendar is another one, while something is open that has an age."""
    planned.jumps, planned.crashes, planned.aimed = 1.0, max(planned.crashes, 2), 0.3
    planned.downtime = max(planned.horizon, HOUR)
    planned.first_skew = chance.choice((0.0, -20 * DAY))
    planned.moods.lost_after = max(planned.moods.lost_after, 0.4)
    planned.moods.limit = chance.choice((0, 1, 2))
    planned.habits.start_timeout, planned.habits.asks_again = chance.choice((0.0, 0.7)), 1.0
    planned.habits.again_most = 3 * HOUR


def _old_copy(planned: Plan, chance: random.Random) -> None:
    """Copies are made, and one of them is restored."""
    planned.restores, planned.crashes, planned.aimed = True, max(planned.crashes, 2), 0.2
    planned.customers = max(planned.customers, 5)
    planned.settings = replace(planned.settings, upstream_concurrency=chance.choice((0, 1, 1)))
    planned.habits.v1 = chance.choice((0.0, 0.8))
    planned.moods.queue_most, planned.moods.run_most = 3.0, 15.0
    planned.downtime = chance.choice((2.0, MINUTE, planned.horizon))


def _absent(planned: Plan, chance: random.Random) -> None:
    """Watchers are away most of the time, and customers delete what has ended."""
    planned.habits.leaves, planned.habits.deletes, planned.habits.away = 0.9, 0.9, 600.0
    planned.habits.horizon = min(planned.habits.horizon, 600.0)
    planned.moods.run_most = min(planned.moods.run_most, 60.0)


def _rolling(planned: Plan, chance: random.Random) -> None:
    """SIGTERM again and again, with a slow disk."""
    planned.terminations, planned.slowness = 4, chance.choice((0.01, 0.1, 0.3))
    planned.aimed_ends = 1.0
    planned.aimed = 0.4


def _bad_disk(planned: Plan, chance: random.Random) -> None:
    """The disk fails while callers come, leave, and delete."""
    planned.disk_trouble, planned.commit_fails = 3, chance.choice((0.0, 0.2))
    planned.habits.leaves, planned.habits.deletes = 0.5, 0.5
    planned.moods.slow = planned.moods.slow and 0.1


def _long_silence(planned: Plan, chance: random.Random) -> None:
    """For more than a day Higgsfield knows nothing."""
    planned.horizon = 4 * DAY
    planned.moods.run_least, planned.moods.run_most, planned.moods.queue_most = 10 * HOUR, 2 * DAY, HOUR
    planned.settings = replace(planned.settings, poll_min=600.0, poll_max=1800.0)
    planned.outages, planned.longest_outage = 1, 34 * HOUR
    planned.shortest_outage, planned.outages_within = 22 * HOUR, 0.1
    planned.outage_kinds = ("404", "404", "silent", "503")
    planned.habits.horizon = HOUR


THEMES = (_wrong_calendar, _wrong_calendar, _old_copy, _rolling, _bad_disk, _absent, _long_silence)
"""Troubles that have to come together to do harm; half of the seeds have one of them."""


@cache
def _settings() -> Settings:
    return read_settings(
        {"HFGATEWAY_STORE_URL": "sqlite:////nowhere", "HFGATEWAY_UPSTREAM_URL": "https://higgsfield.example"}
    )


@cache
def _scratch() -> Path:
    """A folder in memory, where there is one."""
    parent = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="simulation-", dir=parent if os.access(parent, os.W_OK) else None))


@cache
def _template() -> Path:
    """An empty store of the present schema."""
    path = _scratch() / "template.db"
    connection = files.prepare(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def simulate(seed: int, *, keep_trace: bool = False) -> Report:
    """Run one seed."""
    loop = SimulatedLoop(MOST_STEPS)
    world = World(seed, loop, keep_trace=keep_trace)
    folder = _scratch() / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    collecting = gc.isenabled()
    gc.disable()  # when garbage is found must not depend on what was run before
    planned, template = plan(seed), _template()
    try:
        with taken_over(world, max(20.0, planned.horizon / 500)):
            simulation = _Simulation(world, planned, Disk(world, folder, template), folder)
            try:
                loop.run_until_complete(simulation.run())
            except (TooManyStepsError, NothingToDoError) as error:
                simulation.evidence.ended_by_itself = False
                world.tell(type(error).__name__)
            simulation.end()
            wrong = violations(simulation.evidence)
    finally:
        _forget(loop)
        if collecting:
            gc.enable()
    return Report(seed, wrong, world.fingerprint(), loop.steps, world.trace, repr(planned))


def _forget(loop: SimulatedLoop) -> None:
    """Let go of everything that is still under way."""
    forget(asyncio.all_tasks(loop))
    loop._ready.clear()  # type: ignore[attr-defined]
    loop._scheduled.clear()  # type: ignore[attr-defined]
    asyncio.set_event_loop(None)
    loop.close()


class _Simulation:
    def __init__(self, world: World, planned: Plan, disk: Disk, folder: Path) -> None:
        self.world = world
        self.plan = planned
        self.disk = disk
        self.server = Server(world, disk, replace(planned.settings, store_path=disk.path))
        self.higgsfield = Higgsfield(world, planned.moods, self.server.webhook)
        self.server.higgsfield = self.higgsfield
        self.customers = [Customer(world, self.server, planned.habits, number) for number in range(planned.customers)]
        self.watchers = [Watcher(world, self.server, planned.habits, f"tenant-{number}") for number in range(2)]
        self.evidence = Evidence(
            histories=[customer.history for customer in self.customers],
            models=[watcher.model for watcher in self.watchers],
            ledger=self.higgsfield.ledger,
            logged=world.logged,
            terminations=self.server.terminations,
            uncertain_timeout=planned.settings.uncertain_timeout,
            drain=planned.settings.drain,
            retention=planned.settings.retention,
        )
        self._crashes = planned.crashes
        world.skew = planned.first_skew
        self._undeclared = False
        disk.slowness = planned.slowness
        disk.fails, disk.breaks = planned.commit_fails, planned.disk_breaks
        disk.on_commit = self.higgsfield.on_submit = self._aim
        self.server.answers_lost = planned.answers_lost

    async def run(self) -> None:
        world, horizon = self.world, self.plan.horizon
        serving = world.outside(self._serve())
        weather = [world.outside(self._weather()), world.outside(self._probe())]
        living = [world.outside(customer.live()) for customer in self.customers]
        for watcher in self.watchers:
            world.outside(watcher.live())
        await self.world.sleep(horizon)
        self._calm_down()
        weather[0].cancel()
        await asyncio.wait(living, timeout=QUIET_MOST)
        await self._settled()
        for customer in self.customers:
            await customer.conclude()
        await self.world.sleep(HOUR)  # the most patient watcher has come back
        self.evidence.over_at = world.now
        self._measure()
        serving.cancel()
        del weather

    def end(self) -> None:
        """Let go of the last process."""
        running = self.server.running
        self.evidence.crashes += [(number, 0.0) for number, _, out in self.server.terminations if out is None]
        self.disk.let_go()
        if running is not None:
            running.life.dead = True
            running.life.end()

    # -- The gateway and its end ---------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Start the gateway whenever it has ended."""
        world = self.world
        while True:
            await self.server.run_once(self._prepare)
            if self.server.refused_starts:
                self._refused(self.server.refused_starts.pop())
                continue
            if not any(number == self.server.lives for number, _, out in self.server.terminations if out is not None):
                self.evidence.crashes.append((self.server.lives, world.now))
            await self.world.sleep(world.between(0.2, max(self.plan.downtime, 0.3)) if world.faults else 1.0)
            if not world.faults:
                continue
            if world.might(self.plan.jumps):
                sign = world.chance.choice((-1, 1))
                world.skew = (
                    0.0
                    if world.chance.random() < 0.3
                    else world.between(MINUTE, 2 * DAY)
                    if sign > 0
                    else -world.between(MINUTE, 40 * DAY)
                )
                world.tell("the calendar is off by", world.skew)
            if self.plan.restores and self.disk.copied_at is not None and world.might(0.6):
                self.disk.restore()
                self.evidence.restores.append((world.now, self.disk.copied_at))
                self._undeclared = True

    def _refused(self, why: str) -> None:
        """A start was refused: rightly, if there is an older copy, and then the operator has a command for it."""
        if not self._undeclared:
            self.world.logged.append(f"a start was refused: {why}")
        self._undeclared = False
        self.disk.declare_restored()

    def _prepare(self, life: Life) -> None:
        """Decide how far this process gets: to some step of it, wherever that is."""
        if self._crashes and self.world.faults:
            self._crashes -= 1
            life.fuse = int(self.world.between(1, 4000))
        life.burnt = lambda: self._burn(life)

    def _burn(self, life: Life) -> None:
        running = self.server.running
        if running is None or running.life is not life or not self.world.faults:
            return
        if self.world.chance.random() >= self.plan.aimed_ends:
            self.server.crash(running)
        else:
            self.server.terminate(running)

    def _aim(self) -> None:
        """A commit or a submission is under way: now and then the end comes within a few steps."""
        running = self.server.running
        if running is not None and self.world.might(self.plan.aimed / 4):
            running.life.fuse = self.world.chance.randrange(12)

    # -- The weather ---------------------------------------------------------------------------------------------------

    async def _weather(self) -> None:
        """Everything that goes wrong at a random time."""
        world, planned = self.world, self.plan
        coming = [self._outage] * planned.outages + [self._disk_trouble] * planned.disk_trouble
        coming += [self._terminate] * planned.terminations
        if planned.restores:
            coming += [self._back_up] * 5
        if planned.jumps and world.chance.random() < 0.2:
            coming.append(self._jump)
        await asyncio.gather(*(self._some_time(what) for what in coming))

    async def _some_time(self, what) -> None:  # type: ignore[no-untyped-def]
        within = self.plan.outages_within if what == self._outage else 0.8
        await self.world.sleep(self.world.chance.random() * self.plan.horizon * within)
        await what()

    async def _outage(self) -> None:
        moods, world = self.higgsfield.moods, self.world
        moods.outage = world.chance.choice(self.plan.outage_kinds)
        world.tell("Higgsfield:", moods.outage)
        await self.world.sleep(world.between(self.plan.shortest_outage, self.plan.longest_outage))
        moods.outage = ""
        world.tell("Higgsfield is back")

    async def _disk_trouble(self) -> None:
        world = self.world
        self.disk.become(world.chance.choice((FULL, READ_ONLY, "hangs")))
        await self.world.sleep(world.between(0.05, 10 * MINUTE))
        self.disk.become("")

    async def _terminate(self) -> None:
        self.server.terminate(self.server.running)

    async def _back_up(self) -> None:
        if self.world.chance.random() < 0.7:
            self.disk.back_up()

    async def _jump(self) -> None:
        self.world.skew += self.world.chance.choice((-1, 1)) * self.world.between(1.0, 2 * DAY)
        self.world.tell("the calendar jumps to", self.world.skew)

    def _calm_down(self) -> None:
        world = self.world
        world.tell("faults stop")
        world.faults = False
        world.skew = 0.0
        self.higgsfield.moods.outage = ""
        self.disk.become("")
        self.disk.slowness = 0.001

    async def _probe(self) -> None:
        """Look at what the gateway reports of its health, and how busy the disk is."""
        world, disk, evidence = self.world, self.disk, self.evidence
        while True:
            await self.world.sleep(10.0 if world.faults and (disk.state or self.plan.horizon < HOUR) else 600.0)
            if disk.attempts and len(disk.attempts) > evidence.busiest:
                recent = sum(at > world.now - 10.0 for at in disk.attempts)
                evidence.busiest = max(evidence.busiest, recent)
            running = self.server.running
            silent = disk.silent_since is not None and world.now - disk.silent_since > 60.0
            if silent and running is not None and running.accepts:
                core = running.core
                if not core.service.draining and not core.store.trouble:
                    evidence.hidden_hangs.append(world.now)

    # -- The end -------------------------------------------------------------------------------------------------------

    async def _settled(self) -> None:
        """Return when nothing is open any more, or when that has taken too long."""
        until = self.world.now + QUIET_MOST
        while self.world.now < until:
            await self.world.sleep(120.0)
            running = self.server.running
            if running is None or not running.accepts:
                continue
            reader = sqlite3.connect(self.disk.path)
            try:
                held = f"AND state <> {State.UNCERTAIN.value}" if self.evidence.restores else ""  # for the operator
                (open_ones,) = reader.execute(f"SELECT count(*) FROM generations WHERE done = 0 {held}").fetchone()
            finally:
                reader.close()
            if not open_ones:
                return

    def _measure(self) -> None:
        running = self.server.running
        if running is None:
            return
        self.evidence.tasks_left = len(running.life.running())
        self.evidence.timers_left = self.world.loop.timers()
