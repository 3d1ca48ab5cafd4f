package io.github.hfgateway.client;

import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.github.hfgateway.v1.DopInput;
import io.github.hfgateway.v1.GenerationInput;
import io.github.hfgateway.v1.ModelInput;
import io.github.hfgateway.v1.SoulInput;
import io.github.hfgateway.v1.SpeakInput;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Constructors of common inputs. Set optional fields on the message, as in {@code Inputs.soul("a fox", soul ->
 * soul.setSeed(7))}. Fields that are not set are left out of the message, so that the model's defaults apply. The
 * constructors do not validate: the gateway does, and its error names the wrong fields.
 */
public final class Inputs {
  private Inputs() {}

  /** Text to image with Soul. */
  public static GenerationInput soul(String prompt) {
    return soul(prompt, soul -> {});
  }

  /**
   * Text to image with Soul.
   *
   * @param options sets optional fields
   */
  public static GenerationInput soul(String prompt, Consumer<SoulInput.Builder> options) {
    SoulInput.Builder soul = SoulInput.newBuilder().setPrompt(prompt);
    options.accept(soul);
    return GenerationInput.newBuilder().setSoul(soul).build();
  }

  /** Image to video with the Director of Photography model, from one image URL. */
  public static GenerationInput dop(String prompt, String imageUrl) {
    return dop(prompt, List.of(imageUrl), dop -> {});
  }

  /**
   * Image to video with the Director of Photography model, from one or more image URLs.
   *
   * @param options sets optional fields
   */
  public static GenerationInput dop(String prompt, List<String> imageUrls, Consumer<DopInput.Builder> options) {
    DopInput.Builder dop = DopInput.newBuilder().setPrompt(prompt).addAllImageUrls(imageUrls);
    options.accept(dop);
    return GenerationInput.newBuilder().setDop(dop).build();
  }

  /** Speech to video with Speak, from the URLs of an image and of a WAV file. */
  public static GenerationInput speak(String imageUrl, String audioUrl, String prompt) {
    return speak(imageUrl, audioUrl, prompt, speak -> {});
  }

  /**
   * Speech to video with Speak, from the URLs of an image and of a WAV file.
   *
   * @param options sets optional fields
   */
  public static GenerationInput speak(
      String imageUrl, String audioUrl, String prompt, Consumer<SpeakInput.Builder> options) {
    SpeakInput.Builder speak = SpeakInput.newBuilder().setImageUrl(imageUrl).setAudioUrl(audioUrl).setPrompt(prompt);
    options.accept(speak);
    return GenerationInput.newBuilder().setSpeak(speak).build();
  }

  /**
   * Any Higgsfield model by its id.
   *
   * @param parameters maps with String keys, iterables, Strings, numbers, Booleans and nulls, which are sent unchanged
   * @throws IllegalArgumentException if a value has another type
   */
  public static GenerationInput model(String modelId, Map<String, ?> parameters) {
    return model(modelId, parameters, model -> {});
  }

  /**
   * Any Higgsfield model by its id, or an endpoint by its path.
   *
   * @param parameters maps with String keys, iterables, Strings, numbers, Booleans and nulls, which are sent unchanged
   * @param options sets optional fields: endpoints of Higgsfield's v1 API need {@code API_VERSION_V1}
   * @throws IllegalArgumentException if a value has another type
   */
  public static GenerationInput model(String path, Map<String, ?> parameters, Consumer<ModelInput.Builder> options) {
    ModelInput.Builder model = ModelInput.newBuilder().setModelId(path).setParameters(struct(parameters));
    options.accept(model);
    return GenerationInput.newBuilder().setModel(model).build();
  }

  private static Struct struct(Map<?, ?> fields) {
    Struct.Builder struct = Struct.newBuilder();
    fields.forEach((name, value) -> struct.putFields((String) name, value(value)));
    return struct.build();
  }

  private static Value value(Object value) {
    Value.Builder made = Value.newBuilder();
    if (value == null) {
      made.setNullValue(NullValue.NULL_VALUE);
    } else if (value instanceof String text) {
      made.setStringValue(text);
    } else if (value instanceof Number number) {
      made.setNumberValue(number.doubleValue());
    } else if (value instanceof Boolean bool) {
      made.setBoolValue(bool);
    } else if (value instanceof Map<?, ?> fields) {
      made.setStructValue(struct(fields));
    } else if (value instanceof Iterable<?> items) {
      ListValue.Builder list = ListValue.newBuilder();
      items.forEach(item -> list.addValues(value(item)));
      made.setListValue(list);
    } else {
      throw new IllegalArgumentException(value.getClass() + " has no JSON representation");
    }
    return made.build();
  }
}
