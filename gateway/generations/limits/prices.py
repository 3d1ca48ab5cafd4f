"""The prices of submissions, which budgets reserve: Higgsfield's estimate, or the configured price of the model.

Higgsfield is asked only for submissions to which a limit of credits applies, and once for an input: the price is cached
by the model and its parameters. A price that has changed at Higgsfield is noticed when the cached one is too old. A
model without a fixed price (its estimate is a description, or there is none for it) has a configured price for each
output, or an unknown one. What an unknown price means is a setting.

Higgsfield's refusal of an estimate refuses the submission, and so does its silence: nothing was reserved, so nothing is
stored or sent, and the same call can be repeated.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping

from gateway.errors import Failure, GatewayError, Reason
from gateway.frozen import frozen
from gateway.generations.inputs import Input
from gateway.generations.limits.model import MAX_CREDITS, MILLION, format_credits, parse_credits
from gateway.generations.ports import Clock, Prepared, Upstream

TOO_MUCH = f"more than {MAX_CREDITS} credits are not counted"
MAX_PRICES = 10_000
"""Prices that are cached; the one that was not used for longest is dropped first."""


@frozen
class Price:
    """A price in millionths of a credit, and the decimal texts that callers see.

    Both texts are empty for an unknown price that is allowed: it counts as 0.
    """

    millionths: int
    credits: str = ""
    usd: str = ""


UNKNOWN_PRICE = Price(0)


class Prices:
    """The cached prices. `table` has credits for each output by a prefix of the model id; the longest one counts.

    `ttl` is the age in seconds up to which a cached price is used. `unknown_allowed`: a submission whose price is not
    known counts as 0 credits instead of being refused.
    """

    def __init__(
        self, upstream: Upstream, clock: Clock, *, table: Mapping[str, int], ttl: float, unknown_allowed: bool
    ) -> None:
        self._upstream = upstream
        self._clock = clock
        self._table = sorted(table.items(), key=lambda item: len(item[0]), reverse=True)
        self._ttl = ttl
        self._unknown_allowed = unknown_allowed
        self._cached: OrderedDict[bytes, tuple[float, Price]] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Price]] = {}

    async def of(self, given: Input, prepared: Prepared) -> Price:
        """Return the price of a request for an input. Raises PRICE_UNKNOWN, or as `Upstream.estimate` does."""
        key = _key(prepared)
        known = self._cached_price(key)
        if known is not None:
            return known
        if prepared.api == "v1":
            return self._without_estimate(prepared)
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._ask(key, given, prepared))
            task.add_done_callback(lambda _: self._asked.pop(key))
        return await task

    def _cached_price(self, key: bytes) -> Price | None:
        found = self._cached.get(key)
        if found is None or self._clock.moment().steady - found[0] > self._ttl:
            return None
        self._cached.move_to_end(key)
        return found[1]

    async def _ask(self, key: bytes, given: Input, prepared: Prepared) -> Price:
        price: Price | None = None
        try:
            estimate = await self._upstream.estimate(given, prepared.request.account)
        except GatewayError as error:
            if error.failure.reason is not Reason.MODEL_UNKNOWN:  # which may only have no estimate
                raise
        else:
            if estimate.credits:  # otherwise it is a description
                try:
                    price = Price(parse_credits(estimate.credits), estimate.credits, estimate.usd)
                except ValueError:
                    raise _unknown(prepared, TOO_MUCH) from None
        price = price or self._without_estimate(prepared)
        self._cached[key] = (self._clock.moment().steady, price)
        self._cached.move_to_end(key)
        while len(self._cached) > MAX_PRICES:
            self._cached.popitem(last=False)
        return price

    def _without_estimate(self, prepared: Prepared) -> Price:
        """Return the price of a model for which Higgsfield has none. Raises PRICE_UNKNOWN."""
        for prefix, credits in self._table:
            if prepared.model_id.startswith(prefix):
                if prepared.outputs is None:
                    raise _unknown(prepared, "the number of outputs has to be a whole number")
                total = credits * prepared.outputs
                if total > MAX_CREDITS * MILLION:
                    raise _unknown(prepared, TOO_MUCH)
                return Price(total, format_credits(total))
        if self._unknown_allowed:
            return UNKNOWN_PRICE
        raise _unknown(prepared, "the operator of the gateway can set it in HFGATEWAY_PRICES")


def _unknown(prepared: Prepared, hint: str) -> GatewayError:
    message = f"the price of {prepared.model_id} is not known, and a budget applies: {hint}"
    return GatewayError(Failure(Reason.PRICE_UNKNOWN, message, metadata={"model_id": prepared.model_id}))


def _key(prepared: Prepared) -> bytes:
    request = prepared.request
    return hashlib.sha256(f"{request.account} {request.path}\n".encode() + request.body).digest()
