"""Sessions of the Agent API: their turns and transcripts, computed for the current time.

Directives in a message decide how its turn ends: `[ask]` asks a question, `[fail]` fails, `[terminate]` ends the
session; `[slow=5]` makes the turn take 5 seconds. Higgsfield does not document everything (for example the rows after
an interrupt); the docstrings say where the sandbox had to choose.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from gateway.sandbox import errors
from gateway.sandbox.clock import Clock, timestamp
from gateway.sandbox.generations.prompt_directives import read_directives

PRICE = Decimal("0.5")
"""Credits for one message."""
LLM_COST_USD = "0.0400"

End = Literal["completed", "failed", "ask", "terminate"]


@dataclass
class Turn:
    """A user's message and the agent's answer to it."""

    text: str
    started_at: float
    seconds: float
    end: End
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answer_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    stopped_at: float | None = None
    answered: bool = False

    def running(self, now: float) -> bool:
        """Whether the agent is still working on its answer."""
        return self.stopped_at is None and now < self.started_at + self.seconds

    def asks(self, now: float) -> bool:
        """Whether the turn has ended with a question that the user has not answered."""
        return self.end == "ask" and not self.answered and self.stopped_at is None and not self.running(now)

    def rows(self, now: float, clock: Clock) -> list[dict[str, Any]]:
        """Return the transcript rows of this turn. The answer's row appears after a third of the turn."""
        status = self._status(now)
        settled = status != "processing"
        user = {
            "message_id": self.message_id,
            "role": "user",
            "status": status,
            "message": {"type": "text", "text": self.text},
            "created_at": timestamp(clock, self.started_at),
            "llm_cost_usd": LLM_COST_USD if settled else None,
        }
        begun = self.started_at + self.seconds / 3
        until = now if self.stopped_at is None else self.stopped_at
        if until < begun:
            return [user]
        return [user, self._answer(status, until, timestamp(clock, begun))]

    def _answer(self, status: str, until: float, created_at: str) -> dict[str, Any]:
        writing = until < self.started_at + self.seconds
        whole = "Which colour?" if self.end == "ask" else f"Done: {self.text}"
        share = (until - self.started_at) / self.seconds if writing else 1.0
        text = whole[: int(len(whole) * share)]
        reasoning = {
            "type": "reasoning",
            "text": f"They want: {self.text}",
            "state": "streaming" if writing else "done",
        }
        parts: list[dict[str, Any]] = [{"type": "step-start"}, reasoning, {"type": "text", "text": text}]
        return {
            "message_id": self.answer_id,
            "role": "assistant",
            "status": status,
            "message": {"id": self.answer_id, "role": "assistant", "parts": parts},
            "created_at": created_at,
            "llm_cost_usd": None,
        }

    def _status(self, now: float) -> str:
        if self.stopped_at is not None:
            return "failed"
        if self.running(now) or self.asks(now):
            return "processing"
        return "failed" if self.end == "failed" else "completed"


@dataclass
class Session:
    """One conversation: its turns, oldest first."""

    turns: list[Turn] = field(default_factory=list)

    def status(self, now: float) -> str:
        """Return the status by the API's name."""
        if not self.turns:
            return "idle"
        last = self.turns[-1]
        if last.running(now):
            return "processing"
        if last.asks(now):
            return "awaiting_input"
        return "terminated" if last.end == "terminate" and last.stopped_at is None else "idle"


class AgentSessions:
    """The sessions of one account.

    `seconds` returns the duration of a turn, `enabled` whether the account may use the Agent API.
    """

    def __init__(self, clock: Clock, seconds: Callable[[], float], enabled: Callable[[], bool]) -> None:
        self.sessions: dict[str, Session] = {}
        self._clock = clock
        self._seconds = seconds
        self._enabled = enabled

    def check_enabled(self) -> None:
        """Raise a 403 if the account may not use the Agent API."""
        if not self._enabled():
            raise errors.agents_not_enabled()

    def create(self) -> str:
        """Create an idle session; returns its id."""
        self.check_enabled()
        session_id = str(uuid.uuid4())
        self.sessions[session_id] = Session()
        return session_id

    def send(self, session_id: str, content: str, pay: Callable[[Decimal], None]) -> Turn:
        """Start a turn and call `pay` with its price; raises ApiError, without paying, if the message is refused."""
        session, now = self._session(session_id), self._clock.now()
        status = session.status(now)
        if status == "processing":
            raise errors.session_busy()
        if status == "terminated":
            raise errors.session_terminated()
        pay(PRICE)
        if session.turns:
            session.turns[-1].answered = True
        directives = read_directives(content)
        seconds = self._seconds() if directives.running_seconds is None else directives.running_seconds
        turn = Turn(content, now, max(seconds, 0.001), _end(content))
        session.turns.append(turn)
        return turn

    def messages(self, session_id: str, after: str | None) -> dict[str, Any]:
        """Return the status and the rows after the message `after`.

        Raises a 404 if there is no such message: Higgsfield does not document the response.
        """
        session, now = self._session(session_id), self._clock.now()
        rows = [row for turn in session.turns for row in turn.rows(now, self._clock)]
        if after is not None:
            places = [place for place, row in enumerate(rows) if row["message_id"] == after]
            if not places:
                raise errors.not_found()
            rows = rows[places[0] + 1 :]
        return {"status": session.status(now), "messages": rows}

    def interrupt(self, session_id: str) -> None:
        """Stop the running turn or withdraw the question. The status of its rows is not documented: here they fail."""
        session, now = self._session(session_id), self._clock.now()
        if session.status(now) in ("processing", "awaiting_input"):
            session.turns[-1].stopped_at = now

    def _session(self, session_id: str) -> Session:
        self.check_enabled()
        if session_id not in self.sessions:
            raise errors.not_found()
        return self.sessions[session_id]


def _end(text: str) -> End:
    if "[fail]" in text:
        return "failed"
    if "[ask]" in text:
        return "ask"
    return "terminate" if "[terminate]" in text else "completed"
