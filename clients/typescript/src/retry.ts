/**
 * When a call is made again, and how long to wait before it. Pure: who uses it brings the clock and the sleep.
 *
 * A call is repeated as it is, a submit with the same key, and only where the gateway's contract says that nothing is
 * done twice: after UNAVAILABLE (an answer that was lost arrives as that), after CANCELLED (which a server makes of calls
 * that it has not taken up when it ends), after a refusal to even look at it (GATEWAY_OVERLOADED), and after
 * SUBMISSION_UNRESOLVED, which asks for it. There is one mechanism: no transport repeats.
 */

import { GatewayOverloaded, SubmissionUnresolved, Unavailable } from "./errors.js";

/** How patient a client is, in milliseconds. */
export interface RetryPolicy {
  /** Before the first repeat; doubled with each failure in a row. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** No more repeats of a unary call after so long; Infinity: until its deadline. */
  readonly repeatCallsForMs: number;
  /** A watch ends with the last error when the gateway was away for so long. */
  readonly resumeWatchesForMs: number;
}

export const DEFAULT_POLICY: RetryPolicy = {
  firstDelayMs: 200,
  maxDelayMs: 10_000,
  repeatCallsForMs: Number.POSITIVE_INFINITY,
  resumeWatchesForMs: 120_000,
};

/**
 * Before the next attempt: what the gateway asked for, else twice as long each time, with jitter.
 *
 * `failures` counts the attempts that failed in a row, from 1; `chance` is 0 to 1.
 */
export function delayMs(
  policy: RetryPolicy,
  failures: number,
  retryDelayMs: number | undefined,
  chance: number,
): number {
  if (retryDelayMs) return retryDelayMs; // the gateway has spread it already
  const full = Math.min(policy.firstDelayMs * 2 ** (failures - 1), policy.maxDelayMs);
  return full * (0.5 + chance / 2);
}

/** Whether the same call may be made again without doing anything twice, and has a chance. */
export function mayRepeat(error: unknown): boolean {
  return error instanceof Unavailable || error instanceof GatewayOverloaded || error instanceof SubmissionUnresolved;
}
