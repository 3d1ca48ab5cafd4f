package io.github.hfgateway.client;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import io.github.hfgateway.agents.v1alpha1.AgentServiceGrpc;
import io.github.hfgateway.v1.CallbackServiceGrpc;
import io.github.hfgateway.v1.CatalogServiceGrpc;
import io.github.hfgateway.v1.CharacterServiceGrpc;
import io.github.hfgateway.v1.Failure;
import io.github.hfgateway.v1.GenerationServiceGrpc;
import io.github.hfgateway.v1.TokenServiceGrpc;
import io.github.hfgateway.v1.UploadServiceGrpc;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.okhttp.OkHttpServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;

/** A scripted server: each call takes the next script, whatever its method. Records the requests. */
final class ScriptedGateway implements AutoCloseable {
  /** The handler of one call. */
  interface Script {
    void play(Message request, ServerCallStreamObserver<Message> caller) throws Exception;
  }

  static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  /** Every message of every call, in order of arrival. */
  final List<Message> requests = new CopyOnWriteArrayList<>();

  /** The headers of every call. */
  final List<Metadata> headers = new CopyOnWriteArrayList<>();

  /** The names of calls that the client left before they ended. */
  final BlockingQueue<String> left = new LinkedBlockingQueue<>();

  private final BlockingQueue<Script> scripts = new LinkedBlockingQueue<>();
  private final Server server;
  private volatile boolean early;

  ScriptedGateway() throws IOException {
    InetSocketAddress address = new InetSocketAddress("127.0.0.1", 0);
    server =
        OkHttpServerBuilder.forPort(address, InsecureServerCredentials.create())
            .intercept(
                new ServerInterceptor() {
                  @Override
                  public <Q, A> ServerCall.Listener<Q> interceptCall(
                      ServerCall<Q, A> call, Metadata received, ServerCallHandler<Q, A> next) {
                    headers.add(received);
                    return Contexts.interceptCall(Context.current(), call, received, next);
                  }
                })
            .addService(definition(AgentServiceGrpc.getServiceDescriptor()))
            .addService(definition(CallbackServiceGrpc.getServiceDescriptor()))
            .addService(definition(CatalogServiceGrpc.getServiceDescriptor()))
            .addService(definition(CharacterServiceGrpc.getServiceDescriptor()))
            .addService(definition(GenerationServiceGrpc.getServiceDescriptor()))
            .addService(definition(TokenServiceGrpc.getServiceDescriptor()))
            .addService(definition(UploadServiceGrpc.getServiceDescriptor()))
            .build()
            .start();
  }

  String address() {
    return "127.0.0.1:" + server.getPort();
  }

  /** Returns a client with this clock. */
  HfGatewayClient client(ManualTimers timers) {
    return HfGatewayClient.builder(address()).timers(timers).build();
  }

  /** Adds the script of the next call. */
  ScriptedGateway then(Script script) {
    scripts.add(script);
    return this;
  }

  /** The next call gets these messages, and ends with OK. */
  ScriptedGateway answers(Message... messages) {
    return then(
        (request, caller) -> {
          List.of(messages).forEach(caller::onNext);
          caller.onCompleted();
        });
  }

  /** The next call gets these messages, and ends with an error. */
  ScriptedGateway fails(StatusRuntimeException error, Message... messages) {
    return then(
        (request, caller) -> {
          List.of(messages).forEach(caller::onNext);
          caller.onError(error);
        });
  }

  /** The next call gets these messages, and no end. */
  ScriptedGateway holds(Message... messages) {
    return then((request, caller) -> List.of(messages).forEach(caller::onNext));
  }

  /** Returns an error of the gateway, or of the transport if it has no reason. */
  static StatusRuntimeException error(Status.Code code, String reason, Double retryDelay) {
    if (reason.isEmpty() && retryDelay == null) {
      return code.toStatus().withDescription("refused").asRuntimeException();
    }
    Failure.Builder failure = Failure.newBuilder().setMessage("refused");
    if (retryDelay != null) {
      failure.setRetryDelay(Durations.of(ManualTimers.seconds(retryDelay)));
    }
    com.google.rpc.Status status =
        com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .addDetails(Any.pack(failure.build()))
            .addDetails(Any.pack(ErrorInfo.newBuilder().setReason(reason).setDomain("hfgateway").build()))
            .build();
    return error(code, "refused", status.toByteString());
  }

  /** Returns an error of the gateway. */
  static StatusRuntimeException error(Status.Code code, String reason) {
    return error(code, reason, (Double) null);
  }

  /** Returns an error with these details. */
  static StatusRuntimeException error(Status.Code code, String message, ByteString details) {
    Metadata trailers = new Metadata();
    if (!details.isEmpty()) {
      trailers.put(DETAILS, details.toByteArray());
    }
    return code.toStatus().withDescription(message).asRuntimeException(trailers);
  }

  /** Makes an upload take its script at its second message, instead of at its end. */
  ScriptedGateway endsUploadsEarly() {
    early = true;
    return this;
  }

  int scriptsLeft() {
    return scripts.size();
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private ServerServiceDefinition definition(ServiceDescriptor service) {
    ServerServiceDefinition.Builder definition = ServerServiceDefinition.builder(service);
    for (MethodDescriptor<?, ?> method : service.getMethods()) {
      // All messages are of this type.
      @SuppressWarnings("unchecked")
      MethodDescriptor<Message, Message> ours = (MethodDescriptor<Message, Message>) method;
      definition.addMethod(ours, handler(ours));
    }
    return definition.build();
  }

  private ServerCallHandler<Message, Message> handler(MethodDescriptor<Message, Message> method) {
    return switch (method.getType()) {
      case UNARY -> ServerCalls.asyncUnaryCall((request, caller) -> taken(method, request, caller));
      case SERVER_STREAMING ->
          ServerCalls.asyncServerStreamingCall((request, caller) -> taken(method, request, caller));
      default -> ServerCalls.asyncClientStreamingCall(caller -> uploaded(method, caller));
    };
  }

  private void taken(MethodDescriptor<?, ?> method, Message request, StreamObserver<Message> caller) {
    requests.add(request);
    play(method, request, caller);
  }

  private StreamObserver<Message> uploaded(MethodDescriptor<?, ?> method, StreamObserver<Message> caller) {
    ((ServerCallStreamObserver<Message>) caller).setOnCancelHandler(() -> left.add(method.getBareMethodName()));
    return new StreamObserver<>() {
      @Override
      public void onNext(Message part) {
        requests.add(part);
        if (early && requests.size() == 2) {
          play(method, null, caller);
        }
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        if (!early) {
          play(method, null, caller);
        }
      }
    };
  }

  private void play(MethodDescriptor<?, ?> method, Message request, StreamObserver<Message> observer) {
    ServerCallStreamObserver<Message> caller = (ServerCallStreamObserver<Message>) observer;
    if (request != null) {
      caller.setOnCancelHandler(() -> left.add(method.getBareMethodName()));
    }
    Script script = scripts.poll();
    if (script == null) {
      caller.onError(Status.UNIMPLEMENTED.withDescription("no script is left").asRuntimeException());
      return;
    }
    try {
      script.play(request, caller);
    } catch (Exception error) {
      caller.onError(Status.UNKNOWN.withDescription(error.toString()).asRuntimeException());
    }
  }
}
