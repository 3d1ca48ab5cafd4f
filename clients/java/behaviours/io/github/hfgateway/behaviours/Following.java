package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.fails;
import static io.github.hfgateway.behaviours.Stage.fox;
import static io.github.hfgateway.behaviours.Stage.has;
import static io.github.hfgateway.behaviours.Stage.nth;
import static io.github.hfgateway.behaviours.Stage.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.GenerationFailedException;
import io.github.hfgateway.client.Inputs;
import io.github.hfgateway.client.States;
import io.github.hfgateway.client.Submission;
import io.github.hfgateway.client.Submit;
import io.github.hfgateway.client.Watch;
import io.github.hfgateway.client.WatchEvent;
import io.github.hfgateway.v1.AdoptGenerationRequest;
import io.github.hfgateway.v1.AdoptGenerationResponse;
import io.github.hfgateway.v1.ApiVersion;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.GenerationInput;
import io.github.hfgateway.v1.ListGenerationsRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/** Reading, waiting and watching, also over cut connections and restarts of the gateway. */
final class Following {
  static final Map<String, Main.Behaviour> ALL =
      Map.ofEntries(
          Map.entry("get", Following::get),
          Map.entry("get_unknown", Following::getUnknown),
          Map.entry("adopt", Following::adopt),
          Map.entry("adopt_unknown", Following::adoptUnknown),
          Map.entry("list_pages", Following::listPages),
          Map.entry("wait", Following::waits),
          Map.entry("watch_to_end", stage -> watchOver(stage, () -> {})),
          Map.entry("watch_resumes_after_cut", stage -> watchOver(stage, stage::cut)),
          Map.entry("watch_resumes_after_restart", stage -> watchOver(stage, stage::restart)),
          Map.entry("watch_stops", Following::watchStops),
          Map.entry("watch_many", stage -> watchTwo(stage, List.of(UUID.randomUUID().toString()), () -> {})),
          Map.entry("watch_many_resumes_after_cut", stage -> watchTwo(stage, List.of(), stage::cut)),
          Map.entry("watch_many_resume_token", Following::watchManyResumeToken),
          Map.entry("generate", Following::generate),
          Map.entry("generate_failed", Following::generateFailed));

  /** Trouble in the middle of a watch. */
  private interface Trouble {
    void happen() throws Exception;
  }

  private Following() {}

  private static void get(Stage stage) {
    GenerationInput input = fox();
    Submission submission = stage.queued(input);
    Generation generation = stage.client.get(submission.id());
    assertEquals(submission.id(), generation.getId());
    assertEquals(input, generation.getInput());
  }

  private static void getUnknown(Stage stage) {
    String unknown = UUID.randomUUID().toString();
    fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.get(unknown));
  }

  private static void adopt(Stage stage) throws Exception {
    GenerationInput input = fox();
    String prompt = input.getSoul().getPrompt();
    String requestId = stage.control("elsewhere", Map.of("prompt", prompt)).get("request_id").getAsString();
    AdoptGenerationRequest request =
        AdoptGenerationRequest.newBuilder().setUpstreamRequestId(requestId).putLabels("from", "elsewhere").build();
    AdoptGenerationResponse first = stage.client.adopt(request);
    AdoptGenerationResponse again = stage.client.adopt(request);
    String id = first.getGeneration().getId();
    assertEquals(id, again.getGeneration().getId());
    assertFalse(first.getReplayed());
    assertTrue(again.getReplayed());
    stage.advance(60);
    Generation done = stage.client.waitUntilDone(id, Duration.ofSeconds(30));
    assertEquals("COMPLETED", States.name(done));
    assertTrue(done.getAdopted());
    assertEquals("elsewhere", done.getLabelsOrThrow("from"));
    GenerationFilter filter = GenerationFilter.newBuilder().addUpstreamRequestIds(requestId).build();
    assertEquals(List.of(id), stage.client.list(filter).map(Generation::getId).toList());
    stage.charged(input, 1, 1);
  }

  private static void adoptUnknown(Stage stage) {
    AdoptGenerationRequest request =
        AdoptGenerationRequest.newBuilder()
            .setUpstreamRequestId(UUID.randomUUID().toString())
            .setApiVersion(ApiVersion.API_VERSION_V1)
            .build();
    fails(GatewayException.NotFound.class, "NOT_FOUND", () -> stage.client.adopt(request));
  }

  private static void listPages(Stage stage) {
    String run = unique("five");
    LinkedList<String> made = new LinkedList<>();
    for (int number = 0; number < 5; number++) {
      made.addFirst(stage.queued(Submit.of(fox()).label("run", run)).id());
    }
    GenerationFilter filter = GenerationFilter.newBuilder().putLabels("run", run).build();
    ListGenerationsRequest pages = ListGenerationsRequest.newBuilder().setFilter(filter).setPageSize(2).build();
    assertEquals(made, stage.client.list(pages).map(Generation::getId).toList());
  }

  private static void waits(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    Generation early = stage.client.waitUntilDone(id, Duration.ofMillis(200));
    assertEquals(id, early.getId());
    assertFalse(early.getDone());
    Future<Generation> waiting = stage.beside(() -> stage.client.waitUntilDone(id, Duration.ofSeconds(30)));
    stage.advance(60);
    Generation late = waiting.get();
    assertEquals("COMPLETED", States.name(late));
    assertTrue(late.getDone());
  }

  /** Checks that a watch has every revision, once and in order, to COMPLETED with its outputs. */
  private static void watchOver(Stage stage, Trouble trouble) throws Exception {
    Submission submission = stage.queued(fox());
    List<Generation> seen = new ArrayList<>();
    try (Watch<Generation> watch = stage.client.watch(submission.id())) {
      nth(watch, has("QUEUED"), seen);
      trouble.happen();
      stage.advance(1.5);
      nth(watch, has("IN_PROGRESS"), seen);
      trouble.happen();
      stage.advance(60);
      watch.forEachRemaining(seen::add);
    }
    assertEquals(from(1, seen.size()), revisions(seen));
    Generation last = seen.get(seen.size() - 1);
    assertEquals("COMPLETED", States.name(last));
    assertFalse(last.getOutputs(0).getUrl().isEmpty());
  }

  private static List<Integer> revisions(List<Generation> changes) {
    return changes.stream().map(Generation::getRevision).toList();
  }

  private static List<Integer> from(int first, int count) {
    return IntStream.range(first, first + count).boxed().toList();
  }

  private static void watchStops(Stage stage) throws Exception {
    Submission submission = stage.queued(fox());
    CountDownLatch began = new CountDownLatch(1);
    Watch<Generation> watch = stage.client.watch(submission.id());
    Future<Boolean> following =
        stage.beside(
            () -> {
              nth(watch, has("QUEUED"), new ArrayList<>());
              began.countDown();
              return watch.hasNext();
            });
    began.await();
    watch.close();
    assertFalse(following.get());
    assertFalse(watch.hasNext());

    // An interrupt ends a watch too: it throws, and the thread stays interrupted.
    Watch<Generation> another = stage.client.watch(submission.id());
    nth(another, has("QUEUED"), new ArrayList<>());
    Thread.currentThread().interrupt();
    assertThrows(GatewayException.Canceled.class, another::hasNext);
    assertTrue(Thread.interrupted());

    stage.advance(60);
    stage.until(submission.id(), "COMPLETED");
  }

  private static void watchTwo(Stage stage, List<String> unknown, Trouble trouble) throws Exception {
    List<Generation> both = List.of(stage.queued(fox()).generation(), stage.queued(fox()).generation());
    GenerationFilter.Builder filter = GenerationFilter.newBuilder().addAllIds(unknown);
    both.forEach(one -> filter.addIds(one.getId()));
    List<WatchEvent> seen = new ArrayList<>();
    try (Watch<WatchEvent> watch = stage.client.watchMany(filter.build())) {
      nth(watch, WatchEvent.CaughtUp.class::isInstance, seen);
      trouble.happen();
      stage.advance(1.5);
      nth(watch, changedTo("IN_PROGRESS"), seen);
      nth(watch, changedTo("IN_PROGRESS"), seen);
      trouble.happen();
      stage.advance(60);
      watch.forEachRemaining(seen::add);
    }
    assertEquals(1, seen.stream().filter(WatchEvent.CaughtUp.class::isInstance).count());
    List<String> missing = new ArrayList<>();
    for (WatchEvent event : seen) {
      if (event instanceof WatchEvent.Missing absent) {
        missing.addAll(absent.ids());
      }
    }
    assertEquals(unknown, missing);
    for (Generation one : both) {
      List<Generation> changes = changesOf(seen, one.getId());
      assertEquals(from(one.getRevision(), changes.size()), revisions(changes));
      assertEquals("COMPLETED", States.name(changes.get(changes.size() - 1)));
    }
  }

  private static List<Generation> changesOf(List<WatchEvent> seen, String id) {
    List<Generation> changes = new ArrayList<>();
    for (WatchEvent event : seen) {
      if (event instanceof WatchEvent.Changed changed && changed.generation().getId().equals(id)) {
        changes.add(changed.generation());
      }
    }
    return changes;
  }

  private static Predicate<WatchEvent> changedTo(String state) {
    return event -> event instanceof WatchEvent.Changed changed && has(state).test(changed.generation());
  }

  private static void watchManyResumeToken(Stage stage) throws Exception {
    String id = stage.queued(fox()).id();
    GenerationFilter filter = GenerationFilter.newBuilder().addIds(id).build();
    List<WatchEvent> first = new ArrayList<>();
    String token;
    try (Watch<WatchEvent> watch = stage.client.watchMany(filter)) {
      token = nth(watch, WatchEvent.CaughtUp.class::isInstance, first).resumeToken();
    }
    assertFalse(token.isEmpty());
    stage.advance(60);
    stage.until(id, "COMPLETED");

    List<WatchEvent> second = new ArrayList<>();
    try (Watch<WatchEvent> watch = stage.client.watchMany(filter, token)) {
      watch.forEachRemaining(second::add);
    }
    List<Generation> before = changesOf(first, id);
    List<Generation> after = changesOf(second, id);
    assertEquals(from(before.get(before.size() - 1).getRevision() + 1, after.size()), revisions(after));
    assertEquals("COMPLETED", States.name(after.get(after.size() - 1)));
  }

  private static void generate(Stage stage) throws Exception {
    GenerationInput input = fox();
    List<Generation> seen = new ArrayList<>();
    Generation generation = stage.client.generate(limited(input), generated(stage, seen));
    List<Integer> revisions = revisions(seen).stream().distinct().toList(); // a newer forecast repeats one
    assertEquals(from(1, revisions.size()), revisions);
    assertEquals("COMPLETED", States.name(generation));
    assertEquals(generation, seen.get(seen.size() - 1));
    assertFalse(generation.getOutputs(0).getUrl().isEmpty());
    stage.charged(input, 1, 1);
  }

  private static void generateFailed(Stage stage) throws Exception {
    GenerationInput input = Inputs.soul(unique("a fox [nsfw]"));
    List<Generation> seen = new ArrayList<>();
    GenerationFailedException error =
        fails(
            GenerationFailedException.Moderated.class,
            "MODERATED",
            () -> stage.client.generate(limited(input), generated(stage, seen)));
    assertEquals(seen.get(0).getId(), error.generation().getId());
    assertEquals("NSFW", States.name(error.generation()));
    stage.charged(input, 0, 1);
  }

  private static Submit limited(GenerationInput input) {
    return Submit.of(input).timeout(Duration.ofSeconds(30));
  }

  /** Records the progress, and advances time when Higgsfield has accepted the generation. */
  private static java.util.function.Consumer<Generation> generated(Stage stage, List<Generation> seen) {
    return generation -> {
      seen.add(generation);
      if (States.name(generation).equals("QUEUED")) {
        try {
          stage.advance(60);
        } catch (Exception error) {
          throw new AssertionError(error);
        }
      }
    };
  }
}
