/** The exports of both entry points. */

export { type Duration, durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
export { type CommonOptions, GatewayClient } from "./client.js";
export * from "./errors.js";
export type * from "./events.js";
export * from "./inputs.js";
export { generationToJson } from "./json.js";
export { newIdempotencyKey } from "./keys.js";
export type * from "./options.js";
export type { RetryPolicy } from "./retry.js";
export { errorFromGeneration, type StateName, stateName } from "./status.js";
export {
  type AdoptGenerationResponse,
  type Callback,
  CharacterState,
  type CreateUploadResponse,
  type CreateWatchTokenResponse,
  type Delivery,
  DeliveryProblem,
  DeliveryState,
  type EstimateGenerationResponse,
  type ExplainGenerationResponse,
  type FieldViolation,
  type Forecast,
  type Generation,
  type GenerationEvent,
  type GenerationInput,
  GenerationState,
  MediaKind,
  type Model,
  ModelChange,
  ModelLifecycle,
  ModelOrigin,
  type Motion,
  type Output,
  type Preset,
  type RotateCallbackSecretResponse,
  type SoulCharacter,
  type SoulStyle,
  SoulVersion,
  type UploadMediaResponse,
  type UpstreamCall,
  type WatchModelsResponse,
} from "./stubs.js";
export type { Timers } from "./timers.js";
export type { UploadOptions, UploadSource } from "./uploads.js";
export { VERSION } from "./version.js";
