package io.github.hfgateway.client;

import io.grpc.Deadline;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** The clock, delays and randomness of a client, which tests replace. */
class Timers {
  /** A time that is never reached, small enough that sums do not overflow. */
  static final long NEVER = Long.MAX_VALUE / 4;

  private static final long BEGAN = System.nanoTime();

  /** Returns nanoseconds since a moment in the recent past. */
  long now() {
    return System.nanoTime() - BEGAN;
  }

  /** Returns a random number from 0 to 1. */
  double chance() {
    return ThreadLocalRandom.current().nextDouble();
  }

  /** Runs a task after {@code nanos}. */
  void schedule(long nanos, Runnable task, Executor executor) {
    CompletableFuture.delayedExecutor(nanos, TimeUnit.NANOSECONDS, executor).execute(task);
  }

  /** Returns the nanoseconds in which a connection must be ready. */
  long connectWithin() {
    return TimeUnit.SECONDS.toNanos(10);
  }

  /** Returns the gRPC deadline of a call with this much time left. */
  Deadline deadline(long nanos) {
    return Deadline.after(nanos, TimeUnit.NANOSECONDS);
  }

  /** Returns the duration in nanoseconds, from -NEVER to NEVER; null is NEVER. */
  static long nanos(Duration duration) {
    long most = NEVER / 1_000_000_000L;
    long seconds = duration == null ? NEVER : duration.getSeconds();
    return seconds > most ? NEVER : seconds < -most ? -NEVER : duration.toNanos();
  }
}
