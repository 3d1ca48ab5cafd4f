"""Mutations: known defects that are put back into the gateway one at a time. The simulation must find each of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from gateway.agents.conversation import Conversation
from gateway.agents.messages import Messages
from gateway.agents.model import KeyRecord, Message, Session
from gateway.archive.archiver import Archiver
from gateway.callbacks import dispatcher
from gateway.callbacks.dispatcher import Dispatcher
from gateway.callbacks.model import Callback, Delivery
from gateway.characters.creator import Creator
from gateway.characters.model import Character, Creation
from gateway.concurrency import OwnedTasks
from gateway.errors import GatewayError
from gateway.generations import adopt, due_steps, follower, read_back
from gateway.generations.admission.admission import Admission
from gateway.generations.adopt import Adopter, Adoption
from gateway.generations.inputs import SoulInput
from gateway.generations.limits import model as limits
from gateway.generations.model import Generation, IdempotencyKey, Moment, PreparedRequest, State, Steady
from gateway.generations.polling import schedule
from gateway.generations.polling.missing import MissingRequests
from gateway.generations.reads import Reads
from gateway.generations.resolve import Resolver
from gateway.generations.sender import Sender
from gateway.generations.service import Generations, Submission
from gateway.generations.store_backoff import StoreBackoff
from gateway.generations.stores import (
    Claim,
    Claimed,
    ClaimStore,
    Correction,
    Removal,
    UnknownCommitError,
    or_store_unavailable,
)
from gateway.generations.trusted_time import TrustedTime
from gateway.generations.watching.feed import Entry, Feed
from gateway.generations.watching.watch import Position, Watches
from gateway.higgsfield import client
from gateway.higgsfield.accounts import HiggsfieldAccounts
from gateway.higgsfield.request_context import send_check
from gateway.higgsfield.webhooks import Proof, Signatures
from gateway.process.core import Core
from gateway.store import statements
from gateway.store.sqlite.callbacks import SqliteCallbacks
from gateway.store.sqlite.change_log import SqliteChangeLog
from gateway.store.sqlite.writer import Writer
from tests.simulation.accounts import KEY
from tests.simulation.archive import ArchiveBehaviour
from tests.simulation.plans import Plan
from tests.simulation.receiver import ReceiverBehaviour
from tests.simulation.world import DAY, HOUR

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Mutation:
    """A known defect, and the seeds that can show it."""

    name: str
    patch: Patch
    """Returns a context manager that puts the defect into the code."""
    symptom: str
    """A part of the text of the violation by which the defect is found."""
    first_seed: int
    """The seed from which on the defect is looked for. The first one shows it, unless other changes have moved it."""
    themes: tuple[str, ...] = ()
    """The themes of the seeds that are run; if empty, all seeds are."""
    focus: Callable[[Any], None] = lambda _: None
    """Changes the plans of these seeds, so that more of them show a rare defect."""


MUTATIONS: list[Mutation] = []


def mutation(
    symptom: str,
    first_seed: int,
    *themes: str,
    focus: Callable[[Any], None] = lambda _: None,
    among: list[Mutation] = MUTATIONS,
) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    """Register the decorated generator as a mutation. It patches the code, yields once, and removes the patch."""

    def add(patch: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        among.append(Mutation(patch.__name__, contextlib.contextmanager(patch), symptom, first_seed, themes, focus))
        return patch

    return add


def replaced(target: Any, name: str, value: Any) -> AbstractContextManager[Any]:
    return mock.patch.object(target, name, value)


@contextlib.contextmanager
def changed(text: str, other: str) -> Iterator[None]:
    """Replace a text in all statements."""
    real = statements.load

    def load(engine: str = "sqlite") -> dict[str, str]:
        return {name: sql.replace(text, other) for name, sql in real(engine).items()}

    with replaced(statements, "load", load):
        yield


# -- Wrong wall clocks -------------------------------------------------------------------------------------------------


def _crash_with_a_wrong_clock(planned: Plan) -> None:
    """A process with a wall clock far behind crashes before the response to its submission is stored."""
    planned.horizon, planned.initial_wall_skew, planned.max_downtime = 600.0, -20 * DAY, HOUR
    planned.crashes, planned.targeted_ends, planned.upstream.response_lost = 1, 2.0, 0.8
    planned.settings = replace(planned.settings, upstream_idempotency="v2")
    planned.upstream.key_retention = planned.settings.upstream_idempotency_window + 240.0


@mutation("charged 2 times", 201, "wrong_wall_clock", focus=_crash_with_a_wrong_clock)
def repeat_window_uses_the_wall_clock() -> Iterator[None]:
    """The age of a submission from before a restart is measured with the wall clock alone, before it is repeated."""

    async def is_open(self: TrustedTime, since: float, seconds: float) -> bool | None:
        return self._clock.moment().steady - since <= seconds

    with replaced(TrustedTime, "is_open", is_open):
        yield


@mutation("charged 2 times", 3606, "wrong_wall_clock")
def key_age_uses_the_wall_clock() -> Iterator[None]:
    """A key that was used while the wall clock was behind is forgotten as soon as the wall clock is corrected."""
    with replaced(TrustedTime, "before", _before_by_own_clock):
        yield


@mutation("charged 2 times", 3732, "wrong_wall_clock", focus=_crash_with_a_wrong_clock)
def first_post_precedes_the_known_time() -> Iterator[None]:
    """A process sends its first POST before it knows Higgsfield's time. If it crashes, the next one guesses its age."""

    async def learn(self: TrustedTime) -> None:
        """Return at once."""

    def correction_at(self: TrustedTime, at: float) -> Correction:
        return replace(real(self, Steady(at)), placed=True)

    real = TrustedTime._correction_at
    with replaced(TrustedTime, "learn", learn), replaced(TrustedTime, "_correction_at", correction_at):
        yield


def _wait_with_a_wrong_clock(planned: Plan) -> None:
    """One generation runs at a time, the clock is wrong after a crash, and then Higgsfield has outages."""
    planned.settings = replace(planned.settings, upstream_concurrency=1)
    planned.horizon, planned.caller.horizon, planned.crashes, planned.max_downtime = 2 * HOUR, 60.0, 1, 60.0
    planned.caller_count, planned.caller.sets_start_timeout = 8, 0.5
    planned.upstream.min_run_time, planned.upstream.max_run_time = 300.0, 900.0
    planned.outages, planned.max_outage, planned.outage_kinds = 6, 600.0, ("silent", "503")
    planned.wall_clock_changes, planned.targeted_ends = 1.0, 0.3
    planned.restores = planned.accounts = False


@mutation("stuck in PENDING", 1416, "wrong_wall_clock", focus=_wait_with_a_wrong_clock)
def an_age_needs_the_last_call_for_the_time() -> Iterator[None]:
    """A generation looks as old as the wrong clock says after a call for Higgsfield's time that had no response."""
    seen_from = TrustedTime.seen_from

    def seen(self: TrustedTime, since: Steady) -> Moment:
        reading = self._reading
        return self._clock.moment() if reading is None or reading.ahead is None else seen_from(self, since)

    with replaced(TrustedTime, "seen_from", seen):
        yield


async def _before_by_own_clock(self: TrustedTime, seconds: float, *, unanswered: bool = False) -> float | None:
    return self._clock.moment().steady - seconds


# -- Callers that leave, and drains ------------------------------------------------------------------------------------


@mutation("SIGTERM cut the submission", 367, "repeated_sigterm")
def drain_does_not_await_claims() -> Iterator[None]:
    """A claim that commits during a drain starts a submission, which the end of the process aborts."""
    with replaced(OwnedTasks, "finish", _run_in_the_call):
        yield


@mutation("stuck in PENDING", 616, "failing_disk")
def marker_without_submission_stays() -> Iterator[None]:
    """A caller leaves while its claim commits, and the marker is never removed."""
    with (
        replaced(OwnedTasks, "finish", _run_in_the_call),
        replaced(Sender, "is_attempting", lambda self, generation_id: True),
    ):
        yield


async def _run_in_the_call(self: OwnedTasks, work: Coroutine[Any, Any, Any]) -> Any:
    return await work


# -- Responses of Higgsfield -------------------------------------------------------------------------------------------


@mutation("LOST, although Higgsfield has its request", 136, "long_outage")
def a_day_of_404_for_all_requests_is_believed() -> Iterator[None]:
    """If Higgsfield responds with 404 to all requests of an account for a day, all of them become LOST."""

    def others_answered(self: MissingRequests, generation: Generation, since: float) -> bool:
        return generation.spec.account in self._known_at

    with replaced(MissingRequests, "_others_answered", others_answered):
        yield


def _answer_404_while_queued(planned: Plan) -> None:
    """Higgsfield denies for a while that it knows requests that wait in its queue."""
    planned.outages, planned.outage_kinds, planned.min_outage, planned.max_outage = 3, ("404",), 30.0, 100.0
    planned.upstream.max_queue_time = 600.0


@mutation("times in ten seconds", 12, focus=_answer_404_while_queued)
def failed_start_poll_repeats_at_once() -> Iterator[None]:
    """After an error the poll for a start is due at once, until Higgsfield reports the state again."""
    with replaced(schedule, "_delay_start_check", lambda entry: None):
        yield


@mutation("charged 2 times", 16)
def v1_submission_is_repeated() -> Iterator[None]:
    """A submission to v1, which carries no idempotency key, is repeated."""
    real = due_steps.may_repeat

    def may_repeat(generation: Generation, *arguments: Any, **named: Any) -> bool:
        as_v2 = replace(generation, spec=replace(generation.spec, api="v2"))
        return real(as_v2, *arguments, **named)

    with replaced(due_steps, "may_repeat", may_repeat):
        yield


@mutation("no progress", 30)
def full_upstream_is_retried_at_once() -> Iterator[None]:
    """The follower runs in a busy loop while Higgsfield is at its concurrency limit. Found by the simulation."""
    real = Admission.wakes_at

    def wakes_at(self: Admission, now: float) -> float | None:
        if self._queues and self._closed_by is not None and self._probe is None:
            return max(self._opens_at, now)
        return real(self, now)

    with replaced(Admission, "wakes_at", wakes_at):
        yield


def _lookups_hang(planned: Plan) -> None:
    """Every second DNS lookup hangs, and no process ends."""
    planned.upstream.hanging_lookup, planned.restores = 0.5, False
    planned.crashes = planned.sigterms = 0
    planned.targeted_ends = 0.0


@mutation("but no byte of it was sent", 104, focus=_lookups_hang)
def hanging_lookup_counts_as_sent() -> Iterator[None]:
    """A submission whose DNS lookup hung becomes UNCERTAIN, although its send check was never called."""

    @contextlib.contextmanager
    def unsent_before_check(may_send: Any) -> Iterator[None]:
        token = send_check.set(may_send)
        try:
            yield
        finally:
            send_check.reset(token)

    with replaced(client, "unsent_before_check", unsent_before_check):
        yield


@mutation("a valid webhook for", 755, "wrong_wall_clock")
def stale_signature_is_rejected() -> Iterator[None]:
    """A webhook whose signature is valid but looks stale, because the wall clock is wrong, is rejected for good."""
    real = Signatures.judge

    def judge(self: Signatures, headers: Any, body: bytes, wall: float) -> Proof:
        proof = real(self, headers, body, wall)
        return Proof.NONE if proof is Proof.STALE else proof

    with replaced(Signatures, "judge", judge):
        yield


# -- The store ---------------------------------------------------------------------------------------------------------


@mutation("charged 2 times", 325)
def unknown_claim_counts_as_stored() -> Iterator[None]:
    """A claim is sent although the answer to its commit was lost, and it may not be stored."""

    async def claim(claims: ClaimStore, wanted: Claim) -> Claimed:
        try:
            return await claims.claim(wanted)
        except UnknownCommitError:
            return Claimed(wanted.generation, new=True, generation_id=wanted.generation.id)

    with replaced(read_back, "claim", claim):
        yield


@mutation("s late", 911)
def each_error_doubles_the_pause_before_a_poll() -> Iterator[None]:
    """The pause between polls doubles with each error in a row, without a limit."""

    def delay(self: schedule.PollSchedule, entry: Entry, at_least: float = 0.0) -> None:
        entry.errors += 1
        self.plan(entry, max(2.0**entry.errors, at_least))

    with replaced(schedule.PollSchedule, "delay", delay):
        yield


@mutation("shown with outputs that were deleted", 3963, "failing_disk")
def deletion_precedes_its_record() -> Iterator[None]:
    """The data is deleted at Higgsfield first, and the store then fails to record the deletion."""

    async def delete(self: Generations, generation: Generation) -> bool:
        spec = generation.spec
        if generation.request_id and spec.api == "v2":
            await self._upstream.delete(Removal(generation.id, generation.request_id, spec.account, spec.origin))
        steady = self._clock.moment().steady
        await or_store_unavailable(self._deletions.delete(generation, at_upstream=False, steady=steady))
        return True

    with replaced(Generations, "_delete", delete):
        yield


def _announce_late(planned: Plan) -> None:
    planned.announce_within, planned.caller.reads_back = 5.0, True
    planned.caller.watches, planned.caller.leaves, planned.caller.max_disconnected = 1.0, 0.9, 2.0


@mutation("was shown at revision", 20, focus=_announce_late)
def a_watch_shows_what_is_not_announced() -> Iterator[None]:
    """A watch that starts late reads a change from the store, while other calls do not know it yet."""

    async def history(self: Reads, entry: Entry, after_revision: int, limit: int) -> Sequence[Generation]:
        return await or_store_unavailable(self._change_log.history(entry.generation.id, after_revision, limit))

    with replaced(Reads, "history", history):
        yield


@mutation("was shown at revision", 47, focus=_announce_late)
def a_list_shows_what_is_not_announced() -> Iterator[None]:
    """A list reads a change from the store, while other calls do not know it yet."""
    with replaced(Reads, "_is_unannounced", lambda self, stored: False):
        yield


def _read_and_leave(planned: Plan) -> None:
    planned.readers, planned.caller.leaves = True, 0.9
    planned.caller_count = max(planned.caller_count, 5)


@mutation("ended while it showed", 47, focus=_read_and_leave)
def a_resumed_watch_skips_the_rest_of_the_present_state() -> Iterator[None]:
    """The position of a watch that still sends the present state does not say how far it has come."""

    def at(self: Watches, position: int, presented: str | None = None) -> Position:
        return Position(self._change_log.epoch, position)

    with replaced(Watches, "_at", at):
        yield


@mutation("still shows", 804, "absent_callers")
def deletion_does_not_raise_the_horizon() -> Iterator[None]:
    """A watcher that was disconnected during a deletion is never sent the removal."""

    def forget(self: Feed, generation_id: str) -> None:
        for index, change in enumerate(self._recent):
            if change.generation_id == generation_id:
                self._recent[index] = replace(change, generation=None)

    async def horizon(self: SqliteChangeLog, tenant: str) -> int:
        return 0

    with replaced(Feed, "_forget", forget), replaced(SqliteChangeLog, "horizon", horizon):
        yield


@mutation("no progress", 7761, "failing_disk")
def failed_store_write_is_retried_at_once() -> Iterator[None]:
    """A step that the store failed to record is due again at once."""

    with replaced(StoreBackoff, "resumes_at", lambda self, now: None), replaced(follower, "MARK_RETRY_DELAY", 0.001):
        yield


@mutation("but the gateway was ready", 4198, "failing_disk")
def hanging_disk_is_not_detected() -> Iterator[None]:
    """Writes wait for a hanging disk, and /readyz does not report it."""
    with replaced(Writer, "_watch", lambda self: None):
        yield


# -- Adoption ----------------------------------------------------------------------------------------------------------


@mutation("submitted, although its request was adopted", 11)
def an_adoption_submits_the_request_again() -> Iterator[None]:
    """A request is not adopted, but submitted once more."""

    async def adopt(self: Adopter, tenant: str, adoption: Adoption) -> tuple[Generation, bool]:
        submission = Submission(SoulInput(adoption.labels["prompt"]), b"", IdempotencyKey(adoption.request_id), {})
        return await self._service.submit(tenant, submission)

    with replaced(Adopter, "_adopt", adopt):
        yield


@mutation("adopted as 2 generations", 1099)
def a_deleted_request_is_adopted_again() -> Iterator[None]:
    """The key of an adopted generation is another one each time, so that a deletion does not keep it used."""
    numbers = itertools.count()
    with replaced(adopt, "_key", lambda request_id: IdempotencyKey(f"adopted {next(numbers)}")):
        yield


# -- Accounts ----------------------------------------------------------------------------------------------------------


def _rotate_often(planned: Plan) -> None:
    """Responses are lost while the operator rotates credentials."""
    planned.horizon, planned.upstream.response_lost, planned.upstream.concurrency_limit = 120.0, 0.5, 0
    planned.caller.horizon, planned.caller_count = 60.0, 8
    planned.accounts = True
    planned.settings = replace(planned.settings, upstream_idempotency="v2", accounts_keys=(KEY,))


@mutation("charged 2 times", 3, focus=_rotate_often)
def a_repeat_uses_the_newest_credentials() -> Iterator[None]:
    """A submission with an unknown outcome is repeated with the credentials that new submissions use."""
    submit = HiggsfieldAccounts.submit

    async def submit_with_newest(
        self: HiggsfieldAccounts, request: PreparedRequest, may_send: Callable[[], bool]
    ) -> Any:
        return await submit(self, replace(request, account=self._accounts.current(request.account)), may_send)

    with replaced(HiggsfieldAccounts, "submit", submit_with_newest):
        yield


@mutation("a watch of the session has shown", 0)
def a_watch_of_a_session_skips_its_first_read() -> Iterator[None]:
    """A watch that resumes does not send the messages that came while it was disconnected."""
    real = Conversation.changes_since

    def changes_since(self: Conversation, seen: int, after: str) -> Sequence[Session | Message]:
        return real(self, max(seen, 1), after)

    with replaced(Conversation, "changes_since", changes_since):
        yield


# -- Budgets -----------------------------------------------------------------------------------------------------------


@mutation("has begun the day", 1629)
def days_begin_by_the_wall_clock() -> Iterator[None]:
    """A budget is reset when the wall clock is set forward."""
    with replaced(TrustedTime, "higgsfield_now", lambda self: self._clock.moment().wall):
        yield


def _change_budgets(planned: Plan) -> None:
    """Eight callers submit at about the same time while an operator changes budgets."""
    planned.changes_budgets, planned.restores, planned.budget = True, False, ""
    planned.caller_count, planned.horizon, planned.caller.horizon = 8, 60.0, 10.0


@mutation("has used", 24, focus=_change_budgets)
def a_new_limit_counts_a_generation_twice() -> Iterator[None]:
    """A limit that is set counts a generation in flight twice that was submitted after the count had begun."""
    with changed(" - running AS running", " AS running"):
        yield


@mutation("has used", 13)
def a_lost_generation_releases_its_price() -> Iterator[None]:
    """What may have been charged is given back."""
    with replaced(limits, "SPENDING_STATES", frozenset({State.COMPLETED})):
        yield


# -- Operators who resolve generations, callbacks, characters, and agents ----------------------------------------------


def _resolve_often(planned: Plan) -> None:
    """Responses are lost, keys are soon forgotten, and the gateway does not repeat submissions by itself."""
    planned.horizon, planned.upstream.response_lost, planned.caller_count, planned.resolves = 2 * HOUR, 0.8, 8, True
    planned.settings = replace(planned.settings, upstream_idempotency="off", uncertain_timeout=3 * HOUR)
    planned.upstream.key_retention = 60.0


@mutation("charged 2 times", 10, focus=_resolve_often)
def an_operator_repeats_at_any_time() -> Iterator[None]:
    """A generation is sent again at an operator's word, although Higgsfield may have forgotten its key."""

    async def is_safe(self: Resolver, generation: Generation) -> bool:
        return True

    with replaced(Resolver, "_is_safe", is_safe):
        yield


def _crash_often(planned: Plan) -> None:
    """Processes end in the middle of commits, whose number is large because many deliveries fail."""
    planned.receiver, planned.targeted_ends, planned.crashes = (
        ReceiverBehaviour(unreachable=0.3, every_change=True),
        0.3,
        4,
    )
    planned.restores, planned.caller_count, planned.caller.deletes = False, 8, 0.0
    planned.commit_failure = 0.2


@mutation("was not delivered", 5, focus=_crash_often)
def a_callback_moves_on_before_its_deliveries_are_stored() -> Iterator[None]:
    """The position of a callback is stored in a separate transaction, before the deliveries."""
    take = SqliteCallbacks.take_deliveries

    async def take_after(self: SqliteCallbacks, callback: Callback, taken: Sequence[Delivery]) -> None:
        await take(self, callback, [])
        await take(self, callback, taken)

    with replaced(SqliteCallbacks, "take_deliveries", take_after):
        yield


@mutation("came after a later revision", 10, focus=_crash_often)
def a_refused_delivery_goes_behind_the_others() -> Iterator[None]:
    """The deliveries of a generation are sent in the order of their attempts."""
    with replaced(dispatcher, "_revision", lambda delivery: delivery.attempts):
        yield


@mutation("was sent again after its success", 38, focus=_crash_often)
def a_delivery_is_sent_again_if_its_success_is_not_stored() -> Iterator[None]:
    """A failed write of an outcome ends the attempt like a failed read before it."""
    with replaced(dispatcher, "until_stored", lambda clock, what, once, **_: once()):
        yield


def _repeat_and_crash(planned: Plan) -> None:
    """Owners of callbacks repeat deliveries, and processes end in the middle of commits."""
    _crash_often(planned)
    planned.receiver = ReceiverBehaviour(unreachable=0.3, managed=True)


@mutation("was not delivered again", 179, focus=_repeat_and_crash)
def a_repeated_delivery_is_not_stored() -> Iterator[None]:
    """A delivery that its owner repeats is sent again by this process alone."""

    async def redeliver(self: SqliteCallbacks, delivery: Delivery) -> None:
        """Do nothing."""

    with replaced(SqliteCallbacks, "redeliver", redeliver):
        yield


@mutation("after its callback had been deleted", 7, focus=_repeat_and_crash)
def a_deleted_callback_keeps_its_deliveries() -> Iterator[None]:
    """The process that deletes a callback sends the deliveries that wait for it."""

    def remove(self: Dispatcher, callback_id: str) -> None:
        """Do nothing."""

    with replaced(Dispatcher, "remove", remove):
        yield


def _train_often(planned: Plan) -> None:
    """Six callers train characters, and responses are lost."""
    planned.trainers, planned.upstream.response_lost, planned.restores, planned.horizon = 6, 0.4, False, 600.0


@mutation("trained 2 times", 35, focus=_train_often)
def a_training_without_a_response_frees_its_key() -> Iterator[None]:
    """The key of a training whose response was lost, and which the list does not show yet, can be used again."""
    look_up = Creator._look_up

    async def look_up_once(self: Creator, creation: Creation, response: Any = None) -> Character:
        try:
            return await look_up(self, creation, response)
        except GatewayError:
            await self._store.free(creation.id)
            self._registry.free(creation)
            raise

    with replaced(Creator, "_look_up", look_up_once):
        yield


def _talk_often(planned: Plan) -> None:
    """Four callers talk to agents, and responses are lost."""
    planned.talkers, planned.upstream.response_lost, planned.restores, planned.horizon = 4, 0.4, False, 600.0
    planned.upstream.slow_network, planned.accounts = 0.3, False


@mutation("times for 1 keys", 5, focus=_talk_often)
def a_message_without_a_response_frees_its_key() -> Iterator[None]:
    """The key of a message whose response was lost, and which the session does not show yet, can be used again."""
    look_up = Messages._look_up

    async def look_up_once(self: Messages, record: KeyRecord, text: str, response: Any = None) -> Message:
        try:
            return await look_up(self, record, text, response)
        except GatewayError:
            await self._store.release_agent_key(record)
            raise

    with replaced(Messages, "_look_up", look_up_once):
        yield


def _lose_answers_to_claims(planned: Plan) -> None:
    """Answers to commits are lost, and Higgsfield refuses every second submission of eight callers."""
    planned.lost_answers, planned.upstream.refusal, planned.caller_count = 0.3, 0.5, 8
    planned.horizon, planned.caller.horizon, planned.caller.submits_again = 120.0, 60.0, 0.0
    planned.crashes = planned.sigterms = planned.outages = planned.disk_faults = 0
    planned.restores, planned.accounts = False, False


@mutation("as never accepted, but charged", 181, focus=_lose_answers_to_claims)
def a_late_claim_is_stored_after_its_repeat_was_refused() -> Iterator[None]:
    """A claim with an unknown outcome looks only for a generation that has its key now."""
    with changed("AND created_at > :used_at", "AND false"):
        yield


@mutation("although a lookup at", 238)
def a_lookup_by_key_waits_for_no_submission() -> Iterator[None]:
    """A caller that left before its submission was stored is told that there is none."""
    with replaced(Generations, "page", Reads.page):
        yield


def _talk_over_a_proxy(planned: Plan) -> None:
    """Four callers talk to agents over a proxy that repeats messages."""
    _talk_often(planned)
    planned.upstream.repeated_message = 0.5


@mutation("times for 1 keys", 0, focus=_talk_over_a_proxy)
def a_busy_session_has_not_taken_the_message() -> Iterator[None]:
    """A message that Higgsfield refused because it keeps the session busy itself can be sent again."""

    async def find_in_busy(self: Messages, record: KeyRecord, text: str) -> None:
        """Return None: it is not there."""

    with replaced(Messages, "_find_in_busy", find_in_busy):
        yield


def _archive_slowly(planned: Plan) -> None:
    """Copies take long, callers delete at once what has ended, and processes end in the middle of commits."""
    planned.archive, planned.caller.deletes, planned.caller_count = ArchiveBehaviour(slow=20.0), 1.0, 8
    planned.restores, planned.horizon, planned.caller.horizon = False, 600.0, 60.0


@mutation("is left of a deleted generation", 7, focus=_archive_slowly)
def a_copy_that_ends_after_the_deletion_stays() -> Iterator[None]:
    """A copy whose generation is deleted before its end is recorded as made, and not removed."""
    with changed("preview = :preview AND state = 0", "preview = :preview"):
        yield


def _archive_and_crash(planned: Plan) -> None:
    """Processes end in the middle of commits, and outputs are archived."""
    planned.archive, planned.caller.deletes, planned.caller_count = ArchiveBehaviour(slow=0.01), 0.0, 8
    planned.restores, planned.targeted_ends, planned.commit_time = False, 1.0, 0.1


@mutation("has no copy at the end", 12, focus=_archive_and_crash)
def outputs_from_before_a_crash_are_not_archived() -> Iterator[None]:
    """A process plans only the copies of generations that end while it runs."""

    async def catch_up(self: Archiver) -> None:
        """Do nothing."""

    with replaced(Archiver, "_catch_up", catch_up):
        yield


@mutation("did not stop after SIGTERM", 584)
def a_drain_has_no_time_limit() -> Iterator[None]:
    """A process that should stop waits for its last submission and its store, however long they take."""
    in_time = Core.drain

    async def drain(self: Core) -> None:
        self.settings = replace(self.settings, drain=DAY)
        await in_time(self)

    with replaced(Core, "drain", drain):
        yield
