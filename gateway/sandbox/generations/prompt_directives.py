"""Directives in a prompt that make a generation misbehave: `[fail] [nsfw] [slow=5] [http=503] [lost]`.

`[fail=1]` and `[nsfw=2]` apply to the last 1 or 2 jobs of a v1 job set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

Outcome = Literal["completed", "failed", "nsfw"]

_WORD = re.compile(r"\[(?:(fail|nsfw)=(\d)|(fail|nsfw|lost|slow=(\d+(?:\.\d+)?)|http=([45]\d\d)))\]")


@dataclass(frozen=True)
class Directives:
    """The directives of a prompt."""

    outcome: Outcome | None
    running_seconds: float | None
    http_status: int | None
    """Answer the submission with this status, and create nothing."""

    lost: bool
    """Create the generation, charge for it, and close the connection without a response."""

    failed_jobs: int
    moderated_jobs: int

    def job_outcomes(self, usual: list[Outcome]) -> list[Outcome]:
        """Apply the directives to the outcomes that the jobs of a set would have without them."""
        if self.outcome is not None:
            return [self.outcome for _ in usual]
        bad: list[Outcome] = []
        bad.extend(repeat("failed", self.failed_jobs))
        bad.extend(repeat("nsfw", self.moderated_jobs))
        return [*usual[: max(len(usual) - len(bad), 0)], *bad[: len(usual)]]


def read_directives(prompt: str) -> Directives:
    """Parse the directives in a prompt. If a directive is repeated, the last one applies."""
    outcome: Outcome | None = None
    running_seconds: float | None = None
    http_status: int | None = None
    lost = False
    jobs = {"fail": 0, "nsfw": 0}
    for some, count, word, slow, http in _WORD.findall(prompt):
        if some:
            jobs[some] = int(count)
        elif slow:
            running_seconds = float(slow)
        elif http:
            http_status = int(http)
        elif word == "lost":
            lost = True
        else:
            outcome = "nsfw" if word == "nsfw" else "failed"
    return Directives(outcome, running_seconds, http_status, lost, jobs["fail"], jobs["nsfw"])
