// Generated from the protos by tools/java_rpcs.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.concurrent.CompletableFuture;

/** Methods that make one call, or list. */
abstract class CatalogRpcs {
  final Calls calls;

  CatalogRpcs(Calls calls) {
    this.calls = calls;
  }

  /** Lists models by id: those that Higgsfield lists, and built-in ones. Fetches pages on demand. */
  public Items<Model> listModels() {
    return listModels(ListModelsRequest.getDefaultInstance());
  }

  /**
   * Lists models by id: those that Higgsfield lists, and built-in ones. Models that are gone are left out by default.
   * Fetches pages of the size in the request on demand.
   */
  public Items<Model> listModels(ListModelsRequest request) {
    return calls.list(request, ListModelsResponse::getModelsList);
  }

  /**
   * Returns a model with the schema of its parameters.
   *
   * @throws GatewayException.ModelUnknown if the model is not in the list. SubmitGeneration may accept it nevertheless
   */
  public CompletableFuture<Model> getModel(String id) {
    return calls.unary(GetModelRequest.newBuilder().setId(id).build(), GetModelResponse::getModel);
  }

  /** Lists the motions of DoP by name. Fetches pages on demand. */
  public Items<Motion> listMotions() {
    return listMotions(ListMotionsRequest.getDefaultInstance());
  }

  /**
   * Lists the motions of DoP by name. Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.UpstreamUnavailable if the list was never fetched
   */
  public Items<Motion> listMotions(ListMotionsRequest request) {
    return calls.list(request, ListMotionsResponse::getMotionsList);
  }

  /** Lists the styles of a version of Soul by name. Fetches pages on demand. */
  public Items<SoulStyle> listSoulStyles(SoulVersion version) {
    return listSoulStyles(ListSoulStylesRequest.newBuilder().setVersion(version).build());
  }

  /**
   * Lists the styles of a version of Soul by name. Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.InvalidInput if the version has no styles to choose from
   * @throws GatewayException.UpstreamUnavailable if the list was never fetched
   */
  public Items<SoulStyle> listSoulStyles(ListSoulStylesRequest request) {
    return calls.list(request, ListSoulStylesResponse::getSoulStylesList);
  }

  /** Lists the presets of a model by name. Fetches pages on demand. */
  public Items<Preset> listPresets(String modelId) {
    return listPresets(ListPresetsRequest.newBuilder().setModelId(modelId).build());
  }

  /**
   * Lists the presets of a model by name. The list is empty for a model without a {@code preset_id} parameter. Fetches
   * pages of the size in the request on demand.
   *
   * @throws GatewayException.ModelUnknown if the model is not in the list of models
   * @throws GatewayException.UpstreamUnavailable if the list was never fetched
   */
  public Items<Preset> listPresets(ListPresetsRequest request) {
    return calls.list(request, ListPresetsResponse::getPresetsList);
  }
}
