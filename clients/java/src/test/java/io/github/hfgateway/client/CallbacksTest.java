package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.v1.Callback;
import io.github.hfgateway.v1.CreateCallbackRequest;
import io.github.hfgateway.v1.CreateCallbackResponse;
import io.github.hfgateway.v1.DeleteCallbackRequest;
import io.github.hfgateway.v1.DeleteCallbackResponse;
import io.github.hfgateway.v1.Delivery;
import io.github.hfgateway.v1.GetCallbackRequest;
import io.github.hfgateway.v1.GetCallbackResponse;
import io.github.hfgateway.v1.ListCallbacksRequest;
import io.github.hfgateway.v1.ListCallbacksResponse;
import io.github.hfgateway.v1.ListDeliveriesRequest;
import io.github.hfgateway.v1.ListDeliveriesResponse;
import io.github.hfgateway.v1.RedeliverDeliveryRequest;
import io.github.hfgateway.v1.RedeliverDeliveryResponse;
import io.github.hfgateway.v1.RotateCallbackSecretRequest;
import io.github.hfgateway.v1.RotateCallbackSecretResponse;
import io.github.hfgateway.v1.TestCallbackRequest;
import io.github.hfgateway.v1.TestCallbackResponse;
import io.github.hfgateway.v1.UpdateCallbackRequest;
import io.github.hfgateway.v1.UpdateCallbackResponse;
import io.grpc.Status;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.NoSuchElementException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Callbacks and their deliveries. */
@Timeout(60)
class CallbacksTest {
  private static final String HOOK = "https://example.com/hook";
  private static final Callback FIRST = Callback.newBuilder().setId("b1").setUrl(HOOK).build();
  private static final Callback SECOND = Callback.newBuilder().setId("b2").setUrl(HOOK).build();
  private static final Delivery DELIVERY = Delivery.newBuilder().setId("d1").build();

  private ScriptedGateway gateway;
  private HfGatewayClient client;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
    client = gateway.client(new ManualTimers(1));
  }

  @AfterEach
  void stop() {
    client.close();
    gateway.close();
  }

  @Test
  void lostSecretIsReplaced() {
    CreateCallbackResponse replayed = CreateCallbackResponse.newBuilder().setCallback(FIRST).setReplayed(true).build();
    gateway.fails(Status.UNAVAILABLE.asRuntimeException()).answers(replayed);
    gateway.answers(RotateCallbackSecretResponse.newBuilder().setSecret("whsec_2").build());
    assertEquals("whsec_2", client.callbacks().create(HOOK).secret());
    // Another caller may have the secret of a callback that was created with the same key.
    gateway.answers(replayed);
    CreateCallbackRequest keyed = CreateCallbackRequest.newBuilder().setUrl(HOOK).setIdempotencyKey("k").build();
    assertEquals("", client.callbacks().create(keyed).secret());
    assertEquals(0, gateway.scriptsLeft());
  }

  @Test
  void errorOfALostSecretHasTheKeyOfTheCreation() {
    gateway.answers(CreateCallbackResponse.newBuilder().setCallback(FIRST).setReplayed(true).build());
    gateway.fails(ScriptedGateway.error(Status.Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"));
    GatewayException error =
        assertThrows(GatewayException.QuotaExceeded.class, () -> client.callbacks().create(HOOK));
    assertEquals(((CreateCallbackRequest) gateway.requests.get(0)).getIdempotencyKey(), error.idempotencyKey());
  }

  @Test
  void errorOfASupplierThatFailsBeforeTheRotationHasTheKeyOfTheCreation() {
    gateway.answers(CreateCallbackResponse.newBuilder().setCallback(FIRST).setReplayed(true).build());
    Deque<String> keys = new ArrayDeque<>(List.of("hfg_create"));
    try (HfGatewayClient keyed = HfGatewayClient.builder(gateway.address()).apiKey(keys::remove).build()) {
      GatewayException error = assertThrows(GatewayException.class, () -> keyed.callbacks().create(HOOK));
      assertEquals(((CreateCallbackRequest) gateway.requests.get(0)).getIdempotencyKey(), error.idempotencyKey());
      assertInstanceOf(NoSuchElementException.class, error.getCause());
      assertThrows(NoSuchElementException.class, () -> keyed.callbacks().create(HOOK)); // nothing was sent
    }
  }

  @Test
  void creationIsRetriedWithItsKeyAndPrintsNoSecret() {
    gateway.fails(Status.UNAVAILABLE.asRuntimeException());
    gateway.answers(CreateCallbackResponse.newBuilder().setCallback(FIRST).setSecret("whsec_1").build());
    CreatedCallback created = client.callbacks().create(HOOK);
    assertEquals("b1", created.id());
    assertEquals("whsec_1", created.secret());
    assertFalse(created.replayed());
    assertFalse(created.idempotencyKey().isEmpty());
    CreateCallbackRequest sent =
        CreateCallbackRequest.newBuilder().setUrl(HOOK).setIdempotencyKey(created.idempotencyKey()).build();
    assertEquals(List.of(sent, sent), gateway.requests);
    assertFalse(created.toString().contains("whsec_"), created.toString());
    assertTrue(created.toString().contains("b1"), created.toString());
  }

  @Test
  void errorOfCreationHasItsKey() {
    gateway.fails(ScriptedGateway.error(Status.Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"));
    CreateCallbackRequest mine =
        CreateCallbackRequest.newBuilder().setUrl(HOOK).setEveryChange(true).setIdempotencyKey("hook-9").build();
    GatewayException error =
        assertThrows(GatewayException.QuotaExceeded.class, () -> client.callbacks().create(mine));
    assertEquals("hook-9", error.idempotencyKey());
    assertEquals(List.of(mine), gateway.requests);
  }

  @Test
  void bothListsFetchAllPages() {
    gateway.answers(ListCallbacksResponse.newBuilder().addCallbacks(SECOND).setNextPageToken("p2").build());
    gateway.answers(ListCallbacksResponse.newBuilder().addCallbacks(FIRST).build());
    assertEquals(List.of(SECOND, FIRST), client.callbacks().list().toList());
    gateway.answers(ListDeliveriesResponse.newBuilder().setNextPageToken("p2").build());
    gateway.answers(ListDeliveriesResponse.newBuilder().addDeliveries(DELIVERY).build());
    assertEquals(List.of(DELIVERY), client.callbacks().listDeliveries("b1").toList());
    ListDeliveriesRequest deliveries = ListDeliveriesRequest.newBuilder().setCallbackId("b1").build();
    assertEquals(
        List.of(
            ListCallbacksRequest.getDefaultInstance(),
            ListCallbacksRequest.newBuilder().setPageToken("p2").build(),
            deliveries,
            deliveries.toBuilder().setPageToken("p2").build()),
        gateway.requests);
  }

  @Test
  void otherMethodsSendTheirRequests() {
    gateway.answers(GetCallbackResponse.newBuilder().setCallback(FIRST).build());
    gateway.answers(UpdateCallbackResponse.newBuilder().setCallback(SECOND).build());
    gateway.answers(RotateCallbackSecretResponse.newBuilder().setSecret("whsec_2").build());
    gateway.answers(TestCallbackResponse.newBuilder().setDelivery(DELIVERY).build());
    gateway.answers(RedeliverDeliveryResponse.newBuilder().setDelivery(DELIVERY).build());
    gateway.answers(DeleteCallbackResponse.getDefaultInstance());
    Callbacks callbacks = client.callbacks();
    UpdateCallbackRequest paused = UpdateCallbackRequest.newBuilder().setId("b1").setPaused(false).build();
    assertEquals(FIRST, callbacks.get("b1"));
    assertEquals(SECOND, callbacks.update(paused));
    assertEquals("whsec_2", callbacks.rotateSecret("b1").getSecret());
    assertEquals(DELIVERY, callbacks.test("b1"));
    assertEquals(DELIVERY, callbacks.redeliver("d1"));
    callbacks.delete("b1");
    assertEquals(
        List.of(
            GetCallbackRequest.newBuilder().setId("b1").build(),
            paused,
            RotateCallbackSecretRequest.newBuilder().setId("b1").build(),
            TestCallbackRequest.newBuilder().setId("b1").build(),
            RedeliverDeliveryRequest.newBuilder().setId("d1").build(),
            DeleteCallbackRequest.newBuilder().setId("b1").build()),
        gateway.requests);
  }
}
