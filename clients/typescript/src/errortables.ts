// Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
/** The error class of each gRPC code, and of each reason of the gateway. */

import * as errors from "./errorclasses.js";
import type { ErrorFacts, GatewayError, ReasonName } from "./gatewayerror.js";
import type { GrpcCode } from "./names.js";

type ErrorClass = new (message: string, facts?: ErrorFacts) => GatewayError;

export const BY_CODE: Partial<Record<GrpcCode, ErrorClass>> = {
  INVALID_ARGUMENT: errors.InvalidInput,
  UNAUTHENTICATED: errors.InvalidCredentials,
  PERMISSION_DENIED: errors.NotAllowed,
  NOT_FOUND: errors.NotFound,
  FAILED_PRECONDITION: errors.PreconditionFailed,
  RESOURCE_EXHAUSTED: errors.ResourceExhausted,
  UNAVAILABLE: errors.Unavailable,
  ABORTED: errors.Aborted,
  INTERNAL: errors.InternalError,
  DEADLINE_EXCEEDED: errors.DeadlineExceeded,
  CANCELLED: errors.Unavailable,
};

export const BY_REASON: Partial<Record<ReasonName, ErrorClass>> = {
  INVALID_INPUT: errors.InvalidInput,
  INPUT_REFUSED: errors.InputRefused,
  INVALID_CREDENTIALS: errors.InvalidCredentials,
  NOT_ALLOWED: errors.NotAllowed,
  FEATURE_NOT_ENABLED: errors.FeatureNotEnabled,
  NOT_FOUND: errors.NotFound,
  MODEL_UNKNOWN: errors.ModelUnknown,
  MODEL_UNAVAILABLE: errors.ModelUnavailable,
  IDEMPOTENCY_KEY_REUSED: errors.KeyReused,
  NOT_CANCELABLE: errors.NotCancelable,
  NOT_DONE: errors.NotDone,
  PRICE_UNKNOWN: errors.PriceUnknown,
  QUOTA_EXCEEDED: errors.QuotaExceeded,
  INSUFFICIENT_CREDITS: errors.InsufficientCredits,
  UPSTREAM_SATURATED: errors.UpstreamSaturated,
  GATEWAY_OVERLOADED: errors.GatewayOverloaded,
  BUDGET_EXCEEDED: errors.BudgetExceeded,
  UPSTREAM_UNAVAILABLE: errors.UpstreamUnavailable,
  GATEWAY_UNAVAILABLE: errors.GatewayUnavailable,
  SUBMISSION_UNRESOLVED: errors.SubmissionUnresolved,
  SESSION_BUSY: errors.SessionBusy,
  INTERNAL: errors.InternalError,
  UPSTREAM_CREDENTIALS_REFUSED: errors.UpstreamCredentialsRefused,
};
