package io.github.hfgateway.client;

import io.github.hfgateway.v1.SoulCharacter;

/**
 * The training of a character failed; {@link #character} holds all about it, {@link #reason} says why. No call failed, so
 * {@link #code} is null. Only {@link Characters#train} throws it.
 */
@SuppressWarnings("serial")
public final class TrainingFailedException extends GatewayException {
  private final SoulCharacter character;

  TrainingFailedException(Told told, SoulCharacter character) {
    super(told);
    this.character = character;
  }

  /** What was trained, as it ended. */
  public SoulCharacter character() {
    return character;
  }
}
