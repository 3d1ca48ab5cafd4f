package io.github.hfgateway.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.github.hfgateway.v1.*;
import io.grpc.MethodDescriptor;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A call that may be repeated: its requests, and the items in its messages. */
abstract class Exchange<Q extends Message, M, E> {
  /** The methods of all services. The type of a request names its method. */
  private static final Map<Class<?>, MethodDescriptor<?, ?>> METHODS =
      Stream.of(
              CallbackServiceGrpc.getServiceDescriptor(),
              CatalogServiceGrpc.getServiceDescriptor(),
              CharacterServiceGrpc.getServiceDescriptor(),
              GenerationServiceGrpc.getServiceDescriptor(),
              TokenServiceGrpc.getServiceDescriptor(),
              UploadServiceGrpc.getServiceDescriptor())
          .flatMap(service -> service.getMethods().stream())
          .collect(Collectors.toMap(Exchange::requestOf, Function.identity()));

  final MethodDescriptor<Q, M> method;

  /** The request of the next attempt. */
  Q request;

  /** Whether nothing follows what was received. */
  boolean done;

  @SuppressWarnings("unchecked") // each subclass names the response of its request
  Exchange(Q request) {
    this.method = (MethodDescriptor<Q, M>) METHODS.get(request.getClass());
    this.request = request;
  }

  private static Class<?> requestOf(MethodDescriptor<?, ?> method) {
    return ((MethodDescriptor.ReflectableMarshaller<?>) method.getRequestMarshaller()).getMessageClass();
  }

  /** Returns the items of a message. */
  abstract List<E> received(M message);

  /** A unary call, or those of a list, whose pages have the token of the next one. All lists have the same fields. */
  static final class Unary<Q extends Message, A extends Message, E> extends Exchange<Q, A, E> {
    private final Function<A, List<E>> items;

    Unary(Q request, Function<A, List<E>> items) {
      super(request);
      this.items = items;
    }

    @Override
    @SuppressWarnings("unchecked")
    List<E> received(A response) {
      FieldDescriptor next = response.getDescriptorForType().findFieldByName("next_page_token");
      Object token = next == null ? "" : response.getField(next);
      FieldDescriptor page = request.getDescriptorForType().findFieldByName("page_token");
      done = token.equals("");
      request = done ? request : (Q) request.toBuilder().setField(page, token).build();
      return items.apply(response);
    }
  }
}
