package io.github.hfgateway.client;

import io.grpc.Deadline;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Time and chance; tests bring their own. */
interface Timers {
  /** Further than anybody waits, and not so far that a sum overflows. */
  long NEVER = Long.MAX_VALUE / 4;

  /** Nanoseconds from some moment on, which was not long ago. */
  long now();

  /** From 0 to 1. */
  double chance();

  /** Returns after so long, or at once when the latch opens. */
  void sleep(long nanos, CountDownLatch until) throws InterruptedException;

  /** What gRPC ends a call at that has so much time left. */
  default Deadline deadline(long nanos) {
    return Deadline.after(nanos, TimeUnit.NANOSECONDS);
  }

  /** In nanoseconds; null is NEVER. */
  static long nanos(Duration duration) {
    return duration == null || duration.getSeconds() > NEVER / 1_000_000_000L ? NEVER : duration.toNanos();
  }

  /** Those of the machine. */
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
