package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.List;

/** The exchanges of watches. */
final class Watches {
  private Watches() {}

  /**
   * Every change of one generation, exactly once and in order, until it has ended. Forecasts belong to {@code known}, the
   * generation at the revision of the request.
   */
  static Exchange<WatchGenerationRequest, WatchGenerationResponse, Generation> one(
      WatchGenerationRequest first, Generation known) {
    // If the given revision is the last one, the gateway ends the stream without a message.
    boolean mayBeLast = known.getRevision() == 0 && first.getAfterRevision() > 0;
    return new Exchange<>(first, known, mayBeLast, (watch, message) -> {
      watch.mayEnd = false;
      Generation generation = message.getGeneration();
      if (generation.getRevision() > watch.request.getAfterRevision()) {
        watch.request = first.toBuilder().setAfterRevision(generation.getRevision()).build();
        watch.done = generation.getDone();
        watch.last = generation;
      } else if (first.hasForecastInterval() && message.hasForecast() && watch.last.getRevision() > 0) {
        watch.last = watch.last.toBuilder().setForecast(message.getForecast()).build();
      } else {
        return List.of();
      }
      return List.of(watch.last);
    });
  }

  /** The events of all generations that match a filter. */
  static Exchange<WatchGenerationsRequest, WatchGenerationsResponse, WatchEvent> many(WatchGenerationsRequest first) {
    Cursor cursor = new Cursor(first.getResumeToken());
    return new Exchange<>(first, null, first.getFilter().getIdsCount() > 0, (watch, message) -> {
      List<WatchEvent> events = cursor.received(message);
      watch.request = first.toBuilder().setResumeToken(cursor.token).build();
      return events;
    });
  }

  /** Every change of the list of models after a revision. */
  static Exchange<WatchModelsRequest, WatchModelsResponse, WatchModelsResponse> models(WatchModelsRequest first) {
    return new Exchange<>(first, null, false, (watch, message) -> {
      watch.request = first.toBuilder().setAfterRevision(message.getRevision()).build();
      return message.hasModel() ? List.of(message) : List.of();
    });
  }

  /** A character as it is, and then every change until its training has ended. */
  static Exchange<WatchCharacterRequest, WatchCharacterResponse, SoulCharacter> training(WatchCharacterRequest first) {
    return new Exchange<>(first, null, false, (watch, message) -> {
      // Each stream begins with the current state, which may be the last one of the previous stream.
      if (!message.hasCharacter() || message.getCharacter().equals(watch.last)) {
        return List.of();
      }
      watch.last = message.getCharacter();
      watch.done = watch.last.getDone();
      return List.of(watch.last);
    });
  }
}
