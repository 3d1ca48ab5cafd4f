/**
 * A submission that the user wants once.
 *
 * Its idempotency key is made when the user submits, and stored in the tab before anything is sent. The input belongs
 * to the key. Until the outcome is known, the same input is only ever sent with the same key, after a reload as well, so
 * that it is charged at most once. The outcome is known when the gateway returns the generation, when it refuses the
 * input, which frees the key, or when it says that it has no generation with the key.
 */

import { GatewayError, type Input, newIdempotencyKey } from "@hfgateway/client/browser";
import { withoutTypes } from "./format.js";

const KEPT_AS = "hfgateway.submission";

export interface Intent {
  readonly key: string;
  readonly input: Input;
  readonly labels: Readonly<Record<string, string>>;
  /** The id of the API key that it was submitted with. Another tenant's key does not find it. */
  readonly keyId: string;
}

/** Returns the submission of this tab whose outcome is not known. */
export function pendingIntent(): Intent | undefined {
  const kept = sessionStorage.getItem(KEPT_AS);
  return kept ? (JSON.parse(kept) as Intent) : undefined;
}

/** Makes a submission with a key, and stores it. */
export function newIntent(input: Input, labels: Readonly<Record<string, string>>, keyId: string): Intent {
  const intent = { key: newIdempotencyKey(), input, labels, keyId };
  sessionStorage.setItem(KEPT_AS, withoutTypes(intent));
  return intent;
}

/** Forgets the submission, because its outcome is known. */
export function endIntent(): void {
  sessionStorage.removeItem(KEPT_AS);
}

/**
 * Reasons that depend on the input or the API key alone, so that an earlier attempt was refused as well, or that the gateway
 * gives after it has looked up the idempotency key.
 */
const REFUSALS = new Set([
  "INVALID_INPUT",
  "NOT_ALLOWED",
  "QUOTA_EXCEEDED",
  "BUDGET_EXCEEDED",
  "PRICE_UNKNOWN",
  "INPUT_REFUSED",
  "MODEL_UNKNOWN",
  "MODEL_UNAVAILABLE",
  "INSUFFICIENT_CREDITS",
  "UPSTREAM_CREDENTIALS_REFUSED",
]);

/** Whether the error proves that nothing was submitted with the key, if every attempt used the API key in use. */
export function isRefusal(error: unknown): boolean {
  return error instanceof GatewayError && REFUSALS.has(error.reason);
}
