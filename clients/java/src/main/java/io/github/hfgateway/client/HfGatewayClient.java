package io.github.hfgateway.client;

import io.github.hfgateway.agents.v1alpha1.AgentServiceGrpc;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinWorkerThread;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A client of a gateway. It is thread-safe, and can be used for any number of concurrent calls. Every error is a
 * {@link GatewayException}.
 *
 * <p>A call ends with {@link GatewayException.Canceled} if its thread is interrupted, the gRPC Context in which it was
 * made is canceled, or the client is closed. The end of a call never cancels the generation; use {@link #cancel}.
 */
public final class HfGatewayClient extends BlockingClient implements AutoCloseable {
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

  private HfGatewayClient(AsyncHfGatewayClient async) {
    super(async);
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
    return new HfGatewayClient(async.withTimeout(timeout));
  }

  /**
   * Uploads bytes to Higgsfield's storage through the gateway; use the returned URL in an input.
   *
   * @param contentType the media type, such as "image/png"
   */
  public UploadMediaResponse upload(byte[] media, String contentType) {
    return Blocking.await(async.upload(Upload.of(media, contentType)));
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
   * retried, because the source may not be readable twice. Another thread reads the source, so that a source from which
   * nothing arrives delays neither the timeout nor the error of the gateway.
   *
   * @throws IOException if the source cannot be read
   */
  public UploadMediaResponse upload(Upload upload) throws IOException {
    return Blocking.await(async.upload(upload));
  }

  /** Returns the asynchronous client with the same connection. Closing one closes both. */
  public AsyncHfGatewayClient async() {
    return async;
  }

  /**
   * Returns the generated stub of Higgsfield's agents, with this connection and API key. It is gRPC's own stub: calls
   * have only the deadline set by {@code withDeadlineAfter}, are not retried, and throw gRPC's exceptions. Use its
   * {@code getChannel} to create other kinds of stubs. The API is v1alpha1, so it may change between versions.
   */
  public AgentServiceGrpc.AgentServiceBlockingStub agents() {
    return AgentServiceGrpc.newBlockingStub(async.calls.connection().channel);
  }

  /** Closes the connection. Calls in progress and later calls throw {@link GatewayException.ClientClosed}. */
  @Override
  public void close() {
    async.close();
  }

  /** The configuration of a client. */
  public static final class Builder {
    final String address;
    private Supplier<String> apiKey;
    private boolean keyChanges;
    private ChannelCredentials credentials;
    private boolean insecure;
    private Duration timeout = TIMEOUT;
    RetryPolicy retry = RetryPolicy.DEFAULT;
    BiConsumer<GatewayException, Duration> onRetry = (error, delay) -> {};
    Timers timers = new Timers();
    private Consumer<ManagedChannelBuilder<?>> configure = channel -> {};

    private Builder(String address, Map<String, String> environment) {
      this.address = address;
      apiKey(environment.getOrDefault("HFGATEWAY_API_KEY", ""));
    }

    /**
     * Sets the API key or watch token to send with every call; "" is none. Default: the environment variable
     * HFGATEWAY_API_KEY, or none.
     */
    public Builder apiKey(String key) {
      apiKey = key == null || key.isEmpty() ? null : () -> key;
      keyChanges = false;
      return this;
    }

    /** Sets where to get a key that changes; "" is none. It is called before each attempt, so it must be quick. */
    public Builder apiKey(Supplier<String> key) {
      apiKey = key;
      keyChanges = true;
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
      onRetry = Objects.requireNonNull(hook);
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
     * @throws IllegalArgumentException if the address is invalid, the key contains characters other than visible ASCII,
     *     or would be sent in plaintext to an address that is not a loopback address
     */
    public HfGatewayClient build() {
      return new HfGatewayClient(buildAsync());
    }

    /** Creates the asynchronous client, as {@link #build} does. */
    public AsyncHfGatewayClient buildAsync() {
      return new AsyncHfGatewayClient(new Calls(connection(), timeout));
    }

    private Connection connection() {
      if (apiKey != null && !keyChanges) {
        ApiKey.checked(apiKey.get());
      }
      if (apiKey != null && credentials == null && !insecure) {
        ApiKey.requireLoopback(address);
      }
      if (address.matches("https?://.*")) throw new IllegalArgumentException(address + " is not HOST:PORT");
      // With such a port a thread of gRPC dies, and calls wait for it.
      if (URI.create("//" + address.replaceFirst("^dns:(///)?", "")).getPort() > 65535) {
        throw new IllegalArgumentException("the port of " + address + " is above 65535");
      }
      Executor executor = executor();
      ManagedChannelBuilder<?> settings =
          Grpc.newChannelBuilder(address, credentials != null ? credentials : InsecureChannelCredentials.create())
              .executor(executor).userAgent("hfgateway-client-java/" + VERSION)
              .keepAliveTime(PING_AFTER.toSeconds(), TimeUnit.SECONDS)
              .keepAliveTimeout(PING_TIMEOUT.toSeconds(), TimeUnit.SECONDS)
              .keepAliveWithoutCalls(false).disableRetry().disableServiceConfigLookUp();
      configure.accept(settings);
      ManagedChannel transport = settings.build();
      Channel channel = apiKey == null ? transport : ClientInterceptors.intercept(transport, new ApiKey(apiKey));
      return new Connection(transport, channel, executor, this);
    }

    /**
     * Returns the threads of a client. They are few, however many calls there are, and end when they are idle. If
     * consumers wait for calls on them, a ForkJoinPool adds others, so that the calls can continue.
     */
    private static Executor executor() {
      ClassLoader loader = Thread.currentThread().getContextClassLoader();
      ForkJoinPool.ForkJoinWorkerThreadFactory named = pool -> {
        ForkJoinWorkerThread thread = ForkJoinPool.defaultForkJoinWorkerThreadFactory.newThread(pool);
        thread.setName("hfgateway-client-" + thread.getId()); // its index in the pool is not set yet
        thread.setContextClassLoader(loader); // not that of the JVM, in which frameworks find nothing
        return thread;
      };
      return new ForkJoinPool(Math.max(Runtime.getRuntime().availableProcessors(), 2), named, null, true);
    }
  }
}
