/** Google's gRPC-Web client with the methods that its code generator would describe, for tests in a browser. */

import { fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { GenerationService } from "@hfgateway/client/stubs";
import { GrpcWebClientBase, MethodDescriptor } from "grpc-web";

function prepared(address, name, request) {
  const method = GenerationService.method[name];
  const descriptor = new MethodDescriptor(
    `/${GenerationService.typeName}/${method.name}`,
    method.methodKind,
    Object,
    Object,
    (message) => toBinary(method.input, message),
    (bytes) => toJson(method.output, fromBinary(method.output, bytes)),
  );
  return [address + descriptor.getName(), fromJson(method.input, request), {}, descriptor];
}

/** Makes a unary call; returns the response, or the code and the message of the error. */
window.call = (format, address, name, request) =>
  new Promise((resolve) => {
    new GrpcWebClientBase({ format }).rpcCall(...prepared(address, name, request), (error, response) =>
      resolve(error ? { code: error.code, message: error.message } : response),
    );
  });

/** The responses of the stream that was opened last, and its final code. */
window.seen = [];
window.code = undefined;

window.watch = (format, address, name, request) => {
  window.seen = [];
  window.code = undefined;
  new GrpcWebClientBase({ format })
    .serverStreaming(...prepared(address, name, request))
    .on("data", (response) => window.seen.push(response))
    .on("error", (error) => {
      window.code = error.code;
    })
    .on("status", (status) => {
      window.code = status.code;
    });
};
