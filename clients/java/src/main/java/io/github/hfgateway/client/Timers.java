package io.github.hfgateway.client;

import io.grpc.Deadline;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** The clock, sleep and randomness of a client, which tests replace. */
interface Timers {
  /** A time that is never reached, small enough that sums do not overflow. */
  long NEVER = Long.MAX_VALUE / 4;

  /** Returns nanoseconds since a moment in the recent past. */
  long now();

  /** Returns a random number from 0 to 1. */
  double chance();

  /** Sleeps for {@code nanos}, or until the latch opens. */
  void sleep(long nanos, CountDownLatch until) throws InterruptedException;

  /** Returns the gRPC deadline of a call with this much time left. */
  default Deadline deadline(long nanos) {
    return Deadline.after(nanos, TimeUnit.NANOSECONDS);
  }

  /** Returns the duration in nanoseconds; null is NEVER. */
  static long nanos(Duration duration) {
    return duration == null || duration.getSeconds() > NEVER / 1_000_000_000L ? NEVER : duration.toNanos();
  }

  /** Timers of the system. */
  Timers SYSTEM =
      new Timers() {
        private static final long BEGAN = System.nanoTime();

        @Override
        public long now() {
          return System.nanoTime() - BEGAN;
        }

        @Override
        public double chance() {
          return ThreadLocalRandom.current().nextDouble();
        }

        @Override
        public void sleep(long nanos, CountDownLatch until) throws InterruptedException {
          until.await(nanos, TimeUnit.NANOSECONDS);
        }
      };
}
