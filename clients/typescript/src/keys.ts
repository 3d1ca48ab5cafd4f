/** Idempotency keys: a call that is retried with the same key has one effect. */

import { GatewayError } from "./errors.js";

/** Returns a random UUID (version 4) to use as an idempotency key. Keep it for as long as you may need to retry. */
export function newIdempotencyKey(): string {
  // crypto.randomUUID() is missing in pages that were loaded over plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes.set([(bytes[6]! & 0x0f) | 0x40], 6);
  bytes.set([(bytes[8]! & 0x3f) | 0x80], 8);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Returns the response of a call, and sets the idempotency key in its error. */
export async function withKey<Answer>(idempotencyKey: string, answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof GatewayError) error.idempotencyKey = idempotencyKey;
    throw error;
  }
}

/**
 * Returns the result of following what a call has created, and sets the idempotency key in its error. What a function of
 * the caller throws, such as the one for the API key, becomes the cause of such an error; the reason of its signal does
 * not.
 */
export function following(
  idempotencyKey: string,
  follow: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const followed = follow().catch((thrown: unknown) => {
    if (signal?.aborted || thrown instanceof GatewayError) throw thrown;
    throw ofCaller(thrown);
  });
  return withKey(idempotencyKey, followed);
}

function ofCaller(cause: unknown): GatewayError {
  return new GatewayError(`a callback threw ${cause}`, { cause });
}

/** Returns a callback of the caller; what it throws becomes the cause of an error, which can have the key. */
export function reporting<Value>(callback: ((value: Value) => void) | undefined): (value: Value) => void {
  return (value) => {
    try {
      callback?.(value);
    } catch (cause) {
      throw ofCaller(cause);
    }
  };
}
