/** The catalogs of Higgsfield's models, motions, styles and presets. */

import type { Calls } from "./calls.js";
import {
  CatalogService,
  type Model,
  type Motion,
  type Preset,
  type SoulStyle,
  type WatchModelsResponse,
} from "./gen/hfgateway/v1/catalog_service_pb.js";
import { SoulVersion } from "./gen/hfgateway/v1/generation_input_pb.js";
import { MediaKind } from "./gen/hfgateway/v1/generation_pb.js";
import { named } from "./names.js";
import { pages } from "./paging.js";
import type { CallOptions, PageOptions } from "./requests.js";
import { resumed } from "./watching.js";

const METHODS = CatalogService.method;

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

type Items<Item> = AsyncGenerator<Item, void, undefined>;

export async function* listModels(calls: Calls, options: ListModelsOptions): Items<Model> {
  const { query = "", pageSize = 0, includeSchema = false, includeGone = false } = options;
  const wanted = { query, pageSize, includeSchema, includeGone, outputKind: named(MediaKind, options.outputKind) };
  yield* pages(
    (pageToken) => calls.unary(METHODS.listModels, { ...wanted, pageToken }, options),
    (page) => page.models,
  );
}

export async function getModel(calls: Calls, id: string, options?: CallOptions): Promise<Model> {
  return (await calls.unary(METHODS.getModel, { id }, options)).model!;
}

export async function* watchModels(calls: Calls, options: WatchModelsOptions): Items<WatchModelsResponse> {
  let { afterRevision } = options;
  for await (const message of resumed(calls, METHODS.watchModels, () => ({ afterRevision }), options)) {
    afterRevision = message.revision;
    if (message.model) yield message;
  }
}

export async function* listMotions(calls: Calls, options: CatalogOptions): Items<Motion> {
  const { query = "", pageSize = 0 } = options;
  yield* pages(
    (pageToken) => calls.unary(METHODS.listMotions, { query, pageSize, pageToken }, options),
    (page) => page.motions,
  );
}

export async function* listSoulStyles(calls: Calls, options: ListSoulStylesOptions): Items<SoulStyle> {
  const { query = "", pageSize = 0 } = options;
  const version = named(SoulVersion, options.version);
  yield* pages(
    (pageToken) => calls.unary(METHODS.listSoulStyles, { query, version, pageSize, pageToken }, options),
    (page) => page.soulStyles,
  );
}

export async function* listPresets(calls: Calls, modelId: string, options: CatalogOptions): Items<Preset> {
  const { query = "", pageSize = 0 } = options;
  yield* pages(
    (pageToken) => calls.unary(METHODS.listPresets, { modelId, query, pageSize, pageToken }, options),
    (page) => page.presets,
  );
}
