/** Callbacks: signed webhooks to the tenant's servers. */

import type { Calls } from "./calls.js";
import {
  type Callback,
  CallbackService,
  type Delivery,
  type RotateCallbackSecretResponse,
} from "./gen/hfgateway/v1/callback_service_pb.js";
import { newIdempotencyKey, withKey } from "./keys.js";
import { pages } from "./paging.js";
import { type CallOptions, generationFilter, type ListFilter, type PageOptions } from "./requests.js";

const METHODS = CallbackService.method;

/** Which generations a callback reports: those that match all given fields. */
export type CallbackFilter = Pick<ListFilter, "labels" | "modelIds" | "states">;

/** The result of `createCallback`. */
export interface CreatedCallback {
  readonly callback: Callback;
  /**
   * The key with which the gateway signs deliveries. It is returned only once: it is "" if the given `idempotencyKey` had
   * been used before, also by a lost attempt of this call. Call `rotateCallbackSecret` for a new one then. Without a
   * given key, the client does so itself.
   */
  readonly secret: string;
  /** The key of the creation. Creating again with this key returns the same callback. */
  readonly idempotencyKey: string;
  /** Whether the key had been used before, so that the call created nothing. */
  readonly replayed: boolean;
}

/** Options of `createCallback`. */
export interface CreateCallbackOptions extends CallOptions {
  /** Which generations to report. Default: all. */
  filter?: CallbackFilter | undefined;
  /** Whether to report every change. Default: only the end of each generation. */
  everyChange?: boolean | undefined;
  /** One key for each callback to create. Default: a new UUID. */
  idempotencyKey?: string | undefined;
}

/** What to change. Fields that are not given stay as they are. */
export interface UpdateCallbackOptions extends CallOptions {
  /** True pauses deliveries; false resumes them, whatever paused them. */
  paused?: boolean | undefined;
  /** Replaces the filter; an empty one matches all generations. */
  filter?: CallbackFilter | undefined;
  /** Whether to report every change, or only the end of each generation. */
  everyChange?: boolean | undefined;
}

/** Options of `listDeliveries`. */
export interface ListDeliveriesOptions extends PageOptions {
  /** Only deliveries of this generation. Default: of all. */
  generationId?: string | undefined;
  /** Only deliveries that failed for good, or whose last attempt failed. Default: all. */
  failedOnly?: boolean | undefined;
}

export async function createCallback(
  calls: Calls,
  url: string,
  options: CreateCallbackOptions,
): Promise<CreatedCallback> {
  const { filter, everyChange = false, idempotencyKey: given, ...call } = options;
  const idempotencyKey = given ?? newIdempotencyKey();
  const request = { url, filter: filter && generationFilter(filter), everyChange, idempotencyKey };
  const create = async () => {
    const { callback, secret, replayed } = await calls.unary(METHODS.createCallback, request, call);
    // Only this call knows a new key: the response with the secret was lost.
    const lost = replayed && given === undefined;
    const rotated = lost ? (await rotateCallbackSecret(calls, callback!.id, call)).secret : secret;
    return { callback: callback!, secret: rotated, idempotencyKey, replayed };
  };
  return withKey(idempotencyKey, create());
}

export async function getCallback(calls: Calls, id: string, options?: CallOptions): Promise<Callback> {
  return (await calls.unary(METHODS.getCallback, { id }, options)).callback!;
}

export async function* listCallbacks(calls: Calls, options: PageOptions): AsyncGenerator<Callback, void, undefined> {
  const { pageSize = 0 } = options;
  yield* pages(
    (pageToken) => calls.unary(METHODS.listCallbacks, { pageSize, pageToken }, options),
    (page) => page.callbacks,
  );
}

export async function updateCallback(calls: Calls, id: string, changes: UpdateCallbackOptions): Promise<Callback> {
  const { paused, filter, everyChange, ...call } = changes;
  const request = { id, paused, filter: filter && generationFilter(filter), everyChange };
  return (await calls.unary(METHODS.updateCallback, request, call)).callback!;
}

export async function deleteCallback(calls: Calls, id: string, options?: CallOptions): Promise<void> {
  await calls.unary(METHODS.deleteCallback, { id }, options);
}

export function rotateCallbackSecret(
  calls: Calls,
  id: string,
  options?: CallOptions,
): Promise<RotateCallbackSecretResponse> {
  return calls.unary(METHODS.rotateCallbackSecret, { id }, options);
}

export async function testCallback(calls: Calls, id: string, options?: CallOptions): Promise<Delivery> {
  return (await calls.unary(METHODS.testCallback, { id }, options)).delivery!;
}

export async function* listDeliveries(
  calls: Calls,
  callbackId: string,
  options: ListDeliveriesOptions,
): AsyncGenerator<Delivery, void, undefined> {
  const { generationId = "", failedOnly = false, pageSize = 0 } = options;
  const wanted = { callbackId, generationId, failedOnly, pageSize };
  yield* pages(
    (pageToken) => calls.unary(METHODS.listDeliveries, { ...wanted, pageToken }, options),
    (page) => page.deliveries,
  );
}

export async function redeliver(calls: Calls, id: string, options?: CallOptions): Promise<Delivery> {
  return (await calls.unary(METHODS.redeliverDelivery, { id }, options)).delivery!;
}
