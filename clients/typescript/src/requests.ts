/** Converts options (milliseconds, names, dates) to request messages. */

import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ApiVersion } from "./gen/hfgateway/v1/generation_input_pb.js";
import { GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import {
  type AdoptGenerationRequest,
  AdoptGenerationRequestSchema,
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

/** Options of every call. */
export interface CallOptions {
  /** Aborts the call, which rejects with the signal's reason. It does not cancel the generation. */
  signal?: AbortSignal | undefined;
  /**
   * The timeout of the call in milliseconds, including retries. Default: the client's for calls that return one
   * response; none for watches, uploads, `wait`, `generate` and `trainCharacter`.
   */
  timeoutMs?: number | undefined;
}

/** Options of every list. */
export interface PageOptions extends CallOptions {
  /** The number of items in a page. Default: 50, at most 500; in the catalogs 100, at most 1000. */
  pageSize?: number | undefined;
}

/** Options of a submission, in addition to its input. */
export interface GenerationOptions {
  /** One key for each generation that you want, and the same for every retry. Default: a new UUID. */
  idempotencyKey?: string | undefined;
  /** Labels to filter lists and watches by, at most 32. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** The gateway cancels the generation if it has not started within this time. Default: no limit. */
  startTimeoutMs?: number | undefined;
  /**
   * Whether to fail with `UpstreamSaturated` if Higgsfield is saturated, instead of queueing in the gateway. Default:
   * false.
   */
  failWhenSaturated?: boolean | undefined;
  /**
   * The time after which Higgsfield deletes the outputs, at least 1 hour. Default: the setting of the Higgsfield
   * account.
   */
  outputsTtlMs?: number | undefined;
}

/** Options of `submit`. */
export interface SubmitOptions extends GenerationOptions, CallOptions {
  /**
   * When to return: when the generation is stored, when Higgsfield has accepted or refused it, or when it has ended.
   * Default: "accepted".
   */
  waitFor?: "stored" | "accepted" | "done" | undefined;
  /**
   * How long to wait for that, up to 1 hour, in addition to the timeout of the call. Default: 10 s. At the end of the
   * wait the generation is returned as it is.
   */
  waitTimeoutMs?: number | undefined;
}

/** Which generations to select: those that match all given fields. */
export interface Filter {
  /** Any of these ids, at most 1000. */
  ids?: Iterable<string> | undefined;
  /** Any of these models. */
  modelIds?: Iterable<string> | undefined;
  /** All of these labels, with the same values. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** Created at or after this time. */
  createdAfter?: Date | undefined;
  /** Created before this time. */
  createdBefore?: Date | undefined;
}

/** A filter for lists. */
export interface ListFilter extends Filter {
  /** Any of these states. */
  states?: Iterable<StateName> | undefined;
  /** Submitted with this key. Use it to find a submission whose response was lost. */
  idempotencyKey?: string | undefined;
  /** Any of these ids at Higgsfield, at most 1000. */
  upstreamRequestIds?: Iterable<string> | undefined;
}

/** Options of `adopt`. */
export interface AdoptOptions extends CallOptions {
  /** The version of Higgsfield's API that the request was made with. Default: "v2". */
  apiVersion?: "v1" | "v2" | undefined;
  /** Labels to filter lists and watches by, at most 32. Ignored if the tenant has the generation already. */
  labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Returns the request of a submission. It always has a key, because a retry without one would create a second
 * generation.
 */
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

/** Returns the request of an adoption. */
export function adoptRequest(upstreamRequestId: string, options: AdoptOptions): AdoptGenerationRequest {
  const { labels } = options;
  const apiVersion = named(ApiVersion, options.apiVersion);
  return create(AdoptGenerationRequestSchema, { upstreamRequestId, apiVersion, labels: { ...labels } });
}

/** Returns the filter as a message. */
export function generationFilter(filter: ListFilter): GenerationFilter {
  return create(GenerationFilterSchema, {
    ids: [...(filter.ids ?? [])],
    states: [...(filter.states ?? [])].map((name) => named(GenerationState, name)),
    modelIds: [...(filter.modelIds ?? [])],
    labels: { ...filter.labels },
    idempotencyKey: filter.idempotencyKey ?? "",
    upstreamRequestIds: [...(filter.upstreamRequestIds ?? [])],
    createdAfter: timestamp(filter.createdAfter),
    createdBefore: timestamp(filter.createdBefore),
  });
}

/** Returns a duration as a message; undefined stays undefined. */
export function duration(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : durationFromMs(Math.round(ms));
}

function timestamp(date: Date | undefined): Timestamp | undefined {
  return date && timestampFromDate(date);
}
