package io.github.hfgateway.client;

import java.time.Duration;

/**
 * How patient a client is.
 *
 * @param firstDelay before the first repeat; twice as long with each failure in a row
 * @param maxDelay and not longer than this
 * @param repeatCallsFor no more repeats of a unary call after so long; null: until its deadline
 * @param resumeWatchesFor a watch ends with the last error when the gateway was away for so long
 */
public record RetryPolicy(
    Duration firstDelay, Duration maxDelay, Duration repeatCallsFor, Duration resumeWatchesFor) {

  /** What every client has that is given no other. */
  public static final RetryPolicy DEFAULT =
      new RetryPolicy(Duration.ofMillis(200), Duration.ofSeconds(10), null, Duration.ofSeconds(120));

  /** The same, but for this. */
  public RetryPolicy withRepeatCallsFor(Duration patience) {
    return new RetryPolicy(firstDelay, maxDelay, patience, resumeWatchesFor);
  }

  /** The same, but for this. */
  public RetryPolicy withResumeWatchesFor(Duration patience) {
    return new RetryPolicy(firstDelay, maxDelay, repeatCallsFor, patience);
  }

  /** Nanoseconds before the next attempt, after so many failures in a row; chance is 0 to 1. */
  long delay(int failures, GatewayException error, double chance) {
    long asked = error.retryDelay().map(Duration::toNanos).orElse(0L);
    if (asked > 0) {
      return asked; // the gateway has spread it already
    }
    double full = Math.min(firstDelay.toNanos() * Math.pow(2, Math.min(failures - 1, 32)), maxDelay.toNanos());
    return (long) (full * (0.5 + chance / 2));
  }

  /**
   * Whether the same call may be made again without doing anything twice, and has a chance: after UNAVAILABLE (an answer
   * that was lost arrives as that), after CANCELLED (which a server makes of calls that it has not taken up when it
   * ends), after a refusal to even look at it, and after SUBMISSION_UNRESOLVED, which asks for it.
   */
  static boolean mayRepeat(GatewayException error) {
    return error instanceof GatewayException.Unavailable
        || error instanceof GatewayException.GatewayOverloaded
        || error instanceof GatewayException.SubmissionUnresolved;
  }
}
