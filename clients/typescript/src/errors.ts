/**
 * Every way in which a call, or a generation, can go wrong, as one class each.
 *
 * Decide by the class or by `reason`; `message` is for people and may change. There is one class for each gRPC code, and
 * below it one for each reason that the gateway gives; a reason that is newer than this file, and an error that the
 * transport made itself, get the class of their code.
 */

import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import { type ErrorReason, type Failure, FailureSchema, type FieldViolation } from "./gen/hfgateway/v1/error_pb.js";
import type { Generation } from "./gen/hfgateway/v1/generation_pb.js";
import type { GrpcCode } from "./names.js";

export type { GrpcCode };

/** The gateway's word for what went wrong; "" where the transport made the error; a gateway may be newer than this. */
export type ReasonName = Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | "" | (string & {});

/** What an error is made of. */
export interface ErrorFacts {
  code?: GrpcCode | undefined;
  reason?: ReasonName;
  failure?: Failure | undefined;
  cause?: unknown;
}

/** A call that the gateway, or the way to it, did not carry out; the base of all errors here. */
export class GatewayError extends Error {
  override name = "GatewayError";
  /** The gRPC code; undefined where no call failed. */
  readonly code: GrpcCode | undefined;
  /** Such as "QUOTA_EXCEEDED"; "" for an error of the transport. */
  readonly reason: ReasonName;
  /** All that the gateway told, as it told it. */
  readonly failure: Failure;
  /** The key of a submit or creation that failed: repeat with it, and nothing is done twice. */
  idempotencyKey: string | undefined;

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
    return this.failure.retryable || this instanceof Unavailable;
  }

  /** How long to wait before that, where it is known. */
  get retryDelayMs(): number | undefined {
    return this.failure.retryDelay && durationMs(this.failure.retryDelay);
  }

  /** The variable parts of the message, such as "generation_id" and "limit". */
  get metadata(): Readonly<Record<string, string>> {
    return this.failure.metadata;
  }
}

/** INVALID_ARGUMENT. The gateway's own check refused the request; `fieldViolations` names the fields. */
export class InvalidInput extends GatewayError {
  override name = "InvalidInput";
}

/** Higgsfield's check refused the input. */
export class InputRefused extends InvalidInput {
  override name = "InputRefused";
}

/** UNAUTHENTICATED. No API key, or one that is wrong, expired or revoked. */
export class InvalidCredentials extends GatewayError {
  override name = "InvalidCredentials";
}

/** PERMISSION_DENIED. The API key or token may not do this. */
export class NotAllowed extends GatewayError {
  override name = "NotAllowed";
}

/** The Higgsfield account does not have this feature. */
export class FeatureNotEnabled extends NotAllowed {
  override name = "FeatureNotEnabled";
}

/** NOT_FOUND. It does not exist, or belongs to another tenant. */
export class NotFound extends GatewayError {
  override name = "NotFound";
}

/** Higgsfield does not know the model. */
export class ModelUnknown extends NotFound {
  override name = "ModelUnknown";
}

/** FAILED_PRECONDITION. Not in the state that it is in. */
export class PreconditionFailed extends GatewayError {
  override name = "PreconditionFailed";
}

/** The idempotency key stands for a different input, or for a deleted generation. */
export class KeyReused extends PreconditionFailed {
  override name = "KeyReused";
}

/** Too late to cancel, or Higgsfield cannot; `metadata.state` names the state. */
export class NotCancelable extends PreconditionFailed {
  override name = "NotCancelable";
}

/** It has not ended yet. */
export class NotDone extends PreconditionFailed {
  override name = "NotDone";
}

/** The model is disabled or blocked at Higgsfield. */
export class ModelUnavailable extends PreconditionFailed {
  override name = "ModelUnavailable";
}

/** RESOURCE_EXHAUSTED. A limit was reached. */
export class ResourceExhausted extends GatewayError {
  override name = "ResourceExhausted";
}

/** The tenant's own limit; `retryDelayMs` is set where time helps. */
export class QuotaExceeded extends ResourceExhausted {
  override name = "QuotaExceeded";
}

/** The Higgsfield account has no credits left. */
export class InsufficientCredits extends ResourceExhausted {
  override name = "InsufficientCredits";
}

/** Higgsfield is full, and the caller asked not to queue. */
export class UpstreamSaturated extends ResourceExhausted {
  override name = "UpstreamSaturated";
}

/** The gateway sheds load, or its queue is full; nothing was done. */
export class GatewayOverloaded extends ResourceExhausted {
  override name = "GatewayOverloaded";
}

/** UNAVAILABLE. Not reachable, or not now. The same call may be repeated as it is. */
export class Unavailable extends GatewayError {
  override name = "Unavailable";
}

/** Higgsfield does not answer, or not sensibly. */
export class UpstreamUnavailable extends Unavailable {
  override name = "UpstreamUnavailable";
}

/** The gateway is draining, or its store is away. */
export class GatewayUnavailable extends Unavailable {
  override name = "GatewayUnavailable";
}

/** ABORTED. Given up half way; see the subclasses. */
export class Aborted extends GatewayError {
  override name = "Aborted";
}

/** Sent, and no answer came: the same submit with the same key finds out, and never does it twice. */
export class SubmissionUnresolved extends Aborted {
  override name = "SubmissionUnresolved";
}

/** An agent's session is busy with another turn. */
export class SessionBusy extends Aborted {
  override name = "SessionBusy";
}

/** INTERNAL. A defect of the gateway; the message names the incident. */
export class InternalError extends GatewayError {
  override name = "InternalError";
}

/** Higgsfield refuses the gateway's credentials: its operator must act. */
export class UpstreamCredentialsRefused extends InternalError {
  override name = "UpstreamCredentialsRefused";
}

/** DEADLINE_EXCEEDED. The call's own time ran out. What it was about goes on. */
export class DeadlineExceeded extends GatewayError {
  override name = "DeadlineExceeded";
}

/** What `generate` rejects with where a generation ended without output; `reason` says why, and no call failed. */
export class GenerationFailed extends GatewayError {
  override name = "GenerationFailed";
  /** All about it. */
  readonly generation: Generation;

  constructor(generation: Generation, message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.generation = generation;
    this.idempotencyKey = generation.idempotencyKey;
  }
}

/** Never accepted by Higgsfield: nothing was charged, and the key is free again. */
export class GenerationRefused extends GenerationFailed {
  override name = "GenerationRefused";
}

/** Refused by moderation; not charged. */
export class GenerationModerated extends GenerationFailed {
  override name = "GenerationModerated";
}

/** Canceled, by a caller or for want of time; not charged. */
export class GenerationCanceled extends GenerationFailed {
  override name = "GenerationCanceled";
}

/** It cannot be told what became of it. It may have been charged. */
export class GenerationLost extends GenerationFailed {
  override name = "GenerationLost";
}

/** What `trainCharacter` rejects with where training failed; `reason` says why, and no call failed. */
export class TrainingFailed extends GatewayError {
  override name = "TrainingFailed";
  /** All about it. */
  readonly character: SoulCharacter;

  constructor(character: SoulCharacter, message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.character = character;
  }
}
