package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.google.protobuf.Message;
import io.github.hfgateway.v1.CreateCharacterRequest;
import io.github.hfgateway.v1.CreateCharacterResponse;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GetGenerationResponse;
import io.github.hfgateway.v1.ListGenerationsResponse;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.SubmitGenerationResponse;
import io.github.hfgateway.v1.WatchGenerationResponse;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.okhttp.OkHttpChannelBuilder;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Connections that are silently dropped, and gateways that cannot be reached. */
@Timeout(60)
class ConnectionTest {
  /** A proxy whose existing connections can be swallowed: they stay open, but carry nothing. */
  private static final class Proxy implements AutoCloseable {
    private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final AtomicInteger swallowed = new AtomicInteger();
    private final int target;

    Proxy(String target) throws IOException {
      this.target = Integer.parseInt(target.substring(target.indexOf(':') + 1));
      start(this::accept);
    }

    String address() {
      return "127.0.0.1:" + listener.getLocalPort();
    }

    void swallow() {
      swallowed.incrementAndGet();
    }

    @Override
    public void close() throws IOException {
      listener.close();
    }

    private static void start(Runnable work) {
      Thread thread = new Thread(work);
      thread.setDaemon(true);
      thread.start();
    }

    private void accept() {
      try {
        while (true) {
          Socket near = listener.accept();
          Socket far = new Socket(InetAddress.getLoopbackAddress(), target);
          int born = swallowed.get();
          start(() -> forward(near, far, born));
          start(() -> forward(far, near, born));
        }
      } catch (IOException closed) {
        // The test has ended.
      }
    }

    private void forward(Socket from, Socket to, int born) {
      byte[] buffer = new byte[4096];
      try (from; to) {
        for (int size = from.getInputStream().read(buffer); size > 0; size = from.getInputStream().read(buffer)) {
          if (swallowed.get() == born) {
            to.getOutputStream().write(buffer, 0, size);
          }
        }
      } catch (IOException closed) {
        // One side has left.
      }
    }
  }

  /** An executor on which time passes twenty times as fast, because gRPC sends no ping before 10 s. */
  private static ScheduledExecutorService fast() {
    return new ScheduledThreadPoolExecutor(1) {
      @Override
      public ScheduledFuture<?> schedule(Runnable command, long delay, TimeUnit unit) {
        return super.schedule(command, unit.toNanos(delay) / 20, TimeUnit.NANOSECONDS);
      }
    };
  }

  @Test
  void callOnDeadConnectionIsRetried() throws Exception {
    ScheduledExecutorService executor = fast();
    try (ScriptedGateway gateway = new ScriptedGateway();
        Proxy proxy = new Proxy(gateway.address());
        HfGatewayClient client =
            HfGatewayClient.builder(proxy.address())
                .timers(new ManualTimers(1))
                .configure(channel -> ((OkHttpChannelBuilder) channel).scheduledExecutorService(executor))
                .build()) {
      for (int call = 0; call < 2; call++) {
        gateway.answers(GetGenerationResponse.getDefaultInstance());
        client.get("g1");
        proxy.swallow();
      }
      assertEquals(0, gateway.scriptsLeft());
    } finally {
      executor.shutdownNow();
    }
  }

  @Test
  void callWaitsForAnotherConnectionIfTheFirstOneIsSilent() throws Exception {
    ManualTimers impatient =
        new ManualTimers(1) {
          @Override
          long connectWithin() {
            return TimeUnit.MILLISECONDS.toNanos(200);
          }
        };
    try (ScriptedGateway gateway = new ScriptedGateway();
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        HfGatewayClient client =
            HfGatewayClient.builder("127.0.0.1:" + listener.getLocalPort()).timers(impatient).build()) {
      gateway.answers(GetGenerationResponse.getDefaultInstance());
      int port = Integer.parseInt(gateway.address().substring(gateway.address().indexOf(':') + 1));
      Proxy.start(
          () -> {
            try {
              Socket silent = listener.accept();
              Socket near = listener.accept();
              Socket far = new Socket(InetAddress.getLoopbackAddress(), port);
              Proxy.start(() -> pump(far, near));
              pump(near, far);
              silent.close();
            } catch (IOException closed) {
              // The test has ended.
            }
          });
      client.get("g1");
      assertEquals(0, gateway.scriptsLeft());
    }
  }

  /** Some servers end a connection with ENHANCE_YOUR_CALM, for which gRPC has the code RESOURCE_EXHAUSTED. */
  @Test
  void callIsRetriedAfterTheServerHasLeftTheConnectionForAnyReason() throws Exception {
    byte[] settings = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    byte[] enhanceYourCalm = {0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11};
    List<Status.Code> retried = new CopyOnWriteArrayList<>();
    try (ScriptedGateway gateway = new ScriptedGateway();
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        HfGatewayClient client = HfGatewayClient.builder("127.0.0.1:" + listener.getLocalPort())
            .timers(new ManualTimers(1)).onRetry((error, delay) -> retried.add(error.code())).build()) {
      gateway.answers(GetGenerationResponse.getDefaultInstance());
      int port = Integer.parseInt(gateway.address().substring(gateway.address().indexOf(':') + 1));
      Proxy.start(
          () -> {
            try (Socket left = listener.accept()) {
              DataInputStream received = new DataInputStream(left.getInputStream());
              left.getOutputStream().write(settings);
              received.readFully(new byte[24]); // the preface
              for (int type = 0; type != 1; ) { // until the headers of the call
                int head = received.readInt();
                type = head & 0xff;
                received.readFully(new byte[5 + (head >>> 8)]);
              }
              left.getOutputStream().write(enhanceYourCalm);
              Socket near = listener.accept();
              Socket far = new Socket(InetAddress.getLoopbackAddress(), port);
              Proxy.start(() -> pump(far, near));
              pump(near, far);
            } catch (IOException closed) {
              // The test has ended.
            }
          });
      client.get("g1");
      assertEquals(List.of(Status.Code.RESOURCE_EXHAUSTED), retried);
    }
  }

  private static void pump(Socket from, Socket to) {
    try (from; to) {
      from.getInputStream().transferTo(to.getOutputStream());
    } catch (IOException closed) {
      // One side has left.
    }
  }

  private static HfGatewayClient.Builder keyed(String address) {
    return HfGatewayClient.builder(address).apiKey("hfg_secret");
  }

  @Test
  void keyStaysOffPlaintext() {
    for (HfGatewayClient.Builder builder :
        List.of(
            keyed("localhost:1"),
            keyed("127.8.9.1:1"),
            keyed("[::1]:1"),
            keyed("dns:///localhost:1"),
            keyed("gateway.example:1").insecure(),
            keyed("gateway.example:1").tls(Tls.system()),
            keyed("gateway.example:1").apiKey(""))) {
      builder.build().close();
    }
    for (String address :
        List.of("gateway.example:443", "localhost.example:443", "10.0.0.1:443", "[::2]:443", "dns://a.example/localhost")) {
      String error = assertThrows(IllegalArgumentException.class, keyed(address)::build).getMessage();
      assertTrue(error.contains(address) && error.contains("insecure"), error);
    }
  }

  @Test
  void certificateWithoutItsKeyIsRefused() {
    Path file = Path.of("client.pem");
    assertThrows(IllegalArgumentException.class, () -> new Tls(file, file, null));
    assertThrows(IllegalArgumentException.class, () -> Tls.system().identity(null, file));
  }

  @Test
  void fileWithoutACertificateIsNoAuthority(@TempDir Path folder) throws IOException {
    for (String text : List.of("", "no PEM")) {
      Path ca = Files.writeString(folder.resolve("ca.pem"), text);
      Executable building = () -> HfGatewayClient.builder("127.0.0.1:1").tls(Tls.authority(ca)).build().close();
      String error = assertThrows(IllegalArgumentException.class, building).getMessage();
      assertEquals("no certificate in " + ca, error);
    }
  }

  @Test
  void schemeIsRefused() {
    for (String address : List.of("http://localhost:50051", "https://gateway.example")) {
      HfGatewayClient.Builder builder = HfGatewayClient.builder(address);
      String error = assertThrows(IllegalArgumentException.class, builder::build).getMessage();
      assertEquals(address + " is not HOST:PORT", error);
    }
  }

  @Test
  void impossiblePortIsRefused() {
    for (String address : List.of("127.0.0.1:65536", "dns:///gateway.example:99999")) {
      HfGatewayClient.Builder builder = HfGatewayClient.builder(address);
      String error = assertThrows(IllegalArgumentException.class, builder::build).getMessage();
      assertTrue(error.contains(address) && error.contains("port"), error);
    }
    for (String address : List.of("127.0.0.1:65535", "gateway.example", "[::1]:1", "dns:///localhost:1")) {
      HfGatewayClient.builder(address).build().close();
    }
  }

  @Test
  void keyThatIsNoHeaderIsRefusedAndNotShown() {
    for (String key : List.of("hfg_secret\n", "hfg_ secret", "hfg_sécret", "hfg_secret\u0000")) {
      HfGatewayClient.Builder builder = HfGatewayClient.builder("localhost:1").apiKey(key);
      String error = assertThrows(IllegalArgumentException.class, builder::build).toString();
      assertFalse(error.contains("hfg_"), error);
    }
  }

  @Test
  void changingKeyIsReadBeforeEachAttempt() throws Exception {
    Deque<String> keys = new ArrayDeque<>(List.of("hfg_1", "hfg_2", "hfg_ 3"));
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client =
            HfGatewayClient.builder(gateway.address()).timers(new ManualTimers(1)).apiKey(keys::remove).build()) {
      gateway.fails(Status.UNAVAILABLE.asRuntimeException()).answers(GetGenerationResponse.getDefaultInstance());
      client.get("g1");
      Metadata.Key<String> header = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
      assertEquals(
          List.of("Bearer hfg_1", "Bearer hfg_2"),
          gateway.headers.stream().map(headers -> headers.get(header)).toList());
      String error = assertThrows(IllegalArgumentException.class, () -> client.get("g1")).toString();
      assertFalse(error.contains("hfg_"), error);
    }
    HfGatewayClient.Builder remote = HfGatewayClient.builder("gateway.example:1").apiKey(() -> "hfg_secret");
    assertThrows(IllegalArgumentException.class, remote::build);
  }

  @Test
  void errorHasTheIdempotencyKeyIfTheSupplierFailsBeforeARetry() throws Exception {
    Deque<String> keys = new ArrayDeque<>(List.of("hfg_only"));
    Submit submit = Submit.of(Inputs.soul("a fox"));
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client =
            HfGatewayClient.builder(gateway.address()).timers(new ManualTimers(1)).apiKey(keys::remove).build()) {
      gateway.fails(Status.UNAVAILABLE.asRuntimeException());
      GatewayException error = assertThrows(GatewayException.Unavailable.class, () -> client.submit(submit));
      SubmitGenerationRequest sent = (SubmitGenerationRequest) gateway.requests.get(0);
      assertEquals(sent.getIdempotencyKey(), error.idempotencyKey());
      assertEquals(NoSuchElementException.class, error.getSuppressed()[0].getClass());
      assertThrows(NoSuchElementException.class, () -> client.submit(submit)); // nothing was sent
    }
  }

  @Test
  void errorHasTheIdempotencyKeyIfTheSupplierFailsBeforeTheWatchOfWhatWasCharged() throws Exception {
    Deque<String> keys = new ArrayDeque<>(List.of("hfg_1"));
    Submit submit = Submit.of(Inputs.soul("a fox")).key("order-7");
    CreateCharacterRequest order = CreateCharacterRequest.newBuilder().setIdempotencyKey("order-7").build();
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client = HfGatewayClient.builder(gateway.address()).apiKey(keys::remove).build()) {
      gateway.answers(SubmitGenerationResponse.getDefaultInstance());
      gateway.answers(CreateCharacterResponse.getDefaultInstance());
      List<Executable> calls = List.of(
          () -> client.generate(submit, seen -> {}), () -> client.characters().train(order, null, seen -> {}));
      for (Executable call : calls) {
        GatewayException error = assertThrows(GatewayException.class, call);
        assertEquals("order-7", error.idempotencyKey());
        assertInstanceOf(NoSuchElementException.class, error.getCause());
        keys.add("hfg_2");
      }
    }
  }

  @Test
  void hookThatThrowsTheErrorItWasCalledWithEndsTheCall() throws Exception {
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client =
            HfGatewayClient.builder(gateway.address())
                .timers(new ManualTimers(1))
                .onRetry((error, delay) -> { throw error; })
                .build()) {
      gateway.fails(Status.UNAVAILABLE.asRuntimeException());
      CompletableFuture<Submission> submitted = client.async().submit(Submit.of(Inputs.soul("a fox")).key("order-7"));
      Throwable thrown = assertThrows(ExecutionException.class, () -> submitted.get(20, TimeUnit.SECONDS)).getCause();
      assertEquals("order-7", assertInstanceOf(GatewayException.Unavailable.class, thrown).idempotencyKey());
    }
  }

  @Test
  void supplierWithoutAKeySendsNoHeader() throws Exception {
    Iterator<String> keys = Arrays.asList("", null).iterator();
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client = HfGatewayClient.builder(gateway.address()).apiKey(keys::next).build()) {
      gateway.answers(GetGenerationResponse.getDefaultInstance()).answers(GetGenerationResponse.getDefaultInstance());
      client.get("g1");
      client.get("g1");
      Metadata.Key<String> header = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
      assertEquals(List.of(false, false), gateway.headers.stream().map(found -> found.containsKey(header)).toList());
    }
  }

  @Test
  void environmentHasTheDefaultAddressAndKey() throws Exception {
    try (ScriptedGateway gateway = new ScriptedGateway()) {
      Map<String, String> environment =
          Map.of("HFGATEWAY_ADDRESS", gateway.address(), "HFGATEWAY_API_KEY", "hfg_environment");
      gateway.answers(GetGenerationResponse.getDefaultInstance()).answers(GetGenerationResponse.getDefaultInstance());
      try (HfGatewayClient client = HfGatewayClient.builder(environment).build();
          HfGatewayClient keyless = HfGatewayClient.builder(environment).apiKey("").build()) {
        client.get("g1");
        keyless.get("g1");
      }
      Metadata.Key<String> header = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
      assertEquals("Bearer hfg_environment", gateway.headers.get(0).get(header));
      assertNull(gateway.headers.get(1).get(header));
    }
  }

  @Test
  void checkFailsAtOnceWithCauseAndAddress() throws Exception {
    String refused;
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      refused = "127.0.0.1:" + socket.getLocalPort();
    }
    try (ScriptedGateway gateway = new ScriptedGateway()) {
      for (List<String> attempt :
          List.of(
              List.of(refused, "refused", ""),
              List.of("nowhere.invalid:1", "UnknownHostException", ""),
              List.of(gateway.address(), "SSL", "tls"))) {
        HfGatewayClient.Builder builder = HfGatewayClient.builder(attempt.get(0));
        builder.onRetry((error, delay) -> fail("retried after " + error));
        if (!attempt.get(2).isEmpty()) {
          builder.tls(Tls.system());
        }
        try (HfGatewayClient client = builder.build()) {
          String error = assertThrows(GatewayException.Unavailable.class, client::check).getMessage();
          assertTrue(error.contains(attempt.get(0)) && error.contains(attempt.get(1)), error);
        }
      }
      gateway.answers(ListGenerationsResponse.getDefaultInstance());
      try (HfGatewayClient client = HfGatewayClient.connect(gateway.address())) {
        client.check();
      }
    }
  }

  @Test
  void mistakesAreNotRetriedBeforeTheGatewayWasReached() throws Exception {
    try (ScriptedGateway gateway = new ScriptedGateway()) {
      for (HfGatewayClient.Builder mistaken :
          List.of(
              HfGatewayClient.builder("nowhere.invalid:1"),
              HfGatewayClient.builder(gateway.address()).tls(Tls.system()))) {
        try (HfGatewayClient client = mistaken.onRetry((error, delay) -> fail("retried after " + error)).build()) {
          GatewayException error = assertThrows(GatewayException.Unavailable.class, () -> client.get("g1"));
          assertFalse(error.retryable());
          assertThrows(GatewayException.Unavailable.class, client.watch("g1")::hasNext);
        }
      }
    }
    // Afterwards the name may be gone for a moment.
    Status unknown = Status.UNAVAILABLE.withCause(new UnknownHostException("nowhere.invalid"));
    GatewayException later = Errors.ofCall(unknown, null, unknown.asRuntimeException());
    later.at("nowhere.invalid:1", true, false);
    assertTrue(later.retryable() && RetryPolicy.mayRepeat(later));
  }

  @Test
  void temporaryFailureToLookUpTheNameIsRetried() throws Exception {
    String unknown = "gateway.example: Name or service not known";
    // Java repeats a failed lookup without its reason for some seconds.
    Deque<String> lookups =
        new ArrayDeque<>(List.of("gateway.example: Temporary failure in name resolution", "gateway.example", unknown));
    ClientInterceptor resolver =
        new ClientInterceptor() {
          @Override
          public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            Status failed = Status.UNAVAILABLE.withCause(new UnknownHostException(lookups.remove()));
            return new ClientCall<>() {
              @Override
              public void start(Listener<A> listener, Metadata headers) {
                listener.onClose(failed, new Metadata());
              }

              @Override
              public void request(int count) {}

              @Override
              public void cancel(String why, Throwable cause) {}

              @Override
              public void halfClose() {}

              @Override
              public void sendMessage(Q message) {}
            };
          }
        };
    try (HfGatewayClient client =
        HfGatewayClient.builder("gateway.example:1")
            .timers(new ManualTimers(1))
            .configure(channel -> channel.intercept(resolver))
            .build()) {
      GatewayException error = assertThrows(GatewayException.Unavailable.class, () -> client.get("g1"));
      assertTrue(error.getMessage().contains(unknown) && !error.retryable(), error.getMessage());
    }
    assertTrue(lookups.isEmpty());
  }

  /** Fails the next attempt if it is asked to, as if the gateway's name were unknown. */
  private static final class Unknown implements ClientInterceptor {
    final AtomicBoolean next = new AtomicBoolean();

    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel channel) {
      return !next.getAndSet(false) ? channel.newCall(method, options) : new ClientCall<>() {
        @Override
        public void start(Listener<A> listener, Metadata headers) {
          listener.onClose(Status.UNAVAILABLE.withCause(new UnknownHostException("gateway.example")), new Metadata());
        }

        @Override
        public void request(int messages) {}

        @Override
        public void cancel(String message, Throwable cause) {}

        @Override
        public void halfClose() {}

        @Override
        public void sendMessage(Q message) {}
      };
    }
  }

  @Test
  void unknownNameIsNoMistakeAfterAResponseOrTheMessageOfAWatch() throws Exception {
    Unknown unknown = new Unknown();
    try (ScriptedGateway gateway = new ScriptedGateway()) {
      HfGatewayClient.Builder builder = HfGatewayClient.builder(gateway.address())
          .timers(new ManualTimers(1)).configure(channel -> channel.intercept(unknown));
      try (HfGatewayClient client = builder.build()) {
        gateway.answers(GetGenerationResponse.getDefaultInstance()).answers(GetGenerationResponse.getDefaultInstance());
        client.get("g1");
        unknown.next.set(true);
        client.get("g1");
        assertFalse(unknown.next.get());
      }
      Generation.Builder found = Generation.newBuilder().setId("g1");
      Message first = WatchGenerationResponse.newBuilder().setGeneration(found.setRevision(1)).build();
      Message last = WatchGenerationResponse.newBuilder().setGeneration(found.setRevision(2).setDone(true)).build();
      gateway.fails(Status.UNAVAILABLE.asRuntimeException(), first).answers(last);
      try (HfGatewayClient client = builder.build(); Watch<Generation> watch = client.watch("g1")) {
        assertEquals(1, watch.next().getRevision());
        unknown.next.set(true);
        assertEquals(2, watch.next().getRevision());
        assertFalse(unknown.next.get());
      }
    }
  }

  @Test
  void hooksSeeRetriesAndAttemptsAndTheErrorHasTheOneBefore() throws Exception {
    List<Object> reported = new ArrayList<>();
    List<String> attempts = new CopyOnWriteArrayList<>();
    ClientInterceptor interceptor =
        new ClientInterceptor() {
          @Override
          public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            attempts.add(method.getBareMethodName());
            return next.newCall(method, options);
          }
        };
    try (ScriptedGateway gateway = new ScriptedGateway();
        HfGatewayClient client =
            HfGatewayClient.builder(gateway.address())
                .timers(new ManualTimers(1))
                .onRetry((error, delay) -> reported.addAll(List.of(error.reason(), delay)))
                .configure(channel -> channel.intercept(interceptor))
                .build()) {
      gateway.fails(ScriptedGateway.error(Status.Code.UNAVAILABLE, "GATEWAY_UNAVAILABLE", 3.0));
      gateway.fails(Status.DEADLINE_EXCEEDED.asRuntimeException());
      String error = assertThrows(GatewayException.DeadlineExceeded.class, () -> client.get("g1")).getMessage();
      assertTrue(error.contains(gateway.address()) && error.contains("before that: refused"), error);
    }
    assertEquals(List.of("GATEWAY_UNAVAILABLE", Duration.ofSeconds(3)), reported);
    assertEquals(List.of("GetGeneration", "GetGeneration"), attempts);
  }

  @Test
  void deadConnectionIsNoticedWithinTheTimeoutAndWithoutTooManyPings() {
    Duration noticed = HfGatewayClient.PING_AFTER.plus(HfGatewayClient.PING_TIMEOUT);
    assertTrue(noticed.compareTo(HfGatewayClient.TIMEOUT.multipliedBy(2).dividedBy(3)) < 0);
    assertTrue(HfGatewayClient.PING_AFTER.compareTo(Duration.ofSeconds(10)) > 0);
  }
}
