// Generated from AsyncCallbacks by tools/blocking.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.stream.Stream;

/** Callbacks: signed webhooks to the tenant's servers. See {@link HfGatewayClient#callbacks}. */
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
   * Returns the callback as it is now.
   *
   * @throws GatewayException.NotFound if the callback does not exist
   */
  public Callback get(String id) {
    return Blocking.await(async.get(id));
  }

  /** Lists all callbacks, newest first. Fetches pages on demand. */
  public Stream<Callback> list() {
    return new Watch<>(async.list()).stream();
  }

  /** Lists all callbacks, newest first. Fetches pages of the request's size on demand. */
  public Stream<Callback> list(ListCallbacksRequest request) {
    return new Watch<>(async.list(request)).stream();
  }

  /** Changes the fields that are set in the request, and returns the callback. */
  public Callback update(UpdateCallbackRequest request) {
    return Blocking.await(async.update(request));
  }

  /** Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds. */
  public void delete(String id) {
    Blocking.await(async.delete(id));
  }

  /**
   * Creates a new secret. Deliveries are also signed with the earlier ones for 24 hours, until the callback's
   * {@code old_secrets_expire_time}.
   *
   * @throws GatewayException.QuotaExceeded if four secrets are active
   */
  public RotateCallbackSecretResponse rotateSecret(String id) {
    return Blocking.await(async.rotateSecret(id));
  }

  /** Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error. */
  public Delivery test(String id) {
    return Blocking.await(async.test(id));
  }

  /**
   * Lists the deliveries of a callback, newest first: those that are pending, and recent ones that were delivered or
   * failed. Fetches pages on demand.
   */
  public Stream<Delivery> listDeliveries(String callbackId) {
    return new Watch<>(async.listDeliveries(callbackId)).stream();
  }

  /** Lists the deliveries that match the request, newest first. Fetches pages of its size on demand. */
  public Stream<Delivery> listDeliveries(ListDeliveriesRequest request) {
    return new Watch<>(async.listDeliveries(request)).stream();
  }

  /** Repeats a delivery, with the same id and a new series of attempts. */
  public Delivery redeliver(String id) {
    return Blocking.await(async.redeliver(id));
  }
}
