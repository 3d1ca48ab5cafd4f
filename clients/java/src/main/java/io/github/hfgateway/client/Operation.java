package io.github.hfgateway.client;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;
import java.util.function.Supplier;

/** The future of a call, or of several steps. If its owner cancels or completes it, the step that is under way ends. */
final class Operation<T> extends CompletableFuture<T> {
  final String idempotencyKey;
  private volatile Runnable stop = () -> {};

  /** Creates an operation whose errors get the idempotency key; "" is none. */
  Operation(String idempotencyKey) {
    this.idempotencyKey = idempotencyKey;
    whenComplete((result, error) -> stop.run()); // also after orTimeout
  }

  /** Returns the future of steps, whose errors get the idempotency key. */
  static <T> CompletableFuture<T> of(String idempotencyKey, Function<Operation<T>, CompletableFuture<T>> steps) {
    Operation<T> operation = new Operation<>(idempotencyKey);
    steps.apply(operation).whenComplete(operation::settle);
    return operation;
  }

  /** Takes a step, unless the operation has ended. */
  <S> CompletableFuture<S> step(Supplier<CompletableFuture<S>> start) {
    if (isDone()) return new CompletableFuture<>();
    CompletableFuture<S> step = start.get();
    stopWith(() -> step.cancel(true));
    return step;
  }

  /** Sets how to end what is under way, and ends it if the operation has ended. */
  void stopWith(Runnable ending) {
    stop = ending;
    if (isDone()) ending.run();
  }

  /** Ends with a result or an error of the last step. */
  void settle(T result, Throwable error) {
    Throwable cause = causeOf(error);
    if (cause instanceof GatewayException failed) failed.setIdempotencyKey(idempotencyKey);
    if (cause == null) complete(result);
    else completeExceptionally(cause);
  }

  /** Returns what a stage of a future failed with; null if it did not fail. */
  static Throwable causeOf(Throwable error) {
    return error instanceof CompletionException && error.getCause() != null ? error.getCause() : error;
  }
}
