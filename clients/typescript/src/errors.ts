/**
 * The errors of the client.
 *
 * Use the class or `reason` to make decisions; `message` is a text for people, which may change. There is one class for
 * each gRPC code, with a subclass for each reason of the gateway. Errors with a reason that is newer than this client,
 * and errors of the transport, have the class of their code.
 */

import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import { type ErrorReason, type Failure, FailureSchema, type FieldViolation } from "./gen/hfgateway/v1/error_pb.js";
import type { Generation } from "./gen/hfgateway/v1/generation_pb.js";
import type { GrpcCode } from "./names.js";

export type { GrpcCode };

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
    return this.failure.retryable || (this instanceof Unavailable && !this.permanent);
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

/** INVALID_ARGUMENT. The gateway's validation refused the request; see `fieldViolations`. */
export class InvalidInput extends GatewayError {
  override name = "InvalidInput";
}

/** Higgsfield refused the input. */
export class InputRefused extends InvalidInput {
  override name = "InputRefused";
}

/** UNAUTHENTICATED. The API key or watch token is missing, wrong, expired or revoked. */
export class InvalidCredentials extends GatewayError {
  override name = "InvalidCredentials";
}

/** PERMISSION_DENIED. The key or token may not make this call. */
export class NotAllowed extends GatewayError {
  override name = "NotAllowed";
}

/** The Higgsfield account does not have this feature. */
export class FeatureNotEnabled extends NotAllowed {
  override name = "FeatureNotEnabled";
}

/** NOT_FOUND. The object does not exist, or belongs to another tenant. */
export class NotFound extends GatewayError {
  override name = "NotFound";
}

/** Higgsfield, or the catalog, does not know the model. */
export class ModelUnknown extends NotFound {
  override name = "ModelUnknown";
}

/** FAILED_PRECONDITION. The state of the object does not allow the call. */
export class PreconditionFailed extends GatewayError {
  override name = "PreconditionFailed";
}

/** The idempotency key belongs to another input, or to a deleted generation. */
export class KeyReused extends PreconditionFailed {
  override name = "KeyReused";
}

/** It is too late to cancel, or Higgsfield cannot; `metadata.state` has the state. */
export class NotCancelable extends PreconditionFailed {
  override name = "NotCancelable";
}

/** The generation has not ended. */
export class NotDone extends PreconditionFailed {
  override name = "NotDone";
}

/** Higgsfield has disabled or blocked the model. */
export class ModelUnavailable extends PreconditionFailed {
  override name = "ModelUnavailable";
}

/** RESOURCE_EXHAUSTED. A limit was reached. */
export class ResourceExhausted extends GatewayError {
  override name = "ResourceExhausted";
}

/** The tenant has reached a limit; `retryDelayMs` is set if waiting helps. */
export class QuotaExceeded extends ResourceExhausted {
  override name = "QuotaExceeded";
}

/** The Higgsfield account has not enough credits. */
export class InsufficientCredits extends ResourceExhausted {
  override name = "InsufficientCredits";
}

/** Higgsfield is saturated, and the caller set `failWhenSaturated`. */
export class UpstreamSaturated extends ResourceExhausted {
  override name = "UpstreamSaturated";
}

/** The gateway is overloaded, or its queue is full. The call had no effect. */
export class GatewayOverloaded extends ResourceExhausted {
  override name = "GatewayOverloaded";
}

/** UNAVAILABLE. The gateway, or something it needs, is not available. The call can be retried unchanged. */
export class Unavailable extends GatewayError {
  override name = "Unavailable";
}

/** Higgsfield sent no usable response. */
export class UpstreamUnavailable extends Unavailable {
  override name = "UpstreamUnavailable";
}

/** The gateway is shutting down, or its store is not available. */
export class GatewayUnavailable extends Unavailable {
  override name = "GatewayUnavailable";
}

/** ABORTED. The call was aborted; see the subclasses. */
export class Aborted extends GatewayError {
  override name = "Aborted";
}

/**
 * The request was sent, but its outcome is unknown. Repeating it with the same key finds the outcome, and never has a
 * second effect.
 */
export class SubmissionUnresolved extends Aborted {
  override name = "SubmissionUnresolved";
}

/** An agent's session is busy with another turn. */
export class SessionBusy extends Aborted {
  override name = "SessionBusy";
}

/** INTERNAL. A defect of the gateway; the message has the id of the incident. */
export class InternalError extends GatewayError {
  override name = "InternalError";
}

/** Higgsfield refuses the gateway's credentials. The operator of the gateway must act. */
export class UpstreamCredentialsRefused extends InternalError {
  override name = "UpstreamCredentialsRefused";
}

/** DEADLINE_EXCEEDED. The call timed out. The generation, if any, continues. */
export class DeadlineExceeded extends GatewayError {
  override name = "DeadlineExceeded";
}

/** The client was closed before or during the call. A submitted generation continues. */
export class ClientClosed extends GatewayError {
  override name = "ClientClosed";

  constructor() {
    super("the client is closed", { code: "CANCELLED" });
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

/** The generation failed before Higgsfield accepted it. It was not charged, and its key can be used again. */
export class GenerationRefused extends GenerationFailed {
  override name = "GenerationRefused";
}

/** Higgsfield's moderation refused the generation. It was not charged. */
export class GenerationModerated extends GenerationFailed {
  override name = "GenerationModerated";
}

/** A caller canceled the generation, or the gateway did after a timeout. It was not charged. */
export class GenerationCanceled extends GenerationFailed {
  override name = "GenerationCanceled";
}

/** The outcome of the generation cannot be determined. It may have been charged. */
export class GenerationLost extends GenerationFailed {
  override name = "GenerationLost";
}

/**
 * The error of `trainCharacter` for a character whose training failed; `reason` has the reason. The calls themselves
 * succeeded.
 */
export class TrainingFailed extends GatewayError {
  override name = "TrainingFailed";
  /** The character in its final state. */
  readonly character: SoulCharacter;

  constructor(character: SoulCharacter, message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.character = character;
  }
}
