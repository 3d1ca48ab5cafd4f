/** Converts options (milliseconds, names, dates) to request messages. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import type { GenerationFilterSchema } from "./gen/hfgateway/v1/generation_service_pb.js";
import { named } from "./names.js";
import type { ListFilter } from "./options.js";

/** Returns the filter as a message. Options that are not part of it are left out. */
export function generationFilter(filter: ListFilter): MessageInitShape<typeof GenerationFilterSchema> {
  const { createdAfter, createdBefore, idempotencyKey } = filter;
  return {
    ids: several(filter.ids),
    states: several(filter.states).map((name) => named(GenerationState, name)),
    modelIds: several(filter.modelIds),
    labels: { ...filter.labels },
    upstreamRequestIds: several(filter.upstreamRequestIds),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(createdAfter && { createdAfter: timestampFromDate(createdAfter) }),
    ...(createdBefore && { createdBefore: timestampFromDate(createdBefore) }),
  };
}

/** Returns the values as an array. A string is one of them: its characters would select nothing. */
function several<T extends string>(values: Iterable<T> = []): T[] {
  return typeof values === "string" ? [values as T] : [...values];
}

/** Returns a duration as a message; undefined stays undefined. */
export function duration(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : durationFromMs(Math.round(ms));
}
