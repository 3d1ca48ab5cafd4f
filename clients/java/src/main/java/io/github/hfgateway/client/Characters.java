package io.github.hfgateway.client;

import io.github.hfgateway.v1.CharacterServiceGrpc;
import io.github.hfgateway.v1.CharacterState;
import io.github.hfgateway.v1.CreateCharacterRequest;
import io.github.hfgateway.v1.CreateCharacterResponse;
import io.github.hfgateway.v1.DeleteCharacterRequest;
import io.github.hfgateway.v1.GetCharacterRequest;
import io.github.hfgateway.v1.ListCharactersRequest;
import io.github.hfgateway.v1.ListCharactersResponse;
import io.github.hfgateway.v1.SoulCharacter;
import io.github.hfgateway.v1.WatchCharacterRequest;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Characters: trained faces that stay the same in all generations. See {@link HfGatewayClient#characters}. */
public final class Characters {
  private final Calls calls;
  private final Duration timeout;

  Characters(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** Starts the training of a character for Soul 1, with a new idempotency key. */
  public CreatedCharacter create(String name, List<String> imageUrls) {
    return create(requestOf(name, imageUrls));
  }

  /**
   * Starts the training of a character. Training costs credits. Retries use the same idempotency key, so that it is
   * charged once: the key of the request, or a new UUID if it has none.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public CreatedCharacter create(CreateCharacterRequest request) {
    return create(keyed(request), timeout);
  }

  private CreatedCharacter create(CreateCharacterRequest request, Duration timeout) {
    String key = request.getIdempotencyKey();
    try {
      CreateCharacterResponse response =
          calls.unary(CharacterServiceGrpc.getCreateCharacterMethod(), request, timeout);
      return new CreatedCharacter(response.getCharacter(), key, response.getReplayed());
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(key);
    }
  }

  /**
   * Creates a character for Soul 1 with a new idempotency key, watches its training, and returns it COMPLETED.
   *
   * @throws TrainingFailedException if the training does not complete
   */
  public SoulCharacter train(String name, List<String> imageUrls) {
    return train(requestOf(name, imageUrls), null, progress -> {});
  }

  /**
   * Creates a character, watches its training, which takes minutes, and returns it COMPLETED. It never creates a second
   * one.
   *
   * @param timeout the limit of the whole; null: none. The training continues after it
   * @param onProgress called with the created character, and then with every change
   * @throws TrainingFailedException if the training does not complete
   * @throws GatewayException.DeadlineExceeded after the timeout
   */
  public SoulCharacter train(
      CreateCharacterRequest request, Duration timeout, Consumer<? super SoulCharacter> onProgress) {
    long deadline = calls.deadline(timeout);
    boolean shorter = timeout != null && timeout.compareTo(this.timeout) < 0;
    CreatedCharacter created = create(keyed(request), shorter ? timeout : this.timeout);
    SoulCharacter character = created.character();
    onProgress.accept(character);
    if (!character.getDone()) {
      Duration rest = timeout == null ? null : Duration.ofNanos(Math.max(deadline - calls.timers.now(), 0));
      try (Watch<SoulCharacter> changes = watch(created.id(), rest)) {
        while (hasNext(changes, created)) {
          SoulCharacter changed = changes.next();
          if (!changed.equals(character)) { // a watch begins with the current state
            character = changed;
            onProgress.accept(character);
          }
        }
      }
    }
    if (character.getState() != CharacterState.CHARACTER_STATE_COMPLETED) {
      throw Errors.ofTraining(character).withIdempotencyKey(created.idempotencyKey());
    }
    return character;
  }

  private static boolean hasNext(Watch<?> changes, CreatedCharacter created) {
    try {
      return changes.hasNext();
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(created.idempotencyKey());
    }
  }

  /**
   * Returns the character as it is now.
   *
   * @throws GatewayException.NotFound if the character does not exist
   */
  public SoulCharacter get(String id) {
    GetCharacterRequest request = GetCharacterRequest.newBuilder().setId(id).build();
    return calls.unary(CharacterServiceGrpc.getGetCharacterMethod(), request, timeout).getCharacter();
  }

  /** Lists all characters, newest first. Fetches pages on demand. */
  public Stream<SoulCharacter> list() {
    return list(ListCharactersRequest.getDefaultInstance());
  }

  /** Lists all characters, newest first. Fetches pages of the request's size on demand. */
  public Stream<SoulCharacter> list(ListCharactersRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CharacterServiceGrpc.getListCharactersMethod(),
                request.toBuilder().setPageToken(token).build(),
                timeout),
        ListCharactersResponse::getCharactersList,
        ListCharactersResponse::getNextPageToken);
  }

  /** Deletes the character at Higgsfield. Deleting a deleted character succeeds. */
  public void delete(String id) {
    DeleteCharacterRequest request = DeleteCharacterRequest.newBuilder().setId(id).build();
    calls.unary(CharacterServiceGrpc.getDeleteCharacterMethod(), request, timeout);
  }

  /**
   * Watches the character: its current state, and then every change until its training has ended. Resumes if the stream
   * breaks.
   */
  public Watch<SoulCharacter> watch(String id) {
    return watch(id, null);
  }

  /**
   * Watches the character for a limited time.
   *
   * @param timeout after it the watch throws {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Watch<SoulCharacter> watch(String id, Duration timeout) {
    return calls.watch(new Watches.Training(WatchCharacterRequest.newBuilder().setId(id).build()), timeout);
  }

  private static CreateCharacterRequest requestOf(String name, List<String> imageUrls) {
    return CreateCharacterRequest.newBuilder().setName(name).addAllImageUrls(imageUrls).build();
  }

  private static CreateCharacterRequest keyed(CreateCharacterRequest request) {
    return request.getIdempotencyKey().isEmpty()
        ? request.toBuilder().setIdempotencyKey(UUID.randomUUID().toString()).build()
        : request;
  }
}
