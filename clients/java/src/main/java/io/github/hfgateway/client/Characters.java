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

/** Characters: faces that stay the same over generations, once they are trained. */
public final class Characters {
  private final Calls calls;
  private final Duration timeout;

  Characters(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** Starts the training of a character for Soul 1, under a fresh key. */
  public CreatedCharacter create(String name, List<String> imageUrls) {
    return create(requestOf(name, imageUrls));
  }

  /**
   * Starts training, which is paid: once, however often the answer gets lost, for repeats carry the same key: the request's,
   * or a fresh one where it has none. An error holds the key too.
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

  /** Creates a character for Soul 1 under a fresh key, follows its training to the end, and returns it COMPLETED. */
  public SoulCharacter train(String name, List<String> imageUrls) {
    return train(requestOf(name, imageUrls), null, progress -> {});
  }

  /**
   * Creates a character, follows its training to the end, which takes minutes, and returns it COMPLETED; {@code onProgress} is
   * called with it as created, and with every change. Where training fails, that is thrown as {@link
   * TrainingFailedException}; it is never created again. After the time-out, null: none, comes {@link
   * GatewayException.DeadlineExceeded}, and the training goes on.
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
          if (!changed.equals(character)) { // a watch begins with the present
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

  /** The character as it is now. */
  public SoulCharacter get(String id) {
    GetCharacterRequest request = GetCharacterRequest.newBuilder().setId(id).build();
    return calls.unary(CharacterServiceGrpc.getGetCharacterMethod(), request, timeout).getCharacter();
  }

  /** All characters, newest first; pages are fetched as they are needed. */
  public Stream<SoulCharacter> list() {
    return list(ListCharactersRequest.getDefaultInstance());
  }

  /** All characters, newest first; pages of the request's size are fetched as they are needed. */
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

  /** Removes it at Higgsfield; one that is deleted already is no error. */
  public void delete(String id) {
    DeleteCharacterRequest request = DeleteCharacterRequest.newBuilder().setId(id).build();
    calls.unary(CharacterServiceGrpc.getDeleteCharacterMethod(), request, timeout);
  }

  /** The character as it is, then every change until its training has ended. Opened again by itself where it breaks. */
  public Watch<SoulCharacter> watch(String id) {
    return watch(id, null);
  }

  /** The same; after the time-out {@link GatewayException.DeadlineExceeded}, null: none. */
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
