package io.github.hfgateway.client;

import io.github.hfgateway.v1.SoulCharacter;

/**
 * The result of {@link Characters#create}.
 *
 * @param character the character, as it was when the gateway responded
 * @param idempotencyKey the key of the creation. Creating again with this key returns the same character
 * @param replayed whether the key had been used before, so that the call started and charged nothing
 */
public record CreatedCharacter(SoulCharacter character, String idempotencyKey, boolean replayed) {
  /** Returns the id of the character. */
  public String id() {
    return character.getId();
  }
}
