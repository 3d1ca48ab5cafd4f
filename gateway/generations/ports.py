"""The ports of the core to the clock and to Higgsfield. The composition root supplies the implementations."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Protocol

from gateway.errors import Failure, Violation
from gateway.frozen import frozen
from gateway.generations.inputs import Input
from gateway.generations.model import (
    Api,
    Generation,
    MediaKind,
    Moment,
    PreparedRequest,
    RequestId,
    StatusReport,
    UpstreamKey,
    Wall,
)
from gateway.generations.stores import Removal

MAX_RETRY_AFTER = 300.0
"""The longest pause in seconds that a response of Higgsfield causes."""


class Clock(Protocol):
    """The time, and waits."""

    def moment(self) -> Moment:
        """Return the present time by both clocks."""

    def agrees(self) -> bool:
        """Return whether wall and steady time agree, so that irreversible decisions may be taken by age."""

    async def wait(self, signal: "asyncio.Future[None]", seconds: float | None) -> None:
        """Return when the signal is given, or after `seconds`; None waits for the signal only."""


MAX_WEIGHT = 4
"""The most outputs of a batch that count: the largest batch that Higgsfield documents. An endpoint may ignore a larger
number, which would otherwise keep the whole account free for one output."""


@frozen
class Prepared:
    """A validated input: its model and API version, how many outputs it asks for, and the exact request to send.

    `outputs` is None if the input has a number that is not usable. It is sent as it is: Higgsfield decides about it.
    """

    model_id: str
    api: Api
    outputs: int | None
    request: PreparedRequest

    @property
    def weight(self) -> int:
        """How many of the account's concurrent generations it uses: a batch counts its outputs, up to a limit."""
        return min(self.outputs or 1, MAX_WEIGHT)


@frozen
class WebhookAddress:
    """The webhook URL of a request. `secret` is what v1 webhooks carry in a header."""

    url: str
    secret: str = field(repr=False)


@frozen
class Taken:
    """Higgsfield accepted the submission, and returned its request or job set."""

    report: StatusReport


@frozen
class NotTaken:
    """Higgsfield certainly did not process the submission.

    `may_retry`: it may be sent again after `pause` seconds; None means once a slot is free. `was_reached` is False if
    there was no connection. `is_final`: the same bytes can never be accepted.
    """

    failure: Failure
    may_retry: bool = False
    pause: float | None = None
    was_reached: bool = True
    is_final: bool = False


@frozen
class MaybeTaken:
    """Higgsfield may have processed the submission.

    `is_complete`: the response was a complete 5xx, so Higgsfield has finished the request. `retry_after` is in
    seconds. `request_id` is an id that was read from a truncated response, for the operator.
    """

    failure: Failure
    is_complete: bool
    retry_after: float | None = None
    request_id: str = ""


Outcome = Taken | NotTaken | MaybeTaken


@frozen
class Estimate:
    """The price of an input in Higgsfield's decimal strings, or a description of how it is priced.

    `extra` are the values of the response that no other field has exactly, as JSON.
    """

    credits: str = ""
    usd: str = ""
    description: str = ""
    extra: Mapping[str, Any] | None = field(default=None, hash=False)


@frozen
class InputCheckResult:
    """The problems of an input. Those in `warnings` come from a list that may be out of date."""

    violations: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()


class InputCheck(Protocol):
    """Checks of inputs against what is known of their models, beyond the rules of `inputs.py`."""

    async def check(self, given: Input) -> InputCheckResult:
        """Check an input that passed those rules. Waits for no call and raises nothing."""

    def kind(self, model_id: str) -> MediaKind:
        """Return the kind of a model's outputs, if it is known. Makes no call."""


class Upstream(Protocol):
    """Higgsfield. A call about a generation uses the account and origin it was sent to, or raises GatewayError."""

    @property
    def origin(self) -> str:
        """The origin for new submissions."""

    def prepare(
        self, given: Input, key: UpstreamKey, outputs_ttl: float | None, webhook: WebhookAddress | None, account: str
    ) -> Prepared:
        """Return the exact request for an input, to be sent with an account's credentials. Makes no call.

        `key` is sent as idempotency key on v2. `outputs_ttl` is in seconds; None leaves it to Higgsfield.
        """

    def reaches(self, account: str, origin: str) -> bool:
        """Return whether requests for that account and origin can be sent with the current settings."""

    def can_delete(self, account: str, origin: str) -> bool:
        """Return whether data there can be deleted, also with newer credentials of the account."""

    async def submit(self, request: PreparedRequest, may_send: Callable[[], bool]) -> Outcome:
        """POST a request once. `may_send` is called right before the first byte; if it returns False nothing is sent.

        Never raises for a failure of the network or of Higgsfield: `MaybeTaken` and `NotTaken` report it.
        """

    async def status(self, generation: Generation, request_id: RequestId | None = None) -> StatusReport | None:
        """Return the status of a generation's request, or of another one of its account; None for a 404.

        Raises GatewayError with an UPSTREAM reason if there is no usable response.
        """

    async def cancel(self, generation: Generation, request_id: RequestId | None = None) -> None:
        """Ask Higgsfield to cancel a generation's request, or another one of its account.

        No response is conclusive, so read the status afterwards. Raises GatewayError if there is none, or for a 429.
        """

    async def delete(self, removal: Removal) -> None:
        """Remove the input and outputs of a request. Idempotent. Raises GatewayError unless Higgsfield confirms it."""

    async def estimate(self, given: Input, account: str) -> Estimate:
        """Return the price of an input for an account. Raises GatewayError."""

    async def time(self) -> Wall | None:
        """Return the Date of a response, in seconds since the epoch; None if it had none. Raises GatewayError."""
