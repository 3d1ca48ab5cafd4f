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
 * What a watch tells, one after the other, over all the streams that it takes. It is read by one thread; {@link #close} may
 * be called by any: {@link #hasNext} is false then, and that ends the stream at the gateway and nothing else.
 */
public final class Watch<E> implements Iterator<E>, AutoCloseable {

  /** What is asked, and what is made of the answers. */
  interface Source<Q, M, E> {
    MethodDescriptor<Q, M> method();

    /** What opens the next stream. */
    Q request();

    /** What to tell before the first message of a stream. */
    List<E> opened();

    /** What a message tells. */
    List<E> received(M message);

    /** Nothing comes after what was received. */
    boolean isDone();
  }

  /** One stream of one source, with its types. */
  private final class Streams<Q, M> {
    private final Source<Q, M, E> source;
    private Iterator<M> messages;

    Streams(Source<Q, M, E> source) {
      this.source = source;
    }

    /** Waits for one message, and queues what it tells; false where there is none to come. */
    boolean advance() {
      if (messages == null) {
        queue.addAll(source.opened());
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

  /** Waits until there is something to tell, or there never will be. Throws {@link GatewayException} where it failed. */
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

  /** The rest of it, as a stream that closes the watch when it is closed. */
  public Stream<E> stream() {
    int kind = Spliterator.ORDERED | Spliterator.NONNULL;
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(this, kind), false).onClose(this::close);
  }

  /** Leaves it. */
  @Override
  public void close() {
    closed = true;
    stop();
  }

  /** The client was closed: that is told by whoever waits. */
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
