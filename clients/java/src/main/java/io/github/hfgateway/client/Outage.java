package io.github.hfgateway.client;

import java.util.concurrent.CountDownLatch;

/** Counts the failures since the last success: how long to wait before the next attempt, and when to give up. */
final class Outage {
  private final Calls calls;
  private final long patience;
  private final long deadline;
  private final CountDownLatch ended;
  private int failures;
  private long began;

  /** Nobody waits after {@code ended} has opened. */
  Outage(Calls calls, long patience, long deadline, CountDownLatch ended) {
    this.calls = calls;
    this.patience = patience;
    this.deadline = deadline;
    this.ended = ended;
  }

  /** The gateway has answered. */
  void over() {
    failures = 0;
  }

  /** Returns when another attempt is due; throws the error, at once, where none is. */
  void endure(GatewayException error) {
    if (!RetryPolicy.mayRepeat(error)) {
      throw error;
    }
    long now = calls.timers.now();
    if (failures == 0) {
      began = now;
    }
    failures++;
    long delay = calls.policy.delay(failures, error, calls.timers.chance());
    if (now + delay >= Math.min(began + patience, deadline)) {
      throw error;
    }
    try {
      calls.timers.sleep(delay, ended);
    } catch (InterruptedException cause) {
      Thread.currentThread().interrupt();
      throw Errors.canceled("the thread was interrupted", cause);
    }
    // gRPC would wait on its own before it connects again: for longer each time, and for up to two minutes.
    calls.transport.resetConnectBackoff();
  }
}
