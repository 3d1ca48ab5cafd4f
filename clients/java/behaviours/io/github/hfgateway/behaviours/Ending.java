package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.fox;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.HfGatewayClient;
import io.github.hfgateway.client.RetryPolicy;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Submission;
import io.github.hfgateway.client.Submit;
import io.github.hfgateway.v1.EstimateGenerationResponse;
import io.github.hfgateway.v1.ExplainGenerationResponse;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationEvent;
import io.github.hfgateway.v1.GenerationInput;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** Canceling, deleting, explaining, estimating, and calls without a response. */
final class Ending {
  static final Map<String, Main.Behaviour> ALL =
      Map.ofEntries(
          Map.entry("cancel_queued", Ending::cancelQueued),
          Map.entry("cancel_pending", Ending::cancelPending),
          Map.entry("cancel_in_progress", Ending::cancelInProgress),
          Map.entry("cancel_ended", Ending::cancelEnded),
          Map.entry("estimate", Ending::estimate),
          Map.entry("estimate_upstream_away", Ending::estimateUpstreamAway),
          Map.entry("estimate_credentials_refused", Ending::estimateCredentialsRefused),
          Map.entry("delete", Ending::delete),
          Map.entry("delete_not_done", Ending::deleteNotDone),
          Map.entry("explain", Ending::explain),
          Map.entry("deadline", Ending::deadline));

  private Ending() {}

  private static void cancelQueued(Stage stage) throws Exception {
    GenerationInput input = fox();
    Submission submission = stage.queued(input);
    for (int time = 0; time < 2; time++) {
      assertEquals("CANCELED", States.name(stage.client.cancel(submission.id())));
    }
    stage.charged(input, 0, 1);
  }

  private static void cancelPending(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Submitting.FULL);
    Submission submission = stage.client.submit(Submit.of(input).waitTimeout(Duration.ofMillis(500)));
    assertEquals("PENDING", States.name(submission.generation()));
    assertEquals("CANCELED", States.name(stage.client.cancel(submission.id())));
    // A new gateway has no retry delay: it would send a pending generation at once.
    stage.restart();
    stage.charged(input, 0, 1);
  }

  private static void cancelInProgress(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    stage.advance(1.5);
    stage.until(id, "IN_PROGRESS");
    notCancelable(stage, id, "IN_PROGRESS");
  }

  private static void cancelEnded(Stage stage) throws Exception {
    notCancelable(stage, stage.completed(fox()).getId(), "COMPLETED");
  }

  private static void notCancelable(Stage stage, String id, String state) {
    GatewayException error =
        fails(GatewayException.NotCancelable.class, "NOT_CANCELABLE", () -> stage.client.cancel(id));
    assertEquals(state, error.metadata().get("state"));
  }

  private static void costsSomething(EstimateGenerationResponse answer) {
    assertTrue(Double.parseDouble(answer.getCost().getCredits()) > 0);
  }

  private static void estimate(Stage stage) throws Exception {
    GenerationInput input = fox();
    costsSomething(stage.client.estimate(input));
    stage.charged(input, 0, 0);
  }

  private static void estimateUpstreamAway(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "estimate", "kind", "503", "times", 100));
    RetryPolicy impatient = RetryPolicy.DEFAULT.withRepeatCallsFor(Duration.ZERO);
    try (HfGatewayClient client = stage.another().apiKey(stage.variable("API_KEY")).retry(impatient).build()) {
      GatewayException error =
          fails(
              GatewayException.UpstreamUnavailable.class, "UPSTREAM_UNAVAILABLE", () -> client.estimate(input));
      assertTrue(error.retryable());
    }
  }

  private static void estimateCredentialsRefused(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "estimate", "status", 401, "body", Map.of("detail", "Invalid credentials")));
    fails(
        GatewayException.UpstreamCredentialsRefused.class,
        "UPSTREAM_CREDENTIALS_REFUSED",
        () -> stage.client.estimate(input));
  }

  private static void delete(Stage stage) throws Exception {
    GenerationInput input = fox();
    Generation generation = stage.completed(input);
    assertTrue(stage.client.delete(generation.getId()));
    fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.get(generation.getId()));
    fails(
        GatewayException.KeyReused.class,
        "IDEMPOTENCY_KEY_REUSED",
        () -> stage.client.submit(Submit.of(input).key(generation.getIdempotencyKey())));
    stage.charged(input, 1, 1);
  }

  private static void deleteNotDone(Stage stage) {
    String id = stage.queued(fox()).id();
    fails(GatewayException.NotDone.class, "NOT_DONE", () -> stage.client.delete(id));
  }

  private static void explain(Stage stage) throws Exception {
    Generation generation = stage.completed(fox());
    ExplainGenerationResponse story = stage.client.explain(generation.getId());
    List<Integer> posted =
        story.getEventsList().stream()
            .filter(event -> event.getUpstreamCall().getMethod().equals("POST"))
            .map(event -> event.getUpstreamCall().getHttpStatus())
            .toList();
    assertEquals(List.of(200), posted);
    List<Integer> revisions =
        story.getEventsList().stream().map(GenerationEvent::getRevision).filter(revision -> revision > 0).toList();
    assertEquals(IntStream.rangeClosed(1, generation.getRevision()).boxed().toList(), revisions);
    assertEquals(generation.getId(), story.getGeneration().getId());
  }

  private static void deadline(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "estimate", "delay", 60));
    HfGatewayClient client = stage.client.withTimeout(Duration.ofMillis(1500));
    fails(GatewayException.DeadlineExceeded.class, "", () -> client.estimate(input));
    costsSomething(stage.client.estimate(fox())); // over the same connection
  }
}
