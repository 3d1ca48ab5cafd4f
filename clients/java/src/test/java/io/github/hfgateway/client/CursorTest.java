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

/** protos/vectors/cursor.json: the events of watches whose streams break, and the requests of the next streams. */
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
    List<Integer> seen = new ArrayList<>();
    try (HfGatewayClient client = gateway.client(new ManualTimers(1));
        Watch<Generation> watch = client.watch("g1", vector.get("after_revision").getAsInt())) {
      watch.forEachRemaining(generation -> seen.add(generation.getRevision()));
    }
    List<Integer> expected = new ArrayList<>();
    List<Integer> opened = new ArrayList<>();
    for (JsonObject stream : Vectors.objects(vector, "streams")) {
      Vectors.numbers(stream, "delivered").forEach(revision -> expected.add(revision.intValue()));
      opened.add(stream.get("after_revision").getAsInt());
    }
    assertEquals(expected, seen);
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
    List<WatchEvent> seen = new ArrayList<>();
    String token = Vectors.string(vector, "resume_token");
    try (HfGatewayClient client = gateway.client(new ManualTimers(1));
        Watch<WatchEvent> watch = client.watchMany(GenerationFilter.newBuilder().addIds("g1").build(), token)) {
      watch.forEachRemaining(seen::add);
      assertFalse(watch.hasNext());
    }
    List<JsonObject> expected = new ArrayList<>();
    List<String> opened = new ArrayList<>();
    for (JsonObject stream : Vectors.objects(vector, "streams")) {
      expected.addAll(Vectors.objects(stream, "events"));
      opened.add(Vectors.string(stream, "opened_with"));
    }
    assertEquals(expected.size(), seen.size(), () -> expected + "\n" + seen);
    for (int number = 0; number < seen.size(); number++) {
      same(expected.get(number), seen.get(number));
    }
    assertEquals(
        opened,
        gateway.requests.stream().map(request -> ((WatchGenerationsRequest) request).getResumeToken()).toList());
  }

  private static void same(JsonObject expected, WatchEvent seen) {
    assertEquals(Vectors.string(expected, "resume_token"), seen.resumeToken());
    switch (Vectors.string(expected, "event")) {
      case "changed" -> {
        Generation generation = ((WatchEvent.Changed) seen).generation();
        assertEquals(Vectors.string(expected, "id"), generation.getId());
        assertEquals(expected.get("revision").getAsInt(), generation.getRevision());
      }
      case "forecasts" -> {
        Map<String, Double> progress = new HashMap<>();
        ((WatchEvent.Forecasts) seen).forecasts().forEach((id, forecast) -> progress.put(id, forecast.getProgress()));
        Map<String, Double> wanted = new HashMap<>();
        expected.getAsJsonObject("progress").asMap().forEach((id, value) -> wanted.put(id, value.getAsDouble()));
        assertEquals(wanted, progress);
      }
      case "missing" -> assertEquals(Vectors.strings(expected, "ids"), ((WatchEvent.Missing) seen).ids());
      case "caught_up" -> assertTrue(seen instanceof WatchEvent.CaughtUp, seen::toString);
      case "reset" -> assertTrue(seen instanceof WatchEvent.Reset, seen::toString);
      default -> throw new AssertionError(expected);
    }
  }
}
