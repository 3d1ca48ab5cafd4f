/** Builds the messages that the client sends from what a person writes: milliseconds, names, dates. */

import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import {
  type GenerationFilter,
  GenerationFilterSchema,
  type SubmitGenerationRequest,
  SubmitGenerationRequestSchema,
  WaitFor,
} from "./gen/hfgateway/v1/generation_service_pb.js";
import type { Input } from "./inputs.js";
import { newIdempotencyKey } from "./keys.js";
import { named } from "./names.js";
import type { StateName } from "./status.js";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call, and nothing else: what it was about goes on. The call rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The deadline of the call with all its repeats, in place of the client's. */
  timeoutMs?: number | undefined;
}

/** What every list takes. */
export interface PageOptions extends CallOptions {
  /** How many are fetched at a time. */
  pageSize?: number | undefined;
}

/** What a generation is submitted with, beside its input. */
export interface GenerationOptions {
  /** One for each generation that is meant; a fresh UUID where it is left out. */
  idempotencyKey?: string | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  /** Canceled by the gateway when it has not started by then. */
  startTimeoutMs?: number | undefined;
  /** Refuse with `UpstreamSaturated` instead of queueing. */
  failWhenSaturated?: boolean | undefined;
  /** Have Higgsfield delete the outputs earlier than the account's setting says. */
  outputsTtlMs?: number | undefined;
}

export interface SubmitOptions extends GenerationOptions, CallOptions {
  /** What to answer with: "accepted" unless given. */
  waitFor?: "stored" | "accepted" | "done" | undefined;
  /** For how long to wait for that: 10 s unless given. It comes on top of the call's time-out. */
  waitTimeoutMs?: number | undefined;
}

/** All that is set must match. */
export interface Filter {
  ids?: Iterable<string> | undefined;
  modelIds?: Iterable<string> | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  /** Inclusive. */
  createdAfter?: Date | undefined;
  /** Exclusive. */
  createdBefore?: Date | undefined;
}

export interface ListFilter extends Filter {
  states?: Iterable<StateName> | undefined;
  idempotencyKey?: string | undefined;
}

/** A submit, always with a key: a repeat without one would be a second generation. */
export function submitRequest(input: Input, options: SubmitOptions): SubmitGenerationRequest {
  return create(SubmitGenerationRequestSchema, {
    input,
    idempotencyKey: options.idempotencyKey ?? newIdempotencyKey(),
    labels: { ...options.labels },
    waitFor: named(WaitFor, options.waitFor),
    waitTimeout: duration(options.waitTimeoutMs),
    startTimeout: duration(options.startTimeoutMs),
    failWhenSaturated: options.failWhenSaturated ?? false,
    outputsTtl: duration(options.outputsTtlMs),
  });
}

/** The filter as a message. */
export function generationFilter(filter: ListFilter): GenerationFilter {
  return create(GenerationFilterSchema, {
    ids: [...(filter.ids ?? [])],
    states: [...(filter.states ?? [])].map((name) => named(GenerationState, name)),
    modelIds: [...(filter.modelIds ?? [])],
    labels: { ...filter.labels },
    idempotencyKey: filter.idempotencyKey ?? "",
    createdAfter: timestamp(filter.createdAfter),
    createdBefore: timestamp(filter.createdBefore),
  });
}

/** Undefined stays undefined: the field is absent then. */
export function duration(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : durationFromMs(Math.round(ms));
}

function timestamp(date: Date | undefined): Timestamp | undefined {
  return date && timestampFromDate(date);
}
