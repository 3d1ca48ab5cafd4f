/** Waits and watches that resume after lost connections and restarts of the gateway. */

import type { DescMessage, DescMethodStreaming, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type Calls, Outage } from "./calls.js";
import { WatchCursor } from "./cursor.js";
import type { WatchEvent } from "./events.js";
import type { Generation } from "./gen/hfgateway/v1/generation_pb.js";
import { GenerationService } from "./gen/hfgateway/v1/generation_service_pb.js";
import { type CallOptions, duration, type Filter, generationFilter } from "./requests.js";

const METHODS = GenerationService.method;

/** The timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to be cheap. */
const WAIT_STEP_MS = 50_000;

/** Options of `watch`. */
export interface WatchOptions extends CallOptions {
  /** The last revision that the caller has. Default: 0, which returns all changes. */
  afterRevision?: number | undefined;
  /** Whether to return the input. Default: false. */
  includeInput?: boolean | undefined;
  /**
   * If set, the generation is yielded again, at the same revision and with a newer forecast, when nothing else was for
   * this long. At least 1000. Default: no forecasts.
   */
  forecastIntervalMs?: number | undefined;
}

/** Options of `watchMany`. */
export interface WatchManyOptions extends Filter, CallOptions {
  /**
   * The token of an event of an earlier watch with the same filter, to continue after it. Default: begin with a
   * snapshot.
   */
  resumeToken?: string | undefined;
  /** Whether to return the inputs. Default: false. */
  includeInput?: boolean | undefined;
  /** If set, newer forecasts are reported when nothing else was for this long. At least 1000. Default: no forecasts. */
  forecastIntervalMs?: number | undefined;
}

/** Returns the generation when it has ended, or as it is at the timeout. */
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
    // A gateway that shuts down responds early: back off.
    if (answered - asked < step / 2) await calls.pause(policy.firstDelayMs, options.signal);
  }
}

/**
 * Yields every change after a revision, exactly once and in order, until the generation has ended, and newer forecasts
 * of the last change if they are asked for. `last` is the generation at `afterRevision`, if it is known.
 */
export async function* watch(
  calls: Calls,
  id: string,
  { afterRevision = 0, includeInput = false, forecastIntervalMs, ...call }: WatchOptions,
  last?: Generation,
): AsyncGenerator<Generation, void, undefined> {
  let revision = afterRevision;
  const forecastInterval = duration(forecastIntervalMs);
  const request = () => ({ id, afterRevision: revision, includeInput, forecastInterval });
  // If the gateway ends the stream, there is no later revision.
  for await (const message of resumed(calls, METHODS.watchGeneration, request, call)) {
    const { forecast, generation } = message;
    if (forecastInterval && forecast && last) {
      last = { ...last, forecast };
      yield last;
    }
    if (!generation || generation.revision <= revision) continue;
    revision = generation.revision;
    last = generation;
    yield generation;
    if (generation.done) return;
  }
}

/** Yields the messages of a stream, and opens a new one when it breaks. Each has its own request. */
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

/** Yields the events of all generations that match, until those in `ids` have ended; for other filters without end. */
export async function* watchMany(calls: Calls, options: WatchManyOptions): AsyncGenerator<WatchEvent, void, undefined> {
  const { signal, timeoutMs = Number.POSITIVE_INFINITY, includeInput = false } = options;
  const filter = generationFilter(options);
  const forecastInterval = duration(options.forecastIntervalMs);
  const deadline = calls.timers.now() + timeoutMs;
  const outage = new Outage(calls, calls.policy.resumeWatchesForMs, deadline);
  const cursor = new WatchCursor(options.resumeToken ?? "");
  for (;;) {
    const request = { filter, resumeToken: cursor.resumeToken, includeInput, forecastInterval };
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
