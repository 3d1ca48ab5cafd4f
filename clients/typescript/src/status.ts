/** Typed errors from failed calls, generations and trainings. */

import { create, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import * as errors from "./errors.js";
import { GatewayError, GenerationFailed, type ReasonName, TrainingFailed } from "./errors.js";
import { BY_CODE, BY_REASON } from "./errortables.js";
import { isBrokenConnection } from "./gatewayerror.js";
import { CharacterState, type SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import { ErrorReason, type Failure, FailureSchema, FieldViolationSchema } from "./gen/hfgateway/v1/error_pb.js";
import { type Generation, GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import { GRPC_CODES } from "./names.js";

const DOMAIN = "hfgateway";

/** The name of a generation's state. */
export type StateName = Exclude<keyof typeof GenerationState, "UNSPECIFIED">;

/**
 * Returns the name of a generation's state, such as "QUEUED", or "STATE_17" for a state that is newer than this client.
 */
export function stateName(generation: Pick<Generation, "state">): StateName | (string & {}) {
  return GenerationState[generation.state] ?? `STATE_${generation.state}`;
}

/** Returns the name of a failure's reason, such as "QUOTA_EXCEEDED", or "" if it has none. */
export function reasonName(failure: Pick<Failure, "reason"> | undefined): ReasonName {
  if (!failure || failure.reason === ErrorReason.UNSPECIFIED) return "";
  return ErrorReason[failure.reason] ?? `REASON_${failure.reason}`;
}

const BY_END: { readonly [state in GenerationState]?: typeof GenerationFailed } = {
  [GenerationState.NSFW]: errors.GenerationModerated,
  [GenerationState.CANCELED]: errors.GenerationCanceled,
  [GenerationState.LOST]: errors.GenerationLost,
};

/** Returns the error of a generation that ended without output. */
export function errorFromGeneration(generation: Generation): GenerationFailed {
  const { state, failure, acceptTime } = generation;
  const refused = state === GenerationState.FAILED && acceptTime === undefined;
  const errorClass = refused ? errors.GenerationRefused : (BY_END[state] ?? GenerationFailed);
  const message = failure?.message || `ended as ${stateName(generation)}`;
  return new errorClass(generation, message, { reason: reasonName(failure), failure });
}

/** Returns the error of a character whose training did not complete. */
export function errorFromTraining(character: SoulCharacter, idempotencyKey: string): TrainingFailed {
  const { state, failure } = character;
  const message = failure?.message || `ended as ${CharacterState[state] ?? `STATE_${state}`}`;
  const error = new TrainingFailed(character, message, { reason: reasonName(failure), failure });
  error.idempotencyKey = idempotencyKey;
  return error;
}

/** Returns the typed error of a failed call: by its reason, or by its code if the reason is unknown or missing. */
export function errorFromCall(thrown: unknown): GatewayError {
  const error = ConnectError.from(thrown);
  const code = GRPC_CODES[codeOf(error)] ?? "UNKNOWN";
  const { failure, reason } = readDetails(error);
  const message = failure.message || error.rawMessage || code.replaceAll("_", " ").toLowerCase();
  // The reason can be any text: "constructor" must not match a property of Object.prototype.
  const known = Object.hasOwn(BY_REASON, reason) ? BY_REASON[reason] : undefined;
  const byCode = isBrokenConnection(code, reason) ? errors.Unavailable : BY_CODE[code];
  return new (known ?? byCode ?? GatewayError)(message, { code, reason, failure, cause: error });
}

/**
 * The code with which connect reports a lost connection depends on the moment: Aborted for a reset, Canceled for a
 * stream of a closing connection, Internal for half a response, DataLoss for unreadable data, Unknown for a failed
 * fetch.
 */
const LOST = new Set([Code.Canceled, Code.Aborted, Code.Internal, Code.Unknown, Code.DataLoss]);

/** Returns the code that the gateway sent. Any other error is a failure of the connection: UNAVAILABLE. */
function codeOf(error: ConnectError): Code {
  if (error.isWireError) return error.code;
  // The error of an HTTP proxy, whose status connect has mapped to a gRPC code.
  if (error.rawMessage.startsWith("HTTP ")) return error.code;
  // A response that was cut off is InvalidArgument or Unimplemented for connect. The call may have had its effect.
  const cut = /^(protocol error: |missing (message|trailer)$)/.test(error.rawMessage);
  return cut || LOST.has(error.code) ? Code.Unavailable : error.code;
}

/**
 * Returns the Failure and the name of its reason. ErrorInfo takes precedence for the name, because it also has reasons
 * that are newer than the stubs. If there is no Failure (an error of a proxy), it is built from the standard details.
 */
function readDetails(error: ConnectError): { failure: Failure; reason: ReasonName } {
  const [received] = error.findDetails(FailureSchema);
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
      // Ignore details that cannot be decoded.
    }
  }
  return received ? { failure: received, reason: reason || reasonName(received) } : { failure: standard, reason };
}

/**
 * Returns the length-delimited fields of a message by number. That is enough for the messages of google.rpc, which have
 * no published stubs.
 */
export function fieldsOf(bytes: Uint8Array): Record<number, Uint8Array[]> {
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
