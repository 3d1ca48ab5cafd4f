package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.concurrent.CompletableFuture;

/**
 * The catalogs of Higgsfield's models, motions, styles and presets. Lists fetch pages on demand. See
 * {@link AsyncHfGatewayClient#catalog}.
 */
public final class AsyncCatalog {
  private final Calls calls;

  AsyncCatalog(Calls calls) {
    this.calls = calls;
  }

  /** Lists all models. */
  public Items<Model> listModels() {
    return listModels(ListModelsRequest.getDefaultInstance());
  }

  /** Lists the models that match the request, in pages of its size. */
  public Items<Model> listModels(ListModelsRequest request) {
    return calls.list(request, ListModelsResponse::getModelsList);
  }

  /**
   * Returns a model, with the JSON Schema of its parameters if it is known.
   *
   * @throws GatewayException.ModelUnknown if the catalog does not have the model. A submission to it may still succeed
   */
  public CompletableFuture<Model> getModel(String id) {
    return calls.unary(GetModelRequest.newBuilder().setId(id).build(), GetModelResponse::getModel);
  }

  /**
   * Watches Higgsfield's list of models from now on: models that are new, changed or gone. Resumes if the stream breaks.
   */
  public Items<WatchModelsResponse> watchModels() {
    return watchModels(WatchModelsRequest.getDefaultInstance());
  }

  /** Watches Higgsfield's list of models from the revision of the request on; 0 is before the first change. */
  public Items<WatchModelsResponse> watchModels(WatchModelsRequest request) {
    return calls.watch(() -> new Watches.Models(request), null);
  }

  /** Lists all motions, for {@link Inputs#dop}. */
  public Items<Motion> listMotions() {
    return listMotions(ListMotionsRequest.getDefaultInstance());
  }

  /** Lists the motions that match the request, in pages of its size. */
  public Items<Motion> listMotions(ListMotionsRequest request) {
    return calls.list(request, ListMotionsResponse::getMotionsList);
  }

  /** Lists all styles of a version, for {@link Inputs#soul}. */
  public Items<SoulStyle> listSoulStyles(SoulVersion version) {
    return listSoulStyles(ListSoulStylesRequest.newBuilder().setVersion(version).build());
  }

  /** Lists the styles that match the request, in pages of its size. */
  public Items<SoulStyle> listSoulStyles(ListSoulStylesRequest request) {
    return calls.list(request, ListSoulStylesResponse::getSoulStylesList);
  }

  /** Lists all presets of a model. */
  public Items<Preset> listPresets(String modelId) {
    return listPresets(ListPresetsRequest.newBuilder().setModelId(modelId).build());
  }

  /** Lists the presets that match the request, in pages of its size. The request must have the id of a model. */
  public Items<Preset> listPresets(ListPresetsRequest request) {
    return calls.list(request, ListPresetsResponse::getPresetsList);
  }
}
