package io.github.hfgateway.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import com.google.protobuf.TextFormat;
import io.github.hfgateway.v1.*;
import io.grpc.MethodDescriptor;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A call that may be repeated: its requests, and the items in its messages. */
final class Exchange<Q extends Message, M, E> {
  /** The methods of all services. The type of a request names its method. */
  private static final Map<Class<?>, MethodDescriptor<?, ?>> METHODS =
      Stream.of(
              CallbackServiceGrpc.getServiceDescriptor(), CatalogServiceGrpc.getServiceDescriptor(),
              CharacterServiceGrpc.getServiceDescriptor(), GenerationServiceGrpc.getServiceDescriptor(),
              TokenServiceGrpc.getServiceDescriptor(), UploadServiceGrpc.getServiceDescriptor())
          .flatMap(service -> service.getMethods().stream())
          .collect(Collectors.toMap(Exchange::requestOf, Function.identity()));

  final MethodDescriptor<Q, M> method;
  private final Reader<Q, M, E> reader;

  /** The request from which the call continues. */
  Q request;

  /** Returns what the next attempt sends. */
  Supplier<Q> attempt = () -> request;

  /** The last item, if the reader needs it. */
  E last;

  /** Whether nothing follows what was received. */
  boolean done;

  /** Whether the gateway may end a stream that is not done. */
  boolean mayEnd;

  /** Creates a call of the method that takes this request. {@code last} is null if it is not known, or not needed. */
  @SuppressWarnings("unchecked") // the caller names the response of its request
  Exchange(Q request, E last, boolean mayEnd, Reader<Q, M, E> reader) {
    // The encoding would have a question mark in place of a surrogate without its pair.
    String texts = TextFormat.printer().escapingNonAscii(false).printToString(request);
    if (!UTF_8.newEncoder().canEncode(texts)) throw new IllegalArgumentException("a text has half of a surrogate pair");
    this.method = (MethodDescriptor<Q, M>) METHODS.get(request.getClass());
    this.reader = reader;
    this.request = request;
    this.last = last;
    this.mayEnd = mayEnd;
  }

  /** Returns the items of a message. It may change the request, and whether the exchange is done. */
  interface Reader<Q extends Message, M, E> {
    List<E> read(Exchange<Q, M, E> exchange, M message);
  }

  private static Class<?> requestOf(MethodDescriptor<?, ?> method) {
    return ((MethodDescriptor.ReflectableMarshaller<?>) method.getRequestMarshaller()).getMessageClass();
  }

  /** Returns the items of a message. */
  List<E> received(M message) {
    return reader.read(this, message);
  }

  /** A unary call, or those of a list, whose pages have the token of the next one. All lists have the same fields. */
  @SuppressWarnings("unchecked")
  static <Q extends Message, A extends Message, E> Exchange<Q, A, E> unary(Q request, Function<A, List<E>> items) {
    return new Exchange<>(request, null, false, (exchange, response) -> {
      FieldDescriptor next = response.getDescriptorForType().findFieldByName("next_page_token");
      Object token = next == null ? "" : response.getField(next);
      exchange.done = token.equals("");
      if (!exchange.done) {
        FieldDescriptor page = request.getDescriptorForType().findFieldByName("page_token");
        exchange.request = (Q) request.toBuilder().setField(page, token).build();
      }
      return items.apply(response);
    });
  }
}
