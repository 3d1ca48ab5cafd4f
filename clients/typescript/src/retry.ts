/**
 * When to retry a call, and after how long. Pure: the caller supplies the clock and sleeps.
 *
 * A call is retried unchanged, a submission with the same key, and only if the API guarantees that a retry has no
 * second effect. These errors are retried:
 * - UNAVAILABLE, which is also the error of a lost response.
 * - INTERNAL and UNKNOWN without a reason, which are the errors of a stream that a proxy has cut off.
 * - CANCELLED that the caller did not cause. A server that shuts down returns it for calls that it has not started.
 * - GATEWAY_OVERLOADED: the gateway refused the call before it did anything.
 * - SUBMISSION_UNRESOLVED: the same submission finds out what happened.
 *
 * The transports do not retry.
 */

import { GatewayError, GatewayOverloaded, SubmissionUnresolved, Unavailable } from "./errors.js";

/** How long a client retries. Times are in milliseconds. */
export interface RetryPolicy {
  /**
   * The delay before the first retry, if the error has no `retryDelayMs`. It doubles with each consecutive failure up
   * to `maxDelayMs`, and is multiplied by a random factor of 0.5 to 1. Default: 200.
   */
  readonly firstDelayMs: number;
  /** The longest delay. Default: 10 000. */
  readonly maxDelayMs: number;
  /** How long a unary call is retried. Default: Infinity, until its deadline. */
  readonly repeatCallsForMs: number;
  /** How long the gateway may be unavailable in a row before a watch fails with the last error. Default: 120 000. */
  readonly resumeWatchesForMs: number;
}

/** The defaults of `RetryPolicy`. */
export const DEFAULT_POLICY: RetryPolicy = {
  firstDelayMs: 200,
  maxDelayMs: 10_000,
  repeatCallsForMs: Number.POSITIVE_INFINITY,
  resumeWatchesForMs: 120_000,
};

/** Returns a complete policy. An option that is undefined has its default. */
export function policyOf(given: Partial<RetryPolicy> = {}): RetryPolicy {
  return {
    firstDelayMs: given.firstDelayMs ?? DEFAULT_POLICY.firstDelayMs,
    maxDelayMs: given.maxDelayMs ?? DEFAULT_POLICY.maxDelayMs,
    repeatCallsForMs: given.repeatCallsForMs ?? DEFAULT_POLICY.repeatCallsForMs,
    resumeWatchesForMs: given.resumeWatchesForMs ?? DEFAULT_POLICY.resumeWatchesForMs,
  };
}

/**
 * Returns the delay before the next attempt: the one that the gateway asked for, or else an exponential one with
 * jitter.
 *
 * @param failures - consecutive failures, from 1
 * @param retryDelayMs - the delay that the gateway asked for, if any
 * @param chance - a random number from 0 to 1
 */
export function delayMs(
  policy: RetryPolicy,
  failures: number,
  retryDelayMs: number | undefined,
  chance: number,
): number {
  if (retryDelayMs !== undefined && retryDelayMs > 0) return retryDelayMs; // the gateway has added jitter already
  const full = Math.min(policy.firstDelayMs * 2 ** (failures - 1), policy.maxDelayMs);
  return full * (0.5 + chance / 2);
}

/** Whether the call can be retried without a second effect, and may succeed then. */
export function mayRepeat(error: unknown): error is GatewayError {
  if (error instanceof GatewayError && error.permanent) return false;
  return error instanceof Unavailable || error instanceof GatewayOverloaded || error instanceof SubmissionUnresolved;
}
