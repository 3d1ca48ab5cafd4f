// Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.SoulCharacter;

/** The training of a character failed. Only {@link Characters#train} throws it. No call failed, so {@link #code} is null. */
@SuppressWarnings("serial")
public final class TrainingFailedException extends GatewayException {
  private final SoulCharacter character;

  TrainingFailedException(Facts facts, SoulCharacter character) {
    super(facts);
    this.character = character;
  }

  /** Returns the character in its final state. */
  public SoulCharacter character() {
    return character;
  }

  @Override
  public String getMessage() {
    return super.getMessage() + " (character " + character.getId() + ")";
  }
}
