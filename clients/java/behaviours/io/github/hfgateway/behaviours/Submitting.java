package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.fox;
import static io.github.hfgateway.behaviours.Stage.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.Inputs;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Submission;
import io.github.hfgateway.client.Submit;
import io.github.hfgateway.v1.ApiVersion;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationInput;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;

/** Submissions: charged once, even if they are repeated or their responses are lost. */
final class Submitting {
  static final Map<String, Main.Behaviour> ALL =
      Map.ofEntries(
          Map.entry("submit", Submitting::submit),
          Map.entry("submit_replay", Submitting::replay),
          Map.entry("submit_key_reused", Submitting::keyReused),
          Map.entry("submit_over_cut_connection", Submitting::overCutConnection),
          Map.entry("submit_endpoint", Submitting::endpoint),
          Map.entry("submit_invalid", Submitting::invalid),
          Map.entry("submit_refused", Submitting::refused),
          Map.entry("submit_out_of_credits", Submitting::outOfCredits),
          Map.entry("submit_model_unknown", Submitting::modelUnknown),
          Map.entry("submit_model_unavailable", Submitting::modelUnavailable),
          Map.entry("submit_saturated", Submitting::saturated),
          Map.entry("submit_uncertain", Submitting::uncertain));

  private Submitting() {}

  private static void submit(Stage stage) throws Exception {
    GenerationInput input = fox();
    Submission submission = stage.client.submit(input);
    assertFalse(submission.idempotencyKey().isEmpty());
    assertEquals(submission.idempotencyKey(), submission.generation().getIdempotencyKey());
    assertEquals("QUEUED", States.name(submission.generation()));
    assertFalse(submission.replayed());
    stage.charged(input, 1, 1);
  }

  private static void replay(Stage stage) throws Exception {
    GenerationInput input = fox();
    Submit submit = Submit.of(input).key(unique("order"));
    Submission first = stage.client.submit(submit);
    Submission second = stage.client.submit(submit);
    assertEquals(first.id(), second.id());
    assertFalse(first.replayed());
    assertTrue(second.replayed());
    stage.charged(input, 1, 1);
  }

  private static void keyReused(Stage stage) throws Exception {
    GenerationInput other = Inputs.soul(unique("a hare"));
    String key = stage.queued(fox()).idempotencyKey();
    GatewayException error =
        fails(
            GatewayException.KeyReused.class,
            "IDEMPOTENCY_KEY_REUSED",
            () -> stage.client.submit(Submit.of(other).key(key)));
    assertEquals(key, error.idempotencyKey());
    stage.charged(other, 0, 0);
  }

  private static void overCutConnection(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "submit", "delay", 5));
    Future<Submission> submitting = stage.beside(() -> stage.client.submit(input));
    stage.submitted(input);
    stage.cut();
    Submission submission = submitting.get();
    assertTrue(submission.replayed());
    assertEquals("QUEUED", States.name(submission.generation()));
    stage.charged(input, 1, 1);
  }

  private static void endpoint(Stage stage) throws Exception {
    String prompt = unique("a fox");
    GenerationInput input =
        Inputs.model(
            "v1/text2image/keyframes",
            Map.of("prompt", prompt, "count", 2),
            model -> model.setApiVersion(ApiVersion.API_VERSION_V1));
    Generation generation = stage.client.submit(input).generation();
    assertEquals("QUEUED", States.name(generation));
    assertEquals(2, generation.getOutputsCount());
    stage.charged(prompt, 1);
  }

  private static void invalid(Stage stage) {
    GatewayException error =
        fails(
            GatewayException.InvalidInput.class, "INVALID_INPUT", () -> stage.client.submit(Inputs.soul("")));
    assertEquals(1, error.fieldViolations().size());
    assertEquals("input.soul.prompt", error.fieldViolations().get(0).getField());
    assertFalse(error.idempotencyKey().isEmpty());
  }

  private static void refused(Stage stage) throws Exception {
    GenerationInput input = fox();
    GenerationInput other = Inputs.soul(unique("a hare"));
    Object detail = Map.of("type", "value_error", "loc", List.of("body", "prompt"), "msg", "no foxes");
    stage.plan(input, Map.of("on", "submit", "status", 422, "body", Map.of("detail", List.of(detail))));
    GatewayException error =
        fails(GatewayException.InputRefused.class, "INPUT_REFUSED", () -> stage.client.submit(input));
    assertTrue(error.metadata().containsKey("generation_id"));
    Submission again = stage.client.submit(Submit.of(other).key(error.idempotencyKey()));
    assertFalse(again.replayed(), "the key is free again");
    stage.charged(input, 0, 1);
    stage.charged(other, 1, 1);
  }

  private static void outOfCredits(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "submit", "status", 403, "body", Map.of("detail", "not_enough_credits")));
    fails(
        GatewayException.InsufficientCredits.class, "INSUFFICIENT_CREDITS", () -> stage.client.submit(input));
    stage.charged(input, 0, 1);
  }

  private static void modelUnavailable(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "submit", "status", 423, "body", Map.of("detail", "Model is temporarily blocked")));
    fails(GatewayException.ModelUnavailable.class, "MODEL_UNAVAILABLE", () -> stage.client.submit(input));
    stage.charged(input, 0, 1);
  }

  private static void modelUnknown(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "submit", "status", 404, "body", Map.of("detail", "model_not_found")));
    fails(GatewayException.ModelUnknown.class, "MODEL_UNKNOWN", () -> stage.client.submit(input));
    stage.charged(input, 0, 1);
  }

  /** Makes Higgsfield saturated for a minute. */
  static final Map<String, ?> FULL =
      Map.of(
          "on", "submit", "status", 429, "body", Map.of("detail", "full"), "headers", Map.of("Retry-After", "60"));

  private static void saturated(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, FULL);
    GatewayException error =
        fails(
            GatewayException.UpstreamSaturated.class,
            "UPSTREAM_SATURATED",
            () -> stage.client.submit(Submit.of(input).failWhenSaturated()));
    assertTrue(error.retryDelay().orElseThrow().compareTo(Duration.ZERO) > 0);
    assertTrue(error.retryable());
    stage.charged(input, 0, 1);
    // The retry delay would hold up the next behaviours; a new gateway has none.
    stage.restart();
  }

  private static void uncertain(Stage stage) throws Exception {
    GenerationInput input = fox();
    stage.plan(input, Map.of("on", "submit", "kind", "lost"));
    Submit submit = Submit.of(input).waitTimeout(Duration.ofMillis(200));
    Submission first = stage.client.submit(submit);
    stage.until(first.id(), "UNCERTAIN");
    Submission again = stage.client.submit(submit.key(first.idempotencyKey()));
    assertEquals(first.id(), again.id());
    assertEquals("UNCERTAIN", States.name(again.generation()));
    GatewayException error =
        fails(GatewayException.NotCancelable.class, "NOT_CANCELABLE", () -> stage.client.cancel(first.id()));
    assertEquals("UNCERTAIN", error.metadata().get("state"));
    stage.charged(input, 1, 1);
  }
}
