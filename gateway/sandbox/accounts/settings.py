"""The settings of an account. `POST /__account` changes them while the sandbox runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from gateway.sandbox.webhooks.signing import read_secrets

ConcurrencyMode = Literal["queue", "legacy"]
WebhookShape = Literal["flat", "envelope"]
WebhookRetry = Literal["5xx", "until_2xx"]
ReplayStatus = Literal["queued", "real"]


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """Limits, durations and behaviour of one account. Times are in seconds of the sandbox's clock by default."""

    concurrency_mode: ConcurrencyMode = "queue"
    """At the limit, `queue` lets submissions wait and refuses them when the queue is full; `legacy` refuses them."""

    concurrency_limit: int = 4
    """The number of generations that run at once."""

    queue_factor: int = 5
    """The queue holds `queue_factor` times `concurrency_limit` outputs."""

    honour_keys: bool = True
    """Whether idempotency keys have an effect."""

    replay_status: ReplayStatus = "queued"
    """The status in the response to a repeated idempotency key. As documented, `queued` only confirms the acceptance,
    even if the request has ended; `real` is the present status with its files."""

    serve_job_sets: bool = True
    """Whether `GET /v1/job-sets/{id}` exists; otherwise it returns a 404, and only `/requests/{id}/status` has the
    status of a job set."""

    v1_cancel: bool = False
    """Whether `/requests/{id}/cancel` cancels a queued job set. Higgsfield returns this URL; its effect is unknown."""

    v1_input_params: bool = True
    """Whether a job set has `input_params`. Observed responses differ."""

    retention: int = 7 * 24 * 3600
    """How long output files are served, and the longest retention that a submission may ask for."""

    queue_seconds: float = 1.0
    """The shortest time between a submission and its start."""

    image_seconds: float = 4.0
    video_seconds: float = 12.0
    training_seconds: float = 60.0
    """Duration of a character's training, after it has waited for `queue_seconds`."""

    blocked_models: tuple[str, ...] = ()
    agents_enabled: bool = True
    agent_seconds: float = 6.0

    strict_webhooks: bool = False
    """Refuse webhook URLs that are not HTTPS or not public, as Higgsfield does."""

    webhook_shape: WebhookShape = "flat"
    """The payload: `flat` is the status response, as in the older documentation; `envelope` nests the files under
    `payload`."""

    webhook_secret: str = ""
    """`whsec_…` secrets that sign the webhooks, separated by spaces: during a rotation there are several.
    Empty: webhooks are not signed."""

    webhook_retry: WebhookRetry = "5xx"
    """`5xx` retries after network errors, timeouts and 5xx; `until_2xx`, the older rule, after everything but 2xx."""

    webhook_timeout: float = 10.0
    """Real seconds after which a delivery attempt times out."""

    webhook_canceled: bool = False
    """Also send webhooks for cancellations, which Higgsfield does not promise."""

    webhook_duplicates: bool = False
    """Send every webhook twice at the same time."""

    webhook_loss: float = 0.0
    """Probability that a webhook is never sent."""

    def __post_init__(self) -> None:
        for one in fields(AccountSettings):
            value = getattr(self, one.name)
            if type(one.default) is int and (type(value) is not int or value < 0):
                raise ValueError(f"{one.name} must be a whole number, 0 or more")
            if type(one.default) is float and not 0 <= value < math.inf:
                raise ValueError(f"{one.name} must be a number, 0 or more")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be {' or '.join(choices)}")
        if not 0 <= self.webhook_loss <= 1:
            raise ValueError("webhook_loss must be between 0 and 1")
        if not self.webhook_timeout > 0:
            raise ValueError("webhook_timeout must be positive")
        read_secrets(self.webhook_secret)

    @classmethod
    def of(cls, granted: AccountSettings) -> AccountSettings:
        """Copy the settings from an object that may have more fields, such as SandboxOptions."""
        return cls(**{field.name: getattr(granted, field.name) for field in fields(cls)})

    def changed(self, changes: dict[str, Any]) -> AccountSettings:
        """Return a copy with the changes of a JSON object; raises ValueError for an unknown name or a wrong value."""
        known = {field.name for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown setting {name}")
            if _kind(value) != _kind(getattr(self, name)):
                raise ValueError(f"{name} has the wrong type")
        if "blocked_models" in changes:
            changes = changes | {"blocked_models": tuple(changes["blocked_models"])}
        return replace(self, **changes)


_CHOICES = {
    "concurrency_mode": get_args(ConcurrencyMode),
    "webhook_shape": get_args(WebhookShape),
    "webhook_retry": get_args(WebhookRetry),
    "replay_status": get_args(ReplayStatus),
}


def _kind(value: Any) -> str:
    for kind, types in (("flag", bool), ("number", int | float), ("list", list | tuple), ("text", str)):
        if isinstance(value, types):
            return kind
    return "none of these"
