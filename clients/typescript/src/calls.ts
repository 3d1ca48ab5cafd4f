/** Calls with credentials, deadlines and retries; see `retry.ts`. */

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { ConnectError, type StreamResponse, type Transport } from "@connectrpc/connect";
import { ClientClosed, DeadlineExceeded, GatewayError, GatewayOverloaded, Unavailable } from "./errors.js";
import type { CallOptions, PageOptions } from "./options.js";
import { delayMs, mayRepeat, type RetryPolicy } from "./retry.js";
import { errorFromCall } from "./status.js";
import type { Timers } from "./timers.js";

/** The parts of a `Calls`. */
export interface CallsOptions {
  transport: Transport;
  /** The URL of the gateway, for messages. */
  url: string;
  onRetry?: ((error: GatewayError, delayMs: number) => void) | undefined;
  /** Returns the headers of the next attempt of a call. */
  headers: () => Readonly<Record<string, string>>;
  timeoutMs: number;
  policy: RetryPolicy;
  timers: Timers;
  /**
   * A stream without a message for this long is considered dead; the gateway sends a heartbeat every 15 s. For
   * transports that do not ping their connections.
   */
  silenceMs: number;
  /** Whether the transport uses fetch, for which a failed connection is a TypeError. */
  fetches: boolean;
}

export interface UnaryOptions extends CallOptions {
  /** The time that the gateway may wait before it responds, added to the timeout. */
  extraMs?: number | undefined;
  /** Default: true. */
  retry?: boolean | undefined;
}

export interface StreamOptions {
  signal?: AbortSignal | undefined;
  /** On the clock of the timers; Infinity for none. */
  deadline: number;
  /** Default: those of the next attempt. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** A grpc-timeout has at most eight digits. */
const LONGEST_TIMEOUT_MS = 99_999_999;

/** The calls of a client, with its transport, credentials, timeout and retry policy. */
export class Calls {
  readonly #closing = new AbortController();
  #reached = false;

  constructor(readonly options: CallsOptions) {}

  /**
   * Makes a unary call and returns the response, or throws the typed error. Retries it within the timeout, which covers
   * all attempts. If `init` is a function, each attempt has its own request.
   */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I> | (() => MessageInitShape<I>),
    { signal, timeoutMs = this.options.timeoutMs, extraMs = 0, retry = true }: UnaryOptions = {},
  ): Promise<MessageShape<O>> {
    const fixed = typeof init === "function" ? undefined : encodable(method.input, init);
    const deadline = this.options.timers.now() + timeoutMs + extraMs;
    const outage = new Outage(this, retry ? this.options.policy.repeatCallsForMs : 0, deadline);
    const { transport, headers } = this.options;
    for (;;) {
      const request = fixed ?? encodable(method.input, typeof init === "function" ? init() : init);
      const sent = outage.before(headers);
      const link = this.#link(signal);
      try {
        const remaining = this.#remaining(deadline);
        const { message } = await transport.unary(method, link.signal, remaining, sent, request);
        this.#reached = true;
        return message;
      } catch (thrown) {
        const error = this.#located(this.#errorOf(thrown, signal));
        await outage.endure(error, signal);
      } finally {
        link.release();
      }
    }
  }

  /** Yields the items of all pages. Fetches each page when it is needed, with the token from the previous one. */
  async *pages<I extends DescMessage, O extends DescMessage, Item>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    itemsOf: (page: MessageShape<O>) => Iterable<Item>,
    { pageSize = 0, ...options }: PageOptions,
  ): AsyncGenerator<Item, void, undefined> {
    let pageToken = "";
    do {
      const page = await this.unary(method, { ...init, pageSize, pageToken }, options);
      yield* itemsOf(page);
      pageToken = (page as unknown as { nextPageToken: string }).nextPageToken;
    } while (pageToken);
  }

  /**
   * Yields the messages of a stream, and opens a new one when it breaks. Each has its own request. If a stream ends with
   * OK, `ended` returns whether the gateway may have ended it. Otherwise a proxy has cut it off.
   */
  async *resumed<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    request: () => MessageInitShape<I>,
    { signal, timeoutMs = Number.POSITIVE_INFINITY }: CallOptions,
    ended = () => false,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const deadline = this.options.timers.now() + timeoutMs;
    const outage = new Outage(this, this.options.policy.resumeWatchesForMs, deadline);
    for (;;) {
      const headers = outage.before(this.options.headers);
      try {
        const requests = one(encodable(method.input, request()));
        for await (const message of this.stream(method, requests, { signal, deadline, headers })) {
          outage.over();
          yield message;
        }
        if (ended()) return;
        throw new Unavailable("the watch ended without its last message", { code: "INTERNAL" });
      } catch (error) {
        await outage.endure(error, signal);
      }
    }
  }

  /** Sends the requests of one stream, and yields its messages, without resuming it. Leaving the loop ends the call. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    { signal, deadline, headers: sent = this.options.headers() }: StreamOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const { transport } = this.options;
    const link = this.#link(signal);
    let silence = this.#expectWithin(link);
    let messages: AsyncIterable<MessageShape<O>> | undefined;
    try {
      const remaining = this.#remaining(deadline);
      messages = (await transport.stream(method, link.signal, remaining, sent, requests)).message;
      for await (const message of messages) {
        silence();
        this.#reached = true;
        yield message;
        silence = this.#expectWithin(link);
      }
    } catch (thrown) {
      throw this.#located(this.#errorOf(thrown, signal, link));
    } finally {
      silence();
      link.abort();
      await noticed(messages);
    }
  }

  /**
   * The transport for generated stubs, with this client's headers. It is closed with the client. Its calls fail with
   * connect's own errors, and are not retried.
   */
  get transport(): Transport {
    return {
      unary: async (method, signal, timeoutMs, header, ...message) => {
        const link = this.#link(signal);
        try {
          return await this.options.transport.unary(method, link.signal, timeoutMs, this.#with(header), ...message);
        } finally {
          link.release();
        }
      },
      stream: async (method, signal, timeoutMs, header, ...messages) => {
        const link = this.#link(signal);
        try {
          const sent = this.#with(header);
          const response = await this.options.transport.stream(method, link.signal, timeoutMs, sent, ...messages);
          return { ...response, message: releasing(response, link) };
        } catch (thrown) {
          link.release();
          throw thrown;
        }
      },
    };
  }

  /** Sleeps, unless the caller's signal or the client's end interrupts it. */
  pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return this.during((interrupt) => this.options.timers.sleep(ms, interrupt), {
      signal,
      deadline: Number.POSITIVE_INFINITY,
    });
  }

  /**
   * Runs work that is not a call of the gateway under the same rules: the caller's signal, a deadline, and the client's
   * end.
   */
  async during<T>(work: (signal: AbortSignal) => Promise<T>, { signal, deadline }: StreamOptions): Promise<T> {
    const link = this.#link(signal);
    const remaining = this.#remaining(deadline);
    const late = () => link.abort(timeIsOver());
    const inTime = remaining === undefined ? () => {} : this.options.timers.after(remaining, late);
    try {
      return await work(link.signal);
    } catch (thrown) {
      throw link.signal.aborted ? this.#errorOf(thrown, signal, link) : thrown;
    } finally {
      inTime();
      link.release();
    }
  }

  /** Returns a function for the milliseconds that are left of a timeout from now, at least 0; Infinity without one. */
  left(timeoutMs = Number.POSITIVE_INFINITY): () => number {
    const deadline = this.options.timers.now() + timeoutMs;
    return () => Math.max(deadline - this.options.timers.now(), 0);
  }

  /** Ends all calls; later ones fail at once. */
  close(): void {
    this.#closing.abort();
  }

  #with(header: HeadersInit | undefined): Headers {
    const headers = new Headers(this.options.headers());
    new Headers(header).forEach((value, name) => {
      headers.set(name, value);
    });
    return headers;
  }

  #link(signal: AbortSignal | undefined): Link {
    return new Link([this.#closing.signal, signal]);
  }

  #remaining(deadline: number): number | undefined {
    const remaining = deadline - this.options.timers.now();
    // The transports take 0 as no limit.
    if (remaining <= 0) throw timeIsOver();
    return remaining > LONGEST_TIMEOUT_MS ? undefined : Math.ceil(remaining);
  }

  #expectWithin(link: Link): () => void {
    if (!Number.isFinite(this.options.silenceMs)) return () => {};
    const silent = () => link.abort(new Unavailable("the stream was silent for too long", { code: "UNAVAILABLE" }));
    return this.options.timers.after(this.options.silenceMs, silent);
  }

  /** Returns what the call throws: the caller's reason if the caller aborted it, otherwise a typed error. */
  #errorOf(thrown: unknown, signal: AbortSignal | undefined, link?: Link): unknown {
    if (signal?.aborted) return signal.reason;
    if (this.#closing.signal.aborted) return new ClientClosed();
    if (link?.signal.reason instanceof GatewayError) return link.signal.reason;
    if (thrown instanceof GatewayError) return thrown;
    // A mistake in an interceptor is not a failure of the connection.
    const { cause } = ConnectError.from(thrown);
    const mistaken = cause instanceof ReferenceError || (cause instanceof TypeError && !this.options.fetches);
    return mistaken ? new GatewayError(cause.message, { cause }) : errorFromCall(thrown);
  }

  /**
   * Adds the URL to the error of a connection. Until the client has reached its gateway, the cause may be a mistake in
   * its options, which a retry cannot change.
   */
  #located(error: unknown): unknown {
    if (!(error instanceof GatewayError)) return error;
    const { cause } = error;
    // A status that was received is not a failure of the connection.
    const received = cause instanceof ConnectError && cause.isWireError;
    if (received) this.#reached = true;
    // A gRPC server that notices the deadline first only says this.
    const unnamed = !received || error.message === "Deadline Exceeded";
    if (error instanceof DeadlineExceeded && unnamed) error.message = `the call to ${this.options.url} timed out`;
    else if (error instanceof Unavailable && !received) {
      error.permanent = !this.#reached && isMistake(error);
      error.message = `the connection to ${this.options.url} failed: ${withCause(error)}`;
    }
    return error;
  }
}

/**
 * Counts the failures since the last success. Decides how long to wait before the next attempt, and when to give up.
 */
export class Outage {
  #failures = 0;
  #began = 0;
  #next = 0;
  /** The last failure that may have had an effect, or else the last one. */
  #last: GatewayError | undefined;

  constructor(
    private readonly calls: Calls,
    private readonly patienceMs: number,
    private readonly deadline: number,
  ) {}

  /** Ends the outage, after a message of the gateway. */
  over(): void {
    this.#failures = 0;
    this.#last = undefined;
  }

  /**
   * Calls a function of the caller. Its error is not one of the call. But after a failed attempt, which may have had its
   * effect, the call fails with the error of that, whose cause it becomes.
   */
  before<T>(given: () => T): T {
    try {
      return given();
    } catch (cause) {
      if (!this.#last || cause === this.#last) throw cause;
      this.#last.cause = cause;
      throw this.#last;
    }
  }

  /** Sleeps until the next attempt. Throws the error of the call at once if there is none. */
  async endure(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (!mayRepeat(error)) {
      if (error instanceof DeadlineExceeded && this.#last) error.message += `. Before: ${this.#last.message}`;
      throw error;
    }
    const overloaded = error instanceof GatewayOverloaded;
    if (!overloaded || !this.#last || this.#last instanceof GatewayOverloaded) this.#last = error;
    const { policy, timers, onRetry, silenceMs } = this.calls.options;
    const now = timers.now();
    if (this.#failures === 0) this.#began = now;
    // A failure that comes later than a silent stream would be noticed: the device slept, which is no outage.
    else this.#began += Math.max(now - this.#next - silenceMs, 0);
    this.#failures += 1;
    const delay = delayMs(policy, this.#failures, error.retryDelayMs, timers.random());
    this.#next = now + delay;
    if (this.#next >= Math.min(this.#began + this.patienceMs, this.deadline)) {
      if (error === this.#last) throw error;
      this.#last.message += `. Then: ${error.message}`;
      this.#last.cause = error;
      throw this.#last;
    }
    this.before(() => onRetry?.(error, delay));
    await this.calls.pause(delay, signal);
  }
}

/**
 * A signal that follows others. It is used instead of AbortSignal.any(), which some browsers in use lack, and which in
 * older versions of Node leaks memory if a followed signal lives long.
 */
class Link {
  /** All links of a signal share one listener. Node warns about a leak if a signal has more than ten. */
  static readonly #links = new WeakMap<AbortSignal, Set<Link>>();
  readonly #controller = new AbortController();
  readonly #followed: AbortSignal[];

  constructor(followed: readonly (AbortSignal | undefined)[]) {
    this.#followed = followed.filter((signal) => signal !== undefined);
    for (const signal of this.#followed) {
      if (signal.aborted) this.abort(signal.reason);
      else Link.#linksOf(signal).add(this);
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
    for (const signal of this.#followed) Link.#links.get(signal)?.delete(this);
  }

  static #linksOf(signal: AbortSignal): Set<Link> {
    const known = Link.#links.get(signal);
    if (known) return known;
    const links = new Set<Link>();
    Link.#links.set(signal, links);
    signal.addEventListener("abort", () => {
      for (const link of links) link.abort(signal.reason);
    });
    return links;
  }
}

/** Codes of Node: an unknown name, an untrusted certificate, one for another name, and a gateway without TLS. */
const MISTAKES =
  /^(ENOTFOUND|ERR_TLS_CERT_ALTNAME_INVALID|ERR_SSL_WRONG_VERSION_NUMBER|CERT_|UNABLE_TO_|.*SELF_SIGNED_CERT)/;

function isMistake(error: Error): boolean {
  for (let cause = error.cause as Cause; cause; cause = cause.cause as Cause) {
    if (MISTAKES.test(String(cause.code))) return true;
  }
  return false;
}

type Cause = { code?: unknown; cause?: unknown } | undefined;

/** Returns the message with the innermost cause. The error of Node's fetch only says that it failed. */
function withCause(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  const text = inner instanceof ConnectError ? inner.rawMessage : inner.message;
  return error.message.includes(text) ? error.message : `${error.message}: ${text}`;
}

function timeIsOver(): GatewayError {
  return new DeadlineExceeded("the call timed out", { code: "DEADLINE_EXCEEDED" });
}

/**
 * Creates a message that is a copy of what the caller gave, who may change that before a retry. A value that cannot be
 * encoded is a TypeError, not an outage.
 */
function encodable<Schema extends DescMessage>(schema: Schema, init: MessageInitShape<Schema>): MessageShape<Schema> {
  const message = create(schema, init);
  if (isCut(message)) throw new TypeError("a text has a surrogate without its pair: a character was cut in half");
  try {
    return fromBinary(schema, toBinary(schema, message));
  } catch (cause) {
    throw new TypeError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Whether a text in a value has a lone surrogate. The encoding would replace it, and the text would be another one. */
function isCut(value: unknown): boolean {
  if (typeof value === "string") return /\p{Surrogate}/u.test(value);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, inner]) => isCut(name) || isCut(inner));
}

async function* one<Message>(message: Message): AsyncGenerator<Message, void, undefined> {
  yield message;
}

/**
 * Makes connect notice that its stream was left. Otherwise it keeps a timer, and with it Node, alive until the
 * deadline.
 */
async function noticed(messages: AsyncIterable<unknown> | undefined): Promise<void> {
  try {
    await messages?.[Symbol.asyncIterator]().next();
  } catch {
    // The error only says that the stream was aborted.
  }
}

/** Yields the messages of a stream, and then releases the link. */
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
