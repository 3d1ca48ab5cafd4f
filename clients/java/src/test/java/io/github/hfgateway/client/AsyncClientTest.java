package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.hfgateway.v1.CreateCallbackResponse;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.GetGenerationResponse;
import io.github.hfgateway.v1.ListGenerationsResponse;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.SubmitGenerationResponse;
import io.github.hfgateway.v1.WaitGenerationResponse;
import io.github.hfgateway.v1.WatchGenerationRequest;
import io.github.hfgateway.v1.WatchGenerationResponse;
import io.grpc.Context;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Flow;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What only the asynchronous client has; the tests of the blocking client cover the rest, because it waits for this. */
@Timeout(60)
class AsyncClientTest {
  private ScriptedGateway gateway;
  private AsyncHfGatewayClient client;

  @BeforeEach
  void start() throws Exception {
    gateway = new ScriptedGateway();
    client = HfGatewayClient.builder(gateway.address()).timers(new ManualTimers(1)).buildAsync();
  }

  @AfterEach
  void stop() {
    client.close();
    gateway.close();
  }

  private static Generation generation(int revision) {
    return Generation.newBuilder().setId("g1").setRevision(revision).build();
  }

  private static Message[] changes(int count) {
    return IntStream.rangeClosed(1, count)
        .mapToObj(revision -> WatchGenerationResponse.newBuilder().setGeneration(generation(revision)).build())
        .toArray(Message[]::new);
  }

  private static Message submitted() {
    return SubmitGenerationResponse.newBuilder().setGeneration(generation(1)).build();
  }

  private void leaves(String method) throws InterruptedException {
    assertEquals(method, gateway.left.poll(30, TimeUnit.SECONDS));
  }

  @Test
  void futureFailsWithTheExceptionItself() throws Exception {
    for (int attempt = 0; attempt < 4; attempt++) {
      gateway.fails(ScriptedGateway.error(Status.Code.NOT_FOUND, "NOT_FOUND"));
    }
    ExecutionException got = assertThrows(ExecutionException.class, () -> client.get("g1").get());
    assertInstanceOf(GatewayException.NotFound.class, got.getCause());
    CompletionException joined = assertThrows(CompletionException.class, () -> client.get("g1").join());
    assertInstanceOf(GatewayException.NotFound.class, joined.getCause());
    CompletableFuture<Class<?>> handled = client.get("g1").handle((generation, error) -> error.getClass());
    assertSame(GatewayException.NotFound.class, handled.get());
    CompletableFuture<Class<?>> read =
        client.watch("g1").forEach(changed -> {}).handle((nothing, error) -> error.getClass());
    assertSame(GatewayException.NotFound.class, read.get());
  }

  @Test
  void cancelEndsTheCallUnderWay() throws Exception {
    Message waited = WaitGenerationResponse.newBuilder().setGeneration(generation(1)).build();
    CountDownLatch changed = new CountDownLatch(1);
    gateway.holds();
    gateway.answers(submitted()).holds(changes(2));
    gateway.answers(waited).holds();
    gateway.holds();
    canceled(client.get("g1"), 1, "GetGeneration");
    CompletableFuture<Generation> generating =
        client.generate(Inputs.soul("a fox"), seen -> {
          if (seen.getRevision() == 2) {
            changed.countDown();
          }
        });
    changed.await();
    canceled(generating, 3, "WatchGeneration");
    canceled(client.waitUntilDone("g1"), 5, "WaitGeneration");
    canceled(client.list(GenerationFilter.getDefaultInstance()).toList(), 6, "ListGenerations");
  }

  private void canceled(CompletableFuture<?> operation, int requests, String method) throws Exception {
    while (gateway.requests.size() < requests) {
      Thread.onSpinWait();
    }
    operation.cancel(true);
    leaves(method);
    assertThrows(CancellationException.class, operation::join);
  }

  @Test
  void everyEndOfAFutureEndsTheCallUnderWay() throws Exception {
    gateway.holds(changes(1)).answers(submitted()).holds(changes(2)).holds();
    CountDownLatch watching = new CountDownLatch(1);
    CompletableFuture<Void> watch = client.watch("g1").forEach(seen -> watching.countDown());
    assertTrue(watching.await(30, TimeUnit.SECONDS));
    assertThrows(CompletionException.class, watch.orTimeout(1, TimeUnit.MILLISECONDS)::join);
    leaves("WatchGeneration");

    CountDownLatch changed = new CountDownLatch(2);
    CompletableFuture<Generation> generating = client.generate(Inputs.soul("a fox"), seen -> changed.countDown());
    assertTrue(changed.await(30, TimeUnit.SECONDS));
    generating.completeExceptionally(new IllegalStateException("mine"));
    leaves("WatchGeneration");

    CompletableFuture<Generation> call = client.get("g1");
    while (gateway.requests.size() < 4) {
      Thread.onSpinWait();
    }
    assertTrue(call.complete(generation(7)));
    leaves("GetGeneration");
  }

  @Test
  void endOfTheContextIsNoticedDuringTheDelayBeforeARetry() throws Exception {
    CountDownLatch waiting = new CountDownLatch(2);
    ManualTimers endless =
        new ManualTimers(1) {
          @Override
          void schedule(long nanos, Runnable task, Executor executor) {
            waiting.countDown(); // the delay never ends
          }
        };
    gateway.fails(Status.UNAVAILABLE.asRuntimeException()).fails(Status.UNAVAILABLE.asRuntimeException());
    Context.CancellableContext mine = Context.current().withCancellation();
    try (AsyncHfGatewayClient patient = HfGatewayClient.builder(gateway.address()).timers(endless).buildAsync()) {
      List<CompletableFuture<?>> calls =
          List.of(mine.call(() -> patient.get("g1")), mine.call(() -> patient.watch("g1").toList()));
      assertTrue(waiting.await(30, TimeUnit.SECONDS));
      mine.cancel(null);
      for (CompletableFuture<?> call : calls) {
        ExecutionException failed = assertThrows(ExecutionException.class, () -> call.get(30, TimeUnit.SECONDS));
        assertSame(GatewayException.Canceled.class, failed.getCause().getClass());
      }
    }
  }

  @Test
  void errorsOfStepsHaveTheKey() {
    gateway.answers(submitted()).fails(Status.UNAUTHENTICATED.asRuntimeException());
    CompletionException failed =
        assertThrows(CompletionException.class, () -> client.generate(Inputs.soul("a fox")).join());
    String key = ((SubmitGenerationRequest) gateway.requests.get(0)).getIdempotencyKey();
    assertEquals(key, ((GatewayException) failed.getCause()).idempotencyKey());
    gateway.answers(CreateCallbackResponse.newBuilder().setReplayed(true).build());
    gateway.fails(ScriptedGateway.error(Status.Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"));
    failed =
        assertThrows(CompletionException.class, () -> client.callbacks().create("https://example.com/hook").join());
    assertTrue(!((GatewayException.QuotaExceeded) failed.getCause()).idempotencyKey().isEmpty());
  }

  /** A subscriber that records its signals. */
  private static final class Recorder implements Flow.Subscriber<Generation> {
    final BlockingQueue<Object> signals = new LinkedBlockingQueue<>();
    Flow.Subscription subscription;

    @Override
    public void onSubscribe(Flow.Subscription mine) {
      subscription = mine;
    }

    @Override
    public void onNext(Generation changed) {
      signals.add(changed.getRevision());
    }

    @Override
    public void onError(Throwable error) {
      signals.add(error);
    }

    @Override
    public void onComplete() {
      signals.add("complete");
    }

    Object next() throws InterruptedException {
      return signals.poll(30, TimeUnit.SECONDS);
    }
  }

  @Test
  void gatewaySendsNoMoreThanASubscriberTakes() throws Exception {
    // Far more than the windows of HTTP/2 hold.
    Generation large = generation(0).toBuilder().putLabels("large", "x".repeat(100_000)).build();
    CountDownLatch sent = new CountDownLatch(100);
    gateway.then(
        (request, caller) -> {
          int[] revision = {0};
          caller.setOnReadyHandler(
              () -> {
                while (caller.isReady() && revision[0] < 100) {
                  Generation next = large.toBuilder().setRevision(++revision[0]).setDone(revision[0] == 100).build();
                  caller.onNext(WatchGenerationResponse.newBuilder().setGeneration(next).build());
                  sent.countDown();
                }
                if (revision[0] == 100) {
                  caller.onCompleted();
                  revision[0]++;
                }
              });
        });
    Recorder recorder = new Recorder();
    client.watch("g1").subscribe(recorder);
    assertEquals(0, gateway.requests.size(), "nothing is asked for without demand");
    recorder.subscription.request(2);
    assertEquals(List.of(1, 2), List.of(recorder.next(), recorder.next()));
    assertTrue(sent.getCount() > 50, () -> "only " + sent.getCount() + " of 100 are unsent");
    assertTrue(recorder.signals.isEmpty());
    recorder.subscription.request(Long.MAX_VALUE);
    recorder.subscription.request(Long.MAX_VALUE); // the sum is no long
    for (int revision = 3; revision <= 100; revision++) {
      assertEquals(revision, recorder.next());
    }
    assertEquals("complete", recorder.next());
  }

  @Test
  void streamIsCanceledAfterItsLastMessageWithoutMoreDemand() throws Exception {
    Generation last = generation(1).toBuilder().setDone(true).build();
    gateway.holds(WatchGenerationResponse.newBuilder().setGeneration(last).build());
    Recorder recorder = new Recorder();
    client.watch("g1").subscribe(recorder);
    recorder.subscription.request(1);
    assertEquals(1, recorder.next());
    assertEquals("WatchGeneration", gateway.left.poll(30, TimeUnit.SECONDS));
  }

  @Test
  void subscriptionsEndByCancelErrorAndWrongDemand() throws Exception {
    gateway.holds(changes(1));
    Recorder canceled = new Recorder();
    client.watch("g1").subscribe(canceled);
    canceled.subscription.request(9);
    assertEquals(1, canceled.next());
    canceled.subscription.cancel();
    leaves("WatchGeneration");
    assertTrue(canceled.signals.isEmpty());

    gateway.fails(Status.PERMISSION_DENIED.asRuntimeException(), changes(1));
    Recorder failed = new Recorder();
    client.watch("g1").subscribe(failed);
    failed.subscription.request(9);
    assertEquals(1, failed.next());
    assertInstanceOf(GatewayException.NotAllowed.class, failed.next());

    Recorder wrong = new Recorder();
    client.watch("g1").subscribe(wrong);
    wrong.subscription.request(0);
    assertInstanceOf(IllegalArgumentException.class, wrong.next());
    assertEquals(2, gateway.requests.size());
  }

  @Test
  void exceptionOfAConsumerEndsTheWatch() throws Exception {
    gateway.holds(changes(2));
    IllegalStateException mine = new IllegalStateException("mine");
    CompletableFuture<Void> read =
        client.watch("g1").forEach(changed -> {
          throw mine;
        });
    assertSame(mine, assertThrows(ExecutionException.class, read::get).getCause());
    leaves("WatchGeneration");
  }

  @Test
  void listsAreReadPageByPage() throws Exception {
    gateway.answers(ListGenerationsResponse.newBuilder().addGenerations(generation(1)).setNextPageToken("p2").build());
    gateway.answers(ListGenerationsResponse.newBuilder().addGenerations(generation(2)).build());
    assertEquals(
        List.of(generation(1), generation(2)), client.list(GenerationFilter.getDefaultInstance()).toList().get());
  }

  /** Consumers and dependent stages may wait for other calls: the client then adds threads, each with its own name. */
  @Test
  void consumersMayWaitForCalls() throws Exception {
    int watches = 20;
    Generation ended = generation(1).toBuilder().setDone(true).build();
    CountDownLatch consuming = new CountDownLatch(watches);
    for (int call = 0; call < 2 * watches; call++) {
      gateway.then(
          (request, caller) -> {
            if (request instanceof WatchGenerationRequest) {
              caller.onNext(WatchGenerationResponse.newBuilder().setGeneration(ended).build());
            } else {
              consuming.await(); // no consumer continues before all of them wait
              caller.onNext(GetGenerationResponse.getDefaultInstance());
            }
            caller.onCompleted();
          });
    }
    List<CompletableFuture<Void>> all = new ArrayList<>();
    Set<String> names = ConcurrentHashMap.newKeySet();
    for (int number = 0; number < watches; number++) {
      all.add(
          client.watch("g1").forEach(changed -> {
            names.add(Thread.currentThread().getName());
            consuming.countDown();
            client.get("g1").join();
          }));
    }
    CompletableFuture.allOf(all.toArray(new CompletableFuture<?>[0])).get(30, TimeUnit.SECONDS);
    assertEquals(watches, names.size());
    assertTrue(names.stream().allMatch(name -> name.startsWith("hfgateway-client-")));
  }

  @Test
  void closingTheClientEndsEverything() throws Exception {
    gateway.holds(changes(1)).holds();
    BlockingQueue<Generation> seen = new LinkedBlockingQueue<>();
    CompletableFuture<Void> watch = client.watch("g1").forEach(seen::add);
    assertEquals(generation(1), seen.poll(30, TimeUnit.SECONDS));
    CompletableFuture<Generation> call = client.get("g1");
    client.close();
    for (CompletableFuture<?> ended : List.of(watch, call, client.get("g1"), client.list(GenerationFilter.getDefaultInstance()).toList())) {
      ExecutionException failed = assertThrows(ExecutionException.class, () -> ended.get(30, TimeUnit.SECONDS));
      assertInstanceOf(GatewayException.Canceled.class, failed.getCause());
    }
  }

  @Test
  void uploadFailsWithTheErrorOfItsSource() {
    IOException mine = new IOException("the disk is gone");
    InputStream source =
        new InputStream() {
          @Override
          public int read() throws IOException {
            throw mine;
          }
        };
    CompletableFuture<?> upload = client.upload(Upload.of(source, "image/png"));
    assertSame(mine, assertThrows(ExecutionException.class, upload::get).getCause());
  }

  @Test
  void uploadFailsWithAnErrorOfTheVirtualMachine() {
    Error mine = new StackOverflowError("mine");
    InputStream source =
        new InputStream() {
          @Override
          public int read() {
            throw mine;
          }
        };
    CompletableFuture<?> upload = client.upload(Upload.of(source, "image/png"));
    assertSame(mine, assertThrows(ExecutionException.class, () -> upload.get(30, TimeUnit.SECONDS)).getCause());
  }

  /** A source from which nothing arrives, and which ignores interrupts. */
  private static InputStream silent(CountDownLatch read, CountDownLatch over) {
    return new InputStream() {
      @Override
      public int read() {
        read.countDown();
        while (over.getCount() > 0) {
          try {
            over.await();
          } catch (InterruptedException ignored) {
            // goes on
          }
        }
        return -1;
      }
    };
  }

  @Test
  void silentSourceDelaysNeitherTheEndOfTheClientNorATimeout() throws Exception {
    CountDownLatch read = new CountDownLatch(2);
    CountDownLatch over = new CountDownLatch(1);
    try (AsyncHfGatewayClient timed = AsyncHfGatewayClient.connect(gateway.address())) {
      CompletableFuture<?> late =
          timed.upload(Upload.of(silent(read, over), "image/png").timeout(Duration.ofMillis(500)));
      CompletableFuture<?> closed = client.upload(Upload.of(silent(read, over), "image/png"));
      assertTrue(read.await(30, TimeUnit.SECONDS));
      client.close();
      ExecutionException failed = assertThrows(ExecutionException.class, () -> closed.get(60, TimeUnit.SECONDS));
      assertInstanceOf(GatewayException.ClientClosed.class, failed.getCause());
      failed = assertThrows(ExecutionException.class, () -> late.get(60, TimeUnit.SECONDS));
      assertInstanceOf(GatewayException.DeadlineExceeded.class, failed.getCause());
    } finally {
      over.countDown();
    }
  }

  @Test
  void silentSourceDoesNotDelayTheErrorOfTheGateway() throws Exception {
    CountDownLatch over = new CountDownLatch(1);
    gateway.endsUploadsEarly().fails(Status.INVALID_ARGUMENT.asRuntimeException());
    try {
      InputStream source =
          new SequenceInputStream(new ByteArrayInputStream(new byte[1]), silent(new CountDownLatch(1), over));
      CompletableFuture<?> upload = client.upload(Upload.of(source, "image/psd"));
      ExecutionException failed = assertThrows(ExecutionException.class, () -> upload.get(30, TimeUnit.SECONDS));
      assertInstanceOf(GatewayException.InvalidInput.class, failed.getCause());
    } finally {
      over.countDown();
    }
  }

  @Test
  void silentSourceDelaysNoUploadOfTheBlockingClient() throws Exception {
    CountDownLatch over = new CountDownLatch(1);
    CountDownLatch read = new CountDownLatch(2);
    ExecutorService threads = Executors.newCachedThreadPool();
    HfGatewayClient blocking = HfGatewayClient.connect(gateway.address());
    try {
      Upload upload = Upload.of(silent(read, over), "image/png");
      Future<?> late = threads.submit(() -> blocking.upload(upload.timeout(Duration.ofMillis(500))));
      Future<?> closed = threads.submit(() -> blocking.upload(upload));
      assertTrue(read.await(30, TimeUnit.SECONDS));
      ExecutionException failed = assertThrows(ExecutionException.class, () -> late.get(30, TimeUnit.SECONDS));
      assertInstanceOf(GatewayException.DeadlineExceeded.class, failed.getCause());
      blocking.close();
      failed = assertThrows(ExecutionException.class, () -> closed.get(30, TimeUnit.SECONDS));
      assertInstanceOf(GatewayException.ClientClosed.class, failed.getCause());
    } finally {
      over.countDown();
      threads.shutdownNow();
    }
  }
}
