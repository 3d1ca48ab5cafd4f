package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.distinct;
import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.Callbacks;
import io.github.hfgateway.client.CreatedCallback;
import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.HfGatewayClient;
import io.github.hfgateway.v1.Callback;
import io.github.hfgateway.v1.CreateCallbackRequest;
import io.github.hfgateway.v1.Delivery;
import io.github.hfgateway.v1.DeliveryProblem;
import io.github.hfgateway.v1.DeliveryState;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.ListCallbacksRequest;
import io.github.hfgateway.v1.RotateCallbackSecretResponse;
import io.github.hfgateway.v1.UpdateCallbackRequest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Callbacks and their deliveries. */
final class Calling {
  static final Map<String, Main.Behaviour> ALL =
      Map.of(
          "create_callback", Calling::createCallback,
          "lost_callback_secret", Calling::lostCallbackSecret,
          "get_callback", with(Calling::getCallback),
          "list_callbacks", with(Calling::listCallbacks),
          "update_callback", with(Calling::updateCallback),
          "delete_callback", with(Calling::deleteCallback),
          "rotate_callback_secret", with(Calling::rotateCallbackSecret),
          "test_callback", with(Calling::testCallback),
          "list_deliveries", with(Calling::listDeliveries),
          "redeliver_delivery", Calling::redeliverDelivery);

  /** A behaviour with its own callback. */
  private interface Use {
    void of(CreatedCallback callback, Stage stage) throws Exception;
  }

  private Calling() {}

  /** Returns a callback for a label that no generation has, to an address on which nothing listens. */
  private static CreateCallbackRequest request() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return CreateCallbackRequest.newBuilder()
          .setUrl("http://127.0.0.1:" + socket.getLocalPort() + "/hook")
          .setFilter(GenerationFilter.newBuilder().putLabels("run", unique("nothing")))
          .setIdempotencyKey(UUID.randomUUID().toString())
          .build();
    }
  }

  /** Runs a behaviour with a callback, and deletes it: a tenant may have only a few. */
  private static Main.Behaviour with(Use use) {
    return stage -> {
      CreatedCallback created = stage.client.callbacks().create(request());
      try {
        use.of(created, stage);
      } finally {
        stage.client.callbacks().delete(created.id());
      }
    };
  }

  private static void createCallback(Stage stage) throws Exception {
    Callbacks callbacks = stage.client.callbacks();
    CreateCallbackRequest request = request();
    CreatedCallback first = callbacks.create(request);
    try {
      assertFalse(first.id().isEmpty());
      assertTrue(first.secret().startsWith("whsec_"));
      assertFalse(first.replayed());
      CreatedCallback second = callbacks.create(request);
      assertTrue(second.replayed());
      assertEquals(first.id(), second.id());
      assertEquals("", second.secret());
    } finally {
      callbacks.delete(first.id());
    }
  }

  private static void lostCallbackSecret(Stage stage) throws Exception {
    String url = stage.variable("CONTROL") + "/receive?" + UUID.randomUUID();
    CreateCallbackRequest request =
        CreateCallbackRequest.newBuilder()
            .setUrl(url)
            .setFilter(GenerationFilter.newBuilder().putLabels("run", unique("nothing")))
            .build();
    Callbacks callbacks = stage.client.callbacks();
    stage.client.check(); // there is a connection to lose
    assertNotEquals(0, stage.control("lose", Map.of("callback_url", url)).get("connections").getAsInt());
    CreatedCallback created = callbacks.create(request);
    try {
      assertTrue(created.replayed());
      assertTrue(created.secret().startsWith("whsec_"));
      assertEquals(DeliveryState.DELIVERY_STATE_DELIVERED, callbacks.test(created.id()).getState());
      assertTrue(stage.control("verify", Map.of("secret", created.secret())).get("valid").getAsBoolean());
    } finally {
      callbacks.delete(created.id());
    }
  }

  private static void getCallback(CreatedCallback created, Stage stage) {
    assertEquals(created.callback(), stage.client.callbacks().get(created.id()));
    try (HfGatewayClient other = stage.another().apiKey(stage.variable("OTHER_API_KEY")).build()) {
      fails(GatewayException.NotFound.class, "NOT_FOUND", () -> other.callbacks().get(created.id()));
    }
  }

  private static void listCallbacks(CreatedCallback first, Stage stage) throws Exception {
    Use listed =
        (second, same) -> {
          ListCallbacksRequest pages = ListCallbacksRequest.newBuilder().setPageSize(1).build();
          List<String> all = distinct(stage.client.callbacks().list(pages).map(Callback::getId));
          assertEquals(List.of(second.id(), first.id()), all.subList(0, 2));
        };
    with(listed).perform(stage);
  }

  private static void updateCallback(CreatedCallback created, Stage stage) {
    for (boolean paused : List.of(true, false)) {
      UpdateCallbackRequest change =
          UpdateCallbackRequest.newBuilder().setId(created.id()).setPaused(paused).build();
      Callback changed = stage.client.callbacks().update(change);
      assertEquals(paused, changed.getPaused());
      assertEquals(created.callback().getFilter(), changed.getFilter());
      assertEquals(changed, stage.client.callbacks().get(created.id()));
    }
  }

  private static void deleteCallback(CreatedCallback created, Stage stage) {
    for (int time = 0; time < 2; time++) {
      stage.client.callbacks().delete(created.id());
      fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.callbacks().get(created.id()));
    }
  }

  private static void rotateCallbackSecret(CreatedCallback created, Stage stage) {
    RotateCallbackSecretResponse rotated = stage.client.callbacks().rotateSecret(created.id());
    assertTrue(rotated.getSecret().startsWith("whsec_"));
    assertNotEquals(created.secret(), rotated.getSecret());
    assertTrue(rotated.getCallback().hasOldSecretsExpireTime());
  }

  private static void testCallback(CreatedCallback created, Stage stage) {
    Delivery delivery = stage.client.callbacks().test(created.id());
    assertEquals(DeliveryState.DELIVERY_STATE_FAILED, delivery.getState());
    assertEquals(DeliveryProblem.DELIVERY_PROBLEM_CONNECTION, delivery.getProblem());
    assertEquals(0, delivery.getHttpStatus());
  }

  private static void listDeliveries(CreatedCallback created, Stage stage) {
    assertEquals(List.of(), stage.client.callbacks().listDeliveries(created.id()).toList());
    fails(
        GatewayException.InvalidInput.class,
        "INVALID_INPUT",
        () -> stage.client.callbacks().listDeliveries("").toList());
  }

  private static void redeliverDelivery(Stage stage) {
    String unknown = UUID.randomUUID().toString();
    fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.callbacks().redeliver(unknown));
  }
}
