/** Names of codes and enum values. */

/** The names of the gRPC codes; the index is the number. */
export const GRPC_CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** The name of a gRPC code. */
export type GrpcCode = (typeof GRPC_CODES)[number];

/**
 * Returns the value of an enum by its name. An unknown name is a TypeError; protobuf would send the default value
 * instead.
 */
export function named<Value extends number>(
  values: Readonly<Record<string, Value | string>>,
  name = "unspecified",
): Value {
  const value = Object.hasOwn(values, name.toUpperCase()) ? values[name.toUpperCase()] : undefined;
  if (typeof value !== "number") throw new TypeError(`unknown name: ${JSON.stringify(name)}`);
  return value;
}
