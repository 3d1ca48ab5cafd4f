package io.github.hfgateway.client;

import io.grpc.SynchronizationContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The items of a watch or a list. Nothing happens until it is read: by {@link #forEach}, or by a subscriber, for example
 * of a reactive library. Each reader starts a watch or list for itself, and gets one item after the other: no message is
 * requested from the gateway before the reader has taken the last one.
 */
public final class Items<T> implements Flow.Publisher<T> {
  private final Supplier<Source<T>> open;

  Items(Supplier<Source<T>> open) {
    this.open = open;
  }

  /**
   * Reads all items. The future completes after the last one. Canceling it ends the watch or list; if the consumer
   * throws, it ends too, and the future fails with that exception.
   *
   * @param consumer called on a thread of the client, one item at a time
   */
  public CompletableFuture<Void> forEach(Consumer<? super T> consumer) {
    Operation<Void> all = new Operation<>();
    Flow.Subscriber<T> reader =
        new Flow.Subscriber<>() {
          @Override
          public void onSubscribe(Flow.Subscription subscription) {
            all.stopWith(subscription::cancel);
            subscription.request(Long.MAX_VALUE);
          }

          @Override
          public void onNext(T item) {
            try {
              consumer.accept(item);
            } catch (Throwable error) {
              all.completeExceptionally(error);
              throw error;
            }
          }

          @Override
          public void onError(Throwable error) {
            all.settle(null, error);
          }

          @Override
          public void onComplete() {
            all.complete(null);
          }
        };
    subscribe(reader);
    return all;
  }

  /** Reads all items into a list. */
  public CompletableFuture<List<T>> toList() {
    List<T> items = new ArrayList<>();
    return Operation.of(all -> all.step(() -> forEach(items::add)).thenApply(read -> items));
  }

  @Override
  public void subscribe(Flow.Subscriber<? super T> subscriber) {
    subscriber.onSubscribe(new Subscription<>(open(), subscriber));
  }

  /** Starts the watch or list. */
  Source<T> open() {
    return open.get();
  }

  /** Reads a source while its subscriber has demand. */
  private static final class Subscription<T> implements Flow.Subscription {
    private final Source<T> source;
    private final Flow.Subscriber<? super T> subscriber;
    // An exception of the subscriber cancels.
    private final SynchronizationContext serial = new SynchronizationContext((thread, error) -> cancel());
    private long demand;
    private boolean waits;
    private boolean over;

    Subscription(Source<T> source, Flow.Subscriber<? super T> subscriber) {
      this.source = source;
      this.subscriber = subscriber;
    }

    @Override
    public void request(long count) {
      serial.execute(
          () -> {
            if (count <= 0) {
              source.close();
              ended(() -> subscriber.onError(new IllegalArgumentException("requested " + count + " items")));
            }
            demand = demand + count < 0 ? Long.MAX_VALUE : demand + count;
            advance();
          });
    }

    @Override
    public void cancel() {
      serial.execute(
          () -> {
            over = true;
            source.close();
          });
    }

    private void advance() {
      if (demand > 0 && !waits && !over) {
        waits = true;
        source.next().whenComplete((item, error) -> serial.execute(() -> arrived(item, error)));
      }
    }

    private void arrived(Optional<T> item, Throwable error) {
      waits = false;
      if (error != null) {
        ended(() -> subscriber.onError(Operation.causeOf(error)));
      } else if (item.isEmpty()) {
        ended(subscriber::onComplete);
      } else if (!over) {
        demand--;
        subscriber.onNext(item.get());
        advance();
      }
    }

    private void ended(Runnable signal) {
      if (!over) {
        over = true;
        signal.run();
      }
    }
  }
}
