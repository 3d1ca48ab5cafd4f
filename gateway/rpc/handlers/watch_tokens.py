"""The handlers of TokenService: backends create watch tokens for browsers."""

from gateway.access.identity import Access
from gateway.errors import Violation, invalid_field, raise_if_invalid
from gateway.rpc.call import Call
from gateway.rpc.messages import convert, wire
from hfgateway.v1 import token_service_pb2 as pb

DEFAULT_TTL, MAX_TTL = 900.0, 3600.0
MAX_IDS = 100
MAX_TOKEN_BYTES = 8 * 1024
"""Bytes: half of what gRPC and the HTTP port accept as the headers of a call."""


class TokenHandlers:
    """Handles the RPCs of the service, independent of the transport."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def create_watch_token(self, request: pb.CreateWatchTokenRequest, call: Call) -> pb.CreateWatchTokenResponse:
        """Create a token that allows watching the generations that match the filter."""
        wrong: list[Violation] = []
        ttl = convert.parse_seconds(request, "ttl", wrong, minimum=1.0, maximum=MAX_TTL)
        for field, _ in request.filter.ListFields():
            if field.name not in {"ids", "labels"}:
                wrong.append(Violation(f"filter.{field.name}", "is not supported for tokens: use ids or labels"))
        if not request.filter.ids and not request.filter.labels:
            wrong.append(Violation("filter", "ids or labels are required"))
        if len(request.filter.ids) > MAX_IDS:
            wrong.append(Violation("filter.ids", f"must have at most {MAX_IDS} ids"))
        raise_if_invalid(wrong)
        within = convert.parse_filter(request.filter)
        token, expire_time = self._access.watch_token(
            call.identity, within, ttl=DEFAULT_TTL if ttl is None else ttl, include_input=request.include_input
        )
        if len(token) > MAX_TOKEN_BYTES:
            raise invalid_field(
                "filter", f"makes a token of more than {MAX_TOKEN_BYTES} bytes: use fewer or shorter labels"
            )
        return pb.CreateWatchTokenResponse(token=token, expire_time=wire.timestamp(expire_time))
