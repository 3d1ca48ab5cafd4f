package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Characters: trained faces that stay the same in all generations. See {@link AsyncHfGatewayClient#characters}. */
public final class AsyncCharacters extends CharacterRpcs {
  AsyncCharacters(Calls calls) {
    super(calls);
  }

  /** Starts the training of a character for Soul 1, with a new idempotency key. */
  public CompletableFuture<CreatedCharacter> create(String name, List<String> imageUrls) {
    return create(requestOf(name, imageUrls));
  }

  /**
   * Starts the training of a character. Training costs credits. Retries use the same idempotency key, so that it is
   * charged once: the key of the request, or a new UUID if it has none.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public CompletableFuture<CreatedCharacter> create(CreateCharacterRequest request) {
    return create(keyed(request), calls.timeout());
  }

  private CompletableFuture<CreatedCharacter> create(CreateCharacterRequest request, Duration timeout) {
    String key = request.getIdempotencyKey();
    Function<CreateCharacterResponse, CreatedCharacter> made = response ->
        new CreatedCharacter(response.getCharacter(), key, response.getReplayed());
    return Operation.of(key, creating -> creating.step(() -> calls.within(timeout).unary(request, made)));
  }

  /**
   * Creates a character for Soul 1 with a new idempotency key, watches its training, and returns it COMPLETED.
   *
   * @throws TrainingFailedException if the training does not complete
   */
  public CompletableFuture<SoulCharacter> train(String name, List<String> imageUrls) {
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
   * @throws GatewayException.Canceled if {@code onProgress} throws an exception, which is its cause
   */
  public CompletableFuture<SoulCharacter> train(
      CreateCharacterRequest request, Duration timeout, Consumer<? super SoulCharacter> onProgress) {
    Objects.requireNonNull(onProgress); // before anything is created
    CreateCharacterRequest keyed = keyed(request);
    long deadline = calls.connection().deadline(timeout);
    return Operation.of(keyed.getIdempotencyKey(), all -> all
        .step(() -> create(keyed, calls.atMost(timeout)))
        .thenCompose(created -> {
          Items<SoulCharacter> changes = watch(created.id(), calls.connection().left(deadline));
          return Calls.followed(all, created.character(), created.character().getDone(), changes, onProgress);
        })
        .thenApply(Errors::completed));
  }

  /**
   * Watches the character: its current state, and then every change until its training has ended. Resumes if the stream
   * breaks.
   */
  public Items<SoulCharacter> watch(String id) {
    return watch(id, null);
  }

  /**
   * Watches the character for a limited time.
   *
   * @param timeout after it the watch fails with {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Items<SoulCharacter> watch(String id, Duration timeout) {
    return calls.watch(() -> Watches.training(WatchCharacterRequest.newBuilder().setId(id).build()), timeout);
  }

  private static CreateCharacterRequest requestOf(String name, List<String> imageUrls) {
    return CreateCharacterRequest.newBuilder().setName(name).addAllImageUrls(imageUrls).build();
  }

  private static CreateCharacterRequest keyed(CreateCharacterRequest request) {
    return request.getIdempotencyKey().isEmpty()
        ? request.toBuilder().setIdempotencyKey(UUID.randomUUID().toString()).build() : request;
  }
}
