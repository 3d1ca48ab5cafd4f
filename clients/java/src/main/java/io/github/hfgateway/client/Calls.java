package io.github.hfgateway.client;

import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
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

  /** Returns the timeout of a call that is a part of something with this limit; null is none. */
  Duration atMost(Duration limit) {
    return limit == null || limit.compareTo(timeout) > 0 ? timeout : limit;
  }

  /** Makes a unary call, and returns a part of its response. */
  <Q, A, R> CompletableFuture<R> unary(MethodDescriptor<Q, A> method, Q request, Function<A, R> part) {
    return unary(method, request, part, timeout, connection.policy.repeatCallsFor());
  }

  <Q, A, R> CompletableFuture<R> unary(
      MethodDescriptor<Q, A> method, Q request, Function<A, R> part, Duration timeout, Duration patience) {
    Exchange<Q, A, A> exchange = new Exchange.Unary<>(method, request);
    Source<A> response = new Attempts<>(connection, exchange, patience, connection.deadline(timeout));
    return Operation.of("", call -> {
      call.stopWith(response::close);
      return response.next().thenApply(found -> part.apply(found.orElseThrow(Calls::noResponse)));
    });
  }

  static GatewayException noResponse() {
    return Errors.ofCall(Status.INTERNAL.withDescription("the call ended without a response"), null, null);
  }

  /** Watches: makes the call of a new exchange, and repeats it when it breaks. */
  <Q, M, E> Items<E> watch(Supplier<Exchange<Q, M, E>> exchange, Duration timeout) {
    Duration patience = connection.policy.resumeWatchesFor();
    return new Items<>(
        () -> new Attempts<>(connection, exchange.get(), patience, connection.deadline(timeout)), connection.executor);
  }

  /** Lists all items from the page of the request on. All list calls have the same fields for tokens of pages. */
  <Q extends Message, A extends Message, T> Items<T> list(
      MethodDescriptor<Q, A> method, Q first, Function<A, List<T>> items) {
    Supplier<Source<T>> pages = () -> new Pages<>(
        token -> unary(method, token == null ? first : withToken(first, token), Function.identity()),
        items,
        page -> (String) page.getField(page.getDescriptorForType().findFieldByName("next_page_token")));
    return new Items<>(pages, connection.executor);
  }

  @SuppressWarnings("unchecked")
  private static <Q extends Message> Q withToken(Q request, String token) {
    return (Q) request.toBuilder().setField(request.getDescriptorForType().findFieldByName("page_token"), token).build();
  }

  /** Reports what was started and its changes, and returns the last one. */
  static <T> CompletableFuture<T> followed(
      Operation<?> operation, T first, boolean done, Items<T> changes, Consumer<? super T> onProgress) {
    AtomicReference<T> last = new AtomicReference<>(first);
    onProgress.accept(first);
    Consumer<T> changed = item -> {
      if (!item.equals(last.getAndSet(item))) { // a watch may begin with what is known
        onProgress.accept(item);
      }
    };
    return done
        ? CompletableFuture.completedFuture(first)
        : operation.step(() -> changes.forEach(changed)).thenApply(read -> last.get());
  }
}
