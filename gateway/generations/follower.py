"""The follower: takes the steps that are due for every unfinished generation, a bounded number of them at once.

`due_steps` derives which step is due. The due times only say when to look. The follower plans a generation again
after each of its commits, so that it needs no other input, and a restart continues from what is stored. If two
followers ran by accident, the result would be one status call too many.
"""

import asyncio
import logging
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from gateway.concurrency import OwnedTasks, Signals, Wakeup
from gateway.due_times import DueTimes
from gateway.errors import Failure, GatewayError, Reason
from gateway.generations import due_steps
from gateway.generations.admission.admission import Admission
from gateway.generations.admission.admissions import Admissions
from gateway.generations.clock import spread
from gateway.generations.due_steps import Due, Rules, Step
from gateway.generations.journal import caller
from gateway.generations.model import FOLLOWED, Generation, GenerationId, Source, State, Steady
from gateway.generations.polling.missing import MissingRequests
from gateway.generations.polling.pace import is_stale
from gateway.generations.polling.rate_limit import PollLimits
from gateway.generations.polling.schedule import PollSchedule, running_for
from gateway.generations.ports import MAX_RETRY_AFTER, Clock, Upstream
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.state import SEND_TIMEOUT, CancelAsked, Expired, OwnerDied, Reported, Unsent
from gateway.generations.store_backoff import StoreBackoff
from gateway.generations.stores import Saved, UnconfirmedError
from gateway.generations.trusted_time import ASK_INTERVAL, TrustedTime
from gateway.generations.watching.feed import LONG_AGO, Entry, Feed

log = logging.getLogger(__name__)

MAX_CONCURRENT_STEPS = 64
"""The number of steps that run at once."""
SLOW_RESPONSE = 1.0
"""Seconds. If status calls take longer on average, Higgsfield causes the delays, and the gateway is not behind."""
PLAN_BATCH_SIZE = 200
"""Generations that are planned before other tasks get their turn. The lease would expire while many are planned."""
MARK_RETRY_DELAY = 1.0
"""Seconds until the next attempt to mark a submission that could not be marked: it has changed, or has no request."""
REFRESH_TIMEOUT = 2.0
"""The most seconds for which a caller waits for the poll that its call has caused."""
DECISION_RETRY_DELAY = 60.0
"""Seconds until the next attempt at a decision that was put off."""


@dataclass(slots=True)
class _Polls:
    """The polls with the same credentials that are due, in the order of their times."""

    due: OrderedDict[GenerationId, float] = field(default_factory=OrderedDict)
    """A dict would search for its first item among all the removed ones before it, again and again."""
    allowed_at: float = 0.0
    """When the poll limit allows the next one."""


class Follower:
    """Runs until canceled; one for each process. `on_commit` must be called with every commit of the store."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        clock: Clock,
        feed: Feed,
        admissions: Admissions,
        sender: Sender,
        service: Generations,
        rules: Rules,
        schedule: PollSchedule,
        trusted_time: TrustedTime,
        poll_limits: PollLimits,
        has_webhook: Callable[[GenerationId], bool],
    ) -> None:
        """`has_webhook` returns whether a webhook of a generation was received and is not processed yet."""
        self._upstream = upstream
        self._clock = clock
        self._feed = feed
        self._admissions = admissions
        self._sender = sender
        self._service = service
        self._rules = rules
        self._schedule = schedule
        self._trusted_time = trusted_time
        self._poll_limits = poll_limits
        self._has_webhook = has_webhook
        self._missing = MissingRequests(clock, trusted_time, upstream.reaches)
        self._backoff = StoreBackoff()
        self._due: DueTimes[GenerationId] = DueTimes()
        self._busy: set[GenerationId] = set()
        self._retry_delays: dict[GenerationId, float] = {}
        self._polls: defaultdict[str, _Polls] = defaultdict(_Polls)
        """By the id of the credentials, so that no account waits for another one."""
        self._refreshing: dict[GenerationId, Signals] = {}
        """The callers that wait for a poll, by id."""
        self._response_time = 0.0
        """Seconds that status calls take: a moving average."""
        self._tasks = OwnedTasks()
        self._is_full = False
        """Whether the last round of `run` left no task for what was due. Between rounds a task may be free."""
        self._wakeup = Wakeup()
        self._sleeps_until = 0.0
        self.stopped_sending = False

    async def resume(self, unfinished: Sequence[Generation]) -> None:
        """Plan the generations that an earlier process left unfinished. Nothing else may change them during that."""
        now = self._clock.moment().steady
        for account in {generation.spec.account for generation in unfinished if generation.waiting}:
            self._admissions.of(account).limit_rate(now)
        not_sent = Counter[str]()
        for number, generation in enumerate(unfinished):
            if number % PLAN_BATCH_SIZE == 0:
                await asyncio.sleep(0)
            self._update_admission(generation)
            if generation.state not in FOLLOWED and not self._is_reachable(generation):
                not_sent[generation.spec.account] += 1
            delay = generation.delay if generation.waiting and generation.not_before > now else None
            if delay is not None and self._is_reachable(generation):
                # Longer pauses were planned by a clock that was wrong then.
                pause = min(generation.not_before - now, MAX_RETRY_AFTER)
                self._admission(generation).close(generation.id, delay, now, pause)
            self._schedule.resume(self._feed.entries[generation.id], now)
            self._plan(generation)
        for account, count in not_sent.items():
            log.warning(
                "generations are not sent: they were prepared for credentials or a URL that is not set now",
                extra={"account": account, "generations": count},
            )

    def on_commit(self, saved: Sequence[Saved]) -> None:
        """Plan the committed generations again."""
        self._backoff.succeeded()
        for save in saved:
            generation = save.generation
            if generation is None:
                self._due.drop(save.generation_id)
                continue
            admission = self._update_admission(generation)
            self._plan(generation)
            done = generation.done
            if done:
                self._schedule.ended(generation, changed=save.change is not None)
            if done or generation.missing_since is None:
                self._missing.suspected.pop(save.generation_id, None)
            if done or admission.waiting:
                self._wakeup.wake()  # the next one may be sent

    async def wait_for_refresh(self, entry: Entry) -> None:
        """Wait for the state that is being read, and no longer than REFRESH_TIMEOUT."""
        refreshing = self._refreshing.get(entry.generation.id)
        if refreshing is None:
            return
        signal = refreshing.signal()
        try:
            await self._clock.wait(signal, REFRESH_TIMEOUT)
        finally:
            refreshing.drop(signal)

    def refresh(self, entry: Entry) -> bool:
        """Start to read the state of a queued generation for a caller that asks whether it can be canceled.

        Returns whether it is being read. It is not if it is fresh, or if that would delay another step.
        """
        generation = entry.generation
        if generation.state is not State.QUEUED or not generation.cancelable:
            return False
        generation_id = generation.spec.id
        if generation_id in self._refreshing:
            return True
        now, wall = self._clock.moment()
        elapsed = running_for(generation, wall)
        if not is_stale(elapsed, min(elapsed, now - entry.polled_at)):
            return False
        account = generation.spec.account
        if (
            self.stopped_sending
            or self._polls[account].due
            or len(self._tasks) >= MAX_CONCURRENT_STEPS
            or self._is_store_backing_off()
        ):
            return False
        if generation_id not in self._busy:
            if self._poll_limits[account].acquire(now):
                return False
            self._start(generation_id, self._poll(entry))
        self._refreshing[generation_id] = Signals()
        return True

    def replan(self, generation_id: GenerationId) -> None:
        """Plan a generation again, because its attempt has ended."""
        entry = self._feed.entries.get(generation_id)
        if entry is not None:
            self._update_admission(entry.generation)
            self._plan(entry.generation)
        self._wakeup.wake()  # its slot may be free again

    async def replan_all(self, credentials: Collection[str]) -> None:
        """Plan all generations of credentials again, because these were added or removed."""
        for number, generation_id in enumerate([*self._feed.entries]):
            if number % PLAN_BATCH_SIZE == 0:
                await asyncio.sleep(0)
            spec = self._feed.spec(generation_id)
            if spec is not None and spec.account in credentials:
                self.replan(generation_id)
        self._wakeup.wake()  # others of their account may be sent now

    async def run(self) -> None:
        """Take steps when they are due, until canceled."""
        while True:
            signal = self._wakeup.signal()
            self._sleeps_until = 0.0  # what is planned from here on is seen before the sleep
            self._admit()
            await self._start_all()
            self._is_full = len(self._tasks) >= MAX_CONCURRENT_STEPS
            idle = self._idle_for()
            self._sleeps_until = float("inf") if idle is None else self._clock.moment().steady + idle
            await self._clock.wait(signal, idle)

    async def drained(self) -> None:
        """Wait for the steps under way. Cancel `run` first, so that it starts no new ones."""
        await self._tasks.drained()

    def behind(self) -> float:
        """Return by how many seconds the oldest due step is late.

        0 if the cause is slow responses of Higgsfield, or a drain, in which no step starts.
        """
        if self.stopped_sending or not self._is_full or self._response_time > SLOW_RESPONSE:
            return 0.0
        now = self._clock.moment().steady
        waiting = [next(iter(polls.due.values()), now) for polls in self._polls.values()]
        first = self._due.first()
        return now - min(*waiting, now if first is None else first, now)

    def _update_admission(self, generation: Generation) -> Admission:
        """Report a generation to the admission of its account, unless its credentials are gone; return that."""
        admission = self._admission(generation)
        if self._is_reachable(generation):
            admission.track(generation)
        else:
            admission.forget(generation)
        return admission

    def _is_reachable(self, generation: Generation) -> bool:
        return self._upstream.reaches(generation.spec.account, generation.spec.origin)

    def _admission(self, generation: Generation) -> Admission:
        return self._admissions.of(generation.spec.account)

    def _plan(self, generation: Generation) -> None:
        """Set the time at which the next step of a generation is due, or remove it from the plan if it has none."""
        due = self._next_due(generation)
        generation_id = generation.id
        if due is None:
            self._due.drop(generation_id)
            return
        at: float = due.at
        if due.step is Step.POLL:
            # At its start_timeout it is polled in any case, and canceled; at once if it was accepted after that.
            left = self._left_to_wait(generation) if due_steps.cancels_late_start(generation) else math.inf
            at = self._schedule.ensure_planned(generation, at_once=left <= 0)
            if left > 0:
                at = min(at, self._clock.moment().steady + left)
        elif due.step is Step.SEND and generation.waiting:
            # The admission decides when it is sent. Only the end of its wait is planned here.
            at = self._clock.moment().steady + self._left_to_wait(generation)
        elif due.step is Step.RECOVER:
            # The time is by another process's clock, so wait no longer than a send may take.
            at = min(at, self._clock.moment().after(SEND_TIMEOUT))
        self._put(generation_id, at)

    def _left_to_wait(self, generation: Generation) -> float:
        """Return the seconds until its wait is over, by the best estimate of the time."""
        return due_steps.wait_ends(generation) - self._trusted_time.seen_from(generation.spec.created_at).steady

    def _is_start_overdue(self, generation: Generation) -> bool:
        """Return whether its start_timeout is over, so that the poll that is due cancels it."""
        return due_steps.cancels_late_start(generation) and self._left_to_wait(generation) <= 0

    def _put(self, generation_id: GenerationId, at: float) -> None:
        if self._due.put(generation_id, at) and at < self._sleeps_until:
            self._wakeup.wake()

    def _admit(self) -> None:
        """Send the waiting generations for which the admissions have a slot."""
        while not self._is_store_backing_off():
            admitted = self._admissions.next(self._clock.moment().steady)
            if admitted is None:
                return
            admission, generation_id = admitted
            entry = self._feed.entries.get(generation_id)
            due = None if entry is None else self._next_due(entry.generation)
            # A busy one waits again when its step or attempt has ended.
            busy = generation_id in self._busy or self._sender.is_attempting(generation_id)
            if entry is None or due is None or due.step is not Step.SEND or busy:
                admission.release(generation_id)
                continue
            self._start(generation_id, self._mark_and_send(entry.generation))

    async def _start_all(self) -> None:
        """Start what is due, and give other tasks turns in between."""
        for start in (self._start_due, self._start_polls):
            while start():  # noqa: ASYNC110 - it waits for no event
                await asyncio.sleep(0)

    def _start_due(self) -> bool:
        """Start the steps that are due, and line up the polls; at most PLAN_BATCH_SIZE. Return whether more are due."""
        now = self._clock.moment().steady
        for _ in range(PLAN_BATCH_SIZE):
            if len(self._tasks) >= MAX_CONCURRENT_STEPS or self._is_store_backing_off():
                return False
            due = self._due.take(now)
            if due is None:
                return False
            at, generation_id = due
            entry = self._feed.entries.get(generation_id)
            if entry is None or generation_id in self._busy:
                continue
            if entry.generation.state in FOLLOWED:
                self._polls[entry.generation.spec.account].due[generation_id] = at
            else:
                self._start(generation_id, self._take_step(entry))
        return True

    def _start_polls(self) -> bool:
        """Start the polls that are due, in the order of their times, as far as the poll limits allow.

        The others stay in order, so that each is polled once before any is polled twice. Accounts take turns. At most
        PLAN_BATCH_SIZE are started or put off; returns whether more may be.
        """
        now, left = self._clock.moment().steady, PLAN_BATCH_SIZE
        accounts = deque(account for account, polls in self._polls.items() if polls.due)
        while accounts and len(self._tasks) < MAX_CONCURRENT_STEPS and not self._is_store_backing_off():
            if not left:
                return True
            account = accounts.popleft()
            if self._start_poll(account, now):
                left -= 1
                if self._polls[account].due:
                    accounts.append(account)
        return False

    def _start_poll(self, account: str, now: Steady) -> bool:
        """Start or put off the first poll of an account. Return whether its poll limit allows the next one."""
        polls = self._polls[account]
        generation_id = self._first_poll(account)
        entry = self._feed.entries.get(generation_id)
        if entry is not None and not self._is_start_overdue(entry.generation) and self._schedule.postpone(entry, now):
            self._plan(entry.generation)
        elif entry is not None and generation_id not in self._busy:
            pause = self._poll_limits[account].acquire(now)
            if pause:
                polls.allowed_at = now + pause
                return False
            # Poll without another check: the poll limit has counted the call, and it may be the probe.
            self._start(generation_id, self._poll(entry))
        del polls.due[generation_id]
        return True

    def _first_poll(self, account: str) -> GenerationId:
        """Return the generation of an account whose poll is next: the one that is due first.

        During an outage it is the best probe among the next PLAN_BATCH_SIZE. If the calls of only some requests fail,
        that one ends the outage, and does not wait for a probe of each of the others.
        """
        due = self._polls[account].due
        if self._poll_limits[account].broken:
            return min(islice(due, PLAN_BATCH_SIZE), key=self._probe_rank)
        return next(iter(due))

    def _probe_rank(self, generation_id: GenerationId) -> int:
        """Return 0 if its last poll succeeded or none is needed, 1 if there was none yet, and 2 if it failed."""
        entry = self._feed.entries.get(generation_id)
        if entry is None:
            return 0
        return 2 if entry.errors else int(entry.polled_at == LONG_AGO)

    def _is_store_backing_off(self) -> bool:
        return self._backoff.resumes_at(self._clock.moment().steady) is not None

    def _start(self, generation_id: GenerationId, work: Coroutine[Any, Any, None]) -> None:
        self._backoff.started(self._clock.moment().steady)
        self._busy.add(generation_id)
        self._tasks.start(self._finish(generation_id, work), ended=self._wakeup.wake)

    async def _finish(self, generation_id: GenerationId, work: Coroutine[Any, Any, None]) -> None:
        """Run a step, and plan its generation again even if the step fails."""
        failed = False
        try:
            await work
        except UnconfirmedError:
            log.warning("the store refused a write; the step will be retried", extra={"generation_id": generation_id})
            self._backoff.failed(self._clock.moment().steady)
        except Exception:
            fields = {"generation_id": generation_id}
            log.exception("internal error in a step of a generation; will retry in 60 s", extra=fields)
            failed = True
            self._retry_delays[generation_id] = DECISION_RETRY_DELAY
        else:
            self._backoff.ended()
        finally:
            self._busy.discard(generation_id)
            if (refreshing := self._refreshing.pop(generation_id, None)) is not None:
                refreshing.wake()
            entry = self._feed.entries.get(generation_id)
            pause = self._retry_delays.pop(generation_id, 0.0)
            if entry is not None:
                # One that could not be marked or has failed waits for the pause: the admission would offer it at once.
                if entry.generation.waiting and not failed and pause != MARK_RETRY_DELAY:
                    self._update_admission(entry.generation)
                self._plan(entry.generation)
                if pause:
                    self._put(generation_id, self._clock.moment().steady + pause)

    async def _take_step(self, entry: Entry) -> None:
        """Take the step that is due now, if there still is one."""
        generation = entry.generation
        due = self._next_due(generation)
        if due is None:
            return
        now = self._clock.moment().steady
        match due.step:
            # `now >= due.at` may be false: an operator has sent it since this step was planned, so it is due later.
            case Step.SEND if generation.state is State.UNCERTAIN and now >= due.at:
                await self._repeat(generation)
            case Step.TAKE_BACK if generation.marker is not None:
                await self._service.observe(generation, Unsent(generation.marker))
            case Step.RECOVER if generation.marker is not None:
                died = OwnerDied(generation.marker, spread(due_steps.PAUSE_AFTER_SILENCE))
                await self._service.observe(generation, died)
            case Step.GIVE_UP if now >= due.at:
                periods = due_steps.resolvable_periods(generation, self._rules)
                over = [await self._trusted_time.is_over(*period) for period in periods]
                # A stored webhook may still prove that Higgsfield has the request, and it is not delivered twice.
                certain = all(over) and not self._has_webhook(generation.id)
                await self._end(generation, Expired(GAVE_UP, version=generation.version), certain=certain)
            case Step.END_WAIT if now >= due.at:
                start_timeout = generation.spec.start_by is not None
                end = CancelAsked(NOT_STARTED) if start_timeout else Expired(WAITED_TOO_LONG)
                await self._end(generation, end, certain=await self._has_waited(generation))

    async def _end(self, generation: Generation, observation: CancelAsked | Expired, *, certain: bool) -> None:
        """End a generation, or put that off if it is not certain that its time is over."""
        if certain:
            await self._service.observe(generation, observation)
        else:
            self._retry_delays[generation.id] = DECISION_RETRY_DELAY

    async def _has_waited(self, generation: Generation) -> bool:
        """Return whether its wait is certainly over. Does not need a response from Higgsfield."""
        since = generation.spec.created_at
        return await self._trusted_time.is_over(since, due_steps.longest_wait(generation), unanswered=True)

    async def _repeat(self, generation: Generation) -> None:
        """Send a generation again if Higgsfield certainly still knows its key."""
        first = generation.first_sent_at
        assert first is not None
        remembered = await self._trusted_time.is_open(first, self._rules.window)
        due = self._next_due(generation)  # while the time was asked for, repeats may have been turned off
        if remembered and due is not None and due.step is Step.SEND:
            await self._mark_and_send(generation)
        else:
            self._retry_delays[generation.id] = ASK_INTERVAL if remembered is None else DECISION_RETRY_DELAY

    def _next_due(self, generation: Generation) -> Due | None:
        spec = generation.spec
        moment = self._trusted_time.seen_from(spec.created_at) if generation.waiting else self._clock.moment()
        return due_steps.next_due(
            generation,
            self._rules,
            self._sender.owner,
            moment,
            reachable=self._upstream.reaches(spec.account, spec.origin),
            repeats_off=self._sender.repeats_off(spec.account),
            attempting=self._sender.is_attempting(spec.id),
        )

    async def _mark_and_send(self, generation: Generation) -> None:
        """Mark and send a generation, unless the gateway drains. If it is not sent, its slot is released."""
        if self.stopped_sending:
            return
        try:
            marked = await self._sender.mark_and_send(generation)
        except BaseException:
            self._release(generation)
            raise
        if marked is None:
            self._release(generation)
            self._retry_delays[generation.id] = MARK_RETRY_DELAY

    def _release(self, generation: Generation) -> None:
        """Release the slot of a generation that was not sent, unless a webhook has shown that it was."""
        self._admission(generation).release(generation.id)
        entry = self._feed.entries.get(generation.id)
        if entry is not None and not entry.generation.waiting:
            self._update_admission(entry.generation)

    async def _poll(self, entry: Entry) -> None:
        """Read the status from Higgsfield, after asking it to cancel if that is due."""
        generation = entry.generation
        poll_limit = self._poll_limits[generation.spec.account]
        began = self._clock.moment()
        ran = self._schedule.poll_started(entry, began)
        late, cancel_failed = self._is_start_overdue(generation), False
        try:
            cancel = due_steps.wants_cancel(generation) or (late and await self._has_waited(generation))
            if cancel:
                # The decision is the follower's, even if a caller's read has caused this poll: the audit log must not
                # name that caller. Each poll runs in its own task, so this changes no other context.
                caller.set(None)
                cancel_failed = not await self._cancel(generation)
            report = await self._upstream.status(generation)
        except GatewayError as error:
            poll_limit.refused(error.failure, self._clock.moment().steady)
            self._schedule.failed(entry, error.failure)
            return
        except Exception:
            poll_limit.failed(self._clock.moment().steady)
            raise
        finally:
            duration = self._clock.moment().steady - began.steady
            self._response_time += (duration - self._response_time) / MAX_CONCURRENT_STEPS
        poll_limit.answered(self._clock.moment().steady)
        to_cancel = cancel or self._is_start_overdue(generation)  # its start_timeout may have passed during this poll
        self._schedule.responded(entry, report, began, cancel=to_cancel, cancel_failed=cancel_failed)
        if report is None:
            missing = await self._missing.judge(generation)
            if missing is not None:
                await self._service.observe(generation, missing)
            return
        self._missing.found(generation)
        if cancel and not generation.cancel_requested and report.state is State.CANCELED:
            report = replace(report, failure=NOT_STARTED)
        source = Source.CANCEL if cancel else Source.POLL
        try:
            after = await self._service.observe(generation, Reported(report, source, ran))
        except UnconfirmedError:
            # Poll less often while the result cannot be stored.
            self._schedule.delay(entry)
            raise
        if not cancel and self._is_start_overdue(after):
            # Its start_timeout has passed during this poll, or it is not certain yet that it has passed.
            self._schedule.hasten(entry, ASK_INTERVAL if late else 0.0)
        if after.source is Source.POLL and self._schedule.note_missed_webhook(after):
            await self._poll_all_early()

    async def _cancel(self, generation: Generation) -> bool:
        """Ask Higgsfield to cancel, and return whether it responded. Only the status afterwards is conclusive."""
        try:
            await self._upstream.cancel(generation)
        except GatewayError as error:
            self._poll_limits[generation.spec.account].refused(error.failure, self._clock.moment().steady)
            return False
        return True

    async def _poll_all_early(self) -> None:
        """Poll also the generations for which a webhook was relied on: the probe has shown that none arrive."""
        for number, generation_id in enumerate([*self._feed.entries]):
            if number % PLAN_BATCH_SIZE == 0:
                await asyncio.sleep(0)
            entry = self._feed.entries.get(generation_id)
            if entry is not None and entry.generation.state in FOLLOWED and self._schedule.poll_early(entry):
                self._plan(entry.generation)

    def _idle_for(self) -> float | None:
        """Return the seconds until a step may be due; None if only an event can make one due."""
        if len(self._tasks) >= MAX_CONCURRENT_STEPS:
            return None
        now = self._clock.moment().steady
        wanted = (
            self._due.first(),
            self._admissions.wakes_at(now),
            *(polls.allowed_at for polls in self._polls.values() if polls.due),
        )
        resumes_at = self._backoff.resumes_at(now)
        if resumes_at is not None:
            return resumes_at - now
        times = [at for at in wanted if at is not None]
        return max(min(times) - now, 0.0) if times else None


NOT_STARTED = Failure(
    Reason.START_TIMEOUT_EXCEEDED, "it did not start within start_timeout: canceled by the gateway", retryable=True
)
WAITED_TOO_LONG = Failure(
    Reason.UPSTREAM_UNAVAILABLE, "it could not be sent to Higgsfield for a day: nothing was sent", retryable=True
)
GAVE_UP = Failure(
    Reason.SUBMISSION_UNRESOLVED,
    "it was sent without a response, and its outcome could not be found in time: it may have been charged",
)
