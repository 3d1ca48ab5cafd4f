// Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
/**
 * The errors of failed calls: one class for each gRPC code, and subclasses for the reasons of the gateway. Then the
 * errors of failed generations.
 */

import { GatewayError, GenerationFailed } from "./gatewayerror.js";

/** INVALID_ARGUMENT. The gateway's validation refused the request. `fieldViolations` names the fields. */
export class InvalidInput extends GatewayError {
  override name = "InvalidInput";
}

/** Higgsfield refused the input. `fieldViolations` names the fields if Higgsfield did. */
export class InputRefused extends InvalidInput {
  override name = "InputRefused";
}

/** UNAUTHENTICATED. The API key or watch token is missing, wrong, expired or revoked. */
export class InvalidCredentials extends GatewayError {
  override name = "InvalidCredentials";
}

/** PERMISSION_DENIED. The API key or watch token may not make this call, or a limit does not allow the model. */
export class NotAllowed extends GatewayError {
  override name = "NotAllowed";
}

/** The Higgsfield account does not have this feature. */
export class FeatureNotEnabled extends NotAllowed {
  override name = "FeatureNotEnabled";
}

/** NOT_FOUND. The resource does not exist, or belongs to another tenant. */
export class NotFound extends GatewayError {
  override name = "NotFound";
}

/** Higgsfield does not know the model. */
export class ModelUnknown extends NotFound {
  override name = "ModelUnknown";
}

/** FAILED_PRECONDITION. The state of the resource does not allow the call. */
export class PreconditionFailed extends GatewayError {
  override name = "PreconditionFailed";
}

/** Higgsfield has disabled or blocked the model. */
export class ModelUnavailable extends PreconditionFailed {
  override name = "ModelUnavailable";
}

/** The idempotency key was used with a different input, or its resource was deleted. */
export class KeyReused extends PreconditionFailed {
  override name = "KeyReused";
}

/** It is too late to cancel, or Higgsfield cannot. `metadata.state` names the state. */
export class NotCancelable extends PreconditionFailed {
  override name = "NotCancelable";
}

/** The resource has not reached its final state. `metadata.state` names the state. */
export class NotDone extends PreconditionFailed {
  override name = "NotDone";
}

/**
 * A budget applies, and the price of the submission is not known. Nothing was submitted. Either Higgsfield and the
 * gateway's settings have no price for the model, which the operator of the gateway can set, or the input does not say
 * how many outputs it makes. The message says which.
 */
export class PriceUnknown extends PreconditionFailed {
  override name = "PriceUnknown";
}

/** RESOURCE_EXHAUSTED. A limit was reached, or something is overloaded. */
export class ResourceExhausted extends GatewayError {
  override name = "ResourceExhausted";
}

/**
 * A limit of the tenant, the API key, a label or a callback is reached. The call had no effect. `metadata.limit` names
 * it. The metadata of a submission has the "limit" ("submissions_per_minute", "in_flight"), its "subject" ("tenant",
 * "key:ID", "label:NAME=VALUE"), what is "allowed", "used" and "left", and when it "resets_at". `retryDelayMs` is set
 * if waiting helps.
 */
export class QuotaExceeded extends ResourceExhausted {
  override name = "QuotaExceeded";
}

/** The Higgsfield account does not have enough credits. */
export class InsufficientCredits extends ResourceExhausted {
  override name = "InsufficientCredits";
}

/**
 * Higgsfield, or the part of it that the tenant may use, is full, and the call does not queue. The message says which.
 * `retryDelayMs` has the delay. As the delay of a generation: it waits for its turn.
 */
export class UpstreamSaturated extends ResourceExhausted {
  override name = "UpstreamSaturated";
}

/** The gateway is overloaded, or its queue is full. The call had no effect. `retryDelayMs` has the delay. */
export class GatewayOverloaded extends ResourceExhausted {
  override name = "GatewayOverloaded";
}

/**
 * A budget of the tenant, the API key or a label does not have enough credits left, and nothing was submitted.
 * `metadata.limit` names it. The metadata is that of QUOTA_EXCEEDED, in credits, with the limit "credits_per_day" or
 * "credits_per_month" and what is "needed". A retry makes sense only after "resets_at", or once generations have
 * failed.
 */
export class BudgetExceeded extends ResourceExhausted {
  override name = "BudgetExceeded";
}

/** UNAVAILABLE. The gateway or Higgsfield is not available, or a response was lost. The client retries the call. */
export class Unavailable extends GatewayError {
  override name = "Unavailable";
}

/** Higgsfield sent no usable response. `retryDelayMs` has the delay. */
export class UpstreamUnavailable extends Unavailable {
  override name = "UpstreamUnavailable";
}

/**
 * The gateway is shutting down, its store is not available, or none of its replicas leads at the moment. Or the API
 * key, or the token of the issuer, has expired during the call. `retryDelayMs` has the delay.
 */
export class GatewayUnavailable extends Unavailable {
  override name = "GatewayUnavailable";
}

/** ABORTED. The call was aborted. */
export class Aborted extends GatewayError {
  override name = "Aborted";
}

/**
 * The request was sent to Higgsfield without a usable response, so it may have been executed and charged. The same call
 * with the same idempotency key looks again, and never sends it twice. As the failure of a generation: its outcome
 * could not be found in time.
 */
export class SubmissionUnresolved extends Aborted {
  override name = "SubmissionUnresolved";
}

/** The session of the agent is busy with another turn. The message was not sent. */
export class SessionBusy extends Aborted {
  override name = "SessionBusy";
}

/** INTERNAL. A defect of the gateway. The "incident" in the metadata is its number in the gateway's log. */
export class InternalError extends GatewayError {
  override name = "InternalError";
}

/** Higgsfield refuses the gateway's credentials. The operator of the gateway must correct them. */
export class UpstreamCredentialsRefused extends InternalError {
  override name = "UpstreamCredentialsRefused";
}

/** DEADLINE_EXCEEDED. The call timed out. A submitted generation continues. */
export class DeadlineExceeded extends GatewayError {
  override name = "DeadlineExceeded";
}

/** A generation failed before Higgsfield accepted it. It was not charged, and its key can be used again. */
export class GenerationRefused extends GenerationFailed {
  override name = "GenerationRefused";
}

/** Higgsfield's moderation refused a generation. It was not charged. */
export class GenerationModerated extends GenerationFailed {
  override name = "GenerationModerated";
}

/** A caller canceled a generation, or the gateway did; see the reason. It was not charged. */
export class GenerationCanceled extends GenerationFailed {
  override name = "GenerationCanceled";
}

/** The outcome of a generation cannot be determined. It may have been charged. */
export class GenerationLost extends GenerationFailed {
  override name = "GenerationLost";
}
