"""Known defects, put back into the code as it is: the simulation has to find each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from gateway.concurrency import OwnedTasks
from gateway.generations import due_steps, follower
from gateway.generations.admission import Admission
from gateway.generations.feed import Feed
from gateway.generations.follower import Follower
from gateway.generations.model import Generation, Steady
from gateway.generations.ports import Correction, Removal
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.store_backoff import StoreBackoff
from gateway.generations.trusted_time import TrustedTime
from gateway.higgsfield import client
from gateway.higgsfield.request_context import send_gate
from gateway.higgsfield.webhooks import Proof, Signatures
from gateway.store.sqlite import SqliteStore
from gateway.store.writer import Writer

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Mutation:
    """A defect; `words` are what it is found by; `themes` those of the seeds that can show it, from `first` on."""

    name: str
    patch: Patch
    words: str
    first: int
    themes: tuple[str, ...] = ()


MUTATIONS: list[Mutation] = []


def mutation(
    words: str, first: int, *themes: str
) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    """Add what it decorates: a generator that puts the defect in, and takes it out again."""

    def add(patch: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        MUTATIONS.append(Mutation(patch.__name__, contextlib.contextmanager(patch), words, first, themes))
        return patch

    return add


def replaced(target: Any, name: str, value: Any) -> AbstractContextManager[Any]:
    """Another value in the place of an attribute."""
    return mock.patch.object(target, name, value)


# -- What a calendar that was set wrong used to do ---------------------------------------------------------------------


@mutation("charged 2 times", 149, "wrong_calendar")
def the_window_trusts_the_calendar() -> Iterator[None]:
    """Edge 1: what is repeated is as old as the machine's calendar says."""

    async def is_open(self: TrustedTime, since: float, seconds: float) -> bool | None:
        return self._clock.moment().steady - since <= seconds

    with replaced(TrustedTime, "is_open", is_open):
        yield


@mutation("charged 2 times", 706, "wrong_calendar")
def keys_age_by_the_calendar() -> Iterator[None]:
    """Edge 6: a key that was used under a calendar set back is forgotten once that is put right."""
    with replaced(TrustedTime, "before", _by_the_calendar):
        yield


@mutation("charged 2 times", 9206, "wrong_calendar")
def a_process_sends_before_it_knows_the_time() -> Iterator[None]:
    """A process crashes during its first POST, before it has read a Date, and the next one guesses the age."""

    async def learn(self: TrustedTime) -> None:
        """Return at once."""

    def correction_at(self: TrustedTime, at: float) -> Correction:
        return replace(real(self, Steady(at)), placed=True)

    real = TrustedTime._correction_at
    with replaced(TrustedTime, "learn", learn), replaced(TrustedTime, "_correction_at", correction_at):
        yield


async def _by_the_calendar(self: TrustedTime, seconds: float, *, unanswered: bool = False) -> float | None:
    return self._clock.moment().steady - seconds


# -- What callers and drains used to leave behind ----------------------------------------------------------------------


@mutation("SIGTERM cut the submission", 726, "rolling")
def a_drain_does_not_await_claims() -> Iterator[None]:
    """Edge 3: a claim that commits during a drain starts a submission that the end of the process cuts."""
    with replaced(OwnedTasks, "finish", _in_the_call):
        yield


@mutation("stuck in PENDING", 70, "bad_disk")
def a_mark_without_a_submission_stays() -> Iterator[None]:
    """Edge 18: a caller leaves while its claim commits, and the mark is never removed."""
    with replaced(OwnedTasks, "finish", _in_the_call), replaced(Sender, "attempts", lambda self, generation_id: True):
        yield


async def _in_the_call(self: OwnedTasks, work: Coroutine[Any, Any, Any]) -> Any:
    return await work


# -- What Higgsfield's answers used to do ------------------------------------------------------------------------------


@mutation("LOST, although Higgsfield has its request", 160, "long_silence")
def a_day_of_404_for_all_is_believed() -> Iterator[None]:
    """Edge 7: nothing of the account is known for a day, and everything is LOST."""
    with replaced(Follower, "_others_answered", lambda self, generation, since: self._known_at is not None):
        yield


@mutation("times in ten seconds", 20226)
def a_poll_for_a_start_that_failed_is_repeated_at_once() -> Iterator[None]:
    """The poll for a start stays due until Higgsfield shows the state again."""
    with replaced(Follower, "_delay_look", lambda self, entry: None):
        yield


@mutation("charged 2 times", 16)
def what_went_to_v1_is_repeated() -> Iterator[None]:
    """A submission without a key is sent again."""
    real = due_steps.may_repeat

    def may_repeat(generation: Generation, *arguments: Any, **named: Any) -> bool:
        as_v2 = replace(generation, spec=replace(generation.spec, api="v2"))
        return real(as_v2, *arguments, **named)

    with replaced(due_steps, "may_repeat", may_repeat):
        yield


@mutation("something goes round in circles", 1)
def a_full_room_is_asked_again_at_once() -> Iterator[None]:
    """The follower goes round without a pause while Higgsfield is full. Found by the simulation."""
    real = Admission.wakes_at

    def wakes_at(self: Admission, now: float) -> float | None:
        if self._queues and self._closed_by is not None and self._probe is None:
            return max(self._opens_at, now)
        return real(self, now)

    with replaced(Admission, "wakes_at", wakes_at):
        yield


@mutation("and not a byte of it was ever sent", 100)
def a_name_that_is_never_found_counts_as_sent() -> Iterator[None]:
    """Edge 11: a submission whose gate was never asked is in doubt."""

    @contextlib.contextmanager
    def certain_until_asked(gate: Any) -> Iterator[None]:
        token = send_gate.set(gate)
        try:
            yield
        finally:
            send_gate.reset(token)

    with replaced(client, "certain_until_asked", certain_until_asked):
        yield


@mutation("a true webhook for", 60, "wrong_calendar")
def a_signature_expires_by_the_calendar() -> Iterator[None]:
    """Edge 12: a delivery with a valid signature is refused for good while the calendar is off."""
    real = Signatures.judge

    def judge(self: Signatures, headers: Any, body: bytes, wall: float) -> Proof:
        proof = real(self, headers, body, wall)
        return Proof.NONE if proof is Proof.STALE else proof

    with replaced(Signatures, "judge", judge):
        yield


# -- What the store used to do -----------------------------------------------------------------------------------------


@mutation("shown with outputs that were removed", 668, "bad_disk")
def a_deletion_acts_before_it_is_recorded() -> Iterator[None]:
    """Edge 9: the data is gone at Higgsfield, and the store refuses to know."""

    async def delete(self: Generations, generation: Generation) -> bool:
        spec = generation.spec
        if generation.request_id and spec.api == "v2":
            await self._upstream.delete(Removal(generation.id, generation.request_id, spec.account, spec.origin))
        steady = self._clock.moment().steady
        await self._read(self._store.delete(generation, at_upstream=False, steady=steady))
        return True

    with replaced(Generations, "_delete", delete):
        yield


@mutation("for ever to it", 13)
def a_deletion_raises_no_horizon() -> Iterator[None]:
    """Edge 10: a watcher that was disconnected is never sent the removal of what was deleted in between."""

    def forget(self: Feed, generation_id: str) -> None:
        for index, change in enumerate(self._recent):
            if change.generation_id == generation_id:
                self._recent[index] = replace(change, generation=None)

    async def horizon(self: SqliteStore, tenant: str) -> int:
        return 0

    with replaced(Feed, "_forget", forget), replaced(SqliteStore, "horizon", horizon):
        yield


@mutation("something goes round in circles", 1890, "bad_disk")
def what_the_store_refuses_is_tried_again_at_once() -> Iterator[None]:
    """Edge 15: steps that could not be stored are due still."""

    with replaced(StoreBackoff, "ends", lambda self, now: None), replaced(follower, "PUT_OFF", 0.001):
        yield


@mutation("called itself ready", 35, "bad_disk")
def a_hung_disk_is_not_seen() -> Iterator[None]:
    """Edge 17: writes wait for a disk that does not answer, and /readyz does not show it."""
    with replaced(Writer, "_watch", lambda self: None):
        yield
