package io.github.hfgateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
 * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class CharacterServiceGrpc {

  private CharacterServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.v1.CharacterService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateCharacterRequest,
      io.github.hfgateway.v1.CreateCharacterResponse> getCreateCharacterMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateCharacter",
      requestType = io.github.hfgateway.v1.CreateCharacterRequest.class,
      responseType = io.github.hfgateway.v1.CreateCharacterResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateCharacterRequest,
      io.github.hfgateway.v1.CreateCharacterResponse> getCreateCharacterMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateCharacterRequest, io.github.hfgateway.v1.CreateCharacterResponse> getCreateCharacterMethod;
    if ((getCreateCharacterMethod = CharacterServiceGrpc.getCreateCharacterMethod) == null) {
      synchronized (CharacterServiceGrpc.class) {
        if ((getCreateCharacterMethod = CharacterServiceGrpc.getCreateCharacterMethod) == null) {
          CharacterServiceGrpc.getCreateCharacterMethod = getCreateCharacterMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.CreateCharacterRequest, io.github.hfgateway.v1.CreateCharacterResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateCharacter"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateCharacterRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateCharacterResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CharacterServiceMethodDescriptorSupplier("CreateCharacter"))
              .build();
        }
      }
    }
    return getCreateCharacterMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetCharacterRequest,
      io.github.hfgateway.v1.GetCharacterResponse> getGetCharacterMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetCharacter",
      requestType = io.github.hfgateway.v1.GetCharacterRequest.class,
      responseType = io.github.hfgateway.v1.GetCharacterResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetCharacterRequest,
      io.github.hfgateway.v1.GetCharacterResponse> getGetCharacterMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetCharacterRequest, io.github.hfgateway.v1.GetCharacterResponse> getGetCharacterMethod;
    if ((getGetCharacterMethod = CharacterServiceGrpc.getGetCharacterMethod) == null) {
      synchronized (CharacterServiceGrpc.class) {
        if ((getGetCharacterMethod = CharacterServiceGrpc.getGetCharacterMethod) == null) {
          CharacterServiceGrpc.getGetCharacterMethod = getGetCharacterMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.GetCharacterRequest, io.github.hfgateway.v1.GetCharacterResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetCharacter"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetCharacterRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetCharacterResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CharacterServiceMethodDescriptorSupplier("GetCharacter"))
              .build();
        }
      }
    }
    return getGetCharacterMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListCharactersRequest,
      io.github.hfgateway.v1.ListCharactersResponse> getListCharactersMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListCharacters",
      requestType = io.github.hfgateway.v1.ListCharactersRequest.class,
      responseType = io.github.hfgateway.v1.ListCharactersResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListCharactersRequest,
      io.github.hfgateway.v1.ListCharactersResponse> getListCharactersMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListCharactersRequest, io.github.hfgateway.v1.ListCharactersResponse> getListCharactersMethod;
    if ((getListCharactersMethod = CharacterServiceGrpc.getListCharactersMethod) == null) {
      synchronized (CharacterServiceGrpc.class) {
        if ((getListCharactersMethod = CharacterServiceGrpc.getListCharactersMethod) == null) {
          CharacterServiceGrpc.getListCharactersMethod = getListCharactersMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListCharactersRequest, io.github.hfgateway.v1.ListCharactersResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListCharacters"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListCharactersRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListCharactersResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CharacterServiceMethodDescriptorSupplier("ListCharacters"))
              .build();
        }
      }
    }
    return getListCharactersMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteCharacterRequest,
      io.github.hfgateway.v1.DeleteCharacterResponse> getDeleteCharacterMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteCharacter",
      requestType = io.github.hfgateway.v1.DeleteCharacterRequest.class,
      responseType = io.github.hfgateway.v1.DeleteCharacterResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteCharacterRequest,
      io.github.hfgateway.v1.DeleteCharacterResponse> getDeleteCharacterMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteCharacterRequest, io.github.hfgateway.v1.DeleteCharacterResponse> getDeleteCharacterMethod;
    if ((getDeleteCharacterMethod = CharacterServiceGrpc.getDeleteCharacterMethod) == null) {
      synchronized (CharacterServiceGrpc.class) {
        if ((getDeleteCharacterMethod = CharacterServiceGrpc.getDeleteCharacterMethod) == null) {
          CharacterServiceGrpc.getDeleteCharacterMethod = getDeleteCharacterMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.DeleteCharacterRequest, io.github.hfgateway.v1.DeleteCharacterResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteCharacter"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.DeleteCharacterRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.DeleteCharacterResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CharacterServiceMethodDescriptorSupplier("DeleteCharacter"))
              .build();
        }
      }
    }
    return getDeleteCharacterMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchCharacterRequest,
      io.github.hfgateway.v1.WatchCharacterResponse> getWatchCharacterMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchCharacter",
      requestType = io.github.hfgateway.v1.WatchCharacterRequest.class,
      responseType = io.github.hfgateway.v1.WatchCharacterResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchCharacterRequest,
      io.github.hfgateway.v1.WatchCharacterResponse> getWatchCharacterMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchCharacterRequest, io.github.hfgateway.v1.WatchCharacterResponse> getWatchCharacterMethod;
    if ((getWatchCharacterMethod = CharacterServiceGrpc.getWatchCharacterMethod) == null) {
      synchronized (CharacterServiceGrpc.class) {
        if ((getWatchCharacterMethod = CharacterServiceGrpc.getWatchCharacterMethod) == null) {
          CharacterServiceGrpc.getWatchCharacterMethod = getWatchCharacterMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.WatchCharacterRequest, io.github.hfgateway.v1.WatchCharacterResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchCharacter"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WatchCharacterRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WatchCharacterResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CharacterServiceMethodDescriptorSupplier("WatchCharacter"))
              .build();
        }
      }
    }
    return getWatchCharacterMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static CharacterServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CharacterServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CharacterServiceStub>() {
        @java.lang.Override
        public CharacterServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CharacterServiceStub(channel, callOptions);
        }
      };
    return CharacterServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static CharacterServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CharacterServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CharacterServiceBlockingV2Stub>() {
        @java.lang.Override
        public CharacterServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CharacterServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return CharacterServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static CharacterServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CharacterServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CharacterServiceBlockingStub>() {
        @java.lang.Override
        public CharacterServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CharacterServiceBlockingStub(channel, callOptions);
        }
      };
    return CharacterServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static CharacterServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CharacterServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CharacterServiceFutureStub>() {
        @java.lang.Override
        public CharacterServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CharacterServiceFutureStub(channel, callOptions);
        }
      };
    return CharacterServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
   * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Starts training. Safe to repeat with the same idempotency_key, though Higgsfield takes none: a lost answer is
     * looked up there, never sent again.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (INSUFFICIENT_CREDITS), ABORTED (SUBMISSION_UNRESOLVED), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    default void createCharacter(io.github.hfgateway.v1.CreateCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateCharacterResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateCharacterMethod(), responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void getCharacter(io.github.hfgateway.v1.GetCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetCharacterResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetCharacterMethod(), responseObserver);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    default void listCharacters(io.github.hfgateway.v1.ListCharactersRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListCharactersResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListCharactersMethod(), responseObserver);
    }

    /**
     * <pre>
     * Again on a deleted one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void deleteCharacter(io.github.hfgateway.v1.DeleteCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteCharacterResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteCharacterMethod(), responseObserver);
    }

    /**
     * <pre>
     * First the present state, then changes. Ends with OK after the one that is done; with UNAVAILABLE when the gateway
     * drains or the stream gets old: watch again.
     * Codes: NOT_FOUND before the first message, or when it is deleted.
     * </pre>
     */
    default void watchCharacter(io.github.hfgateway.v1.WatchCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchCharacterResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchCharacterMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service CharacterService.
   * <pre>
   * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
   * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static abstract class CharacterServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return CharacterServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service CharacterService.
   * <pre>
   * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
   * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class CharacterServiceStub
      extends io.grpc.stub.AbstractAsyncStub<CharacterServiceStub> {
    private CharacterServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CharacterServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CharacterServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts training. Safe to repeat with the same idempotency_key, though Higgsfield takes none: a lost answer is
     * looked up there, never sent again.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (INSUFFICIENT_CREDITS), ABORTED (SUBMISSION_UNRESOLVED), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public void createCharacter(io.github.hfgateway.v1.CreateCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateCharacterResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateCharacterMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void getCharacter(io.github.hfgateway.v1.GetCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetCharacterResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetCharacterMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public void listCharacters(io.github.hfgateway.v1.ListCharactersRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListCharactersResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListCharactersMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Again on a deleted one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void deleteCharacter(io.github.hfgateway.v1.DeleteCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteCharacterResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteCharacterMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * First the present state, then changes. Ends with OK after the one that is done; with UNAVAILABLE when the gateway
     * drains or the stream gets old: watch again.
     * Codes: NOT_FOUND before the first message, or when it is deleted.
     * </pre>
     */
    public void watchCharacter(io.github.hfgateway.v1.WatchCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchCharacterResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchCharacterMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service CharacterService.
   * <pre>
   * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
   * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class CharacterServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<CharacterServiceBlockingV2Stub> {
    private CharacterServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CharacterServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CharacterServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts training. Safe to repeat with the same idempotency_key, though Higgsfield takes none: a lost answer is
     * looked up there, never sent again.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (INSUFFICIENT_CREDITS), ABORTED (SUBMISSION_UNRESOLVED), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public io.github.hfgateway.v1.CreateCharacterResponse createCharacter(io.github.hfgateway.v1.CreateCharacterRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.GetCharacterResponse getCharacter(io.github.hfgateway.v1.GetCharacterRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public io.github.hfgateway.v1.ListCharactersResponse listCharacters(io.github.hfgateway.v1.ListCharactersRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListCharactersMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Again on a deleted one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.DeleteCharacterResponse deleteCharacter(io.github.hfgateway.v1.DeleteCharacterRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * First the present state, then changes. Ends with OK after the one that is done; with UNAVAILABLE when the gateway
     * drains or the stream gets old: watch again.
     * Codes: NOT_FOUND before the first message, or when it is deleted.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.hfgateway.v1.WatchCharacterResponse>
        watchCharacter(io.github.hfgateway.v1.WatchCharacterRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchCharacterMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service CharacterService.
   * <pre>
   * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
   * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class CharacterServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<CharacterServiceBlockingStub> {
    private CharacterServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CharacterServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CharacterServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts training. Safe to repeat with the same idempotency_key, though Higgsfield takes none: a lost answer is
     * looked up there, never sent again.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (INSUFFICIENT_CREDITS), ABORTED (SUBMISSION_UNRESOLVED), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public io.github.hfgateway.v1.CreateCharacterResponse createCharacter(io.github.hfgateway.v1.CreateCharacterRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.GetCharacterResponse getCharacter(io.github.hfgateway.v1.GetCharacterRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public io.github.hfgateway.v1.ListCharactersResponse listCharacters(io.github.hfgateway.v1.ListCharactersRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListCharactersMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Again on a deleted one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.DeleteCharacterResponse deleteCharacter(io.github.hfgateway.v1.DeleteCharacterRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * First the present state, then changes. Ends with OK after the one that is done; with UNAVAILABLE when the gateway
     * drains or the stream gets old: watch again.
     * Codes: NOT_FOUND before the first message, or when it is deleted.
     * </pre>
     */
    public java.util.Iterator<io.github.hfgateway.v1.WatchCharacterResponse> watchCharacter(
        io.github.hfgateway.v1.WatchCharacterRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchCharacterMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service CharacterService.
   * <pre>
   * Characters (Soul IDs, custom references): faces that stay the same over generations. Training is paid.
   * Every RPC can also end with UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class CharacterServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<CharacterServiceFutureStub> {
    private CharacterServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CharacterServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CharacterServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts training. Safe to repeat with the same idempotency_key, though Higgsfield takes none: a lost answer is
     * looked up there, never sent again.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (INSUFFICIENT_CREDITS), ABORTED (SUBMISSION_UNRESOLVED), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.CreateCharacterResponse> createCharacter(
        io.github.hfgateway.v1.CreateCharacterRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateCharacterMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.GetCharacterResponse> getCharacter(
        io.github.hfgateway.v1.GetCharacterRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetCharacterMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListCharactersResponse> listCharacters(
        io.github.hfgateway.v1.ListCharactersRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListCharactersMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Again on a deleted one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.DeleteCharacterResponse> deleteCharacter(
        io.github.hfgateway.v1.DeleteCharacterRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteCharacterMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_CHARACTER = 0;
  private static final int METHODID_GET_CHARACTER = 1;
  private static final int METHODID_LIST_CHARACTERS = 2;
  private static final int METHODID_DELETE_CHARACTER = 3;
  private static final int METHODID_WATCH_CHARACTER = 4;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_CREATE_CHARACTER:
          serviceImpl.createCharacter((io.github.hfgateway.v1.CreateCharacterRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateCharacterResponse>) responseObserver);
          break;
        case METHODID_GET_CHARACTER:
          serviceImpl.getCharacter((io.github.hfgateway.v1.GetCharacterRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetCharacterResponse>) responseObserver);
          break;
        case METHODID_LIST_CHARACTERS:
          serviceImpl.listCharacters((io.github.hfgateway.v1.ListCharactersRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListCharactersResponse>) responseObserver);
          break;
        case METHODID_DELETE_CHARACTER:
          serviceImpl.deleteCharacter((io.github.hfgateway.v1.DeleteCharacterRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteCharacterResponse>) responseObserver);
          break;
        case METHODID_WATCH_CHARACTER:
          serviceImpl.watchCharacter((io.github.hfgateway.v1.WatchCharacterRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchCharacterResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getCreateCharacterMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.CreateCharacterRequest,
              io.github.hfgateway.v1.CreateCharacterResponse>(
                service, METHODID_CREATE_CHARACTER)))
        .addMethod(
          getGetCharacterMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.GetCharacterRequest,
              io.github.hfgateway.v1.GetCharacterResponse>(
                service, METHODID_GET_CHARACTER)))
        .addMethod(
          getListCharactersMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListCharactersRequest,
              io.github.hfgateway.v1.ListCharactersResponse>(
                service, METHODID_LIST_CHARACTERS)))
        .addMethod(
          getDeleteCharacterMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.DeleteCharacterRequest,
              io.github.hfgateway.v1.DeleteCharacterResponse>(
                service, METHODID_DELETE_CHARACTER)))
        .addMethod(
          getWatchCharacterMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.hfgateway.v1.WatchCharacterRequest,
              io.github.hfgateway.v1.WatchCharacterResponse>(
                service, METHODID_WATCH_CHARACTER)))
        .build();
  }

  private static abstract class CharacterServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    CharacterServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.v1.CharacterServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("CharacterService");
    }
  }

  private static final class CharacterServiceFileDescriptorSupplier
      extends CharacterServiceBaseDescriptorSupplier {
    CharacterServiceFileDescriptorSupplier() {}
  }

  private static final class CharacterServiceMethodDescriptorSupplier
      extends CharacterServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    CharacterServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (CharacterServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new CharacterServiceFileDescriptorSupplier())
              .addMethod(getCreateCharacterMethod())
              .addMethod(getGetCharacterMethod())
              .addMethod(getListCharactersMethod())
              .addMethod(getDeleteCharacterMethod())
              .addMethod(getWatchCharacterMethod())
              .build();
        }
      }
    }
    return result;
  }
}
