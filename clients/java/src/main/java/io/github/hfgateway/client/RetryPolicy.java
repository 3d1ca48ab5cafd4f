package io.github.hfgateway.client;

import java.time.Duration;

/**
 * When and for how long a client retries.
 *
 * @param firstDelay the delay before the first retry, if the error has no retry delay. It doubles with each consecutive
 *     failure, and is multiplied by a random factor of 0.5 to 1. Default: 200 ms
 * @param maxDelay the longest delay. Default: 10 s
 * @param repeatCallsFor how long a unary call is retried. Default: null, until its deadline
 * @param resumeWatchesFor how long the gateway may be unavailable in a row before a watch fails with the last error.
 *     Default: 120 s
 */
public record RetryPolicy(
    Duration firstDelay, Duration maxDelay, Duration repeatCallsFor, Duration resumeWatchesFor) {

  /** The default policy. */
  public static final RetryPolicy DEFAULT =
      new RetryPolicy(Duration.ofMillis(200), Duration.ofSeconds(10), null, Duration.ofSeconds(120));

  /** Returns the same policy with another {@code repeatCallsFor}. */
  public RetryPolicy withRepeatCallsFor(Duration patience) {
    return new RetryPolicy(firstDelay, maxDelay, patience, resumeWatchesFor);
  }

  /** Returns the same policy with another {@code resumeWatchesFor}. */
  public RetryPolicy withResumeWatchesFor(Duration patience) {
    return new RetryPolicy(firstDelay, maxDelay, repeatCallsFor, patience);
  }

  /**
   * Returns the nanoseconds before the next attempt. {@code failures} counts consecutive failures; {@code chance} is
   * from 0 to 1.
   */
  long delay(int failures, GatewayException error, double chance) {
    long asked = error.retryDelay().map(Timers::nanos).orElse(0L);
    if (asked > 0) {
      return asked; // the gateway has added jitter already
    }
    double full = Math.min(Timers.nanos(firstDelay) * Math.pow(2, failures - 1), Timers.nanos(maxDelay));
    return (long) (full * (0.5 + chance / 2));
  }

  /**
   * Returns whether the call can be retried without a second effect, and may succeed then. These errors are retried:
   * UNAVAILABLE, which is also the error of a lost response, unless its cause is a mistake in the client's options;
   * INTERNAL and UNKNOWN without a reason, which gRPC reports for a stream that a proxy has cut off;
   * CANCELLED that the caller did not cause, which a server that shuts down returns for calls that it has not started;
   * GATEWAY_OVERLOADED, before which nothing was done; and SUBMISSION_UNRESOLVED, after which the same submission finds
   * out what happened.
   */
  static boolean mayRepeat(GatewayException error) {
    return (error instanceof GatewayException.Unavailable && !error.mistake)
        || error instanceof GatewayException.GatewayOverloaded
        || error instanceof GatewayException.SubmissionUnresolved;
  }
}
