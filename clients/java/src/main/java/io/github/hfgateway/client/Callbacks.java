package io.github.hfgateway.client;

import io.github.hfgateway.v1.Callback;
import io.github.hfgateway.v1.CallbackServiceGrpc;
import io.github.hfgateway.v1.CreateCallbackRequest;
import io.github.hfgateway.v1.CreateCallbackResponse;
import io.github.hfgateway.v1.DeleteCallbackRequest;
import io.github.hfgateway.v1.Delivery;
import io.github.hfgateway.v1.GetCallbackRequest;
import io.github.hfgateway.v1.ListCallbacksRequest;
import io.github.hfgateway.v1.ListCallbacksResponse;
import io.github.hfgateway.v1.ListDeliveriesRequest;
import io.github.hfgateway.v1.ListDeliveriesResponse;
import io.github.hfgateway.v1.RedeliverDeliveryRequest;
import io.github.hfgateway.v1.RotateCallbackSecretRequest;
import io.github.hfgateway.v1.RotateCallbackSecretResponse;
import io.github.hfgateway.v1.TestCallbackRequest;
import io.github.hfgateway.v1.UpdateCallbackRequest;
import java.time.Duration;
import java.util.UUID;
import java.util.stream.Stream;

/** Callbacks: signed webhooks to the tenant's servers. See {@link HfGatewayClient#callbacks}. */
public final class Callbacks {
  private final Calls calls;
  private final Duration timeout;

  Callbacks(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /**
   * Creates a callback that reports the end of every generation, with a new idempotency key.
   *
   * @param url the URL of the receiver
   * @return the callback and its secret
   */
  public CreatedCallback create(String url) {
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
  public CreatedCallback create(CreateCallbackRequest request) {
    boolean own = request.getIdempotencyKey().isEmpty();
    String key = own ? UUID.randomUUID().toString() : request.getIdempotencyKey();
    CreateCallbackRequest keyed = request.toBuilder().setIdempotencyKey(key).build();
    try {
      CreateCallbackResponse response =
          calls.unary(CallbackServiceGrpc.getCreateCallbackMethod(), keyed, timeout);
      Callback callback = response.getCallback();
      boolean lost = response.getReplayed() && own;
      String secret = lost ? rotateSecret(callback.getId()).getSecret() : response.getSecret();
      return new CreatedCallback(callback, secret, key, response.getReplayed());
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(key);
    }
  }

  /**
   * Returns the callback as it is now.
   *
   * @throws GatewayException.NotFound if the callback does not exist
   */
  public Callback get(String id) {
    GetCallbackRequest request = GetCallbackRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getGetCallbackMethod(), request, timeout).getCallback();
  }

  /** Lists all callbacks, newest first. Fetches pages on demand. */
  public Stream<Callback> list() {
    return list(ListCallbacksRequest.getDefaultInstance());
  }

  /** Lists all callbacks, newest first. Fetches pages of the request's size on demand. */
  public Stream<Callback> list(ListCallbacksRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CallbackServiceGrpc.getListCallbacksMethod(),
                request.toBuilder().setPageToken(token).build(),
                timeout),
        ListCallbacksResponse::getCallbacksList,
        ListCallbacksResponse::getNextPageToken);
  }

  /** Changes the fields that are set in the request, and returns the callback. */
  public Callback update(UpdateCallbackRequest request) {
    return calls.unary(CallbackServiceGrpc.getUpdateCallbackMethod(), request, timeout).getCallback();
  }

  /** Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds. */
  public void delete(String id) {
    DeleteCallbackRequest request = DeleteCallbackRequest.newBuilder().setId(id).build();
    calls.unary(CallbackServiceGrpc.getDeleteCallbackMethod(), request, timeout);
  }

  /**
   * Creates a new secret. Deliveries are also signed with the earlier ones for 24 hours, until the callback's
   * {@code old_secrets_expire_time}.
   *
   * @throws GatewayException.QuotaExceeded if four secrets are active
   */
  public RotateCallbackSecretResponse rotateSecret(String id) {
    RotateCallbackSecretRequest request = RotateCallbackSecretRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getRotateCallbackSecretMethod(), request, timeout);
  }

  /** Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error. */
  public Delivery test(String id) {
    TestCallbackRequest request = TestCallbackRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getTestCallbackMethod(), request, timeout).getDelivery();
  }

  /**
   * Lists the deliveries of a callback, newest first: those that are pending, and recent ones that were delivered or
   * failed. Fetches pages on demand.
   */
  public Stream<Delivery> listDeliveries(String callbackId) {
    return listDeliveries(ListDeliveriesRequest.newBuilder().setCallbackId(callbackId).build());
  }

  /** Lists the deliveries that match the request, newest first. Fetches pages of its size on demand. */
  public Stream<Delivery> listDeliveries(ListDeliveriesRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CallbackServiceGrpc.getListDeliveriesMethod(),
                request.toBuilder().setPageToken(token).build(),
                timeout),
        ListDeliveriesResponse::getDeliveriesList,
        ListDeliveriesResponse::getNextPageToken);
  }

  /** Repeats a delivery, with the same id and a new series of attempts. */
  public Delivery redeliver(String id) {
    RedeliverDeliveryRequest request = RedeliverDeliveryRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getRedeliverDeliveryMethod(), request, timeout).getDelivery();
  }
}
