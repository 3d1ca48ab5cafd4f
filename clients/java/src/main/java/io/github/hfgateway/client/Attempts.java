package io.github.hfgateway.client;

import com.google.protobuf.Message;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.SynchronizationContext;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;

/**
 * The items of a call, which is repeated after failures: the one response of a unary call, or a watch. It makes an
 * attempt, and asks it for a message, only while the reader waits. All of its state belongs to {@code serial}.
 */
final class Attempts<Q extends Message, M, E> extends ClientCall.Listener<M> {
  /** The status of a call that a proxy has ended with OK: its response or its last message is missing. */
  static final Status NO_RESPONSE = Status.INTERNAL.withDescription("the call ended without its last message");

  private final Connection connection;
  private final Exchange<Q, M, E> exchange;
  private final long patience;
  private final Duration timeout;
  private final Context context = Context.current();
  private final SynchronizationContext serial = new SynchronizationContext((thread, error) -> thrown(error));
  /** Fails the call at the end of the Context during a delay; gRPC does it during an attempt. */
  private final Context.CancellationListener ended;
  private final Queue<E> items = new ArrayDeque<>();
  private CompletableFuture<Optional<E>> reader = new CompletableFuture<>();
  private ClientCall<Q, M> call;
  private GatewayException broken;
  private Throwable failure;
  private long deadline;
  private M response;
  private boolean over;

  // The failures since the last message.
  private int failures;
  private long began;
  private GatewayException last;

  /**
   * Creates the items of an exchange that is given up after failures for {@code patience}, or at the timeout: of a whole
   * watch, or of each page of a list.
   */
  Attempts(Connection connection, Exchange<Q, M, E> exchange, Duration patience, Duration timeout) {
    this.connection = connection;
    this.exchange = exchange;
    this.patience = Timers.nanos(patience);
    this.timeout = timeout;
    this.deadline = connection.deadline(timeout);
    this.ended = canceled -> serial.execute(() ->
        failed(connection.error(Contexts.statusFromCancelled(canceled), new Metadata(), canceled)));
  }

  /** Returns the next item, or none at the end. The caller waits for it before the next call. */
  CompletableFuture<Optional<E>> next() {
    CompletableFuture<Optional<E>> waits = connection.promise();
    serial.execute(() -> {
      reader = waits;
      advance();
    });
    return waits;
  }

  /** Ends the call. A waiting reader gets none. */
  void close() {
    serial.execute(() -> {
      over = true;
      items.clear();
      stopped("closed by the caller");
    });
  }

  /** Gives the reader what it waits for, or takes the next step towards it. */
  private void advance() {
    if (reader.isDone()) {
      return;
    }
    if (!items.isEmpty()) {
      reader.complete(Optional.of(items.remove()));
    } else if (over) {
      reader.complete(Optional.empty());
    } else if (failure != null) {
      reader.completeExceptionally(failure);
    } else if (broken != null) {
      endure(broken);
    } else if (call == null) {
      context.run(this::attempt);
    } else {
      call.request(1);
    }
  }

  private void attempt() {
    response = null;
    if (unary() && failures == 0) deadline = connection.deadline(timeout); // of this page
    call = connection.channel.newCall(exchange.method, connection.options(deadline));
    call.start(this, new Metadata());
    // gRPC delivers the status of a unary call only behind a second message.
    call.request(unary() ? 2 : 1);
    call.sendMessage(exchange.attempt.get());
    call.halfClose();
  }

  @Override
  public void onMessage(M message) {
    serial.execute(() -> {
      connection.reached = true;
      if (over) {
        return; // closed
      }
      if (unary()) {
        response = message; // its status follows, and may be an error
        return;
      }
      take(message);
      if (over) {
        stopped("the last message has arrived");
      } else {
        advance();
      }
    });
  }

  @Override
  public void onClose(Status status, Metadata trailers) {
    serial.execute(() -> {
      call = null;
      boolean lost = status.isOk() && (unary() ? response == null : !exchange.mayEnd);
      if (!status.isOk() || lost) {
        broken = connection.error(lost ? NO_RESPONSE : status, trailers, context);
        broken.after(last);
      } else if (!unary()) {
        over = true;
      } else if (!over) {
        take(response);
      }
      advance();
    });
  }

  private boolean unary() {
    return exchange.method.getType() == MethodType.UNARY;
  }

  private void take(M message) {
    failures = 0;
    last = null;
    items.addAll(exchange.received(message));
    over = exchange.done;
  }

  /** Makes another attempt after a delay, or fails if the error or the time does not allow it. */
  private void endure(GatewayException error) {
    broken = null;
    long now = connection.timers.now();
    if (failures == 0) {
      began = now;
    }
    failures++;
    long delay = connection.policy.delay(failures, error, connection.timers.chance());
    // An overload had no effect, but the failure before it may have had one.
    if (!isOverload(error) || last == null || isOverload(last)) last = error;
    if (!RetryPolicy.mayRepeat(error) || now + delay >= Math.min(began + patience, deadline)) {
      thrown(error);
      return;
    }
    connection.onRetry.accept(error, Duration.ofNanos(delay));
    context.addListener(ended, Runnable::run);
    Runnable again = () -> {
      context.removeListener(ended);
      // Otherwise gRPC waits before it reconnects: longer each time, and up to two minutes.
      connection.transport.resetConnectBackoff();
      advance();
    };
    connection.timers.schedule(delay, () -> serial.execute(again), connection.executor);
  }

  private static boolean isOverload(Throwable error) {
    return error instanceof GatewayException.GatewayOverloaded;
  }

  /**
   * Fails after an exception of the caller's code or the last attempt, but with the error of an attempt that may have had
   * its effect.
   */
  private void thrown(Throwable error) {
    if (last != null && last != error) last.addSuppressed(error); // Java refuses to suppress itself
    failed(last != null ? last : error);
  }

  private void failed(Throwable error) {
    failure = error;
    stopped("failed");
  }

  private void stopped(String why) {
    context.removeListener(ended);
    if (call != null) {
      call.cancel(why, null);
    }
    advance();
  }
}
