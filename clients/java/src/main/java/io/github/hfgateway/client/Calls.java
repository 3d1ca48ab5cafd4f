package io.github.hfgateway.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;

/** Calls with credentials, deadlines and retries. */
final class Calls {
  final ManagedChannel transport;
  /** The transport with credentials. */
  final Channel channel;

  final String address;
  final RetryPolicy policy;
  final BiConsumer<GatewayException, Duration> onRetry;
  final Timers timers;

  private final CountDownLatch closed = new CountDownLatch(1);
  private final Set<Watch<?>> watches = ConcurrentHashMap.newKeySet();

  Calls(
      ManagedChannel transport,
      Channel channel,
      String address,
      RetryPolicy policy,
      BiConsumer<GatewayException, Duration> onRetry,
      Timers timers) {
    this.transport = transport;
    this.channel = channel;
    this.address = address;
    this.policy = policy;
    this.onRetry = onRetry;
    this.timers = timers;
  }

  /**
   * Makes a unary call, and returns the response or throws the typed error. Retries it within the timeout, which covers
   * all attempts.
   */
  <Q, A> A unary(MethodDescriptor<Q, A> method, Q request, Duration timeout) {
    long deadline = deadline(timeout);
    Outage outage = new Outage(this, Timers.nanos(policy.repeatCallsFor()), deadline, closed);
    while (true) {
      checkOpen();
      try {
        return ClientCalls.blockingUnaryCall(channel, method, options(deadline), request);
      } catch (StatusRuntimeException cause) {
        outage.endure(error(cause));
      }
    }
  }

  /** Makes a unary call once. */
  <Q, A> A once(MethodDescriptor<Q, A> method, Q request, Duration timeout) {
    checkOpen();
    try {
      return ClientCalls.blockingUnaryCall(channel, method, options(deadline(timeout)), request);
    } catch (StatusRuntimeException cause) {
      throw error(cause);
    }
  }

  /** Returns a watch, which ends with the client. */
  <Q, M, E> Watch<E> watch(Watch.Source<Q, M, E> source, Duration timeout) {
    Watch<E> watch = new Watch<>(this, source, deadline(timeout));
    watches.add(watch);
    if (isClosed()) {
      watch.abort();
    }
    return watch;
  }

  void ended(Watch<?> watch) {
    watches.remove(watch);
  }

  CallOptions options(long deadline) {
    return deadline >= Timers.NEVER
        ? CallOptions.DEFAULT
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
      nanos = Math.min(nanos, Math.max(outer.timeRemaining(TimeUnit.NANOSECONDS), 0));
    }
    return nanos >= Timers.NEVER ? Timers.NEVER : timers.now() + nanos;
  }

  /** Returns the typed error: {@link GatewayException.Canceled} if the caller ended the call. */
  GatewayException error(StatusRuntimeException cause) {
    switch (cause.getStatus().getCode()) {
      case CANCELLED, UNAVAILABLE -> {
        if (isClosed()) {
          return Errors.canceled("the client is closed", cause);
        }
        if (Thread.currentThread().isInterrupted()) {
          return Errors.canceled("the thread was interrupted", cause);
        }
        if (Context.current().isCancelled() && cause.getStatus().getCode() == Status.Code.CANCELLED) {
          return Errors.canceled("the Context was canceled", cause);
        }
      }
      default -> {}
    }
    return Errors.ofCall(cause.getStatus(), cause.getTrailers(), cause).at(address, null);
  }

  /** Sleeps, but not longer than the client is open. */
  void sleep(long nanos) {
    try {
      timers.sleep(nanos, closed);
    } catch (InterruptedException cause) {
      Thread.currentThread().interrupt();
      throw Errors.canceled("the thread was interrupted", cause);
    }
  }

  /** Throws if the client is closed, perhaps during a sleep. */
  void checkOpen() {
    if (isClosed()) {
      throw Errors.canceled("the client is closed", null);
    }
  }

  boolean isClosed() {
    return closed.getCount() == 0;
  }

  void close() {
    closed.countDown();
    transport.shutdownNow();
    watches.forEach(Watch::abort);
    try {
      // The shutdown continues in the background if it takes longer.
      transport.awaitTermination(1, TimeUnit.SECONDS);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
