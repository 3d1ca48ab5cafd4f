// Generated from AsyncCharacters by tools/blocking.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Characters: trained faces that stay the same in all generations. See {@link HfGatewayClient#characters}. */
public final class Characters {
  final AsyncCharacters async;

  Characters(AsyncCharacters async) {
    this.async = async;
  }

  /** Starts the training of a character for Soul 1, with a new idempotency key. */
  public CreatedCharacter create(String name, List<String> imageUrls) {
    return Blocking.await(async.create(name, imageUrls));
  }

  /**
   * Starts the training of a character. Training costs credits. Retries use the same idempotency key, so that it is
   * charged once: the key of the request, or a new UUID if it has none.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public CreatedCharacter create(CreateCharacterRequest request) {
    return Blocking.await(async.create(request));
  }

  /**
   * Creates a character for Soul 1 with a new idempotency key, watches its training, and returns it COMPLETED.
   *
   * @throws TrainingFailedException if the training does not complete
   */
  public SoulCharacter train(String name, List<String> imageUrls) {
    return Blocking.await(async.train(name, imageUrls));
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
  public SoulCharacter train(
      CreateCharacterRequest request, Duration timeout, Consumer<? super SoulCharacter> onProgress) {
    return Blocking.await(onProgress, seen -> async.train(request, timeout, seen));
  }

  /**
   * Watches the character: its current state, and then every change until its training has ended. Resumes if the stream
   * breaks.
   */
  public Watch<SoulCharacter> watch(String id) {
    return new Watch<>(async.watch(id));
  }

  /**
   * Watches the character for a limited time.
   *
   * @param timeout after it the watch throws {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Watch<SoulCharacter> watch(String id, Duration timeout) {
    return new Watch<>(async.watch(id, timeout));
  }

  /**
   * Returns a character, read from Higgsfield.
   *
   * @throws GatewayException.NotFound if the tenant has no character with this id
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or does not show the new
   *     character yet
   */
  public SoulCharacter get(String id) {
    return Blocking.await(async.get(id));
  }

  /** Lists the tenant's characters, newest first. Fetches pages on demand. */
  public Stream<SoulCharacter> list() {
    return new Watch<>(async.list()).stream();
  }

  /**
   * Lists the tenant's characters, newest first. The list is at most 5 s old. Fetches pages of the size in the request
   * on demand.
   *
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response
   */
  public Stream<SoulCharacter> list(ListCharactersRequest request) {
    return new Watch<>(async.list(request)).stream();
  }

  /**
   * Deletes a character at Higgsfield. Its cost is not refunded. Deleting a deleted character succeeds.
   *
   * @throws GatewayException.NotFound if the tenant has no character with this id
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or does not show the new
   *     character yet
   */
  public void delete(String id) {
    Blocking.await(async.delete(id));
  }
}
