"""Forecasts: from the most similar generations, never backwards, and frank about what they cannot know."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.generations.inputs import DopInput, ModelInput, SoulInput, SpeakInput, SpeakQuality, traits
from gateway.generations.model import Basis, MediaKind, RunTime
from gateway.generations.run_times import ENOUGH_RUN_TIMES, GUESSES, REMEMBERED_RUN_TIMES, History, RunTimes

durations = st.floats(min_value=1e-6, max_value=1e5) | st.integers(min_value=1, max_value=600).map(float)
histories = st.lists(durations, min_size=1, max_size=80)
elapsed_times = st.floats(min_value=0.0, max_value=2e5)


# -- One group ---------------------------------------------------------------------------------------------------------


@given(seconds=histories, moments=st.lists(elapsed_times, min_size=2, max_size=50))
@example(seconds=[1.0] * 19 + [1000.0], moments=[0.9999, 1.0, 1.0001, 999.0, 1001.0])
def test_progress_is_below_1_and_never_falls(seconds: list[float], moments: list[float]) -> None:
    history = History(seconds)
    shown = [history.expect(elapsed)[1] for elapsed in sorted({*moments, 0.0, *seconds})]
    assert all(earlier <= later for earlier, later in pairwise(shown))
    assert shown[0] == 0.0
    assert shown[-1] < 1.0


@given(seconds=histories, elapsed=elapsed_times)
def test_the_expected_run_time_is_a_known_one_that_is_not_over(seconds: list[float], elapsed: float) -> None:
    total, _ = History(seconds).expect(elapsed)
    assert total is None or (total > elapsed and total in seconds)
    assert total is not None or elapsed >= sorted(seconds)[len(seconds) * 9 // 10]


def test_after_95_of_100_run_times_a_generation_is_overdue() -> None:
    history = History(map(float, range(1, 101)))
    assert history.expect(0.0) == (history.median, 0.0)
    assert history.expect(50.0)[0] == 76.0
    assert history.expect(95.0)[0] == 98.0
    assert history.expect(96.0)[0] is None
    assert history.expect(96.0) == history.expect(3000.0)


def test_an_outlier_does_not_hide_that_a_generation_is_overdue() -> None:
    history = History([10.0] * 99 + [3600.0])
    assert history.expect(9.0)[0] == 10.0
    assert history.expect(10.0)[0] is None


# -- Groups ------------------------------------------------------------------------------------------------------------


def learned(*groups: tuple[str, str, float], ends: int = ENOUGH_RUN_TIMES) -> RunTimes:
    run_times = RunTimes()
    run_times.learn_all(RunTime(*group) for group in groups for _ in range(ends))
    return run_times


def expected(run_times: RunTimes, model_id: str, of: str) -> tuple[float, Basis]:
    history, basis = run_times.similar(model_id, of)
    return history.median, basis


def test_the_most_similar_generations_are_used() -> None:
    run_times = learned(("a", "video 5s 720", 60.0), ("a", "video 10s 720", 100.0), ("b", "image 1080", 8.0))
    assert expected(run_times, "a", "video 5s 720") == (60.0, Basis.SAME_SETTINGS)
    assert expected(run_times, "a", "video 10s 720") == (100.0, Basis.SAME_SETTINGS)
    assert expected(run_times, "a", "video 15s 720") == (100.0, Basis.MODEL)
    assert expected(run_times, "c", "video 5s 720") == (100.0, Basis.KIND)
    assert expected(run_times, "c", "image 720") == (8.0, Basis.KIND)


@pytest.mark.parametrize("kind", GUESSES)
def test_the_first_generation_of_a_kind_has_a_forecast_that_is_marked_as_a_guess(kind: str) -> None:
    total, basis = expected(learned(("a", "audio", 1.0)), "b", kind)
    assert (total, basis) == (pytest.approx(GUESSES[kind][0], rel=0.1), Basis.BUILT_IN)


def test_a_few_ends_replace_the_guess() -> None:
    run_times = learned(("a", "image 720", 30.0), ends=ENOUGH_RUN_TIMES - 1)
    assert expected(run_times, "a", "image 720")[1] is Basis.BUILT_IN
    run_times.learn(RunTime("a", "image 720", 30.0))
    assert expected(run_times, "a", "image 720") == (30.0, Basis.SAME_SETTINGS)


def test_run_times_from_before_traits_were_stored_count_for_their_model() -> None:
    run_times = learned(("a", "", 30.0))
    assert expected(run_times, "a", "image 720") == (30.0, Basis.MODEL)
    assert expected(run_times, "a", "") == (30.0, Basis.MODEL)
    assert expected(run_times, "b", "") == (pytest.approx(12.0, rel=0.1), Basis.BUILT_IN)


def test_a_model_that_became_slower_is_followed() -> None:
    run_times = learned(("a", "image", 10.0), ends=REMEMBERED_RUN_TIMES)
    assert expected(run_times, "a", "image") == (10.0, Basis.SAME_SETTINGS)
    for _ in range(REMEMBERED_RUN_TIMES // 2 + 1):
        run_times.learn(RunTime("a", "image", 100.0))
    assert expected(run_times, "a", "image") == (100.0, Basis.SAME_SETTINGS)


def test_run_times_of_zero_are_not_learned() -> None:
    assert expected(learned(("a", "image", 0.0), ("a", "image", -1.0)), "a", "image")[1] is Basis.BUILT_IN


# -- Traits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind", "found"),
    [
        (SoulInput("a fox"), MediaKind.UNKNOWN, "image"),
        (SoulInput("a fox", resolution="1080p"), MediaKind.UNKNOWN, "image 1080"),
        (DopInput("it runs"), MediaKind.UNKNOWN, "video"),
        (SpeakInput("i", "a", "p", SpeakQuality.HIGH, 10), MediaKind.UNKNOWN, "video 10s high"),
        (ModelInput("m", {"duration": 5, "resolution": "720p"}), MediaKind.VIDEO, "video 5s 720"),
        (ModelInput("m", {"duration": "5", "resolution": "720"}), MediaKind.VIDEO, "video 5s 720"),
        (ModelInput("m", {"duration": 5.0, "resolution": "720P"}), MediaKind.VIDEO, "video 5s 720"),
        (ModelInput("m", {"duration": "5s", "resolution": "4k"}), MediaKind.UNKNOWN, "video 5s 4k"),
        (ModelInput("v1/speak/x", {"duration": 10, "quality": "high"}, "v1"), MediaKind.UNKNOWN, "video 10s high"),
        (ModelInput("m", {}), MediaKind.AUDIO, "audio"),
        (ModelInput("m/text-to-video", {}), MediaKind.UNKNOWN, "video"),
        (ModelInput("m", {"duration": True, "resolution": ["720p"]}), MediaKind.IMAGE, "image"),
        (ModelInput("m", {"duration": float("inf"), "resolution": "x" * 100}), MediaKind.IMAGE, "image"),
        (ModelInput("m", {"duration": {"a": 1}, "resolution": 0}), MediaKind.IMAGE, "image"),
    ],
)
def test_traits_are_kind_duration_and_resolution(given: ModelInput, kind: MediaKind, found: str) -> None:
    assert traits(given, kind) == found
