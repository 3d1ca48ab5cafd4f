/** `GatewayError`, the base class of all errors of the client, and `GenerationFailed`, that of generations. */

import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type ErrorReason, type Failure, FailureSchema, type FieldViolation } from "./gen/hfgateway/v1/error_pb.js";
import type { Generation } from "./gen/hfgateway/v1/generation_pb.js";
import type { GrpcCode } from "./names.js";

/**
 * The name of the gateway's reason; "" for an error of the transport. Later versions of the gateway may add reasons.
 */
export type ReasonName = Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | "" | (string & {});

/** The properties of an error. */
export interface ErrorFacts {
  code?: GrpcCode | undefined;
  reason?: ReasonName;
  failure?: Failure | undefined;
  cause?: unknown;
}

/**
 * Whether a status is of gRPC or a proxy: a stream was reset, or ended without a status. The gateway sends these codes
 * only with a reason.
 */
export function isBrokenConnection(code: GrpcCode | undefined, reason: ReasonName): boolean {
  return reason === "" && (code === "INTERNAL" || code === "UNKNOWN");
}

/**
 * A failed call: a status that the gateway returned, or an error of the transport. The base class of all errors here.
 */
export class GatewayError extends Error {
  override name = "GatewayError";
  /** The gRPC code; undefined if no call failed. */
  readonly code: GrpcCode | undefined;
  /** The gateway's reason, such as "QUOTA_EXCEEDED"; "" for an error of the transport. */
  readonly reason: ReasonName;
  /** The details that the gateway sent. */
  readonly failure: Failure;
  /** The key of a failed submission or creation. Retrying with this key never has a second effect. */
  idempotencyKey: string | undefined;
  /**
   * Whether the client cannot connect for a reason that a retry does not change: an unknown name, an untrusted
   * certificate, or a gateway without TLS. Only before the client has reached its gateway.
   */
  permanent = false;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.reason = facts.reason ?? "";
    this.failure = facts.failure ?? create(FailureSchema);
  }

  /** The fields that were refused. */
  get fieldViolations(): readonly FieldViolation[] {
    return this.failure.fieldViolations;
  }

  /** Whether the same input may succeed later. */
  get retryable(): boolean {
    const { code, reason } = this;
    const transient = code === "UNAVAILABLE" || code === "CANCELLED" || isBrokenConnection(code, reason);
    return this.failure.retryable || (transient && !this.permanent);
  }

  /** How long to wait before a retry, in milliseconds; undefined if it is not known. */
  get retryDelayMs(): number | undefined {
    return this.failure.retryDelay && durationMs(this.failure.retryDelay);
  }

  /** The variable parts of the message, such as "generation_id" and "limit". */
  get metadata(): Readonly<Record<string, string>> {
    return this.failure.metadata;
  }
}

/**
 * The error of `generate` for a generation that ended without output; `reason` has the reason. The calls themselves
 * succeeded.
 */
export class GenerationFailed extends GatewayError {
  override name = "GenerationFailed";
  /** The generation in its final state. */
  readonly generation: Generation;

  constructor(generation: Generation, message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.generation = generation;
    this.idempotencyKey = generation.idempotencyKey;
  }
}
