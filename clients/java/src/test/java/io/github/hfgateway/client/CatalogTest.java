package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

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
import io.grpc.Status;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The catalogs. */
@Timeout(60)
class CatalogTest {
  private final ManualTimers timers = new ManualTimers(1);
  private ScriptedGateway gateway;
  private HfGatewayClient client;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
    client = gateway.client(timers);
  }

  @AfterEach
  void stop() {
    client.close();
    gateway.close();
  }

  private static Model model(String id) {
    return Model.newBuilder().setId(id).build();
  }

  @Test
  void listModelsFetchesAllPages() {
    gateway.answers(
        ListModelsResponse.newBuilder().addModels(model("a")).addModels(model("b")).setNextPageToken("p2").build());
    gateway.fails(Status.UNAVAILABLE.asRuntimeException());
    gateway.answers(ListModelsResponse.newBuilder().addModels(model("c")).build());
    ListModelsRequest request = ListModelsRequest.newBuilder().setQuery("soul").setPageSize(2).build();
    assertEquals(List.of(model("a"), model("b"), model("c")), client.catalog().listModels(request).toList());
    ListModelsRequest second = request.toBuilder().setPageToken("p2").build();
    assertEquals(List.of(request, second, second), gateway.requests);
  }

  @Test
  void otherListsFetchAllPages() {
    gateway.answers(
        ListMotionsResponse.newBuilder()
            .addMotions(Motion.newBuilder().setId("m1"))
            .setNextPageToken("p2")
            .build());
    gateway.answers(ListMotionsResponse.newBuilder().addMotions(Motion.newBuilder().setId("m2")).build());
    assertEquals(List.of("m1", "m2"), client.catalog().listMotions().map(Motion::getId).toList());

    gateway.answers(
        ListSoulStylesResponse.newBuilder()
            .addSoulStyles(SoulStyle.newBuilder().setId("s1"))
            .setNextPageToken("p2")
            .build());
    gateway.answers(ListSoulStylesResponse.newBuilder().addSoulStyles(SoulStyle.newBuilder().setId("s2")).build());
    assertEquals(
        List.of("s1", "s2"),
        client.catalog().listSoulStyles(SoulVersion.SOUL_VERSION_V2).map(SoulStyle::getId).toList());

    gateway.answers(
        ListPresetsResponse.newBuilder()
            .addPresets(Preset.newBuilder().setId("p1"))
            .setNextPageToken("p2")
            .build());
    gateway.answers(ListPresetsResponse.newBuilder().addPresets(Preset.newBuilder().setId("p2")).build());
    assertEquals(List.of("p1", "p2"), client.catalog().listPresets("a/model").map(Preset::getId).toList());

    ListSoulStylesRequest styles =
        ListSoulStylesRequest.newBuilder().setVersion(SoulVersion.SOUL_VERSION_V2).build();
    ListPresetsRequest presets = ListPresetsRequest.newBuilder().setModelId("a/model").build();
    assertEquals(
        List.of(
            ListMotionsRequest.getDefaultInstance(),
            ListMotionsRequest.newBuilder().setPageToken("p2").build(),
            styles,
            styles.toBuilder().setPageToken("p2").build(),
            presets,
            presets.toBuilder().setPageToken("p2").build()),
        gateway.requests);
  }

  @Test
  void unknownModelThrowsModelUnknown() {
    gateway.fails(ScriptedGateway.error(Status.Code.NOT_FOUND, "MODEL_UNKNOWN"));
    assertThrows(GatewayException.ModelUnknown.class, () -> client.catalog().getModel("no/model"));
    assertEquals(List.of(GetModelRequest.newBuilder().setId("no/model").build()), gateway.requests);
  }
}
