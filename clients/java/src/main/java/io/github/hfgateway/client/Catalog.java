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
import java.time.Duration;
import java.util.stream.Stream;

/** What Higgsfield offers, as the gateway knows it. Lists fetch their pages as they are needed. */
public final class Catalog {
  private final Calls calls;
  private final Duration timeout;

  Catalog(Calls calls, Duration timeout) {
    this.calls = calls;
    this.timeout = timeout;
  }

  /** All models. */
  public Stream<Model> listModels() {
    return listModels(ListModelsRequest.getDefaultInstance());
  }

  /** The models that match the request, in pages of its size. */
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
   * One model with the schema of its parameters, where that is known. {@link GatewayException.ModelUnknown} where the catalog
   * does not have it, which does not say that a submit would be refused.
   */
  public Model getModel(String id) {
    GetModelRequest request = GetModelRequest.newBuilder().setId(id).build();
    return calls.unary(CatalogServiceGrpc.getGetModelMethod(), request, timeout).getModel();
  }

  /** All motions, for {@link Inputs#dop}. */
  public Stream<Motion> listMotions() {
    return listMotions(ListMotionsRequest.getDefaultInstance());
  }

  /** The motions that match the request, in pages of its size. */
  public Stream<Motion> listMotions(ListMotionsRequest request) {
    return Pages.of(
        request.getPageToken(),
        token ->
            calls.unary(
                CatalogServiceGrpc.getListMotionsMethod(), request.toBuilder().setPageToken(token).build(), timeout),
        ListMotionsResponse::getMotionsList,
        ListMotionsResponse::getNextPageToken);
  }

  /** All styles of a version, for {@link Inputs#soul}. */
  public Stream<SoulStyle> listSoulStyles(SoulVersion version) {
    return listSoulStyles(ListSoulStylesRequest.newBuilder().setVersion(version).build());
  }

  /** The styles that match the request, in pages of its size. */
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

  /** All presets of a model. */
  public Stream<Preset> listPresets(String modelId) {
    return listPresets(ListPresetsRequest.newBuilder().setModelId(modelId).build());
  }

  /** The presets of the request's model that match it, in pages of its size. */
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
