package io.github.hfgateway.client;

import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.SoulCharacter;

/** The names of states. */
public final class States {
  private States() {}

  /**
   * Returns the name of a generation's state, such as "COMPLETED", or "STATE_17" for a state that is newer than this
   * client.
   */
  public static String name(Generation generation) {
    return name(generation.getState(), "GENERATION_STATE_", generation.getStateValue());
  }

  /**
   * Returns the name of a character's state, such as "COMPLETED", or "STATE_17" for a state that is newer than this
   * client.
   */
  public static String name(SoulCharacter character) {
    return name(character.getState(), "CHARACTER_STATE_", character.getStateValue());
  }

  private static String name(Enum<?> state, String prefix, int number) {
    return state.name().startsWith(prefix) ? state.name().substring(prefix.length()) : "STATE_" + number;
  }
}
