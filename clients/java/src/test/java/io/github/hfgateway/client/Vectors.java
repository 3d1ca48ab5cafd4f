package io.github.hfgateway.client;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.function.ThrowingConsumer;

/** The test cases in protos/vectors, which the clients of all languages share. */
final class Vectors {
  private Vectors() {}

  static JsonObject read(String file) {
    try {
      return JsonParser.parseString(Files.readString(Path.of("../../protos/vectors").resolve(file))).getAsJsonObject();
    } catch (IOException error) {
      throw new AssertionError(error);
    }
  }

  /** Returns one test for each case. */
  static Stream<DynamicTest> tests(String file, String part, ThrowingConsumer<JsonObject> test) {
    return objects(read(file), part).stream()
        .map(vector -> DynamicTest.dynamicTest(nameOf(vector), () -> test.accept(vector)));
  }

  private static String nameOf(JsonObject vector) {
    return vector.has("name") ? vector.get("name").getAsString() : vector.toString();
  }

  static List<JsonObject> objects(JsonObject object, String name) {
    return items(object, name).map(JsonElement::getAsJsonObject).toList();
  }

  static List<String> strings(JsonObject object, String name) {
    return items(object, name).map(JsonElement::getAsString).toList();
  }

  static List<Double> numbers(JsonObject object, String name) {
    return items(object, name).map(JsonElement::getAsDouble).toList();
  }

  private static Stream<JsonElement> items(JsonObject object, String name) {
    return object.has(name) ? StreamSupport.stream(object.getAsJsonArray(name).spliterator(), false) : Stream.of();
  }

  static String string(JsonObject object, String name) {
    return object.get(name).getAsString();
  }

  /** Returns the number, or null if it is null or missing. */
  static Double number(JsonObject object, String name) {
    JsonElement value = object.get(name);
    return value == null || value.isJsonNull() ? null : value.getAsDouble();
  }

  /** Calls {@code use} if the value exists. */
  static void given(JsonObject object, String name, Consumer<JsonElement> use) {
    if (object.has(name)) {
      use.accept(object.get(name));
    }
  }

  /** Parses a message from protobuf's JSON. */
  @SuppressWarnings("unchecked")
  static <M extends Message> M message(JsonElement json, M type) {
    Message.Builder builder = type.newBuilderForType();
    try {
      JsonFormat.parser().merge(json.toString(), builder);
    } catch (InvalidProtocolBufferException error) {
      throw new AssertionError(error);
    }
    return (M) builder.build();
  }
}
