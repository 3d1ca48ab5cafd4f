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

/** Callbacks: signed webhooks to servers of the tenant's own. */
public final class Callbacks {
  private final Calls calls;
  private final Duration timeout;

  Callbacks(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** Has the ends of all generations from now on delivered to a URL, under a fresh key. */
  public CreatedCallback create(String url) {
    return create(CreateCallbackRequest.newBuilder().setUrl(url).build());
  }

  /**
   * Has the gateway deliver what changes from now on, signed with a secret that is told only here. Repeats carry the same
   * key: the request's, or a fresh one where it has none. An error holds the key too.
   */
  public CreatedCallback create(CreateCallbackRequest request) {
    String key = request.getIdempotencyKey().isEmpty() ? UUID.randomUUID().toString() : request.getIdempotencyKey();
    CreateCallbackRequest keyed = request.toBuilder().setIdempotencyKey(key).build();
    try {
      CreateCallbackResponse response =
          calls.unary(CallbackServiceGrpc.getCreateCallbackMethod(), keyed, timeout);
      return new CreatedCallback(response.getCallback(), response.getSecret(), key, response.getReplayed());
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(key);
    }
  }

  /** The callback as it is now. */
  public Callback get(String id) {
    GetCallbackRequest request = GetCallbackRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getGetCallbackMethod(), request, timeout).getCallback();
  }

  /** All callbacks, newest first; pages are fetched as they are needed. */
  public Stream<Callback> list() {
    return list(ListCallbacksRequest.getDefaultInstance());
  }

  /** All callbacks, newest first; pages of the request's size are fetched as they are needed. */
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

  /** Changes what is set in the request, and nothing else. */
  public Callback update(UpdateCallbackRequest request) {
    return calls.unary(CallbackServiceGrpc.getUpdateCallbackMethod(), request, timeout).getCallback();
  }

  /** Removes it with its deliveries and secrets; one that does not exist is no error. */
  public void delete(String id) {
    DeleteCallbackRequest request = DeleteCallbackRequest.newBuilder().setId(id).build();
    calls.unary(CallbackServiceGrpc.getDeleteCallbackMethod(), request, timeout);
  }

  /** A new secret; the ones before sign too until the callback's {@code old_secrets_expire_time}. */
  public RotateCallbackSecretResponse rotateSecret(String id) {
    RotateCallbackSecretRequest request = RotateCallbackSecretRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getRotateCallbackSecretMethod(), request, timeout);
  }

  /** Sends one delivery of type "callback.test" now, and tells what became of it: that it failed is no error. */
  public Delivery test(String id) {
    TestCallbackRequest request = TestCallbackRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getTestCallbackMethod(), request, timeout).getDelivery();
  }

  /** The deliveries of a callback, newest first: what waits, and what was delivered or given up of late. */
  public Stream<Delivery> listDeliveries(String callbackId) {
    return listDeliveries(ListDeliveriesRequest.newBuilder().setCallbackId(callbackId).build());
  }

  /** Those that match the request, newest first; pages of its size are fetched as they are needed. */
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

  /** Has a delivery made again from now on, under the same id. */
  public Delivery redeliver(String id) {
    RedeliverDeliveryRequest request = RedeliverDeliveryRequest.newBuilder().setId(id).build();
    return calls.unary(CallbackServiceGrpc.getRedeliverDeliveryMethod(), request, timeout).getDelivery();
  }
}
