package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import io.github.hfgateway.v1.FieldViolation;
import io.github.hfgateway.v1.Generation;
import io.grpc.Status;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** protos/vectors/errors.json: the exceptions of failed calls and generations. */
class ErrorsTest {
  private ScriptedGateway gateway;
  private HfGatewayClient client;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
    // Without retries, errors are thrown at once.
    client =
        HfGatewayClient.builder(gateway.address())
            .retry(RetryPolicy.DEFAULT.withRepeatCallsFor(Duration.ZERO))
            .build();
  }

  @AfterEach
  void stop() {
    client.close();
    gateway.close();
  }

  @TestFactory
  Stream<org.junit.jupiter.api.DynamicTest> calls() {
    return Vectors.tests("errors.json", "calls", this::call);
  }

  private void call(JsonObject vector) throws Exception {
    Status.Code code = Status.fromCodeValue(vector.get("code_number").getAsInt()).getCode();
    byte[] details = Base64.getDecoder().decode(Vectors.string(vector, "details"));
    gateway.fails(ScriptedGateway.error(code, Vectors.string(vector, "message"), ByteString.copyFrom(details)));
    GatewayException error = assertThrows(GatewayException.class, () -> client.get("g1"));

    JsonObject expected = vector.getAsJsonObject("expect");
    assertEquals(Vectors.string(vector, "code"), error.code().name());
    assertEquals(named(expected, "class"), error.getClass());
    assertTrue(named(expected, "class_of_code").isInstance(error));
    assertEquals(Vectors.string(expected, "reason"), error.reason());
    assertEquals(Vectors.string(expected, "message"), error.description());
    List<FieldViolation> violations =
        Vectors.objects(expected, "field_violations").stream()
            .map(violation -> Vectors.message(violation, FieldViolation.getDefaultInstance()))
            .toList();
    assertEquals(violations, error.fieldViolations());
    assertEquals(expected.get("retryable").getAsBoolean(), error.retryable());
    Double delay = Vectors.number(expected, "retry_delay");
    assertEquals(Optional.ofNullable(delay).map(ManualTimers::seconds), error.retryDelay());
    Map<String, String> metadata = new HashMap<>();
    expected.getAsJsonObject("metadata").asMap().forEach((name, value) -> metadata.put(name, value.getAsString()));
    assertEquals(metadata, error.metadata());
    assertEquals("", error.idempotencyKey());
    assertTrue(error.getMessage().contains(error.description()), error.getMessage());
  }

  private static Class<?> named(JsonObject expected, String field) throws ClassNotFoundException {
    String name = Vectors.string(expected, field);
    return name.equals("GatewayError")
        ? GatewayException.class
        : Class.forName(GatewayException.class.getName() + "$" + name);
  }

  @TestFactory
  Stream<org.junit.jupiter.api.DynamicTest> generations() {
    return Vectors.tests("errors.json", "generations", this::generation);
  }

  private void generation(JsonObject vector) throws Exception {
    Generation ended = Vectors.message(vector.get("generation"), Generation.getDefaultInstance());
    gateway.answers(
        io.github.hfgateway.v1.SubmitGenerationResponse.newBuilder().setGeneration(ended).build());
    GenerationFailedException error =
        assertThrows(GenerationFailedException.class, () -> client.generate(Inputs.soul("a fox")));

    JsonObject expected = vector.getAsJsonObject("expect");
    String name = Vectors.string(expected, "class").replace("Generation", "");
    Class<?> type =
        name.equals("Failed")
            ? GenerationFailedException.class
            : Class.forName(GenerationFailedException.class.getName() + "$" + name);
    assertSame(type, error.getClass());
    assertNull(error.code());
    assertEquals(ended, error.generation());
    assertEquals(Vectors.string(expected, "reason"), error.reason());
    assertEquals(Vectors.string(expected, "message"), error.description());
    assertEquals(expected.get("retryable").getAsBoolean(), error.retryable());
    assertEquals(Vectors.string(expected, "idempotency_key"), error.idempotencyKey());
    assertTrue(error.getMessage().endsWith(" (generation " + ended.getId() + ")"), error.getMessage());
  }

  @Test
  void messageHasReasonAndMissingFieldViolations() {
    List<String> messages =
        Vectors.objects(Vectors.read("errors.json"), "calls").stream()
            .limit(2)
            .map(
                vector -> {
                  byte[] details = Base64.getDecoder().decode(Vectors.string(vector, "details"));
                  gateway.fails(
                      ScriptedGateway.error(Status.Code.INVALID_ARGUMENT, "", ByteString.copyFrom(details)));
                  return assertThrows(GatewayException.class, () -> client.get("g1")).getMessage();
                })
            .toList();
    assertEquals(
        List.of(
            "INVALID_INPUT: input.soul.seed: must be 1 to 1,000,000; labels: at most 32",
            "INPUT_REFUSED: Higgsfield refused the input: Field required"),
        messages);
  }
}
