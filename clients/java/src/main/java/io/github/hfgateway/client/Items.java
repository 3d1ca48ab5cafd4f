package io.github.hfgateway.client;

import io.grpc.Context;
import io.grpc.SynchronizationContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The items of a watch or a list. Nothing happens until it is read: by {@link #forEach}, or by a subscriber, for example
 * of a reactive library. Each reader starts a watch or list for itself, and gets one item after the other: no message is
 * requested from the gateway before the reader has taken the last one.
 */
public final class Items<T> implements Flow.Publisher<T> {
  /** Starts the watch or list. */
  final Supplier<Attempts<?, ?, T>> open;

  private final Executor executor;

  Items(Supplier<Attempts<?, ?, T>> open, Executor executor) {
    this.open = open;
    this.executor = executor;
  }

  /**
   * Reads all items. The future completes after the last one. Canceling it ends the watch or list; if the consumer
   * throws, it ends too, and the future fails with that exception.
   *
   * @param consumer called on a thread of the client, one item at a time
   */
  public CompletableFuture<Void> forEach(Consumer<? super T> consumer) {
    Operation<Void> all = new Operation<>("");
    Reader<T> reader = new Reader<>(open.get(), executor, consumer, error -> all.settle(null, error));
    all.stopWith(reader::cancel);
    reader.request(Long.MAX_VALUE);
    return all;
  }

  /** Reads all items into a list. */
  public CompletableFuture<List<T>> toList() {
    List<T> items = new ArrayList<>();
    return Operation.of("", all -> all.step(() -> forEach(items::add)).thenApply(read -> items));
  }

  @Override
  public void subscribe(Flow.Subscriber<? super T> subscriber) {
    Consumer<Throwable> end = error -> {
      if (error == null) subscriber.onComplete();
      else subscriber.onError(error);
    };
    subscriber.onSubscribe(new Reader<>(open.get(), executor, subscriber::onNext, end));
  }

  /** Reads a source while there is demand: always on the executor, because consumers may wait for other calls. */
  private static final class Reader<T> implements Flow.Subscription {
    private final Attempts<?, ?, T> source;
    private final Executor executor;
    private final Consumer<? super T> consumer;
    private final Consumer<Throwable> end;
    private final SynchronizationContext serial = new SynchronizationContext((thread, error) -> ended(error));
    private long demand;
    private boolean waits;
    private boolean over;

    /** Creates a reader that calls {@code end} once, with null after the last item, unless it is canceled. */
    Reader(Attempts<?, ?, T> source, Executor executor, Consumer<? super T> consumer, Consumer<Throwable> end) {
      this.source = source;
      this.executor = executor;
      this.consumer = consumer;
      this.end = end;
    }

    @Override
    public void request(long count) {
      execute(() -> {
        if (count <= 0) {
          ended(new IllegalArgumentException("requested " + count + " items"));
        }
        demand = demand + count < 0 ? Long.MAX_VALUE : demand + count;
        advance();
      });
    }

    @Override
    public void cancel() {
      execute(() -> {
        over = true;
        source.close();
      });
    }

    private void execute(Runnable work) {
      Runnable next = () -> serial.execute(work);
      executor.execute(Context.current().wrap(next));
    }

    private void advance() {
      if (demand > 0 && !waits) {
        waits = true;
        source.next().whenComplete((item, error) -> serial.execute(() -> arrived(item, error)));
      }
    }

    private void arrived(Optional<T> item, Throwable error) {
      waits = false;
      if (error != null || item.isEmpty()) {
        ended(error);
      } else if (!over) {
        demand--;
        consumer.accept(item.get()); // if it throws, serial calls ended
        advance();
      }
    }

    private void ended(Throwable error) {
      if (!over) {
        over = true;
        source.close();
        end.accept(Operation.causeOf(error));
      }
    }
  }
}
