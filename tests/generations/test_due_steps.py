"""The next step of a generation whose marker belongs to another process."""

from __future__ import annotations

import pytest

from gateway.generations.due_steps import Due, Rules, Step, next_due
from gateway.generations.model import Steady
from tests.contract.store import examples


@pytest.mark.parametrize(("others_send_for", "after"), [(0.0, 11.0), (5.0, 11.0), (30.0, 31.0)])
def test_an_attempt_is_recovered_when_its_process_can_no_longer_send(others_send_for: float, after: float) -> None:
    """The marker ends 10 s after it was set, at 1 s. The store was opened at 1 s, too."""
    marked = examples.marked(examples.generation())
    moment = examples.moment(1.0)
    rules = Rules(recover_from=moment.after(others_send_for))
    assert next_due(marked, rules, "another owner", moment) == Due(Step.RECOVER, Steady(examples.NOW + after))
