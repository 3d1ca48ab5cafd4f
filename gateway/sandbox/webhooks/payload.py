"""Webhook URLs of submissions and the payloads of webhooks. `sender.py` sends them."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from gateway.sandbox import errors
from gateway.sandbox.accounts.settings import AccountSettings
from gateway.sandbox.clock import Clock
from gateway.sandbox.generations.generation import Generation, describe, describe_job_set


def check_webhook(url: str | None, *, strict: bool) -> None:
    """Raise ApiError if Higgsfield would refuse the URL. Unless `strict`, plain HTTP and private hosts are allowed."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        raise errors.webhook_url_refused("is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.webhook_url_refused("must be an absolute HTTP URL")
    if parts.username is not None or parts.password is not None:
        raise errors.webhook_url_refused("must not carry credentials")
    if strict and parts.scheme != "https":
        raise errors.webhook_url_refused("must use HTTPS")
    if strict and _is_private(parts.hostname):
        raise errors.webhook_url_refused("must resolve to a public address")


def payload(generation: Generation, clock: Clock, settings: AccountSettings) -> dict[str, Any]:
    """Return the payload for a generation that has ended. For v1 it is the job set, as a GET returns it."""
    if generation.job_outcomes:
        return describe_job_set(generation, clock, generation.origin, with_input=settings.v1_input_params)
    status = describe(generation, clock, generation.origin)
    if settings.webhook_shape == "flat":
        return status
    files: dict[str, Any] = {name: status[name] for name in ("images", "video") if name in status}
    if "video" in files:
        files["video"] = files["video"] | {"content_type": "video/webm"}
    return {
        "request_id": generation.request_id,
        "status": status["status"],
        "error": status.get("error"),
        "payload": files or None,
        "expires_at": status["expires_at"],
    }


def _is_private(host: str) -> bool:
    """Return whether a host is private by its name; the sandbox does not resolve names."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
