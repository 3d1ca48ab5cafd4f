package io.github.hfgateway.client;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The items of a watch, which resumes if its stream breaks. Only one thread may read it. Any thread may call
 * {@link #close}: this ends the stream at the gateway, {@link #hasNext} then returns false, and the generation continues.
 */
public final class Watch<E> implements Iterator<E>, AutoCloseable {
  private final Attempts<?, ?, E> source;
  private Optional<E> item = Optional.empty();
  private volatile boolean closed;

  Watch(Items<E> items) {
    this.source = items.open.get();
  }

  /**
   * Waits for the next item. Returns false if the watch has ended or was closed.
   *
   * @throws GatewayException if the watch failed
   */
  @Override
  public boolean hasNext() {
    if (item.isEmpty() && !closed) {
      item = Blocking.await(source.next(), source::close);
    }
    if (closed) item = Optional.empty();
    return item.isPresent();
  }

  @Override
  public E next() {
    // If hasNext has returned true, its item is returned, even if another thread has closed the watch since.
    if (item.isEmpty() && !hasNext()) {
      throw new NoSuchElementException();
    }
    E next = item.get();
    item = Optional.empty();
    return next;
  }

  /** Returns the remaining items as a stream. Closing it closes the watch. */
  public Stream<E> stream() {
    int kind = Spliterator.ORDERED | Spliterator.NONNULL;
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, kind), false).onClose(this::close);
  }

  /** Ends the watch. */
  @Override
  public void close() {
    closed = true;
    source.close();
  }
}
