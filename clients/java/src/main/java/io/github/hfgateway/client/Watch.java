package io.github.hfgateway.client;

import io.grpc.Context;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The items of a watch, which resumes if its stream breaks. Only one thread may read it. Any thread may call
 * {@link #close}: this ends the stream at the gateway, {@link #hasNext} then returns false, and the generation continues.
 */
public final class Watch<E> implements Iterator<E>, AutoCloseable {

  /** The requests of a watch, and the items that it makes of messages. */
  interface Source<Q, M, E> {
    MethodDescriptor<Q, M> method();

    /** Returns the request of the next stream. */
    Q request();

    /** Returns the items of a message. */
    List<E> received(M message);

    /** Returns whether nothing follows what was received. */
    boolean isDone();
  }

  /** The streams of one source, with its types. */
  private final class Streams<Q, M> {
    private final Source<Q, M, E> source;
    private Iterator<M> messages;

    Streams(Source<Q, M, E> source) {
      this.source = source;
    }

    /** Waits for one message, and queues its items. Returns false if none follows. */
    boolean advance() {
      if (messages == null) {
        messages = open();
      }
      if (!messages.hasNext()) {
        return false;
      }
      M message = messages.next();
      outage.over();
      queue.addAll(source.received(message));
      return !source.isDone();
    }

    private Iterator<M> open() {
      Context.CancellableContext opened = Context.current().withCancellation();
      stream = opened;
      if (ended.getCount() == 0) {
        opened.cancel(null);
      }
      Context before = opened.attach();
      try {
        return ClientCalls.blockingServerStreamingCall(
            calls.channel, source.method(), calls.options(deadline), source.request());
      } finally {
        opened.detach(before);
      }
    }
  }

  private final Calls calls;
  private final long deadline;
  private final Outage outage;
  private final Streams<?, ?> streams;
  private final Queue<E> queue = new ArrayDeque<>();
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile Context.CancellableContext stream;
  private volatile boolean closed;
  private boolean over;
  private GatewayException failure;

  <Q, M> Watch(Calls calls, Source<Q, M, E> source, long deadline) {
    this.calls = calls;
    this.deadline = deadline;
    this.outage = new Outage(calls, Timers.nanos(calls.policy.resumeWatchesFor()), deadline, ended);
    this.streams = new Streams<>(source);
  }

  /**
   * Waits for the next item. Returns false if the watch has ended or was closed.
   *
   * @throws GatewayException if the watch failed
   */
  @Override
  public boolean hasNext() {
    while (true) {
      if (closed) {
        return false;
      }
      if (!queue.isEmpty()) {
        return true;
      }
      if (failure != null) {
        throw failure;
      }
      if (over) {
        return false;
      }
      try {
        advance();
      } catch (GatewayException error) {
        if (closed) {
          return false;
        }
        failure = error;
        stop();
      }
    }
  }

  @Override
  public E next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return queue.remove();
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
    stop();
  }

  /** Ends the watch because the client was closed. A waiting reader reports the error. */
  void abort() {
    stop();
  }

  private void advance() {
    calls.checkOpen();
    try {
      if (!streams.advance()) {
        over = true;
        stop();
      }
    } catch (StatusRuntimeException cause) {
      streams.messages = null;
      if (closed) {
        return;
      }
      outage.endure(calls.error(cause));
    }
  }

  private void stop() {
    ended.countDown();
    Context.CancellableContext opened = stream;
    if (opened != null) {
      opened.cancel(null);
    }
    calls.ended(this);
  }
}
