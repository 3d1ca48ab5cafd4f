"""Page tokens and resume tokens. They are opaque to callers, and valid only with the other fields of their request.

A token contains a hash of these fields, its `binding`.
"""

import hashlib
import struct

from gateway.access.tokens import decode, encode
from gateway.errors import GatewayError, invalid_field
from gateway.generations.stores import Filter
from gateway.generations.watching.watch import Position
from hfgateway.v1 import generation_service_pb2

_RESUME = struct.Struct(">B8s8sQ?")
_PAGE = struct.Struct(">B8s")
_RESUME_KIND, _PAGE_KIND = 1, 2
"""The first byte. A token of one kind in place of the other, with the same binding, would skip items."""


def filter_hash(message: generation_service_pb2.GenerationFilter, tenant: str, within: Filter | None = None) -> bytes:
    """Return the binding of a token to a caller's filter. The order of repeated fields does not matter."""
    plain = generation_service_pb2.GenerationFilter()
    plain.CopyFrom(message)
    plain.ids[:] = sorted(set(message.ids))
    plain.states[:] = sorted(set(message.states))
    plain.model_ids[:] = sorted(set(message.model_ids))
    plain.upstream_request_ids[:] = sorted(set(message.upstream_request_ids))
    content: bytes = plain.SerializeToString(deterministic=True)
    limits = b"" if within is None else repr((sorted(within.ids or ()), sorted(within.labels.items()))).encode()
    return hashlib.sha256(tenant.encode() + b"\0" + limits + b"\0" + content).digest()[:8]


def resume_token(at: Position, binding: bytes) -> str:
    """Return the token for a position in the log."""
    fixed = _RESUME.pack(_RESUME_KIND, binding, at.epoch.encode(), at.position, at.presented is None)
    return encode(fixed + (at.presented or "").encode())


def read_resume_token(token: str, binding: bytes) -> Position | None:
    """Return the position of a token; None for an empty one. Raises INVALID_INPUT if it belongs to another filter."""
    if not token:
        return None
    content = decode(token)
    if content is None or len(content) < _RESUME.size or content[0] != _RESUME_KIND:
        raise not_issued("resume_token")
    _, bound_to, epoch, position, settled = _RESUME.unpack_from(content)
    if bound_to != binding:
        raise invalid_field("resume_token", "belongs to another filter")
    presented = None if settled else content[_RESUME.size :].decode("ascii", "replace")
    return Position(epoch.decode("ascii", "replace"), position, presented)


def page_token(last: str | None, binding: bytes) -> str:
    """Return the token for the page after the item `last`; empty if `last` is None."""
    return "" if last is None else encode(_PAGE.pack(_PAGE_KIND, binding) + last.encode())


def read_page_token(token: str, binding: bytes) -> str | None:
    """Return the last item before the page; None for the first page. Raises INVALID_INPUT, as `read_resume_token`."""
    if not token:
        return None
    content = decode(token)
    if content is None or len(content) <= _PAGE.size or content[0] != _PAGE_KIND:
        raise not_issued("page_token")
    _, bound_to = _PAGE.unpack_from(content)
    if bound_to != binding:
        raise invalid_field("page_token", "belongs to another filter")
    last = content[_PAGE.size :].decode("ascii", "replace")
    if not (last.isascii() and last.isprintable()):
        raise not_issued("page_token")
    return last


def not_issued(field: str) -> GatewayError:
    """Return the error for a field whose text is not a token of this gateway."""
    return invalid_field(field, "was not issued by this gateway")
