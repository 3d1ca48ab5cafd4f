/** Makes calls, with credentials and a deadline, and makes them again where that is safe: see `retry.ts`. */

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { StreamResponse, Transport } from "@connectrpc/connect";
import { DeadlineExceeded, GatewayError, Unavailable } from "./errors.js";
import { delayMs, mayRepeat, type RetryPolicy } from "./retry.js";
import { errorFromCall } from "./status.js";
import type { Timers } from "./timers.js";

/** What a client is made of. */
export interface CallsOptions {
  transport: Transport;
  /** Sent with every call. */
  headers: Readonly<Record<string, string>>;
  timeoutMs: number;
  policy: RetryPolicy;
  timers: Timers;
  /**
   * A stream that is silent for so long is taken for dead: the gateway has a heartbeat every 15 s. For transports whose
   * connections nobody pings.
   */
  silenceMs: number;
}

export interface UnaryOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
  /** Time that the gateway was asked to take over its answer; it comes on top. */
  extraMs?: number | undefined;
}

export interface StreamOptions {
  signal?: AbortSignal | undefined;
  /** On the clock of the timers; Infinity for none. */
  deadline: number;
}

// More does not fit into the eight digits of a grpc-timeout, and nearly not into a timer.
const LONGEST_TIMEOUT_MS = 99_999_999;

/** What every method of a client needs: the transport, who calls, and how patiently. */
export class Calls {
  readonly timeoutMs: number;
  readonly policy: RetryPolicy;
  readonly timers: Timers;
  // Private to the language, so that no inspection of a client shows its key.
  readonly #transport: Transport;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #silenceMs: number;
  readonly #closing = new AbortController();

  constructor(options: CallsOptions) {
    this.timeoutMs = options.timeoutMs;
    this.policy = options.policy;
    this.timers = options.timers;
    this.#transport = options.transport;
    this.#headers = options.headers;
    this.#silenceMs = options.silenceMs;
  }

  /** The answer, or the typed error; repeated within the time-out, which covers all attempts together. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    { signal, timeoutMs = this.timeoutMs, extraMs = 0 }: UnaryOptions = {},
  ): Promise<MessageShape<O>> {
    const request = encodable(method.input, init);
    const deadline = this.timers.now() + timeoutMs + extraMs;
    const outage = new Outage(this, this.policy.repeatCallsForMs, deadline);
    for (;;) {
      const link = this.#link(signal);
      try {
        const remaining = this.#remaining(deadline);
        return (await this.#transport.unary(method, link.signal, remaining, this.#headers, request)).message;
      } catch (thrown) {
        const error = this.#errorOf(thrown, signal);
        if (!(await outage.endure(error, signal))) throw error;
      } finally {
        link.release();
      }
    }
  }

  /** The messages of one stream, not resumed. Leaving it early ends the call. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    init: MessageInitShape<I>,
    { signal, deadline }: StreamOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const request = encodable(method.input, init);
    const link = this.#link(signal);
    let silence = this.#expectWithin(link);
    let messages: AsyncIterable<MessageShape<O>> | undefined;
    try {
      const remaining = this.#remaining(deadline);
      const requests = one(request);
      messages = (await this.#transport.stream(method, link.signal, remaining, this.#headers, requests)).message;
      for await (const message of messages) {
        silence();
        yield message;
        silence = this.#expectWithin(link);
      }
    } catch (thrown) {
      throw this.#errorOf(thrown, signal, link);
    } finally {
      silence();
      link.abort();
      await noticed(messages);
    }
  }

  /** The answer to a stream of requests, which is never repeated: they may not be there twice. */
  async collect<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    { signal, deadline }: StreamOptions,
  ): Promise<MessageShape<O>> {
    const link = this.#link(signal);
    try {
      const remaining = this.#remaining(deadline);
      const response = await this.#transport.stream(method, link.signal, remaining, this.#headers, requests);
      let answer: MessageShape<O> | undefined;
      for await (const message of response.message) answer = message;
      if (!answer) throw new Unavailable("the gateway ended the call without an answer", { code: "UNAVAILABLE" });
      return answer;
    } catch (thrown) {
      throw this.#errorOf(thrown, signal);
    } finally {
      link.abort();
    }
  }

  /**
   * The transport for generated stubs: with this client's headers, and ended with it. Whoever calls over it has connect's own
   * errors, and nothing is repeated.
   */
  get transport(): Transport {
    return {
      unary: async (method, signal, timeoutMs, header, ...message) => {
        const link = this.#link(signal);
        try {
          return await this.#transport.unary(method, link.signal, timeoutMs, this.#with(header), ...message);
        } finally {
          link.release();
        }
      },
      stream: async (method, signal, timeoutMs, header, ...messages) => {
        const link = this.#link(signal);
        try {
          const sent = this.#with(header);
          const response = await this.#transport.stream(method, link.signal, timeoutMs, sent, ...messages);
          return { ...response, message: releasing(response, link) };
        } catch (thrown) {
          link.release();
          throw thrown;
        }
      },
    };
  }

  /** Sleeps, unless the caller or the client's end interrupts it. */
  async pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const link = this.#link(signal);
    try {
      await this.timers.sleep(ms, link.signal);
    } catch (thrown) {
      throw this.#errorOf(thrown, signal);
    } finally {
      link.release();
    }
  }

  /** Does what is no call of the gateway under the same rules: the caller's signal, a deadline, the client's end. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>, { signal, deadline }: StreamOptions): Promise<T> {
    const link = this.#link(signal);
    const remaining = this.#remaining(deadline);
    const late = () => link.abort(timeIsOver());
    const inTime = remaining === undefined ? () => {} : this.timers.after(remaining, late);
    try {
      return await work(link.signal);
    } catch (thrown) {
      throw this.#errorOf(thrown, signal, link);
    } finally {
      inTime();
      link.release();
    }
  }

  /** Ends all calls; later ones fail at once. */
  close(): void {
    this.#closing.abort();
  }

  #with(header: HeadersInit | undefined): Headers {
    const headers = new Headers(this.#headers);
    new Headers(header).forEach((value, name) => {
      headers.set(name, value);
    });
    return headers;
  }

  #link(signal: AbortSignal | undefined): Link {
    return new Link([this.#closing.signal, signal]);
  }

  #remaining(deadline: number): number | undefined {
    const remaining = deadline - this.timers.now();
    // The transports take 0 for no limit at all.
    if (remaining <= 0) throw timeIsOver();
    return remaining > LONGEST_TIMEOUT_MS ? undefined : Math.ceil(remaining);
  }

  #expectWithin(link: Link): () => void {
    if (!Number.isFinite(this.#silenceMs)) return () => {};
    const silent = () => link.abort(new Unavailable("nothing came for too long", { code: "UNAVAILABLE" }));
    return this.timers.after(this.#silenceMs, silent);
  }

  /** What a call ends with: the caller's own reason where it was the caller who ended it, else a typed error. */
  #errorOf(thrown: unknown, signal: AbortSignal | undefined, link?: Link): unknown {
    if (signal?.aborted) return signal.reason;
    if (this.#closing.signal.aborted) return new GatewayError("the client is closed", { code: "CANCELLED" });
    if (link?.signal.reason instanceof GatewayError) return link.signal.reason;
    return thrown instanceof GatewayError ? thrown : errorFromCall(thrown);
  }
}

/** Counts the failures since the last success: how long to wait before the next attempt, and when to give up. */
export class Outage {
  readonly #calls: Calls;
  readonly #patienceMs: number;
  readonly #deadline: number;
  #failures = 0;
  #began = 0;

  constructor(calls: Calls, patienceMs: number, deadline: number) {
    this.#calls = calls;
    this.#patienceMs = patienceMs;
    this.#deadline = deadline;
  }

  /** The gateway has answered. */
  over(): void {
    this.#failures = 0;
  }

  /** Sleeps until another attempt is due, and is true; false, at once, where none is. */
  async endure(error: unknown, signal: AbortSignal | undefined): Promise<boolean> {
    if (!mayRepeat(error)) return false;
    const { policy, timers } = this.#calls;
    const now = timers.now();
    if (this.#failures === 0) this.#began = now;
    this.#failures += 1;
    const delay = delayMs(policy, this.#failures, (error as GatewayError).retryDelayMs, timers.random());
    if (now + delay >= Math.min(this.#began + this.#patienceMs, this.#deadline)) return false;
    await this.#calls.pause(delay, signal);
    return true;
  }
}

/**
 * A signal that follows others. AbortSignal.any() is not in every browser that is in use, and where a signal lives long
 * it keeps what was made of it in older versions of Node.
 */
class Link {
  readonly #controller = new AbortController();
  readonly #followed: AbortSignal[];

  constructor(followed: readonly (AbortSignal | undefined)[]) {
    this.#followed = followed.filter((signal) => signal !== undefined);
    for (const signal of this.#followed) {
      if (signal.aborted) this.abort(signal.reason);
      else signal.addEventListener("abort", this.#follow);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.release();
    this.#controller.abort(reason);
  }

  release(): void {
    for (const signal of this.#followed) signal.removeEventListener("abort", this.#follow);
  }

  readonly #follow = (event: Event) => this.abort((event.target as AbortSignal).reason);
}

function timeIsOver(): GatewayError {
  return new DeadlineExceeded("the time for the call is over", { code: "DEADLINE_EXCEEDED" });
}

/** The message, if it can be sent: an object with a value of the wrong type is the caller's mistake, not an outage. */
function encodable<Schema extends DescMessage>(schema: Schema, init: MessageInitShape<Schema>): MessageShape<Schema> {
  const message = create(schema, init);
  try {
    toBinary(schema, message);
  } catch (cause) {
    throw new TypeError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  return message;
}

async function* one<Message>(message: Message): AsyncGenerator<Message, void, undefined> {
  yield message;
}

/** Has connect notice that its stream was left: it would keep a timer, and Node alive, until the deadline. */
async function noticed(messages: AsyncIterable<unknown> | undefined): Promise<void> {
  try {
    await messages?.[Symbol.asyncIterator]().next();
  } catch {
    // That it was aborted is just what it was to notice.
  }
}

/** The messages of a stream, after which nothing is followed any more. */
async function* releasing<I extends DescMessage, O extends DescMessage>(
  response: StreamResponse<I, O>,
  link: Link,
): AsyncGenerator<MessageShape<O>, void, undefined> {
  try {
    yield* response.message;
  } finally {
    link.release();
  }
}
