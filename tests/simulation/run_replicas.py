"""Runs one seed with several replicas on one database: makes its plan and injects faults."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from unittest import mock

from gateway.audit import GENESIS, Entry
from gateway.generations import timeline
from gateway.generations.limits.model import utc_date
from gateway.process import core, replica
from gateway.rpc.transports import forwarding
from gateway.settings.values import PostgresUrl
from gateway.store import auditor
from gateway.store.postgres import audit, lease, store, tail
from tests.simulation.accounts import KEY
from tests.simulation.books import PRICE_OF_V1, Books, set_budgets
from tests.simulation.callers import CallerBehaviour
from tests.simulation.gateway import PUBLIC_URL
from tests.simulation.higgsfield import SECRET, Higgsfield, UpstreamBehaviour
from tests.simulation.loop import CURRENT_PROCESS, Process, SimulatedLoop
from tests.simulation.plans import Draws, Scenario, archive_of, default_settings, receiver_of
from tests.simulation.postgres import (
    MAX_DELAY,
    REFUSALS,
    REFUSES,
    SILENT,
    DatabaseBehaviour,
    DatabaseServer,
    connected,
    simulated_connections,
)
from tests.simulation.replicas import Balancer, Node, simulated_ports
from tests.simulation.run import CALM_TIME, SUBMITTED, Report, Simulation, run
from tests.simulation.world import DAY, HOUR, MINUTE, World, simulated_environment

MAX_STEPS = 2_000_000
"""The limit of steps in a run."""
CLOCKS = (lease, tail, store, replica, auditor, audit)
"""The modules that read clocks, and of which a gateway on SQLite uses none."""
INTERVALS = (
    (lease, "HEARTBEAT_INTERVAL"), (lease, "LEASE_TIMEOUT"), (lease, "SERVING_TIMEOUT"), (tail, "IDLE_PAUSE"),
    (tail, "LEASE_TIMEOUT"), (tail, "STALE_AFTER"),
    (replica, "REPORT_SERVING_INTERVAL"), (replica, "MAX_KEYS_AGE"), (forwarding, "CHECK_LEADER_INTERVAL"),
    (store, "CHECK_STALENESS_INTERVAL"), (timeline, "FLUSH_INTERVAL"),
)  # fmt: skip
"""The intervals of what replicas do while nothing happens, and the limits for its absence."""
IDLE = 0.25
"""The value of `tail.IDLE_PAUSE`, which is 0.1: most steps of a run are reads of the log that find nothing."""
QUIET = 300.0
"""The factor of these intervals after the last fault, when hours pass until everything has ended."""


@dataclass(kw_only=True)
class ReplicaPlan(Scenario):
    """The parameters of a run with replicas. Times are in seconds."""

    nodes: int = 2
    database: DatabaseBehaviour = field(default_factory=DatabaseBehaviour)
    faults: dict[str, int] = field(default_factory=dict)
    """How often each fault of FAULTS occurs, by its name."""
    longest_fault: float = 20.0
    cuts: tuple[str, ...] = (SILENT, REFUSES)
    """How nodes are cut from the database; each is as likely."""
    max_downtime: float = 5.0
    """The longest time between the end of a process and the next start on its node."""
    targeted: float = 0.0
    """The probability that a write or a submission ends or stops its process within the next twelve steps."""
    endings: tuple[str, ...] = ("kill", "sigterm", "pause")
    """What happens to a process whose steps are over; each is as likely."""
    skews: float = 0.0
    """The most seconds by which the wall clocks of nodes and database are ahead or behind."""
    response_loss: float = 0.0
    """The probability that the gateway's response to a call is lost."""
    settle_time: float = 12 * HOUR
    """Seconds after the last fault within which every generation must reach a final state."""
    calm_time: float = CALM_TIME
    """Seconds after that in which nothing may happen."""


FAULTS = ("kill", "sigterm", "pause", "partition", "isolation", "cut_off", "database", "clock")


def plan(seed: int) -> ReplicaPlan:
    """Return the plan of a seed."""
    rng = Draws(f"replicas {seed}")
    probability = rng.probability
    horizon = rng.choices((20.0, 60.0, 180.0), (4, 4, 2))[0]
    webhooks = rng.random() < 0.4
    signs = webhooks and rng.random() < 0.6
    window = rng.choice((120.0, 900.0))
    settings = replace(
        default_settings(),
        store=PostgresUrl("postgresql://simulated"),
        upstream_idempotency="v2" if rng.random() < 0.7 else "off",
        upstream_idempotency_window=window,
        upstream_concurrency=rng.choice((0, 0, 1, 2, 4)),
        uncertain_timeout=rng.choice((900.0, 3 * HOUR)),
        poll_min=20.0,
        poll_max=60.0,
        public_url=PUBLIC_URL if webhooks else None,
        webhook_secrets=(SECRET,) if signs else (),
        retention=30 * DAY,
        drain=rng.choice((5.0, 75.0)),
    )
    planned = ReplicaPlan(
        caller_count=rng.choice((1, 2, 3, 5, 8)),
        caller=CallerBehaviour(
            leaves=probability(0.3, 0.05, 0.6),
            cancels=probability(0.3, 0.1, 0.7),
            deletes=probability(0.3, 0.1, 0.7),
            watches=0.7,
            submits_again=probability(0.5, 0.1, 1.0),
            uses_v1=probability(0.3, 0.2, 1.0),
            sets_start_timeout=probability(0.1, 0.3, 1.0),
            horizon=horizon,
            max_resubmit_delay=horizon,
            max_disconnected=3.0,
        ),
        upstream=UpstreamBehaviour(
            request_lost=probability(0.2, 0.02, 0.3),
            response_lost=probability(0.3, 0.02, 0.5),
            no_response=probability(0.2, 0.02, 0.3),
            server_error=probability(0.1, 0.02, 0.3),
            server_error_after=probability(0.1, 0.02, 0.3),
            refusal=probability(0.2, 0.05, 0.5),
            slow_network=probability(0.2, 0.02, 0.4),
            webhook_lost=probability(0.3, 0.1, 0.9),
            webhook_duplicated=probability(0.3, 0.1, 0.9),
            concurrency_limit=rng.choice((0, 0, 0, 1, 2)),
            max_queue_time=rng.choice((2.0, 20.0)),
            max_run_time=rng.choice((5.0, horizon)),
            key_retention=window + 240.0 if rng.random() < 0.5 else DAY,
            signs_webhooks=signs,
        ),
        settings=settings,
        horizon=horizon,
        nodes=rng.choice((2, 3, 3)),
        database=DatabaseBehaviour(
            request_lost=probability(0.3, 0.002, 0.1),
            answer_lost=probability(0.4, 0.002, 0.1),
            late=probability(0.2, 0.002, 0.05),
            conflict=probability(0.1, 0.01, 0.1),
            refused=probability(0.1, 0.002, 0.05),
            latency=rng.choice((0.0005, 0.001, 0.01)),
        ),
        faults={name: rng.randint(1, 3) for name in FAULTS if rng.random() < 0.35},
        longest_fault=rng.choice((4.0, 20.0, horizon)),
        max_downtime=rng.choice((1.0, 5.0, horizon)),
        targeted=probability(0.4, 0.02, 0.2),
        skews=rng.choice((0.0, 0.0, 5 * MINUTE, 2 * DAY)),
        response_loss=probability(0.3, 0.02, 0.3),
        budget=rng.choice(("", "", "", "2.5", "6")),
        accounts=rng.random() < 0.2,
    )
    planned.database.take_lost = probability(0.2, 0.1, 0.6)
    if planned.budget:
        planned.settings = replace(planned.settings, prices={"": Decimal(PRICE_OF_V1)})
    if planned.accounts:
        planned.settings = replace(planned.settings, accounts_keys=(KEY,))
    if rng.random() < 0.2:
        planned.settings = replace(planned.settings, audit="on")
    planned.resolves = rng.random() < 0.2
    if rng.random() < 0.3:
        planned.receiver = receiver_of(rng, seed)
    planned.trainers = rng.choice((0, 0, 0, 3))
    # A session belongs to one account, and an operator may assign another one to its tenant.
    planned.talkers = 0 if planned.accounts else rng.choice((0, 0, 0, 2))
    planned.listens = True
    planned.upstream.repeated_message = Draws(f"talkers {seed}").choice((0.0, 0.0, 0.3))
    planned.caller.looks_up = seed % 4 == 2
    planned.readers = seed % 4 == 3
    if seed % 8 == 6:
        planned.uses_keys = True
        planned.settings = replace(planned.settings, auth="keys")
    if seed % 4 == 0 and not planned.budget:
        planned.changes_budgets = True
        planned.settings = replace(planned.settings, prices={"": Decimal(PRICE_OF_V1)})
    if seed % 4 == 1:
        planned.archive = archive_of(Draws(f"archive {seed}"))
    return planned


def simulate(seed: int, planned: ReplicaPlan | None = None, *, keep_trace: bool = False) -> Report:
    """Run one seed, with its own plan if none is given, and check the result. Needs `real_server`."""
    world = World(seed, SimulatedLoop(MAX_STEPS), keep_trace=keep_trace)
    planned = planned or plan(seed)
    database = DatabaseServer(world, connected())
    nodes: list[Node] = []

    @contextlib.contextmanager
    def environment() -> Iterator[None]:
        with (
            simulated_environment(world, core.HEAL_INTERVAL, CLOCKS),
            simulated_connections(database),
            simulated_ports(nodes),
            mock.patch.object(tail, "IDLE_PAUSE", IDLE),
        ):
            yield

    return run(world, planned, environment(), lambda: _Replicas(world, planned, database, nodes))


class _Replicas(Simulation):
    """Several nodes, on each of which one replica runs after another."""

    def __init__(self, world: World, planned: ReplicaPlan, database: DatabaseServer, nodes: list[Node]) -> None:
        self.plan, self.settle_time, self.calm_time = planned, planned.settle_time, planned.calm_time
        self.keys_known_within = replica.MAX_KEYS_AGE
        self.database = database
        self.nodes = nodes
        balancer = self.balancer = Balancer(world, nodes)
        higgsfield = Higgsfield(world, planned.upstream, balancer.deliver_webhook)
        super().__init__(world, planned, balancer, higgsfield)
        self.evidence.takeovers, self.evidence.staleness = database.takeovers, tail.STALE_AFTER
        numbers = itertools.count(1)
        for number in range(planned.nodes):
            node = Node(world, planned.settings, numbers, f"node-{number}", database)
            node.higgsfield, node.response_loss, node.terminations = (
                higgsfield, planned.response_loss, self.evidence.terminations,
            )  # fmt: skip
            node.wall_skew = self._skew()
            nodes.append(node)
        for node in nodes:
            node.others = {one.name: one for one in nodes}
        database.behaviour, database.clock_skew = planned.database, self._skew()
        database.on_write = self._target
        higgsfield.on_submit = self._target_present
        self._quiet = contextlib.ExitStack()
        if planned.budget or planned.changes_budgets:
            self.books = Books(self.evidence.wrong_sums, lambda: utc_date(world.now))
            database.after_write = self.books.check
        if planned.budget:
            set_budgets(database.write, "%s", planned.budget)

    def close(self) -> None:
        self._quiet.close()
        for node in self.nodes:
            if node.instance is not None:
                node.instance.process.dead = True
                node.instance.process.kill()
        for takeover in self.database.takeovers:
            if takeover.before is not None and not takeover.released:
                self.evidence.crashes.append((takeover.before, takeover.at))

    def _skew(self) -> float:
        return (2.0 * self.world.rng.random() - 1.0) * self.plan.skews

    # -- The replicas --------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        await asyncio.gather(*map(self._serve_on, self.nodes))

    async def _serve_on(self, node: Node) -> None:
        world = self.world
        while True:
            calm = not world.faults_enabled
            await node.run_process(self._prepare)
            if node.refused_starts:
                why = node.refused_starts.pop()
                if calm:
                    world.defects.append(f"a start was refused: {why}")
            elif node.process_count not in {number for number, _, ended in node.terminations if ended is not None}:
                self.evidence.crashes.append((node.process_count, world.now))
            longest = max(self.plan.max_downtime, 0.3)
            await world.sleep(world.log_uniform(0.2, longest) if world.faults_enabled else 1.0)

    def _prepare(self, process: Process) -> None:
        process.on_steps_exhausted = lambda: self._end(process)

    def _end(self, process: Process) -> None:
        """Let something happen to a process."""
        node = next((one for one in self.nodes if one.instance and one.instance.process is process), None)
        if node is not None and self.world.faults_enabled:
            self._act(self.world.rng.choice(self.plan.endings), node)

    def _act(self, what: str, node: Node) -> None:
        if what == "kill":
            node.crash(node.instance)
        elif what == "sigterm":
            node.terminate(node.instance)
        else:
            node.pause(self._duration())

    def _target(self, number: int) -> None:
        """Let a process end or stop within twelve steps, by chance. Called with each write of a process."""
        for node in self.nodes:
            if node.instance is not None and node.instance.process.number == number:
                self._target_process(node.instance.process)

    def _target_present(self) -> None:
        process = CURRENT_PROCESS.get()
        if process is not None:
            self._target_process(process)

    def _target_process(self, process: Process) -> None:
        if self.world.draw_fault(self.plan.targeted):
            process.steps_left = self.world.rng.randrange(12)

    # -- Faults --------------------------------------------------------------------------------------------------------

    async def _inject_faults(self) -> None:
        faults = [getattr(self, f"_{name}") for name, count in self.plan.faults.items() for _ in range(count)]
        await asyncio.gather(*map(self._at_random_time, faults))

    def _duration(self) -> float:
        return self.world.log_uniform(0.2, max(self.plan.longest_fault, 0.5))

    def _node(self) -> Node:
        """Return a random node; in most cases the one that leads."""
        leading = [node for node in self.nodes if node.ports is not None and node.ports.leads]
        return self.world.rng.choice(leading if leading and self.world.rng.random() < 0.6 else self.nodes)

    async def _kill(self) -> None:
        self._act("kill", self._node())

    async def _sigterm(self) -> None:
        self._act("sigterm", self._node())

    async def _pause(self) -> None:
        self._act("pause", self._node())

    async def _partition(self) -> None:
        """Cut a node from the database."""
        node, cut = self._node(), self.world.rng.choice(self.plan.cuts)
        self.world.record("partition", node.name, cut)
        self.database.set_link(node.link, cut)
        await self.world.sleep(self._duration())
        self.world.record("partition ended", node.name)
        self.database.set_link(node.link, "")

    async def _isolation(self) -> None:
        """Cut a node from the others."""
        node = self._node()
        self.world.record("isolated", node.name)
        node.isolated = True
        await self.world.sleep(self._duration())
        node.isolated = False

    async def _cut_off(self) -> None:
        """Cut a process from Higgsfield."""
        instance = self._node().instance
        if instance is not None:
            self.world.record("cut off", instance.process.number)
            instance.process.cut_off = True
            await self.world.sleep(self._duration())
            instance.process.cut_off = False

    async def _database(self) -> None:
        """Let the server restart, hang or refuse writes."""
        rng = self.world.rng
        self.database.set_state(rng.choice((SILENT, REFUSES, REFUSES, rng.choice(REFUSALS))))
        await self.world.sleep(self._duration())
        self.database.set_state("")

    async def _clock(self) -> None:
        """Set the wall clock of a node or the server."""
        node = self.world.rng.choice((*self.nodes, None))
        if node is None:
            self.database.clock_skew += self._skew()
        else:
            node.wall_skew = self._skew()
            if node.instance is not None:
                node.instance.process.wall_skew = node.wall_skew
        self.world.record("clock of", "the database" if node is None else node.name)

    def _stop_faults(self) -> None:
        world = self.world
        world.record("faults stopped")
        world.faults_enabled = False
        self.database.set_state("")
        for node in self.nodes:
            self.database.set_link(node.link, "")
            node.isolated, node.wall_skew = False, 0.0
            if node.instance is not None:
                process = node.instance.process
                process.cut_off, process.wall_skew = False, 0.0

    async def _recover(self) -> None:
        """Wait until all nodes serve and one leads. From then on they do rarely what they do in intervals.

        A process that is still paused then would wake up with the longer intervals, and take its lease for valid.
        """
        world = self.world
        for _ in range(300):
            await world.sleep(1.0)
            if self._leader() is not None and all(node.ports is not None and not node.paused for node in self.nodes):
                break
        else:
            world.defects.append("no replica leads, although faults have stopped")
        # A late statement of a takeover would compare heartbeats that are rare by then with the limit of before.
        await world.sleep(MAX_DELAY if self.plan.database.late else 10.0)
        self.evidence.quiet_from = world.now
        for module, name in INTERVALS:
            self._quiet.enter_context(mock.patch.object(module, name, getattr(module, name) * QUIET))

    def _leader(self) -> Node | None:
        leading = [node for node in self.nodes if node.ports is not None and node.ports.leads and not node.paused]
        return leading[0] if len(leading) == 1 else None

    # -- What is observed ----------------------------------------------------------------------------------------------

    async def _monitor(self) -> None:
        attempts = self.database.write_attempts
        while True:
            await self.world.sleep(10.0 if self.world.faults_enabled else 600.0)
            recent = sum(at > self.world.now - 10.0 for at in attempts)
            self.evidence.most_commits = max(self.evidence.most_commits, recent)

    def _settled(self) -> bool:
        open_ones = "SELECT FROM generations WHERE NOT done"
        pending = "SELECT FROM callback_deliveries WHERE state = 1"
        waiting = "SELECT FROM archive_files WHERE state IN (0, 3)"
        return not self.database.read(f"{open_ones} UNION ALL {pending} UNION ALL {waiting} LIMIT 1")

    def _measure(self) -> None:
        processes = [node.instance.process for node in self.nodes if node.instance is not None]
        if self.plan.settings.audit == "on":
            entries = [Entry(*row) for row in self.database.read("SELECT sequence, text, hash FROM audit ORDER BY 1")]
            before = [GENESIS, *(entry.hash for entry in entries)]
            kept = {name for (name,) in self.database.read(SUBMITTED)}
            self._check_audit([*zip(before, entries, strict=False)], kept)
        if self.plan.budget:
            self.books.compare(self.higgsfield.ledger, self.world.now)
        self.evidence.tasks_left = max((len(process.unfinished_tasks()) for process in processes), default=0)
