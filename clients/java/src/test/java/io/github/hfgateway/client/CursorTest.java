package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.WatchGenerationRequest;
import io.github.hfgateway.v1.WatchGenerationResponse;
import io.github.hfgateway.v1.WatchGenerationsRequest;
import io.github.hfgateway.v1.WatchGenerationsResponse;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** protos/vectors/cursor.json: what watches tell over streams that break, and what they open the next ones with. */
class CursorTest {
  private ScriptedGateway gateway;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  private void script(JsonObject vector, Message type) {
    for (JsonObject stream : Vectors.objects(vector, "streams")) {
      Message[] messages =
          Vectors.objects(stream, "messages").stream()
              .map(message -> Vectors.message(message, type))
              .toArray(Message[]::new);
      if (Vectors.string(stream, "ends").equals("ok")) {
        gateway.answers(messages);
      } else {
        gateway.fails(ScriptedGateway.error(Status.Code.UNAVAILABLE, "", (Double) null), messages);
      }
    }
  }

  @TestFactory
  Stream<DynamicTest> watches() {
    return Vectors.tests("cursor.json", "watches", this::watch);
  }

  private void watch(JsonObject vector) {
    gateway.requests.clear();
    script(vector, WatchGenerationResponse.getDefaultInstance());
    List<Integer> told = new ArrayList<>();
    try (HfGatewayClient client = gateway.client(new ManualTimers(1));
        Watch<Generation> watch = client.watch("g1", vector.get("after_revision").getAsInt())) {
      watch.forEachRemaining(generation -> told.add(generation.getRevision()));
    }
    List<Integer> expected = new ArrayList<>();
    List<Integer> opened = new ArrayList<>();
    for (JsonObject stream : Vectors.objects(vector, "streams")) {
      Vectors.numbers(stream, "told").forEach(revision -> expected.add(revision.intValue()));
      opened.add(stream.get("after_revision").getAsInt());
    }
    assertEquals(expected, told);
    assertEquals(
        opened,
        gateway.requests.stream().map(request -> ((WatchGenerationRequest) request).getAfterRevision()).toList());
  }

  @TestFactory
  Stream<DynamicTest> watchesOfMany() {
    return Vectors.tests("cursor.json", "cases", this::watchMany);
  }

  private void watchMany(JsonObject vector) {
    gateway.requests.clear();
    script(vector, WatchGenerationsResponse.getDefaultInstance());
    List<WatchEvent> told = new ArrayList<>();
    String token = Vectors.string(vector, "resume_token");
    try (HfGatewayClient client = gateway.client(new ManualTimers(1));
        Watch<WatchEvent> watch = client.watchMany(GenerationFilter.getDefaultInstance(), token)) {
      watch.forEachRemaining(told::add);
      assertFalse(watch.hasNext());
    }
    List<JsonObject> expected = new ArrayList<>();
    List<String> opened = new ArrayList<>();
    for (JsonObject stream : Vectors.objects(vector, "streams")) {
      expected.addAll(Vectors.objects(stream, "events"));
      opened.add(Vectors.string(stream, "opened_with"));
    }
    assertEquals(expected.size(), told.size(), () -> expected + "\n" + told);
    for (int number = 0; number < told.size(); number++) {
      same(expected.get(number), told.get(number));
    }
    assertEquals(
        opened,
        gateway.requests.stream().map(request -> ((WatchGenerationsRequest) request).getResumeToken()).toList());
  }

  private static void same(JsonObject expected, WatchEvent told) {
    assertEquals(Vectors.string(expected, "resume_token"), told.resumeToken());
    switch (Vectors.string(expected, "event")) {
      case "changed" -> {
        Generation generation = ((WatchEvent.Changed) told).generation();
        assertEquals(Vectors.string(expected, "id"), generation.getId());
        assertEquals(expected.get("revision").getAsInt(), generation.getRevision());
      }
      case "forecasts" -> {
        Map<String, Double> progress = new HashMap<>();
        ((WatchEvent.Forecasts) told).forecasts().forEach((id, forecast) -> progress.put(id, forecast.getProgress()));
        Map<String, Double> wanted = new HashMap<>();
        expected.getAsJsonObject("progress").asMap().forEach((id, value) -> wanted.put(id, value.getAsDouble()));
        assertEquals(wanted, progress);
      }
      case "missing" -> assertEquals(Vectors.strings(expected, "ids"), ((WatchEvent.Missing) told).ids());
      case "caught_up" -> assertTrue(told instanceof WatchEvent.CaughtUp, told::toString);
      case "reset" -> assertTrue(told instanceof WatchEvent.Reset, told::toString);
      default -> throw new AssertionError(expected);
    }
  }
}
