"""Compares what callers were answered with what Higgsfield charged. It knows nothing of the gateway's inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.errors import Reason
from gateway.generations.model import Generation, State
from tests.simulation.callers import History, Model, Sight
from tests.simulation.higgsfield import MOST_READS, Ledger, Post, Request
from tests.simulation.world import DAY

SLACK = 120.0
"""Seconds by which the gateway's clocks may differ from the true time without being wrong."""
ENDS = {State.COMPLETED: "completed", State.FAILED: "failed", State.NSFW: "nsfw", State.CANCELED: "canceled"}
CALL = 60.0
"""HFGATEWAY_UPSTREAM_TIMEOUT: what takes so long is cut by it, and rightly."""
MOST_WRITES = 600
"""Commits that may be tried in ten seconds by the few generations of a run."""
MOST_TASKS, MOST_TIMERS = 40, 60
"""What an idle gateway may have under way, with a handful of watchers."""


@dataclass
class Evidence:
    """All that is known from outside when a run is over."""

    histories: list[History]
    models: list[Model]
    ledger: Ledger
    logged: list[str]
    restores: list[tuple[float, float]] = field(default_factory=list)
    """When a copy was restored, and when it had been made."""
    crashes: list[tuple[int, float]] = field(default_factory=list)
    """Process and time of each end that was no orderly one."""
    terminations: list[tuple[int, float, float | None]] = field(default_factory=list)
    drain: float = 75.0
    retention: float = 30 * DAY
    over_at: float = 0.0
    hidden_hangs: list[float] = field(default_factory=list)
    """Times at which a disk had hung for a minute and the gateway called itself ready."""
    busiest: int = 0
    tasks_left: int = 0
    timers_left: int = 0
    jobs_left: int = 0
    ended_by_itself: bool = True
    uncertain_timeout: float = 0.0
    calls_made: int = 0


def violations(evidence: Evidence) -> list[str]:
    """Everything that is wrong, in words."""
    return [*_Judge(evidence).all()]


class _Judge:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.ledger = evidence.ledger
        self.requests: dict[str, list[Request]] = {}
        for request in self.ledger.requests.values():
            self.requests.setdefault(request.prompt, []).append(request)
        self.posts: dict[str, list[Post]] = {}
        for post in self.ledger.posts:
            self.posts.setdefault(post.prompt, []).append(post)

    def all(self) -> Iterator[str]:
        evidence = self.evidence
        if not evidence.ended_by_itself:
            yield "something goes round in circles: the run took more steps than any should"
        for text in evidence.logged:
            yield f"a defect was logged: {text}"
        for history in evidence.histories:
            for wrong in self._of(history):
                yield f"{history.key}: {wrong}"
        for model in evidence.models:
            for wrong in self._of_watcher(model):
                yield f"watcher of {model.tenant}: {wrong}"
        yield from self._of_the_process()

    # -- One key -------------------------------------------------------------------------------------------------------

    def _of(self, history: History) -> Iterator[str]:
        forgotten = self._forgotten(history)
        charges = self.requests.get(history.key, [])
        if len(charges) > 1 and not forgotten:
            yield f"charged {len(charges)} times"
        if not forgotten:
            yield from self._reported_right(history, charges)
        yield from self._never_back(history)
        yield from self._without_gap(history)
        yield from self._not_sent_in_doubt(history)

    def _forgotten(self, history: History) -> bool:
        """Whether a restored copy may be older than a generation of the key, so that the gateway cannot know it."""
        known = max((history.seen_first(name) for name in history.ids), default=float("inf"))
        return any(copied <= known for _, copied in self.evidence.restores)

    def _reported_right(self, history: History, charges: list[Request]) -> Iterator[str]:
        final = history.final
        if final is None:
            error = history.final_error
            gone = error is not None and error.failure.reason is Reason.NOT_FOUND and self._may_be_gone(history)
            if history.ids and not gone:
                yield f"cannot be got at the end: {error}"
            ended = [sight.generation for sight in history.sights if sight.generation.done]
            final = ended[-1] if ended else None
        if final is None:
            return
        if final.state is State.UNCERTAIN and self.evidence.restores:
            return  # held for the operator
        if not final.done:
            yield f"stuck in {final.state.name} (version {final.version}, marker {final.marker is not None})"
            return
        yield from self._end_is_true(history, final, charges)

    def _may_be_gone(self, history: History) -> bool:
        """Whether its customer deleted it, or it is older than what is kept."""
        old = self.evidence.over_at - (history.first_asked_at or 0.0) >= self.evidence.retention
        return history.delete_asked or old

    def _end_is_true(self, history: History, final: Generation, charges: list[Request]) -> Iterator[str]:
        own = next((one for one in charges if one.id == final.request_id), None)
        shown = next(
            (sight for sight in history.sights if sight.generation.id == final.id and sight.generation.done), None
        )
        at = shown.at if shown is not None else float("inf")
        match final.state:
            case State.LOST:
                yield from self._lost(history, final, own)
            case State.FAILED | State.CANCELED if not final.request_id:
                # A key that was freed by a refusal may have been charged by a generation after it, or before it.
                if charges and {final.id, *history.ids} == {final.id}:
                    yield f"{final.state.name} as never accepted, and was charged"
                yield from self._too_early(history, final, at)
            case _:
                if own is None:
                    yield f"{final.state.name} by a request {final.request_id or '-'} that is not its own"
                elif own.status(float("inf")) != ENDS[final.state]:
                    yield f"{final.state.name}, and Higgsfield says {own.status(float('inf'))}"
                elif (
                    own.deleted_at is None
                    and final.state is State.COMPLETED
                    and [output.url for output in final.outputs] != [own.url]
                ):
                    yield "COMPLETED with outputs that are not its own"
        if own is not None and history.final is not None and final.outputs and self._is_removed(own):
            yield "shown with outputs that were removed from Higgsfield"

    def _is_removed(self, request: Request) -> bool:
        """Return whether its data was removed, and no restored copy is older than that."""
        at = request.deleted_at
        return at is not None and not any(copied <= at for _, copied in self.evidence.restores)

    def _too_early(self, history: History, final: Generation, at: float) -> Iterator[str]:
        failure = final.failure
        if failure is None or history.first_asked_at is None:
            return
        asked = max((one for one in history.asked_at if one <= at), default=history.first_asked_at)
        waited = at - (history.first_asked_at if len(history.ids) == 1 else asked)
        if failure.reason is Reason.START_TIMEOUT_EXCEEDED and history.start_timeout is not None:
            if waited < history.start_timeout - SLACK:
                yield f"canceled after {waited:.0f} s of a start_timeout of {history.start_timeout:.0f} s"
        elif "for a day" in failure.message and waited < DAY - SLACK:
            yield f"given up after {waited:.0f} s 'for a day'"

    def _lost(self, history: History, final: Generation, own: Request | None) -> Iterator[str]:
        sent = [post for post in self.posts.get(history.key, []) if post.sent]
        ends = self._shown_as_ended(history, final)
        copied = min((copied for _, copied in self.evidence.restores), default=float("inf"))
        sent = [post for post in sent if ends and post.began < min(ends[0], copied)]
        if own is not None:
            yield "LOST, although Higgsfield has its request"
        elif ends and sent and ends[0] - sent[-1].began < self.evidence.uncertain_timeout - SLACK:
            yield f"LOST {ends[0] - sent[-1].began:.0f} s after it was sent"

    def _shown_as_ended(self, history: History, final: Generation) -> list[float]:
        """When it was shown as ended."""
        return [sight.at for sight in history.sights if sight.generation.id == final.id and sight.generation.done]

    def _never_back(self, history: History) -> Iterator[str]:
        if self.evidence.restores:
            return  # the restored store does not know what was shown after the copy was made
        ended: dict[str, Sight] = {}
        content: dict[tuple[str, int], tuple[object, ...]] = {}
        for sight in history.sights:
            generation = sight.generation
            end = ended.get(generation.id)
            # A call that began before the end was shown may still return the state before it.
            later = end is not None and sight.channel != "watch" and sight.began >= end.at
            if end is not None and later and generation.state is not end.generation.state:
                yield f"was shown as {end.generation.state.name}, and later as {generation.state.name}"
            if generation.done:
                ended.setdefault(generation.id, sight)
            shown = (generation.state, generation.request_id, generation.outputs, generation.failure)
            if content.setdefault((generation.id, generation.revision), shown) != shown:
                yield f"revision {generation.revision} was shown with two contents"

    def _without_gap(self, history: History) -> Iterator[str]:
        for gap in history.gaps:
            if not any(restored <= gap.at for restored, _ in self.evidence.restores):
                yield f"a watch jumped from revision {gap.before} to {gap.after}"

    def _not_sent_in_doubt(self, history: History) -> Iterator[str]:
        """In doubt is only what may have been sent: a byte left, or a process died after the key was first used."""
        posts = self.posts.get(history.key, [])
        doubted = [one for one in history.sights if one.generation.state in {State.UNCERTAIN, State.LOST}]
        if not doubted or not posts or self.evidence.restores or any(post.sent for post in posts):
            return
        asked_at = history.first_asked_at or 0.0
        if not any(asked_at <= at <= doubted[0].at for _, at in self.evidence.crashes):
            yield f"{doubted[0].generation.state.name}, and not a byte of it was ever sent"

    # -- Watchers ------------------------------------------------------------------------------------------------------

    def _of_watcher(self, model: Model) -> Iterator[str]:
        restored = self.evidence.restores
        for gap in model.gaps:
            if not any(at <= gap.at for at, _ in restored):
                yield f"{gap.generation_id} jumped from revision {gap.before} to {gap.after}"
        if not model.caught_up:
            yield "never caught up"
            return
        for name, generation in model.believed.items():
            held = generation.state is State.UNCERTAIN and restored
            if not generation.done and not held:
                yield f"{name} is {generation.state.name} for ever to it"

    # -- The process ---------------------------------------------------------------------------------------------------

    def _of_the_process(self) -> Iterator[str]:
        evidence = self.evidence
        for number, asked, out in evidence.terminations:
            for post in self.ledger.posts:
                if post.life == number and out is not None and self._cut_by_a_drain(post, asked):
                    yield f"SIGTERM cut the submission of {post.prompt}, although the drain had time left"
        for at, request_id, status in self.ledger.refused_deliveries:
            if self._exists(request_id, at):
                yield f"a true webhook for {request_id} was answered {status}"
                break
        for at in evidence.hidden_hangs[:1]:
            yield f"the disk had hung for a minute at {at:.0f}, and the gateway called itself ready"
        for request_id in sorted(self.ledger.hurried)[:1]:
            yield f"{request_id} was read more than {MOST_READS} times in ten seconds"
        if evidence.busiest > MOST_WRITES:
            yield f"{evidence.busiest} commits were tried in ten seconds"
        if evidence.tasks_left > MOST_TASKS:
            yield f"{evidence.tasks_left} tasks are left when nothing is to be done"
        if evidence.timers_left > MOST_TIMERS:
            yield f"{evidence.timers_left} timers are left when nothing is to be done"
        if evidence.jobs_left:
            yield f"{evidence.jobs_left} writes were never answered"

    def _cut_by_a_drain(self, post: Post, asked: float) -> bool:
        if post.cut_at is None or not post.sent or post.cut_at - post.began >= CALL - 1.0:
            return False
        return asked < post.cut_at < asked + self.evidence.drain - 1.0

    def _exists(self, request_id: str, at: float) -> bool:
        """Whether the generation of that request was there: neither deleted nor lost to a restore."""
        request = self.ledger.requests[request_id]
        history = next(one for one in self.evidence.histories if one.key == request.prompt)
        bound = Counter(one.generation.request_id for one in history.sights)
        return bool(bound[request_id]) and not history.delete_asked and not self.evidence.restores
