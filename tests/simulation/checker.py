"""The checker: compares what callers were shown with Higgsfield's ledger. It knows nothing of the gateway's inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.errors import Reason
from gateway.generations.model import Generation, State
from gateway.generations.state import SEND_TIMEOUT
from tests.simulation.archive import Archived
from tests.simulation.callers import History, Observation, View
from tests.simulation.higgsfield import MAX_STATUS_CALLS, Ledger, Post, Request
from tests.simulation.readers import Listing, NamedWatch
from tests.simulation.receiver import Callbacks, Receipt
from tests.simulation.talkers import Talk
from tests.simulation.trainers import Training
from tests.simulation.world import DAY

CLOCK_TOLERANCE = 120.0
"""Seconds by which the gateway may measure a waiting time too short."""
UPSTREAM_STATUS = {State.COMPLETED: "completed", State.FAILED: "failed", State.NSFW: "nsfw", State.CANCELED: "canceled"}
"""Higgsfield's status for each final state."""
UPSTREAM_TIMEOUT = 60.0
"""HFGATEWAY_UPSTREAM_TIMEOUT, in seconds. The gateway may abort a call that takes this long."""
REPORT_TIMEOUT = 1800.0
"""Seconds within which the end of a request is known, beside the time between two polls, once faults have stopped.

A watcher may take 20 minutes until it reconnects, and refused credentials are tried again after 10.
"""
MAX_COMMITS = 600
"""The limit of attempted commits in ten seconds. A run has only a few generations."""
MAX_TASKS, MAX_TIMERS = 40, 60
"""The limits of tasks and timers of an idle gateway with a few watchers."""


@dataclass(frozen=True)
class Takeover:
    """A process that took the lease of a database at a true time."""

    at: float
    process: int
    before: int | None
    """The process that had it before; None if there was none."""
    released: bool
    """Whether that one had given it back."""


@dataclass
class Evidence:
    """Everything that was observed from outside the gateway in one run. All times are true times."""

    histories: list[History]
    """One for each caller."""
    views: list[View]
    """One for each watcher."""
    ledger: Ledger
    defects: list[str]
    """Unexpected exceptions that the gateway logged or let escape."""
    restores: list[tuple[float, float]] = field(default_factory=list)
    """For each restore: its time, and the time at which the copy was made."""
    crashes: list[tuple[int, float]] = field(default_factory=list)
    """For each process that did not stop by itself: its number and the time of its end."""
    terminations: list[tuple[int, float, float | None]] = field(default_factory=list)
    """As in `Server.terminations`."""
    drain: float = 75.0
    """HFGATEWAY_DRAIN, in seconds."""
    retention: float = 30 * DAY
    """HFGATEWAY_RETENTION, in seconds."""
    served_from: float = float("inf")
    """When the gateway served callers again after the last fault."""
    poll_max: float = 0.0
    """HFGATEWAY_POLL_MAX, in seconds."""
    ended_at: float = 0.0
    wrong_sums: list[str] = field(default_factory=list)
    """What is wrong with the sums of budgets."""
    wrong_audit: list[str] = field(default_factory=list)
    """What is wrong with the audit log."""
    unreported_hangs: list[float] = field(default_factory=list)
    """Times at which the disk had hung for more than a minute, and the gateway was ready nevertheless."""
    most_commits: int = 0
    """The largest number of commits that were attempted within ten seconds."""
    tasks_left: int = 0
    timers_left: int = 0
    """Tasks and timers at the end, when the gateway is idle."""
    finished: bool = True
    """False if the run was aborted by StepLimitError or DeadlockError."""
    takeovers: Sequence[Takeover] = ()
    """The processes that took the lease of a database, in their order."""
    staleness: float = 0.0
    """Seconds for which a replica may show what was replaced by another one, until `quiet_from`."""
    quiet_from: float = float("inf")
    """The time from which on replicas read the log more rarely."""
    uncertain_timeout: float = 0.0
    """HFGATEWAY_UNCERTAIN_TIMEOUT, in seconds."""
    callbacks: Sequence[Callbacks] = ()
    """One for each tenant with a callback."""
    trainings: Sequence[Training] = ()
    """One for each caller that trains a character."""
    talks: Sequence[Talk] = ()
    """One for each caller that talks to agents."""
    listings: Sequence[Listing] = ()
    """All complete lists of readers."""
    watches: Sequence[NamedWatch] = ()
    """All watches of readers."""
    wrong_keys: Sequence[str] = ()
    """The API keys and watch tokens that the gateway accepted or refused wrongly."""
    archived: Archived = field(default_factory=Archived)
    """What was seen of the archive."""
    declared_lost: set[str] = field(default_factory=set)
    """The ids of generations that an operator declared lost, or tried to."""
    may_be_charged_twice: set[str] = field(default_factory=set)
    """The keys for which an operator accepted a second charge."""


def violations(evidence: Evidence) -> list[str]:
    """Check every invariant. Returns a text for each violation; the list is empty if there is none."""
    return [*_Checker(evidence).all()]


class _Checker:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.ledger = evidence.ledger
        self.requests: dict[str, list[Request]] = {}  # by key, as the posts
        for request in self.ledger.requests.values():
            self.requests.setdefault(request.prompt, []).append(request)
        self.posts: dict[str, list[Post]] = {}
        for post in self.ledger.posts:
            self.posts.setdefault(post.prompt, []).append(post)

    def all(self) -> Iterator[str]:
        evidence = self.evidence
        if not evidence.finished:
            yield "no progress: the run exceeded the step limit, or deadlocked"
        for text in evidence.defects:
            yield f"internal defect: {text}"
        yield from self._check_requests()
        checks = [
            *((history.key, self._check_key(history)) for history in evidence.histories),
            *((f"watcher of {view.tenant}", self._check_watcher(view)) for view in evidence.views),
            *((f"callback of {one.tenant}", self._check_callbacks(one)) for one in evidence.callbacks),
            *((training.key, self._check_training(training)) for training in evidence.trainings),
            *((talk.name, self._check_talk(talk)) for talk in evidence.talks),
        ]
        for about, found in checks:
            yield from (f"{about}: {wrong}" for wrong in found)
        yield from (f"budget: {text}" for text in evidence.wrong_sums[:3])
        yield from (f"audit: {text}" for text in evidence.wrong_audit[:3])
        yield from (f"key: {text}" for text in evidence.wrong_keys[:3])
        yield from (f"archive: {text}" for text in self._check_archive(evidence.archived))
        yield from (f"list of {one.tenant}: {text}" for one in evidence.listings for text in self._check_listing(one))
        yield from (f"watch by ids: {text}" for one in evidence.watches for text in self._check_named_watch(one))
        yield from self._check_gateway()

    # -- One key -------------------------------------------------------------------------------------------------------

    def _check_key(self, history: History) -> Iterator[str]:
        forgotten = self._may_be_forgotten(history)
        charges = self.requests.get(history.key, [])
        if len(charges) > 1 and not forgotten and history.key not in self.evidence.may_be_charged_twice:
            yield f"charged {len(charges)} times"
        if not forgotten:
            yield from self._check_final_state(history, charges)
        if history.unused_at is not None and charges and not history.ids and not forgotten:
            yield f"charged, although a lookup at {history.unused_at:.1f} found no generation"
        yield from self._check_nothing_is_taken_back(history)
        yield from self._check_gaps(history)
        yield from self._check_uncertain_was_sent(history)
        if history.adopts:
            yield from self._check_adopted(history, forgotten=forgotten)

    def _may_be_forgotten(self, history: History) -> bool:
        """Return whether a restored copy may be older than a generation of the key, so that the store lacks it."""
        known = max((history.first_seen_at(name) for name in history.ids), default=float("inf"))
        return any(copied <= known for _, copied in self.evidence.restores)

    def _check_final_state(self, history: History, charges: list[Request]) -> Iterator[str]:
        final = history.final
        if final is None:
            error = history.final_error
            gone = error is not None and error.failure.reason is Reason.NOT_FOUND and self._may_be_removed(history)
            if history.ids and not gone:
                yield f"cannot be read at the end: {error}"
            ended = [observation.generation for observation in history.observations if observation.generation.done]
            final = ended[-1] if ended else None
        if final is None:
            return
        if final.state is State.UNCERTAIN and self.evidence.restores:
            return  # after a restore it is held until the operator decides
        if not final.done:
            yield f"stuck in {final.state.name} (version {final.version}, marker {final.marker is not None})"
            return
        yield from self._check_against_ledger(history, final, charges)

    def _may_be_removed(self, history: History) -> bool:
        """Return whether the generation may be gone: its caller deleted it, or the retention is over."""
        old = self.evidence.ended_at - (history.first_submitted_at or 0.0) >= self.evidence.retention
        return history.delete_requested or old

    def _check_against_ledger(self, history: History, final: Generation, charges: list[Request]) -> Iterator[str]:
        own = next((one for one in charges if one.id == final.request_id), None)
        at = next(iter(self._times_shown_final(history, final)), float("inf"))
        match final.state:
            case State.LOST:
                yield from self._check_lost(history, final, own)
            case State.FAILED | State.CANCELED if not final.request_id:
                # A refusal frees the key. If the key had several generations, another one may have been charged.
                if charges and {final.id, *history.ids} == {final.id}:
                    yield f"{final.state.name} as never accepted, but charged"
                yield from self._check_waits(history, final, at)
            case _:
                if own is None:
                    yield f"{final.state.name} with the request {final.request_id or '-'}, which is not one of this key"
                elif own.status(float("inf")) != UPSTREAM_STATUS[final.state]:
                    yield f"{final.state.name}, but its status at Higgsfield is {own.status(float('inf'))}"
                elif (
                    own.deleted_at is None
                    and final.state is State.COMPLETED
                    and [output.url for output in final.outputs] != [own.url]
                ):
                    yield "COMPLETED with outputs other than those at Higgsfield"
        if own is not None and history.final is not None and final.outputs and self._is_deleted(own):
            yield "shown with outputs that were deleted at Higgsfield"
        if own is not None and final is history.final:
            yield from self._check_is_known_in_time(final, own)

    def _check_is_known_in_time(self, final: Generation, own: Request) -> Iterator[str]:
        """Once faults have stopped and a request was accepted, its end is known after a poll, if a watcher saw it."""
        ended_at = own.ends_at if own.canceled_at is None else own.canceled_at
        begun_at = max(ended_at, self.evidence.served_from, final.accept_time or 0.0)
        seen_at = [view.ended_at[final.id] for view in self.evidence.views if final.id in view.ended_at]
        # Its update_time is wrong if the wall clock was, and a watcher may reconnect late.
        late = min(final.update_time, *seen_at) - begun_at if seen_at else 0.0
        if late > 2 * self.evidence.poll_max + REPORT_TIMEOUT:
            yield f"{final.state.name} was known {late:.0f} s late"

    def _is_deleted(self, request: Request) -> bool:
        """Return whether the data of a request was deleted, and no restored copy is older than the deletion."""
        at = request.deleted_at
        return at is not None and not any(copied <= at for _, copied in self.evidence.restores)

    def _check_waits(self, history: History, final: Generation, at: float) -> Iterator[str]:
        failure = final.failure
        if failure is None or history.first_submitted_at is None:
            return
        submitted_at = max((one for one in history.submit_times if one <= at), default=history.first_submitted_at)
        waited = at - (history.first_submitted_at if len(history.ids) == 1 else submitted_at)
        if failure.reason is Reason.START_TIMEOUT_EXCEEDED and history.start_timeout is not None:
            if waited < history.start_timeout - CLOCK_TOLERANCE:
                yield f"canceled after {waited:.0f} s, but start_timeout is {history.start_timeout:.0f} s"
        elif "for a day" in failure.message and waited < DAY - CLOCK_TOLERANCE:
            yield f"given up after {waited:.0f} s instead of a day"

    def _check_lost(self, history: History, final: Generation, own: Request | None) -> Iterator[str]:
        sent = [post for post in self.posts.get(history.key, []) if post.sent]
        ends = self._times_shown_final(history, final)
        copied = min((copied for _, copied in self.evidence.restores), default=float("inf"))
        sent = [post for post in sent if ends and post.started_at < min(ends[0], copied)]
        if own is not None:
            yield "LOST, although Higgsfield has its request"
        elif final.id in self.evidence.declared_lost:
            return
        elif ends and sent and ends[0] - sent[-1].started_at < self.evidence.uncertain_timeout - CLOCK_TOLERANCE:
            yield f"LOST {ends[0] - sent[-1].started_at:.0f} s after it was sent, which is too early"

    def _times_shown_final(self, history: History, final: Generation) -> list[float]:
        """Return the times at which a generation was shown in a final state."""
        return [
            observation.at
            for observation in history.observations
            if observation.generation.id == final.id and observation.generation.done
        ]

    def _check_nothing_is_taken_back(self, history: History) -> Iterator[str]:
        """A call shows nothing older than what any call had shown before it began, except after a restore.

        A restored store lacks what was shown after the copy was made.
        """
        stale, quiet_from = self.evidence.staleness, self.evidence.quiet_from
        before: dict[str, list[Observation]] = {}
        content: dict[tuple[str, int], tuple[object, ...]] = {}
        for observation in history.observations:
            generation = observation.generation
            earlier = before.setdefault(generation.id, [])
            if observation.method != "watch" and observation.called_at < quiet_from and not self.evidence.restores:
                # A call that began before a state was shown may return an earlier one.
                known = [one.generation for one in earlier if observation.called_at >= one.at + stale]
                newest = max(known, key=lambda one: one.revision, default=generation)
                if newest.done and generation.state is not newest.state:
                    yield f"was shown as {newest.state.name}, and later as {generation.state.name}"
                elif generation.revision < newest.revision:
                    yield f"was shown at revision {newest.revision}, and later at {generation.revision}"
            earlier.append(observation)
            shown = (generation.state, generation.request_id, generation.outputs, generation.failure)
            if content.setdefault((generation.id, generation.revision), shown) != shown:
                yield f"revision {generation.revision} was shown with two different contents"

    def _check_gaps(self, history: History) -> Iterator[str]:
        for gap in history.gaps:
            if not any(restored <= gap.at for restored, _ in self.evidence.restores):
                yield f"a watch jumped from revision {gap.before} to {gap.after}"

    def _check_uncertain_was_sent(self, history: History) -> Iterator[str]:
        """UNCERTAIN and LOST require that a byte was sent, or that a process ended without storing that none was."""
        posts = self.posts.get(history.key, [])
        uncertain = [one for one in history.observations if one.generation.state in {State.UNCERTAIN, State.LOST}]
        if not uncertain or not posts or self.evidence.restores or any(post.sent for post in posts):
            return
        first_submitted_at = history.first_submitted_at or 0.0
        ends = [at for _, at in self.evidence.crashes] + [
            ended_at
            for _, terminated_at, ended_at in self.evidence.terminations
            if ended_at is not None and ended_at - terminated_at >= self.evidence.drain
        ]
        if not any(first_submitted_at <= at <= uncertain[0].at for at in ends):
            yield f"{uncertain[0].generation.state.name}, but no byte of it was sent"

    def _check_adopted(self, history: History, *, forgotten: bool) -> Iterator[str]:
        """A request that was made elsewhere is never submitted, and is one generation of a known state."""
        if self.posts.get(history.key):
            yield "submitted, although its request was adopted"
        if len(history.ids) > 1 and not forgotten:
            yield f"adopted as {len(history.ids)} generations"
        shown = {observation.generation.state for observation in history.observations}
        if shown & {State.PENDING, State.UNCERTAIN}:
            yield "an adopted generation was shown as not accepted"

    # -- Watchers ------------------------------------------------------------------------------------------------------

    def _check_watcher(self, view: View) -> Iterator[str]:
        restored = self.evidence.restores
        for gap in view.gaps:
            if not any(at <= gap.at for at, _ in restored):
                yield f"{gap.generation_id} jumped from revision {gap.before} to {gap.after}"
        if not view.caught_up:
            yield "never caught up"
            return
        for name, generation in view.generations.items():
            held = generation.state is State.UNCERTAIN and restored
            if not generation.done and not held:
                yield f"still shows {name} as {generation.state.name}"

    def _check_requests(self) -> Iterator[str]:
        """A request is that of one generation at most, whose final state agrees with the ledger.

        Once that generation was deleted, an operator may adopt the request.
        """
        shown = [one for view in self.evidence.views if view.caught_up for one in view.generations.values()]
        deleted = {name for history in self.evidence.histories if history.delete_requested for name in history.ids}
        held = Counter(one.request_id for one in shown if one.request_id and one.id not in deleted)
        for request_id, count in held.items():
            if count > 1:
                yield f"{request_id} is the request of {count} generations"
        for generation in shown:
            request = self.ledger.requests.get(generation.request_id)
            if generation.request_id and request is None:
                yield f"{generation.id} has the request {generation.request_id}, which Higgsfield does not have"
            elif request is not None and generation.state is State.LOST:
                yield f"{generation.id} is LOST, although Higgsfield has its request"
            elif request is not None and generation.done:
                status = request.status(float("inf"))
                if status != UPSTREAM_STATUS[generation.state]:
                    yield f"{generation.id} is {generation.state.name}, but its status at Higgsfield is {status}"

    # -- Readers -------------------------------------------------------------------------------------------------------

    def _check_listing(self, listing: Listing) -> Iterator[str]:
        """All pages together have each generation once that was shown before, and is in a state that was asked for."""
        if self.evidence.restores:
            return
        found = {one.id: one for one in listing.generations}
        if len(found) != len(listing.generations):
            yield "a generation is on two pages"
        if wrong := [one.id for one in found.values() if listing.states and one.state not in listing.states]:
            yield f"{wrong} are in another state"
        if listing.called_at >= self.evidence.quiet_from:
            return  # replicas read the log rarely by then
        for history in self.evidence.histories:
            if history.tenant != listing.tenant or self._may_be_removed(history):
                continue
            before = [one for one in history.observations if one.at <= listing.called_at - self.evidence.staleness]
            for generation in {one.generation.id: one.generation for one in before}.values():
                certain = generation.done or not listing.states
                asked_for = not listing.states or generation.state in listing.states
                if certain and asked_for is not (generation.id in found):
                    no = "not " if asked_for else ""
                    yield f"{generation.id} is {no}in it, although it was shown as {generation.state.name}"

    def _check_named_watch(self, watch: NamedWatch) -> Iterator[str]:
        """A watch of generations shows each up to its end, unless it was deleted, and ends then."""
        if self.evidence.restores:
            return
        for gap in watch.gaps:
            yield f"{gap.generation_id} jumped from revision {gap.before} to {gap.after}"
        if watch.generation_ids and not watch.ended:
            yield f"still watches {sorted(watch.generation_ids)}"
            return
        removed = {name for one in self.evidence.histories if self._may_be_removed(one) for name in one.ids}
        for name in sorted(watch.generation_ids - removed):
            shown = watch.shown.get(name)
            if name in watch.missing:
                yield f"said that {name} does not exist"
            elif shown is None or not shown.done:
                yield f"ended while it showed {name} as {'nothing' if shown is None else shown.state.name}"

    # -- Characters ----------------------------------------------------------------------------------------------------

    def _check_training(self, training: Training) -> Iterator[str]:
        """A character is charged once per key, and is the one that callers are shown."""
        if any(copied <= self.evidence.ended_at for _, copied in self.evidence.restores):
            return  # the store may lack the order
        trained = [one.id for one in self.ledger.characters_of(training.key)]
        if len(trained) > 1:
            yield f"trained {len(trained)} times"
        for name in dict.fromkeys(name for _, name in training.shown):
            if name not in trained:
                yield f"shown as {name}, which was not trained for it"
        error = training.final_error
        if not training.shown or error is not None:
            yield f"has no character at the end: {error}"

    def _check_talk(self, talk: Talk) -> Iterator[str]:
        """A message is sent once per key, and no two keys have the same one."""
        if self.evidence.restores:
            return
        yield from talk.wrong[:3]
        said = [one.id for one in self.ledger.texts if one.session_id == talk.session_id]
        if talk.heard is not None and talk.heard != said:
            yield f"a watch of the session has shown {talk.heard}, and not {said}"
        keys_of: dict[str, list[str]] = {}
        for key in talk.shown:
            keys_of.setdefault(talk.text_of(key), []).append(key)
        for text, keys in keys_of.items():
            sent = [one.id for one in self.ledger.texts if one.text == text]
            if len(sent) > len(keys):
                yield f"{text!r} was sent {len(sent)} times for {len(keys)} keys"
            shown = [name for key in keys for name in dict.fromkeys(talk.shown[key])]
            if unknown := [name for name in shown if name not in sent]:
                yield f"{text!r} was shown as {unknown}"
            if len(shown) > len(set(shown)):
                yield f"two keys of {text!r} have the same message"
            lost = [key for key in keys if not talk.shown[key] and key not in talk.unresolved]
            if lost:
                yield f"{lost} have no message at the end"
            if not talk.repeats_itself and any(key in talk.unresolved for key in keys):
                yield f"{keys} are unresolved at the end"

    # -- Callbacks -----------------------------------------------------------------------------------------------------

    def _check_callbacks(self, callbacks: Callbacks) -> Iterator[str]:
        own: dict[str, list[Receipt]] = {}  # by callback and generation
        for receipt in callbacks.receipts:
            own.setdefault(receipt.id.rpartition("_")[0], []).append(receipt)
        for receipts in own.values():
            yield from self._check_receipts(receipts, callbacks.redelivered_at)
        yield from self._check_all_delivered(callbacks, own)
        if not self.evidence.restores:
            yield from callbacks.wrong[:3]

    def _check_receipts(self, receipts: list[Receipt], redelivered_at: dict[str, float]) -> Iterator[str]:
        """Deliveries of one generation arrive in the order of their revisions, and again only without a response.

        After a restore, deliveries from before it may come again, but no id is used for something else: a receiver
        ignores an id that it knows. The order and the number of those that an operator repeats are not checked.
        """
        said: dict[str, State] = {}
        for receipt in receipts:
            if said.setdefault(receipt.id, receipt.state) is not receipt.state:
                yield f"{receipt.id} said {said[receipt.id].name}, and then {receipt.state.name}"
        if self.evidence.restores:
            return
        newest, confirmed = 0, set()
        for receipt in receipts:
            if receipt.at >= redelivered_at.get(receipt.id, float("inf")):
                continue
            if receipt.revision < newest:
                yield f"{receipt.id} came after a later revision"
            newest = max(newest, receipt.revision)
            if (receipt.process, receipt.id) in confirmed:
                yield f"{receipt.id} was sent again after its success"
            if receipt.confirmed_at is not None:
                confirmed.add((receipt.process, receipt.id))

    def _check_all_delivered(self, callbacks: Callbacks, own: dict[str, list[Receipt]]) -> Iterator[str]:
        """What was submitted after the callback was there is delivered, as it was shown to callers."""
        if callbacks.created_at is None:
            yield "was never created"
            return
        for history in self.evidence.histories:
            final = history.final
            if final is None or not final.done or history.tenant != callbacks.tenant:
                continue
            for name in callbacks.ids:
                for receipt in own.get(f"{name}_{final.id}", []):
                    if receipt.revision == final.revision and receipt.state is not final.state:
                        yield f"{receipt.id} said {receipt.state.name}, but it was {final.state.name}"
            if history.delete_requested or self.evidence.restores:
                continue
            receipts = own.get(f"{callbacks.ids[-1]}_{final.id}", [])
            if (history.first_submitted_at or 0.0) > callbacks.created_at:
                wanted = range(1 if callbacks.every_change else final.revision, final.revision + 1)
                missing = set(wanted) - {receipt.revision for receipt in receipts}
                if missing:
                    yield f"{final.id} was not delivered at revisions {sorted(missing)} of {final.revision}"
            for name, asked_at in callbacks.repeated.items():
                again = any(one.id == name and (one.confirmed_at or 0.0) >= asked_at for one in receipts)
                if name.startswith(f"{callbacks.ids[-1]}_{final.id}_") and not again:
                    yield f"{name} was not delivered again"

    # -- The archive ---------------------------------------------------------------------------------------------------

    def _check_archive(self, archived: Archived) -> Iterator[str]:
        """Every copy that callers are shown is there, every output is copied, and deleted ones leave no file."""
        if self.evidence.restores:
            return
        yield from archived.wrong[:3]
        yield from (f"{name} has no copy at the end" for name in archived.missing)
        yield from (f"{key} is left of a deleted generation" for key in archived.orphans)
        yield from (f"{key} is unfinished at the end" for key in archived.unfinished)

    # -- The gateway ---------------------------------------------------------------------------------------------------

    def _check_gateway(self) -> Iterator[str]:
        evidence = self.evidence
        yield from self._check_fences()
        for number, terminated_at, ended_at in evidence.terminations:
            for post in self.ledger.posts:
                if post.process == number and ended_at is not None and self._was_cut_by_drain(post, terminated_at):
                    yield f"SIGTERM cut the submission of {post.prompt}, although the drain had time left"
            if ended_at is None and not evidence.takeovers:  # a replica may be paused
                yield f"process {number} did not stop after SIGTERM"
        for _, request_id, status in self.ledger.rejected_deliveries:
            if self._exists(request_id):
                yield f"a valid webhook for {request_id} was rejected with {status}"
                break
        for at in evidence.unreported_hangs[:1]:
            yield f"the disk had hung for a minute at {at:.0f}, but the gateway was ready"
        for request_id in sorted(self.ledger.polled_too_often)[:1]:
            yield f"the status of {request_id} was read more than {MAX_STATUS_CALLS} times in ten seconds"
        if evidence.most_commits > MAX_COMMITS:
            yield f"{evidence.most_commits} commits were attempted in ten seconds"
        if evidence.tasks_left > MAX_TASKS:
            yield f"{evidence.tasks_left} tasks are left while the gateway is idle"
        if evidence.timers_left > MAX_TIMERS:
            yield f"{evidence.timers_left} timers are left while the gateway is idle"

    def _check_fences(self) -> Iterator[str]:
        """A process sends only while it has the lease, or in the few seconds for which its successor waits."""
        takeovers = self.evidence.takeovers
        for post in self.ledger.posts if takeovers else ():
            if post.sent_at is None:
                continue
            own = [one for one in takeovers if one.process == post.process and one.at <= post.sent_at]
            after = [one for one in takeovers if own and one.at > own[-1].at and one.at < post.sent_at]
            if not own:
                yield f"process {post.process} sent {post.prompt} without the lease"
            elif after and (late := post.sent_at - after[0].at) > (0.0 if after[0].released else SEND_TIMEOUT):
                yield f"process {post.process} sent {post.prompt} {late:.1f} s after it was replaced"

    def _was_cut_by_drain(self, post: Post, terminated_at: float) -> bool:
        if post.aborted_at is None or not post.sent or post.aborted_at - post.started_at >= UPSTREAM_TIMEOUT - 1.0:
            return False
        return terminated_at < post.aborted_at < terminated_at + self.evidence.drain - 1.0

    def _exists(self, request_id: str) -> bool:
        """Return whether the generation of a request certainly existed: shown, not deleted, and no restore."""
        request = self.ledger.requests[request_id]
        history = next(one for one in self.evidence.histories if one.key == request.prompt)
        shown = Counter(one.generation.request_id for one in history.observations)
        return bool(shown[request_id]) and not history.delete_requested and not self.evidence.restores
