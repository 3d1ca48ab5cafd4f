package io.github.hfgateway.client;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;

/**
 * Counts the failures since the last success. Decides how long to wait before the next attempt, and when to give up.
 */
final class Outage {
  private final Calls calls;
  private final long patience;
  private final long deadline;
  private final CountDownLatch ended;
  private int failures;
  private long began;
  private GatewayException last;

  /** Creates an outage whose sleeps end when {@code ended} opens. */
  Outage(Calls calls, long patience, long deadline, CountDownLatch ended) {
    this.calls = calls;
    this.patience = patience;
    this.deadline = deadline;
    this.ended = ended;
  }

  /** Ends the outage, after a message of the gateway. */
  void over() {
    failures = 0;
    last = null;
  }

  /** Sleeps until the next attempt. Throws the error at once if there is none. */
  void endure(GatewayException error) {
    error.at(calls.address, last);
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
    last = error;
    calls.onRetry.accept(error, Duration.ofNanos(delay));
    try {
      calls.timers.sleep(delay, ended);
    } catch (InterruptedException cause) {
      Thread.currentThread().interrupt();
      throw Errors.canceled("the thread was interrupted", cause);
    }
    // Otherwise gRPC waits before it reconnects: longer each time, and up to two minutes.
    calls.transport.resetConnectBackoff();
  }
}
