package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.List;

/** The exchanges of watches. */
final class Watches {
  private Watches() {}

  /** Every change of one generation, exactly once and in order, until it has ended. */
  static final class One extends Exchange<WatchGenerationRequest, WatchGenerationResponse, Generation> {
    private Generation last;

    /** Creates an exchange whose forecasts belong to {@code known}, the generation at the revision of the request. */
    One(WatchGenerationRequest request, Generation known) {
      super(request);
      this.last = known;
    }

    @Override
    List<Generation> received(WatchGenerationResponse message) {
      Generation generation = message.getGeneration();
      if (message.hasGeneration() && generation.getRevision() > request.getAfterRevision()) {
        request = request.toBuilder().setAfterRevision(generation.getRevision()).build();
        done = generation.getDone();
        last = generation;
      } else if (request.hasForecastInterval() && message.hasForecast() && last.getRevision() > 0) {
        last = last.toBuilder().setForecast(message.getForecast()).build();
      } else {
        return List.of();
      }
      return List.of(last);
    }
  }

  /** The events of all generations that match a filter. */
  static final class Many extends Exchange<WatchGenerationsRequest, WatchGenerationsResponse, WatchEvent> {
    private final Cursor cursor;

    Many(WatchGenerationsRequest request) {
      super(request);
      this.cursor = new Cursor(request.getResumeToken());
    }

    @Override
    List<WatchEvent> received(WatchGenerationsResponse message) {
      List<WatchEvent> events = cursor.received(message);
      request = request.toBuilder().setResumeToken(cursor.resumeToken()).build();
      return events;
    }
  }

  /** Every change of the list of models after a revision. */
  static final class Models extends Exchange<WatchModelsRequest, WatchModelsResponse, WatchModelsResponse> {
    Models(WatchModelsRequest request) {
      super(request);
    }

    @Override
    List<WatchModelsResponse> received(WatchModelsResponse message) {
      request = request.toBuilder().setAfterRevision(message.getRevision()).build();
      return message.hasModel() ? List.of(message) : List.of();
    }
  }

  /** A character as it is, and then every change until its training has ended. */
  static final class Training extends Exchange<WatchCharacterRequest, WatchCharacterResponse, SoulCharacter> {
    private SoulCharacter last;

    Training(WatchCharacterRequest request) {
      super(request);
    }

    @Override
    List<SoulCharacter> received(WatchCharacterResponse message) {
      // Each stream begins with the current state, which may be the last one of the previous stream.
      if (!message.hasCharacter() || message.getCharacter().equals(last)) {
        return List.of();
      }
      last = message.getCharacter();
      done = last.getDone();
      return List.of(last);
    }
  }
}
