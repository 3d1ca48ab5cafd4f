package io.github.hfgateway.client;

import io.github.hfgateway.v1.Forecast;
import io.github.hfgateway.v1.Generation;
import java.util.List;
import java.util.Map;

/** An event of a watch of many generations. */
public sealed interface WatchEvent {
  /**
   * Returns the token that resumes a later watch with the same filter after this event. Some preceding events may be
   * repeated, but none is skipped. "" until the gateway has sent a token.
   */
  String resumeToken();

  /**
   * A generation at a new revision. A watch without a resume token begins with the current state of each generation.
   */
  record Changed(String resumeToken, Generation generation) implements WatchEvent {}

  /**
   * All earlier changes have been reported; new changes follow. Occurs once, and once more after each {@link Reset}.
   */
  record CaughtUp(String resumeToken) implements WatchEvent {}

  /**
   * Changes are missing, including those of generations that have ended. Discard what you have, or read it again: a
   * snapshot follows.
   */
  record Reset(String resumeToken) implements WatchEvent {}

  /** The ids in the filter that do not exist. */
  record Missing(String resumeToken, List<String> ids) implements WatchEvent {}

  /** Newer forecasts by generation id, for generations that are otherwise unchanged. */
  record Forecasts(String resumeToken, Map<String, Forecast> forecasts) implements WatchEvent {}
}
