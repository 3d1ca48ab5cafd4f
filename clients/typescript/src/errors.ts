/**
 * The errors of the client.
 *
 * Use the class or `reason` to make decisions; `message` is a text for people, which may change. There is one class for
 * each gRPC code, with a subclass for each reason of the gateway. Errors with a reason that is newer than this client,
 * and errors of the transport, have the class of their code.
 */

import { type ErrorFacts, GatewayError } from "./gatewayerror.js";
import type { SoulCharacter } from "./gen/hfgateway/v1/character_service_pb.js";

export * from "./errorclasses.js";
export { type ErrorFacts, GatewayError, GenerationFailed, type ReasonName } from "./gatewayerror.js";
export type { GrpcCode } from "./names.js";

/** The client was closed before or during the call. A submitted generation continues. */
export class ClientClosed extends GatewayError {
  override name = "ClientClosed";

  constructor() {
    super("the client is closed", { code: "CANCELLED" });
  }

  /** False: the client stays closed. */
  override get retryable(): boolean {
    return false;
  }
}

/**
 * The error of `trainCharacter` for a character whose training failed; `reason` has the reason. The calls themselves
 * succeeded.
 */
export class TrainingFailed extends GatewayError {
  override name = "TrainingFailed";
  /** The character in its final state. */
  readonly character: SoulCharacter;

  constructor(character: SoulCharacter, message: string, facts: ErrorFacts = {}) {
    super(message, facts);
    this.character = character;
  }
}
