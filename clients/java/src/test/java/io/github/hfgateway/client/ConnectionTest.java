package io.github.hfgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.v1.GetGenerationResponse;
import io.grpc.okhttp.OkHttpChannelBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

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
  void deadConnectionIsNoticedWithinTheTimeoutAndWithoutTooManyPings() {
    Duration noticed = HfGatewayClient.PING_AFTER.plus(HfGatewayClient.PING_TIMEOUT);
    assertTrue(noticed.compareTo(HfGatewayClient.TIMEOUT.multipliedBy(2).dividedBy(3)) < 0);
    assertTrue(HfGatewayClient.PING_AFTER.compareTo(Duration.ofSeconds(10)) > 0);
  }
}
