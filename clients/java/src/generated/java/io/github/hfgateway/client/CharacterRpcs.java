// Generated from the protos by tools/java_rpcs.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.concurrent.CompletableFuture;

/** Methods that make one call, or list. */
abstract class CharacterRpcs {
  final Calls calls;

  CharacterRpcs(Calls calls) {
    this.calls = calls;
  }

  /**
   * Returns a character, read from Higgsfield.
   *
   * @throws GatewayException.NotFound if the tenant has no character with this id
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or does not show the new
   *     character yet
   */
  public CompletableFuture<SoulCharacter> get(String id) {
    return calls.unary(GetCharacterRequest.newBuilder().setId(id).build(), GetCharacterResponse::getCharacter);
  }

  /** Lists the tenant's characters, newest first. Fetches pages on demand. */
  public Items<SoulCharacter> list() {
    return list(ListCharactersRequest.getDefaultInstance());
  }

  /**
   * Lists the tenant's characters, newest first. The list is at most 5 s old. Fetches pages of the size in the request
   * on demand.
   *
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response
   */
  public Items<SoulCharacter> list(ListCharactersRequest request) {
    return calls.list(request, ListCharactersResponse::getCharactersList);
  }

  /**
   * Deletes a character at Higgsfield. Its cost is not refunded. Deleting a deleted character succeeds.
   *
   * @throws GatewayException.NotFound if the tenant has no character with this id
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or does not show the new
   *     character yet
   */
  public CompletableFuture<Void> delete(String id) {
    return calls.unary(DeleteCharacterRequest.newBuilder().setId(id).build(), response -> null);
  }
}
