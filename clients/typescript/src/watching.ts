/** Waits and watches that outlast their streams: drains, restarts and lost connections end a stream, not them. */

import type { DescMessage, DescMethodStreaming, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type Calls, Outage } from "./calls.js";
import { WatchCursor } from "./cursor.js";
import type { WatchEvent } from "./events.js";
import type { Generation } from "./gen/hfgateway/v1/generation_pb.js";
import { GenerationService } from "./gen/hfgateway/v1/generation_service_pb.js";
import { type CallOptions, duration, type Filter, generationFilter } from "./requests.js";

const METHODS = GenerationService.method;

// One WaitGeneration asks for so long: short enough for the proxies on the way, long enough to cost nothing.
const WAIT_STEP_MS = 50_000;

export interface WatchOptions extends CallOptions {
  /** The last revision seen; 0 for every change since the first. */
  afterRevision?: number | undefined;
  includeInput?: boolean | undefined;
}

export interface WatchManyOptions extends Filter, CallOptions {
  /** Of an event of an earlier watch with the same filter: go on after it. */
  resumeToken?: string | undefined;
  includeInput?: boolean | undefined;
  /** At least 1 s: tells newer forecasts when nothing else was told for so long. */
  forecastIntervalMs?: number | undefined;
}

/** The generation when it is done, or at the time-out as it is by then. */
export async function wait(calls: Calls, id: string, options: CallOptions): Promise<Generation> {
  const { timers, policy } = calls;
  const deadline = timers.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  for (;;) {
    const asked = timers.now();
    const step = Math.max(Math.min(WAIT_STEP_MS, deadline - asked), 0);
    const request = { id, timeout: duration(step) };
    const response = await calls.unary(METHODS.waitGeneration, request, { signal: options.signal, extraMs: step });
    const generation = response.generation!;
    const answered = timers.now();
    if (generation.done || answered >= deadline) return generation;
    // A gateway that drains answers early: do not press it.
    if (answered - asked < step / 2) await calls.pause(policy.firstDelayMs, options.signal);
  }
}

/** Every change after a revision, each once and in order, until it is done. */
export async function* watch(
  calls: Calls,
  id: string,
  { afterRevision = 0, includeInput = false, ...call }: WatchOptions,
): AsyncGenerator<Generation, void, undefined> {
  let revision = afterRevision;
  const request = () => ({ id, afterRevision: revision, includeInput });
  // Where the gateway ends it, nothing comes after the revision that we know.
  for await (const { generation } of resumed(calls, METHODS.watchGeneration, request, call)) {
    if (!generation || generation.revision <= revision) continue;
    revision = generation.revision;
    yield generation;
    if (generation.done) return;
  }
}

/** The messages of a stream, and of those that are opened where it breaks, each with a request of its own. */
export async function* resumed<I extends DescMessage, O extends DescMessage>(
  calls: Calls,
  method: DescMethodStreaming<I, O>,
  request: () => MessageInitShape<I>,
  { signal, timeoutMs = Number.POSITIVE_INFINITY }: CallOptions,
): AsyncGenerator<MessageShape<O>, void, undefined> {
  const deadline = calls.timers.now() + timeoutMs;
  const outage = new Outage(calls, calls.policy.resumeWatchesForMs, deadline);
  for (;;) {
    try {
      for await (const message of calls.stream(method, request(), { signal, deadline })) {
        outage.over();
        yield message;
      }
      return;
    } catch (error) {
      if (!(await outage.endure(error, signal))) throw error;
    }
  }
}

/** The news of all generations that match, until those of `ids` are done; else without end. */
export async function* watchMany(calls: Calls, options: WatchManyOptions): AsyncGenerator<WatchEvent, void, undefined> {
  const { signal, timeoutMs = Number.POSITIVE_INFINITY, includeInput = false } = options;
  const filter = generationFilter(options);
  const forecastInterval = duration(options.forecastIntervalMs);
  const deadline = calls.timers.now() + timeoutMs;
  const outage = new Outage(calls, calls.policy.resumeWatchesForMs, deadline);
  const cursor = new WatchCursor(options.resumeToken ?? "");
  for (;;) {
    const request = { filter, resumeToken: cursor.resumeToken, includeInput, forecastInterval };
    yield* cursor.streamOpened();
    try {
      for await (const message of calls.stream(METHODS.watchGenerations, request, { signal, deadline })) {
        outage.over();
        yield* cursor.received(message);
      }
      return;
    } catch (error) {
      if (!(await outage.endure(error, signal))) throw error;
    }
  }
}
