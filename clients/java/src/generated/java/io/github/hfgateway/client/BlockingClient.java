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
   * at once, because it makes one call of at most 10 s and does not retry it. The key needs the scope read.
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
   * Submits a generation, watches it until it ends, and returns it COMPLETED. It never submits a second one.
   *
   * @param submit the input and its options. Its timeout limits the whole; by default there is no limit
   * @throws GenerationFailedException if the generation ends without output
   */
  public Generation generate(Submit submit) {
    return Blocking.await(async.generate(submit));
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
   * @throws GatewayException.Canceled if {@code onProgress} or the hook for warnings throws an exception, which is its
   *     cause
   */
  public Generation generate(Submit submit, Consumer<? super Generation> onProgress) {
    return Blocking.await(onProgress, seen -> async.generate(submit, seen));
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
   * Watches all generations that match the filter, including ones created later, on one stream. With ids in the
   * filter the watch includes generations that have already ended, and ends when all have. With other filters it begins
   * with generations that have not ended, and never ends. Resumes if the stream breaks.
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

  /**
   * Creates a token with which a browser can watch the matching generations, and nothing else.
   *
   * @param filter ids, labels, or both
   * @param ttl how long the token is valid, from 1 s to 1 hour
   */
  public CreateWatchTokenResponse createWatchToken(GenerationFilter filter, Duration ttl) {
    return Blocking.await(async.createWatchToken(filter, ttl));
  }

  /** Returns the catalogs of models, motions, styles and presets. */
  public Catalog catalog() {
    return new Catalog(async.catalog());
  }

  /** Returns the methods for characters: trained faces that stay the same in all generations. */
  public Characters characters() {
    return new Characters(async.characters());
  }

  /** Returns the methods for callbacks: signed deliveries to your servers. */
  public Callbacks callbacks() {
    return new Callbacks(async.callbacks());
  }

  /**
   * Adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation of
   * the tenant: it is followed, watched, canceled, archived, reported by callbacks, explained and deleted as any other.
   * An adoption submits and charges nothing, and an adopted generation is never submitted.
   *
   * <p>The gateway first reads the status of the request with its own credentials, and makes no other call. Only a
   * status proves that the request belongs to the gateway's Higgsfield account; then the generation is stored in the
   * state that Higgsfield reports. After one of the errors below, nothing is stored.
   *
   * <p>A request belongs to one generation. If the tenant has that generation already, adopted or submitted, the call
   * returns it, without a call to Higgsfield, and with the labels that it has. If another tenant has it, the call fails
   * as if Higgsfield did not know the request.
   *
   * @throws GatewayException.NotFound if Higgsfield knows no such request of the gateway's account in this API version,
   *     another tenant has it, or the tenant has deleted the generation that it was adopted as. Higgsfield may also not
   *     know a request yet that was made seconds ago
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or limits status calls
   * @throws GatewayException.UpstreamCredentialsRefused if Higgsfield refuses the gateway's credentials
   */
  public AdoptGenerationResponse adopt(AdoptGenerationRequest request) {
    return Blocking.await(async.adopt(request));
  }

  /**
   * Returns a generation with its input. If it is queued and may have started, the gateway asks Higgsfield first, for
   * at most 2 s, so that {@code state} and {@code cancelable} are current. A replica that does not lead returns what it
   * knows.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   */
  public Generation get(String id) {
    return Blocking.await(async.get(id));
  }

  /** Lists the tenant's generations, newest first. Fetches pages on demand. */
  public Stream<Generation> list(GenerationFilter filter) {
    return new Watch<>(async.list(filter)).stream();
  }

  /**
   * Lists the tenant's generations, newest first. Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.InvalidInput if the filter is too large, or the {@code page_token} belongs to another
   *     filter
   */
  public Stream<Generation> list(ListGenerationsRequest request) {
    return new Watch<>(async.list(request)).stream();
  }

  /**
   * Cancels a generation. The effect depends on its state:
   * <ul>
   * <li>PENDING: it ends as CANCELED and costs nothing. If its submission is under way, the call waits for the outcome.
   * If the outcome is unknown, the call fails, and the gateway cancels the generation if it turns out to be queued.
   * <li>QUEUED: the gateway asks Higgsfield, which decides. For its v1 API Higgsfield documents no cancellation, so the
   * call usually fails.
   * <li>CANCELED: the call succeeds again.
   * <li>Any other state: the call fails.
   * </ul>
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   * @throws GatewayException.NotCancelable if it is too late, the state is not known, or Higgsfield did not cancel it
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or limits status calls. It may
   *     have canceled the generation; a retry finds out
   */
  public Generation cancel(String id) {
    return Blocking.await(async.cancel(id));
  }

  /**
   * Validates an input as SubmitGeneration does, and returns its price. The call charges and reserves nothing.
   *
   * @throws GatewayException.InvalidInput if a field is wrong, or the input needs Higgsfield's v1 API, which has no
   *     estimates
   * @throws GatewayException.InputRefused if Higgsfield refused the input
   * @throws GatewayException.ModelUnknown if Higgsfield does not know the model
   * @throws GatewayException.ModelUnavailable if Higgsfield has disabled or blocked the model
   * @throws GatewayException.InsufficientCredits if Higgsfield refuses estimates because the account does not have
   *     enough credits. Usually it does not check them
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response
   * @throws GatewayException.UpstreamCredentialsRefused if Higgsfield refuses the gateway's credentials
   */
  public EstimateGenerationResponse estimate(GenerationInput input) {
    return Blocking.await(async.estimate(input));
  }

  /**
   * Deletes an ended generation from the gateway, and its input and outputs from Higgsfield. Higgsfield cannot delete
   * what was sent to its v1 API. The {@code idempotency_key} of the generation stays used. Deleting a deleted
   * generation succeeds.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   * @throws GatewayException.NotDone if the generation has not ended
   * @throws GatewayException.UpstreamUnavailable if the generation is deleted in the gateway, but Higgsfield has not
   *     confirmed the removal yet. The gateway retries until it does
   * @throws GatewayException.GatewayUnavailable if the store did not confirm the deletion
   */
  public boolean delete(String id) {
    return Blocking.await(async.delete(id));
  }

  /**
   * Returns the history of a generation, oldest event first: every change with its cause, and every call to Higgsfield
   * with its outcome. It contains no secrets, and nothing of the input.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   */
  public ExplainGenerationResponse explain(String id) {
    return Blocking.await(async.explain(id));
  }

  /**
   * Returns a URL to which the client uploads media itself, for browsers and large files. The client sends the bytes in
   * a PUT to {@code upload_url} with all {@code upload_headers}, and without credentials.
   *
   * @throws GatewayException.InputRefused if Higgsfield does not accept the {@code content_type}
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response
   * @throws GatewayException.UpstreamCredentialsRefused if Higgsfield refuses the gateway's credentials
   */
  public CreateUploadResponse createUpload(String contentType) {
    return Blocking.await(async.createUpload(contentType));
  }

  /**
   * Creates a watch token.
   *
   * <p>A client sends the token in place of an API key ("authorization: Bearer hfw_..."). It allows GetGeneration,
   * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations for the generations that match its filter.
   * Other RPCs return PERMISSION_DENIED (NOT_ALLOWED); other generations do not exist for it.
   *
   * <p>The token is valid until its {@code expire_time}, or until the API key that created it is revoked. Its open
   * streams then end with UNAUTHENTICATED (INVALID_CREDENTIALS).
   *
   * @throws GatewayException.InvalidInput if the filter has neither ids nor labels, another field is set, or the token
   *     would be too large
   * @throws GatewayException.NotAllowed if the caller has a watch token itself
   */
  public CreateWatchTokenResponse createWatchToken(CreateWatchTokenRequest request) {
    return Blocking.await(async.createWatchToken(request));
  }
}
