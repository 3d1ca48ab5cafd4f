"""The result of a POST to a receiver, apart from aiohttp so that it can be imported without it."""

from typing import NamedTuple


class ResponseHead(NamedTuple):
    """The status and the Retry-After header of a response."""

    status: int
    retry_after: str | None


class CertificateError(Exception):
    """The TLS handshake with the receiver failed, usually because its certificate is not valid for the name."""
