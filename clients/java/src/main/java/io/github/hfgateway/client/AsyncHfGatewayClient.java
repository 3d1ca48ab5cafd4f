package io.github.hfgateway.client;

import com.google.protobuf.Message;
import io.github.hfgateway.agents.v1alpha1.AgentServiceGrpc;
import io.github.hfgateway.v1.*;
import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The asynchronous client of a gateway. It is thread-safe, and any number of calls and watches share its few threads.
 *
 * <p>Every future fails with the {@link GatewayException} itself, which dependent stages get as the cause of a {@link
 * java.util.concurrent.CompletionException}. Canceling a future ends its calls, as do {@code orTimeout}, the end of the
 * gRPC Context in which it was made and {@link #close}; none of these cancels the generation, use {@link #cancel}.
 * Dependent stages and consumers run on the client's threads.
 */
public final class AsyncHfGatewayClient extends GenerationRpcs implements AutoCloseable {
  /**
   * The timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to be cheap.
   */
  private static final long WAIT_STEP = TimeUnit.SECONDS.toNanos(50);

  private static final CompletableFuture<Void> NOW = CompletableFuture.completedFuture(null);

  AsyncHfGatewayClient(Calls calls) {
    super(calls);
  }

  /** Returns a client of the gateway at {@code address} (host:port), in plaintext. For more, use the builder. */
  public static AsyncHfGatewayClient connect(String address) {
    return HfGatewayClient.builder(address).buildAsync();
  }

  /** Returns a client that shares this one's connection, but has another timeout. Closing one closes both. */
  public AsyncHfGatewayClient withTimeout(Duration timeout) {
    return new AsyncHfGatewayClient(calls.within(timeout));
  }

  /**
   * Succeeds if the gateway is ready for calls with the client's key. Otherwise it fails with the cause and the address:
   * at once, because it makes one call of at most 10 s and does not retry it. The key needs the scope read.
   */
  public CompletableFuture<Void> check() {
    ListGenerationsRequest request = ListGenerationsRequest.newBuilder().setPageSize(1).build();
    return calls.unary(() -> request, page -> null, Duration.ofSeconds(10), Duration.ZERO);
  }

  /** Submits a generation with a new idempotency key. */
  public CompletableFuture<Submission> submit(GenerationInput input) {
    return submit(Submit.of(input));
  }

  /**
   * Submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency key,
   * so that it is charged once.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public CompletableFuture<Submission> submit(Submit submit) {
    return submit(submit.request(), submit.timeout != null ? submit.timeout : calls.timeout());
  }

  private CompletableFuture<Submission> submit(SubmitGenerationRequest request, Duration timeout) {
    String key = request.getIdempotencyKey();
    // The wait is added to the timeout, which might otherwise end first.
    Calls waiting = calls.within(timeout).waiting(Durations.of(request.getWaitTimeout()));
    Function<SubmitGenerationResponse, Submission> made = response ->
        new Submission(response.getGeneration(), key, response.getReplayed(), response.getWarningsList());
    return Operation.of(key, submitting -> submitting.step(() -> waiting.unary(request, made)));
  }

  /**
   * Submits a generation with a new idempotency key, watches it until it ends, and returns it COMPLETED.
   *
   * @throws GenerationFailedException if the generation ends without output
   */
  public CompletableFuture<Generation> generate(GenerationInput input) {
    return generate(Submit.of(input));
  }

  /**
   * Submits a generation, watches it until it ends, and returns it COMPLETED. It never submits a second one.
   *
   * @param submit the input and its options. Its timeout limits the whole; by default there is no limit
   * @throws GenerationFailedException if the generation ends without output
   */
  public CompletableFuture<Generation> generate(Submit submit) {
    return generate(submit.forecastInterval(Duration.ZERO), progress -> {});
  }

  /**
   * Submits a generation with a new idempotency key, watches it until it ends, and returns it COMPLETED.
   *
   * @param onProgress called with the stored generation, every change, and newer forecasts
   * @throws GenerationFailedException if the generation ends without output
   */
  public CompletableFuture<Generation> generate(GenerationInput input, Consumer<? super Generation> onProgress) {
    return generate(Submit.of(input), onProgress);
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
  public CompletableFuture<Generation> generate(Submit submit, Consumer<? super Generation> onProgress) {
    Objects.requireNonNull(onProgress); // before anything is submitted
    long deadline = calls.connection().deadline(submit.timeout);
    SubmitGenerationRequest request =
        submit.request().toBuilder().setWaitFor(WaitFor.WAIT_FOR_STORED).clearWaitTimeout().build();
    return Operation.of(request.getIdempotencyKey(), all -> all
        .step(() -> submit(request, calls.atMost(submit.timeout)))
        .thenCompose(submission -> {
          submission.warnings().forEach(warning -> Calls.report(submit.onWarning, warning));
          Generation stored = submission.generation();
          WatchGenerationRequest changes = submit.watchRequest(stored);
          Items<Generation> watch =
              calls.watch(() -> Watches.one(changes, stored), calls.connection().left(deadline));
          return Calls.followed(all, stored, stored.getDone(), watch, onProgress);
        })
        .thenApply(Errors::completed));
  }

  /** Waits until the generation has ended, and returns it. */
  public CompletableFuture<Generation> waitUntilDone(String id) {
    return waitUntilDone(id, null);
  }

  /**
   * Waits until the generation has ended, and returns it. After {@code atMost} (null: no limit) it returns the
   * generation as it is; see its {@code getDone()}.
   */
  public CompletableFuture<Generation> waitUntilDone(String id, Duration atMost) {
    long deadline = calls.connection().deadline(atMost);
    return Operation.of("", waiting -> waitOn(waiting, id, deadline));
  }

  private CompletableFuture<Generation> waitOn(Operation<Generation> waiting, String id, long deadline) {
    Connection connection = calls.connection();
    long asked = connection.timers.now();
    long end = Math.min(asked + WAIT_STEP, deadline);
    Duration step = connection.left(end);
    Duration timeout = calls.waiting(step).timeout();
    // An attempt after a lost connection waits for the rest of the step.
    Supplier<Message> request = () ->
        WaitGenerationRequest.newBuilder().setId(id).setTimeout(Durations.of(connection.left(end))).build();
    Duration patience = connection.policy.repeatCallsFor();
    return waiting.step(() -> calls.unary(request, WaitGenerationResponse::getGeneration, timeout, patience))
        .thenCompose(generation -> {
          long answered = connection.timers.now();
          if (generation.getDone() || answered >= deadline) {
            return CompletableFuture.completedFuture(generation);
          }
          // A gateway that shuts down responds early: back off.
          boolean early = answered - asked < step.toNanos() / 2;
          return (early ? connection.delay(connection.policy.firstDelay()) : NOW)
              .thenCompose(rested -> waitOn(waiting, id, deadline));
        });
  }

  /**
   * Watches a generation: every change, exactly once and in order. Ends after the final change. Resumes if the stream
   * breaks.
   */
  public Items<Generation> watch(String id) {
    return watch(id, 0);
  }

  /** Watches a generation from the change after {@code afterRevision}. */
  public Items<Generation> watch(String id, int afterRevision) {
    return watch(WatchGenerationRequest.newBuilder().setId(id).setAfterRevision(afterRevision).build(), null);
  }

  /**
   * Watches a generation with all options. With a forecast interval, the last generation comes again with each newer
   * forecast, at the same revision.
   *
   * @param timeout after it the watch fails with {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Items<Generation> watch(WatchGenerationRequest request, Duration timeout) {
    return calls.watch(() -> Watches.one(request, Generation.getDefaultInstance()), timeout);
  }

  /**
   * Watches all generations that match the filter, including ones created later, on one stream. With ids in the
   * filter the watch includes generations that have already ended, and ends when all have. With other filters it begins
   * with generations that have not ended, and never ends. Resumes if the stream breaks.
   */
  public Items<WatchEvent> watchMany(GenerationFilter filter) {
    return watchMany(filter, "");
  }

  /** Continues an earlier watch with the same filter after the event with {@code resumeToken}. */
  public Items<WatchEvent> watchMany(GenerationFilter filter, String resumeToken) {
    return watchMany(
        WatchGenerationsRequest.newBuilder().setFilter(filter).setResumeToken(resumeToken).build(), null);
  }

  /**
   * Watches many generations with all options.
   *
   * @param timeout after it the watch fails with {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Items<WatchEvent> watchMany(WatchGenerationsRequest request, Duration timeout) {
    return calls.watch(() -> Watches.many(request), timeout);
  }

  /**
   * Uploads media to Higgsfield's storage through the gateway; use the returned URL in an input. A failed upload is not
   * retried, because the source may not be readable twice. The upload takes a thread, which reads the source; the future
   * fails with the IOException if that fails.
   */
  public CompletableFuture<UploadMediaResponse> upload(Upload upload) {
    Connection connection = calls.connection();
    CompletableFuture<UploadMediaResponse> sent = connection.promise();
    Runnable work = () -> {
      try {
        upload.send(connection, sent);
      } catch (Throwable error) { // an Error of the source, too: nothing else reports it
        sent.completeExceptionally(error);
      }
    };
    Thread thread = new Thread(Context.current().wrap(work), "hfgateway-upload");
    thread.setDaemon(true);
    // The thread may be reading, and then does not notice that its call has ended.
    sent.whenComplete((response, error) -> thread.interrupt());
    if (upload.timeout != null) {
      new Timers().schedule(Timers.nanos(upload.timeout), () -> sent.completeExceptionally(connection.error(
          Status.DEADLINE_EXCEEDED.withDescription("the upload timed out"), null, Context.ROOT)), connection.executor);
    }
    thread.start();
    return Operation.of("", uploading -> uploading.step(() -> sent));
  }

  /**
   * Creates a token with which a browser can watch the matching generations, and nothing else.
   *
   * @param filter ids, labels, or both
   * @param ttl how long the token is valid, from 1 s to 1 hour
   */
  public CompletableFuture<CreateWatchTokenResponse> createWatchToken(GenerationFilter filter, Duration ttl) {
    return createWatchToken(
        CreateWatchTokenRequest.newBuilder().setFilter(filter).setTtl(Durations.of(ttl)).build());
  }

  /** Returns the catalogs of models, motions, styles and presets. */
  public AsyncCatalog catalog() {
    return new AsyncCatalog(calls);
  }

  /** Returns the methods for characters: trained faces that stay the same in all generations. */
  public AsyncCharacters characters() {
    return new AsyncCharacters(calls);
  }

  /** Returns the methods for callbacks: signed deliveries to your servers. */
  public AsyncCallbacks callbacks() {
    return new AsyncCallbacks(calls);
  }

  /**
   * Returns the generated stub of Higgsfield's agents, with this connection and API key. It is gRPC's own stub: calls
   * have only the deadline set by {@code withDeadlineAfter}, are not retried, and fail with gRPC's exceptions. Use its
   * {@code getChannel} to create other kinds of stubs. The API is v1alpha1, so it may change between versions.
   */
  public AgentServiceGrpc.AgentServiceStub agents() {
    return AgentServiceGrpc.newStub(calls.connection().channel);
  }

  /** Closes the connection. Calls in progress and later calls fail with {@link GatewayException.ClientClosed}. */
  @Override
  public void close() {
    calls.connection().close();
  }
}
