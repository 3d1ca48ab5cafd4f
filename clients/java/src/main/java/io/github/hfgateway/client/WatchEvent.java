package io.github.hfgateway.client;

import io.github.hfgateway.v1.Forecast;
import io.github.hfgateway.v1.Generation;
import java.util.List;
import java.util.Map;

/** What a watch of many tells: one record for each kind of news. */
public sealed interface WatchEvent {
  /**
   * Hand it to a later watch with the same filter, to go on from here. It may tell once more what was told just before it,
   * and leaves nothing out. "" until there is one.
   */
  String resumeToken();

  /** A generation as it is now: at first its present state, then every change. */
  record Changed(String resumeToken, Generation generation) implements WatchEvent {}

  /** All that had happened before has been told; what follows is news. Once, and once more after each {@link Reset}. */
  record CaughtUp(String resumeToken) implements WatchEvent {}

  /** Changes are missing: forget what you hold (or read it again). Everything is told anew from here. */
  record Reset(String resumeToken) implements WatchEvent {}

  /** Of the ids asked for, those that do not exist. */
  record Missing(String resumeToken, List<String> ids) implements WatchEvent {}

  /** Newer forecasts, by generation id, of generations that have not changed otherwise. */
  record Forecasts(String resumeToken, Map<String, Forecast> forecasts) implements WatchEvent {}
}
