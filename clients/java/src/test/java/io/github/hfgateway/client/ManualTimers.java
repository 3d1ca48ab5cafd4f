package io.github.hfgateway.client;

import io.grpc.Deadline;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** A clock that advances only while the client sleeps, and by {@link #takes}. */
class ManualTimers extends Timers {
  /** The sleeps so far, in seconds. */
  final List<Double> slept = new CopyOnWriteArrayList<>();

  /** The remaining time of each call when it was made, in seconds. */
  final List<Double> remaining = new CopyOnWriteArrayList<>();

  private final AtomicLong now = new AtomicLong();
  private final double chance;

  ManualTimers(double chance) {
    this.chance = chance;
  }

  void takes(double seconds) {
    now.addAndGet(seconds(seconds).toNanos());
  }

  @Override
  long now() {
    return now.get();
  }

  @Override
  double chance() {
    return chance;
  }

  @Override
  void schedule(long nanos, Runnable task, Executor executor) {
    slept.add(nanos / 1e9);
    now.addAndGet(nanos);
    task.run();
  }

  /** Returns a distant deadline: real time must not end a call that has time left on this clock. */
  @Override
  Deadline deadline(long nanos) {
    remaining.add(nanos / 1e9);
    return Deadline.after(1, TimeUnit.HOURS);
  }

  static Duration seconds(double seconds) {
    return Duration.ofSeconds((long) seconds, Math.round(seconds % 1 * 1e9));
  }
}
