package io.github.hfgateway.client;

import com.google.protobuf.Message;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The kinds of calls that the client makes.
 *
 * @param timeout the limit of each unary call, including its retries
 */
record Calls(Connection connection, Duration timeout) {

  /** Returns the same with another timeout. */
  Calls within(Duration timeout) {
    return new Calls(connection, timeout);
  }

  /** Returns the same with a timeout that is longer by the time for which the gateway may wait, if it is not negative. */
  Calls waiting(Duration time) {
    return within(Duration.ofNanos(Timers.nanos(timeout) + Math.max(Timers.nanos(time), 0)));
  }

  /** Returns the timeout of a call that is a part of something with this limit. For both, null is none. */
  Duration atMost(Duration limit) {
    return Timers.nanos(limit) > Timers.nanos(timeout) ? timeout : limit;
  }

  /** Makes the unary call that takes this request, and returns its response. */
  <A extends Message> CompletableFuture<A> unary(Message request) {
    return unary(request, Function.identity());
  }

  /** Makes the unary call that takes this request, and returns a part of its response. */
  <A extends Message, R> CompletableFuture<R> unary(Message request, Function<A, R> part) {
    return unary(() -> request, part, timeout, connection.policy.repeatCallsFor());
  }

  /** Makes a unary call, whose request is made for each attempt. */
  <A extends Message, R> CompletableFuture<R> unary(
      Supplier<Message> request, Function<A, R> part, Duration timeout, Duration patience) {
    Exchange<Message, A, A> exchange = Exchange.unary(request.get(), List::of);
    exchange.attempt = request;
    Attempts<Message, A, A> response = new Attempts<>(connection, exchange, patience, timeout);
    return Operation.of("", call -> {
      call.stopWith(response::close);
      return response.next().thenApply(found -> part.apply(found.orElseThrow()));
    });
  }

  /** Watches: makes the call of a new exchange, and repeats it when it breaks. */
  <Q extends Message, M, E> Items<E> watch(Supplier<Exchange<Q, M, E>> exchange, Duration timeout) {
    Duration patience = connection.policy.resumeWatchesFor();
    return new Items<>(() -> new Attempts<>(connection, exchange.get(), patience, timeout), connection.executor);
  }

  /** Lists all items from the page of the request on. The timeout is that of each page. */
  <A extends Message, T> Items<T> list(Message first, Function<A, List<T>> items) {
    Duration patience = connection.policy.repeatCallsFor();
    return new Items<>(
        () -> new Attempts<>(connection, Exchange.unary(first, items), patience, timeout), connection.executor);
  }

  /** Reports what was started and its changes, and returns the last one. */
  static <T> CompletableFuture<T> followed(
      Operation<?> operation, T first, boolean done, Items<T> changes, Consumer<? super T> onProgress) {
    AtomicReference<T> last = new AtomicReference<>(first);
    report(onProgress, first);
    Consumer<T> changed = item -> {
      // A watch may begin with what is known.
      if (!item.equals(last.getAndSet(item))) report(onProgress, item);
    };
    return done ? CompletableFuture.completedFuture(first)
        : operation.step(() -> changes.forEach(changed))
            .exceptionally(Calls::known)
            .thenApply(read -> last.get());
  }

  /** Throws what a call or watch failed with. What the caller's code threw becomes the cause of an error, as below. */
  static <T> T known(Throwable error) {
    Throwable cause = Operation.causeOf(error);
    throw cause instanceof GatewayException known ? known : Errors.canceled("the caller's code threw " + cause, cause);
  }

  /** Calls the caller's consumer. What it throws becomes the cause of an error, which can have the idempotency key. */
  static <T> void report(Consumer<? super T> consumer, T item) {
    try {
      consumer.accept(item);
    } catch (Throwable cause) {
      throw Errors.canceled("a consumer threw " + cause, cause);
    }
  }
}
