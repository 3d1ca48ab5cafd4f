/** The options and results of the client's methods. Times are in milliseconds. */

import type { Callback } from "./gen/hfgateway/v1/callback_service_pb.js";
import type { SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
import type { FieldViolation } from "./gen/hfgateway/v1/error_pb.js";
import type { Generation } from "./gen/hfgateway/v1/generation_pb.js";
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

/** Options of calls that create something. */
export interface KeyOptions {
  /** One key for each thing that you want, and the same for every retry. Default: a new UUID. */
  idempotencyKey?: string | undefined;
}

/** The result of calls that create something. */
export interface Created {
  /** The key of the call. Another call with this key and the same arguments returns the same thing. */
  readonly idempotencyKey: string;
  /** Whether the key had been used before, so that the call started and charged nothing. */
  readonly replayed: boolean;
}

/** Options of a submission, in addition to its input. */
export interface GenerationOptions extends KeyOptions {
  /** Labels to filter lists and watches by, at most 32. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** The gateway cancels the generation if it has not started within this time. Default: no limit. */
  startTimeoutMs?: number | undefined;
  /** Whether to fail with `UpstreamSaturated` if Higgsfield is saturated, instead of queueing. Default: false. */
  failWhenSaturated?: boolean | undefined;
  /**
   * When Higgsfield deletes the outputs: after at least 1 hour. Default and maximum: the setting of the Higgsfield
   * account.
   */
  outputsTtlMs?: number | undefined;
  /** Where signed deliveries about it are sent. The tenant must have a callback without a URL. Default: none. */
  callbackUrl?: string | undefined;
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

/** The result of `submit`. */
export interface Submission extends Created {
  /** The generation, as it was when the call returned. */
  readonly generation: Generation;
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
  /** Called with each warning about the input; see `Submission`. */
  onWarning?: ((warning: FieldViolation) => void) | undefined;
  /** How long nothing must change before a newer forecast is reported. At least 1000, or 0 for none. Default: 2000. */
  forecastIntervalMs?: number | undefined;
}

/** Options of `adopt`. */
export interface AdoptOptions extends CallOptions {
  /** The version of Higgsfield's API that the request was made with. Default: "v2". */
  apiVersion?: "v1" | "v2" | undefined;
  /** Labels to filter lists and watches by, at most 32. Ignored if the tenant has the generation already. */
  labels?: Readonly<Record<string, string>> | undefined;
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

interface InputOptions {
  /** Whether to return the inputs. Default: false. */
  includeInput?: boolean | undefined;
}

/** Options of `list`. */
export interface ListOptions extends ListFilter, PageOptions, InputOptions {}

/** Options of `watch`. */
export interface WatchOptions extends CallOptions, InputOptions {
  /** The last revision that the caller has. Default: 0, which returns all changes. */
  afterRevision?: number | undefined;
  /**
   * If set, the generation is yielded again, at the same revision and with a newer forecast, when nothing else was for
   * this long. At least 1000. Default: no forecasts.
   */
  forecastIntervalMs?: number | undefined;
}

/** Options of `watchMany`. */
export interface WatchManyOptions extends Filter, CallOptions, InputOptions {
  /** The token of an event of an earlier watch with the same filter, to continue after it. Default: a snapshot first. */
  resumeToken?: string | undefined;
  /** If set, newer forecasts are reported when nothing else was for this long. At least 1000. Default: no forecasts. */
  forecastIntervalMs?: number | undefined;
}

/** Options of `createWatchToken`. The token allows reading the generations with these ids, or with these labels. */
export interface WatchTokenOptions extends CallOptions, InputOptions, Pick<Filter, "ids" | "labels"> {
  /** How long the token is valid, in milliseconds, from 1 s to 1 hour. Default: 15 minutes. */
  ttlMs?: number | undefined;
}

/** Options of the catalogs' lists. */
export interface CatalogOptions extends PageOptions {
  /** Lists only items whose name (for models: id) contains this text, regardless of case. */
  query?: string | undefined;
}

/** Options of `listModels`. */
export interface ListModelsOptions extends CatalogOptions {
  /** Only models with this kind of output. Default: all. */
  outputKind?: "image" | "video" | "audio" | "file" | undefined;
  /** Whether to return the JSON Schema of each model's parameters, if it is known. Default: false. */
  includeSchema?: boolean | undefined;
  /** Whether to return models that are probably gone, too. Default: false. */
  includeGone?: boolean | undefined;
}

/** Options of `watchModels`. */
export interface WatchModelsOptions extends CallOptions {
  /** Starts after the change with this revision; 0 is before the first change. Default: only future changes. */
  afterRevision?: bigint | undefined;
}

/** Options of `listSoulStyles`. */
export interface ListSoulStylesOptions extends CatalogOptions {
  /** The version of Soul. Default: "v1". */
  version?: "v1" | "v2" | undefined;
}

/** Options of `createCharacter` and `trainCharacter`. */
export interface CreateCharacterOptions extends CallOptions, KeyOptions {
  /** The version of Soul for which the character is trained. Default: "v1". */
  version?: "v1" | "v2" | "cinema" | undefined;
}

/** The result of `createCharacter`. */
export interface CreatedCharacter extends Created {
  readonly character: SoulCharacter;
}

/** Which generations a callback reports: those that match all given fields. */
export type CallbackFilter = Pick<ListFilter, "labels" | "modelIds" | "states">;

interface CallbackOptions extends CallOptions {
  /** Which generations to report. Default: all. An update replaces the whole filter. */
  filter?: CallbackFilter | undefined;
  /** Whether to report every change, or only the end of each generation. Default: only the end. */
  everyChange?: boolean | undefined;
}

/** Options of `createCallback`. */
export interface CreateCallbackOptions extends CallbackOptions, KeyOptions {}

/** The result of `createCallback`. */
export interface CreatedCallback extends Created {
  readonly callback: Callback;
  /**
   * The key with which the gateway signs deliveries. It is returned only once: it is "" if the given `idempotencyKey` had
   * been used before, also by a lost attempt of this call. Call `rotateCallbackSecret` for a new one then. Without a
   * given key, the client does so itself.
   */
  readonly secret: string;
}

/** What to change. Fields that are not given stay as they are. */
export interface UpdateCallbackOptions extends CallbackOptions {
  /** True pauses deliveries; false resumes them, whatever paused them. */
  paused?: boolean | undefined;
}

/** Options of `listDeliveries`. */
export interface ListDeliveriesOptions extends PageOptions {
  /** Only deliveries of this generation. Default: of all. */
  generationId?: string | undefined;
  /** Only deliveries that failed for good, or whose last attempt failed. Default: all. */
  failedOnly?: boolean | undefined;
}
