package io.github.hfgateway.client;

import io.github.hfgateway.agents.v1alpha1.AgentServiceGrpc;
import io.github.hfgateway.v1.AdoptGenerationRequest;
import io.github.hfgateway.v1.AdoptGenerationResponse;
import io.github.hfgateway.v1.CancelGenerationRequest;
import io.github.hfgateway.v1.CreateUploadRequest;
import io.github.hfgateway.v1.CreateUploadResponse;
import io.github.hfgateway.v1.CreateWatchTokenRequest;
import io.github.hfgateway.v1.CreateWatchTokenResponse;
import io.github.hfgateway.v1.DeleteGenerationRequest;
import io.github.hfgateway.v1.EstimateGenerationRequest;
import io.github.hfgateway.v1.EstimateGenerationResponse;
import io.github.hfgateway.v1.ExplainGenerationRequest;
import io.github.hfgateway.v1.ExplainGenerationResponse;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.GenerationInput;
import io.github.hfgateway.v1.GenerationServiceGrpc;
import io.github.hfgateway.v1.GenerationState;
import io.github.hfgateway.v1.GetGenerationRequest;
import io.github.hfgateway.v1.ListGenerationsRequest;
import io.github.hfgateway.v1.ListGenerationsResponse;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.SubmitGenerationResponse;
import io.github.hfgateway.v1.TokenServiceGrpc;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.github.hfgateway.v1.UploadServiceGrpc;
import io.github.hfgateway.v1.WaitFor;
import io.github.hfgateway.v1.WaitGenerationRequest;
import io.github.hfgateway.v1.WatchGenerationRequest;
import io.github.hfgateway.v1.WatchGenerationsRequest;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A client of a gateway. It is thread-safe, and can be used for any number of concurrent calls. Every error is a
 * {@link GatewayException}.
 *
 * <p>A call ends with {@link GatewayException.Canceled} if its thread is interrupted, the gRPC Context in which it was
 * made is canceled, or the client is closed. The end of a call never cancels the generation; use {@link #cancel}.
 */
public final class HfGatewayClient implements AutoCloseable {
  /** The address on which a gateway listens by default. */
  public static final String DEFAULT_ADDRESS = "127.0.0.1:50051";

  /** The version of this client. */
  public static final String VERSION = "0.1.0";

  static final Duration TIMEOUT = Duration.ofSeconds(30);

  /**
   * A connection is taken for dead PING_AFTER + PING_TIMEOUT after its last byte: early enough to repeat a call within
   * TIMEOUT. The gateway accepts a ping every 10 s, and closes connections that ping more often ("Too many pings").
   */
  static final Duration PING_AFTER = Duration.ofSeconds(11);

  static final Duration PING_TIMEOUT = Duration.ofSeconds(5);

  /**
   * The timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to be cheap.
   */
  private static final long WAIT_STEP = TimeUnit.SECONDS.toNanos(50);

  private final Calls calls;
  private final Duration timeout;

  private HfGatewayClient(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** Returns a client of the gateway at {@code address} (host:port), in plaintext. */
  public static HfGatewayClient connect(String address) {
    return builder(address).build();
  }

  /**
   * Returns a builder of a client for the gateway at the environment variable HFGATEWAY_ADDRESS, or else at
   * {@link #DEFAULT_ADDRESS}.
   */
  public static Builder builder() {
    return builder(System.getenv());
  }

  static Builder builder(Map<String, String> environment) {
    String address = environment.getOrDefault("HFGATEWAY_ADDRESS", "");
    return new Builder(address.isEmpty() ? DEFAULT_ADDRESS : address, environment);
  }

  /** Returns a builder of a client for the gateway at {@code address} (host:port). */
  public static Builder builder(String address) {
    return new Builder(address, System.getenv());
  }

  /** Returns a client that shares this one's connection, but has another timeout. Closing one closes both. */
  public HfGatewayClient withTimeout(Duration timeout) {
    return new HfGatewayClient(calls, timeout);
  }

  /**
   * Returns if the gateway is ready for calls with the client's key. Otherwise it throws an error with the cause and the
   * address: at once, because it makes one call of at most 10 s and does not retry it. A watch token may not make this
   * call.
   */
  public void check() {
    ListGenerationsRequest request = ListGenerationsRequest.newBuilder().setPageSize(1).build();
    calls.once(GenerationServiceGrpc.getListGenerationsMethod(), request, Duration.ofSeconds(10));
  }

  /** Submits a generation with a new idempotency key. */
  public Submission submit(GenerationInput input) {
    return submit(Submit.of(input));
  }

  /**
   * Submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency key,
   * so that it is charged once.
   *
   * @throws GatewayException with the key in {@link GatewayException#idempotencyKey}
   */
  public Submission submit(Submit submit) {
    return submit(submit.request(), submit.timeout() != null ? submit.timeout() : timeout);
  }

  private Submission submit(SubmitGenerationRequest request, Duration timeout) {
    // The wait is added to the timeout, which might otherwise end first.
    Duration total = timeout.plus(Durations.of(request.getWaitTimeout()));
    try {
      SubmitGenerationResponse response =
          calls.unary(GenerationServiceGrpc.getSubmitGenerationMethod(), request, total);
      return new Submission(
          response.getGeneration(), request.getIdempotencyKey(), response.getReplayed(), response.getWarningsList());
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(request.getIdempotencyKey());
    }
  }

  /**
   * Submits a generation with a new idempotency key, watches it until it ends, and returns it COMPLETED.
   *
   * @throws GenerationFailedException if the generation ends without output
   */
  public Generation generate(GenerationInput input) {
    return generate(Submit.of(input).forecastInterval(Duration.ZERO), progress -> {});
  }

  /**
   * Submits a generation with a new idempotency key, watches it until it ends, and returns it COMPLETED.
   *
   * @param onProgress called with the stored generation, every change, and newer forecasts
   * @throws GenerationFailedException if the generation ends without output
   */
  public Generation generate(GenerationInput input, Consumer<? super Generation> onProgress) {
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
   */
  public Generation generate(Submit submit, Consumer<? super Generation> onProgress) {
    Duration whole = submit.timeout();
    long deadline = calls.deadline(whole);
    SubmitGenerationRequest request =
        submit.request().toBuilder().setWaitFor(WaitFor.WAIT_FOR_STORED).clearWaitTimeout().build();
    Submission submission = submit(request, whole == null || whole.compareTo(timeout) > 0 ? timeout : whole);
    Generation generation = submission.generation();
    onProgress.accept(generation);
    if (!generation.getDone()) {
      Duration rest = whole == null ? null : Duration.ofNanos(Math.max(deadline - calls.timers.now(), 0));
      WatchGenerationRequest.Builder following =
          WatchGenerationRequest.newBuilder()
              .setId(generation.getId())
              .setAfterRevision(generation.getRevision());
      if (!submit.forecastInterval().isZero()) {
        following.setForecastInterval(Durations.of(submit.forecastInterval()));
      }
      try (Watch<Generation> changes = calls.watch(new Watches.One(following.build(), generation), rest)) {
        while (hasNext(changes, submission)) {
          generation = changes.next();
          onProgress.accept(generation);
        }
      }
    }
    if (generation.getState() != GenerationState.GENERATION_STATE_COMPLETED) {
      throw Errors.ofGeneration(generation);
    }
    return generation;
  }

  private static boolean hasNext(Watch<?> changes, Submission submission) {
    try {
      return changes.hasNext();
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(submission.idempotencyKey());
    }
  }

  /**
   * Adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation like
   * any other; nothing is submitted or charged. Adopting it again returns the same generation.
   *
   * @throws GatewayException.NotFound if Higgsfield knows no such request of the gateway's account, or another tenant
   *     has it
   */
  public AdoptGenerationResponse adopt(AdoptGenerationRequest request) {
    return call(GenerationServiceGrpc.getAdoptGenerationMethod(), request);
  }

  /**
   * Returns the generation as it is now, with its input.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   */
  public Generation get(String id) {
    GetGenerationRequest request = GetGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getGetGenerationMethod(), request).getGeneration();
  }

  /** Lists the generations that match the filter, newest first. Fetches pages on demand. */
  public Stream<Generation> list(GenerationFilter filter) {
    return list(ListGenerationsRequest.newBuilder().setFilter(filter).build());
  }

  /** Lists the generations that match the request's filter, newest first. Fetches pages of its size on demand. */
  public Stream<Generation> list(ListGenerationsRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            call(GenerationServiceGrpc.getListGenerationsMethod(), request.toBuilder().setPageToken(token).build()),
        ListGenerationsResponse::getGenerationsList,
        ListGenerationsResponse::getNextPageToken);
  }

  /**
   * Cancels the generation and returns it.
   *
   * @throws GatewayException.NotCancelable if it is too late to cancel
   */
  public Generation cancel(String id) {
    CancelGenerationRequest request = CancelGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getCancelGenerationMethod(), request).getGeneration();
  }

  /** Waits until the generation has ended, and returns it. */
  public Generation waitUntilDone(String id) {
    return waitUntilDone(id, null);
  }

  /**
   * Waits until the generation has ended, and returns it. After {@code atMost} (null: no limit) it returns the
   * generation as it is; see its {@code getDone()}.
   */
  public Generation waitUntilDone(String id, Duration atMost) {
    Timers timers = calls.timers;
    long deadline = calls.deadline(atMost);
    while (true) {
      long asked = timers.now();
      Duration step = Duration.ofNanos(Math.max(Math.min(WAIT_STEP, deadline - asked), 0));
      WaitGenerationRequest request =
          WaitGenerationRequest.newBuilder().setId(id).setTimeout(Durations.of(step)).build();
      Generation generation =
          calls.unary(GenerationServiceGrpc.getWaitGenerationMethod(), request, timeout.plus(step)).getGeneration();
      long answered = timers.now();
      if (generation.getDone() || answered >= deadline) {
        return generation;
      }
      if (answered - asked < step.toNanos() / 2) { // a gateway that shuts down responds early: back off
        calls.sleep(calls.policy.firstDelay().toNanos());
      }
    }
  }

  /**
   * Watches a generation: every change, exactly once and in order. Ends after the final change. Resumes if the stream
   * breaks.
   */
  public Watch<Generation> watch(String id) {
    return watch(id, 0);
  }

  /** Watches a generation from the change after {@code afterRevision}. */
  public Watch<Generation> watch(String id, int afterRevision) {
    return watch(WatchGenerationRequest.newBuilder().setId(id).setAfterRevision(afterRevision).build(), null);
  }

  /**
   * Watches a generation with all options. With a forecast interval, the last generation comes again with each newer
   * forecast, at the same revision.
   *
   * @param timeout after it the watch throws {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Watch<Generation> watch(WatchGenerationRequest request, Duration timeout) {
    return calls.watch(new Watches.One(request, Generation.getDefaultInstance()), timeout);
  }

  /**
   * Watches all generations that match the filter, including ones created later, on one stream. Ends when all
   * generations in the filter's ids have ended, and never for other filters. Resumes if the stream breaks.
   */
  public Watch<WatchEvent> watchMany(GenerationFilter filter) {
    return watchMany(filter, "");
  }

  /** Continues an earlier watch with the same filter after the event with {@code resumeToken}. */
  public Watch<WatchEvent> watchMany(GenerationFilter filter, String resumeToken) {
    return watchMany(
        WatchGenerationsRequest.newBuilder().setFilter(filter).setResumeToken(resumeToken).build(), null);
  }

  /**
   * Watches many generations with all options.
   *
   * @param timeout after it the watch throws {@link GatewayException.DeadlineExceeded}; null: no limit
   */
  public Watch<WatchEvent> watchMany(WatchGenerationsRequest request, Duration timeout) {
    return calls.watch(new Watches.Many(request), timeout);
  }

  /** Returns the price of the input, and validates it as {@code submit} does. Charges nothing. */
  public EstimateGenerationResponse estimate(GenerationInput input) {
    EstimateGenerationRequest request = EstimateGenerationRequest.newBuilder().setInput(input).build();
    return call(GenerationServiceGrpc.getEstimateGenerationMethod(), request);
  }

  /**
   * Deletes a generation that has ended.
   *
   * @return whether Higgsfield has removed the input and the outputs too
   * @throws GatewayException.NotDone if the generation has not ended
   */
  public boolean delete(String id) {
    DeleteGenerationRequest request = DeleteGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getDeleteGenerationMethod(), request).getRemovedUpstream();
  }

  /** Returns the history of the generation, oldest event first: every change, and every call to Higgsfield. */
  public ExplainGenerationResponse explain(String id) {
    ExplainGenerationRequest request = ExplainGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getExplainGenerationMethod(), request);
  }

  /**
   * Uploads bytes to Higgsfield's storage through the gateway; use the returned URL in an input.
   *
   * @param contentType the media type, such as "image/png"
   */
  public UploadMediaResponse upload(byte[] media, String contentType) {
    try {
      return upload(Upload.of(media, contentType));
    } catch (IOException error) {
      throw new AssertionError("reading from memory failed", error);
    }
  }

  /**
   * Uploads a file.
   *
   * @param contentType the media type, such as "image/png"
   * @throws IOException if the file cannot be read
   */
  public UploadMediaResponse upload(Path file, String contentType) throws IOException {
    return upload(Upload.of(file, contentType));
  }

  /**
   * Uploads a stream, which is read to its end and left open.
   *
   * @param contentType the media type, such as "image/png"
   * @throws IOException if the stream cannot be read
   */
  public UploadMediaResponse upload(InputStream media, String contentType) throws IOException {
    return upload(Upload.of(media, contentType));
  }

  /**
   * Uploads media to Higgsfield's storage through the gateway; use the returned URL in an input. A failed upload is not
   * retried, because the source may not be readable twice.
   *
   * @throws IOException if the source cannot be read
   */
  public UploadMediaResponse upload(Upload upload) throws IOException {
    return upload.send(calls);
  }

  /**
   * Returns a URL to PUT media to, and the headers to send, for uploads that do not pass through the gateway.
   *
   * @param contentType the media type, such as "image/png"
   */
  public CreateUploadResponse createUpload(String contentType) {
    CreateUploadRequest request = CreateUploadRequest.newBuilder().setContentType(contentType).build();
    return call(UploadServiceGrpc.getCreateUploadMethod(), request);
  }

  /**
   * Creates a token with which a browser can watch the matching generations, and nothing else.
   *
   * @param filter ids, labels, or both
   * @param ttl how long the token is valid, from 1 s to 1 hour
   */
  public CreateWatchTokenResponse createWatchToken(GenerationFilter filter, Duration ttl) {
    return createWatchToken(
        CreateWatchTokenRequest.newBuilder().setFilter(filter).setTtl(Durations.of(ttl)).build());
  }

  /** Creates a watch token with all options. */
  public CreateWatchTokenResponse createWatchToken(CreateWatchTokenRequest request) {
    return call(TokenServiceGrpc.getCreateWatchTokenMethod(), request);
  }

  /** Returns the catalogs of models, motions, styles and presets. */
  public Catalog catalog() {
    return new Catalog(calls, timeout);
  }

  /** Returns the methods for characters: trained faces that stay the same in all generations. */
  public Characters characters() {
    return new Characters(calls, timeout);
  }

  /** Returns the methods for callbacks: signed webhooks to your servers. */
  public Callbacks callbacks() {
    return new Callbacks(calls, timeout);
  }

  /**
   * Returns the generated stub of Higgsfield's agents, with this connection and API key. It is gRPC's own stub: calls
   * have only the deadline set by {@code withDeadlineAfter}, are not retried, and throw gRPC's exceptions. Use its
   * {@code getChannel} to create other kinds of stubs. The API is v1alpha1, so it may change between versions.
   */
  public AgentServiceGrpc.AgentServiceBlockingStub agents() {
    return AgentServiceGrpc.newBlockingStub(calls.channel);
  }

  /** Closes the connection. Calls in progress and later calls throw {@link GatewayException.Canceled}. */
  @Override
  public void close() {
    calls.close();
  }

  private <Q, A> A call(MethodDescriptor<Q, A> method, Q request) {
    return calls.unary(method, request, timeout);
  }

  /** The configuration of a client. */
  public static final class Builder {
    private final String address;
    private String apiKey;
    private ChannelCredentials credentials;
    private boolean insecure;
    private Duration timeout = TIMEOUT;
    private RetryPolicy retry = RetryPolicy.DEFAULT;
    private BiConsumer<GatewayException, Duration> onRetry = (error, delay) -> {};
    private Timers timers = Timers.SYSTEM;
    private Consumer<ManagedChannelBuilder<?>> configure = channel -> {};

    private Builder(String address, Map<String, String> environment) {
      this.address = address;
      this.apiKey = environment.get("HFGATEWAY_API_KEY");
    }

    /**
     * Sets the API key or watch token to send with every call; "" is none. Default: the environment variable
     * HFGATEWAY_API_KEY, or none.
     */
    public Builder apiKey(String key) {
      apiKey = key;
      return this;
    }

    /** Allows to send the key in plaintext to an address that is not a loopback address. */
    public Builder insecure() {
      insecure = true;
      return this;
    }

    /** Connects with TLS. Reads the files now. Default: plaintext. */
    public Builder tls(Tls tls) {
      credentials = tls.credentials();
      return this;
    }

    /** Limits each call that returns one response, including its retries. Default: 30 s. */
    public Builder timeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    /** Sets when and for how long the client retries. Default: {@link RetryPolicy#DEFAULT}. */
    public Builder retry(RetryPolicy retry) {
      this.retry = retry;
      return this;
    }

    /**
     * Calls the hook before each retry of a call, and before a watch resumes, with the error and the delay: to log them,
     * for example. It must be thread-safe.
     */
    public Builder onRetry(BiConsumer<GatewayException, Duration> hook) {
      onRetry = hook;
      return this;
    }

    Builder timers(Timers timers) {
      this.timers = timers;
      return this;
    }

    /** Changes gRPC's settings of the channel, such as its interceptors, after the client has made its own. */
    public Builder configure(Consumer<ManagedChannelBuilder<?>> change) {
      configure = change;
      return this;
    }

    /**
     * Creates the client. It connects on the first call.
     *
     * @throws IllegalArgumentException if the key contains characters other than visible ASCII, or would be sent in
     *     plaintext to an address that is not a loopback address
     */
    public HfGatewayClient build() {
      Optional<Metadata> key = ApiKey.header(apiKey);
      if (key.isPresent() && credentials == null && !insecure) {
        ApiKey.requireLoopback(address);
      }
      ManagedChannelBuilder<?> settings =
          Grpc.newChannelBuilder(address, credentials != null ? credentials : InsecureChannelCredentials.create())
              .userAgent("hfgateway-client-java/" + VERSION)
              .keepAliveTime(PING_AFTER.toSeconds(), TimeUnit.SECONDS)
              .keepAliveTimeout(PING_TIMEOUT.toSeconds(), TimeUnit.SECONDS)
              .keepAliveWithoutCalls(false)
              .disableRetry()
              .disableServiceConfigLookUp();
      configure.accept(settings);
      ManagedChannel transport = settings.build();
      Channel channel = transport;
      if (key.isPresent()) {
        channel = ClientInterceptors.intercept(transport, MetadataUtils.newAttachHeadersInterceptor(key.get()));
      }
      return new HfGatewayClient(new Calls(transport, channel, address, retry, onRetry, timers), timeout);
    }
  }
}
