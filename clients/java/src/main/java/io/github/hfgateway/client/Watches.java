package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import io.grpc.MethodDescriptor;
import java.util.List;

/** The exchanges of watches. */
final class Watches {
  private Watches() {}

  /** Every change of one generation, exactly once and in order, until it has ended. */
  static final class One implements Exchange<WatchGenerationRequest, WatchGenerationResponse, Generation> {
    private final WatchGenerationRequest request;
    private Generation last;
    private int revision;
    private boolean done;

    /** Creates an exchange whose forecasts belong to {@code known}, the generation at the revision of the request. */
    One(WatchGenerationRequest request, Generation known) {
      this.request = request;
      this.last = known;
      this.revision = request.getAfterRevision();
    }

    @Override
    public MethodDescriptor<WatchGenerationRequest, WatchGenerationResponse> method() {
      return GenerationServiceGrpc.getWatchGenerationMethod();
    }

    @Override
    public WatchGenerationRequest request() {
      return request.toBuilder().setAfterRevision(revision).build();
    }

    @Override
    public List<Generation> received(WatchGenerationResponse message) {
      Generation generation = message.getGeneration();
      if (message.hasGeneration() && generation.getRevision() > revision) {
        revision = generation.getRevision();
        done = generation.getDone();
        last = generation;
      } else if (request.hasForecastInterval() && message.hasForecast() && last.getRevision() > 0) {
        last = last.toBuilder().setForecast(message.getForecast()).build();
      } else {
        return List.of();
      }
      return List.of(last);
    }

    @Override
    public boolean isDone() {
      return done;
    }
  }

  /** The events of all generations that match a filter. */
  static final class Many implements Exchange<WatchGenerationsRequest, WatchGenerationsResponse, WatchEvent> {
    private final WatchGenerationsRequest request;
    private final Cursor cursor;

    Many(WatchGenerationsRequest request) {
      this.request = request;
      this.cursor = new Cursor(request.getResumeToken());
    }

    @Override
    public MethodDescriptor<WatchGenerationsRequest, WatchGenerationsResponse> method() {
      return GenerationServiceGrpc.getWatchGenerationsMethod();
    }

    @Override
    public WatchGenerationsRequest request() {
      return request.toBuilder().setResumeToken(cursor.resumeToken()).build();
    }

    @Override
    public List<WatchEvent> received(WatchGenerationsResponse message) {
      return cursor.received(message);
    }

    @Override
    public boolean isDone() {
      return false;
    }
  }

  /** Every change of the list of models after a revision. */
  static final class Models implements Exchange<WatchModelsRequest, WatchModelsResponse, WatchModelsResponse> {
    private WatchModelsRequest request;

    Models(WatchModelsRequest request) {
      this.request = request;
    }

    @Override
    public MethodDescriptor<WatchModelsRequest, WatchModelsResponse> method() {
      return CatalogServiceGrpc.getWatchModelsMethod();
    }

    @Override
    public WatchModelsRequest request() {
      return request;
    }

    @Override
    public List<WatchModelsResponse> received(WatchModelsResponse message) {
      request = WatchModelsRequest.newBuilder().setAfterRevision(message.getRevision()).build();
      return message.hasModel() ? List.of(message) : List.of();
    }

    @Override
    public boolean isDone() {
      return false;
    }
  }

  /** A character as it is, and then every change until its training has ended. */
  static final class Training implements Exchange<WatchCharacterRequest, WatchCharacterResponse, SoulCharacter> {
    private final WatchCharacterRequest request;
    private SoulCharacter last;

    Training(WatchCharacterRequest request) {
      this.request = request;
    }

    @Override
    public MethodDescriptor<WatchCharacterRequest, WatchCharacterResponse> method() {
      return CharacterServiceGrpc.getWatchCharacterMethod();
    }

    @Override
    public WatchCharacterRequest request() {
      return request;
    }

    @Override
    public List<SoulCharacter> received(WatchCharacterResponse message) {
      // Each stream begins with the current state, which may be the last one of the previous stream.
      if (!message.hasCharacter() || message.getCharacter().equals(last)) {
        return List.of();
      }
      last = message.getCharacter();
      return List.of(last);
    }

    @Override
    public boolean isDone() {
      return last != null && last.getDone();
    }
  }
}
