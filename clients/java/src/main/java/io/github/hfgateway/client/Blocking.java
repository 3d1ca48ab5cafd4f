package io.github.hfgateway.client;

import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;
import java.util.function.Function;

/** Waits for the operations of the asynchronous client. An interrupt ends the operation. */
final class Blocking {
  private Blocking() {}

  /** Waits for a result. */
  static <T> T await(CompletableFuture<T> operation) {
    return await(operation, () -> operation.cancel(true));
  }

  /** Waits for a result, and calls {@code stop} if the thread is interrupted. */
  static <T> T await(CompletableFuture<T> operation, Runnable stop) {
    try {
      return operation.get();
    } catch (InterruptedException cause) {
      stop.run();
      throw canceled(cause, operation);
    } catch (ExecutionException failed) {
      Throwable error = failed.getCause();
      // The stack of the caller, instead of that of a thread of the client.
      if (error instanceof GatewayException) error.fillInStackTrace();
      throw Blocking.<RuntimeException>unchecked(error);
    }
  }

  /** Throws an error that the compiler does not expect: the IOException of an upload, which declares it. */
  @SuppressWarnings("unchecked")
  private static <T extends Throwable> T unchecked(Throwable error) throws T {
    throw (T) error;
  }

  /** Waits for a result. Until then it calls {@code onProgress} on this thread. */
  static <T, R> R await(Consumer<? super T> onProgress, Function<Consumer<T>, CompletableFuture<R>> start) {
    Objects.requireNonNull(onProgress); // before anything is sent
    BlockingQueue<Optional<T>> progress = new LinkedBlockingQueue<>();
    CompletableFuture<R> operation = start.apply(item -> progress.add(Optional.of(item)));
    operation.whenComplete((result, error) -> progress.add(Optional.empty()));
    try {
      for (Optional<T> item = progress.take(); item.isPresent(); item = progress.take()) {
        onProgress.accept(item.get());
      }
    } catch (Throwable cause) {
      throw canceled(cause, operation);
    } finally {
      operation.cancel(true);
    }
    return await(operation);
  }

  /** Returns the error after an interrupt, or after an exception of the consumer. */
  private static GatewayException canceled(Throwable cause, CompletableFuture<?> operation) {
    boolean interrupted = cause instanceof InterruptedException;
    if (interrupted) Thread.currentThread().interrupt();
    var error = Errors.canceled(interrupted ? "the thread was interrupted" : "a consumer threw " + cause, cause);
    if (operation instanceof Operation<?> keyed) error.setIdempotencyKey(keyed.idempotencyKey);
    return error;
  }
}
