// Generated from AsyncCatalog by tools/blocking.py. DO NOT EDIT!
package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.stream.Stream;

/**
 * The catalogs of Higgsfield's models, motions, styles and presets. Lists fetch pages on demand. See
 * {@link HfGatewayClient#catalog}.
 */
public final class Catalog {
  final AsyncCatalog async;

  Catalog(AsyncCatalog async) {
    this.async = async;
  }

  /** Lists all models. */
  public Stream<Model> listModels() {
    return new Watch<>(async.listModels()).stream();
  }

  /** Lists the models that match the request, in pages of its size. */
  public Stream<Model> listModels(ListModelsRequest request) {
    return new Watch<>(async.listModels(request)).stream();
  }

  /**
   * Returns a model, with the JSON Schema of its parameters if it is known.
   *
   * @throws GatewayException.ModelUnknown if the catalog does not have the model. A submission to it may still succeed
   */
  public Model getModel(String id) {
    return Blocking.await(async.getModel(id));
  }

  /**
   * Watches Higgsfield's list of models from now on: models that are new, changed or gone. Resumes if the stream breaks.
   */
  public Watch<WatchModelsResponse> watchModels() {
    return new Watch<>(async.watchModels());
  }

  /** Watches Higgsfield's list of models from the revision of the request on; 0 is before the first change. */
  public Watch<WatchModelsResponse> watchModels(WatchModelsRequest request) {
    return new Watch<>(async.watchModels(request));
  }

  /** Lists all motions, for {@link Inputs#dop}. */
  public Stream<Motion> listMotions() {
    return new Watch<>(async.listMotions()).stream();
  }

  /** Lists the motions that match the request, in pages of its size. */
  public Stream<Motion> listMotions(ListMotionsRequest request) {
    return new Watch<>(async.listMotions(request)).stream();
  }

  /** Lists all styles of a version, for {@link Inputs#soul}. */
  public Stream<SoulStyle> listSoulStyles(SoulVersion version) {
    return new Watch<>(async.listSoulStyles(version)).stream();
  }

  /** Lists the styles that match the request, in pages of its size. */
  public Stream<SoulStyle> listSoulStyles(ListSoulStylesRequest request) {
    return new Watch<>(async.listSoulStyles(request)).stream();
  }

  /** Lists all presets of a model. */
  public Stream<Preset> listPresets(String modelId) {
    return new Watch<>(async.listPresets(modelId)).stream();
  }

  /** Lists the presets that match the request, in pages of its size. The request must have the id of a model. */
  public Stream<Preset> listPresets(ListPresetsRequest request) {
    return new Watch<>(async.listPresets(request)).stream();
  }
}
