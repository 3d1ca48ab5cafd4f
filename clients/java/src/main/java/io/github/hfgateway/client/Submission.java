package io.github.hfgateway.client;

import io.github.hfgateway.v1.Generation;

/**
 * The generation that now exists for a key.
 *
 * @param generation as it was when the gateway answered
 * @param idempotencyKey submit with it again, and this generation comes back
 * @param replayed the key was known: nothing new was started, nothing is charged twice
 */
public record Submission(Generation generation, String idempotencyKey, boolean replayed) {
  /** The generation's. */
  public String id() {
    return generation.getId();
  }
}
