package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Callbacks: signed webhooks to the tenant's servers. See {@link AsyncHfGatewayClient#callbacks}. */
public final class AsyncCallbacks {
  private final Calls calls;

  AsyncCallbacks(Calls calls) {
    this.calls = calls;
  }

  /**
   * Creates a callback that reports the end of every generation, with a new idempotency key.
   *
   * @param url the URL of the receiver
   * @return the callback and its secret
   */
  public CompletableFuture<CreatedCallback> create(String url) {
    return create(CreateCallbackRequest.newBuilder().setUrl(url).build());
  }

  /**
   * Creates a callback: the gateway delivers later events of generations by HTTP POST. The secret that signs them is
   * returned only by this call. Retries use the same idempotency key: the one of the request, or a new UUID if it has
   * none. If the response is lost, and the secret with it, this creates another secret; but not with a key of the
   * request, because another caller may have the secret then.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public CompletableFuture<CreatedCallback> create(CreateCallbackRequest request) {
    boolean own = request.getIdempotencyKey().isEmpty();
    String key = own ? UUID.randomUUID().toString() : request.getIdempotencyKey();
    CreateCallbackRequest keyed = request.toBuilder().setIdempotencyKey(key).build();
    Function<CreateCallbackResponse, CreatedCallback> made = response ->
        new CreatedCallback(response.getCallback(), response.getSecret(), key, response.getReplayed());
    return Operation.of(key, creating -> creating
        .step(() -> calls.unary(keyed, made))
        .thenCompose(created -> own && created.replayed()
            ? creating.step(() -> withNewSecret(created))
            : CompletableFuture.completedFuture(created)));
  }

  private CompletableFuture<CreatedCallback> withNewSecret(CreatedCallback lost) {
    RotateCallbackSecretRequest request = RotateCallbackSecretRequest.newBuilder().setId(lost.id()).build();
    Function<RotateCallbackSecretResponse, CreatedCallback> made =
        rotated -> new CreatedCallback(lost.callback(), rotated.getSecret(), lost.idempotencyKey(), true);
    return calls.unary(request, made);
  }

  /**
   * Returns the callback as it is now.
   *
   * @throws GatewayException.NotFound if the callback does not exist
   */
  public CompletableFuture<Callback> get(String id) {
    return calls.unary(GetCallbackRequest.newBuilder().setId(id).build(), GetCallbackResponse::getCallback);
  }

  /** Lists all callbacks, newest first. Fetches pages on demand. */
  public Items<Callback> list() {
    return list(ListCallbacksRequest.getDefaultInstance());
  }

  /** Lists all callbacks, newest first. Fetches pages of the request's size on demand. */
  public Items<Callback> list(ListCallbacksRequest request) {
    return calls.list(request, ListCallbacksResponse::getCallbacksList);
  }

  /** Changes the fields that are set in the request, and returns the callback. */
  public CompletableFuture<Callback> update(UpdateCallbackRequest request) {
    return calls.unary(request, UpdateCallbackResponse::getCallback);
  }

  /** Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds. */
  public CompletableFuture<Void> delete(String id) {
    return calls.unary(DeleteCallbackRequest.newBuilder().setId(id).build(), deleted -> null);
  }

  /**
   * Creates a new secret. Deliveries are also signed with the earlier ones for 24 hours, until the callback's
   * {@code old_secrets_expire_time}.
   *
   * @throws GatewayException.QuotaExceeded if four secrets are active
   */
  public CompletableFuture<RotateCallbackSecretResponse> rotateSecret(String id) {
    return calls.unary(RotateCallbackSecretRequest.newBuilder().setId(id).build());
  }

  /** Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error. */
  public CompletableFuture<Delivery> test(String id) {
    return calls.unary(TestCallbackRequest.newBuilder().setId(id).build(), TestCallbackResponse::getDelivery);
  }

  /**
   * Lists the deliveries of a callback, newest first: those that are pending, and recent ones that were delivered or
   * failed. Fetches pages on demand.
   */
  public Items<Delivery> listDeliveries(String callbackId) {
    return listDeliveries(ListDeliveriesRequest.newBuilder().setCallbackId(callbackId).build());
  }

  /** Lists the deliveries that match the request, newest first. Fetches pages of its size on demand. */
  public Items<Delivery> listDeliveries(ListDeliveriesRequest request) {
    return calls.list(request, ListDeliveriesResponse::getDeliveriesList);
  }

  /** Repeats a delivery, with the same id and a new series of attempts. */
  public CompletableFuture<Delivery> redeliver(String id) {
    return calls.unary(RedeliverDeliveryRequest.newBuilder().setId(id).build(), RedeliverDeliveryResponse::getDelivery);
  }
}
