package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Callbacks: signed deliveries to the tenant's servers. See {@link AsyncHfGatewayClient#callbacks}. */
public final class AsyncCallbacks extends CallbackRpcs {
  AsyncCallbacks(Calls calls) {
    super(calls);
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
            ? creating.step(() -> rotateSecret(created.id())).exceptionally(Calls::known)
                .thenApply(rotated -> created.with(rotated.getSecret()))
            : CompletableFuture.completedFuture(created)));
  }
}
