package io.github.hfgateway.behaviours;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.HfGatewayClient;
import io.github.hfgateway.client.Inputs;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Submission;
import io.github.hfgateway.client.Submit;
import io.github.hfgateway.client.Watch;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationInput;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;

/** The environment of behaviours: the gateway's addresses, the harness, and clients. */
final class Stage implements AutoCloseable {
  static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  final HfGatewayClient client = another().apiKey(variable("API_KEY")).build();

  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          work -> {
            Thread thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
          });

  /** Returns the environment variable HFG_{@code name}. */
  String variable(String name) {
    return System.getenv("HFG_" + name);
  }

  /** Returns a builder of a client with its own connection, without a key. */
  HfGatewayClient.Builder another() {
    return HfGatewayClient.builder(variable("ADDRESS"));
  }

  /** Runs work in another thread. */
  <T> Future<T> beside(Callable<T> work) {
    return threads.submit(work);
  }

  /** Sends a request to the harness, and returns its response. */
  JsonObject control(String path, Map<String, ?> body) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(variable("CONTROL") + "/" + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(new Gson().toJson(body)))
            .build();
    HttpResponse<String> response = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    assertEquals(200, response.statusCode(), path + ": " + response.body());
    return JsonParser.parseString(response.body()).getAsJsonObject();
  }

  /** Advances time at Higgsfield. */
  void advance(double seconds) throws Exception {
    control("advance", Map.of("seconds", seconds));
  }

  /** Resets the connections to the gateway. There must be at least one. */
  void cut() throws Exception {
    assertNotEquals(0, control("cut", Map.of()).get("connections").getAsInt(), "there was no connection to cut");
  }

  void restart() throws Exception {
    control("restart", Map.of());
  }

  /** Makes Higgsfield fail for one input. */
  void plan(GenerationInput input, Map<String, ?> fault) throws Exception {
    Map<String, Object> confined = new HashMap<>(fault);
    confined.put("prompt", prompt(input));
    control("plan", Map.of("faults", List.of(confined)));
  }

  /** Checks how many charges and submissions Higgsfield has for an input. */
  void charged(GenerationInput input, int charges, int submissions) throws Exception {
    JsonObject counts = control("charges", Map.of("prompt", prompt(input)));
    assertEquals(charges, counts.get("charges").getAsInt(), "charges");
    assertEquals(submissions, counts.get("submissions").getAsInt(), "submissions");
  }

  /** Checks how many charges Higgsfield has for a prompt or a character's name. */
  void charged(String name, int charges) throws Exception {
    assertEquals(charges, control("charges", Map.of("prompt", name)).get("charges").getAsInt(), name);
  }

  /** Waits until Higgsfield has received the input. */
  void submitted(GenerationInput input) throws Exception {
    while (control("charges", Map.of("prompt", prompt(input))).get("submissions").getAsInt() == 0) {
      Thread.sleep(20);
    }
  }

  /** Submits a generation that Higgsfield accepts but does not start. */
  Submission queued(GenerationInput input) {
    return queued(Submit.of(input));
  }

  Submission queued(Submit submit) {
    Submission submission = client.submit(submit);
    assertEquals("QUEUED", States.name(submission.generation()));
    return submission;
  }

  /** Returns a completed generation. */
  Generation completed(GenerationInput input) throws Exception {
    Submission submission = queued(input);
    advance(60);
    return until(submission.id(), "COMPLETED");
  }

  /** Watches the generation until it reaches the state. */
  Generation until(String id, String state) {
    try (Watch<Generation> watch = client.watch(id)) {
      return nth(watch, has(state), new ArrayList<>());
    }
  }

  static Predicate<Generation> has(String state) {
    return generation -> States.name(generation).equals(state);
  }

  /** Reads up to the first item that matches, and adds all items to {@code seen}. */
  static <T> T nth(Watch<T> watch, Predicate<? super T> holds, List<T> seen) {
    while (true) {
      assertTrue(watch.hasNext(), "the watch ended early");
      T item = watch.next();
      seen.add(item);
      if (holds.test(item)) {
        return item;
      }
    }
  }

  /** Returns all ids, which must be unique. */
  static List<String> distinct(Stream<String> ids) {
    List<String> all = ids.toList();
    assertEquals(all.stream().distinct().toList(), all);
    return all;
  }

  /** Returns the error of a call, which must have this class and reason. */
  static <E extends GatewayException> E fails(Class<E> type, String reason, Executable call) {
    E error = assertThrows(type, call);
    assertEquals(type, error.getClass());
    assertEquals(reason, error.reason());
    return error;
  }

  /** Returns a prompt, key or label that is used only once. */
  static String unique(String words) {
    return words + "-" + UUID.randomUUID();
  }

  /** Returns an input with a unique prompt. */
  static GenerationInput fox() {
    return Inputs.soul(unique("a fox"));
  }

  private static String prompt(GenerationInput input) {
    return input.getSoul().getPrompt();
  }

  @Override
  public void close() {
    client.close();
    threads.shutdownNow();
  }
}
