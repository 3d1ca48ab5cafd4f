"""In every order of events, no generation is charged twice, reported wrong, or stuck."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.generations import due_steps, state
from gateway.generations.due_steps import Due, Rules
from gateway.generations.model import Api, Generation, Moment, State
from tests.generations.submit_path import ROUNDS, Gateway, explore, mistaken, start


def test_no_order_of_events_breaks_a_promise() -> None:
    count, wrong, story = explore(Gateway())
    assert wrong is None, "\n".join(story)
    assert count > 100_000  # the model is not trivial


def test_no_order_of_events_breaks_a_promise_without_repeats() -> None:
    count, wrong, story = explore(Gateway(rules=Rules(repeats=False)))
    assert wrong is None, "\n".join(story)
    assert count > 10_000


def test_no_order_of_events_breaks_a_promise_in_v1() -> None:
    count, wrong, story = explore(Gateway(api="v1"))
    assert wrong is None, "\n".join(story)
    assert count > 10_000


def refusal_is_always_certain(before: Generation, observation: Any, moment: Moment) -> Generation | None:
    if isinstance(observation, state.Refused):
        before = replace(before, state=State.PENDING, ambiguous=False)
    return state.advance(before, observation, moment)


def busy_is_always_certain(before: Generation, observation: Any, moment: Moment) -> Generation | None:
    if isinstance(observation, state.Postponed) and before.ambiguous and before.marker == observation.marker:
        return replace(before, state=State.PENDING, ambiguous=False, marker=None, sends=0)
    return state.advance(before, observation, moment)


def canceling_is_always_free(before: Generation, observation: Any, moment: Moment) -> Generation | None:
    if isinstance(observation, state.CancelAsked) and before.state is State.PENDING:
        before = replace(before, marker=None)
    return state.advance(before, observation, moment)


def stale_outcomes_count(before: Generation, observation: Any, moment: Moment) -> Generation | None:
    if isinstance(observation, state.Refused | state.Ambiguous) and before.marker is not None:
        observation = replace(observation, marker=before.marker)
    return state.advance(before, observation, moment)


def unsent_marks_stay(before: Generation, observation: Any, moment: Moment) -> Generation | None:
    return None if isinstance(observation, state.Unsent) else state.advance(before, observation, moment)


def silence_is_a_refusal(before: Generation, observation: Any, moment: Moment) -> Generation | None:
    if isinstance(observation, state.Ambiguous):
        observation = state.Refused(observation.marker, observation.failure)
    return state.advance(before, observation, moment)


def repeats_have_no_age(before: Generation, rules: Rules, owner: str, moment: Moment, **known: bool) -> Due | None:
    ageless = replace(rules, window=float("inf"), uncertain_timeout=float("inf"))
    return due_steps.next_due(before, ageless, owner, moment, **known)


def v1_is_repeated_like_v2(before: Generation, rules: Rules, owner: str, moment: Moment, **known: bool) -> Due | None:
    of_v2 = replace(before, spec=replace(before.spec, api="v2"))
    return due_steps.next_due(of_v2, rules, owner, moment, **known)


def own_marks_are_always_under_way(
    before: Generation, rules: Rules, owner: str, moment: Moment, *, attempting: bool, **known: bool
) -> Due | None:
    return due_steps.next_due(before, rules, owner, moment, attempting=True, **known)


MISTAKES = {
    "a submission to v1 is repeated": mistaken(api="v1", next_due=v1_is_repeated_like_v2),
    "a refusal of v1 is taken as proof after silence": mistaken(api="v1", advance=silence_is_a_refusal),
    "a refusal of a repeat is taken as proof": mistaken(advance=refusal_is_always_certain),
    "a saturated account is taken as proof": mistaken(advance=busy_is_always_certain),
    "canceling is free while a POST is on the wire": mistaken(advance=canceling_is_always_free),
    "a stale outcome applies to a newer attempt": mistaken(advance=stale_outcomes_count),
    "an abandoned attempt stays marked": mistaken(advance=unsent_marks_stay),
    "silence is taken as a refusal": mistaken(advance=silence_is_a_refusal),
    "repeats have no age limit": mistaken(next_due=repeats_have_no_age),
    "a repeat does not wait for the end of the attempt before": mistaken(pause=0.0),
    "a starting process takes over what a living one is sending": mistaken(heeds_owner=False),
    "nothing stops a paused process from sending late": mistaken(checks_send_by=False),
    "a repeat uses the current credentials": mistaken(pins_account=False),
    "a refusal counts as certain, and the request is rebuilt after a restart": mistaken(
        advance=refusal_is_always_certain, keeps_request=False
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_model_finds_each_seeded_mistake(mistake: str) -> None:
    _, wrong, story = explore(MISTAKES[mistake])
    assert wrong is not None, mistake
    assert len(story) < 25  # the shortest counterexample is short enough to read


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_no_order_breaks_a_promise_with_an_unconfirmed_marker(api: Api) -> None:
    count, wrong, story = explore(Gateway(api=api), start(processes=1, unconfirmed=1))
    assert wrong is None, "\n".join(story)
    assert count > 10_000
    mistake = mistaken(api=api, next_due=own_marks_are_always_under_way)
    _, wrong, story = explore(mistake, start(processes=1, unconfirmed=1))
    assert wrong is not None
    assert len(story) < 25


def test_no_order_breaks_a_promise_with_one_process_at_a_time() -> None:
    count, wrong, story = explore(Gateway(), start(processes=1))
    assert wrong is None, "\n".join(story)
    assert count > 10_000
    assert set(ROUNDS) == {"crashes", "pauses", "refusals", "losses", "expiries", "switches", "cancels"}
