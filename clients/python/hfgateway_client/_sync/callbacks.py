# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Webhooks to servers of one's own: what a client can do about them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping

from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway.v1.callback_service_pb2 import Callback, Delivery
from hfgateway_client import requests
from hfgateway_client._sync.calls import Calls
from hfgateway_client.errors import keeping_key
from hfgateway_client.requests import StateName
from hfgateway_client.submission import NewCallback


class CallbackMethods:
    """The part of a client that is about callbacks; receivers use `hfgateway_client.verify_webhook`."""

    _calls: Calls

    def create_callback(
        self,
        url: str,
        *,
        every_change: bool = False,
        states: Iterable[StateName] = (),
        model_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> NewCallback:
        """Have ends, or every change, of all that matches told to ``url``, from now on.

        Without an ``idempotency_key`` a UUID is made; an error holds it too, so that the same call can be made again.
        Where an answer got lost the repeat's ``secret`` is empty, and ``rotate_callback_secret`` gives another.
        """
        request = pb.CreateCallbackRequest(
            url=url,
            filter=requests.callback_filter(states=states, model_ids=model_ids, labels=labels),
            every_change=every_change,
            idempotency_key=requests.key(idempotency_key),
        )
        with keeping_key(request.idempotency_key):
            response = self._calls.unary(self._calls.callbacks.CreateCallback, request)
        return NewCallback(response.callback, response.secret, request.idempotency_key, response.replayed)

    def get_callback(self, callback_id: str) -> Callback:
        """The callback, and what is wrong with it."""
        response = self._calls.unary(self._calls.callbacks.GetCallback, pb.GetCallbackRequest(id=callback_id))
        callback: Callback = response.callback
        return callback

    def list_callbacks(self, *, page_size: int = 0) -> Generator[Callback, None, None]:
        """All, newest first; pages are fetched as they are needed."""
        request = pb.ListCallbacksRequest(page_size=page_size)
        return self._calls.pages(self._calls.callbacks.ListCallbacks, request, "callbacks")

    def update_callback(
        self,
        callback_id: str,
        *,
        paused: bool | None = None,
        every_change: bool | None = None,
        states: Iterable[StateName] | None = None,
        model_ids: Iterable[str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Callback:
        """Change what is given. Any of the last three replaces the whole filter; ``labels={}`` alone empties it."""
        request = pb.UpdateCallbackRequest(id=callback_id)
        if paused is not None:
            request.paused = paused
        if every_change is not None:
            request.every_change = every_change
        if states is not None or model_ids is not None or labels is not None:
            filter = requests.callback_filter(states=states or (), model_ids=model_ids or (), labels=labels)
            request.filter.CopyFrom(filter)
        response = self._calls.unary(self._calls.callbacks.UpdateCallback, request)
        callback: Callback = response.callback
        return callback

    def delete_callback(self, callback_id: str) -> None:
        """Have nothing told there any more."""
        self._calls.unary(self._calls.callbacks.DeleteCallback, pb.DeleteCallbackRequest(id=callback_id))

    def rotate_callback_secret(self, callback_id: str) -> str:
        """A new secret; the old ones sign too for 24 h more."""
        response = self._calls.unary(
            self._calls.callbacks.RotateCallbackSecret, pb.RotateCallbackSecretRequest(id=callback_id)
        )
        return str(response.secret)

    def test_callback(self, callback_id: str) -> Delivery:
        """Send a test now, and see what became of it: its ``state`` is DELIVERED or FAILED."""
        response = self._calls.unary(self._calls.callbacks.TestCallback, pb.TestCallbackRequest(id=callback_id))
        delivery: Delivery = response.delivery
        return delivery

    def list_deliveries(
        self, callback_id: str, *, generation_id: str = "", failed_only: bool = False, page_size: int = 0
    ) -> Generator[Delivery, None, None]:
        """What waits, and what was delivered or given up in the last days, newest first."""
        request = pb.ListDeliveriesRequest(
            callback_id=callback_id, generation_id=generation_id, failed_only=failed_only, page_size=page_size
        )
        return self._calls.pages(self._calls.callbacks.ListDeliveries, request, "deliveries")

    def redeliver(self, delivery_id: str) -> Delivery:
        """Have it delivered again, under the same ``webhook-id``."""
        response = self._calls.unary(
            self._calls.callbacks.RedeliverDelivery, pb.RedeliverDeliveryRequest(id=delivery_id)
        )
        delivery: Delivery = response.delivery
        return delivery
