/// <reference lib="esnext.disposable" preserve="true" />
/** The client, over any transport. */

import type { Transport } from "@connectrpc/connect";
import * as callbacks from "./callbacks.js";
import { Calls } from "./calls.js";
import * as catalog from "./catalog.js";
import * as characters from "./characters.js";
import type { GatewayError } from "./errors.js";
import type { WatchEvent } from "./events.js";
import type { Callback, Delivery, RotateCallbackSecretResponse } from "./gen/hfgateway/v1/callback_service_pb.js";
import type { Model, Motion, Preset, SoulStyle, WatchModelsResponse } from "./gen/hfgateway/v1/catalog_service_pb.js";
import type { SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import type { FieldViolation } from "./gen/hfgateway/v1/error_pb.js";
import { type Generation, GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import {
  type AdoptGenerationResponse,
  type EstimateGenerationResponse,
  type ExplainGenerationResponse,
  GenerationService,
} from "./gen/hfgateway/v1/generation_service_pb.js";
import { type CreateWatchTokenResponse, TokenService } from "./gen/hfgateway/v1/token_service_pb.js";
import {
  type CreateUploadResponse,
  type UploadMediaResponse,
  UploadService,
} from "./gen/hfgateway/v1/upload_service_pb.js";
import type { Input } from "./inputs.js";
import { withKey } from "./keys.js";
import { pages } from "./paging.js";
import {
  type AdoptOptions,
  adoptRequest,
  type CallOptions,
  duration,
  type GenerationOptions,
  generationFilter,
  type ListFilter,
  type PageOptions,
  type SubmitOptions,
  submitRequest,
} from "./requests.js";
import { DEFAULT_POLICY, type RetryPolicy } from "./retry.js";
import { errorFromGeneration } from "./status.js";
import { SYSTEM_TIMERS, type Timers } from "./timers.js";
import type { Media, Uploader, UploadOptions, UploadSource } from "./uploads.js";
import * as watching from "./watching.js";

const METHODS = GenerationService.method;

/** Options of the clients for Node and for browsers. */
export interface CommonOptions {
  /** The API key or watch token to send with every call. Default: none. */
  apiKey?: string | undefined;
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
  /** The URL of the gateway, to decide whether a key may be sent to it. A path is of the page's own origin. */
  url: string;
  /** Headers in addition to the API key. */
  headers: Readonly<Record<string, string>>;
  mediaOf(source: Source, options: UploadOptions): Media | Promise<Media>;
  upload: Uploader;
  silenceMs: number;
  close(): void;
}

/** The result of `submit`. */
export interface Submission {
  /** The generation, as it was when the call returned. */
  readonly generation: Generation;
  /** The key of the submission. Submitting again with this key returns the same generation. */
  readonly idempotencyKey: string;
  /** Whether the key had been used before, so that the call started and charged nothing. */
  readonly replayed: boolean;
  /** Fields of the input that may be wrong. */
  readonly warnings: readonly FieldViolation[];
}

/** Options of `generate`. */
export interface GenerateOptions extends GenerationOptions, CallOptions {
  /**
   * Called with the stored generation, with every change, and with newer forecasts. The `forecast` of the generation has
   * the progress and the expected end.
   */
  onProgress?: ((generation: Generation) => void) | undefined;
  /** How long nothing must change before a newer forecast is reported. At least 1000, or 0 for none. Default: 2000. */
  forecastIntervalMs?: number | undefined;
}

/** Options of `list`. */
export interface ListOptions extends ListFilter, PageOptions {
  /** Whether to return the inputs. Default: false. */
  includeInput?: boolean | undefined;
}

/** Options of `createWatchToken`. At least one of `ids` and `labels` is required. */
export interface WatchTokenOptions extends CallOptions {
  /** The ids of the generations that the token allows to read, at most 100. */
  ids?: Iterable<string> | undefined;
  /** The token allows to read the generations with all of these labels, including ones created later. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** How long the token is valid, in milliseconds, from 1 s to 1 hour. Default: 15 minutes. */
  ttlMs?: number | undefined;
  /** Whether the token allows to read inputs. Default: false. */
  includeInput?: boolean | undefined;
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
      headers: { ...connection.headers, ...authorization(options, connection.url) },
      timeoutMs: options.timeoutMs ?? 30_000,
      policy: { ...DEFAULT_POLICY, ...options.retry },
      timers: options.timers ?? SYSTEM_TIMERS,
      silenceMs: connection.silenceMs,
    });
  }

  /**
   * Makes one call without retries, and rejects at once if the gateway cannot be reached or refuses the key. The message
   * has the URL and the cause. `timeoutMs` has the default 10 000.
   */
  async check({ timeoutMs = 10_000, ...options }: CallOptions = {}): Promise<void> {
    await this.#calls.unary(METHODS.listGenerations, { pageSize: 1 }, { ...options, timeoutMs, retry: false });
  }

  /**
   * Submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency key,
   * so that it is charged once.
   *
   * @throws {@link GatewayError} with the key in `idempotencyKey`.
   */
  async submit(input: Input, options: SubmitOptions = {}): Promise<Submission> {
    const request = submitRequest(input, options);
    const { signal, timeoutMs, waitTimeoutMs: extraMs } = options;
    const { idempotencyKey } = request;
    const { generation, replayed, warnings } = await withKey(
      idempotencyKey,
      this.#calls.unary(METHODS.submitGeneration, request, { signal, timeoutMs, extraMs }),
    );
    return { generation: generation!, idempotencyKey, replayed, warnings };
  }

  /**
   * Submits a generation, watches it until it ends, and returns it COMPLETED. It never submits a second one.
   * `timeoutMs` limits the whole; by default there is no limit. The generation continues after a timeout.
   *
   * @throws {@link GenerationFailed} if the generation ends without output.
   * @throws {@link DeadlineExceeded} after `timeoutMs`.
   */
  async generate(input: Input, options: GenerateOptions = {}): Promise<Generation> {
    const { onProgress, forecastIntervalMs = 2000, signal, timeoutMs = Number.POSITIVE_INFINITY, ...given } = options;
    const { now } = this.#calls.timers;
    const deadline = now() + timeoutMs;
    const limit = Math.min(timeoutMs, this.#calls.timeoutMs);
    const submission = await this.submit(input, { ...given, signal, timeoutMs: limit, waitFor: "stored" });
    let { generation } = submission;
    onProgress?.(generation);
    if (!generation.done) {
      const rest = {
        afterRevision: generation.revision,
        forecastIntervalMs: (onProgress && forecastIntervalMs) || undefined,
        signal,
        timeoutMs: Math.max(deadline - now(), 0),
      };
      const changes = watching.watch(this.#calls, generation.id, rest, generation);
      const follow = async () => {
        for await (generation of changes) onProgress?.(generation);
      };
      await withKey(submission.idempotencyKey, follow());
    }
    if (generation.state !== GenerationState.COMPLETED) throw errorFromGeneration(generation);
    return generation;
  }

  /**
   * Adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation like
   * any other; nothing is submitted or charged. Adopting it again returns the same generation, `replayed`.
   *
   * @throws {@link NotFound} if Higgsfield knows no such request of the gateway's account, or another tenant has it.
   */
  adopt(upstreamRequestId: string, options: AdoptOptions = {}): Promise<AdoptGenerationResponse> {
    return this.#calls.unary(METHODS.adoptGeneration, adoptRequest(upstreamRequestId, options), options);
  }

  /**
   * Returns the generation as it is now, with its input.
   *
   * @throws {@link NotFound} if the tenant has no generation with this id.
   */
  async get(id: string, options?: CallOptions): Promise<Generation> {
    return (await this.#calls.unary(METHODS.getGeneration, { id }, options)).generation!;
  }

  /** Yields the generations that match all given filters, newest first. Fetches pages on demand. */
  async *list(options: ListOptions = {}): AsyncGenerator<Generation, void, undefined> {
    const { includeInput = false, pageSize = 0 } = options;
    const filter = generationFilter(options);
    const wanted = { filter, includeInput, pageSize };
    yield* pages(
      (pageToken) => this.#calls.unary(METHODS.listGenerations, { ...wanted, pageToken }, options),
      (page) => page.generations,
    );
  }

  /**
   * Waits until the generation has ended, and returns it. After `timeoutMs` (default: no limit) it returns the
   * generation as it is; see `done`.
   */
  wait(id: string, options: CallOptions = {}): Promise<Generation> {
    return watching.wait(this.#calls, id, options);
  }

  /**
   * Yields every change after a revision, exactly once and in order. Ends after the final change. It resumes if the
   * stream breaks.
   */
  watch(id: string, options: watching.WatchOptions = {}): AsyncGenerator<Generation, void, undefined> {
    return watching.watch(this.#calls, id, options);
  }

  /**
   * Yields the events of all generations that match, including ones created later, on one stream. With `ids` it ends
   * when all of them have ended, otherwise never. It resumes if the stream breaks.
   */
  watchMany(options: watching.WatchManyOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    return watching.watchMany(this.#calls, options);
  }

  /**
   * Cancels the generation and returns it.
   *
   * @throws {@link NotCancelable} if it is too late to cancel.
   */
  async cancel(id: string, options?: CallOptions): Promise<Generation> {
    return (await this.#calls.unary(METHODS.cancelGeneration, { id }, options)).generation!;
  }

  /**
   * Deletes a generation that has ended. Returns whether Higgsfield has removed the input and the outputs too.
   *
   * @throws {@link NotDone} if the generation has not ended.
   */
  async delete(id: string, options?: CallOptions): Promise<boolean> {
    return (await this.#calls.unary(METHODS.deleteGeneration, { id }, options)).removedUpstream;
  }

  /** Returns the price of the input, and validates it as `submit` does. Charges nothing. */
  estimate(input: Input, options?: CallOptions): Promise<EstimateGenerationResponse> {
    return this.#calls.unary(METHODS.estimateGeneration, { input }, options);
  }

  /** Returns the history of the generation, oldest event first: every change, and every call to Higgsfield. */
  explain(id: string, options?: CallOptions): Promise<ExplainGenerationResponse> {
    return this.#calls.unary(METHODS.explainGeneration, { id }, options);
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
    return this.#calls.unary(UploadService.method.createUpload, { contentType }, options);
  }

  /** Creates a token with which a browser can watch the given generations, and nothing else. For backends. */
  createWatchToken(options: WatchTokenOptions): Promise<CreateWatchTokenResponse> {
    const { ids, labels, ttlMs, includeInput = false, ...call } = options;
    const request = { filter: generationFilter({ ids, labels }), ttl: duration(ttlMs), includeInput };
    return this.#calls.unary(TokenService.method.createWatchToken, request, call);
  }

  /** Yields the models of the catalog that match all given options. Fetches pages on demand. */
  listModels(options: catalog.ListModelsOptions = {}): AsyncGenerator<Model, void, undefined> {
    return catalog.listModels(this.#calls, options);
  }

  /**
   * Yields changes of Higgsfield's list of models: models that are new, changed or gone. It resumes if the stream breaks.
   */
  watchModels(options: catalog.WatchModelsOptions = {}): AsyncGenerator<WatchModelsResponse, void, undefined> {
    return catalog.watchModels(this.#calls, options);
  }

  /**
   * Returns a model of the catalog, with the JSON Schema of its parameters if it is known.
   *
   * @throws {@link ModelUnknown} if the catalog does not have the model. A submission to it may still succeed.
   */
  getModel(id: string, options?: CallOptions): Promise<Model> {
    return catalog.getModel(this.#calls, id, options);
  }

  /** Yields the motions for `dop` that match. Fetches pages on demand. */
  listMotions(options: catalog.CatalogOptions = {}): AsyncGenerator<Motion, void, undefined> {
    return catalog.listMotions(this.#calls, options);
  }

  /** Yields the styles for `soul` that match. Fetches pages on demand. */
  listSoulStyles(options: catalog.ListSoulStylesOptions = {}): AsyncGenerator<SoulStyle, void, undefined> {
    return catalog.listSoulStyles(this.#calls, options);
  }

  /** Yields the presets of a model that match. Fetches pages on demand. */
  listPresets(modelId: string, options: catalog.CatalogOptions = {}): AsyncGenerator<Preset, void, undefined> {
    return catalog.listPresets(this.#calls, modelId, options);
  }

  /**
   * Starts the training of a character from images. Training costs credits; retries use the same idempotency key, so
   * that it is charged once.
   *
   * @throws {@link GatewayError} with the key in `idempotencyKey`.
   */
  createCharacter(
    name: string,
    imageUrls: readonly string[],
    options: characters.CreateCharacterOptions = {},
  ): Promise<characters.CreatedCharacter> {
    return characters.createCharacter(this.#calls, name, imageUrls, options);
  }

  /**
   * Creates a character, watches its training, which takes minutes, and returns it COMPLETED. It never creates a second
   * one. `timeoutMs` limits the whole; by default there is no limit. The training continues after a timeout.
   *
   * @throws {@link TrainingFailed} if the training does not complete.
   * @throws {@link DeadlineExceeded} after `timeoutMs`.
   */
  trainCharacter(
    name: string,
    imageUrls: readonly string[],
    options: characters.CreateCharacterOptions = {},
  ): Promise<SoulCharacter> {
    return characters.trainCharacter(this.#calls, name, imageUrls, options);
  }

  /** Returns the character as it is now. */
  getCharacter(id: string, options?: CallOptions): Promise<SoulCharacter> {
    return characters.getCharacter(this.#calls, id, options);
  }

  /** Yields all characters, newest first. Fetches pages on demand. */
  listCharacters(options: PageOptions = {}): AsyncGenerator<SoulCharacter, void, undefined> {
    return characters.listCharacters(this.#calls, options);
  }

  /** Deletes the character at Higgsfield. Deleting a deleted character succeeds. */
  deleteCharacter(id: string, options?: CallOptions): Promise<void> {
    return characters.deleteCharacter(this.#calls, id, options);
  }

  /**
   * Yields the character as it is, and then every change until its training has ended. It resumes if the stream breaks.
   */
  watchCharacter(id: string, options: CallOptions = {}): AsyncGenerator<SoulCharacter, void, undefined> {
    return characters.watchCharacter(this.#calls, id, options);
  }

  /**
   * Creates a callback: the gateway delivers later events of generations to `url` by HTTP POST. The secret that signs
   * them is returned only by this call.
   *
   * @throws {@link GatewayError} with the key in `idempotencyKey`.
   */
  createCallback(url: string, options: callbacks.CreateCallbackOptions = {}): Promise<callbacks.CreatedCallback> {
    return callbacks.createCallback(this.#calls, url, options);
  }

  /** Returns the callback as it is now. */
  getCallback(id: string, options?: CallOptions): Promise<Callback> {
    return callbacks.getCallback(this.#calls, id, options);
  }

  /** Yields all callbacks, newest first. Fetches pages on demand. */
  listCallbacks(options: PageOptions = {}): AsyncGenerator<Callback, void, undefined> {
    return callbacks.listCallbacks(this.#calls, options);
  }

  /** Changes the given fields of a callback, and returns it. */
  updateCallback(id: string, changes: callbacks.UpdateCallbackOptions): Promise<Callback> {
    return callbacks.updateCallback(this.#calls, id, changes);
  }

  /** Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds. */
  deleteCallback(id: string, options?: CallOptions): Promise<void> {
    return callbacks.deleteCallback(this.#calls, id, options);
  }

  /**
   * Creates a new secret. Deliveries are also signed with the earlier ones for 24 hours, until the callback's
   * `oldSecretsExpireTime`.
   *
   * @throws {@link QuotaExceeded} if four secrets are active.
   */
  rotateCallbackSecret(id: string, options?: CallOptions): Promise<RotateCallbackSecretResponse> {
    return callbacks.rotateCallbackSecret(this.#calls, id, options);
  }

  /** Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error. */
  testCallback(id: string, options?: CallOptions): Promise<Delivery> {
    return callbacks.testCallback(this.#calls, id, options);
  }

  /**
   * Yields the deliveries of a callback that match, newest first: those that are pending, and recent ones that were
   * delivered or failed. Fetches pages on demand.
   */
  listDeliveries(
    callbackId: string,
    options: callbacks.ListDeliveriesOptions = {},
  ): AsyncGenerator<Delivery, void, undefined> {
    return callbacks.listDeliveries(this.#calls, callbackId, options);
  }

  /** Repeats a delivery, with the same id and a new series of attempts. */
  redeliver(id: string, options?: CallOptions): Promise<Delivery> {
    return callbacks.redeliver(this.#calls, id, options);
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
function authorization({ apiKey, insecure }: CommonOptions, url: string): Record<string, string> {
  if (!apiKey) return {};
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new TypeError("the apiKey contains characters other than visible ASCII");
  if (!insecure && url.startsWith("http:") && !isLoopback(new URL(url).hostname)) {
    throw new TypeError(`the apiKey would be sent to ${url} in plaintext: use TLS, or set insecure to allow it`);
  }
  return { authorization: `Bearer ${apiKey}` };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}
