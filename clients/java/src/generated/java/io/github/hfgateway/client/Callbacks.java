// Generated from AsyncCallbacks by tools/blocking.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.stream.Stream;

/** Callbacks: signed deliveries to the tenant's servers. See {@link HfGatewayClient#callbacks}. */
public final class Callbacks {
  final AsyncCallbacks async;

  Callbacks(AsyncCallbacks async) {
    this.async = async;
  }

  /**
   * Creates a callback that reports the end of every generation, with a new idempotency key.
   *
   * @param url the URL of the receiver
   * @return the callback and its secret
   */
  public CreatedCallback create(String url) {
    return Blocking.await(async.create(url));
  }

  /**
   * Creates a callback: the gateway delivers later events of generations by HTTP POST. The secret that signs them is
   * returned only by this call. Retries use the same idempotency key: the one of the request, or a new UUID if it has
   * none. If the response is lost, and the secret with it, this creates another secret; but not with a key of the
   * request, because another caller may have the secret then.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public CreatedCallback create(CreateCallbackRequest request) {
    return Blocking.await(async.create(request));
  }

  /**
   * Returns a callback.
   *
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   */
  public Callback get(String id) {
    return Blocking.await(async.get(id));
  }

  /** Lists the tenant's callbacks, newest first. Fetches pages on demand. */
  public Stream<Callback> list() {
    return new Watch<>(async.list()).stream();
  }

  /**
   * Lists the tenant's callbacks, newest first. Fetches pages of the size in the request on demand.
   */
  public Stream<Callback> list(ListCallbacksRequest request) {
    return new Watch<>(async.list(request)).stream();
  }

  /**
   * Changes the fields of a callback that are set in the request. A new filter applies to changes that the gateway has
   * not yet prepared for delivery.
   *
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   */
  public Callback update(UpdateCallbackRequest request) {
    return Blocking.await(async.update(request));
  }

  /**
   * Deletes a callback with its secrets and pending deliveries. Its other deliveries can no longer be read, and are
   * erased 7 days after they succeeded or failed. An attempt that is under way is not aborted. Deleting a callback that
   * does not exist succeeds.
   */
  public void delete(String id) {
    Blocking.await(async.delete(id));
  }

  /**
   * Creates a new secret. For 24 hours, deliveries are also signed with the old secrets, so that the receiver can
   * change over.
   *
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   * @throws GatewayException.QuotaExceeded if four secrets are active. The error says when one expires
   */
  public RotateCallbackSecretResponse rotateSecret(String id) {
    return Blocking.await(async.rotateSecret(id));
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
  public Delivery test(String id) {
    return Blocking.await(async.test(id));
  }

  /** Lists the deliveries of a callback, newest first. Fetches pages on demand. */
  public Stream<Delivery> listDeliveries(String callbackId) {
    return new Watch<>(async.listDeliveries(callbackId)).stream();
  }

  /**
   * Lists the deliveries of a callback, newest first. Those that were accepted or have failed are kept for 7 days.
   * Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.InvalidInput if the {@code page_token} belongs to a request with other fields
   * @throws GatewayException.NotFound if the tenant has no callback with this id
   */
  public Stream<Delivery> listDeliveries(ListDeliveriesRequest request) {
    return new Watch<>(async.listDeliveries(request)).stream();
  }

  /**
   * Delivers a delivery again, with the same webhook-id and a new series of attempts. It can arrive after later
   * revisions of its generation. A delivery that waits for its next attempt is sent at once.
   *
   * @throws GatewayException.NotFound if the tenant has no delivery with this id, or its generation was deleted
   * @throws GatewayException.QuotaExceeded if too many deliveries of the callback wait
   */
  public Delivery redeliver(String id) {
    return Blocking.await(async.redeliver(id));
  }
}
