// Generated from the protos by tools/java_rpcs.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.concurrent.CompletableFuture;

/** Methods that make one call, or list. */
abstract class GenerationRpcs {
  final Calls calls;

  GenerationRpcs(Calls calls) {
    this.calls = calls;
  }

  /**
   * Adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation of
   * the tenant: it is followed, watched, canceled, archived, reported by callbacks, explained and deleted as any other.
   * An adoption submits and charges nothing, and an adopted generation is never submitted.
   *
   * <p>The gateway first reads the status of the request with its own credentials, and makes no other call. Only a
   * status proves that the request belongs to the gateway's Higgsfield account; then the generation is stored in the
   * state that Higgsfield reports. After one of the errors below, nothing is stored.
   *
   * <p>A request belongs to one generation. If the tenant has that generation already, adopted or submitted, the call
   * returns it, without a call to Higgsfield, and with the labels that it has. If another tenant has it, the call fails
   * as if Higgsfield did not know the request.
   *
   * @throws GatewayException.NotFound if Higgsfield knows no such request of the gateway's account in this API version,
   *     another tenant has it, or the tenant has deleted the generation that it was adopted as. Higgsfield may also not
   *     know a request yet that was made seconds ago
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or limits status calls
   * @throws GatewayException.UpstreamCredentialsRefused if Higgsfield refuses the gateway's credentials
   */
  public CompletableFuture<AdoptGenerationResponse> adopt(AdoptGenerationRequest request) {
    return calls.unary(request);
  }

  /**
   * Returns a generation with its input. If it is queued and may have started, the gateway asks Higgsfield first, for
   * at most 2 s, so that {@code state} and {@code cancelable} are current. A replica that does not lead returns what it
   * knows.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   */
  public CompletableFuture<Generation> get(String id) {
    return calls.unary(GetGenerationRequest.newBuilder().setId(id).build(), GetGenerationResponse::getGeneration);
  }

  /** Lists the tenant's generations, newest first. Fetches pages on demand. */
  public Items<Generation> list(GenerationFilter filter) {
    return list(ListGenerationsRequest.newBuilder().setFilter(filter).build());
  }

  /**
   * Lists the tenant's generations, newest first. Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.InvalidInput if the filter is too large, or the {@code page_token} belongs to another
   *     filter
   */
  public Items<Generation> list(ListGenerationsRequest request) {
    return calls.list(request, ListGenerationsResponse::getGenerationsList);
  }

  /**
   * Cancels a generation. The effect depends on its state:
   * <ul>
   * <li>PENDING: it ends as CANCELED and costs nothing. If its submission is under way, the call waits for the outcome.
   * If the outcome is unknown, the call fails, and the gateway cancels the generation if it turns out to be queued.
   * <li>QUEUED: the gateway asks Higgsfield, which decides. For its v1 API Higgsfield documents no cancellation, so the
   * call usually fails.
   * <li>CANCELED: the call succeeds again.
   * <li>Any other state: the call fails.
   * </ul>
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   * @throws GatewayException.NotCancelable if it is too late, the state is not known, or Higgsfield did not cancel it
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response, or limits status calls. It may
   *     have canceled the generation; a retry finds out
   */
  public CompletableFuture<Generation> cancel(String id) {
    return calls.unary(
        CancelGenerationRequest.newBuilder().setId(id).build(), CancelGenerationResponse::getGeneration);
  }

  /**
   * Validates an input as SubmitGeneration does, and returns its price. The call charges and reserves nothing.
   *
   * @throws GatewayException.InvalidInput if a field is wrong, or the input needs Higgsfield's v1 API, which has no
   *     estimates
   * @throws GatewayException.InputRefused if Higgsfield refused the input
   * @throws GatewayException.ModelUnknown if Higgsfield does not know the model
   * @throws GatewayException.ModelUnavailable if Higgsfield has disabled or blocked the model
   * @throws GatewayException.InsufficientCredits if Higgsfield refuses estimates because the account does not have
   *     enough credits. Usually it does not check them
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response
   * @throws GatewayException.UpstreamCredentialsRefused if Higgsfield refuses the gateway's credentials
   */
  public CompletableFuture<EstimateGenerationResponse> estimate(GenerationInput input) {
    return calls.unary(EstimateGenerationRequest.newBuilder().setInput(input).build());
  }

  /**
   * Deletes an ended generation from the gateway, and its input and outputs from Higgsfield. Higgsfield cannot delete
   * what was sent to its v1 API. The {@code idempotency_key} of the generation stays used. Deleting a deleted
   * generation succeeds.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   * @throws GatewayException.NotDone if the generation has not ended
   * @throws GatewayException.UpstreamUnavailable if the generation is deleted in the gateway, but Higgsfield has not
   *     confirmed the removal yet. The gateway retries until it does
   * @throws GatewayException.GatewayUnavailable if the store did not confirm the deletion
   */
  public CompletableFuture<Boolean> delete(String id) {
    return calls.unary(
        DeleteGenerationRequest.newBuilder().setId(id).build(), DeleteGenerationResponse::getRemovedUpstream);
  }

  /**
   * Returns the history of a generation, oldest event first: every change with its cause, and every call to Higgsfield
   * with its outcome. It contains no secrets, and nothing of the input.
   *
   * @throws GatewayException.NotFound if the tenant has no generation with this id
   */
  public CompletableFuture<ExplainGenerationResponse> explain(String id) {
    return calls.unary(ExplainGenerationRequest.newBuilder().setId(id).build());
  }

  /**
   * Returns a URL to which the client uploads media itself, for browsers and large files. The client sends the bytes in
   * a PUT to {@code upload_url} with all {@code upload_headers}, and without credentials.
   *
   * @throws GatewayException.InputRefused if Higgsfield does not accept the {@code content_type}
   * @throws GatewayException.UpstreamUnavailable if Higgsfield sent no usable response
   * @throws GatewayException.UpstreamCredentialsRefused if Higgsfield refuses the gateway's credentials
   */
  public CompletableFuture<CreateUploadResponse> createUpload(String contentType) {
    return calls.unary(CreateUploadRequest.newBuilder().setContentType(contentType).build());
  }

  /**
   * Creates a watch token.
   *
   * <p>A client sends the token in place of an API key ("authorization: Bearer hfw_..."). It allows GetGeneration,
   * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations for the generations that match its filter.
   * Other RPCs return PERMISSION_DENIED (NOT_ALLOWED); other generations do not exist for it.
   *
   * <p>The token is valid until its {@code expire_time}, or until the API key that created it is revoked. Its open
   * streams then end with UNAUTHENTICATED (INVALID_CREDENTIALS).
   *
   * @throws GatewayException.InvalidInput if the filter has neither ids nor labels, another field is set, or the token
   *     would be too large
   * @throws GatewayException.NotAllowed if the caller has a watch token itself
   */
  public CompletableFuture<CreateWatchTokenResponse> createWatchToken(CreateWatchTokenRequest request) {
    return calls.unary(request);
  }
}
