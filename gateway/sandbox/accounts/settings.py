"""What the service grants an account. Tests change it while the sandbox runs, by `POST /__account`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from gateway.sandbox.webhooks.signing import read_secrets

ConcurrencyMode = Literal["queue", "legacy"]
WebhookShape = Literal["flat", "envelope"]
WebhookRetry = Literal["5xx", "until_2xx"]


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """Limits, durations and manners of one account; times are in seconds of the sandbox's clock."""

    concurrency_mode: ConcurrencyMode = "queue"
    concurrency_limit: int = 4
    queue_factor: int = 5
    honour_keys: bool = True
    retention: int = 7 * 24 * 3600
    queue_seconds: float = 1.0
    image_seconds: float = 4.0
    video_seconds: float = 12.0
    training_seconds: float = 60.0
    """Of a character, once it has waited for `queue_seconds`."""

    blocked_models: tuple[str, ...] = ()
    agents_enabled: bool = True
    agent_seconds: float = 6.0

    strict_webhooks: bool = False
    """Refuse callback addresses that are not HTTPS or not public, as the service does."""

    webhook_shape: WebhookShape = "flat"
    """`flat` is the status answer itself, as the older pages have it; `envelope` has the files under `payload`."""

    webhook_secret: str = ""
    """`whsec_…` signs deliveries; several, divided by spaces, all sign, as during a rotation; without one none does."""

    webhook_retry: WebhookRetry = "5xx"
    """`5xx` repeats after network errors, time-outs and 5xx; `until_2xx`, the older rule, after everything but 2xx."""

    webhook_timeout: float = 10.0
    """Real seconds in which a receiver has to answer."""

    webhook_canceled: bool = False
    """Also tell of cancellations, which the service does not promise."""

    webhook_duplicates: bool = False
    """Make every delivery twice at once."""

    webhook_loss: float = 0.0
    """Probability that a delivery is never made."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {' or '.join(choices)}")
        if not 0 <= self.webhook_loss <= 1:
            raise ValueError("webhook_loss is a probability")
        if self.webhook_timeout <= 0:
            raise ValueError("webhook_timeout is a positive number")
        read_secrets(self.webhook_secret)

    @classmethod
    def of(cls, granted: AccountSettings) -> AccountSettings:
        """Take the terms out of options, which hold more."""
        return cls(**{one.name: getattr(granted, one.name) for one in fields(cls)})

    def changed(self, changes: dict[str, Any]) -> AccountSettings:
        """Return the terms with changes from JSON; a ValueError names what does not fit."""
        known = {one.name for one in fields(self)}
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
}


def _kind(value: Any) -> str:
    for kind, types in (("flag", bool), ("number", int | float), ("list", list | tuple)):
        if isinstance(value, types):
            return kind
    return "text"
