/** Generations as JSON. */

import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Generation, GenerationSchema } from "./gen/hfgateway/v1/generation_pb.js";

/**
 * Returns a generation in protobuf's JSON format, for `JSON.stringify`, which cannot convert the bigints of its times
 * and sizes: enums are names, times are RFC 3339 strings.
 */
export function generationToJson(generation: Generation): JsonValue {
  return toJson(GenerationSchema, generation);
}
