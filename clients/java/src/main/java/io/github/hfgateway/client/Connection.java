package io.github.hfgateway.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ConnectivityState;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;

/** A connection to a gateway: what the calls of a client have in common. */
final class Connection {
  final ManagedChannel transport;
  /** The transport with the key. */
  final Channel channel;

  final String address;
  final RetryPolicy policy;
  final BiConsumer<GatewayException, Duration> onRetry;
  final Timers timers;
  final Executor executor;

  private final Set<CompletableFuture<?>> promises = ConcurrentHashMap.newKeySet();
  /** Whether the gateway has responded: from then on, a failure to connect is no mistake in the client's options. */
  volatile boolean reached;

  /** Whether the last lookup of the gateway's name failed for the moment. */
  private volatile boolean momentary;

  private volatile boolean closed;

  /** The number of changes of the transport's state. */
  private volatile long changes;

  Connection(ManagedChannel transport, Channel channel, Executor executor, HfGatewayClient.Builder settings) {
    this.transport = transport;
    this.channel = channel;
    this.executor = executor;
    this.address = settings.address;
    this.policy = settings.retry;
    this.onRetry = settings.onRetry;
    this.timers = settings.timers;
    watchState();
  }

  /**
   * Connects again if a gateway or proxy has accepted a connection and then sends nothing. gRPC has no timeout for that,
   * and sends pings only when the connection is ready. The calls that wait for the connection continue.
   */
  private void watchState() {
    ConnectivityState state = transport.getState(false);
    long change = ++changes;
    if (state == ConnectivityState.CONNECTING) {
      Executor later = CompletableFuture.delayedExecutor(timers.connectWithin(), TimeUnit.NANOSECONDS, executor);
      later.execute(() -> {
        if (changes == change) {
          transport.enterIdle();
        }
      });
    }
    transport.notifyWhenStateChanged(state, this::watchState);
  }

  /** Returns a future that fails when the client is closed. */
  <T> CompletableFuture<T> promise() {
    CompletableFuture<T> promise = new CompletableFuture<>();
    promises.add(promise);
    promise.whenComplete((result, error) -> promises.remove(promise));
    if (closed) {
      promise.completeExceptionally(Errors.closed(null));
    }
    return promise;
  }

  CallOptions options(long deadline) {
    return deadline >= Timers.NEVER ? CallOptions.DEFAULT
        : CallOptions.DEFAULT.withDeadline(timers.deadline(Math.max(deadline - timers.now(), 0)));
  }

  /**
   * Returns the end of a timeout that begins now, or the earlier deadline of the caller's Context, on the clock of the
   * timers.
   */
  long deadline(Duration timeout) {
    long nanos = Timers.nanos(timeout);
    Deadline outer = Context.current().getDeadline();
    if (outer != null) {
      nanos = Math.min(nanos, outer.timeRemaining(TimeUnit.NANOSECONDS));
    }
    return nanos >= Timers.NEVER ? Timers.NEVER : timers.now() + nanos;
  }

  /** Returns the time until a deadline; null is no limit. */
  Duration left(long deadline) {
    return deadline >= Timers.NEVER ? null : Duration.ofNanos(Math.max(deadline - timers.now(), 0));
  }

  /** Returns a future that completes after a delay, in the caller's Context. */
  CompletableFuture<Void> delay(Duration delay) {
    CompletableFuture<Void> over = new CompletableFuture<>();
    Runnable end = () -> over.complete(null);
    timers.schedule(Timers.nanos(delay), Context.current().wrap(end), executor);
    return over;
  }

  /** Returns the typed error: {@link GatewayException.Canceled} if the caller ended the call. */
  GatewayException error(Status status, Metadata trailers, Context context) {
    Throwable cause = status.asRuntimeException(trailers);
    boolean canceled = status.getCode() == Status.Code.CANCELLED;
    if (closed && (canceled || status.getCode() == Status.Code.UNAVAILABLE)) {
      return Errors.closed(cause);
    }
    if (canceled && context.isCancelled()) {
      return Errors.canceled("the Context was canceled", cause);
    }
    GatewayException error = Errors.ofCall(status, trailers, cause);
    reached |= !error.reason().isEmpty();
    momentary = error.at(address, reached, momentary);
    return error;
  }

  /** Ends all calls. */
  void close() {
    closed = true;
    transport.shutdownNow();
    promises.forEach(promise -> promise.completeExceptionally(Errors.closed(null)));
  }
}
