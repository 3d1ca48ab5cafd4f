package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.fox;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.AsyncHfGatewayClient;
import io.github.hfgateway.client.States;
import io.github.hfgateway.v1.Generation;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/**
 * Watches 5 generations 100 times each with one asynchronous client, over a cut connection, and prints the largest
 * number of threads that the process had. It fails if a watch has lost, repeated or reordered a change.
 */
final class ManyWatches {
  private static final int GENERATIONS = 5;
  private static final int WATCHES = 500;
  private static final long PATIENCE = 120;

  private ManyWatches() {}

  public static void main(String[] arguments) throws Exception {
    try (Stage stage = new Stage();
        AsyncHfGatewayClient client = stage.another().apiKey(stage.variable("API_KEY")).buildAsync()) {
      List<String> ids = new ArrayList<>();
      for (int number = 0; number < GENERATIONS; number++) {
        ids.add(stage.queued(fox()).id());
      }
      CountDownLatch queued = new CountDownLatch(WATCHES);
      CountDownLatch running = new CountDownLatch(WATCHES);
      List<List<Generation>> seen = new ArrayList<>();
      List<CompletableFuture<Void>> watches = new ArrayList<>();
      for (int number = 0; number < WATCHES; number++) {
        List<Generation> changes = new ArrayList<>();
        seen.add(changes);
        watches.add(
            client
                .watch(ids.get(number % GENERATIONS))
                .forEach(
                    changed -> {
                      changes.add(changed);
                      switch (States.name(changed)) {
                        case "QUEUED" -> queued.countDown();
                        case "IN_PROGRESS" -> running.countDown();
                        default -> {}
                      }
                    }));
      }
      assertTrue(queued.await(PATIENCE, TimeUnit.SECONDS), "every watch is open");
      stage.cut();
      stage.advance(1.5);
      assertTrue(running.await(PATIENCE, TimeUnit.SECONDS), "every watch has resumed");
      stage.advance(60);
      CompletableFuture.allOf(watches.toArray(new CompletableFuture<?>[0])).get(PATIENCE, TimeUnit.SECONDS);
      for (List<Generation> changes : seen) {
        assertEquals(
            IntStream.rangeClosed(1, changes.size()).boxed().toList(),
            changes.stream().map(Generation::getRevision).toList());
        assertEquals("COMPLETED", States.name(changes.get(changes.size() - 1)));
      }
      System.out.println(ManagementFactory.getThreadMXBean().getPeakThreadCount() + " threads");
    }
  }
}
