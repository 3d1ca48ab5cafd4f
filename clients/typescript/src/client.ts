/// <reference lib="esnext.disposable" preserve="true" />
/** The client: one method for each thing that a caller wants, over any transport. */

import type { Transport } from "@connectrpc/connect";
import * as callbacks from "./callbacks.js";
import { Calls } from "./calls.js";
import * as catalog from "./catalog.js";
import * as characters from "./characters.js";
import type { WatchEvent } from "./events.js";
import type { Callback, Delivery, RotateCallbackSecretResponse } from "./gen/hfgateway/v1/callback_service_pb.js";
import type { Model, Motion, Preset, SoulStyle } from "./gen/hfgateway/v1/catalog_service_pb.js";
import type { SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import { type Generation, GenerationState } from "./gen/hfgateway/v1/generation_pb.js";
import {
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

/** What clients of every transport are made with. */
export interface CommonOptions {
  /** An API key, or a watch token. */
  apiKey?: string | undefined;
  /** The deadline of a unary call with all its repeats: 30 s unless given. */
  timeoutMs?: number | undefined;
  retry?: Partial<RetryPolicy> | undefined;
  /** Time and chance, for tests. */
  timers?: Timers | undefined;
}

/** How a client reaches its gateway. */
export interface Connection<Source> {
  transport: Transport;
  /** Headers beside the key. */
  headers: Readonly<Record<string, string>>;
  mediaOf(source: Source, options: UploadOptions): Media | Promise<Media>;
  upload: Uploader;
  silenceMs: number;
  close(): void;
}

/** The generation that now exists for a key. */
export interface Submission {
  readonly generation: Generation;
  /** Submit with it again, and this generation comes back. */
  readonly idempotencyKey: string;
  /** The key was known: nothing new was started, nothing is charged twice. */
  readonly replayed: boolean;
}

export interface GenerateOptions extends GenerationOptions, CallOptions {
  /** Sees the generation as stored, and every change. */
  onProgress?: ((generation: Generation) => void) | undefined;
}

export interface ListOptions extends ListFilter, PageOptions {
  includeInput?: boolean | undefined;
}

export interface WatchTokenOptions extends CallOptions {
  /** What the token may see: these generations, or all with these labels, later ones included; one of both at least. */
  ids?: Iterable<string> | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  /** 15 min unless given. */
  ttlMs?: number | undefined;
  includeInput?: boolean | undefined;
}

/**
 * A gateway, for as many calls at a time as you like. Every error is a `GatewayError`, but for what the caller's own
 * signal gives as its reason. What a call was about goes on when the call ends, for whatever reason.
 */
export class GatewayClient<Source = UploadSource> implements AsyncDisposable {
  readonly #calls: Calls;
  readonly #connection: Connection<Source>;

  constructor(connection: Connection<Source>, options: CommonOptions) {
    this.#connection = connection;
    this.#calls = new Calls({
      transport: connection.transport,
      headers: { ...connection.headers, ...authorization(options.apiKey) },
      timeoutMs: options.timeoutMs ?? 30_000,
      policy: { ...DEFAULT_POLICY, ...options.retry },
      timers: options.timers ?? SYSTEM_TIMERS,
      silenceMs: connection.silenceMs,
    });
  }

  /** Submits once, however often the answer gets lost: repeats carry the same key, and so does the error. */
  async submit(input: Input, options: SubmitOptions = {}): Promise<Submission> {
    const request = submitRequest(input, options);
    const { signal, timeoutMs, waitTimeoutMs: extraMs } = options;
    const { idempotencyKey } = request;
    const response = await withKey(
      idempotencyKey,
      this.#calls.unary(METHODS.submitGeneration, request, { signal, timeoutMs, extraMs }),
    );
    return { generation: response.generation!, idempotencyKey, replayed: response.replayed };
  }

  /**
   * Submits, follows it to its end, and returns it COMPLETED. An end without output is a `GenerationFailed`; it is never
   * submitted again. After `timeoutMs` (none: however long it takes) comes `DeadlineExceeded`, and the generation goes on.
   */
  async generate(input: Input, options: GenerateOptions = {}): Promise<Generation> {
    const { onProgress, signal, timeoutMs = Number.POSITIVE_INFINITY, ...given } = options;
    const { now } = this.#calls.timers;
    const deadline = now() + timeoutMs;
    const limit = Math.min(timeoutMs, this.#calls.timeoutMs);
    const submission = await this.submit(input, { ...given, signal, timeoutMs: limit, waitFor: "stored" });
    let { generation } = submission;
    onProgress?.(generation);
    if (!generation.done) {
      const rest = { afterRevision: generation.revision, signal, timeoutMs: Math.max(deadline - now(), 0) };
      const follow = async () => {
        for await (generation of this.watch(submission.generation.id, rest)) onProgress?.(generation);
      };
      await withKey(submission.idempotencyKey, follow());
    }
    if (generation.state !== GenerationState.COMPLETED) throw errorFromGeneration(generation);
    return generation;
  }

  /** The generation as it is now, with its input. */
  async get(id: string, options?: CallOptions): Promise<Generation> {
    return (await this.#calls.unary(METHODS.getGeneration, { id }, options)).generation!;
  }

  /** All that match everything given, newest first; pages are fetched as they are needed. */
  async *list(options: ListOptions = {}): AsyncGenerator<Generation, void, undefined> {
    const { includeInput = false, pageSize = 0 } = options;
    const filter = generationFilter(options);
    const wanted = { filter, includeInput, pageSize };
    yield* pages(
      (pageToken) => this.#calls.unary(METHODS.listGenerations, { ...wanted, pageToken }, options),
      (page) => page.generations,
    );
  }

  /** The generation when it is done, or after `timeoutMs` (none: however long it takes) as it is by then: see `done`. */
  wait(id: string, options: CallOptions = {}): Promise<Generation> {
    return watching.wait(this.#calls, id, options);
  }

  /** Every change after a revision, each once and in order; ends after the one that is done. Resumes by itself. */
  watch(id: string, options: watching.WatchOptions = {}): AsyncGenerator<Generation, void, undefined> {
    return watching.watch(this.#calls, id, options);
  }

  /**
   * Many generations on one stream, later ones included. Resumes by itself. With `ids` it ends when all of them are done,
   * else never.
   */
  watchMany(options: watching.WatchManyOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    return watching.watchMany(this.#calls, options);
  }

  /** Cancels it; `NotCancelable` where it is too late. */
  async cancel(id: string, options?: CallOptions): Promise<Generation> {
    return (await this.#calls.unary(METHODS.cancelGeneration, { id }, options)).generation!;
  }

  /** Removes what is done; true when Higgsfield has removed its input and files as well. */
  async delete(id: string, options?: CallOptions): Promise<boolean> {
    return (await this.#calls.unary(METHODS.deleteGeneration, { id }, options)).removedUpstream;
  }

  /** What it would cost; the input is checked as by `submit`. */
  estimate(input: Input, options?: CallOptions): Promise<EstimateGenerationResponse> {
    return this.#calls.unary(METHODS.estimateGeneration, { input }, options);
  }

  /** All that happened to it and for it, oldest first: every change, every call to Higgsfield. */
  explain(id: string, options?: CallOptions): Promise<ExplainGenerationResponse> {
    return this.#calls.unary(METHODS.explainGeneration, { id }, options);
  }

  /** Puts media on Higgsfield's storage; its `url` serves as an input. A broken upload is not repeated. */
  async upload(source: Source, options: UploadOptions = {}): Promise<UploadMediaResponse> {
    const media = await this.#connection.mediaOf(source, options);
    return this.#connection.upload(this.#calls, media, options);
  }

  /** Where to PUT media, and with which headers, for whoever moves the bytes himself. */
  createUpload(contentType: string, options?: CallOptions): Promise<CreateUploadResponse> {
    return this.#calls.unary(UploadService.method.createUpload, { contentType }, options);
  }

  /** A token that lets a page watch these generations and nothing else; for backends. */
  createWatchToken(options: WatchTokenOptions): Promise<CreateWatchTokenResponse> {
    const { ids, labels, ttlMs, includeInput = false, ...call } = options;
    const request = { filter: generationFilter({ ids, labels }), ttl: duration(ttlMs), includeInput };
    return this.#calls.unary(TokenService.method.createWatchToken, request, call);
  }

  /** All models that match everything given. */
  listModels(options: catalog.ListModelsOptions = {}): AsyncGenerator<Model, void, undefined> {
    return catalog.listModels(this.#calls, options);
  }

  /**
   * One model with the schema of its parameters, where that is known. `ModelUnknown` where the catalog does not have it,
   * which does not say that a submit would be refused.
   */
  getModel(id: string, options?: CallOptions): Promise<Model> {
    return catalog.getModel(this.#calls, id, options);
  }

  /** All motions that match, for `dop`. */
  listMotions(options: catalog.CatalogOptions = {}): AsyncGenerator<Motion, void, undefined> {
    return catalog.listMotions(this.#calls, options);
  }

  /** All styles of a version that match, for `soul`. */
  listSoulStyles(options: catalog.ListSoulStylesOptions = {}): AsyncGenerator<SoulStyle, void, undefined> {
    return catalog.listSoulStyles(this.#calls, options);
  }

  /** All presets of a model that match. */
  listPresets(modelId: string, options: catalog.CatalogOptions = {}): AsyncGenerator<Preset, void, undefined> {
    return catalog.listPresets(this.#calls, modelId, options);
  }

  /** Starts the training of a character from images of it, which is paid: once, however often the answer gets lost. */
  createCharacter(
    name: string,
    imageUrls: readonly string[],
    options: characters.CreateCharacterOptions = {},
  ): Promise<characters.CreatedCharacter> {
    return characters.createCharacter(this.#calls, name, imageUrls, options);
  }

  /**
   * Creates a character, follows its training to the end, which takes minutes, and returns it COMPLETED. Every other end is
   * a `TrainingFailed`; it is never created again. After `timeoutMs` (none: however long it takes) comes
   * `DeadlineExceeded`, and the training goes on.
   */
  trainCharacter(
    name: string,
    imageUrls: readonly string[],
    options: characters.CreateCharacterOptions = {},
  ): Promise<SoulCharacter> {
    return characters.trainCharacter(this.#calls, name, imageUrls, options);
  }

  /** The character as it is now. */
  getCharacter(id: string, options?: CallOptions): Promise<SoulCharacter> {
    return characters.getCharacter(this.#calls, id, options);
  }

  /** All characters, newest first. */
  listCharacters(options: PageOptions = {}): AsyncGenerator<SoulCharacter, void, undefined> {
    return characters.listCharacters(this.#calls, options);
  }

  /** Removes the character at Higgsfield; one that is deleted already is no error. */
  deleteCharacter(id: string, options?: CallOptions): Promise<void> {
    return characters.deleteCharacter(this.#calls, id, options);
  }

  /** The character as it is, then every change until its training has ended. Opened again by itself where it breaks. */
  watchCharacter(id: string, options: CallOptions = {}): AsyncGenerator<SoulCharacter, void, undefined> {
    return characters.watchCharacter(this.#calls, id, options);
  }

  /** Has the gateway deliver what changes from now on to a URL, signed with a secret that is told only here. */
  createCallback(url: string, options: callbacks.CreateCallbackOptions = {}): Promise<callbacks.CreatedCallback> {
    return callbacks.createCallback(this.#calls, url, options);
  }

  /** The callback as it is now. */
  getCallback(id: string, options?: CallOptions): Promise<Callback> {
    return callbacks.getCallback(this.#calls, id, options);
  }

  /** All callbacks, newest first. */
  listCallbacks(options: PageOptions = {}): AsyncGenerator<Callback, void, undefined> {
    return callbacks.listCallbacks(this.#calls, options);
  }

  /** Changes what is given, and nothing else. */
  updateCallback(id: string, changes: callbacks.UpdateCallbackOptions): Promise<Callback> {
    return callbacks.updateCallback(this.#calls, id, changes);
  }

  /** Removes it with its deliveries and secrets; one that does not exist is no error. */
  deleteCallback(id: string, options?: CallOptions): Promise<void> {
    return callbacks.deleteCallback(this.#calls, id, options);
  }

  /** A new secret; the ones before sign too until the callback's `oldSecretsExpireTime`. */
  rotateCallbackSecret(id: string, options?: CallOptions): Promise<RotateCallbackSecretResponse> {
    return callbacks.rotateCallbackSecret(this.#calls, id, options);
  }

  /** Sends one delivery of type "callback.test" now, and says what became of it: that it failed is no error. */
  testCallback(id: string, options?: CallOptions): Promise<Delivery> {
    return callbacks.testCallback(this.#calls, id, options);
  }

  /** The deliveries of a callback that match, newest first: what waits, and what was delivered or given up of late. */
  listDeliveries(
    callbackId: string,
    options: callbacks.ListDeliveriesOptions = {},
  ): AsyncGenerator<Delivery, void, undefined> {
    return callbacks.listDeliveries(this.#calls, callbackId, options);
  }

  /** Has a delivery made again from now on, under the same id. */
  redeliver(id: string, options?: CallOptions): Promise<Delivery> {
    return callbacks.redeliver(this.#calls, id, options);
  }

  /**
   * The connection with its key, for generated stubs such as `agents` of "@hfgateway/client/agents". What is called over it
   * has no time-out but its own, is not repeated, and fails with connect's errors.
   */
  get transport(): Transport {
    return this.#calls.transport;
  }

  /** Ends all calls and closes the connection. */
  async close(): Promise<void> {
    this.#calls.close();
    this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A key that a header cannot hold is refused here: the platform's own error would show it. */
function authorization(apiKey: string | undefined): Record<string, string> {
  if (!apiKey) return {};
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new TypeError("the apiKey holds characters that no key has");
  return { authorization: `Bearer ${apiKey}` };
}
