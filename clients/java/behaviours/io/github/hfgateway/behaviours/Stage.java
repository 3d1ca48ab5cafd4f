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

/** What a behaviour has at hand: the gateway's addresses, the harness, and clients. */
final class Stage implements AutoCloseable {
  static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  final HfGatewayClient client = another().apiKey(told("API_KEY")).build();

  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          work -> {
            Thread thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
          });

  /** A variable, without its HFG_. */
  String told(String name) {
    return System.getenv("HFG_" + name);
  }

  /** For a client of its own connection, which has no key yet. */
  HfGatewayClient.Builder another() {
    return HfGatewayClient.builder(told("ADDRESS"));
  }

  /** Runs beside the behaviour. */
  <T> Future<T> beside(Callable<T> work) {
    return threads.submit(work);
  }

  /** Asks the harness for something. */
  JsonObject control(String path, Map<String, ?> body) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(told("CONTROL") + "/" + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(new Gson().toJson(body)))
            .build();
    HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    assertEquals(200, answer.statusCode(), path + ": " + answer.body());
    return JsonParser.parseString(answer.body()).getAsJsonObject();
  }

  /** Lets time pass at Higgsfield. */
  void advance(double seconds) throws Exception {
    control("advance", Map.of("seconds", seconds));
  }

  /** Resets the connections to the gateway, of which there has to be one. */
  void cut() throws Exception {
    assertNotEquals(0, control("cut", Map.of()).get("connections").getAsInt(), "there was no connection to cut");
  }

  void restart() throws Exception {
    control("restart", Map.of());
  }

  /** Has Higgsfield err about one input. */
  void plan(GenerationInput input, Map<String, ?> fault) throws Exception {
    Map<String, Object> confined = new HashMap<>(fault);
    confined.put("prompt", prompt(input));
    control("plan", Map.of("faults", List.of(confined)));
  }

  /** What Higgsfield charged for and was sent has to be this. */
  void charged(GenerationInput input, int charges, int submissions) throws Exception {
    JsonObject answer = control("charges", Map.of("prompt", prompt(input)));
    assertEquals(charges, answer.get("charges").getAsInt(), "charges");
    assertEquals(submissions, answer.get("submissions").getAsInt(), "submissions");
  }

  /** What Higgsfield charged for, by a prompt or a character's name, has to be this. */
  void charged(String name, int charges) throws Exception {
    assertEquals(charges, control("charges", Map.of("prompt", name)).get("charges").getAsInt(), name);
  }

  /** Returns once Higgsfield was sent it. */
  void submitted(GenerationInput input) throws Exception {
    while (control("charges", Map.of("prompt", prompt(input))).get("submissions").getAsInt() == 0) {
      Thread.sleep(20);
    }
  }

  /** One that Higgsfield has accepted and not begun. */
  Submission queued(GenerationInput input) {
    return queued(Submit.of(input));
  }

  Submission queued(Submit submit) {
    Submission submission = client.submit(submit);
    assertEquals("QUEUED", States.name(submission.generation()));
    return submission;
  }

  /** One that has ended well. */
  Generation completed(GenerationInput input) throws Exception {
    Submission submission = queued(input);
    advance(60);
    return until(submission.id(), "COMPLETED");
  }

  /** The generation when it has come to that state. */
  Generation until(String id, String state) {
    try (Watch<Generation> watch = client.watch(id)) {
      return nth(watch, has(state), new ArrayList<>());
    }
  }

  static Predicate<Generation> has(String state) {
    return generation -> States.name(generation).equals(state);
  }

  /** Reads on until it holds; what is read on the way is seen. */
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

  /** All of them, none of which may come twice. */
  static List<String> distinct(Stream<String> ids) {
    List<String> all = ids.toList();
    assertEquals(all.stream().distinct().toList(), all);
    return all;
  }

  /** The error that this has to be. */
  static <E extends GatewayException> E fails(Class<E> type, String reason, Executable call) {
    E error = assertThrows(type, call);
    assertEquals(type, error.getClass());
    assertEquals(reason, error.reason());
    return error;
  }

  /** A prompt, key or label that nobody else uses. */
  static String unique(String words) {
    return words + "-" + UUID.randomUUID();
  }

  /** An input with a prompt that nobody else uses. */
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
