/** The generated messages and services, for programs that use their own connect client. */

export * from "./gen/hfgateway/v1/callback_service_pb.js";
export * from "./gen/hfgateway/v1/catalog_service_pb.js";
export * from "./gen/hfgateway/v1/character_service_pb.js";
export * from "./gen/hfgateway/v1/error_pb.js";
export * from "./gen/hfgateway/v1/generation_input_pb.js";
export * from "./gen/hfgateway/v1/generation_pb.js";
export * from "./gen/hfgateway/v1/generation_service_pb.js";
export * from "./gen/hfgateway/v1/token_service_pb.js";
export * from "./gen/hfgateway/v1/upload_service_pb.js";
