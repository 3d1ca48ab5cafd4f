// Generated from AsyncHfGatewayClient by tools/blocking.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.time.Duration;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** The methods of {@link HfGatewayClient} that wait for the asynchronous client. */
abstract class BlockingClient {
  final AsyncHfGatewayClient async;

  BlockingClient(AsyncHfGatewayClient async) {
    this.async = async;
  }

  /**
   * Succeeds if the gateway is ready for calls with the client's key. Otherwise it fails with the cause and the address:
   * at once, because it makes one call of at most 10 s and does not retry it. A watch token may not make this call.
   */
  public void check() {
    Blocking.await(async.check());
  }

  /** Submits a generation with a new idempotency key. */
  public Submission submit(GenerationInput input) {
    return Blocking.await(async.submit(input));
  }

  /**
   * Submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency key,
   * so that it is charged once.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public Submission submit(Submit submit) {
    return Blocking.await(async.submit(submit));
  }

  /**
   * Submits a generation with a new idempotency key, watches it until it ends, and returns it COMPLETED.
   *
   * @throws GenerationFailedException if the generation ends without output
   */
  public Generation generate(GenerationInput input) {
    return Blocking.await(async.generate(input));
  }

  /**
   * Submits a generation with a new idempotency key, watches it until it ends, and returns it COMPLETED.
   *
   * @param onProgress called with the stored generation, every change, and newer forecasts
   * @throws GenerationFailedException if the generation ends without output
   */
  public Generation generate(GenerationInput input, Consumer<? super Generation> onProgress) {
    return Blocking.await(onProgress, seen -> async.generate(input, seen));
  }

  /**
   * Submits a generation, watches it until it ends, and returns it COMPLETED. It never submits a second one.
   *
   * @param submit the input and its options. Its timeout limits the whole; by default there is no limit. The generation
   *     continues after a timeout
   * @param onProgress called with the stored generation, with every change, and with the same revision and a newer
   *     forecast when nothing else happened for {@link Submit#forecastInterval}
   * @throws GenerationFailedException if the generation ends without output
   * @throws GatewayException.DeadlineExceeded after the timeout
   */
  public Generation generate(Submit submit, Consumer<? super Generation> onProgress) {
    return Blocking.await(onProgress, seen -> async.generate(submit, seen));
  }

  /**
   * Adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation like
   * any other; nothing is submitted or charged. Adopting it again returns the same generation.
   *
   * @throws GatewayException.NotFound if Higgsfield knows no such request of the gateway's account, or another tenant
   *     has it
   */
  public AdoptGenerationResponse adopt(AdoptGenerationRequest request) {
    return Blocking.await(async.adopt(request));
  }

  /**
   * Returns the generation as it is now, with its input.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   */
  public Generation get(String id) {
    return Blocking.await(async.get(id));
  }

  /** Lists the generations that match the filter, newest first. Fetches pages on demand. */
  public Stream<Generation> list(GenerationFilter filter) {
    return new Watch<>(async.list(filter)).stream();
  }

  /** Lists the generations that match the request's filter, newest first. Fetches pages of its size on demand. */
  public Stream<Generation> list(ListGenerationsRequest request) {
    return new Watch<>(async.list(request)).stream();
  }

  /**
   * Cancels the generation and returns it.
   *
   * @throws GatewayException.NotCancelable if it is too late to cancel
   */
  public Generation cancel(String id) {
    return Blocking.await(async.cancel(id));
  }

  /** Waits until the generation has ended, and returns it. */
  public Generation waitUntilDone(String id) {
    return Blocking.await(async.waitUntilDone(id));
  }

  /**
   * Waits until the generation has ended, and returns it. After {@code atMost} (null: no limit) it returns the
   * generation as it is; see its {@code getDone()}.
   */
  public Generation waitUntilDone(String id, Duration atMost) {
    return Blocking.await(async.waitUntilDone(id, atMost));
  }

  /**
   * Watches a generation: every change, exactly once and in order. Ends after the final change. Resumes if the stream
   * breaks.
   */
  public Watch<Generation> watch(String id) {
    return new Watch<>(async.watch(id));
  }

  /** Watches a generation from the change after {@code afterRevision}. */
  public Watch<Generation> watch(String id, int afterRevision) {
    return new Watch<>(async.watch(id, afterRevision));
  }

  /**
   * Watches a generation with all options. With a forecast interval, the last generation comes again with each newer
   * forecast, at the same revision.
   *
   * @param timeout after it the watch throws {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Watch<Generation> watch(WatchGenerationRequest request, Duration timeout) {
    return new Watch<>(async.watch(request, timeout));
  }

  /**
   * Watches all generations that match the filter, including ones created later, on one stream. Ends when all
   * generations in the filter's ids have ended, and never for other filters. Resumes if the stream breaks.
   */
  public Watch<WatchEvent> watchMany(GenerationFilter filter) {
    return new Watch<>(async.watchMany(filter));
  }

  /** Continues an earlier watch with the same filter after the event with {@code resumeToken}. */
  public Watch<WatchEvent> watchMany(GenerationFilter filter, String resumeToken) {
    return new Watch<>(async.watchMany(filter, resumeToken));
  }

  /**
   * Watches many generations with all options.
   *
   * @param timeout after it the watch throws {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Watch<WatchEvent> watchMany(WatchGenerationsRequest request, Duration timeout) {
    return new Watch<>(async.watchMany(request, timeout));
  }

  /** Returns the price of the input, and validates it as {@code submit} does. Charges nothing. */
  public EstimateGenerationResponse estimate(GenerationInput input) {
    return Blocking.await(async.estimate(input));
  }

  /**
   * Deletes a generation that has ended.
   *
   * @return whether Higgsfield has removed the input and the outputs too
   * @throws GatewayException.NotDone if the generation has not ended
   */
  public boolean delete(String id) {
    return Blocking.await(async.delete(id));
  }

  /** Returns the history of the generation, oldest event first: every change, and every call to Higgsfield. */
  public ExplainGenerationResponse explain(String id) {
    return Blocking.await(async.explain(id));
  }

  /**
   * Returns a URL to PUT media to, and the headers to send, for uploads that do not pass through the gateway.
   *
   * @param contentType the media type, such as "image/png"
   */
  public CreateUploadResponse createUpload(String contentType) {
    return Blocking.await(async.createUpload(contentType));
  }

  /**
   * Creates a token with which a browser can watch the matching generations, and nothing else.
   *
   * @param filter ids, labels, or both
   * @param ttl how long the token is valid, from 1 s to 1 hour
   */
  public CreateWatchTokenResponse createWatchToken(GenerationFilter filter, Duration ttl) {
    return Blocking.await(async.createWatchToken(filter, ttl));
  }

  /** Creates a watch token with all options. */
  public CreateWatchTokenResponse createWatchToken(CreateWatchTokenRequest request) {
    return Blocking.await(async.createWatchToken(request));
  }

  /** Returns the catalogs of models, motions, styles and presets. */
  public Catalog catalog() {
    return new Catalog(async.catalog());
  }

  /** Returns the methods for characters: trained faces that stay the same in all generations. */
  public Characters characters() {
    return new Characters(async.characters());
  }

  /** Returns the methods for callbacks: signed webhooks to your servers. */
  public Callbacks callbacks() {
    return new Callbacks(async.callbacks());
  }
}
