package io.github.hfgateway.client;

import io.github.hfgateway.v1.FieldViolation;
import io.github.hfgateway.v1.Generation;
import java.util.List;

/**
 * The result of {@link HfGatewayClient#submit}.
 *
 * @param generation the generation, as it was when the gateway responded
 * @param idempotencyKey the key of the submission. Submitting again with this key returns the same generation
 * @param replayed whether the key had been used before, so that the call started and charged nothing
 * @param warnings fields of the input that may be wrong
 */
public record Submission(
    Generation generation, String idempotencyKey, boolean replayed, List<FieldViolation> warnings) {
  /** Returns the id of the generation. */
  public String id() {
    return generation.getId();
  }
}
