/** Names for numbers. */

/** The names of gRPC's codes, at their numbers. */
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

export type GrpcCode = (typeof GRPC_CODES)[number];

/** The value of an enum by its name; one that it does not have would be taken for the default without a word. */
export function named<Value extends number>(
  values: Readonly<Record<string, Value | string>>,
  name = "unspecified",
): Value {
  const value = Object.hasOwn(values, name.toUpperCase()) ? values[name.toUpperCase()] : undefined;
  if (typeof value !== "number") throw new TypeError(`unknown name: ${JSON.stringify(name)}`);
  return value;
}
