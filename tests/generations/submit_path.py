"""An exhaustive model of the submit path: every order of events of one intent, with the production decisions.

Two processes share a store (one takes over from the other). The environment may kill a process, pause one, lose
responses, refuse, forget old keys and change the account's credentials, each a few times. The production code decides:
`state.advance` computes the next state, `due_steps.next_due` the next step, and `model.frees_key` which key is free.
The model only supplies the events.

`explore` visits all reachable states, breadth first, and returns the shortest counterexample: two charges for one
intent, a charged generation that is reported as free, or a generation that is stuck. Processes are alike, so of two
states that differ only in which process is which, it visits one.
"""

from collections import deque
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.errors import Failure, Reason
from gateway.generations import due_steps, state
from gateway.generations.due_steps import Rules, Step
from gateway.generations.model import Api, Generation, Marker, Moment, Spec, State, StatusReport, frees_key

PAST, NOW, LATER = 1_000.0, 1_001.0, 5_000.0
REFUSED = Failure(Reason.INPUT_REFUSED, "refused")
ROUNDS = {"crashes": 1, "pauses": 1, "refusals": 1, "losses": 2, "expiries": 1, "switches": 1, "cancels": 1}
BUDGET = {what: index for index, what in enumerate((*ROUNDS, "unconfirmed"))}
"""The index in a world's budget of what the environment may do a few times."""


class Job(NamedTuple):
    """The fields of a Generation that a decision can depend on, with times reduced to their meaning."""

    state: State = State.PENDING
    marker: tuple[str, int] | None = None
    marks: int = 0
    sends: int = 0
    ambiguous: bool = False
    resting: bool = False
    repeats_over: bool = False
    cancel_requested: bool = False
    requests: int = 0
    account: int = 0


class Process(NamedTuple):
    """A gateway process: its next action, and the marker it acts for."""

    up: bool = True
    life: int = 0
    doing: str = "idle"
    job: int = 0
    attempt: int = 0
    in_time: bool = True
    paused: bool = False


class Post(NamedTuple):
    """A POST on the wire: `there` until Higgsfield decides, then its response is on the way back."""

    job: int
    content: int
    account: int
    phase: str
    owner: str
    attempt: int


class World(NamedTuple):
    """The whole state: the store, the processes, the wire, and Higgsfield's charges."""

    jobs: tuple[Job, ...]
    key_free: bool
    processes: tuple[Process, ...]
    wire: tuple[Post, ...]
    charges: tuple[int, ...]
    known_keys: tuple[tuple[int, int, int], ...]
    submissions: int
    budget: tuple[int, ...]
    account: int = 0
    expired: bool = False


@dataclass(frozen=True)
class Gateway:
    """The decisions under test. A seeded mistake replaces one of them."""

    advance: Callable[[Generation, Any, Moment], Generation | None] = state.advance
    next_due: Callable[..., due_steps.Due | None] = due_steps.next_due
    rules: Rules = field(default_factory=Rules)
    api: Api = "v2"
    pause: float = due_steps.PAUSE_AFTER_SILENCE
    heeds_owner: bool = True
    checks_send_by: bool = True
    pins_account: bool = True
    keeps_request: bool = True


def start(processes: int = 2, unconfirmed: int = 0) -> World:
    """Return a world before any submission, in which `unconfirmed` markers may be stored without a confirmation."""
    return World((), True, (Process(),) * processes, (), (), (), 2, (*ROUNDS.values(), unconfirmed))


def explore(gateway: Gateway, world: World | None = None, bound: int = 2_000_000) -> tuple[int, str | None, list[str]]:
    """Return the number of states and, if there is one, the shortest counterexample: its name and its events."""
    first = start() if world is None else world
    events = _Events(gateway)
    came_from: dict[World, tuple[World, str] | None] = {first: None}
    queue = deque([first])
    count = 0
    while queue:
        here = queue.popleft()
        count += 1
        wrong = bad(here)
        following = [] if wrong else list(events.of(here))
        if not following and not wrong and stuck(here):
            wrong = "a generation is stuck"
        if wrong:
            return count, wrong, _story(came_from, here)
        if count > bound:
            raise AssertionError("the model has grown beyond its bound")
        for event, there in ((event, _tidy(there)) for event, there in following):
            if not _seen(there, came_from):
                came_from[there] = (here, event)
                queue.append(there)
    return count, None, []


def _seen(world: World, worlds: Container[World]) -> bool:
    """Return true if the world is known, or the same world with the two processes interchanged."""
    return world in worlds or (len(world.processes) == 2 and _mirrored(world) in worlds)


def _mirrored(world: World) -> World:
    """Return the same world with the two processes interchanged."""
    jobs = tuple(
        job if job.marker is None else job._replace(marker=(_OTHER[job.marker[0]], job.marker[1])) for job in world.jobs
    )
    wire = tuple(sorted(post._replace(owner=_OTHER[post.owner]) for post in world.wire))
    return world._replace(jobs=jobs, processes=world.processes[::-1], wire=wire)


def _tidy(world: World) -> World:
    """Drop responses that no process will read: worlds that differ only in those are equal."""
    if not world.wire:
        return world
    reading = {(_owner(i, p), p.attempt) for i, p in enumerate(world.processes) if p.up and p.doing == "waiting"}
    wire = tuple(sorted(post for post in world.wire if post.phase == "there" or (post.owner, post.attempt) in reading))
    return world if wire == world.wire else world._replace(wire=wire)


def bad(world: World) -> str | None:
    """Return the broken promise, if there is one."""
    if len(world.charges) > 1:
        return "one intent is charged twice"
    for index, job in enumerate(world.jobs):
        if job.state in {State.FAILED, State.CANCELED} and not job.requests and index in world.charges:
            return f"a charged generation is reported {job.state.name}, free"
    return None


def stuck(world: World) -> bool:
    """Return true if a generation is left that should have been resolved."""
    return any(job.state in {State.PENDING, State.UNCERTAIN} or job.marker for job in world.jobs)


def _story(came_from: dict[World, tuple[World, str] | None], end: World) -> list[str]:
    lines = []
    step = came_from[end]
    while step is not None:
        lines.append(step[1])
        step = came_from[step[0]]
    return lines[::-1]


Event = tuple[str, World]


class _Events:
    """The events that can happen next in a world."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._advance = lru_cache(maxsize=None)(self._advance_uncached)
        self._due = lru_cache(maxsize=None)(self._due_uncached)

    def of(self, world: World) -> Iterator[Event]:
        yield from self._caller(world)
        for index, process in enumerate(world.processes):
            yield from self._process(world, index, process)
        yield from self._higgsfield(world)
        yield from self._time(world)

    def _caller(self, world: World) -> Iterator[Event]:
        if world.submissions and world.key_free:
            job = Job(account=world.account)
            yield (
                f"the caller submits: generation {len(world.jobs)} is stored",
                world._replace(jobs=(*world.jobs, job), key_free=False, submissions=world.submissions - 1),
            )
        for index, job in enumerate(world.jobs):
            if job.state is State.PENDING and (there := _spend(world, "cancels")):
                yield (
                    f"the caller cancels generation {index}",
                    self._decide(there, index, state.CancelAsked()),
                )

    def _process(self, world: World, index: int, process: Process) -> Iterator[Event]:
        who = f"process {index}"
        if not process.up:
            yield f"{who} starts again", _with(world, index, Process(life=process.life + 1))
            return
        if world.jobs and (there := _spend(world, "crashes")):
            yield f"{who} is killed", _with(there, index, Process(up=False, life=process.life))
        if process.paused:
            yield f"{who} wakes up", _with(world, index, process._replace(paused=False))
            return
        if process.doing in {"marked", "waiting"} and (there := _spend(world, "pauses")):
            yield (
                f"{who} is paused beyond its send_by",
                _with(there, index, process._replace(paused=True, in_time=False)),
            )
        if process.doing == "idle":
            yield from self._due_steps(world, index, process)
        elif process.doing == "marked":
            yield from self._post(world, index, process)
        else:
            yield from self._answers(world, index, process)

    def _due_steps(self, world: World, index: int, process: Process) -> Iterator[Event]:
        owner = _owner(index, process)
        for number, job in enumerate(world.jobs):
            reachable = job.account == world.account or not self.gateway.pins_account
            attempting = False  # an idle process has no attempt in progress
            step = self._due(job, owner, world.expired, reachable, attempting)
            if step is Step.SEND and not job.resting:
                there = self._decide(world, number, state.Marked(owner))
                marked = there.jobs[number].marker
                if marked is not None:
                    yield (
                        f"process {index} marks generation {number} as being sent",
                        _with(
                            there, index, process._replace(doing="marked", job=number, attempt=marked[1], in_time=True)
                        ),
                    )
                    if unconfirmed := _spend(there, "unconfirmed"):
                        yield f"process {index} marks generation {number}, and gets an error", unconfirmed
            elif step is Step.TAKE_BACK and job.marker is not None:
                there = self._decide(world, number, state.Unsent(Marker(*job.marker)))
                if there != world:
                    yield f"process {index} takes back its mark of generation {number}", there
            elif step is Step.RECOVER and job.marker is not None and self._may_recover(world, job.marker):
                died = state.OwnerDied(Marker(*job.marker), self.gateway.pause)
                yield (
                    f"process {index} finds generation {number} left behind: UNCERTAIN",
                    self._decide(world, number, died),
                )
            elif step is Step.GIVE_UP and world.expired:
                yield f"generation {number} is given up", self._decide(world, number, state.Expired(REFUSED))
            elif step in {Step.SEND, Step.END_WAIT} and not reachable:
                yield f"generation {number} has waited too long", self._decide(world, number, state.Expired(REFUSED))

    def _may_recover(self, world: World, marker: tuple[str, int]) -> bool:
        """Return true if the owner has ended, or looks ended because it is paused."""
        if not self.gateway.heeds_owner:
            return True
        index, life = int(marker[0][1]), int(marker[0][3:])
        owner = world.processes[index]
        return not owner.up or owner.life != life or owner.paused

    def _post(self, world: World, index: int, process: Process) -> Iterator[Event]:
        job = world.jobs[process.job]
        if process.in_time or not self.gateway.checks_send_by:
            content = 0 if self.gateway.keeps_request else process.life
            account = job.account if self.gateway.pins_account else world.account
            post = Post(process.job, content, account, "there", _owner(index, process), process.attempt)
            yield (
                f"process {index} POSTs generation {process.job}",
                _with(world, index, process._replace(doing="waiting"))._replace(wire=(*world.wire, post)),
            )
            return
        marker = Marker(_owner(index, process), process.attempt)
        yield (
            f"process {index} is too late, and sends nothing",
            _with(self._decide(world, process.job, state.Unsent(marker)), index, Process(life=process.life)),
        )

    def _answers(self, world: World, index: int, process: Process) -> Iterator[Event]:
        owner = _owner(index, process)
        marker = Marker(owner, process.attempt)
        for number, post in enumerate(world.wire):
            if (post.job, post.owner, post.attempt) != (process.job, owner, process.attempt):
                continue
            rest = _with(world, index, Process(life=process.life))
            rest = rest._replace(wire=world.wire[:number] + world.wire[number + 1 :])
            if post.phase == "accepted":
                report = StatusReport(f"r{post.account}", "queued", State.QUEUED)
                yield f"process {index} reads the acceptance", self._decide(rest, post.job, state.Accepted(report))
            elif post.phase in {"refused", "mismatch"}:
                refusal = state.Refused(marker, REFUSED, is_final=post.phase == "mismatch")
                yield f"process {index} reads a refusal", self._decide(rest, post.job, refusal)
            elif post.phase == "busy":
                busy = state.Postponed(marker, REFUSED, 0.0, was_reached=True)
                yield f"process {index} reads that Higgsfield is full", self._decide(rest, post.job, busy)
            if there := _spend(world, "losses"):
                lost = _with(there, index, Process(life=process.life))
                if post.phase != "there":
                    lost = lost._replace(wire=world.wire[:number] + world.wire[number + 1 :])
                silence = state.Ambiguous(marker, REFUSED, self.gateway.pause)
                yield f"process {index} gets no usable answer", self._decide(lost, post.job, silence)

    def _higgsfield(self, world: World) -> Iterator[Event]:
        for number, post in enumerate(world.wire):
            if post.phase != "there":
                continue
            known = [
                content for job, account, content in world.known_keys if (job, account) == (post.job, post.account)
            ]
            if there := _spend(world, "refusals"):
                yield "Higgsfield refuses before it looks at the key", _answer(there, number, "refused")
                yield "Higgsfield is full before it looks at the key", _answer(there, number, "busy")
            if known:
                same = known[0] == post.content
                yield (
                    "Higgsfield knows the key" + ("" if same else ", with other content: 422"),
                    _answer(world, number, "accepted" if same else "mismatch"),
                )
            else:
                yield "Higgsfield accepts: a charge", self._book(_answer(world, number, "accepted"), post, 1)
            twin = next((i for i, other in enumerate(world.wire) if i > number and _twins(post, other)), None)
            if twin is not None and not known:
                both = _answer(_answer(world, number, "accepted"), twin, "accepted")
                yield "Higgsfield runs both POSTs at once: two charges", self._book(both, post, 2)

    def _book(self, world: World, post: Post, times: int) -> World:
        """Add charges; v1 neither reads nor remembers keys."""
        new = ((post.job, post.account, post.content),) if self.gateway.api == "v2" else ()
        return world._replace(charges=world.charges + (post.job,) * times, known_keys=world.known_keys + new)

    def _time(self, world: World) -> Iterator[Event]:
        for index, job in enumerate(world.jobs):
            # The purpose of a pause: at its end, Higgsfield has finished with the POSTs before it.
            if job.resting and not any(post.job == index and post.phase == "there" for post in world.wire):
                yield f"the pause of generation {index} is over", _put(world, index, job._replace(resting=False))
        if world.jobs and not _sending(world) and (there := _spend(world, "expiries")):
            yield (
                "the window for repeats closes; Higgsfield forgets old keys",
                there._replace(expired=True, known_keys=()),
            )
        if world.jobs and (there := _spend(world, "switches")):
            yield "the operator sets another account's credentials", there._replace(account=1)

    def _decide(self, world: World, index: int, observation: Any) -> World:
        """Apply the observation to the generation with the production code."""
        before = world.jobs[index]
        after, freed = self._advance(before, observation, world.expired)
        return _put(world, index, after)._replace(key_free=world.key_free or freed)

    def _advance_uncached(self, job: Job, observation: Any, expired: bool) -> tuple[Job, bool]:
        before = _generation(job, self.gateway.api)
        moment = _moment(expired)
        after = self.gateway.advance(before, observation, moment)
        if after is None:
            return job, False
        return _job(job, after, moment, isinstance(observation, state.Marked)), frees_key(before, after)

    def _due_uncached(self, job: Job, owner: str, expired: bool, reachable: bool, attempting: bool) -> Step | None:
        due = self.gateway.next_due(
            _generation(job, self.gateway.api),
            self.gateway.rules,
            owner,
            _moment(expired),
            reachable=reachable,
            attempting=attempting,
        )
        return None if due is None else due.step


def _moment(expired: bool) -> Moment:
    now = LATER if expired else NOW
    return Moment(steady=now, wall=now)


def _generation(job: Job, api: Api) -> Generation:
    spec = Spec("id", "t", "m", api, str(job.account), "o", b"", {}, "k", PAST, PAST)
    sent = PAST if job.sends else None
    return Generation(
        spec,
        version=job.marks,
        state=job.state,
        marker=None if job.marker is None else Marker(*job.marker),
        send_by=None if job.marker is None else PAST,
        first_sent_at=sent,
        sent_at=sent,
        sends=job.sends,
        ambiguous=job.ambiguous,
        not_before=PAST,
        repeats_over=job.repeats_over,
        cancel_requested=job.cancel_requested,
        request_id="r0" if job.requests else "",
    )


def _job(before: Job, after: Generation, moment: Moment, marked: bool) -> Job:
    rested = after.not_before > moment.steady
    return before._replace(
        state=after.state,
        marker=None if after.marker is None else (after.marker.owner, after.marker.attempt),
        marks=before.marks + marked,
        sends=after.sends,
        ambiguous=after.ambiguous,
        resting=rested,
        repeats_over=after.repeats_over,
        cancel_requested=after.cancel_requested,
        requests=int(bool(after.request_id)),
    )


def _owner(index: int, process: Process) -> str:
    return f"p{index}-{process.life}"


_LIVES = range(ROUNDS["crashes"] + 1)
_OTHER = {f"p{index}-{life}": f"p{1 - index}-{life}" for index in range(2) for life in _LIVES}
"""The owner of the other process in the same life, by owner."""


def _with(world: World, index: int, process: Process) -> World:
    return world._replace(processes=(*world.processes[:index], process, *world.processes[index + 1 :]))


def _put(world: World, index: int, job: Job) -> World:
    return world._replace(jobs=(*world.jobs[:index], job, *world.jobs[index + 1 :]))


def _answer(world: World, number: int, phase: str) -> World:
    post = world.wire[number]._replace(phase=phase)
    return world._replace(wire=(*world.wire[:number], post, *world.wire[number + 1 :]))


def _twins(one: Post, other: Post) -> bool:
    return other.phase == "there" and (one.job, one.account) == (other.job, other.account)


def _sending(world: World) -> bool:
    """Return true if a POST may arrive: Higgsfield is assumed to keep keys for longer than the window and one call."""
    return any(post.phase == "there" for post in world.wire) or any(
        process.doing == "marked" and process.in_time for process in world.processes
    )


def _spend(world: World, what: str) -> World | None:
    index, budget = BUDGET[what], world.budget
    if not budget[index]:
        return None
    return world._replace(budget=(*budget[:index], budget[index] - 1, *budget[index + 1 :]))


def mistaken(**changes: Any) -> Gateway:
    """Return a gateway with a seeded mistake."""
    return replace(Gateway(), **changes)
