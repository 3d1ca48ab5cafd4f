package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.hfgateway.v1.ApiVersion;
import io.github.hfgateway.v1.CreateWatchTokenRequest;
import io.github.hfgateway.v1.DopVariant;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.GenerationInput;
import io.github.hfgateway.v1.GenerationState;
import io.github.hfgateway.v1.ListGenerationsRequest;
import io.github.hfgateway.v1.MotionStrength;
import io.github.hfgateway.v1.SoulVersion;
import io.github.hfgateway.v1.SpeakQuality;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.WaitFor;
import io.github.hfgateway.v1.WatchGenerationRequest;
import io.github.hfgateway.v1.WatchGenerationsRequest;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** protos/vectors/inputs.json: the inputs that constructors make, and the requests that methods send. */
class InputsTest {
  @TestFactory
  Stream<DynamicTest> inputs() {
    return Vectors.tests(
        "inputs.json",
        "inputs",
        vector ->
            assertEquals(
                Vectors.message(vector.get("input"), GenerationInput.getDefaultInstance()),
                made(Vectors.string(vector, "constructor"), new Arguments(vector.getAsJsonObject("arguments")))));
  }

  /** The arguments of one case, all of which must be taken. */
  private static final class Arguments {
    private final JsonObject left;

    Arguments(JsonObject given) {
      this.left = given.deepCopy();
    }

    JsonElement take(String name) {
      return left.remove(name);
    }

    String text(String name) {
      return take(name).getAsString();
    }

    Arguments given(String name, Consumer<JsonElement> use) {
      JsonElement value = take(name);
      if (value != null) {
        use.accept(value);
      }
      return this;
    }

    void allTaken() {
      assertEquals(Map.of(), left.asMap(), "unused arguments");
    }
  }

  private static String upper(String prefix, JsonElement name) {
    return prefix + name.getAsString().toUpperCase(Locale.ROOT);
  }

  private static GenerationInput made(String constructor, Arguments arguments) {
    GenerationInput input =
        switch (constructor) {
          case "soul" ->
              Inputs.soul(
                  arguments.text("prompt"),
                  soul ->
                      arguments
                          .given("version", it -> soul.setVersion(SoulVersion.valueOf(upper("SOUL_VERSION_", it))))
                          .given("aspect_ratio", it -> soul.setAspectRatio(it.getAsString()))
                          .given("width", it -> soul.setWidth(it.getAsInt()))
                          .given("height", it -> soul.setHeight(it.getAsInt()))
                          .given("resolution", it -> soul.setResolution(it.getAsString()))
                          .given("batch_size", it -> soul.setBatchSize(it.getAsInt()))
                          .given("style_id", it -> soul.setStyleId(it.getAsString()))
                          .given("style_strength", it -> soul.setStyleStrength(it.getAsDouble()))
                          .given("character_id", it -> soul.setCharacterId(it.getAsString()))
                          .given("character_strength", it -> soul.setCharacterStrength(it.getAsDouble()))
                          .given("image_reference_url", it -> soul.setImageReferenceUrl(it.getAsString()))
                          .given("enhance_prompt", it -> soul.setEnhancePrompt(it.getAsBoolean()))
                          .given("seed", it -> soul.setSeed(it.getAsInt())));
          case "dop" ->
              Inputs.dop(
                  arguments.text("prompt"),
                  arguments.take("image_urls").getAsJsonArray().asList().stream()
                      .map(JsonElement::getAsString)
                      .toList(),
                  dop ->
                      arguments
                          .given("variant", it -> dop.setVariant(DopVariant.valueOf(upper("DOP_VARIANT_", it))))
                          .given("end_image_url", it -> dop.setEndImageUrl(it.getAsString()))
                          .given(
                              "motions",
                              it -> it.getAsJsonObject().asMap().forEach((id, by) -> dop.addMotions(motion(id, by))))
                          .given("enhance_prompt", it -> dop.setEnhancePrompt(it.getAsBoolean()))
                          .given("seed", it -> dop.setSeed(it.getAsInt())));
          case "speak" ->
              Inputs.speak(
                  arguments.text("image_url"),
                  arguments.text("audio_url"),
                  arguments.text("prompt"),
                  speak ->
                      arguments
                          .given("quality", it -> speak.setQuality(SpeakQuality.valueOf(upper("SPEAK_QUALITY_", it))))
                          .given("duration_seconds", it -> speak.setDurationSeconds(it.getAsInt()))
                          .given("enhance_prompt", it -> speak.setEnhancePrompt(it.getAsBoolean()))
                          .given("seed", it -> speak.setSeed(it.getAsInt())));
          case "model" ->
              Inputs.model(
                  arguments.text("model_id"),
                  new Gson().fromJson(arguments.take("parameters"), JAVA_OBJECT),
                  model ->
                      arguments.given(
                          "api_version", it -> model.setApiVersion(ApiVersion.valueOf(upper("API_VERSION_", it)))));
          default -> throw new AssertionError(constructor);
        };
    arguments.allTaken();
    return input;
  }

  private static final com.google.gson.reflect.TypeToken<Map<String, Object>> JAVA_OBJECT =
      new com.google.gson.reflect.TypeToken<>() {};

  private static MotionStrength motion(String id, JsonElement strength) {
    MotionStrength.Builder motion = MotionStrength.newBuilder().setMotionId(id);
    if (!strength.isJsonNull()) {
      motion.setStrength(strength.getAsDouble());
    }
    return motion.build();
  }

  @Test
  void valuesWithoutJsonRepresentationAreRefused() {
    assertThrows(
        IllegalArgumentException.class, () -> Inputs.model("some/model", Map.of("when", Duration.ZERO)));
  }

  @TestFactory
  Stream<DynamicTest> requests() {
    return Vectors.tests("inputs.json", "requests", InputsTest::request);
  }

  private static void request(JsonObject vector) throws Exception {
    Arguments arguments = new Arguments(vector.getAsJsonObject("arguments"));
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client = gateway.client(new ManualTimers(1))) {
      Runnable call = call(client, Vectors.string(vector, "method"), arguments);
      arguments.allTaken();
      // Without a script the call fails, but the request was recorded.
      assertThrows(GatewayException.class, call::run);
      Message type =
          switch (Vectors.string(vector, "message")) {
            case "SubmitGenerationRequest" -> SubmitGenerationRequest.getDefaultInstance();
            case "ListGenerationsRequest" -> ListGenerationsRequest.getDefaultInstance();
            case "WatchGenerationRequest" -> WatchGenerationRequest.getDefaultInstance();
            case "WatchGenerationsRequest" -> WatchGenerationsRequest.getDefaultInstance();
            case "CreateWatchTokenRequest" -> CreateWatchTokenRequest.getDefaultInstance();
            default -> throw new AssertionError(vector);
          };
      assertEquals(Vectors.message(vector.get("request"), type), gateway.requests.get(0));
    }
  }

  private static Runnable call(HfGatewayClient client, String method, Arguments arguments) {
    return switch (method) {
      case "submit" -> {
        Submit[] submit = {
          Submit.of(Vectors.message(arguments.take("input"), GenerationInput.getDefaultInstance()))
        };
        arguments
            .given("idempotency_key", it -> submit[0] = submit[0].key(it.getAsString()))
            .given(
                "labels",
                it ->
                    it.getAsJsonObject().asMap()
                        .forEach((name, value) -> submit[0] = submit[0].label(name, value.getAsString())))
            .given("wait_for", it -> submit[0] = submit[0].waitFor(WaitFor.valueOf(upper("WAIT_FOR_", it))))
            .given("wait_timeout", it -> submit[0] = submit[0].waitTimeout(seconds(it)))
            .given("start_timeout", it -> submit[0] = submit[0].startTimeout(seconds(it)))
            .given("fail_when_saturated", it -> submit[0] = submit[0].failWhenSaturated())
            .given("outputs_ttl", it -> submit[0] = submit[0].outputsTtl(seconds(it)))
            .given("callback_url", it -> submit[0] = submit[0].callbackUrl(it.getAsString()));
        yield () -> client.submit(submit[0]);
      }
      case "list" -> {
        ListGenerationsRequest.Builder request = ListGenerationsRequest.newBuilder().setFilter(filter(arguments));
        arguments
            .given("include_input", it -> request.setIncludeInput(it.getAsBoolean()))
            .given("page_size", it -> request.setPageSize(it.getAsInt()));
        boolean plain = request.getPageSize() == 0;
        yield () -> (plain ? client.list(request.getFilter()) : client.list(request.build())).toList();
      }
      case "watch" -> {
        WatchGenerationRequest.Builder request = WatchGenerationRequest.newBuilder().setId(arguments.text("id"));
        arguments
            .given("after_revision", it -> request.setAfterRevision(it.getAsInt()))
            .given("include_input", it -> request.setIncludeInput(it.getAsBoolean()));
        yield () -> client.watch(request.build(), null).hasNext();
      }
      case "watch_many" -> {
        WatchGenerationsRequest.Builder request = WatchGenerationsRequest.newBuilder().setFilter(filter(arguments));
        arguments
            .given("resume_token", it -> request.setResumeToken(it.getAsString()))
            .given("include_input", it -> request.setIncludeInput(it.getAsBoolean()))
            .given("forecast_interval", it -> request.setForecastInterval(Durations.of(seconds(it))));
        yield () -> client.watchMany(request.build(), null).hasNext();
      }
      case "create_watch_token" -> {
        CreateWatchTokenRequest.Builder request = CreateWatchTokenRequest.newBuilder().setFilter(filter(arguments));
        arguments
            .given("ttl", it -> request.setTtl(Durations.of(seconds(it))))
            .given("include_input", it -> request.setIncludeInput(it.getAsBoolean()));
        yield () -> client.createWatchToken(request.build());
      }
      default -> throw new AssertionError(method);
    };
  }

  private static Duration seconds(JsonElement number) {
    return ManualTimers.seconds(number.getAsDouble());
  }

  private static GenerationFilter filter(Arguments arguments) {
    GenerationFilter.Builder filter = GenerationFilter.newBuilder();
    arguments
        .given("ids", it -> it.getAsJsonArray().forEach(id -> filter.addIds(id.getAsString())))
        .given(
            "states",
            it ->
                it.getAsJsonArray()
                    .forEach(state -> filter.addStates(GenerationState.valueOf(upper("GENERATION_STATE_", state)))))
        .given("model_ids", it -> it.getAsJsonArray().forEach(id -> filter.addModelIds(id.getAsString())))
        .given(
            "labels",
            it -> it.getAsJsonObject().asMap().forEach((name, value) -> filter.putLabels(name, value.getAsString())))
        .given("idempotency_key", it -> filter.setIdempotencyKey(it.getAsString()))
        .given("created_after", it -> filter.setCreatedAfter(timestamp(it)))
        .given("created_before", it -> filter.setCreatedBefore(timestamp(it)));
    return filter.build();
  }

  private static com.google.protobuf.Timestamp timestamp(JsonElement time) {
    return Vectors.message(time, com.google.protobuf.Timestamp.getDefaultInstance());
  }
}
