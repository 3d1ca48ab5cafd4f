package io.github.hfgateway.client;

import io.github.hfgateway.agents.v1alpha1.AgentServiceGrpc;
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
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A gateway, for as many calls and threads at a time as you like. Every error is a {@link GatewayException}.
 *
 * <p>A call ends when its thread is interrupted, when the gRPC Context that it was made in is canceled, and when the client is
 * closed: with {@link GatewayException.Canceled}. What it was about goes on when a call ends, for whatever reason.
 */
public final class HfGatewayClient implements AutoCloseable {
  /** Where a client goes that is given no address. */
  public static final String DEFAULT_ADDRESS = "127.0.0.1:50051";

  /** The version of this client. */
  public static final String VERSION = "0.1.0";

  /** One WaitGeneration asks for so long: short enough for the proxies on the way, long enough to cost nothing. */
  private static final long WAIT_STEP = TimeUnit.SECONDS.toNanos(50);

  private final Calls calls;
  private final Duration timeout;

  private HfGatewayClient(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** A client of the gateway at that address, in plaintext, without a key. */
  public static HfGatewayClient connect(String address) {
    return builder(address).build();
  }

  /** For a client of the gateway at {@link #DEFAULT_ADDRESS}. */
  public static Builder builder() {
    return builder(DEFAULT_ADDRESS);
  }

  /** For a client of the gateway at that address, as host:port. */
  public static Builder builder(String address) {
    return new Builder(address);
  }

  /** A client that shares this one's connection, with another time-out. Closing either closes both. */
  public HfGatewayClient withTimeout(Duration timeout) {
    return new HfGatewayClient(calls, timeout);
  }

  /** Submits under a fresh key. */
  public Submission submit(GenerationInput input) {
    return submit(Submit.of(input));
  }

  /**
   * Submits once, however often the answer gets lost: repeats carry the same key. An error holds the key too, so that the same
   * submit can be made again.
   */
  public Submission submit(Submit submit) {
    return submit(submit.request(), submit.timeout() != null ? submit.timeout() : timeout);
  }

  private Submission submit(SubmitGenerationRequest request, Duration timeout) {
    // The deadline would cut short a longer wait, so that comes on top.
    Duration total = timeout.plus(Durations.of(request.getWaitTimeout()));
    try {
      SubmitGenerationResponse response =
          calls.unary(GenerationServiceGrpc.getSubmitGenerationMethod(), request, total);
      return new Submission(response.getGeneration(), request.getIdempotencyKey(), response.getReplayed());
    } catch (GatewayException error) {
      throw error.withIdempotencyKey(request.getIdempotencyKey());
    }
  }

  /** Submits under a fresh key, follows it to its end, and returns it COMPLETED. */
  public Generation generate(GenerationInput input) {
    return generate(input, progress -> {});
  }

  /** The same; {@code onProgress} is called with the generation as stored, and with every change. */
  public Generation generate(GenerationInput input, Consumer<? super Generation> onProgress) {
    return generate(Submit.of(input), onProgress);
  }

  /**
   * Submits, follows it to its end, and returns it COMPLETED. Every other end is thrown as {@link GenerationFailedException},
   * whose generation tells all; nothing is ever submitted again. After the time-out of the submit, where it has one, comes
   * {@link GatewayException.DeadlineExceeded}, and the generation goes on.
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
      WatchGenerationRequest following =
          WatchGenerationRequest.newBuilder()
              .setId(generation.getId())
              .setAfterRevision(generation.getRevision())
              .build();
      try (Watch<Generation> changes = watch(following, rest)) {
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

  /** The generation as it is now, with its input. */
  public Generation get(String id) {
    GetGenerationRequest request = GetGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getGetGenerationMethod(), request).getGeneration();
  }

  /** All that match the filter, newest first; pages are fetched as they are needed. */
  public Stream<Generation> list(GenerationFilter filter) {
    return list(ListGenerationsRequest.newBuilder().setFilter(filter).build());
  }

  /** All that match the request's filter, newest first; pages of its size are fetched as they are needed. */
  public Stream<Generation> list(ListGenerationsRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            call(GenerationServiceGrpc.getListGenerationsMethod(), request.toBuilder().setPageToken(token).build()),
        ListGenerationsResponse::getGenerationsList,
        ListGenerationsResponse::getNextPageToken);
  }

  /** Cancels it; {@link GatewayException.NotCancelable} where it is too late. */
  public Generation cancel(String id) {
    CancelGenerationRequest request = CancelGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getCancelGenerationMethod(), request).getGeneration();
  }

  /** The generation when it is done. */
  public Generation waitUntilDone(String id) {
    return waitUntilDone(id, null);
  }

  /** The generation when it is done, or after so long as it is by then: see its {@code getDone()}. */
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
      if (answered - asked < step.toNanos() / 2) { // a gateway that drains answers early: do not press it
        calls.sleep(calls.policy.firstDelay().toNanos());
      }
    }
  }

  /** Every change, each once and in order; ends after the one that is done. Resumes by itself where the stream breaks. */
  public Watch<Generation> watch(String id) {
    return watch(id, 0);
  }

  /** Every change after a revision. */
  public Watch<Generation> watch(String id, int afterRevision) {
    return watch(WatchGenerationRequest.newBuilder().setId(id).setAfterRevision(afterRevision).build(), null);
  }

  /** The same, with all that can be asked for; after the time-out {@link GatewayException.DeadlineExceeded}, null: none. */
  public Watch<Generation> watch(WatchGenerationRequest request, Duration timeout) {
    return calls.watch(new Watches.One(request), timeout);
  }

  /**
   * Many generations on one stream, later ones included. Resumes by itself where the stream breaks. With ids it ends when all
   * of them are done, else never.
   */
  public Watch<WatchEvent> watchMany(GenerationFilter filter) {
    return watchMany(filter, "");
  }

  /** What came after the event of an earlier watch with the same filter that had this token. */
  public Watch<WatchEvent> watchMany(GenerationFilter filter, String resumeToken) {
    return watchMany(
        WatchGenerationsRequest.newBuilder().setFilter(filter).setResumeToken(resumeToken).build(), null);
  }

  /** The same, with all that can be asked for; after the time-out {@link GatewayException.DeadlineExceeded}, null: none. */
  public Watch<WatchEvent> watchMany(WatchGenerationsRequest request, Duration timeout) {
    return calls.watch(new Watches.Many(request), timeout);
  }

  /** What it would cost; the input is checked as by {@code submit}. */
  public EstimateGenerationResponse estimate(GenerationInput input) {
    EstimateGenerationRequest request = EstimateGenerationRequest.newBuilder().setInput(input).build();
    return call(GenerationServiceGrpc.getEstimateGenerationMethod(), request);
  }

  /** Removes what is done; true when Higgsfield has removed its input and files as well. */
  public boolean delete(String id) {
    DeleteGenerationRequest request = DeleteGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getDeleteGenerationMethod(), request).getRemovedUpstream();
  }

  /** All that happened to it and for it, oldest first: every change, every call to Higgsfield. */
  public ExplainGenerationResponse explain(String id) {
    ExplainGenerationRequest request = ExplainGenerationRequest.newBuilder().setId(id).build();
    return call(GenerationServiceGrpc.getExplainGenerationMethod(), request);
  }

  /** Puts what is in memory on Higgsfield's storage; the answer's URL serves as an input. */
  public UploadMediaResponse upload(byte[] media, String contentType) {
    try {
      return upload(Upload.of(media, contentType));
    } catch (IOException error) {
      throw new AssertionError("memory can be read", error);
    }
  }

  /** Puts a file on Higgsfield's storage. */
  public UploadMediaResponse upload(Path file, String contentType) throws IOException {
    return upload(Upload.of(file, contentType));
  }

  /** Puts what a stream brings on Higgsfield's storage; the stream is left open. */
  public UploadMediaResponse upload(InputStream media, String contentType) throws IOException {
    return upload(Upload.of(media, contentType));
  }

  /**
   * Puts media on Higgsfield's storage through the gateway. It is sent once: after an error the caller, who has the source,
   * uploads again.
   *
   * @throws IOException the source's own
   */
  public UploadMediaResponse upload(Upload upload) throws IOException {
    return upload.send(calls);
  }

  /** An address to PUT media to past the gateway, with all the headers that it names. */
  public CreateUploadResponse createUpload(String contentType) {
    CreateUploadRequest request = CreateUploadRequest.newBuilder().setContentType(contentType).build();
    return call(UploadServiceGrpc.getCreateUploadMethod(), request);
  }

  /** A token that may read and watch what matches, and nothing else: for a browser, in place of an API key. */
  public CreateWatchTokenResponse createWatchToken(GenerationFilter filter, Duration ttl) {
    return createWatchToken(
        CreateWatchTokenRequest.newBuilder().setFilter(filter).setTtl(Durations.of(ttl)).build());
  }

  /** The same, with all that can be asked for. */
  public CreateWatchTokenResponse createWatchToken(CreateWatchTokenRequest request) {
    return call(TokenServiceGrpc.getCreateWatchTokenMethod(), request);
  }

  /** Models, motions, styles and presets. */
  public Catalog catalog() {
    return new Catalog(calls, timeout);
  }

  /** Faces that stay the same over generations. */
  public Characters characters() {
    return new Characters(calls, timeout);
  }

  /** Webhooks to servers of one's own. */
  public Callbacks callbacks() {
    return new Callbacks(calls, timeout);
  }

  /**
   * Higgsfield's agents, by the generated stub: over this connection and with its key. It is gRPC's own: without a time-out but
   * its own {@code withDeadlineAfter}, nothing is repeated, errors are gRPC's. Its {@code getChannel} serves the other kinds of
   * stubs. It may change between versions, as Higgsfield's own API does.
   */
  public AgentServiceGrpc.AgentServiceBlockingStub agents() {
    return AgentServiceGrpc.newBlockingStub(calls.channel);
  }

  /** Ends all calls and closes the connection. */
  @Override
  public void close() {
    calls.close();
  }

  private <Q, A> A call(MethodDescriptor<Q, A> method, Q request) {
    return calls.unary(method, request, timeout);
  }

  /** What a client is made of. */
  public static final class Builder {
    private final String address;
    private String apiKey;
    private ChannelCredentials credentials = InsecureChannelCredentials.create();
    private Duration timeout = Duration.ofSeconds(30);
    private RetryPolicy retry = RetryPolicy.DEFAULT;
    private Timers timers = Timers.SYSTEM;

    private Builder(String address) {
      this.address = address;
    }

    /** The API key, or the watch token, that every call carries. */
    public Builder apiKey(String key) {
      apiKey = key;
      return this;
    }

    /** TLS, with the files as they are now; else the client speaks plaintext. */
    public Builder tls(Tls tls) {
      credentials = tls.credentials();
      return this;
    }

    /** The deadline of a unary call, repeats included; 30 s unless it is given. */
    public Builder timeout(Duration timeout) {
      this.timeout = timeout;
      return this;
    }

    /** How patient it is. */
    public Builder retry(RetryPolicy retry) {
      this.retry = retry;
      return this;
    }

    Builder timers(Timers timers) {
      this.timers = timers;
      return this;
    }

    /** The client. It connects when it is first used. */
    public HfGatewayClient build() {
      // The gateway accepts a ping every 10 s on a connection without data; more often ends it with "Too many pings".
      ManagedChannel transport =
          Grpc.newChannelBuilder(address, credentials)
              .userAgent("hfgateway-client-java/" + VERSION)
              .keepAliveTime(20, TimeUnit.SECONDS)
              .keepAliveTimeout(10, TimeUnit.SECONDS)
              .keepAliveWithoutCalls(false)
              .disableRetry()
              .disableServiceConfigLookUp()
              .build();
      Channel channel = transport;
      if (apiKey != null && !apiKey.isEmpty()) {
        Metadata headers = new Metadata();
        headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + apiKey);
        channel = ClientInterceptors.intercept(transport, MetadataUtils.newAttachHeadersInterceptor(headers));
      }
      return new HfGatewayClient(new Calls(transport, channel, retry, timers), timeout);
    }
  }
}
