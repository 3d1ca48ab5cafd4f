package io.github.hfgateway.client;

import io.github.hfgateway.v1.CharacterState;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationState;
import io.github.hfgateway.v1.SoulCharacter;

/** Names of states, as people write them. */
public final class States {
  private States() {}

  /** "QUEUED", "COMPLETED" and so on; "STATE_17" for one that is newer than these stubs. */
  public static String name(Generation generation) {
    return generation.getState() == GenerationState.UNRECOGNIZED
        ? "STATE_" + generation.getStateValue()
        : generation.getState().name().substring("GENERATION_STATE_".length());
  }

  /** "IN_PROGRESS", "COMPLETED" and so on; "STATE_17" for one that is newer than these stubs. */
  public static String name(SoulCharacter character) {
    return character.getState() == CharacterState.UNRECOGNIZED
        ? "STATE_" + character.getStateValue()
        : character.getState().name().substring("CHARACTER_STATE_".length());
  }
}
