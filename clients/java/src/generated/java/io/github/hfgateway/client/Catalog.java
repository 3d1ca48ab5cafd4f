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

  /** Lists models by id: those that Higgsfield lists, and built-in ones. Fetches pages on demand. */
  public Stream<Model> listModels() {
    return new Watch<>(async.listModels()).stream();
  }

  /**
   * Lists models by id: those that Higgsfield lists, and built-in ones. Models that are gone are left out by default.
   * Fetches pages of the size in the request on demand.
   */
  public Stream<Model> listModels(ListModelsRequest request) {
    return new Watch<>(async.listModels(request)).stream();
  }

  /**
   * Returns a model with the schema of its parameters.
   *
   * @throws GatewayException.ModelUnknown if the model is not in the list. SubmitGeneration may accept it nevertheless
   */
  public Model getModel(String id) {
    return Blocking.await(async.getModel(id));
  }

  /** Lists the motions of DoP by name. Fetches pages on demand. */
  public Stream<Motion> listMotions() {
    return new Watch<>(async.listMotions()).stream();
  }

  /**
   * Lists the motions of DoP by name. Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.UpstreamUnavailable if the list was never fetched
   */
  public Stream<Motion> listMotions(ListMotionsRequest request) {
    return new Watch<>(async.listMotions(request)).stream();
  }

  /** Lists the styles of a version of Soul by name. Fetches pages on demand. */
  public Stream<SoulStyle> listSoulStyles(SoulVersion version) {
    return new Watch<>(async.listSoulStyles(version)).stream();
  }

  /**
   * Lists the styles of a version of Soul by name. Fetches pages of the size in the request on demand.
   *
   * @throws GatewayException.InvalidInput if the version has no styles to choose from
   * @throws GatewayException.UpstreamUnavailable if the list was never fetched
   */
  public Stream<SoulStyle> listSoulStyles(ListSoulStylesRequest request) {
    return new Watch<>(async.listSoulStyles(request)).stream();
  }

  /** Lists the presets of a model by name. Fetches pages on demand. */
  public Stream<Preset> listPresets(String modelId) {
    return new Watch<>(async.listPresets(modelId)).stream();
  }

  /**
   * Lists the presets of a model by name. The list is empty for a model without a {@code preset_id} parameter. Fetches
   * pages of the size in the request on demand.
   *
   * @throws GatewayException.ModelUnknown if the model is not in the list of models
   * @throws GatewayException.UpstreamUnavailable if the list was never fetched
   */
  public Stream<Preset> listPresets(ListPresetsRequest request) {
    return new Watch<>(async.listPresets(request)).stream();
  }
}
