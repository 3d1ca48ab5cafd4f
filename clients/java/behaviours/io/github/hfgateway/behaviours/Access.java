package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.fox;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.HfGatewayClient;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Submission;
import io.github.hfgateway.client.Submit;
import io.github.hfgateway.client.Tls;
import io.github.hfgateway.client.Watch;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.GenerationInput;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Authentication, tenants and TLS. */
final class Access {
  static final Map<String, Main.Behaviour> ALL =
      Map.of(
          "no_key", Access::noKey,
          "wrong_key", Access::wrongKey,
          "other_tenant", Access::otherTenant,
          "tls", Access::tls,
          "watch_token", Access::watchToken);

  private Access() {}

  private static void noKey(Stage stage) {
    refused(stage, stage.another());
  }

  private static void wrongKey(Stage stage) {
    refused(stage, stage.another().apiKey("hfg_" + UUID.randomUUID().toString().replace("-", "")));
  }

  private static void refused(Stage stage, HfGatewayClient.Builder builder) {
    String id = stage.queued(fox()).id();
    try (HfGatewayClient stranger = builder.build()) {
      fails(GatewayException.InvalidCredentials.class, "INVALID_CREDENTIALS", () -> stranger.get(id));
    }
  }

  private static void otherTenant(Stage stage) throws Exception {
    GenerationInput input = fox();
    Submit submit = Submit.of(input).key(UUID.randomUUID().toString());
    Submission first = stage.client.submit(submit);
    try (HfGatewayClient other = stage.another().apiKey(stage.variable("OTHER_API_KEY")).build()) {
      fails(GatewayException.NotFound.class, "NOT_FOUND", () -> other.get(first.id()));
      Submission second = other.submit(submit);
      assertFalse(second.replayed());
      assertNotEquals(first.id(), second.id());
    }
    stage.charged(input, 2, 2);
  }

  private static HfGatewayClient.Builder secured(Stage stage) {
    return HfGatewayClient.builder(stage.variable("TLS_ADDRESS")).apiKey(stage.variable("API_KEY"));
  }

  private static void tls(Stage stage) throws Exception {
    GenerationInput input = fox();
    try (HfGatewayClient client = secured(stage).tls(Tls.authority(Path.of(stage.variable("TLS_CA")))).build()) {
      assertEquals("QUEUED", States.name(client.submit(input).generation()));
    }
    stage.charged(input, 1, 1);
    // Mistakes in the options, which are not retried.
    List<HfGatewayClient.Builder> mistaken =
        List.of(
            secured(stage).tls(Tls.system()),
            secured(stage)
                .tls(Tls.authority(Path.of(stage.variable("TLS_CA"))))
                .configure(channel -> channel.overrideAuthority("other.example")));
    for (HfGatewayClient.Builder builder : mistaken) {
      try (HfGatewayClient stranger = builder.build()) {
        GatewayException error = fails(GatewayException.Unavailable.class, "", () -> stranger.submit(fox()));
        assertFalse(error.retryable());
      }
    }
  }

  private static void watchToken(Stage stage) throws Exception {
    Submission submission = stage.queued(fox());
    Submission other = stage.queued(fox());
    GenerationFilter filter = GenerationFilter.newBuilder().addIds(submission.id()).build();
    String token = stage.client.createWatchToken(filter, Duration.ofSeconds(60)).getToken();
    assertTrue(token.startsWith("hfw_"));
    try (HfGatewayClient browser = stage.another().apiKey(token).build();
        Watch<Generation> watch = browser.watch(submission.id())) {
      List<Generation> seen = new ArrayList<>();
      seen.add(watch.next());
      fails(GatewayException.NotFound.class, "NOT_FOUND", () -> browser.get(other.id()));
      fails(GatewayException.NotAllowed.class, "NOT_ALLOWED", () -> browser.submit(fox()));
      stage.advance(60);
      watch.forEachRemaining(seen::add);
      assertEquals("COMPLETED", States.name(seen.get(seen.size() - 1)));
    }
  }
}
