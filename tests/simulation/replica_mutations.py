"""Mutations of what keeps several replicas apart and in step. The simulation of replicas must find each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from gateway.access.identity import Access
from gateway.callbacks.dispatcher import Dispatcher
from gateway.generations.model import Change
from gateway.generations.sender import _SendCheck
from gateway.generations.stores import StoreError, UnknownCommitError
from gateway.generations.watching.feed import Entry, Feed
from gateway.process.replica import Freshness
from gateway.store.postgres.database import Database
from gateway.store.postgres.log_writer import Job, LogWriter, Stored
from gateway.store.postgres.tail import Tail
from tests.simulation.higgsfield import UpstreamBehaviour
from tests.simulation.mutations import Mutation, changed, mutation, replaced
from tests.simulation.postgres import SILENT, DatabaseBehaviour
from tests.simulation.receiver import ReceiverBehaviour
from tests.simulation.run_replicas import ReplicaPlan
from tests.simulation.world import HOUR

REPLICA_MUTATIONS: list[Mutation] = []


def _calm(planned: ReplicaPlan) -> None:
    """Without faults, six callers use three replicas for half a minute."""
    planned.nodes, planned.caller_count, planned.horizon = 3, 6, 30.0
    planned.faults, planned.database, planned.targeted = {}, DatabaseBehaviour(), 0.0
    planned.upstream = UpstreamBehaviour(max_queue_time=2.0, max_run_time=5.0)
    planned.settings = replace(planned.settings, public_url=None, upstream_concurrency=0, uncertain_timeout=900.0)
    planned.caller = replace(planned.caller, horizon=20.0, leaves=0.0, watches=1.0, deletes=0.0, uses_v1=0.5)
    planned.skews = planned.response_loss = 0.0
    planned.settle_time, planned.calm_time = HOUR / 3, 60.0
    planned.budget, planned.accounts, planned.resolves, planned.trainers, planned.receiver = "", False, False, 0, None
    planned.talkers, planned.readers, planned.changes_budgets, planned.archive = 0, False, False, None
    planned.uses_keys = False


def _paused_leader(planned: ReplicaPlan) -> None:
    """Processes are paused at writes and submissions, for longer than the others wait for them."""
    _calm(planned)
    planned.targeted, planned.endings, planned.longest_fault = 0.2, ("pause",), 60.0
    planned.horizon = 60.0


def _silent_network(planned: ReplicaPlan) -> None:
    """The network between a node, mostly the leader, and the database is silent again and again."""
    _calm(planned)
    planned.faults, planned.longest_fault, planned.cuts = {"partition": 12}, 30.0, (SILENT,)
    planned.caller_count, planned.horizon = 8, 60.0


@mutation("jumped from revision", 11, focus=_silent_network, among=REPLICA_MUTATIONS)
def writes_do_not_compare_the_fence() -> Iterator[None]:
    """What a leader wrote before it was replaced is stored after that."""
    with changed("WHERE fence = :fence AND replica = :replica AND", "WHERE :fence > 0 AND"):
        yield


@mutation("after it was replaced", 15, focus=_paused_leader, among=REPLICA_MUTATIONS)
def send_check_does_not_look_at_the_time() -> Iterator[None]:
    """A process that was paused between the marker and the first byte sends it whenever it wakes."""
    with replaced(_SendCheck, "__call__", lambda self: True):
        yield


def _pauses_beside_callbacks(planned: ReplicaPlan) -> None:
    """Leaders are often paused, and every change is delivered to a callback."""
    _paused_leader(planned)
    planned.targeted, planned.longest_fault = 0.1, 15.0
    planned.faults = {"pause": 20}
    planned.receiver = ReceiverBehaviour(every_change=True)


@mutation("came after a later revision", 84, focus=_pauses_beside_callbacks, among=REPLICA_MUTATIONS)
def replaced_leader_delivers() -> Iterator[None]:
    """A leader that was paused before the first byte of a delivery sends it whenever it wakes. Found by seed 197."""
    real = Dispatcher.__init__

    def init(self: Dispatcher, **given: Any) -> None:
        real(self, **given | {"may_send": lambda: True})

    with replaced(Dispatcher, "__init__", init):
        yield


@mutation("jumped from revision", 0, focus=_calm, among=REPLICA_MUTATIONS)
def tail_skips_a_position() -> Iterator[None]:
    """A replica asks for what comes after the position behind the last one."""
    real = Tail._read

    async def read(self: Tail) -> tuple[bool, bool]:
        found = await real(self)
        self._position += found[1]
        return found

    with replaced(Tail, "_read", read):
        yield


def _cut_replicas(planned: ReplicaPlan) -> None:
    """Nodes are cut from the database for long, while generations end."""
    _silent_network(planned)
    planned.upstream = UpstreamBehaviour(max_queue_time=1.0, min_run_time=5.0, max_run_time=30.0)
    planned.longest_fault = 60.0
    planned.caller = replace(planned.caller, most_gets=20)


@mutation("and later as", 4, focus=_cut_replicas, among=REPLICA_MUTATIONS)
def stale_replica_serves() -> Iterator[None]:
    """A replica that cannot read the log continues to show what it has."""
    with replaced(Freshness, "current", lambda self: True):
        yield


def _lost_answers(planned: ReplicaPlan) -> None:
    """Answers of the database are lost."""
    _calm(planned)
    planned.database = DatabaseBehaviour(answer_lost=0.05)


@mutation("stuck in", 3, focus=_lost_answers, among=REPLICA_MUTATIONS)
def unknown_commit_counts_as_not_stored() -> Iterator[None]:
    """A write whose answer is lost is not repeated."""

    async def execute(self: LogWriter, jobs: Sequence[Job]) -> Sequence[Stored]:
        try:
            return await self._statement(jobs, uuid4())
        except UnknownCommitError as error:
            raise StoreError from error

    with replaced(LogWriter, "_execute", execute):
        yield


def _using_keys(planned: ReplicaPlan) -> None:
    """An operator creates and revokes API keys."""
    _calm(planned)
    planned.uses_keys, planned.settings = True, replace(planned.settings, auth="keys")


@mutation("after its revocation", 15, focus=_using_keys, among=REPLICA_MUTATIONS)
def replicas_learn_no_key() -> Iterator[None]:
    """A replica does not learn which keys the leader has created and revoked."""
    with replaced(Access, "update", lambda self, changed: None):
        yield


def _deleting(planned: ReplicaPlan) -> None:
    """Callers delete at once what has ended, and replicas often cannot read the log."""
    _calm(planned)
    planned.caller = replace(planned.caller, deletes=1.0)
    planned.database = DatabaseBehaviour(answer_lost=0.1)
    planned.upstream = UpstreamBehaviour(max_queue_time=1.0, min_run_time=10.0, max_run_time=40.0)
    planned.horizon = 60.0


@mutation("still shows", 4, focus=_deleting, among=REPLICA_MUTATIONS)
def removal_without_the_end_is_not_noticed() -> Iterator[None]:
    """A replica reads the removal of a generation without its end, and does not notify the watchers."""

    def miss_end(self: Feed, entry: Entry, removal: Change | None) -> None:
        """Do nothing."""

    with replaced(Feed, "_miss_end", miss_end):
        yield


def _refused_writes(planned: ReplicaPlan) -> None:
    """The database refuses some writes, and leaders are killed."""
    _calm(planned)
    planned.database = DatabaseBehaviour(refused=0.1)
    planned.faults = {"kill": 6}


@mutation("stuck in", 0, focus=_refused_writes, among=REPLICA_MUTATIONS)
def refused_writes_end_all_writes() -> Iterator[None]:
    """A leader whose write is refused does not try whether the database can be written again."""

    async def heal(self: Database) -> None:
        """Do nothing."""

    with replaced(Database, "_heal", heal):
        yield


def _takeovers(planned: ReplicaPlan) -> None:
    """Leaders are killed, and many answers to takeovers are lost."""
    _calm(planned)
    planned.database = DatabaseBehaviour(take_lost=0.5)
    planned.faults, planned.max_downtime = {"kill": 6}, 5.0


@mutation("no replica leads", 23, focus=_takeovers, among=REPLICA_MUTATIONS)
def takeover_without_an_answer_is_not_noticed() -> Iterator[None]:
    """A replica does not find out that it has the lease. Found by the simulation."""
    with changed("CASE WHEN held.replica = :replica THEN held.fence ELSE 0 END AS own", "0 AS own"):
        yield
