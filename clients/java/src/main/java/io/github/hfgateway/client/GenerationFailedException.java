package io.github.hfgateway.client;

import io.github.hfgateway.v1.Generation;

/**
 * The generation ended without output; {@link #generation} holds all about it, {@link #reason} says why. No call failed, so
 * {@link #code} is null. Only {@code generate} throws it.
 */
@SuppressWarnings("serial")
public class GenerationFailedException extends GatewayException {
  private final Generation generation;

  GenerationFailedException(Told told, Generation generation) {
    super(told);
    this.generation = generation;
    withIdempotencyKey(generation.getIdempotencyKey());
  }

  /** What ended, as it ended. */
  public Generation generation() {
    return generation;
  }

  /** Higgsfield never accepted it: nothing was charged, and its key may be used again. */
  public static final class Refused extends GenerationFailedException {
    Refused(Told told, Generation generation) {
      super(told, generation);
    }
  }

  /** Refused by Higgsfield's moderation; not charged. */
  public static final class Moderated extends GenerationFailedException {
    Moderated(Told told, Generation generation) {
      super(told, generation);
    }
  }

  /** Canceled, by a caller or (see the reason) by the gateway; not charged. */
  public static final class Canceled extends GenerationFailedException {
    Canceled(Told told, Generation generation) {
      super(told, generation);
    }
  }

  /** It cannot be told what became of it. It may have been charged. */
  public static final class Lost extends GenerationFailedException {
    Lost(Told told, Generation generation) {
      super(told, generation);
    }
  }
}
