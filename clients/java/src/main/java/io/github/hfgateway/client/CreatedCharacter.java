package io.github.hfgateway.client;

import io.github.hfgateway.v1.SoulCharacter;

/**
 * The character that now exists for a key.
 *
 * @param character as it was when the gateway answered
 * @param idempotencyKey create with it again, and this character comes back
 * @param replayed the key was known: nothing new was started, nothing is charged twice
 */
public record CreatedCharacter(SoulCharacter character, String idempotencyKey, boolean replayed) {
  /** The character's. */
  public String id() {
    return character.getId();
  }
}
