"""The result of a POST to a receiver, apart from aiohttp so that it can be imported without it."""

from typing import NamedTuple


class ResponseHead(NamedTuple):
    """The status of a response, and its headers Retry-After and Date."""

    status: int
    retry_after: str | None
    date: str


class CertificateError(Exception):
    """The TLS handshake with the receiver failed, usually because its certificate is not valid for the name."""
