package io.github.hfgateway.client;

import io.github.hfgateway.v1.Callback;

/**
 * The callback that now exists for a key.
 *
 * @param callback as it was when the gateway answered
 * @param secret what its deliveries are signed with. It is told once: "" where {@code replayed}, also after an answer that was
 *     lost on its way here; {@link Callbacks#rotateSecret} makes another then
 * @param idempotencyKey create with it again, and this callback comes back
 * @param replayed the key was known: nothing new was created
 */
public record CreatedCallback(Callback callback, String secret, String idempotencyKey, boolean replayed) {
  /** The callback's. */
  public String id() {
    return callback.getId();
  }

  /** All but the secret. */
  @Override
  public String toString() {
    return "CreatedCallback[id=" + id() + ", idempotencyKey=" + idempotencyKey + ", replayed=" + replayed + "]";
  }
}
