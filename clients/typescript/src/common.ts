/** The exports of both entry points. */

export { type Duration, durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
export { type CommonOptions, GatewayClient } from "./client.js";
export * from "./errors.js";
export type * from "./events.js";
export {
  type Callback,
  type Delivery,
  DeliveryProblem,
  DeliveryState,
  type RotateCallbackSecretResponse,
} from "./gen/hfgateway/v1/callback_service_pb.js";
export type { Model, Motion, Preset, SoulStyle, WatchModelsResponse } from "./gen/hfgateway/v1/catalog_service_pb.js";
export { ModelChange, ModelLifecycle, ModelOrigin } from "./gen/hfgateway/v1/catalog_service_pb.js";
export { CharacterState, type SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";
export type { FieldViolation } from "./gen/hfgateway/v1/error_pb.js";
export { type GenerationInput, SoulVersion } from "./gen/hfgateway/v1/generation_input_pb.js";
export {
  type Forecast,
  type Generation,
  GenerationState,
  MediaKind,
  type Output,
} from "./gen/hfgateway/v1/generation_pb.js";
export type {
  AdoptGenerationResponse,
  EstimateGenerationResponse,
  ExplainGenerationResponse,
  GenerationEvent,
  UpstreamCall,
} from "./gen/hfgateway/v1/generation_service_pb.js";
export type { CreateWatchTokenResponse } from "./gen/hfgateway/v1/token_service_pb.js";
export type { CreateUploadResponse, UploadMediaResponse } from "./gen/hfgateway/v1/upload_service_pb.js";
export * from "./inputs.js";
export { generationToJson } from "./json.js";
export { newIdempotencyKey } from "./keys.js";
export type * from "./options.js";
export type { RetryPolicy } from "./retry.js";
export { errorFromGeneration, type StateName, stateName } from "./status.js";
export type { Timers } from "./timers.js";
export type { UploadOptions, UploadSource } from "./uploads.js";
export { VERSION } from "./version.js";
