/** Callbacks: signed webhooks to servers of the tenant's own. */

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

/** Which generations it is told of: those that match all that is set. */
export type CallbackFilter = Pick<ListFilter, "labels" | "modelIds" | "states">;

/** The callback that now exists for a key. */
export interface CreatedCallback {
  readonly callback: Callback;
  /**
   * What its deliveries are signed with. It is told once: "" where `replayed`, also after an answer that was lost on its
   * way here. `rotateCallbackSecret` makes another then.
   */
  readonly secret: string;
  /** Create with it again, and this callback comes back. */
  readonly idempotencyKey: string;
  /** The key was known: nothing new was created. */
  readonly replayed: boolean;
}

export interface CreateCallbackOptions extends CallOptions {
  /** All generations unless given. */
  filter?: CallbackFilter | undefined;
  /** Told of every change; else only of ends. */
  everyChange?: boolean | undefined;
  /** One for each callback that is meant; a fresh UUID where it is left out. */
  idempotencyKey?: string | undefined;
}

/** What to change; what is left out stays as it is. */
export interface UpdateCallbackOptions extends CallOptions {
  /** False lets deliveries go on, whatever paused them. */
  paused?: boolean | undefined;
  /** In place of the filter that it had; an empty one is for all generations. */
  filter?: CallbackFilter | undefined;
  everyChange?: boolean | undefined;
}

export interface ListDeliveriesOptions extends PageOptions {
  generationId?: string | undefined;
  /** Only those that were given up, or whose last attempt failed. */
  failedOnly?: boolean | undefined;
}

export async function createCallback(
  calls: Calls,
  url: string,
  options: CreateCallbackOptions,
): Promise<CreatedCallback> {
  const { filter, everyChange = false, idempotencyKey = newIdempotencyKey(), ...call } = options;
  const request = { url, filter: filter && generationFilter(filter), everyChange, idempotencyKey };
  const response = await withKey(idempotencyKey, calls.unary(METHODS.createCallback, request, call));
  return { callback: response.callback!, secret: response.secret, idempotencyKey, replayed: response.replayed };
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
