package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GetGenerationResponse;
import io.github.hfgateway.v1.WatchGenerationResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** protos/vectors/retries.json: which errors are retried, and after which delays. */
class RetriesTest {
  private ScriptedGateway gateway;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  private static StatusRuntimeException error(JsonObject vector) {
    return ScriptedGateway.error(
        Status.Code.valueOf(Vectors.string(vector, "code")),
        Vectors.string(vector, "reason"),
        Vectors.number(vector, "retry_delay"));
  }

  /** Converts to microseconds. */
  private static List<Long> rounded(List<Double> seconds) {
    return seconds.stream().map(time -> Math.round(time * 1e6)).toList();
  }

  @Test
  void defaults() {
    JsonObject defaults = Vectors.read("retries.json").getAsJsonObject("defaults");
    RetryPolicy policy = RetryPolicy.DEFAULT;
    assertEquals(ManualTimers.seconds(Vectors.number(defaults, "first_delay")), policy.firstDelay());
    assertEquals(ManualTimers.seconds(Vectors.number(defaults, "max_delay")), policy.maxDelay());
    assertEquals(ManualTimers.seconds(Vectors.number(defaults, "resume_watches_for")), policy.resumeWatchesFor());
    assertNull(policy.repeatCallsFor());
    ManualTimers timers = new ManualTimers(1);
    gateway.answers(GetGenerationResponse.getDefaultInstance());
    try (HfGatewayClient client = gateway.client(timers)) {
      client.get("g1");
    }
    assertEquals(List.of(Vectors.number(defaults, "call_timeout")), timers.remaining);
  }

  @TestFactory
  Stream<DynamicTest> delays() {
    return Vectors.tests(
        "retries.json",
        "delays",
        vector -> {
          GatewayException error =
              Errors.ofCall(
                  Status.UNAVAILABLE,
                  ScriptedGateway.error(Status.Code.UNAVAILABLE, "", Vectors.number(vector, "retry_delay"))
                      .getTrailers(),
                  null);
          double delay =
              RetryPolicy.DEFAULT.delay(vector.get("failures").getAsInt(), error, Vectors.number(vector, "chance"))
                  / 1e9;
          assertEquals(Vectors.number(vector, "delay"), delay, 1e-6);
        });
  }

  @TestFactory
  Stream<DynamicTest> repeats() {
    return Vectors.tests("retries.json", "repeats", this::repeat);
  }

  private void repeat(JsonObject vector) {
    int before = gateway.requests.size();
    boolean repeated = vector.get("repeated").getAsBoolean();
    gateway.fails(error(vector));
    try (HfGatewayClient client = gateway.client(new ManualTimers(1))) {
      if (repeated) {
        gateway.answers(GetGenerationResponse.getDefaultInstance());
        client.get("g1");
      } else {
        assertThrows(GatewayException.class, () -> client.get("g1"));
      }
    }
    assertEquals(repeated ? 2 : 1, gateway.requests.size() - before);
  }

  @TestFactory
  Stream<DynamicTest> calls() {
    return Vectors.tests("retries.json", "calls", this::call);
  }

  private void call(JsonObject vector) {
    ManualTimers timers = new ManualTimers(Vectors.number(vector, "chance"));
    List<StatusRuntimeException> failures = new ArrayList<>();
    for (JsonObject attempt : Vectors.objects(vector, "attempts")) {
      if (attempt.has("response")) {
        gateway.answers(GetGenerationResponse.getDefaultInstance());
        continue;
      }
      StatusRuntimeException failed = error(attempt.getAsJsonObject("error"));
      double taken = Vectors.number(attempt, "takes");
      gateway.then(
          (request, caller) -> {
            timers.takes(taken);
            caller.onError(failed);
          });
      failures.add(failed);
    }
    JsonObject expected = vector.getAsJsonObject("expect");
    Duration timeout = ManualTimers.seconds(Vectors.number(vector, "timeout"));
    try (HfGatewayClient client = gateway.client(timers)) {
      if (Vectors.string(expected, "outcome").equals("response")) {
        client.withTimeout(timeout).get("g1");
      } else {
        GatewayException error =
            assertThrows(GatewayException.class, () -> client.withTimeout(timeout).get("g1"));
        int returned = expected.has("error") ? expected.get("error").getAsInt() : failures.size() - 1;
        assertEquals(failures.get(returned).getStatus().getCode(), error.code());
      }
    }
    assertEquals(rounded(Vectors.numbers(expected, "slept")), rounded(timers.slept));
    assertEquals(0, gateway.scriptsLeft(), "all attempts are made");
  }

  @TestFactory
  Stream<DynamicTest> watches() {
    return Vectors.tests("retries.json", "watches", this::watch);
  }

  private void watch(JsonObject vector) {
    ManualTimers timers = new ManualTimers(Vectors.number(vector, "chance"));
    int revision = 0;
    for (JsonObject stream : Vectors.objects(vector, "streams")) {
      List<Message> messages = new ArrayList<>();
      for (String kind : Vectors.strings(stream, "messages")) {
        WatchGenerationResponse.Builder message = WatchGenerationResponse.newBuilder();
        if (!kind.equals("heartbeat")) {
          message.setGeneration(
              Generation.newBuilder().setId("g1").setRevision(++revision).setDone(kind.equals("done")));
        }
        messages.add(message.build());
      }
      JsonElement error = stream.get("error");
      if (error.isJsonNull()) {
        gateway.answers(messages.toArray(new Message[0]));
      } else {
        gateway.fails(error(error.getAsJsonObject()), messages.toArray(new Message[0]));
      }
    }
    JsonObject expected = vector.getAsJsonObject("expect");
    List<Integer> seen = new ArrayList<>();
    try (HfGatewayClient client = gateway.client(timers);
        Watch<Generation> watch = client.watch("g1")) {
      if (Vectors.string(expected, "outcome").equals("end")) {
        watch.forEachRemaining(generation -> seen.add(generation.getRevision()));
        assertFalse(watch.hasNext());
      } else {
        GatewayException error =
            assertThrows(
                GatewayException.class,
                () -> watch.forEachRemaining(generation -> seen.add(generation.getRevision())));
        assertTrue(error.code() != null);
      }
    }
    assertEquals(Stream.iterate(1, number -> number + 1).limit(revision).toList(), seen);
    assertEquals(rounded(Vectors.numbers(expected, "slept")), rounded(timers.slept));
    assertEquals(0, gateway.scriptsLeft(), "all streams are opened");
  }
}
