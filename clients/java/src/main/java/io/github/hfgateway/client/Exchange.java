package io.github.hfgateway.client;

import io.grpc.MethodDescriptor;
import java.util.List;

/** A call that may be repeated: its requests, and the items in its messages. */
abstract class Exchange<Q, M, E> {
  final MethodDescriptor<Q, M> method;

  /** The request of the next attempt. */
  Q request;

  /** Whether nothing follows what was received. */
  boolean done;

  Exchange(MethodDescriptor<Q, M> method, Q request) {
    this.method = method;
    this.request = request;
  }

  /** Returns the items of a message. */
  abstract List<E> received(M message);

  /** A unary call. */
  static final class Unary<Q, A> extends Exchange<Q, A, A> {
    Unary(MethodDescriptor<Q, A> method, Q request) {
      super(method, request);
    }

    @Override
    List<A> received(A response) {
      done = true;
      return List.of(response);
    }
  }
}
