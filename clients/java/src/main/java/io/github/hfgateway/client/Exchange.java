package io.github.hfgateway.client;

import io.grpc.MethodDescriptor;
import java.util.List;

/** A call that may be repeated: its requests, and the items in its messages. */
interface Exchange<Q, M, E> {
  MethodDescriptor<Q, M> method();

  /** Returns the request of the next attempt. */
  Q request();

  /** Returns the items of a message. */
  List<E> received(M message);

  /** Returns whether nothing follows what was received. */
  boolean isDone();

  /** A unary call. */
  record Unary<Q, A>(MethodDescriptor<Q, A> method, Q request) implements Exchange<Q, A, A> {
    @Override
    public List<A> received(A response) {
      return List.of(response);
    }

    @Override
    public boolean isDone() {
      return true;
    }
  }
}
