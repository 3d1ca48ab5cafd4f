/// <reference lib="esnext.disposable" preserve="true" />
/** The client, over any transport. */

import { equals } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { Calls } from "./calls.js";
import { WatchCursor } from "./cursor.js";
import type { GatewayError } from "./errors.js";
import type { WatchEvent } from "./events.js";
import type { Input } from "./inputs.js";
import { following, newIdempotencyKey, reporting, withKey } from "./keys.js";
import { named } from "./names.js";
import type * as options from "./options.js";
import type { CallOptions, PageOptions } from "./options.js";
import { duration, generationFilter } from "./requests.js";
import { policyOf, type RetryPolicy } from "./retry.js";
import { errorFromGeneration, errorFromTraining } from "./status.js";
import {
  type AdoptGenerationResponse,
  ApiVersion,
  type Callback,
  CallbackService,
  CatalogService,
  CharacterService,
  CharacterState,
  type CreateUploadResponse,
  type CreateWatchTokenResponse,
  type Delivery,
  type EstimateGenerationResponse,
  type ExplainGenerationResponse,
  type Generation,
  GenerationService,
  GenerationState,
  MediaKind,
  type Model,
  type Motion,
  type Preset,
  type RotateCallbackSecretResponse,
  type SoulCharacter,
  SoulCharacterSchema,
  type SoulStyle,
  SoulVersion,
  TokenService,
  type UploadMediaResponse,
  UploadService,
  WaitFor,
  type WatchModelsResponse,
} from "./stubs.js";
import { SYSTEM_TIMERS, type Timers } from "./timers.js";
import type { Media, Uploader, UploadOptions, UploadSource } from "./uploads.js";

/** The RPCs of all services; their names are unique. */
const RPC = {
  ...CallbackService.method,
  ...CatalogService.method,
  ...CharacterService.method,
  ...GenerationService.method,
  ...TokenService.method,
  ...UploadService.method,
};

/** The timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to be cheap. */
const WAIT_STEP_MS = 50_000;

type Stream<Item> = AsyncGenerator<Item, void, undefined>;

/** Options of the clients for Node and for browsers. */
export interface CommonOptions {
  /**
   * The API key or watch token to send with every call. A function is called before each attempt of a call, for keys
   * that change. Default: none.
   */
  apiKey?: string | (() => string) | undefined;
  /** Whether the key may be sent in plaintext to an address that is not a loopback address. Default: false. */
  insecure?: boolean | undefined;
  /** The timeout in milliseconds of a call that returns one response, including its retries. Default: 30 000. */
  timeoutMs?: number | undefined;
  /** When and for how long the client retries; unset fields have the defaults of `RetryPolicy`. */
  retry?: Partial<RetryPolicy> | undefined;
  /** Called before each retry with the error and the delay in milliseconds. */
  onRetry?: ((error: GatewayError, delayMs: number) => void) | undefined;
  /** Replaces the clock and the randomness in tests. */
  timers?: Timers | undefined;
}

/** How a client connects to its gateway. */
export interface Connection<Source> {
  transport: Transport;
  /** The URL of the gateway, to decide whether a key may be sent to it. It may be relative to the page's. */
  url: string;
  /** Headers in addition to the API key. */
  headers: Readonly<Record<string, string>>;
  mediaOf(source: Source, options: UploadOptions): Media | Promise<Media>;
  upload: Uploader;
  silenceMs: number;
  fetches: boolean;
  close(): void;
}

/**
 * A client of a gateway. It can be used for any number of concurrent calls. Close it once.
 *
 * Every error is a `GatewayError`, with two exceptions: a call that the caller's signal aborts rejects with the
 * signal's reason, and an invalid argument can be a `TypeError`. The end of a call never cancels the generation; use
 * `cancel`.
 */
export class GatewayClient<Source = UploadSource> implements AsyncDisposable {
  readonly #calls: Calls;
  readonly #connection: Connection<Source>;

  constructor(connection: Connection<Source>, options: CommonOptions) {
    this.#connection = connection;
    this.#calls = new Calls({
      transport: connection.transport,
      url: connection.url,
      onRetry: options.onRetry,
      headers: headersOf(connection, options),
      timeoutMs: options.timeoutMs ?? 30_000,
      policy: policyOf(options.retry),
      timers: options.timers ?? SYSTEM_TIMERS,
      silenceMs: connection.silenceMs,
      fetches: connection.fetches,
    });
  }

  /**
   * Makes one call without retries, and rejects at once if the gateway cannot be reached or refuses the key. The message
   * has the URL and the cause. The key needs the scope `read`. `timeoutMs` has the default 10 000.
   */
  async check({ timeoutMs = 10_000, ...call }: CallOptions = {}): Promise<void> {
    await this.#calls.unary(RPC.listGenerations, { pageSize: 1 }, { ...call, timeoutMs, retry: false });
  }

  /**
   * Submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency key,
   * so that it is charged once.
   *
   * @throws {@link GatewayError} with the key in `idempotencyKey`.
   */
  async submit(input: Input, options: options.SubmitOptions = {}): Promise<options.Submission> {
    const { idempotencyKey = newIdempotencyKey(), waitTimeoutMs, signal, timeoutMs } = options;
    const request = {
      input,
      idempotencyKey,
      labels: { ...options.labels },
      waitFor: named(WaitFor, options.waitFor),
      waitTimeout: duration(waitTimeoutMs),
      startTimeout: duration(options.startTimeoutMs),
      failWhenSaturated: options.failWhenSaturated ?? false,
      outputsTtl: duration(options.outputsTtlMs),
      callbackUrl: options.callbackUrl ?? "",
    };
    const call = { signal, timeoutMs, extraMs: waitTimeoutMs };
    const response = await withKey(idempotencyKey, this.#calls.unary(RPC.submitGeneration, request, call));
    const { generation, replayed, warnings } = response;
    return { generation: generation!, idempotencyKey, replayed, warnings };
  }

  /**
   * Submits a generation, watches it until it ends, and returns it COMPLETED. It never submits a second one.
   * `timeoutMs` limits the whole; by default there is no limit. The generation continues after a timeout.
   *
   * @throws {@link GenerationFailed} if the generation ends without output.
   * @throws {@link DeadlineExceeded} after `timeoutMs`.
   * @throws {@link GatewayError} if `onProgress` or `onWarning` throws an error, which is its cause.
   */
  async generate(input: Input, options: options.GenerateOptions = {}): Promise<Generation> {
    const { onProgress, onWarning, forecastIntervalMs = 2000, signal, timeoutMs, ...given } = options;
    const every = (onProgress && forecastIntervalMs) || undefined;
    duration(every); // throws before the submission
    const left = this.#calls.left(timeoutMs);
    const limit = Math.min(left(), this.#calls.options.timeoutMs);
    const submission = await this.submit(input, { ...given, signal, timeoutMs: limit, waitFor: "stored" });
    let { generation } = submission;
    const [warn, progress] = [reporting(onWarning), reporting(onProgress)];
    const follow = async () => {
      submission.warnings.forEach(warn);
      progress(generation);
      if (generation.done) return;
      const rest = {
        afterRevision: generation.revision,
        forecastIntervalMs: every,
        signal,
        timeoutMs: left(),
      };
      for await (generation of this.#changes(generation.id, rest, generation)) progress(generation);
    };
    await following(submission.idempotencyKey, follow, signal);
    if (generation.state !== GenerationState.COMPLETED) throw errorFromGeneration(generation);
    return generation;
  }

  /**
   * Adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation like
   * any other; nothing is submitted or charged. Adopting it again returns the same generation, `replayed`.
   *
   * @throws {@link NotFound} if Higgsfield knows no such request of the gateway's account, or another tenant has it.
   */
  adopt(upstreamRequestId: string, options: options.AdoptOptions = {}): Promise<AdoptGenerationResponse> {
    const request = {
      upstreamRequestId,
      apiVersion: named(ApiVersion, options.apiVersion),
      labels: { ...options.labels },
    };
    return this.#calls.unary(RPC.adoptGeneration, request, options);
  }

  /**
   * Returns the generation as it is now, with its input.
   *
   * @throws {@link NotFound} if the tenant has no generation with this id.
   */
  async get(id: string, options?: CallOptions): Promise<Generation> {
    return (await this.#calls.unary(RPC.getGeneration, { id }, options)).generation!;
  }

  /** Yields the generations that match all given filters, newest first. */
  async *list(options: options.ListOptions = {}): Stream<Generation> {
    const request = { filter: generationFilter(options), includeInput: options.includeInput ?? false };
    yield* this.#calls.pages(RPC.listGenerations, request, (page) => page.generations, options);
  }

  /**
   * Waits until the generation has ended, and returns it. After `timeoutMs` (default: no limit) it returns the
   * generation as it is; see `done`.
   */
  async wait(id: string, { signal, timeoutMs }: CallOptions = {}): Promise<Generation> {
    const { timers, policy } = this.#calls.options;
    const left = this.#calls.left(timeoutMs);
    for (;;) {
      const asked = timers.now();
      const step = Math.min(WAIT_STEP_MS, left());
      // A retry asks for the rest of the step, so that the outage does not prolong it.
      const rest = this.#calls.left(step);
      const request = () => ({ id, timeout: duration(rest()) });
      const response = await this.#calls.unary(RPC.waitGeneration, request, { signal, extraMs: step });
      const generation = response.generation!;
      if (generation.done || left() <= 0) return generation;
      // A gateway that shuts down responds early: back off.
      if (timers.now() - asked < step / 2) await this.#calls.pause(policy.firstDelayMs, signal);
    }
  }

  /**
   * Yields every change after a revision, exactly once and in order. Ends after the final change. It resumes if the
   * stream breaks.
   */
  watch(id: string, options: options.WatchOptions = {}): Stream<Generation> {
    return this.#changes(id, options);
  }

  /** Yields the changes. `last` is the generation at `afterRevision`, if it is known. */
  async *#changes(
    id: string,
    { afterRevision = 0, includeInput = false, forecastIntervalMs, ...call }: options.WatchOptions,
    last?: Generation,
  ): Stream<Generation> {
    let revision = afterRevision;
    const forecastInterval = duration(forecastIntervalMs);
    const request = () => ({ id, afterRevision: revision, includeInput, forecastInterval });
    // If the given revision is the last one, the gateway ends the stream without a message.
    let mayBeLast = afterRevision > 0 && !last;
    const messages = this.#calls.resumed(RPC.watchGeneration, request, call, () => mayBeLast);
    for await (const { forecast, generation } of messages) {
      mayBeLast = false;
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

  /**
   * Yields the events of all generations that match, including ones created later, on one stream. With `ids` it
   * includes generations that have already ended, and ends when all have. With other filters it begins with generations
   * that have not ended, and never ends. It resumes if the stream breaks.
   */
  async *watchMany(options: options.WatchManyOptions = {}): Stream<WatchEvent> {
    const cursor = new WatchCursor(options.resumeToken ?? "");
    const wanted = {
      filter: generationFilter(options),
      includeInput: options.includeInput ?? false,
      forecastInterval: duration(options.forecastIntervalMs),
    };
    const request = () => ({ ...wanted, resumeToken: cursor.resumeToken });
    const ended = () => !!wanted.filter.ids?.length;
    for await (const message of this.#calls.resumed(RPC.watchGenerations, request, options, ended)) {
      yield* cursor.received(message);
    }
  }

  /**
   * Cancels the generation and returns it.
   *
   * @throws {@link NotCancelable} if it is too late to cancel.
   */
  async cancel(id: string, options?: CallOptions): Promise<Generation> {
    return (await this.#calls.unary(RPC.cancelGeneration, { id }, options)).generation!;
  }

  /**
   * Deletes a generation that has ended. Returns whether Higgsfield has removed the input and the outputs too.
   *
   * @throws {@link NotDone} if the generation has not ended.
   */
  async delete(id: string, options?: CallOptions): Promise<boolean> {
    return (await this.#calls.unary(RPC.deleteGeneration, { id }, options)).removedUpstream;
  }

  /** Returns the price of the input, and validates it as `submit` does. Charges nothing. */
  estimate(input: Input, options?: CallOptions): Promise<EstimateGenerationResponse> {
    return this.#calls.unary(RPC.estimateGeneration, { input }, options);
  }

  /** Returns the history of the generation, oldest event first: every change, and every call to Higgsfield. */
  explain(id: string, options?: CallOptions): Promise<ExplainGenerationResponse> {
    return this.#calls.unary(RPC.explainGeneration, { id }, options);
  }

  /**
   * Uploads media to Higgsfield's storage; use the returned `url` in an input. `timeoutMs` has no default here. A
   * failed upload is not retried, because the source may not be readable twice. An error of the source is rethrown.
   */
  async upload(source: Source, options: UploadOptions = {}): Promise<UploadMediaResponse> {
    const media = await this.#connection.mediaOf(source, options);
    return this.#connection.upload(this.#calls, media, options);
  }

  /**
   * Returns a URL to PUT media to, and the headers to send, for uploads that the caller makes. `contentType` is a media
   * type such as "image/png".
   */
  createUpload(contentType: string, options?: CallOptions): Promise<CreateUploadResponse> {
    return this.#calls.unary(RPC.createUpload, { contentType }, options);
  }

  /** Creates a token with which a browser can watch the given generations, and nothing else. For backends. */
  createWatchToken(options: options.WatchTokenOptions): Promise<CreateWatchTokenResponse> {
    const { ids, labels, ttlMs, includeInput = false, ...call } = options;
    const request = { filter: generationFilter({ ids, labels }), ttl: duration(ttlMs), includeInput };
    return this.#calls.unary(RPC.createWatchToken, request, call);
  }

  /** Yields the models of the catalog that match all given options. */
  async *listModels(options: options.ListModelsOptions = {}): Stream<Model> {
    const { query = "", includeSchema = false, includeGone = false } = options;
    const request = { query, includeSchema, includeGone, outputKind: named(MediaKind, options.outputKind) };
    yield* this.#calls.pages(RPC.listModels, request, (page) => page.models, options);
  }

  /**
   * Yields changes of Higgsfield's list of models: models that are new, changed or gone. It resumes if the stream breaks.
   */
  async *watchModels(options: options.WatchModelsOptions = {}): Stream<WatchModelsResponse> {
    let { afterRevision } = options;
    for await (const message of this.#calls.resumed(RPC.watchModels, () => ({ afterRevision }), options)) {
      afterRevision = message.revision;
      if (message.model) yield message;
    }
  }

  /**
   * Returns a model of the catalog, with the JSON Schema of its parameters if it is known.
   *
   * @throws {@link ModelUnknown} if the catalog does not have the model. A submission to it may still succeed.
   */
  async getModel(id: string, options?: CallOptions): Promise<Model> {
    return (await this.#calls.unary(RPC.getModel, { id }, options)).model!;
  }

  /** Yields the motions for `dop` that match. */
  listMotions(options: options.CatalogOptions = {}): Stream<Motion> {
    const { query = "" } = options;
    return this.#calls.pages(RPC.listMotions, { query }, (page) => page.motions, options);
  }

  /** Yields the styles for `soul` that match. */
  async *listSoulStyles(options: options.ListSoulStylesOptions = {}): Stream<SoulStyle> {
    const request = { query: options.query ?? "", version: named(SoulVersion, options.version) };
    yield* this.#calls.pages(RPC.listSoulStyles, request, (page) => page.soulStyles, options);
  }

  /** Yields the presets of a model that match. */
  listPresets(modelId: string, options: options.CatalogOptions = {}): Stream<Preset> {
    const { query = "" } = options;
    return this.#calls.pages(RPC.listPresets, { modelId, query }, (page) => page.presets, options);
  }

  /**
   * Starts the training of a character from images. Training costs credits; retries use the same idempotency key, so
   * that it is charged once.
   *
   * @throws {@link GatewayError} with the key in `idempotencyKey`.
   */
  async createCharacter(
    name: string,
    imageUrls: readonly string[],
    options: options.CreateCharacterOptions = {},
  ): Promise<options.CreatedCharacter> {
    const { idempotencyKey = newIdempotencyKey(), version, ...call } = options;
    const request = { name, imageUrls: [...imageUrls], version: named(SoulVersion, version), idempotencyKey };
    const response = await withKey(idempotencyKey, this.#calls.unary(RPC.createCharacter, request, call));
    return { character: response.character!, idempotencyKey, replayed: response.replayed };
  }

  /**
   * Creates a character, watches its training, which takes minutes, and returns it COMPLETED. It never creates a second
   * one. `timeoutMs` limits the whole; by default there is no limit. The training continues after a timeout.
   *
   * @throws {@link TrainingFailed} if the training does not complete.
   * @throws {@link DeadlineExceeded} after `timeoutMs`.
   */
  async trainCharacter(
    name: string,
    imageUrls: readonly string[],
    options: options.CreateCharacterOptions = {},
  ): Promise<SoulCharacter> {
    const left = this.#calls.left(options.timeoutMs);
    const limit = Math.min(left(), this.#calls.options.timeoutMs);
    const { idempotencyKey, ...created } = await this.createCharacter(name, imageUrls, {
      ...options,
      timeoutMs: limit,
    });
    let { character } = created;
    if (!character.done) {
      const rest = { signal: options.signal, timeoutMs: left() };
      const follow = async () => {
        for await (character of this.watchCharacter(character.id, rest));
      };
      await following(idempotencyKey, follow, options.signal);
    }
    if (character.state !== CharacterState.COMPLETED) throw errorFromTraining(character, idempotencyKey);
    return character;
  }

  /** Returns the character as it is now. */
  async getCharacter(id: string, options?: CallOptions): Promise<SoulCharacter> {
    return (await this.#calls.unary(RPC.getCharacter, { id }, options)).character!;
  }

  /** Yields all characters, newest first. */
  listCharacters(options: PageOptions = {}): Stream<SoulCharacter> {
    return this.#calls.pages(RPC.listCharacters, {}, (page) => page.characters, options);
  }

  /** Deletes the character at Higgsfield. Deleting a deleted character succeeds. */
  async deleteCharacter(id: string, options?: CallOptions): Promise<void> {
    await this.#calls.unary(RPC.deleteCharacter, { id }, options);
  }

  /**
   * Yields the character as it is, and then every change until its training has ended. It resumes if the stream breaks.
   */
  async *watchCharacter(id: string, options: CallOptions = {}): Stream<SoulCharacter> {
    let last: SoulCharacter | undefined;
    for await (const { character } of this.#calls.resumed(RPC.watchCharacter, () => ({ id }), options)) {
      // Each stream begins with the current state, which may be the last one of the previous stream.
      if (!character || (last && equals(SoulCharacterSchema, character, last))) continue;
      last = character;
      yield character;
      if (character.done) return;
    }
  }

  /**
   * Creates a callback: the gateway delivers later events of generations to `url` by HTTP POST; if it is empty, to the
   * `callbackUrl` of each submission. The secret that signs them is returned only by this call.
   *
   * @throws {@link GatewayError} with the key in `idempotencyKey`.
   */
  async createCallback(url: string, options: options.CreateCallbackOptions = {}): Promise<options.CreatedCallback> {
    const { filter, everyChange = false, idempotencyKey: given, ...call } = options;
    const idempotencyKey = given ?? newIdempotencyKey();
    const request = { url, filter: filter && generationFilter(filter), everyChange, idempotencyKey };
    const response = await withKey(idempotencyKey, this.#calls.unary(RPC.createCallback, request, call));
    const rotate = async () => {
      response.secret = (await this.rotateCallbackSecret(response.callback!.id, call)).secret;
    };
    // Only this call knows a new key: the response with the secret was lost.
    if (response.replayed && given === undefined) await following(idempotencyKey, rotate, call.signal);
    const { callback, secret, replayed } = response;
    return { callback: callback!, secret, idempotencyKey, replayed };
  }

  /** Returns the callback as it is now. */
  async getCallback(id: string, options?: CallOptions): Promise<Callback> {
    return (await this.#calls.unary(RPC.getCallback, { id }, options)).callback!;
  }

  /** Yields all callbacks, newest first. */
  listCallbacks(options: PageOptions = {}): Stream<Callback> {
    return this.#calls.pages(RPC.listCallbacks, {}, (page) => page.callbacks, options);
  }

  /** Changes the given fields of a callback, and returns it. */
  async updateCallback(id: string, changes: options.UpdateCallbackOptions): Promise<Callback> {
    const { paused, filter, everyChange, ...call } = changes;
    const request = { id, paused, filter: filter && generationFilter(filter), everyChange };
    return (await this.#calls.unary(RPC.updateCallback, request, call)).callback!;
  }

  /** Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds. */
  async deleteCallback(id: string, options?: CallOptions): Promise<void> {
    await this.#calls.unary(RPC.deleteCallback, { id }, options);
  }

  /**
   * Creates a new secret. Deliveries are also signed with the earlier ones for 24 hours, until the callback's
   * `oldSecretsExpireTime`.
   *
   * @throws {@link QuotaExceeded} if four secrets are active.
   */
  rotateCallbackSecret(id: string, options?: CallOptions): Promise<RotateCallbackSecretResponse> {
    return this.#calls.unary(RPC.rotateCallbackSecret, { id }, options);
  }

  /** Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error. */
  async testCallback(id: string, options?: CallOptions): Promise<Delivery> {
    return (await this.#calls.unary(RPC.testCallback, { id }, options)).delivery!;
  }

  /**
   * Yields the deliveries of a callback that match, newest first: those that are pending, and recent ones that were
   * delivered or failed.
   */
  listDeliveries(callbackId: string, options: options.ListDeliveriesOptions = {}): Stream<Delivery> {
    const { generationId = "", failedOnly = false } = options;
    const request = { callbackId, generationId, failedOnly };
    return this.#calls.pages(RPC.listDeliveries, request, (page) => page.deliveries, options);
  }

  /** Repeats a delivery, with the same id and a new series of attempts. */
  async redeliver(id: string, options?: CallOptions): Promise<Delivery> {
    return (await this.#calls.unary(RPC.redeliverDelivery, { id }, options)).delivery!;
  }

  /**
   * The connection with the API key, for generated stubs such as `agents` of "@hfgateway/client/agents". Calls over it
   * have only the timeout that they are given, are not retried, and reject with connect's errors.
   */
  get transport(): Transport {
    return this.#calls.transport;
  }

  /** Closes the connection. Calls in progress and later calls reject with `ClientClosed`. */
  async close(): Promise<void> {
    this.#calls.close();
    this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Refuses a key that cannot be sent in a header, because the error of the platform would contain it, or in secret. */
function headersOf<Source>(
  { headers, url }: Connection<Source>,
  { apiKey, insecure }: CommonOptions,
): () => Readonly<Record<string, string>> {
  if (!apiKey) return () => headers;
  const page = globalThis.document?.baseURI ?? globalThis.location?.href ?? "http://localhost";
  const { protocol, hostname, origin } = new URL(url, page);
  if (!insecure && protocol === "http:" && !isLoopback(hostname) && origin !== new URL(page).origin) {
    throw new TypeError(`the apiKey would be sent to ${url} in plaintext: use TLS, or set insecure to allow it`);
  }
  const sent = (key: string) => {
    if (!/^[\x21-\x7e]*$/.test(key)) throw new TypeError("the apiKey contains characters other than visible ASCII");
    return key ? { ...headers, authorization: `Bearer ${key}` } : headers;
  };
  if (typeof apiKey === "function") return () => sent(apiKey());
  const fixed = sent(apiKey);
  return () => fixed;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}
