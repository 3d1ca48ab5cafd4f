"""Callbacks: signed deliveries that report generations to your servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping

from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway.v1.callback_service_pb2 import Callback, Delivery
from hfgateway_client._async.calls import Calls
from hfgateway_client.errors import GatewayError, as_cause, attach_key
from hfgateway_client.requests import StateName, generation_filter, key_or_new
from hfgateway_client.submission import CreatedCallback


class CallbackMethods:
    """The methods for callbacks. Receivers verify deliveries with `hfgateway_client.verify_webhook`."""

    _calls: Calls

    async def create_callback(
        self,
        url: str = "",
        *,
        every_change: bool = False,
        states: Iterable[StateName] = (),
        model_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedCallback:
        """Create a callback: from now on ``url`` gets a delivery for each matching generation that ends.

        At most one callback is created: retries use the same idempotency key. If the response was lost, the secret is
        lost too, and the client gets a new one with `rotate_callback_secret`. If you pass a key, it cannot know whose
        response was lost: the ``secret`` is then empty, and you decide. If the call fails, the error has the key in
        ``idempotency_key``.

        Args:
            url: The https URL of the receiver, at port 443 or 8443 unless the operator allows others, without user
                name, password and fragment. At most 2,048 characters. http and other ports are allowed only in networks
                that the operator of the gateway has named. Default: the ``callback_url`` of each submission.
            every_change: Whether to report every change of a generation, and not only its end.
            states: Report only changes to these states, such as "COMPLETED". Default: all.
            model_ids: Report only generations of these models. Default: all.
            labels: Report only generations that have all of these labels. Default: all.
            idempotency_key: 1 to 255 visible ASCII characters; one key for each callback. Default: a new UUID.

        Returns:
            The callback and the secret with which the receiver verifies deliveries.

        Raises:
            KeyReused: The key belongs to a callback with other fields.
            QuotaExceeded: The tenant has 20 callbacks.
        """
        request = pb.CreateCallbackRequest(
            url=url,
            filter=generation_filter(states=states, model_ids=model_ids, labels=labels),
            every_change=every_change,
            idempotency_key=key_or_new(idempotency_key),
        )
        with attach_key(request.idempotency_key):
            response = await self._calls.unary(request)
            if response.replayed and idempotency_key is None:  # only this call knows the key
                with as_cause(GatewayError):
                    response.secret = await self.rotate_callback_secret(response.callback.id)
        return CreatedCallback(response.callback, response.secret, request.idempotency_key, response.replayed)

    async def get_callback(self, callback_id: str) -> Callback:
        """Return a callback. Its ``problem`` says why the receiver does not accept deliveries."""
        return (await self._calls.unary(pb.GetCallbackRequest(id=callback_id))).callback

    def list_callbacks(self, *, page_size: int = 0) -> AsyncGenerator[Callback, None]:
        """Iterate over the tenant's callbacks, newest first."""
        return self._calls.pages(pb.ListCallbacksRequest(page_size=page_size), "callbacks")

    async def update_callback(
        self,
        callback_id: str,
        *,
        paused: bool | None = None,
        every_change: bool | None = None,
        states: Iterable[StateName] | None = None,
        model_ids: Iterable[str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Callback:
        """Change the fields of a callback that are passed, and return it.

        If ``states``, ``model_ids`` or ``labels`` is passed, the whole filter is replaced: those that are not passed
        become empty. Pass only ``labels={}`` to remove the filter.

        Args:
            paused: True pauses the callback. False resumes it, and the gateway delivers the changes that the callback
                missed, if it still has them.
            every_change: Whether to report every change of a generation, and not only its end.
            states: Report only changes to these states.
            model_ids: Report only generations of these models.
            labels: Report only generations that have all of these labels.
        """
        given = states is not None or model_ids is not None or labels is not None
        filter = generation_filter(states=states or (), model_ids=model_ids or (), labels=labels) if given else None
        request = pb.UpdateCallbackRequest(id=callback_id, paused=paused, every_change=every_change, filter=filter)
        return (await self._calls.unary(request)).callback

    async def delete_callback(self, callback_id: str) -> None:
        """Delete a callback with its secrets and pending deliveries; the others can no longer be read.

        Deleting a callback that does not exist succeeds.
        """
        await self._calls.unary(pb.DeleteCallbackRequest(id=callback_id))

    async def rotate_callback_secret(self, callback_id: str) -> str:
        """Create a new secret for a callback and return it.

        For 24 hours, deliveries are also signed with the old secrets, so that the receiver can change over.

        Raises:
            QuotaExceeded: Four secrets are active. The error says when one expires.
        """
        response = await self._calls.unary(pb.RotateCallbackSecretRequest(id=callback_id))
        return str(response.secret)

    async def test_callback(self, callback_id: str) -> Delivery:
        """Send a test delivery, and return the result. It is sent once, also to a paused callback.

        Returns:
            The delivery. Its ``state`` is DELIVERED or FAILED; ``problem`` and ``http_status`` say why it failed.
        """
        return (await self._calls.unary(pb.TestCallbackRequest(id=callback_id))).delivery

    def list_deliveries(
        self, callback_id: str, *, generation_id: str = "", failed_only: bool = False, page_size: int = 0
    ) -> AsyncGenerator[Delivery, None]:
        """Iterate over the deliveries of a callback, newest first.

        Deliveries that were accepted or abandoned are kept for 7 days.

        Args:
            generation_id: Only the deliveries for this generation. Default: for all.
            failed_only: Only deliveries that were abandoned, or whose last attempt failed.
        """
        return self._calls.pages(
            pb.ListDeliveriesRequest(
                callback_id=callback_id, generation_id=generation_id, failed_only=failed_only, page_size=page_size
            ),
            "deliveries",
        )

    async def redeliver(self, delivery_id: str) -> Delivery:
        """Deliver a delivery again, with the same ``webhook-id`` and a new series of attempts.

        It can arrive after later revisions of its generation. A delivery that waits for its next attempt is sent at
        once.

        Raises:
            NotFound: The tenant has no delivery with this id, or its generation was deleted.
            QuotaExceeded: Too many deliveries of the callback are waiting.
        """
        return (await self._calls.unary(pb.RedeliverDeliveryRequest(id=delivery_id))).delivery
