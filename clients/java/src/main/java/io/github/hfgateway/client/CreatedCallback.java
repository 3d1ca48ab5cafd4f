package io.github.hfgateway.client;

import io.github.hfgateway.v1.Callback;

/**
 * The result of {@link Callbacks#create}.
 *
 * @param callback the callback, as it was when the gateway responded
 * @param secret the key with which the gateway signs deliveries. It is returned only once: it is "" if an earlier call
 *     with the request's idempotency key created the callback. Call {@link Callbacks#rotateSecret} for a new one then
 * @param idempotencyKey the key of the creation. Creating again with this key returns the same callback
 * @param replayed whether the key had been used before, so that the call created nothing
 */
public record CreatedCallback(Callback callback, String secret, String idempotencyKey, boolean replayed) {
  /** Returns the id of the callback. */
  public String id() {
    return callback.getId();
  }

  CreatedCallback with(String secret) {
    return new CreatedCallback(callback, secret, idempotencyKey, replayed);
  }

  /** Returns all fields but the secret. */
  @Override
  public String toString() {
    return "CreatedCallback[id=" + id() + ", idempotencyKey=" + idempotencyKey + ", replayed=" + replayed + "]";
  }
}
