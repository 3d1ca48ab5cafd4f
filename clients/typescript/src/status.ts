/** Reads what a failed call, or a failed generation, says about itself, and makes the fitting error of it. */

import { create, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import * as errors from "./errors.js";
import { type ErrorFacts, GatewayError, GenerationFailed, type ReasonName, TrainingFailed } from "./errors.js";
import { CharacterState, type SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import { ErrorReason, type Failure, FailureSchema, FieldViolationSchema } from "./gen/hfgateway/v1/error_pb.js";
import { type Generation, GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import { GRPC_CODES, type GrpcCode } from "./names.js";

const DOMAIN = "hfgateway";

/** The names of states; a gateway may be newer than this. */
export type StateName = Exclude<keyof typeof GenerationState, "UNSPECIFIED">;

/** "QUEUED", "COMPLETED" and so on; "STATE_17" for one that is newer than these stubs. */
export function stateName(generation: Pick<Generation, "state">): StateName | (string & {}) {
  return GenerationState[generation.state] ?? `STATE_${generation.state}`;
}

/** "QUOTA_EXCEEDED" and so on; "" where no reason is given. */
export function reasonName(failure: Pick<Failure, "reason"> | undefined): ReasonName {
  if (!failure || failure.reason === ErrorReason.UNSPECIFIED) return "";
  return ErrorReason[failure.reason] ?? `REASON_${failure.reason}`;
}

type ErrorClass = new (message: string, facts?: ErrorFacts) => GatewayError;

const BY_CODE: Partial<Record<GrpcCode, ErrorClass>> = {
  CANCELLED: errors.Unavailable, // not by the caller: a gateway that ended had not taken up the call yet
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
};

const BY_REASON: Partial<Record<ReasonName, ErrorClass>> = {
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
  QUOTA_EXCEEDED: errors.QuotaExceeded,
  INSUFFICIENT_CREDITS: errors.InsufficientCredits,
  UPSTREAM_SATURATED: errors.UpstreamSaturated,
  GATEWAY_OVERLOADED: errors.GatewayOverloaded,
  UPSTREAM_UNAVAILABLE: errors.UpstreamUnavailable,
  GATEWAY_UNAVAILABLE: errors.GatewayUnavailable,
  UPSTREAM_CREDENTIALS_REFUSED: errors.UpstreamCredentialsRefused,
  INTERNAL: errors.InternalError,
  SUBMISSION_UNRESOLVED: errors.SubmissionUnresolved,
  SESSION_BUSY: errors.SessionBusy,
};

const BY_END: { readonly [state in GenerationState]?: typeof GenerationFailed } = {
  [GenerationState.NSFW]: errors.GenerationModerated,
  [GenerationState.CANCELED]: errors.GenerationCanceled,
  [GenerationState.LOST]: errors.GenerationLost,
};

/** The error of a generation that ended, and not as COMPLETED. */
export function errorFromGeneration(generation: Generation): GenerationFailed {
  const { state, failure, acceptTime } = generation;
  const refused = state === GenerationState.FAILED && acceptTime === undefined;
  const errorClass = refused ? errors.GenerationRefused : (BY_END[state] ?? GenerationFailed);
  const message = failure?.message || `ended as ${stateName(generation)}`;
  return new errorClass(generation, message, { reason: reasonName(failure), failure });
}

/** The error of a character that was created under a key, and whose training did not end as COMPLETED. */
export function errorFromTraining(character: SoulCharacter, idempotencyKey: string): TrainingFailed {
  const { state, failure } = character;
  const message = failure?.message || `ended as ${CharacterState[state] ?? `STATE_${state}`}`;
  const error = new TrainingFailed(character, message, { reason: reasonName(failure), failure });
  error.idempotencyKey = idempotencyKey;
  return error;
}

/** The typed error of a failed call, by its reason; of an unknown reason, or of none, by its code. */
export function errorFromCall(thrown: unknown): GatewayError {
  const error = ConnectError.from(thrown);
  const code = GRPC_CODES[codeOf(error)] ?? "UNKNOWN";
  const { failure, reason } = readDetails(error);
  const message = failure.message || error.rawMessage || code.replaceAll("_", " ").toLowerCase();
  // A gateway may send any text as its reason: "constructor" must not be found in what every object has.
  const known = Object.hasOwn(BY_REASON, reason) ? BY_REASON[reason] : undefined;
  return new (known ?? BY_CODE[code] ?? GatewayError)(message, { code, reason, failure, cause: error });
}

// How connect reports a lost connection depends on the moment: a reset as Aborted, a stream that a closing connection
// took with it as Canceled, half an answer as Internal, what cannot be read as DataLoss, a failed fetch as Unknown.
const LOST = new Set([Code.Canceled, Code.Aborted, Code.Internal, Code.Unknown, Code.DataLoss]);

/** The code that the gateway gave. What it did not give itself is the way to it that failed: UNAVAILABLE. */
function codeOf(error: ConnectError): Code {
  // Between us and the gateway stands something that speaks HTTP: its status was translated by gRPC's table.
  const fromProxy = error.rawMessage.startsWith("HTTP ");
  return !error.isWireError && !fromProxy && LOST.has(error.code) ? Code.Unavailable : error.code;
}

/**
 * The Failure and the name of its reason.
 *
 * The name is ErrorInfo's where there is one: it is right for reasons, too, that these stubs do not know. A Failure that
 * is missing (a proxy's own error) is put together from the standard details.
 */
function readDetails(error: ConnectError): { failure: Failure; reason: ReasonName } {
  const [told] = error.findDetails(FailureSchema);
  const standard = create(FailureSchema);
  let reason: ReasonName = "";
  for (const detail of error.details) {
    if (!("type" in detail)) continue;
    try {
      const parts = fieldsOf(detail.value);
      if (detail.type === "google.rpc.ErrorInfo" && textOf(parts[2]) === DOMAIN) {
        reason = textOf(parts[1]);
        for (const entry of (parts[3] ?? []).map(fieldsOf)) standard.metadata[textOf(entry[1])] = textOf(entry[2]);
      } else if (detail.type === "google.rpc.BadRequest") {
        for (const violation of (parts[1] ?? []).map(fieldsOf))
          standard.fieldViolations.push(
            create(FieldViolationSchema, { field: textOf(violation[1]), description: textOf(violation[2]) }),
          );
      } else if (detail.type === "google.rpc.RetryInfo" && parts[1]?.[0]) {
        standard.retryDelay = fromBinary(DurationSchema, parts[1][0]);
      }
    } catch {
      // Bytes that are none of these messages tell nothing; the code and the message still do.
    }
  }
  return told ? { failure: told, reason: reason || reasonName(told) } : { failure: standard, reason };
}

/** The texts, bytes and messages in a message, by field number: enough for google.rpc's, whose stubs nobody ships. */
function fieldsOf(bytes: Uint8Array): Record<number, Uint8Array[]> {
  const found: Record<number, Uint8Array[]> = {};
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) {
      found[number] ??= [];
      found[number].push(reader.bytes());
    } else reader.skip(type, number);
  }
  return found;
}

function textOf(values: Uint8Array[] | undefined): string {
  const last = values?.at(-1);
  return last ? new TextDecoder().decode(last) : "";
}
