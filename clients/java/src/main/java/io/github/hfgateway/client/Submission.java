package io.github.hfgateway.client;

import io.github.hfgateway.v1.Generation;

/**
 * The result of {@link HfGatewayClient#submit}.
 *
 * @param generation the generation, as it was when the gateway responded
 * @param idempotencyKey the key of the submission. Submitting again with this key returns the same generation
 * @param replayed whether the key had been used before, so that the call started and charged nothing
 */
public record Submission(Generation generation, String idempotencyKey, boolean replayed) {
  /** Returns the id of the generation. */
  public String id() {
    return generation.getId();
  }
}
