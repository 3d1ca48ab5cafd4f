/** Idempotency keys: what is done under one is done once, however often the answer gets lost. */

import { GatewayError } from "./errors.js";

/** A key for one thing that is meant, such as a generation; keep it for as long as you might ask again. */
export function newIdempotencyKey(): string {
  // crypto.randomUUID() is missing from pages that were loaded over plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes.set([(bytes[6]! & 0x0f) | 0x40], 6);
  bytes.set([(bytes[8]! & 0x3f) | 0x80], 8);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The answer to a call that was made under a key, which is put into its error. */
export async function withKey<Answer>(idempotencyKey: string, answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof GatewayError) error.idempotencyKey = idempotencyKey;
    throw error;
  }
}
