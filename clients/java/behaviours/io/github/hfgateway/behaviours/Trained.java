package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.distinct;
import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.nth;
import static io.github.hfgateway.behaviours.Stage.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.Characters;
import io.github.hfgateway.client.CreatedCharacter;
import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.HfGatewayClient;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Watch;
import io.github.hfgateway.v1.CreateCharacterRequest;
import io.github.hfgateway.v1.ListCharactersRequest;
import io.github.hfgateway.v1.SoulCharacter;
import io.github.hfgateway.v1.SoulVersion;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Characters and their training. */
final class Trained {
  private static final List<String> FACES =
      List.of("https://example.com/face-1.png", "https://example.com/face-2.png");

  static final Map<String, Main.Behaviour> ALL =
      Map.of(
          "create_character", Trained::createCharacter,
          "get_character", Trained::getCharacter,
          "list_characters", Trained::listCharacters,
          "watch_character", Trained::watchCharacter,
          "delete_character", Trained::deleteCharacter);

  private Trained() {}

  private static CreatedCharacter created(Stage stage) {
    CreatedCharacter created = stage.client.characters().create(unique("Ann"), FACES);
    assertFalse(created.replayed());
    return created;
  }

  private static void createCharacter(Stage stage) throws Exception {
    Characters characters = stage.client.characters();
    CreateCharacterRequest request =
        CreateCharacterRequest.newBuilder()
            .setName(unique("Ann"))
            .addAllImageUrls(FACES)
            .setVersion(SoulVersion.SOUL_VERSION_V2)
            .setIdempotencyKey(UUID.randomUUID().toString())
            .build();
    CreatedCharacter first = characters.create(request);
    assertFalse(first.replayed());
    assertFalse(first.id().isEmpty());
    assertEquals(request.getName(), first.character().getName());
    assertEquals(SoulVersion.SOUL_VERSION_V2, first.character().getVersion());
    assertFalse(first.character().getDone());
    CreatedCharacter second = characters.create(request);
    assertTrue(second.replayed());
    assertEquals(first.id(), second.id());
    CreateCharacterRequest other = request.toBuilder().setName(unique("Ben")).build();
    GatewayException error =
        fails(GatewayException.KeyReused.class, "IDEMPOTENCY_KEY_REUSED", () -> characters.create(other));
    assertEquals(request.getIdempotencyKey(), error.idempotencyKey());
    stage.charged(request.getName(), 1);
    stage.charged(other.getName(), 0);
  }

  private static void getCharacter(Stage stage) {
    CreatedCharacter created = created(stage);
    SoulCharacter found = stage.client.characters().get(created.id());
    assertEquals(created.id(), found.getId());
    assertEquals(created.character().getName(), found.getName());
    String unknown = UUID.randomUUID().toString();
    fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.characters().get(unknown));
    try (HfGatewayClient other = stage.another().apiKey(stage.variable("OTHER_API_KEY")).build()) {
      fails(GatewayException.NotFound.class, "NOT_FOUND", () -> other.characters().get(created.id()));
    }
  }

  private static void listCharacters(Stage stage) {
    String first = created(stage).id();
    String second = created(stage).id();
    ListCharactersRequest pages = ListCharactersRequest.newBuilder().setPageSize(1).build();
    List<String> all = distinct(stage.client.characters().list(pages).map(SoulCharacter::getId));
    assertEquals(List.of(second, first), all.subList(0, 2));
  }

  private static void watchCharacter(Stage stage) throws Exception {
    List<SoulCharacter> seen = new ArrayList<>();
    try (Watch<SoulCharacter> watch = stage.client.characters().watch(created(stage).id())) {
      assertFalse(nth(watch, present -> true, seen).getDone());
      stage.advance(1.5);
      nth(watch, changed -> States.name(changed).equals("IN_PROGRESS"), seen);
      stage.advance(3600);
      watch.forEachRemaining(seen::add);
    }
    List<Integer> states = seen.stream().map(SoulCharacter::getStateValue).toList();
    assertEquals(states.stream().sorted().distinct().toList(), states);
    SoulCharacter last = seen.get(seen.size() - 1);
    assertEquals("COMPLETED", States.name(last));
    assertTrue(last.getDone());
  }

  private static void deleteCharacter(Stage stage) {
    String id = created(stage).id();
    for (int time = 0; time < 2; time++) {
      stage.client.characters().delete(id);
      fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.characters().get(id));
    }
  }
}
