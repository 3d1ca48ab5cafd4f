// Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.Generation;

/** A generation ended without output. Only {@code generate} throws it. No call failed, so {@link #code} is null. */
@SuppressWarnings("serial")
public class GenerationFailedException extends GatewayException {
  private final Generation generation;

  GenerationFailedException(Facts facts, Generation generation) {
    super(facts);
    this.generation = generation;
    setIdempotencyKey(generation.getIdempotencyKey());
  }

  /** Returns the generation in its final state. */
  public Generation generation() {
    return generation;
  }

  @Override
  public String getMessage() {
    return super.getMessage() + " (generation " + generation.getId() + ")";
  }

  /** A generation failed before Higgsfield accepted it. It was not charged, and its key can be used again. */
  public static final class Refused extends GenerationFailedException {
    Refused(Facts facts, Generation generation) {
      super(facts, generation);
    }
  }

  /** Higgsfield's moderation refused a generation. It was not charged. */
  public static final class Moderated extends GenerationFailedException {
    Moderated(Facts facts, Generation generation) {
      super(facts, generation);
    }
  }

  /** A caller canceled a generation, or the gateway did; see the reason. It was not charged. */
  public static final class Canceled extends GenerationFailedException {
    Canceled(Facts facts, Generation generation) {
      super(facts, generation);
    }
  }

  /** The outcome of a generation cannot be determined. It may have been charged. */
  public static final class Lost extends GenerationFailedException {
    Lost(Facts facts, Generation generation) {
      super(facts, generation);
    }
  }
}
