package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import io.github.hfgateway.agents.v1alpha1.GetSessionRequest;
import io.github.hfgateway.agents.v1alpha1.GetSessionResponse;
import io.github.hfgateway.v1.FieldViolation;
import io.github.hfgateway.v1.Forecast;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationFilter;
import io.github.hfgateway.v1.GenerationServiceGrpc;
import io.github.hfgateway.v1.GenerationState;
import io.github.hfgateway.v1.GetGenerationResponse;
import io.github.hfgateway.v1.ListGenerationsRequest;
import io.github.hfgateway.v1.ListGenerationsResponse;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.SubmitGenerationResponse;
import io.github.hfgateway.v1.UploadMediaRequest;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.github.hfgateway.v1.WaitFor;
import io.github.hfgateway.v1.WaitGenerationRequest;
import io.github.hfgateway.v1.WaitGenerationResponse;
import io.github.hfgateway.v1.WatchGenerationRequest;
import io.github.hfgateway.v1.WatchGenerationResponse;
import io.github.hfgateway.v1.WatchGenerationsResponse;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.okhttp.OkHttpServerBuilder;
import io.grpc.stub.ServerCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** The requests of the client, and its handling of responses. */
@Timeout(60)
class ClientTest {
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

  private static Generation generation(int revision, GenerationState state) {
    boolean done = state == GenerationState.GENERATION_STATE_COMPLETED;
    return Generation.newBuilder().setId("g1").setRevision(revision).setState(state).setDone(done).build();
  }

  private static final Generation STORED = generation(1, GenerationState.GENERATION_STATE_PENDING);
  private static final Generation QUEUED = generation(2, GenerationState.GENERATION_STATE_QUEUED);
  private static final Generation COMPLETED = generation(3, GenerationState.GENERATION_STATE_COMPLETED);

  private static final FieldViolation DOUBT = FieldViolation.newBuilder().setField("input").build();

  private static Message submitted(Generation generation) {
    return SubmitGenerationResponse.newBuilder().setGeneration(generation).addWarnings(DOUBT).build();
  }

  private static Message changed(Generation generation) {
    return WatchGenerationResponse.newBuilder().setGeneration(generation).build();
  }

  private SubmitGenerationRequest submit(int number) {
    return (SubmitGenerationRequest) gateway.requests.get(number);
  }

  @Test
  void everyCallSendsKeyAndUserAgent() throws Exception {
    gateway.answers(GetGenerationResponse.getDefaultInstance()).answers(changed(COMPLETED));
    gateway.answers(UploadMediaResponse.getDefaultInstance()).answers(GetSessionResponse.getDefaultInstance());
    try (HfGatewayClient keyed = HfGatewayClient.builder(gateway.address()).apiKey("hfg_secret").build()) {
      keyed.get("g1");
      keyed.watch("g1").forEachRemaining(changed -> {});
      keyed.upload(new byte[1], "image/png");
      keyed.agents().getSession(GetSessionRequest.newBuilder().setId("s1").build());
    }
    assertEquals(4, gateway.headers.size());
    for (Metadata headers : gateway.headers) {
      assertEquals("Bearer hfg_secret", header(headers, "authorization"));
      assertTrue(header(headers, "user-agent").startsWith("hfgateway-client-java/" + HfGatewayClient.VERSION + " "));
    }
  }

  private static String header(Metadata headers, String name) {
    return headers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }

  @Test
  void submitIsRetriedWithItsKey() {
    gateway.fails(unavailable()).fails(unavailable()).answers(submitted(STORED)).answers(submitted(STORED));
    Submit fox = Submit.of(Inputs.soul("a fox"));
    Submission submission = client.submit(fox);
    String key = submission.idempotencyKey();
    assertFalse(key.isEmpty());
    assertEquals(List.of(DOUBT), submission.warnings());
    for (int number = 0; number < 3; number++) {
      assertEquals(key, submit(number).getIdempotencyKey());
    }
    // Each call creates another generation.
    assertNotEquals(key, client.submit(fox).idempotencyKey());
  }

  @Test
  void generateReportsTheWarningsOfItsSubmission() {
    gateway.answers(submitted(COMPLETED));
    List<FieldViolation> warnings = new ArrayList<>();
    client.generate(Submit.of(Inputs.soul("a fox")).onWarning(warnings::add));
    assertEquals(List.of(DOUBT), warnings);
    assertThrows(NullPointerException.class, () -> Submit.of(Inputs.soul("a fox")).onWarning(null));
  }

  @Test
  void generateWithOptionsAndWithoutAConsumerAsksForNoForecasts() {
    gateway.answers(submitted(STORED)).answers(WatchGenerationResponse.newBuilder().setGeneration(COMPLETED).build());
    assertEquals(COMPLETED, client.generate(Submit.of(Inputs.soul("a fox")).key("order-7")));
    assertEquals("order-7", submit(0).getIdempotencyKey());
    assertFalse(((WatchGenerationRequest) gateway.requests.get(1)).hasForecastInterval());
  }

  @Test
  void withoutAConsumerOfProgressNothingIsSubmitted() {
    gateway.answers(submitted(COMPLETED));
    assertThrows(NullPointerException.class, () -> client.generate(Inputs.soul("a fox"), null));
    assertEquals(List.of(), gateway.requests);
  }

  private static Message forecast(double progress) {
    return WatchGenerationResponse.newBuilder().setForecast(Forecast.newBuilder().setProgress(progress)).build();
  }

  private static String progress(Generation seen) {
    return seen.getRevision() + " " + seen.getForecast().getProgress();
  }

  @Test
  void forecastsAreProgress() {
    Generation running = QUEUED.toBuilder().setForecast(Forecast.newBuilder().setProgress(0.2)).build();
    Submit fox = Submit.of(Inputs.soul("a fox"));
    List<Long> intervals = new ArrayList<>();
    for (Submit submit : List.of(fox, fox.forecastInterval(Duration.ofSeconds(5)), fox.forecastInterval(Duration.ZERO))) {
      gateway.answers(submitted(STORED));
      gateway.answers(forecast(0.1), changed(running), forecast(0.3), changed(COMPLETED));
      List<String> seen = new ArrayList<>();
      client.generate(submit, changed -> seen.add(progress(changed)));
      WatchGenerationRequest request = (WatchGenerationRequest) gateway.requests.get(gateway.requests.size() - 1);
      intervals.add(request.getForecastInterval().getSeconds());
      List<String> every = List.of("1 0.0", "1 0.1", "2 0.2", "2 0.3", "3 0.0");
      assertEquals(request.hasForecastInterval() ? every : List.of("1 0.0", "2 0.2", "3 0.0"), seen);
    }
    assertEquals(List.of(2L, 5L, 0L), intervals);
    assertThrows(IllegalArgumentException.class, () -> fox.forecastInterval(Duration.ofSeconds(-1)));
    // A forecast before the first change belongs to nothing.
    gateway.answers(forecast(0.1), changed(running), forecast(0.3), changed(COMPLETED));
    WatchGenerationRequest request =
        WatchGenerationRequest.newBuilder().setId("g1").setForecastInterval(Durations.of(Duration.ofSeconds(1))).build();
    try (Watch<Generation> changes = client.watch(request, null)) {
      assertEquals(List.of("2 0.2", "2 0.3", "3 0.0"), changes.stream().map(ClientTest::progress).toList());
    }
  }

  @Test
  void textThatIsCutInsideACharacterIsNotSent() {
    String cut = "a \ud83e";
    for (Submit submit :
        List.of(
            Submit.of(Inputs.soul(cut)),
            Submit.of(Inputs.model("some/model", Map.of("texts", List.of(cut)))),
            Submit.of(Inputs.soul("a")).label("team", cut))) {
      assertThrows(IllegalArgumentException.class, () -> client.submit(submit));
      assertThrows(IllegalArgumentException.class, () -> client.generate(submit, changed -> {}));
    }
    assertEquals(List.of(), gateway.requests);
    gateway.answers(submitted(QUEUED));
    assertEquals(QUEUED, client.submit(Submit.of(Inputs.soul("a \ud83e\udd8a"))).generation());
  }

  @Test
  void errorOfSubmitHasItsKey() {
    gateway.fails(Status.INVALID_ARGUMENT.asRuntimeException());
    GatewayException error =
        assertThrows(GatewayException.InvalidInput.class, () -> client.submit(Inputs.soul("")));
    assertEquals(submit(0).getIdempotencyKey(), error.idempotencyKey());
  }

  @Test
  void waitIsAddedToTheTimeout() {
    gateway.answers(submitted(COMPLETED));
    client.submit(Submit.of(Inputs.soul("a fox")).waitTimeout(Duration.ofSeconds(600)));
    assertEquals(List.of(630.0), timers.remaining);
  }

  @Test
  void gatewayRefusesANegativeWait() {
    // The timeout is not shortened by it, or the call would end before the gateway says what is wrong.
    gateway.answers(submitted(COMPLETED));
    client.submit(Submit.of(Inputs.soul("a fox")).waitTimeout(Duration.ofSeconds(-60)));
    assertEquals(List.of(30.0), timers.remaining);
  }

  @Test
  void generateHasALimitAlthoughTheClientHasNone() {
    gateway.answers(submitted(COMPLETED));
    client.withTimeout(null).generate(Submit.of(Inputs.soul("a fox")).timeout(Duration.ofSeconds(5)), seen -> {});
    assertEquals(List.of(5.0), timers.remaining);
  }

  @Test
  void generateResumesBrokenStreams() {
    gateway.answers(submitted(STORED));
    gateway.fails(unavailable(), changed(QUEUED)).answers(changed(COMPLETED));
    List<Generation> seen = new ArrayList<>();
    Generation generation = client.generate(Submit.of(Inputs.soul("a fox")).waitFor(WaitFor.WAIT_FOR_DONE), seen::add);
    assertEquals(COMPLETED, generation);
    assertEquals(List.of(STORED, QUEUED, COMPLETED), seen);
    assertEquals(WaitFor.WAIT_FOR_STORED, submit(0).getWaitFor());
    assertEquals(1, ((WatchGenerationRequest) gateway.requests.get(1)).getAfterRevision());
    assertEquals(2, ((WatchGenerationRequest) gateway.requests.get(2)).getAfterRevision());
  }

  @Test
  void watchThatEndsTooEarlyIsResumed() {
    gateway.answers(submitted(STORED)).answers().answers(changed(QUEUED)).answers(changed(COMPLETED));
    assertEquals(COMPLETED, client.generate(Inputs.soul("a fox")));
  }

  @Test
  void onlyWatchOfGivenIdsEndsWithItsStream() {
    Message caughtUp = WatchGenerationsResponse.newBuilder().setCaughtUp(true).build();
    gateway.answers(caughtUp);
    Watch<WatchEvent> ids = client.watchMany(GenerationFilter.newBuilder().addIds("g1").build(), "");
    assertEquals(1, ids.stream().count());

    gateway.answers(caughtUp).fails(Status.NOT_FOUND.asRuntimeException());
    Watch<WatchEvent> all = client.watchMany(GenerationFilter.getDefaultInstance(), "");
    assertTrue(all.next() instanceof WatchEvent.CaughtUp);
    assertThrows(GatewayException.NotFound.class, all::hasNext);
  }

  @Test
  void errorOfBrokenGenerateHasItsKeyAndNothingIsSubmittedAgain() {
    gateway.answers(submitted(STORED)).fails(Status.UNAUTHENTICATED.asRuntimeException());
    GatewayException error =
        assertThrows(GatewayException.InvalidCredentials.class, () -> client.generate(Inputs.soul("a fox")));
    assertEquals(submit(0).getIdempotencyKey(), error.idempotencyKey());
    assertEquals(2, gateway.requests.size());
  }

  @Test
  void timeoutOfGenerateCoversAllCalls() {
    gateway.then(
        (request, caller) -> {
          timers.takes(4);
          caller.onNext(submitted(STORED));
          caller.onCompleted();
        });
    gateway.answers(changed(COMPLETED));
    client.generate(Submit.of(Inputs.soul("a fox")).timeout(Duration.ofSeconds(100)), seen -> {});
    assertEquals(List.of(30.0, 96.0), timers.remaining);
  }

  @Test
  void errorHasTheStackTraceOfTheCaller() {
    gateway.fails(ScriptedGateway.error(Status.Code.NOT_FOUND, "NOT_FOUND"));
    GatewayException error = assertThrows(GatewayException.class, () -> client.get("g1"));
    assertTrue(Stream.of(error.getStackTrace()).anyMatch(frame -> frame.getClassName().equals(getClass().getName())));
  }

  @Test
  void consumersHaveTheClassLoaderOfTheApplication() throws Exception {
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    try (URLClassLoader mine = new URLClassLoader(new URL[0], before)) {
      thread.setContextClassLoader(mine);
      List<ClassLoader> seen = new ArrayList<>();
      gateway.holds(changed(COMPLETED));
      try (HfGatewayClient client = HfGatewayClient.connect(gateway.address())) {
        client.async().watch("g1").forEach(item -> seen.add(Thread.currentThread().getContextClassLoader())).get();
      }
      assertEquals(List.of(mine), seen);
    } finally {
      thread.setContextClassLoader(before);
    }
  }

  private static void failsWithKey(String key, Throwable mine, Executable generating) {
    GatewayException failed = assertThrows(GatewayException.Canceled.class, generating);
    assertSame(mine, failed.getCause());
    assertEquals(key, failed.idempotencyKey());
    assertFalse(failed.retryable());
  }

  /** The generation was charged, so the error of the caller's own code must not cost the key. */
  @Test
  void exceptionOfAConsumerEndsTheStreamAndFailsWithTheKey() throws Exception {
    IllegalStateException mine = new IllegalStateException("mine");
    Submit submit = Submit.of(Inputs.soul("a fox")).key("order-7");
    Consumer<Generation> breaks = seen -> {
      if (seen.equals(QUEUED)) throw mine;
    };
    gateway.answers(submitted(STORED)).holds(changed(QUEUED));
    failsWithKey("order-7", mine, () -> client.generate(submit, breaks));
    assertEquals("WatchGeneration", gateway.left.poll(30, TimeUnit.SECONDS));
    gateway.answers(submitted(STORED)).holds(changed(QUEUED));
    failsWithKey("order-7", mine, () -> Blocking.await(client.async().generate(submit, breaks)));
    assertEquals("WatchGeneration", gateway.left.poll(30, TimeUnit.SECONDS));
    gateway.answers(submitted(QUEUED));
    failsWithKey("order-7", mine, () -> Blocking.await(client.async().generate(submit, breaks)));
    Submit warned = submit.onWarning(field -> {
      throw mine;
    });
    gateway.answers(submitted(STORED));
    failsWithKey("order-7", mine, () -> client.generate(warned, seen -> {}));
  }

  @Test
  void pagesAreFetchedOnDemand() {
    gateway.answers(
        ListGenerationsResponse.newBuilder()
            .addGenerations(QUEUED)
            .addGenerations(STORED)
            .setNextPageToken("next")
            .build());
    GenerationFilter filter = GenerationFilter.newBuilder().putLabels("a", "b").build();
    assertEquals(List.of(QUEUED), client.list(filter).limit(1).toList());
    assertEquals(1, gateway.requests.size());

    gateway.answers(ListGenerationsResponse.newBuilder().setNextPageToken("next").build());
    gateway.answers(ListGenerationsResponse.newBuilder().addGenerations(COMPLETED).build());
    assertEquals(List.of(COMPLETED), client.list(filter).toList());
    ListGenerationsRequest last = (ListGenerationsRequest) gateway.requests.get(2);
    assertEquals("next", last.getPageToken());
    assertEquals(filter, last.getFilter());
  }

  @Test
  void callThatEndsWithoutAResponseIsRetried() {
    Deque<Boolean> lost = new ArrayDeque<>(List.of(false, true, false, true, false));
    ClientInterceptor loses =
        new ClientInterceptor() {
          @Override
          public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            boolean loss = lost.remove();
            return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
              @Override
              public void start(Listener<A> listener, Metadata headers) {
                super.start(
                    new SimpleForwardingClientCallListener<>(listener) {
                      @Override
                      public void onMessage(A message) {
                        if (!loss) {
                          super.onMessage(message);
                        }
                      }
                    },
                    headers);
              }
            };
          }
        };
    Message second = ListGenerationsResponse.newBuilder().addGenerations(COMPLETED).build();
    gateway.answers(ListGenerationsResponse.newBuilder().addGenerations(QUEUED).setNextPageToken("next").build());
    gateway.answers(second).answers(second);
    Message got = GetGenerationResponse.newBuilder().setGeneration(COMPLETED).build();
    gateway.answers(got).answers(got);
    try (HfGatewayClient lossy =
        HfGatewayClient.builder(gateway.address())
            .timers(timers)
            .configure(channel -> channel.intercept(loses))
            .build()) {
      assertEquals(List.of(QUEUED, COMPLETED), lossy.list(GenerationFilter.getDefaultInstance()).toList());
      assertEquals(COMPLETED, lossy.get("g1"));
    }
    assertEquals(List.of(0.2, 0.2), timers.slept);
  }

  @Test
  void responseBeforeAnErrorDoesNotCount() {
    Message page = ListGenerationsResponse.newBuilder().addGenerations(QUEUED).setNextPageToken("next").build();
    gateway.fails(unavailable(), page).answers(page).answers(ListGenerationsResponse.getDefaultInstance());
    assertEquals(List.of(QUEUED), client.list(GenerationFilter.getDefaultInstance()).toList());
    Message got = GetGenerationResponse.newBuilder().setGeneration(QUEUED).build();
    gateway.fails(Status.UNAUTHENTICATED.asRuntimeException(), got);
    assertThrows(GatewayException.InvalidCredentials.class, () -> client.get("g1"));
    gateway.fails(unavailable(), UploadMediaResponse.getDefaultInstance());
    assertThrows(GatewayException.Unavailable.class, () -> client.upload(new byte[3], "image/png"));
  }

  @Test
  void secondResponseDoesNotKeepTheCallFromEnding() throws Exception {
    var method = GenerationServiceGrpc.getGetGenerationMethod();
    GetGenerationResponse got = GetGenerationResponse.getDefaultInstance();
    ServerServiceDefinition wrong =
        ServerServiceDefinition.builder(GenerationServiceGrpc.SERVICE_NAME)
            .addMethod(
                method.toBuilder().setType(MethodDescriptor.MethodType.SERVER_STREAMING).build(),
                ServerCalls.asyncServerStreamingCall(
                    (request, caller) -> {
                      caller.onNext(got);
                      caller.onNext(got);
                      caller.onCompleted();
                    }))
            .build();
    InetSocketAddress address = new InetSocketAddress("127.0.0.1", 0);
    Server server =
        OkHttpServerBuilder.forPort(address, InsecureServerCredentials.create()).addService(wrong).build().start();
    try (HfGatewayClient caller = HfGatewayClient.builder("127.0.0.1:" + server.getPort()).build()) {
      assertTimeoutPreemptively(Duration.ofSeconds(20), () -> caller.get("g1"));
    } finally {
      server.shutdownNow();
    }
  }

  @Test
  void eachPageHasTheTimeoutFromWhenItIsNeeded() {
    gateway.answers(ListGenerationsResponse.newBuilder().addGenerations(QUEUED).setNextPageToken("next").build());
    gateway.answers(ListGenerationsResponse.newBuilder().addGenerations(COMPLETED).build());
    Stream<Generation> all = client.list(GenerationFilter.getDefaultInstance());
    timers.takes(31);
    assertEquals(List.of(QUEUED, COMPLETED), all.peek(generation -> timers.takes(31)).toList());
    assertEquals(List.of(30.0, 30.0), timers.remaining);
  }

  private static Message waited(Generation generation) {
    return WaitGenerationResponse.newBuilder().setGeneration(generation).build();
  }

  @Test
  void waitIsRepeatedInStepsAndBacksOffDuringShutdown() {
    gateway.then(
        (request, caller) -> {
          timers.takes(50);
          caller.onNext(waited(STORED));
          caller.onCompleted();
        });
    gateway.answers(waited(QUEUED)).answers(waited(COMPLETED));
    assertEquals(COMPLETED, client.waitUntilDone("g1", Duration.ofSeconds(70)));
    assertEquals(List.of(50.0, 20.0, 19.8), waits());
    assertEquals(List.of(80.0, 50.0, 49.8), timers.remaining);
    assertEquals(List.of(0.2), timers.slept);
  }

  /** Returns for how many seconds the gateway was asked to wait. */
  private List<Double> waits() {
    return gateway.requests.stream()
        .map(request -> Durations.of(((WaitGenerationRequest) request).getTimeout()).toMillis() / 1e3)
        .toList();
  }

  @Test
  void waitAsksForTheTimeLeftAfterALostConnection() {
    gateway.then(
        (request, caller) -> {
          timers.takes(15);
          caller.onError(unavailable());
        });
    gateway.answers(waited(COMPLETED));
    client.waitUntilDone("g1", Duration.ofSeconds(20));
    assertEquals(List.of(20.0, 4.8), waits());
  }

  @Test
  void waitReturnsTheGenerationAtItsTimeout() {
    gateway.then(
        (request, caller) -> {
          timers.takes(3);
          caller.onNext(waited(QUEUED));
          caller.onCompleted();
        });
    assertEquals(QUEUED, client.waitUntilDone("g1", Duration.ofSeconds(3)));
  }

  @Test
  void timesCanBeForever() {
    Duration forever = ChronoUnit.FOREVER.getDuration();
    RetryPolicy policy = new RetryPolicy(forever, forever, forever, forever);
    try (HfGatewayClient patient =
        HfGatewayClient.builder(gateway.address()).timers(timers).timeout(forever).retry(policy).build()) {
      gateway.answers(waited(COMPLETED)).answers(submitted(STORED));
      assertEquals(COMPLETED, patient.waitUntilDone("g1", forever));
      patient.submit(Submit.of(Inputs.soul("a fox")).waitTimeout(forever));
      gateway.fails(unavailable());
      assertThrows(GatewayException.Unavailable.class, () -> patient.get("g1"), "there is no time for the delay");
      // 10,000 years, the longest that protobuf allows.
      gateway.fails(ScriptedGateway.error(Status.Code.UNAVAILABLE, "GATEWAY_UNAVAILABLE", 315_576_000_000.0));
      assertThrows(GatewayException.Unavailable.class, () -> patient.get("g1"));
      gateway.answers(waited(QUEUED));
      assertEquals(QUEUED, patient.waitUntilDone("g1", forever.negated()));
    }
    assertEquals(List.of(), timers.remaining);
  }

  @Test
  void watchClosedByAnotherThreadEndsWithoutError() throws Exception {
    gateway.holds(changed(QUEUED));
    Watch<Generation> watch = client.watch("g1");
    assertEquals(QUEUED, watch.next());
    CompletableFuture<Boolean> waits = CompletableFuture.supplyAsync(watch::hasNext);
    watch.close();
    assertFalse(waits.get());
    assertFalse(watch.hasNext());
    assertEquals("WatchGeneration", gateway.left.poll(30, TimeUnit.SECONDS));
  }

  @Test
  void watchClosedByAnotherThreadReturnsTheItemThatHasNextFound() {
    gateway.holds(changed(STORED), changed(QUEUED));
    Watch<Generation> watch = client.watch("g1");
    assertTrue(watch.hasNext());
    watch.close(); // as another thread may between the two calls
    assertEquals(STORED, watch.next());
    assertFalse(watch.hasNext());
    assertThrows(NoSuchElementException.class, watch::next);
  }

  @Test
  void closedWatchReturnsNoItemAfterHasNextReturnedFalse() {
    gateway.holds(changed(STORED));
    Watch<Generation> watch = client.watch("g1");
    assertTrue(watch.hasNext());
    watch.close();
    assertFalse(watch.hasNext());
    assertThrows(NoSuchElementException.class, watch::next);
  }

  @Test
  void closingTheStreamClosesTheWatch() throws Exception {
    gateway.holds(changed(STORED), changed(QUEUED));
    try (var changes = client.watch("g1").stream()) {
      assertEquals(List.of(STORED), changes.limit(1).toList());
    }
    assertEquals("WatchGeneration", gateway.left.poll(30, TimeUnit.SECONDS));
  }

  @Test
  void watchThrowsDeadlineExceededAtItsTimeout() {
    gateway.fails(unavailable()).fails(unavailable());
    WatchGenerationRequest request = WatchGenerationRequest.newBuilder().setId("g1").build();
    Watch<Generation> watch = client.watch(request, ManualTimers.seconds(0.5));
    assertThrows(GatewayException.Unavailable.class, watch::hasNext);
    assertEquals(List.of(0.5, 0.3), timers.remaining);
    assertThrows(GatewayException.Unavailable.class, watch::hasNext, "the error is thrown again");
  }

  @Test
  void closingTheClientEndsOpenCalls() throws Exception {
    CountDownLatch taken = new CountDownLatch(1);
    gateway.holds(changed(QUEUED)).then((request, caller) -> taken.countDown());
    Watch<Generation> watch = client.watch("g1");
    watch.next();
    CompletableFuture<Generation> call = CompletableFuture.supplyAsync(() -> client.get("g1"));
    taken.await();
    client.close();
    assertSame(
        GatewayException.ClientClosed.class, assertThrows(Exception.class, call::get).getCause().getClass());
    assertThrows(GatewayException.ClientClosed.class, watch::hasNext);
    assertThrows(GatewayException.Canceled.class, () -> client.get("g1"));
    assertThrows(GatewayException.Canceled.class, () -> client.watch("g1").hasNext());
    assertEquals(List.of(), timers.slept);
  }

  /** Timers whose delays never end. */
  private static final class Sleepers extends Timers {
    final CountDownLatch asleep = new CountDownLatch(1);

    @Override
    void schedule(long nanos, Runnable task, Executor executor) {
      asleep.countDown();
    }
  }

  @Test
  void closingTheClientEndsRetryDelays() throws Exception {
    gateway.fails(unavailable());
    Sleepers sleepers = new Sleepers();
    HfGatewayClient real = HfGatewayClient.builder(gateway.address()).timers(sleepers).build();
    CompletableFuture<Generation> call = CompletableFuture.supplyAsync(() -> real.get("g1"));
    sleepers.asleep.await();
    real.close();
    assertSame(
        GatewayException.ClientClosed.class, assertThrows(Exception.class, call::get).getCause().getClass());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void watchClosedDuringRetryDelayEndsWithoutError() throws Exception {
    gateway.fails(unavailable());
    Sleepers sleepers = new Sleepers();
    try (HfGatewayClient real = HfGatewayClient.builder(gateway.address()).timers(sleepers).build()) {
      Watch<Generation> watch = real.watch("g1");
      CompletableFuture<Boolean> waits = CompletableFuture.supplyAsync(watch::hasNext);
      sleepers.asleep.await();
      watch.close();
      assertFalse(waits.get());
    }
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void interruptEndsCallAndIsKept() throws Exception {
    gateway.then((request, caller) -> {});
    CompletableFuture<Boolean> kept = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                client.get("g1");
              } catch (GatewayException.Canceled canceled) {
                kept.complete(Thread.currentThread().isInterrupted());
              } catch (RuntimeException error) {
                kept.completeExceptionally(error);
              }
            });
    thread.start();
    while (gateway.requests.isEmpty()) {
      Thread.onSpinWait();
    }
    thread.interrupt();
    assertTrue(kept.get());
    assertEquals("GetGeneration", gateway.left.poll(30, TimeUnit.SECONDS));
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void errorOfAnInterruptedSubmissionHasItsKey() {
    for (int attempt = 0; attempt < 2; attempt++) {
      boolean generate = attempt == 1;
      Submit keyed = Submit.of(Inputs.soul("a fox")).key("order-9");
      gateway.then((request, caller) -> {}); // without a response, which would end the call before the interrupt
      Thread.currentThread().interrupt();
      GatewayException error =
          assertThrows(
              GatewayException.Canceled.class,
              () -> {
                if (generate) {
                  client.generate(keyed, seen -> {});
                } else {
                  client.submit(keyed);
                }
              });
      assertTrue(Thread.interrupted());
      assertEquals("order-9", error.idempotencyKey());
    }
  }

  @Test
  void canceledContextEndsCall() throws Exception {
    Context.CancellableContext mine = Context.current().withCancellation();
    gateway.then((request, caller) -> mine.cancel(null));
    assertThrows(GatewayException.Canceled.class, () -> mine.call(() -> client.get("g1")));
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void cancelledByTheServerIsRetried() {
    gateway.fails(Status.CANCELLED.asRuntimeException());
    gateway.answers(GetGenerationResponse.newBuilder().setGeneration(QUEUED).build());
    assertEquals(QUEUED, client.get("g1"));
    assertEquals(List.of(0.2), timers.slept);
  }

  private List<ByteString> uploaded(Long size) {
    UploadMediaRequest header = (UploadMediaRequest) gateway.requests.get(0);
    assertEquals("image/png", header.getHeader().getContentType());
    assertEquals(size != null, header.getHeader().hasSize());
    if (size != null) {
      assertEquals(size, header.getHeader().getSize());
    }
    return gateway.requests.stream().skip(1).map(part -> ((UploadMediaRequest) part).getChunk()).toList();
  }

  @Test
  void anUploadIsSentInChunks(@TempDir Path folder) throws Exception {
    byte[] media = new byte[600 * 1024];
    for (int index = 0; index < media.length; index++) {
      media[index] = (byte) (index / 1000);
    }
    Path file = folder.resolve("media.png");
    Files.write(file, media);
    List<Upload> uploads =
        List.of(
            Upload.of(media, "image/png"),
            Upload.of(file, "image/png"),
            Upload.of(new ByteArrayInputStream(media), "image/png"),
            Upload.of(new ByteArrayInputStream(media), "image/png").size(7).timeout(Duration.ofSeconds(9)));
    List<Long> sizes = new ArrayList<>(List.of((long) media.length, (long) media.length, -1L, 7L));
    for (int number = 0; number < uploads.size(); number++) {
      gateway.requests.clear();
      gateway.answers(UploadMediaResponse.newBuilder().setUrl("https://example.com/1.png").build());
      assertEquals("https://example.com/1.png", client.upload(uploads.get(number)).getUrl());
      List<ByteString> chunks = uploaded(sizes.get(number) < 0 ? null : sizes.get(number));
      assertEquals(List.of(256 * 1024, 256 * 1024, 88 * 1024), chunks.stream().map(ByteString::size).toList());
      assertEquals(ByteString.copyFrom(media), ByteString.copyFrom(chunks));
    }
    assertEquals(List.of(9.0), timers.remaining, "only one was given a time-out");
  }

  @Test
  void pipeHasNoSizeAndIsReadToItsEnd(@TempDir Path folder) throws Exception {
    Path pipe = folder.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    byte[] media = new byte[300 * 1024];
    CompletableFuture<Void> written =
        CompletableFuture.runAsync(
            () -> {
              try {
                Files.write(pipe, media, StandardOpenOption.WRITE);
              } catch (IOException error) {
                throw new UncheckedIOException(error);
              }
            });
    gateway.answers(UploadMediaResponse.getDefaultInstance());
    client.upload(Upload.of(pipe, "image/png"));
    written.get(30, TimeUnit.SECONDS);
    assertEquals(ByteString.copyFrom(media), ByteString.copyFrom(uploaded(null)));
  }

  @Test
  void negativeSizeIsSent() throws Exception {
    gateway.answers(UploadMediaResponse.getDefaultInstance());
    client.upload(Upload.of(new byte[3], "image/png").size(-1));
    uploaded(-1L); // which the gateway refuses
  }

  @Test
  void uploadIsNotRetried() {
    gateway.fails(unavailable());
    assertThrows(GatewayException.Unavailable.class, () -> client.upload(new byte[3], "image/png"));
    assertEquals(List.of(), timers.slept);
    assertEquals(2, gateway.requests.size());
  }

  @Test
  void errorOfTheSourceIsThrownAndCancelsTheUpload() throws Exception {
    IOException mine = new IOException("the disk is gone");
    InputStream source =
        new InputStream() {
          private int left = 300 * 1024;

          @Override
          public int read() throws IOException {
            if (left == 0) {
              throw mine;
            }
            left--;
            return 7;
          }
        };
    assertSame(mine, assertThrows(IOException.class, () -> client.upload(source, "image/png")));
    assertEquals("UploadMedia", gateway.left.poll(30, TimeUnit.SECONDS));
  }

  @Test
  void uploadEndsWithEarlyRefusal() throws Exception {
    // The server refuses the upload before all of it has arrived, as it does without a key.
    gateway.endsUploadsEarly().fails(Status.UNAUTHENTICATED.asRuntimeException());
    InputStream endless =
        new InputStream() {
          @Override
          public int read() {
            return 7;
          }
        };
    assertThrows(GatewayException.InvalidCredentials.class, () -> client.upload(endless, "image/png"));
  }

  /** A stream that returns one byte from each read. */
  private abstract static class Drip extends InputStream {
    /** Waits for the next byte; returns false at the end. */
    abstract boolean comes() throws Exception;

    @Override
    public int read() {
      throw new UnsupportedOperationException();
    }

    @Override
    public int read(byte[] into, int start, int length) throws IOException {
      try {
        return comes() ? 1 : -1;
      } catch (IOException error) {
        throw error;
      } catch (Exception error) {
        throw new IOException(error);
      }
    }
  }

  @Test
  void streamIsSentAsItIsRead() throws Exception {
    gateway.answers(UploadMediaResponse.getDefaultInstance());
    Drip source =
        new Drip() {
          private int reads;

          @Override
          boolean comes() throws IOException {
            while (gateway.requests.size() < reads + 1) { // nothing comes until the last byte has arrived
              if (Thread.interrupted()) {
                throw new InterruptedIOException();
              }
              Thread.onSpinWait();
            }
            return ++reads < 3;
          }
        };
    client.upload(source, "image/png");
    assertEquals(List.of(ByteString.copyFrom(new byte[1]), ByteString.copyFrom(new byte[1])), uploaded(null));
  }

  @Test
  void sourceThatIsSilentIsInterruptedAtTheEndOfTheCall() throws Exception {
    CountDownLatch silent = new CountDownLatch(1);
    CountDownLatch interrupted = new CountDownLatch(1);
    Drip source =
        new Drip() {
          private boolean first = true;

          @Override
          boolean comes() throws Exception {
            if (first) {
              first = false;
              return true;
            }
            silent.countDown();
            try {
              return interrupted.await(30, TimeUnit.SECONDS);
            } catch (InterruptedException ended) {
              interrupted.countDown();
              throw ended;
            }
          }
        };
    gateway.endsUploadsEarly().then(
        (request, caller) -> {
          silent.await(30, TimeUnit.SECONDS); // an error before would end the upload without another read
          caller.onError(Status.INVALID_ARGUMENT.asRuntimeException());
        });
    assertThrows(GatewayException.InvalidInput.class, () -> client.upload(source, "image/png"));
    assertTrue(interrupted.await(30, TimeUnit.SECONDS));
  }

  @Test
  void canceledContextEndsUpload() {
    Context.CancellableContext mine = Context.current().withCancellation();
    gateway.then((request, caller) -> mine.cancel(null));
    assertThrows(GatewayException.Canceled.class, () -> mine.call(() -> client.upload(new byte[3], "image/png")));
  }

  @Test
  void sourceIsReadNoFasterThanTheGatewayTakesIt() throws Exception {
    int[] reads = {0};
    Drip endless =
        new Drip() {
          @Override
          boolean comes() {
            reads[0]++;
            return true;
          }
        };
    // Accepts connections, and then sends nothing.
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        HfGatewayClient client = HfGatewayClient.connect("127.0.0.1:" + silent.getLocalPort())) {
      Upload upload = Upload.of(endless, "image/png").timeout(Duration.ofMillis(100));
      assertThrows(GatewayException.DeadlineExceeded.class, () -> client.upload(upload));
    }
    assertTrue(reads[0] <= 1, () -> reads[0] + " reads");
  }

  @Test
  void sourceIsNotReadAfterTheEndOfTheCall() throws Exception {
    for (boolean refused : List.of(true, false)) {
      CompletableFuture<CompletableFuture<?>> upload = new CompletableFuture<>();
      CompletableFuture<Thread> reader = new CompletableFuture<>();
      int[] reads = {0};
      Drip source =
          new Drip() {
            @Override
            boolean comes() throws Exception {
              reader.complete(Thread.currentThread());
              if (++reads[0] == 2) { // the gateway ends the call after the first byte
                try {
                  upload.get().handle((response, error) -> null).get(30, TimeUnit.SECONDS);
                } catch (InterruptedException ended) {
                  // as at the end of the call
                }
              }
              return true;
            }
          };
      gateway.requests.clear();
      gateway.endsUploadsEarly();
      if (refused) {
        gateway.fails(Status.INVALID_ARGUMENT.asRuntimeException());
      } else {
        gateway.answers(UploadMediaResponse.getDefaultInstance());
      }
      upload.complete(client.async().upload(Upload.of(source, "image/png")));
      reader.get(30, TimeUnit.SECONDS).join(30_000);
      assertFalse(reader.get().isAlive());
      assertTrue(reads[0] <= 2);
    }
  }
}
