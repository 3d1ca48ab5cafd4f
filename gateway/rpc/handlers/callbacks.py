"""The handlers of CallbackService."""

import re

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.callbacks.model import Callback, Delivery, DeliveryState
from gateway.callbacks.service import BEGINNING, TenantCallbacks
from gateway.errors import Violation, raise_if_invalid
from gateway.generations.model import Moment
from gateway.generations.stores import Filter
from gateway.rpc.call import Call
from gateway.rpc.messages import convert, page_tokens, wire
from gateway.rpc.messages.pages import Page
from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway.v1 import generation_service_pb2

_SUPPORTED_FILTER_FIELDS = frozenset({"labels", "model_ids", "states"})
_POSITION = re.compile(r"([0-9]+\.[0-9]+) (\S+) ([0-9]{1,9})")
"""The position of a delivery in a page token: its creation time, generation and revision."""


class CallbackHandlers:
    """Handles the RPCs of the service, independent of the transport."""

    def __init__(self, callbacks: TenantCallbacks) -> None:
        self._callbacks = callbacks

    async def create_callback(self, request: pb.CreateCallbackRequest, call: Call) -> pb.CreateCallbackResponse:
        """Create a callback and return its secret; a replay returns no secret."""
        wrong: list[Violation] = []
        key = convert.check_idempotency_key(request.idempotency_key, "callback", wrong)
        raise_if_invalid(wrong)
        callback, secret = await self._callbacks.create(
            call.tenant,
            request.url,
            _parse_filter(request.filter),
            key,
            every_change=request.every_change,
        )
        return pb.CreateCallbackResponse(callback=self._callback_message(callback), secret=secret, replayed=not secret)

    async def get_callback(self, request: pb.GetCallbackRequest, call: Call) -> pb.GetCallbackResponse:
        callback = self._callbacks.get(call.tenant, convert.require_text(request.id))
        return pb.GetCallbackResponse(callback=self._callback_message(callback))

    async def list_callbacks(self, request: pb.ListCallbacksRequest, call: Call) -> pb.ListCallbacksResponse:
        """Return a page of callbacks, newest first."""
        page: Page[Callback] = Page(request, lambda callback: callback.id, tenant=call.tenant)
        after, listed = page.after, self._callbacks.listed(call.tenant)
        older = [callback for callback in listed if after is None or callback.id < after]
        response = pb.ListCallbacksResponse()
        response.next_page_token = page.fill(response.callbacks, older, self._callback_message)
        return response

    async def update_callback(self, request: pb.UpdateCallbackRequest, call: Call) -> pb.UpdateCallbackResponse:
        """Change the fields that are set."""
        callback = await self._callbacks.update(
            call.tenant,
            convert.require_text(request.id),
            paused=request.paused if request.HasField("paused") else None,
            wanted=_parse_filter(request.filter) if request.HasField("filter") else None,
            every_change=request.every_change if request.HasField("every_change") else None,
        )
        return pb.UpdateCallbackResponse(callback=self._callback_message(callback))

    async def delete_callback(self, request: pb.DeleteCallbackRequest, call: Call) -> pb.DeleteCallbackResponse:
        """Delete a callback with its deliveries."""
        await self._callbacks.delete(call.tenant, convert.require_text(request.id))
        return pb.DeleteCallbackResponse()

    async def rotate_callback_secret(
        self, request: pb.RotateCallbackSecretRequest, call: Call
    ) -> pb.RotateCallbackSecretResponse:
        """Replace the signing secret and return the new one."""
        callback, secret = await self._callbacks.rotate(call.tenant, convert.require_text(request.id))
        return pb.RotateCallbackSecretResponse(callback=self._callback_message(callback), secret=secret)

    async def test_callback(self, request: pb.TestCallbackRequest, call: Call) -> pb.TestCallbackResponse:
        """Send a test delivery now and return its outcome."""
        tested = await self._callbacks.test(call.tenant, convert.require_text(request.id))
        taken = tested.outcome.problem is None
        message = pb.Delivery(
            id=tested.id,
            callback_id=request.id,
            state=(DeliveryState.DELIVERED if taken else DeliveryState.FAILED).value,  # type: ignore[arg-type]
            attempts=1,
            problem=tested.outcome.problem or 0,  # type: ignore[arg-type]
            http_status=tested.outcome.http_status,
            create_time=wire.timestamp(tested.create_time),
            last_attempt_time=wire.timestamp(tested.last_attempt_time),
        )
        return pb.TestCallbackResponse(delivery=message)

    async def list_deliveries(self, request: pb.ListDeliveriesRequest, call: Call) -> pb.ListDeliveriesResponse:
        """Return a page of deliveries, newest first."""
        callback_id = convert.require_text(request.callback_id, "callback_id")
        page: Page[Delivery] = Page(request, _position, tenant=call.tenant)
        found = await self._callbacks.deliveries(
            call.tenant,
            callback_id,
            request.generation_id,
            failed_only=request.failed_only,
            before=_parse_position(page.after),
            limit=page.fetch_limit,
        )
        moment = self._callbacks.moment()
        response = pb.ListDeliveriesResponse()
        response.next_page_token = page.fill(
            response.deliveries, found, lambda delivery: _delivery_message(delivery, moment)
        )
        return response

    async def redeliver_delivery(
        self, request: pb.RedeliverDeliveryRequest, call: Call
    ) -> pb.RedeliverDeliveryResponse:
        """Send a delivery again."""
        delivery = await self._callbacks.redeliver(call.tenant, convert.require_text(request.id))
        return pb.RedeliverDeliveryResponse(delivery=_delivery_message(delivery, self._callbacks.moment()))

    def _callback_message(self, callback: Callback) -> pb.Callback:
        moment = self._callbacks.moment()
        old = [secret.until for secret in callback.signing(moment.steady) if secret.until is not None]
        return pb.Callback(
            id=callback.id,
            url=callback.url,
            filter=generation_service_pb2.GenerationFilter(
                states=sorted(callback.wanted.states),  # type: ignore[arg-type]
                model_ids=sorted(callback.wanted.model_ids),
                labels=dict(callback.wanted.labels),
            ),
            every_change=callback.every_change,
            paused=callback.paused,
            problem=callback.problem or 0,  # type: ignore[arg-type]
            problem_http_status=callback.problem_status,
            problem_time=wire.timestamp(callback.problem_time),
            create_time=wire.timestamp(callback.create_time),
            old_secrets_expire_time=_wall_timestamp(max(old), moment) if old else None,
        )


def _delivery_message(delivery: Delivery, moment: Moment) -> pb.Delivery:
    return pb.Delivery(
        id=delivery.id,
        callback_id=delivery.callback_id,
        generation_id=delivery.generation_id,
        revision=delivery.revision,
        state=delivery.state.value,  # type: ignore[arg-type]
        attempts=delivery.attempts,
        problem=delivery.problem or 0,  # type: ignore[arg-type]
        http_status=delivery.http_status,
        create_time=wire.timestamp(delivery.create_time),
        last_attempt_time=wire.timestamp(delivery.last_attempt_time),
        next_attempt_time=_wall_timestamp(delivery.next_at, moment)
        if delivery.state is DeliveryState.PENDING
        else None,
    )


def _wall_timestamp(steady: float, moment: Moment) -> Timestamp | None:
    """Convert a steady time to wall time."""
    return wire.timestamp(moment.wall + steady - moment.steady)


def _parse_filter(message: generation_service_pb2.GenerationFilter) -> Filter:
    wrong = [
        Violation(f"filter.{field.name}", "is not supported for callbacks: use labels, model_ids or states")
        for field, _ in message.ListFields()
        if field.name not in _SUPPORTED_FILTER_FIELDS
    ]
    raise_if_invalid(wrong)
    return convert.parse_filter(message)


def _position(delivery: Delivery) -> str:
    return f"{delivery.create_time!r} {delivery.generation_id} {delivery.revision}"


def _parse_position(token: str | None) -> tuple[float, str, int]:
    if token is None:
        return BEGINNING
    parts = _POSITION.fullmatch(token)
    if parts is None:
        raise page_tokens.not_issued("page_token")
    return float(parts[1]), parts[2], int(parts[3])
