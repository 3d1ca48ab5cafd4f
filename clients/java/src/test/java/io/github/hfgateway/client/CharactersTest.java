package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.hfgateway.v1.CharacterState;
import io.github.hfgateway.v1.CreateCharacterRequest;
import io.github.hfgateway.v1.CreateCharacterResponse;
import io.github.hfgateway.v1.DeleteCharacterRequest;
import io.github.hfgateway.v1.DeleteCharacterResponse;
import io.github.hfgateway.v1.ErrorReason;
import io.github.hfgateway.v1.Failure;
import io.github.hfgateway.v1.GetCharacterRequest;
import io.github.hfgateway.v1.GetCharacterResponse;
import io.github.hfgateway.v1.ListCharactersRequest;
import io.github.hfgateway.v1.ListCharactersResponse;
import io.github.hfgateway.v1.SoulCharacter;
import io.github.hfgateway.v1.WatchCharacterRequest;
import io.github.hfgateway.v1.WatchCharacterResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** Characters and their training. */
@Timeout(60)
class CharactersTest {
  private static final List<String> FACES = List.of("https://example.com/1.png", "https://example.com/2.png");
  private static final SoulCharacter QUEUED = character(CharacterState.CHARACTER_STATE_QUEUED);
  private static final SoulCharacter RUNNING = character(CharacterState.CHARACTER_STATE_IN_PROGRESS);
  private static final SoulCharacter COMPLETED = character(CharacterState.CHARACTER_STATE_COMPLETED);

  private final ManualTimers timers = new ManualTimers(1);
  private ScriptedGateway gateway;
  private HfGatewayClient client;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
    client = gateway.client(timers);
  }

  @AfterEach
  void stop() {
    client.close();
    gateway.close();
  }

  private static StatusRuntimeException unavailable() {
    return Status.UNAVAILABLE.withDescription("away").asRuntimeException();
  }

  private static SoulCharacter character(CharacterState state) {
    boolean done = state.getNumber() >= CharacterState.CHARACTER_STATE_COMPLETED_VALUE;
    return SoulCharacter.newBuilder().setId("c1").setName("Ann").setState(state).setDone(done).build();
  }

  private static Message created(SoulCharacter character) {
    return CreateCharacterResponse.newBuilder().setCharacter(character).build();
  }

  private static Message changed(SoulCharacter character) {
    return WatchCharacterResponse.newBuilder().setCharacter(character).build();
  }

  private String key(int number) {
    return ((CreateCharacterRequest) gateway.requests.get(number)).getIdempotencyKey();
  }

  @Test
  void creationIsRetriedWithItsKey() {
    gateway.fails(unavailable());
    gateway.fails(ScriptedGateway.error(Status.Code.ABORTED, "SUBMISSION_UNRESOLVED"));
    gateway.answers(CreateCharacterResponse.newBuilder().setCharacter(QUEUED).setReplayed(true).build());
    gateway.answers(created(QUEUED));
    CreatedCharacter first = client.characters().create("Ann", FACES);
    assertEquals("c1", first.id());
    assertTrue(first.replayed());
    CreateCharacterRequest sent =
        CreateCharacterRequest.newBuilder()
            .setName("Ann")
            .addAllImageUrls(FACES)
            .setIdempotencyKey(first.idempotencyKey())
            .build();
    assertFalse(first.idempotencyKey().isEmpty());
    assertEquals(List.of(sent, sent, sent), gateway.requests);
    // Each call creates another character.
    assertNotEquals(first.idempotencyKey(), client.characters().create("Ann", FACES).idempotencyKey());
  }

  @Test
  void errorOfCreationHasItsKey() {
    gateway.fails(Status.INVALID_ARGUMENT.asRuntimeException());
    gateway.fails(ScriptedGateway.error(Status.Code.FAILED_PRECONDITION, "IDEMPOTENCY_KEY_REUSED"));
    GatewayException made =
        assertThrows(GatewayException.InvalidInput.class, () -> client.characters().create("", FACES));
    assertEquals(key(0), made.idempotencyKey());
    CreateCharacterRequest mine = CreateCharacterRequest.newBuilder().setIdempotencyKey("order-9").build();
    GatewayException reused =
        assertThrows(GatewayException.KeyReused.class, () -> client.characters().create(mine));
    assertEquals("order-9", reused.idempotencyKey());
    assertEquals("order-9", key(1));
  }

  @Test
  void brokenWatchIsReopenedAndRepeatsNoState() {
    Message heartbeat = WatchCharacterResponse.getDefaultInstance();
    gateway.fails(unavailable(), changed(QUEUED), heartbeat);
    gateway.fails(unavailable(), changed(QUEUED), changed(RUNNING));
    // The watch ends after the final state, even if the stream stays open.
    gateway.holds(changed(COMPLETED));
    List<SoulCharacter> seen = new ArrayList<>();
    try (Watch<SoulCharacter> watch = client.characters().watch("c1")) {
      watch.forEachRemaining(seen::add);
    }
    assertEquals(List.of(QUEUED, RUNNING, COMPLETED), seen);
    WatchCharacterRequest opened = WatchCharacterRequest.newBuilder().setId("c1").build();
    assertEquals(List.of(opened, opened, opened), gateway.requests);
    // Each failure was the first in a row.
    assertEquals(List.of(0.2, 0.2), timers.slept);
  }

  @Test
  void watchOfDeletedCharacterThrowsNotFound() {
    gateway.fails(ScriptedGateway.error(Status.Code.NOT_FOUND, "NOT_FOUND"), changed(QUEUED));
    Watch<SoulCharacter> watch = client.characters().watch("c1");
    assertEquals(QUEUED, watch.next());
    assertThrows(GatewayException.NotFound.class, watch::hasNext);
  }

  @Test
  void trainWatchesToTheEndAndReportsEveryChangeOnce() {
    gateway.answers(created(QUEUED));
    gateway.fails(unavailable(), changed(QUEUED), changed(RUNNING)).answers(changed(COMPLETED));
    List<SoulCharacter> seen = new ArrayList<>();
    CreateCharacterRequest request = CreateCharacterRequest.newBuilder().setName("Ann").build();
    assertEquals(COMPLETED, client.characters().train(request, null, seen::add));
    assertEquals(List.of(QUEUED, RUNNING, COMPLETED), seen);
    assertEquals(3, gateway.requests.size());
  }

  @Test
  void trainDoesNotWatchEndedTraining() {
    gateway.answers(created(COMPLETED));
    assertEquals(COMPLETED, client.characters().train("Ann", FACES));
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void exceptionOfAConsumerFailsWithTheKey() {
    IllegalStateException mine = new IllegalStateException("mine");
    Consumer<SoulCharacter> breaks = seen -> {
      if (seen.equals(RUNNING)) throw mine;
    };
    CreateCharacterRequest request = CreateCharacterRequest.newBuilder().setIdempotencyKey("order-9").build();
    gateway.answers(created(QUEUED)).holds(changed(RUNNING)).answers(created(QUEUED)).holds(changed(RUNNING));
    for (Executable training : List.<Executable>of(
        () -> client.characters().train(request, null, breaks),
        () -> Blocking.await(client.async().characters().train(request, null, breaks)))) {
      GatewayException failed = assertThrows(GatewayException.Canceled.class, training);
      assertSame(mine, failed.getCause());
      assertEquals("order-9", failed.idempotencyKey());
    }
  }

  @Test
  void withoutAConsumerOfProgressNothingIsCreated() {
    gateway.answers(created(COMPLETED));
    CreateCharacterRequest request = CreateCharacterRequest.newBuilder().setName("Ann").build();
    assertThrows(NullPointerException.class, () -> client.characters().train(request, null, null));
    assertEquals(List.of(), gateway.requests);
  }

  @Test
  void timeoutOfTrainCoversAllCalls() {
    gateway.then(
        (request, caller) -> {
          timers.takes(4);
          caller.onNext(created(QUEUED));
          caller.onCompleted();
        });
    gateway.answers(changed(COMPLETED));
    CreateCharacterRequest request = CreateCharacterRequest.newBuilder().setName("Ann").build();
    client.characters().train(request, Duration.ofSeconds(20), seen -> {});
    gateway.answers(created(COMPLETED));
    client.characters().train(request, Duration.ofHours(1), seen -> {});
    // The last creation had the timeout of the client.
    assertEquals(List.of(20.0, 16.0, 30.0), timers.remaining);
  }

  @Test
  void errorOfFailedTrainingHasTheCharacter() {
    Failure failure =
        Failure.newBuilder().setReason(ErrorReason.ERROR_REASON_INPUT_REFUSED).setMessage("no face").build();
    SoulCharacter failed =
        character(CharacterState.CHARACTER_STATE_FAILED).toBuilder().setFailure(failure).build();
    gateway.answers(created(QUEUED)).answers(changed(failed));
    TrainingFailedException error =
        assertThrows(TrainingFailedException.class, () -> client.characters().train("Ann", FACES));
    assertEquals(failed, error.character());
    assertEquals("INPUT_REFUSED: no face (character c1)", error.getMessage());
    assertNull(error.code());
    assertEquals(key(0), error.idempotencyKey());
    assertEquals(2, gateway.requests.size());

    gateway.answers(created(character(CharacterState.CHARACTER_STATE_FAILED)));
    TrainingFailedException silent =
        assertThrows(TrainingFailedException.class, () -> client.characters().train("Ann", FACES));
    assertEquals("ended as FAILED", silent.description());
  }

  @Test
  void watchThatEndsTooEarlyIsResumed() {
    gateway.answers(created(QUEUED)).answers(changed(QUEUED)).answers(changed(COMPLETED));
    assertEquals(COMPLETED, client.characters().train("Ann", FACES));
  }

  @Test
  void errorOfBrokenTrainingWatchHasTheKey() {
    gateway.answers(created(QUEUED)).fails(Status.UNAUTHENTICATED.asRuntimeException());
    GatewayException error =
        assertThrows(
            GatewayException.InvalidCredentials.class, () -> client.characters().train("Ann", FACES));
    assertEquals(key(0), error.idempotencyKey());
  }

  @Test
  void otherMethodsSendTheirRequests() {
    gateway.answers(GetCharacterResponse.newBuilder().setCharacter(RUNNING).build());
    gateway.answers(ListCharactersResponse.newBuilder().addCharacters(RUNNING).setNextPageToken("p2").build());
    gateway.answers(ListCharactersResponse.newBuilder().addCharacters(COMPLETED).build());
    gateway.answers(DeleteCharacterResponse.getDefaultInstance());
    assertEquals(RUNNING, client.characters().get("c1"));
    ListCharactersRequest pages = ListCharactersRequest.newBuilder().setPageSize(1).build();
    assertEquals(List.of(RUNNING, COMPLETED), client.characters().list(pages).toList());
    client.characters().delete("c1");
    assertEquals(
        List.of(
            GetCharacterRequest.newBuilder().setId("c1").build(),
            pages,
            pages.toBuilder().setPageToken("p2").build(),
            DeleteCharacterRequest.newBuilder().setId("c1").build()),
        gateway.requests);
  }
}
