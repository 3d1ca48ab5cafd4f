package io.github.hfgateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Called by a backend with its API key, for its browsers: no key has to reach a page.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class TokenServiceGrpc {

  private TokenServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.v1.TokenService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateWatchTokenRequest,
      io.github.hfgateway.v1.CreateWatchTokenResponse> getCreateWatchTokenMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateWatchToken",
      requestType = io.github.hfgateway.v1.CreateWatchTokenRequest.class,
      responseType = io.github.hfgateway.v1.CreateWatchTokenResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateWatchTokenRequest,
      io.github.hfgateway.v1.CreateWatchTokenResponse> getCreateWatchTokenMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateWatchTokenRequest, io.github.hfgateway.v1.CreateWatchTokenResponse> getCreateWatchTokenMethod;
    if ((getCreateWatchTokenMethod = TokenServiceGrpc.getCreateWatchTokenMethod) == null) {
      synchronized (TokenServiceGrpc.class) {
        if ((getCreateWatchTokenMethod = TokenServiceGrpc.getCreateWatchTokenMethod) == null) {
          TokenServiceGrpc.getCreateWatchTokenMethod = getCreateWatchTokenMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.CreateWatchTokenRequest, io.github.hfgateway.v1.CreateWatchTokenResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateWatchToken"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateWatchTokenRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateWatchTokenResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TokenServiceMethodDescriptorSupplier("CreateWatchToken"))
              .build();
        }
      }
    }
    return getCreateWatchTokenMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static TokenServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceStub>() {
        @java.lang.Override
        public TokenServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceStub(channel, callOptions);
        }
      };
    return TokenServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static TokenServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingV2Stub>() {
        @java.lang.Override
        public TokenServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return TokenServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static TokenServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingStub>() {
        @java.lang.Override
        public TokenServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceBlockingStub(channel, callOptions);
        }
      };
    return TokenServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static TokenServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceFutureStub>() {
        @java.lang.Override
        public TokenServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceFutureStub(channel, callOptions);
        }
      };
    return TokenServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Called by a backend with its API key, for its browsers: no key has to reach a page.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * A watch token goes where an API key goes ("authorization: Bearer hfw_…") and allows GetGeneration,
     * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations of what its filter matches, and nothing else:
     * other RPCs end with PERMISSION_DENIED (NOT_ALLOWED), other generations do not exist for it. It ends at its
     * expire_time, and with the API key that made it; so do the streams that it has opened (UNAUTHENTICATED).
     * Codes: INVALID_ARGUMENT for a filter without ids and labels, and for one with other fields; PERMISSION_DENIED for
     * a caller who has a watch token himself.
     * </pre>
     */
    default void createWatchToken(io.github.hfgateway.v1.CreateWatchTokenRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateWatchTokenResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateWatchTokenMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service TokenService.
   * <pre>
   * Called by a backend with its API key, for its browsers: no key has to reach a page.
   * </pre>
   */
  public static abstract class TokenServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return TokenServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service TokenService.
   * <pre>
   * Called by a backend with its API key, for its browsers: no key has to reach a page.
   * </pre>
   */
  public static final class TokenServiceStub
      extends io.grpc.stub.AbstractAsyncStub<TokenServiceStub> {
    private TokenServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * A watch token goes where an API key goes ("authorization: Bearer hfw_…") and allows GetGeneration,
     * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations of what its filter matches, and nothing else:
     * other RPCs end with PERMISSION_DENIED (NOT_ALLOWED), other generations do not exist for it. It ends at its
     * expire_time, and with the API key that made it; so do the streams that it has opened (UNAUTHENTICATED).
     * Codes: INVALID_ARGUMENT for a filter without ids and labels, and for one with other fields; PERMISSION_DENIED for
     * a caller who has a watch token himself.
     * </pre>
     */
    public void createWatchToken(io.github.hfgateway.v1.CreateWatchTokenRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateWatchTokenResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateWatchTokenMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service TokenService.
   * <pre>
   * Called by a backend with its API key, for its browsers: no key has to reach a page.
   * </pre>
   */
  public static final class TokenServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<TokenServiceBlockingV2Stub> {
    private TokenServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * A watch token goes where an API key goes ("authorization: Bearer hfw_…") and allows GetGeneration,
     * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations of what its filter matches, and nothing else:
     * other RPCs end with PERMISSION_DENIED (NOT_ALLOWED), other generations do not exist for it. It ends at its
     * expire_time, and with the API key that made it; so do the streams that it has opened (UNAUTHENTICATED).
     * Codes: INVALID_ARGUMENT for a filter without ids and labels, and for one with other fields; PERMISSION_DENIED for
     * a caller who has a watch token himself.
     * </pre>
     */
    public io.github.hfgateway.v1.CreateWatchTokenResponse createWatchToken(io.github.hfgateway.v1.CreateWatchTokenRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateWatchTokenMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service TokenService.
   * <pre>
   * Called by a backend with its API key, for its browsers: no key has to reach a page.
   * </pre>
   */
  public static final class TokenServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<TokenServiceBlockingStub> {
    private TokenServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * A watch token goes where an API key goes ("authorization: Bearer hfw_…") and allows GetGeneration,
     * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations of what its filter matches, and nothing else:
     * other RPCs end with PERMISSION_DENIED (NOT_ALLOWED), other generations do not exist for it. It ends at its
     * expire_time, and with the API key that made it; so do the streams that it has opened (UNAUTHENTICATED).
     * Codes: INVALID_ARGUMENT for a filter without ids and labels, and for one with other fields; PERMISSION_DENIED for
     * a caller who has a watch token himself.
     * </pre>
     */
    public io.github.hfgateway.v1.CreateWatchTokenResponse createWatchToken(io.github.hfgateway.v1.CreateWatchTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateWatchTokenMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service TokenService.
   * <pre>
   * Called by a backend with its API key, for its browsers: no key has to reach a page.
   * </pre>
   */
  public static final class TokenServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<TokenServiceFutureStub> {
    private TokenServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * A watch token goes where an API key goes ("authorization: Bearer hfw_…") and allows GetGeneration,
     * ListGenerations, WaitGeneration, WatchGeneration and WatchGenerations of what its filter matches, and nothing else:
     * other RPCs end with PERMISSION_DENIED (NOT_ALLOWED), other generations do not exist for it. It ends at its
     * expire_time, and with the API key that made it; so do the streams that it has opened (UNAUTHENTICATED).
     * Codes: INVALID_ARGUMENT for a filter without ids and labels, and for one with other fields; PERMISSION_DENIED for
     * a caller who has a watch token himself.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.CreateWatchTokenResponse> createWatchToken(
        io.github.hfgateway.v1.CreateWatchTokenRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateWatchTokenMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_WATCH_TOKEN = 0;

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
        case METHODID_CREATE_WATCH_TOKEN:
          serviceImpl.createWatchToken((io.github.hfgateway.v1.CreateWatchTokenRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateWatchTokenResponse>) responseObserver);
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
          getCreateWatchTokenMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.CreateWatchTokenRequest,
              io.github.hfgateway.v1.CreateWatchTokenResponse>(
                service, METHODID_CREATE_WATCH_TOKEN)))
        .build();
  }

  private static abstract class TokenServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    TokenServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.v1.TokenServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("TokenService");
    }
  }

  private static final class TokenServiceFileDescriptorSupplier
      extends TokenServiceBaseDescriptorSupplier {
    TokenServiceFileDescriptorSupplier() {}
  }

  private static final class TokenServiceMethodDescriptorSupplier
      extends TokenServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    TokenServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (TokenServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new TokenServiceFileDescriptorSupplier())
              .addMethod(getCreateWatchTokenMethod())
              .build();
        }
      }
    }
    return result;
  }
}
