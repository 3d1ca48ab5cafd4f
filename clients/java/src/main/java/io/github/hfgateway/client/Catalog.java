package io.github.hfgateway.client;

import io.github.hfgateway.v1.CatalogServiceGrpc;
import io.github.hfgateway.v1.GetModelRequest;
import io.github.hfgateway.v1.ListModelsRequest;
import io.github.hfgateway.v1.ListModelsResponse;
import io.github.hfgateway.v1.ListMotionsRequest;
import io.github.hfgateway.v1.ListMotionsResponse;
import io.github.hfgateway.v1.ListPresetsRequest;
import io.github.hfgateway.v1.ListPresetsResponse;
import io.github.hfgateway.v1.ListSoulStylesRequest;
import io.github.hfgateway.v1.ListSoulStylesResponse;
import io.github.hfgateway.v1.Model;
import io.github.hfgateway.v1.Motion;
import io.github.hfgateway.v1.Preset;
import io.github.hfgateway.v1.SoulStyle;
import io.github.hfgateway.v1.SoulVersion;
import io.github.hfgateway.v1.WatchModelsRequest;
import io.github.hfgateway.v1.WatchModelsResponse;
import java.time.Duration;
import java.util.stream.Stream;

/**
 * The catalogs of Higgsfield's models, motions, styles and presets. Lists fetch pages on demand. See
 * {@link HfGatewayClient#catalog}.
 */
public final class Catalog {
  private final Calls calls;
  private final Duration timeout;

  Catalog(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** Lists all models. */
  public Stream<Model> listModels() {
    return listModels(ListModelsRequest.getDefaultInstance());
  }

  /** Lists the models that match the request, in pages of its size. */
  public Stream<Model> listModels(ListModelsRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CatalogServiceGrpc.getListModelsMethod(), request.toBuilder().setPageToken(token).build(), timeout),
        ListModelsResponse::getModelsList,
        ListModelsResponse::getNextPageToken);
  }

  /**
   * Returns a model, with the JSON Schema of its parameters if it is known.
   *
   * @throws GatewayException.ModelUnknown if the catalog does not have the model. A submission to it may still succeed
   */
  public Model getModel(String id) {
    GetModelRequest request = GetModelRequest.newBuilder().setId(id).build();
    return calls.unary(CatalogServiceGrpc.getGetModelMethod(), request, timeout).getModel();
  }

  /**
   * Watches Higgsfield's list of models from now on: models that are new, changed or gone. Resumes if the stream breaks.
   */
  public Watch<WatchModelsResponse> watchModels() {
    return watchModels(WatchModelsRequest.getDefaultInstance());
  }

  /** Watches Higgsfield's list of models from the revision of the request on; 0 is before the first change. */
  public Watch<WatchModelsResponse> watchModels(WatchModelsRequest request) {
    return calls.watch(new Watches.Models(request), null);
  }

  /** Lists all motions, for {@link Inputs#dop}. */
  public Stream<Motion> listMotions() {
    return listMotions(ListMotionsRequest.getDefaultInstance());
  }

  /** Lists the motions that match the request, in pages of its size. */
  public Stream<Motion> listMotions(ListMotionsRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CatalogServiceGrpc.getListMotionsMethod(), request.toBuilder().setPageToken(token).build(), timeout),
        ListMotionsResponse::getMotionsList,
        ListMotionsResponse::getNextPageToken);
  }

  /** Lists all styles of a version, for {@link Inputs#soul}. */
  public Stream<SoulStyle> listSoulStyles(SoulVersion version) {
    return listSoulStyles(ListSoulStylesRequest.newBuilder().setVersion(version).build());
  }

  /** Lists the styles that match the request, in pages of its size. */
  public Stream<SoulStyle> listSoulStyles(ListSoulStylesRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CatalogServiceGrpc.getListSoulStylesMethod(),
                request.toBuilder().setPageToken(token).build(),
                timeout),
        ListSoulStylesResponse::getSoulStylesList,
        ListSoulStylesResponse::getNextPageToken);
  }

  /** Lists all presets of a model. */
  public Stream<Preset> listPresets(String modelId) {
    return listPresets(ListPresetsRequest.newBuilder().setModelId(modelId).build());
  }

  /** Lists the presets that match the request, in pages of its size. The request must have the id of a model. */
  public Stream<Preset> listPresets(ListPresetsRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CatalogServiceGrpc.getListPresetsMethod(), request.toBuilder().setPageToken(token).build(), timeout),
        ListPresetsResponse::getPresetsList,
        ListPresetsResponse::getNextPageToken);
  }
}
