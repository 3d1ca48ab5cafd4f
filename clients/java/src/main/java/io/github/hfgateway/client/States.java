package io.github.hfgateway.client;

import io.github.hfgateway.v1.CharacterState;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationState;
import io.github.hfgateway.v1.SoulCharacter;

/** The names of states. */
public final class States {
  private States() {}

  /**
   * Returns the name of a generation's state, such as "COMPLETED", or "STATE_17" for a state that is newer than this
   * client.
   */
  public static String name(Generation generation) {
    return generation.getState() == GenerationState.UNRECOGNIZED
        ? "STATE_" + generation.getStateValue()
        : generation.getState().name().substring("GENERATION_STATE_".length());
  }

  /**
   * Returns the name of a character's state, such as "COMPLETED", or "STATE_17" for a state that is newer than this
   * client.
   */
  public static String name(SoulCharacter character) {
    return character.getState() == CharacterState.UNRECOGNIZED
        ? "STATE_" + character.getStateValue()
        : character.getState().name().substring("CHARACTER_STATE_".length());
  }
}
