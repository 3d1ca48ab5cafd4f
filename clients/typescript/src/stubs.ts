/** The generated messages and services, for who calls the gateway with a client of his own. */

export * from "./gen/hfgateway/v1/callback_service_pb.js";
export * from "./gen/hfgateway/v1/catalog_service_pb.js";
export * from "./gen/hfgateway/v1/character_service_pb.js";
export * from "./gen/hfgateway/v1/error_pb.js";
export * from "./gen/hfgateway/v1/generation_input_pb.js";
export * from "./gen/hfgateway/v1/generation_pb.js";
export * from "./gen/hfgateway/v1/generation_service_pb.js";
export * from "./gen/hfgateway/v1/token_service_pb.js";
export * from "./gen/hfgateway/v1/upload_service_pb.js";
