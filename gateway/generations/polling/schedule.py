"""Plans when each accepted generation is polled.

The next poll follows after a gap, which is learned from earlier run times and grows after errors. If a webhook can be
relied on to report the end, polls only find lost webhooks. No webhook reports a start, so that another poll is planned
for it: the start check. When a poll is due, it is put off if nothing needs it any more.
"""

import math
import random

from gateway.errors import Failure, Reason
from gateway.generations import due_steps
from gateway.generations.admission.admissions import Admissions
from gateway.generations.due_steps import Rules
from gateway.generations.model import (
    FOLLOWED,
    Generation,
    GenerationId,
    Moment,
    RunTime,
    State,
    StatusReport,
    Wall,
    run_time,
)
from gateway.generations.polling.pace import MAX_START_CHECKS, POLL_INTERVAL, PollIntervals, WebhookReliability
from gateway.generations.ports import Clock
from gateway.generations.watching.feed import Entry, Feed

LATE_SHARE = 0.1
"""A poll that is late by this share of a generation's run time does not count for the model's history."""
WEBHOOK_ENDS = frozenset({State.COMPLETED, State.FAILED, State.NSFW})
"""The ends for which Higgsfield promises a webhook."""
START_CHECK_INTERVAL = 2.0
"""Seconds between checks whether a caller wants to know if a generation has started."""
WEBHOOK_GRACE = 2.0
"""Seconds after a poll has found an end in which its webhook may still arrive."""


class PollSchedule:
    """Keeps the times of polls in the entries of the feed.

    Call `poll_started` when a poll starts, and `responded` or `failed` when it ends: these plan the next one.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        feed: Feed,
        admissions: Admissions,
        rules: Rules,
        intervals: PollIntervals,
        reliability: WebhookReliability,
    ) -> None:
        self._clock = clock
        self._feed = feed
        self._admissions = admissions
        self._rules = rules
        self._intervals = intervals
        self._reliability = reliability
        self._unpolled: set[GenerationId] = set()
        """The accepted generations that were not polled yet."""

    def ensure_planned(self, generation: Generation, *, at_once: bool) -> float:
        """Return when the next poll is due, and plan it if this was not done yet, with `at_once` for now."""
        entry = self._feed.entries.get(generation.id)
        if entry is None:
            return self._clock.moment().steady
        if not entry.poll_at:
            at_once = at_once or due_steps.wants_cancel(generation) or due_steps.is_unverified(generation)
            self.plan(entry, 0.0 if at_once else self._gap(entry))
            self._unpolled.add(generation.id)
            self._plan_start_check(entry)
        return min(entry.poll_at, entry.start_check_at) if generation.state is State.QUEUED else entry.poll_at

    def plan(self, entry: Entry, pause: float) -> None:
        """Plan the next poll in `pause` seconds."""
        entry.poll_at = self._clock.moment().steady + pause
        entry.relies_on_webhook = self._decide_reliance(entry.generation)

    def resume(self, entry: Entry, now: float) -> None:
        """Plan the first poll after a restart, at a random time of one interval, so that not all are polled at once."""
        if entry.generation.state in FOLLOWED:
            entry.poll_at, entry.polled_run_time = now + random.uniform(0.0, POLL_INTERVAL), None
            self._plan_start_check(entry)
            _delay_start_check(entry)

    def postpone(self, entry: Entry, now: float) -> bool:
        """Put off the poll that is due if nothing needs it; return whether it was put off."""
        return self._postpone_start_check(entry, now) or self._postpone_poll(entry)

    def poll_started(self, entry: Entry, now: Moment) -> float | None:
        """Record the start of a poll. Return an estimate of the run time for the case that it finds the end."""
        ran = _ran(entry, running_for(entry.generation, now.wall), late=now.steady - entry.poll_at)
        entry.polled_run_time = None
        entry.polled_at = now.steady
        self._unpolled.discard(entry.generation.id)
        return ran

    def responded(
        self, entry: Entry, report: StatusReport | None, began: Moment, *, cancel: bool, cancel_failed: bool
    ) -> None:
        """Learn from the response to a poll that began then, and plan the next poll. `report` is None after a 404.

        With `cancel`, the next poll has to cancel again if this one had no effect, and no webhook tells that.
        """
        entry.errors = entry.errors + 1 if cancel_failed else 0
        elapsed = running_for(entry.generation, began.wall)
        self._note_start(entry, report, began.steady, elapsed)
        entry.polled_run_time = elapsed
        entry.count_poll()
        self.plan(entry, self._gap(entry, cancel=cancel))
        if report is None:
            _delay_start_check(entry)

    def failed(self, entry: Entry, failure: Failure) -> None:
        """Plan another poll after a failed one. The generation does not change."""
        entry.count_poll()
        refused = failure.reason is Reason.UPSTREAM_CREDENTIALS_REFUSED
        self.delay(entry, max(self._intervals.longest if refused else 0.0, failure.retry_after or 0.0))
        _delay_start_check(entry)

    def delay(self, entry: Entry, at_least: float = 0.0) -> None:
        """Count an error, and plan the next poll: in `at_least` seconds, and later with each error in a row."""
        entry.errors += 1
        self.plan(entry, max(self._gap(entry), at_least))

    def hasten(self, entry: Entry, within: float) -> None:
        """Have the next poll in at most `within` seconds."""
        entry.poll_at = min(entry.poll_at, self._clock.moment().steady + within)

    def ended(self, generation: Generation, *, changed: bool) -> None:
        """Learn from a generation that has ended. `changed`: the commit is a change that callers see."""
        seconds = run_time(generation) if changed else None
        if seconds is not None:
            self._intervals.run_times.learn(RunTime(generation.spec.model_id, generation.spec.traits, seconds))
        if generation.id in self._unpolled:
            self._unpolled.discard(generation.id)
            self._intervals.spare_start_checks += 1

    def note_missed_webhook(self, generation: Generation) -> bool:
        """Stop relying on webhooks if one should have reported this end. Return whether they were not tested before."""
        if generation.state not in WEBHOOK_ENDS or not self._expects_webhook(generation):
            return False
        known, self._reliability.arrive = self._reliability.arrive, False
        return known is None

    def poll_early(self, entry: Entry) -> bool:
        """Plan an early poll if a webhook was relied on; return whether it was planned."""
        if self._reliability.arrive or not entry.relies_on_webhook or not entry.poll_at:
            return False
        # If the webhook was only late, it is put off again.
        self.plan(entry, WEBHOOK_GRACE + random.uniform(0.0, POLL_INTERVAL))
        return True

    def _plan_start_check(self, entry: Entry) -> None:
        """Plan a poll for its start, which no webhook reports. `_postpone_start_check` delays it if not needed."""
        generation = entry.generation
        entry.start_check_at = math.inf
        may_check = not entry.start_checks or (
            entry.start_checks < MAX_START_CHECKS and self._intervals.spare_start_checks > 0
        )
        if generation.state is State.QUEUED and may_check:
            self._intervals.spare_start_checks -= bool(entry.start_checks)
            now, wall = self._clock.moment()
            left = self._intervals.starts_after(generation.spec.model_id) - running_for(generation, wall)
            entry.start_check_at = now + max(left, self._intervals.shortest)

    def _postpone_start_check(self, entry: Entry, now: float) -> bool:
        """Put off the poll for its start while it is not needed, unless another poll is due.

        It is needed while a caller watches a generation whose end only a webhook reports, and while the admission may
        send more after a start.
        """
        generation = entry.generation
        watched = self._decide_reliance(generation) and self._feed.is_watched(entry)
        if (
            now < entry.start_check_at
            or now >= entry.poll_at
            or watched
            or self._admissions.of(generation.spec.account).wants_starts
        ):
            return False
        entry.start_check_at = now + START_CHECK_INTERVAL
        return True

    def _postpone_poll(self, entry: Entry) -> bool:
        """Put off a poll that was planned before webhooks arrived, unless something else depends on it."""
        generation = entry.generation
        needed = entry.errors or generation.missing_since is not None or due_steps.wants_cancel(generation)
        needed = needed or due_steps.is_unverified(generation)
        if entry.relies_on_webhook or needed or not self._decide_reliance(generation):
            return False
        self.plan(entry, self._gap(entry))
        return True

    def _note_start(self, entry: Entry, report: StatusReport | None, at: float, elapsed: float) -> None:
        """Learn from a poll of a queued generation, and plan the next poll for its start if it was still queued."""
        if report is None or entry.generation.state is not State.QUEUED:
            return
        started = report.state is not State.QUEUED
        if report.state is not None and not entry.generation.spec.adopted:
            self._intervals.learn_start(entry.generation.spec.model_id, elapsed, started=started)
        if at >= entry.start_check_at:
            entry.start_check_at = math.inf
            entry.start_checks += 1
            if not started:
                self._plan_start_check(entry)

    def _gap(self, entry: Entry, *, cancel: bool = False) -> float:
        """Return the seconds until the next poll, which does not wait for a webhook if it may have to `cancel`."""
        generation = entry.generation
        running = running_for(generation, self._clock.moment().wall)
        webhooks = not cancel and self._decide_reliance(generation)
        return self._intervals.gap(generation.spec.model_id, running, entry.errors, webhooks=webhooks)

    def _decide_reliance(self, generation: Generation) -> bool:
        """Return whether a webhook is relied on to report its end. While that is not known, it may become the probe."""
        if not self._expects_webhook(generation):
            return False
        similar, _ = self._intervals.run_times.similar(generation.spec.model_id, generation.spec.traits)
        ends_at = (generation.accept_time or generation.spec.create_time) + similar.median
        return self._reliability.decide_reliance(generation.id, ends_at, self._feed.entries.__contains__)

    def _expects_webhook(self, generation: Generation) -> bool:
        return self._rules.webhooks_since is not None and generation.spec.expects_webhook


def _delay_start_check(entry: Entry) -> None:
    """Put off the poll for its start to the next other poll: this one did not show its state, or none was made yet."""
    entry.start_check_at = max(entry.start_check_at, entry.poll_at)


def _ran(entry: Entry, runs: float, late: float) -> float | None:
    """Return an estimate of its run time for the case that this poll finds its end; None without a good one.

    It is a random time between this poll and the one before. With the time of this poll, each schedule would be
    later than the one before. If this poll is late, the estimate would only measure that delay.
    """
    if entry.polled_run_time is None or late > LATE_SHARE * runs:
        return None
    return random.uniform(min(entry.polled_run_time, runs), runs) or None


def running_for(generation: Generation, wall: Wall) -> float:
    """Return the seconds from its acceptance by Higgsfield until a wall time."""
    return max(wall - (generation.accept_time or generation.spec.create_time), 0.0)
