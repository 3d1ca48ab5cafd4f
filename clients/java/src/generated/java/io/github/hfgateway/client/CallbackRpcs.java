// Generated from the protos by tools/java_rpcs.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.concurrent.CompletableFuture;

/** Methods that make one call, or list. */
abstract class CallbackRpcs {
  final Calls calls;

  CallbackRpcs(Calls calls) {
    this.calls = calls;
  }

  /**
   * Returns a callback.
   *
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   */
  public CompletableFuture<Callback> get(String id) {
    return calls.unary(GetCallbackRequest.newBuilder().setId(id).build(), GetCallbackResponse::getCallback);
  }

  /** Lists the tenant's callbacks, newest first. Fetches pages on demand. */
  public Items<Callback> list() {
    return list(ListCallbacksRequest.getDefaultInstance());
  }

  /**
   * Lists the tenant's callbacks, newest first. Fetches pages of the size in the request on demand.
   */
  public Items<Callback> list(ListCallbacksRequest request) {
    return calls.list(request, ListCallbacksResponse::getCallbacksList);
  }

  /**
   * Changes the fields of a callback that are set in the request. A new filter applies to changes that the gateway has
   * not yet prepared for delivery.
   *
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   */
  public CompletableFuture<Callback> update(UpdateCallbackRequest request) {
    return calls.unary(request, UpdateCallbackResponse::getCallback);
  }

  /**
   * Deletes a callback with its secrets and pending deliveries. Its other deliveries can no longer be read, and are
   * erased 7 days after they succeeded or failed. An attempt that is under way is not aborted. Deleting a callback that
   * does not exist succeeds.
   */
  public CompletableFuture<Void> delete(String id) {
    return calls.unary(DeleteCallbackRequest.newBuilder().setId(id).build(), response -> null);
  }

  /**
   * Creates a new secret. For 24 hours, deliveries are also signed with the old secrets, so that the receiver can
   * change over.
   *
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   * @throws GatewayException.QuotaExceeded if four secrets are active. The error says when one expires
   */
  public CompletableFuture<RotateCallbackSecretResponse> rotateSecret(String id) {
    return calls.unary(RotateCallbackSecretRequest.newBuilder().setId(id).build());
  }

  /**
   * Sends one delivery of the type "callback.test" with an empty Generation, and returns the result. The gateway
   * neither retries nor stores it, and sends it to a paused callback as well. A failed delivery is not an error of the
   * call.
   *
   * @throws GatewayException.InvalidInput if the callback has no URL
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   * @throws GatewayException.GatewayOverloaded if too many tests are under way
   */
  public CompletableFuture<Delivery> test(String id) {
    return calls.unary(TestCallbackRequest.newBuilder().setId(id).build(), TestCallbackResponse::getDelivery);
  }

  /** Lists the deliveries of a callback, newest first. Fetches pages on demand. */
  public Items<Delivery> listDeliveries(String callbackId) {
    return listDeliveries(ListDeliveriesRequest.newBuilder().setCallbackId(callbackId).build());
  }

  /**
   * Lists the deliveries of a callback, newest first. Those that were accepted or have failed are kept for 7 days.
   * Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.InvalidInput if the {@code page_token} belongs to a request with other fields
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   */
  public Items<Delivery> listDeliveries(ListDeliveriesRequest request) {
    return calls.list(request, ListDeliveriesResponse::getDeliveriesList);
  }

  /**
   * Delivers a delivery again, with the same webhook-id and a new series of attempts. It can arrive after later
   * revisions of its generation. A delivery that waits for its next attempt is sent at once.
   *
   * @throws GatewayException.NotFound if the tenant has no delivery with this id, or its generation was deleted
   * @throws GatewayException.QuotaExceeded if too many deliveries of the callback wait
   */
  public CompletableFuture<Delivery> redeliver(String id) {
    return calls.unary(
        RedeliverDeliveryRequest.newBuilder().setId(id).build(), RedeliverDeliveryResponse::getDelivery);
  }
}
