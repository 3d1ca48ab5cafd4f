package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.fox;
import static io.github.hfgateway.behaviours.Stage.has;
import static io.github.hfgateway.behaviours.Stage.nth;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.hfgateway.client.AsyncHfGatewayClient;
import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.HfGatewayClient;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Watch;
import io.github.hfgateway.v1.Generation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Connections that die or move, many calls at the same time, and closed clients. */
final class Connections {
  static final Map<String, Main.Behaviour> ALL =
      Map.of(
          "dead_connection", Connections::deadConnection,
          "moved_name", Connections::movedName,
          "concurrent_calls", Connections::concurrentCalls,
          "closed_client", Connections::closedClient);

  private Connections() {}

  private static void deadConnection(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    assertNotEquals(0, stage.control("swallow", Map.of()).get("connections").getAsInt());
    assertEquals(id, stage.client.get(id).getId());
  }

  private static void movedName(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    HfGatewayClient.Builder named =
        HfGatewayClient.builder(stage.variable("NAMED_ADDRESS")).apiKey(stage.variable("API_KEY")).insecure();
    List<Generation> seen = new ArrayList<>();
    try (HfGatewayClient client = named.build();
        Watch<Generation> watch = client.watch(id)) {
      nth(watch, has("QUEUED"), seen);
      stage.control("move", Map.of());
      stage.advance(60);
      watch.forEachRemaining(seen::add);
      assertEquals("COMPLETED", States.name(client.get(id)));
    }
    assertEquals(
        IntStream.rangeClosed(1, seen.size()).boxed().toList(), seen.stream().map(Generation::getRevision).toList());
  }

  private static void concurrentCalls(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    AsyncHfGatewayClient client = stage.client.async();
    List<List<Generation>> seen = new ArrayList<>();
    List<CompletableFuture<?>> watches = new ArrayList<>();
    for (int number = 0; number < 11; number++) {
      List<Generation> changes = new ArrayList<>();
      seen.add(changes);
      watches.add(client.watch(id).forEach(changes::add));
    }
    List<CompletableFuture<Generation>> calls = Stream.generate(() -> client.get(id)).limit(11).toList();
    for (CompletableFuture<Generation> call : calls) {
      assertEquals(id, call.get().getId());
    }
    stage.advance(60);
    CompletableFuture.allOf(watches.toArray(new CompletableFuture<?>[0])).get();
    for (List<Generation> changes : seen) {
      assertEquals("COMPLETED", States.name(changes.get(changes.size() - 1)));
    }
  }

  private static void closedClient(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    HfGatewayClient client = stage.another().apiKey(stage.variable("API_KEY")).build();
    Watch<Generation> watch = client.watch(id);
    watch.next();
    Future<Generation> waiting = client.async().waitUntilDone(id);
    Future<?> watching = stage.beside(() -> nth(watch, has("COMPLETED"), new ArrayList<>()));
    client.get(id); // sent after the wait, which is therefore in progress
    client.close();
    for (Future<?> ended : List.of(waiting, watching)) {
      Throwable error = assertThrows(ExecutionException.class, ended::get).getCause();
      assertInstanceOf(GatewayException.ClientClosed.class, error);
    }
    fails(GatewayException.ClientClosed.class, "", () -> client.get(id));
    fails(GatewayException.ClientClosed.class, "", watch::hasNext);
    assertEquals("QUEUED", States.name(stage.client.get(id)));
  }
}
