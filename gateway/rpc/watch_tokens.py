"""TokenService: watch tokens for browsers, made by backends."""

from gateway.access.identity import Access, not_allowed
from gateway.errors import Violation, invalid_input
from gateway.rpc import convert
from gateway.rpc.call import Call
from hfgateway.v1 import token_service_pb2 as pb

DEFAULT_TTL, LONGEST_TTL = 900.0, 3600.0
MOST_IDS = 100


class TokenHandlers:
    """The service, for every transport."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def create_watch_token(self, request: pb.CreateWatchTokenRequest, call: Call) -> pb.CreateWatchTokenResponse:
        """A token that allows watching what the filter matches."""
        if call.within is not None:
            raise not_allowed("a watch token makes no others")
        wrong: list[Violation] = []
        ttl = DEFAULT_TTL
        if request.HasField("ttl"):
            ttl = convert.seconds(request.ttl, "ttl", wrong, least=1.0, most=LONGEST_TTL)
        for field, _ in request.filter.ListFields():
            if field.name not in {"ids", "labels"}:
                wrong.append(Violation(f"filter.{field.name}", "cannot limit a token: ids and labels can"))
        if not request.filter.ids and not request.filter.labels:
            wrong.append(Violation("filter", "ids or labels are required"))
        if len(request.filter.ids) > MOST_IDS:
            wrong.append(Violation("filter.ids", f"at most {MOST_IDS}"))
        if wrong:
            raise invalid_input(wrong)
        within = convert.generation_filter(request.filter)
        token, expire_time = self._access.watch_token(
            call.identity, within, ttl=ttl, include_input=request.include_input
        )
        answer = pb.CreateWatchTokenResponse(token=token)
        answer.expire_time.FromMicroseconds(round(expire_time * 1e6))
        return answer
