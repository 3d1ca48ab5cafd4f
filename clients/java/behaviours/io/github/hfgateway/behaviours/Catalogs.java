package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.distinct;
import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.Catalog;
import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.Watch;
import io.github.hfgateway.v1.ListModelsRequest;
import io.github.hfgateway.v1.ListMotionsRequest;
import io.github.hfgateway.v1.Model;
import io.github.hfgateway.v1.Motion;
import io.github.hfgateway.v1.Preset;
import io.github.hfgateway.v1.SoulStyle;
import io.github.hfgateway.v1.SoulVersion;
import io.github.hfgateway.v1.WatchModelsRequest;
import io.github.hfgateway.v1.WatchModelsResponse;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The catalogs. */
final class Catalogs {
  static final Map<String, Main.Behaviour> ALL =
      Map.of(
          "list_models", Catalogs::listModels,
          "watch_models", Catalogs::watchModels,
          "get_model", Catalogs::getModel,
          "list_motions", Catalogs::listMotions,
          "list_soul_styles", Catalogs::listSoulStyles,
          "list_presets", Catalogs::listPresets);

  private Catalogs() {}

  private static boolean holds(String text, String part) {
    return text.toLowerCase(Locale.ROOT).contains(part.toLowerCase(Locale.ROOT));
  }

  private static void listModels(Stage stage) {
    Catalog catalog = stage.client.catalog();
    ListModelsRequest pages = ListModelsRequest.newBuilder().setPageSize(7).build();
    List<String> all = distinct(catalog.listModels(pages).map(Model::getId));
    assertTrue(all.size() > 7, "too few for a second page");
    List<String> souls = all.stream().filter(id -> holds(id, "soul")).toList();
    assertFalse(souls.isEmpty());
    assertNotEquals(all, souls);
    for (String query : List.of("soul", "SOUL")) {
      ListModelsRequest narrowed = ListModelsRequest.newBuilder().setQuery(query).build();
      assertEquals(souls, distinct(catalog.listModels(narrowed).map(Model::getId)));
    }
  }

  private static boolean takes(Model model, String parameter) {
    return model
        .getParametersSchema()
        .getFieldsOrThrow("properties")
        .getStructValue()
        .containsFields(parameter);
  }

  private static void getModel(Stage stage) {
    Model model = stage.client.catalog().getModel("higgsfield-ai/soul/v2/standard");
    assertEquals("higgsfield-ai/soul/v2/standard", model.getId());
    assertTrue(takes(model, "prompt"));
    String unknown = unique("unknown/model");
    fails(GatewayException.ModelUnknown.class, "MODEL_UNKNOWN", () -> stage.client.catalog().getModel(unknown));
  }

  private static void watchModels(Stage stage) {
    WatchModelsRequest request = WatchModelsRequest.newBuilder().setAfterRevision(-1).build();
    try (Watch<WatchModelsResponse> watch = stage.client.catalog().watchModels(request)) {
      fails(GatewayException.InvalidInput.class, "INVALID_INPUT", watch::hasNext);
    }
  }

  private static void listMotions(Stage stage) {
    List<Motion> all = stage.client.catalog().listMotions().toList();
    assertTrue(all.size() > 1);
    for (Motion motion : all) {
      assertFalse(motion.getId().isEmpty());
      assertFalse(motion.getName().isEmpty());
      assertTrue(motion.getPreviewUrl().startsWith("http"));
    }
    String name = all.get(0).getName();
    ListMotionsRequest narrowed =
        ListMotionsRequest.newBuilder().setQuery(name.toUpperCase(Locale.ROOT)).build();
    List<Motion> matching = all.stream().filter(motion -> holds(motion.getName(), name)).toList();
    assertNotEquals(all, matching);
    assertEquals(matching, stage.client.catalog().listMotions(narrowed).toList());
  }

  private static void listSoulStyles(Stage stage) {
    Catalog catalog = stage.client.catalog();
    List<String> first = distinct(catalog.listSoulStyles(SoulVersion.SOUL_VERSION_V1).map(SoulStyle::getId));
    List<String> second = distinct(catalog.listSoulStyles(SoulVersion.SOUL_VERSION_V2).map(SoulStyle::getId));
    assertFalse(first.isEmpty());
    assertFalse(second.isEmpty());
    assertNotEquals(first, second);
  }

  private static void listPresets(Stage stage) {
    Catalog catalog = stage.client.catalog();
    ListModelsRequest schemas = ListModelsRequest.newBuilder().setIncludeSchema(true).build();
    String model =
        catalog
            .listModels(schemas)
            .filter(one -> one.getParametersSchema().containsFields("properties") && takes(one, "preset_id"))
            .findFirst()
            .orElseThrow()
            .getId();
    List<Preset> presets = catalog.listPresets(model).toList();
    assertFalse(presets.isEmpty());
    for (Preset preset : presets) {
      assertFalse(preset.getId().isEmpty());
      assertFalse(preset.getName().isEmpty());
    }
    String unknown = unique("unknown/model");
    fails(GatewayException.ModelUnknown.class, "MODEL_UNKNOWN", () -> catalog.listPresets(unknown).toList());
  }
}
