package io.github.hfgateway.admin.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
 * public ports; ids of all tenants count.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AdminServiceGrpc {

  private AdminServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.admin.v1.AdminService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveGenerationRequest,
      io.github.hfgateway.admin.v1.ResolveGenerationResponse> getResolveGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResolveGeneration",
      requestType = io.github.hfgateway.admin.v1.ResolveGenerationRequest.class,
      responseType = io.github.hfgateway.admin.v1.ResolveGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveGenerationRequest,
      io.github.hfgateway.admin.v1.ResolveGenerationResponse> getResolveGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveGenerationRequest, io.github.hfgateway.admin.v1.ResolveGenerationResponse> getResolveGenerationMethod;
    if ((getResolveGenerationMethod = AdminServiceGrpc.getResolveGenerationMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getResolveGenerationMethod = AdminServiceGrpc.getResolveGenerationMethod) == null) {
          AdminServiceGrpc.getResolveGenerationMethod = getResolveGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.ResolveGenerationRequest, io.github.hfgateway.admin.v1.ResolveGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResolveGeneration"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ResolveGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ResolveGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ResolveGeneration"))
              .build();
        }
      }
    }
    return getResolveGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ListUnresolvedRequest,
      io.github.hfgateway.admin.v1.ListUnresolvedResponse> getListUnresolvedMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListUnresolved",
      requestType = io.github.hfgateway.admin.v1.ListUnresolvedRequest.class,
      responseType = io.github.hfgateway.admin.v1.ListUnresolvedResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ListUnresolvedRequest,
      io.github.hfgateway.admin.v1.ListUnresolvedResponse> getListUnresolvedMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ListUnresolvedRequest, io.github.hfgateway.admin.v1.ListUnresolvedResponse> getListUnresolvedMethod;
    if ((getListUnresolvedMethod = AdminServiceGrpc.getListUnresolvedMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListUnresolvedMethod = AdminServiceGrpc.getListUnresolvedMethod) == null) {
          AdminServiceGrpc.getListUnresolvedMethod = getListUnresolvedMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.ListUnresolvedRequest, io.github.hfgateway.admin.v1.ListUnresolvedResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListUnresolved"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ListUnresolvedRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ListUnresolvedResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListUnresolved"))
              .build();
        }
      }
    }
    return getListUnresolvedMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveCharacterRequest,
      io.github.hfgateway.admin.v1.ResolveCharacterResponse> getResolveCharacterMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResolveCharacter",
      requestType = io.github.hfgateway.admin.v1.ResolveCharacterRequest.class,
      responseType = io.github.hfgateway.admin.v1.ResolveCharacterResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveCharacterRequest,
      io.github.hfgateway.admin.v1.ResolveCharacterResponse> getResolveCharacterMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveCharacterRequest, io.github.hfgateway.admin.v1.ResolveCharacterResponse> getResolveCharacterMethod;
    if ((getResolveCharacterMethod = AdminServiceGrpc.getResolveCharacterMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getResolveCharacterMethod = AdminServiceGrpc.getResolveCharacterMethod) == null) {
          AdminServiceGrpc.getResolveCharacterMethod = getResolveCharacterMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.ResolveCharacterRequest, io.github.hfgateway.admin.v1.ResolveCharacterResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResolveCharacter"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ResolveCharacterRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ResolveCharacterResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ResolveCharacter"))
              .build();
        }
      }
    }
    return getResolveCharacterMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveMessageRequest,
      io.github.hfgateway.admin.v1.ResolveMessageResponse> getResolveMessageMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResolveMessage",
      requestType = io.github.hfgateway.admin.v1.ResolveMessageRequest.class,
      responseType = io.github.hfgateway.admin.v1.ResolveMessageResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveMessageRequest,
      io.github.hfgateway.admin.v1.ResolveMessageResponse> getResolveMessageMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ResolveMessageRequest, io.github.hfgateway.admin.v1.ResolveMessageResponse> getResolveMessageMethod;
    if ((getResolveMessageMethod = AdminServiceGrpc.getResolveMessageMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getResolveMessageMethod = AdminServiceGrpc.getResolveMessageMethod) == null) {
          AdminServiceGrpc.getResolveMessageMethod = getResolveMessageMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.ResolveMessageRequest, io.github.hfgateway.admin.v1.ResolveMessageResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResolveMessage"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ResolveMessageRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ResolveMessageResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ResolveMessage"))
              .build();
        }
      }
    }
    return getResolveMessageMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.CreateApiKeyRequest,
      io.github.hfgateway.admin.v1.CreateApiKeyResponse> getCreateApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateApiKey",
      requestType = io.github.hfgateway.admin.v1.CreateApiKeyRequest.class,
      responseType = io.github.hfgateway.admin.v1.CreateApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.CreateApiKeyRequest,
      io.github.hfgateway.admin.v1.CreateApiKeyResponse> getCreateApiKeyMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.CreateApiKeyRequest, io.github.hfgateway.admin.v1.CreateApiKeyResponse> getCreateApiKeyMethod;
    if ((getCreateApiKeyMethod = AdminServiceGrpc.getCreateApiKeyMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getCreateApiKeyMethod = AdminServiceGrpc.getCreateApiKeyMethod) == null) {
          AdminServiceGrpc.getCreateApiKeyMethod = getCreateApiKeyMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.CreateApiKeyRequest, io.github.hfgateway.admin.v1.CreateApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.CreateApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.CreateApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("CreateApiKey"))
              .build();
        }
      }
    }
    return getCreateApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ListApiKeysRequest,
      io.github.hfgateway.admin.v1.ListApiKeysResponse> getListApiKeysMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListApiKeys",
      requestType = io.github.hfgateway.admin.v1.ListApiKeysRequest.class,
      responseType = io.github.hfgateway.admin.v1.ListApiKeysResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ListApiKeysRequest,
      io.github.hfgateway.admin.v1.ListApiKeysResponse> getListApiKeysMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.ListApiKeysRequest, io.github.hfgateway.admin.v1.ListApiKeysResponse> getListApiKeysMethod;
    if ((getListApiKeysMethod = AdminServiceGrpc.getListApiKeysMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListApiKeysMethod = AdminServiceGrpc.getListApiKeysMethod) == null) {
          AdminServiceGrpc.getListApiKeysMethod = getListApiKeysMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.ListApiKeysRequest, io.github.hfgateway.admin.v1.ListApiKeysResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListApiKeys"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ListApiKeysRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.ListApiKeysResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListApiKeys"))
              .build();
        }
      }
    }
    return getListApiKeysMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.RevokeApiKeyRequest,
      io.github.hfgateway.admin.v1.RevokeApiKeyResponse> getRevokeApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RevokeApiKey",
      requestType = io.github.hfgateway.admin.v1.RevokeApiKeyRequest.class,
      responseType = io.github.hfgateway.admin.v1.RevokeApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.RevokeApiKeyRequest,
      io.github.hfgateway.admin.v1.RevokeApiKeyResponse> getRevokeApiKeyMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.admin.v1.RevokeApiKeyRequest, io.github.hfgateway.admin.v1.RevokeApiKeyResponse> getRevokeApiKeyMethod;
    if ((getRevokeApiKeyMethod = AdminServiceGrpc.getRevokeApiKeyMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getRevokeApiKeyMethod = AdminServiceGrpc.getRevokeApiKeyMethod) == null) {
          AdminServiceGrpc.getRevokeApiKeyMethod = getRevokeApiKeyMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.admin.v1.RevokeApiKeyRequest, io.github.hfgateway.admin.v1.RevokeApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RevokeApiKey"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.RevokeApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.admin.v1.RevokeApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("RevokeApiKey"))
              .build();
        }
      }
    }
    return getRevokeApiKeyMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AdminServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub>() {
        @java.lang.Override
        public AdminServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceStub(channel, callOptions);
        }
      };
    return AdminServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AdminServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub>() {
        @java.lang.Override
        public AdminServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AdminServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AdminServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub>() {
        @java.lang.Override
        public AdminServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingStub(channel, callOptions);
        }
      };
    return AdminServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AdminServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub>() {
        @java.lang.Override
        public AdminServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceFutureStub(channel, callOptions);
        }
      };
    return AdminServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
   * public ports; ids of all tenants count.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * The way out of UNCERTAIN, and of LOST where the request turned up later. Here and not in GenerationService, for
     * request_id may name any request of the account.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where the generation is in no state to be resolved so, or the request is
     * unknown to Higgsfield or belongs to another generation; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    default void resolveGeneration(io.github.hfgateway.admin.v1.ResolveGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResolveGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * The characters and the messages to agents that were sent, and of which nobody knows whether Higgsfield took them.
     * Those that are on their way are among them.
     * </pre>
     */
    default void listUnresolved(io.github.hfgateway.admin.v1.ListUnresolvedRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ListUnresolvedResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListUnresolvedMethod(), responseObserver);
    }

    /**
     * <pre>
     * Say what came of a character whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or it is on its way, or the character is unknown to
     * Higgsfield, has another name or belongs to another order; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    default void resolveCharacter(io.github.hfgateway.admin.v1.ResolveCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveCharacterResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResolveCharacterMethod(), responseObserver);
    }

    /**
     * <pre>
     * Say what came of a message to an agent whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or the message is not one of the user's in that
     * session after this was sent, or belongs to another key; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    default void resolveMessage(io.github.hfgateway.admin.v1.ResolveMessageRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveMessageResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResolveMessageMethod(), responseObserver);
    }

    /**
     * <pre>
     * A new API key for a tenant, which comes to be with its first. Whoever has the key acts as the tenant.
     * </pre>
     */
    default void createApiKey(io.github.hfgateway.admin.v1.CreateApiKeyRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.CreateApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Oldest first, revoked ones too.
     * </pre>
     */
    default void listApiKeys(io.github.hfgateway.admin.v1.ListApiKeysRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ListApiKeysResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListApiKeysMethod(), responseObserver);
    }

    /**
     * <pre>
     * From then on calls with the key, and with watch tokens that it made, end with UNAUTHENTICATED; open streams of both
     * end so within seconds. Again on a revoked one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void revokeApiKey(io.github.hfgateway.admin.v1.RevokeApiKeyRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.RevokeApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRevokeApiKeyMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AdminService.
   * <pre>
   * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
   * public ports; ids of all tenants count.
   * </pre>
   */
  public static abstract class AdminServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AdminServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AdminService.
   * <pre>
   * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
   * public ports; ids of all tenants count.
   * </pre>
   */
  public static final class AdminServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AdminServiceStub> {
    private AdminServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * The way out of UNCERTAIN, and of LOST where the request turned up later. Here and not in GenerationService, for
     * request_id may name any request of the account.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where the generation is in no state to be resolved so, or the request is
     * unknown to Higgsfield or belongs to another generation; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public void resolveGeneration(io.github.hfgateway.admin.v1.ResolveGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResolveGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The characters and the messages to agents that were sent, and of which nobody knows whether Higgsfield took them.
     * Those that are on their way are among them.
     * </pre>
     */
    public void listUnresolved(io.github.hfgateway.admin.v1.ListUnresolvedRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ListUnresolvedResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListUnresolvedMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Say what came of a character whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or it is on its way, or the character is unknown to
     * Higgsfield, has another name or belongs to another order; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public void resolveCharacter(io.github.hfgateway.admin.v1.ResolveCharacterRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveCharacterResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResolveCharacterMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Say what came of a message to an agent whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or the message is not one of the user's in that
     * session after this was sent, or belongs to another key; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public void resolveMessage(io.github.hfgateway.admin.v1.ResolveMessageRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveMessageResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResolveMessageMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * A new API key for a tenant, which comes to be with its first. Whoever has the key acts as the tenant.
     * </pre>
     */
    public void createApiKey(io.github.hfgateway.admin.v1.CreateApiKeyRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.CreateApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Oldest first, revoked ones too.
     * </pre>
     */
    public void listApiKeys(io.github.hfgateway.admin.v1.ListApiKeysRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ListApiKeysResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListApiKeysMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * From then on calls with the key, and with watch tokens that it made, end with UNAUTHENTICATED; open streams of both
     * end so within seconds. Again on a revoked one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void revokeApiKey(io.github.hfgateway.admin.v1.RevokeApiKeyRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.RevokeApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRevokeApiKeyMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AdminService.
   * <pre>
   * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
   * public ports; ids of all tenants count.
   * </pre>
   */
  public static final class AdminServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingV2Stub> {
    private AdminServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * The way out of UNCERTAIN, and of LOST where the request turned up later. Here and not in GenerationService, for
     * request_id may name any request of the account.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where the generation is in no state to be resolved so, or the request is
     * unknown to Higgsfield or belongs to another generation; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ResolveGenerationResponse resolveGeneration(io.github.hfgateway.admin.v1.ResolveGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResolveGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The characters and the messages to agents that were sent, and of which nobody knows whether Higgsfield took them.
     * Those that are on their way are among them.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ListUnresolvedResponse listUnresolved(io.github.hfgateway.admin.v1.ListUnresolvedRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListUnresolvedMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Say what came of a character whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or it is on its way, or the character is unknown to
     * Higgsfield, has another name or belongs to another order; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ResolveCharacterResponse resolveCharacter(io.github.hfgateway.admin.v1.ResolveCharacterRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResolveCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Say what came of a message to an agent whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or the message is not one of the user's in that
     * session after this was sent, or belongs to another key; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ResolveMessageResponse resolveMessage(io.github.hfgateway.admin.v1.ResolveMessageRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResolveMessageMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A new API key for a tenant, which comes to be with its first. Whoever has the key acts as the tenant.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.CreateApiKeyResponse createApiKey(io.github.hfgateway.admin.v1.CreateApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Oldest first, revoked ones too.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ListApiKeysResponse listApiKeys(io.github.hfgateway.admin.v1.ListApiKeysRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListApiKeysMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * From then on calls with the key, and with watch tokens that it made, end with UNAUTHENTICATED; open streams of both
     * end so within seconds. Again on a revoked one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.RevokeApiKeyResponse revokeApiKey(io.github.hfgateway.admin.v1.RevokeApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRevokeApiKeyMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AdminService.
   * <pre>
   * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
   * public ports; ids of all tenants count.
   * </pre>
   */
  public static final class AdminServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingStub> {
    private AdminServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * The way out of UNCERTAIN, and of LOST where the request turned up later. Here and not in GenerationService, for
     * request_id may name any request of the account.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where the generation is in no state to be resolved so, or the request is
     * unknown to Higgsfield or belongs to another generation; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ResolveGenerationResponse resolveGeneration(io.github.hfgateway.admin.v1.ResolveGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResolveGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The characters and the messages to agents that were sent, and of which nobody knows whether Higgsfield took them.
     * Those that are on their way are among them.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ListUnresolvedResponse listUnresolved(io.github.hfgateway.admin.v1.ListUnresolvedRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListUnresolvedMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Say what came of a character whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or it is on its way, or the character is unknown to
     * Higgsfield, has another name or belongs to another order; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ResolveCharacterResponse resolveCharacter(io.github.hfgateway.admin.v1.ResolveCharacterRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResolveCharacterMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Say what came of a message to an agent whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or the message is not one of the user's in that
     * session after this was sent, or belongs to another key; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ResolveMessageResponse resolveMessage(io.github.hfgateway.admin.v1.ResolveMessageRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResolveMessageMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A new API key for a tenant, which comes to be with its first. Whoever has the key acts as the tenant.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.CreateApiKeyResponse createApiKey(io.github.hfgateway.admin.v1.CreateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Oldest first, revoked ones too.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.ListApiKeysResponse listApiKeys(io.github.hfgateway.admin.v1.ListApiKeysRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListApiKeysMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * From then on calls with the key, and with watch tokens that it made, end with UNAUTHENTICATED; open streams of both
     * end so within seconds. Again on a revoked one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.admin.v1.RevokeApiKeyResponse revokeApiKey(io.github.hfgateway.admin.v1.RevokeApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRevokeApiKeyMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AdminService.
   * <pre>
   * For the operator of one gateway. Served on a socket of its own that only the gateway's user can open, never on its
   * public ports; ids of all tenants count.
   * </pre>
   */
  public static final class AdminServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AdminServiceFutureStub> {
    private AdminServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * The way out of UNCERTAIN, and of LOST where the request turned up later. Here and not in GenerationService, for
     * request_id may name any request of the account.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where the generation is in no state to be resolved so, or the request is
     * unknown to Higgsfield or belongs to another generation; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.ResolveGenerationResponse> resolveGeneration(
        io.github.hfgateway.admin.v1.ResolveGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResolveGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The characters and the messages to agents that were sent, and of which nobody knows whether Higgsfield took them.
     * Those that are on their way are among them.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.ListUnresolvedResponse> listUnresolved(
        io.github.hfgateway.admin.v1.ListUnresolvedRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListUnresolvedMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Say what came of a character whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or it is on its way, or the character is unknown to
     * Higgsfield, has another name or belongs to another order; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.ResolveCharacterResponse> resolveCharacter(
        io.github.hfgateway.admin.v1.ResolveCharacterRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResolveCharacterMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Say what came of a message to an agent whose outcome is unknown.
     * Codes: NOT_FOUND; INVALID_ARGUMENT where its outcome is known, or the message is not one of the user's in that
     * session after this was sent, or belongs to another key; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.ResolveMessageResponse> resolveMessage(
        io.github.hfgateway.admin.v1.ResolveMessageRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResolveMessageMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * A new API key for a tenant, which comes to be with its first. Whoever has the key acts as the tenant.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.CreateApiKeyResponse> createApiKey(
        io.github.hfgateway.admin.v1.CreateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Oldest first, revoked ones too.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.ListApiKeysResponse> listApiKeys(
        io.github.hfgateway.admin.v1.ListApiKeysRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListApiKeysMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * From then on calls with the key, and with watch tokens that it made, end with UNAUTHENTICATED; open streams of both
     * end so within seconds. Again on a revoked one: OK.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.admin.v1.RevokeApiKeyResponse> revokeApiKey(
        io.github.hfgateway.admin.v1.RevokeApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRevokeApiKeyMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_RESOLVE_GENERATION = 0;
  private static final int METHODID_LIST_UNRESOLVED = 1;
  private static final int METHODID_RESOLVE_CHARACTER = 2;
  private static final int METHODID_RESOLVE_MESSAGE = 3;
  private static final int METHODID_CREATE_API_KEY = 4;
  private static final int METHODID_LIST_API_KEYS = 5;
  private static final int METHODID_REVOKE_API_KEY = 6;

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
        case METHODID_RESOLVE_GENERATION:
          serviceImpl.resolveGeneration((io.github.hfgateway.admin.v1.ResolveGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveGenerationResponse>) responseObserver);
          break;
        case METHODID_LIST_UNRESOLVED:
          serviceImpl.listUnresolved((io.github.hfgateway.admin.v1.ListUnresolvedRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ListUnresolvedResponse>) responseObserver);
          break;
        case METHODID_RESOLVE_CHARACTER:
          serviceImpl.resolveCharacter((io.github.hfgateway.admin.v1.ResolveCharacterRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveCharacterResponse>) responseObserver);
          break;
        case METHODID_RESOLVE_MESSAGE:
          serviceImpl.resolveMessage((io.github.hfgateway.admin.v1.ResolveMessageRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ResolveMessageResponse>) responseObserver);
          break;
        case METHODID_CREATE_API_KEY:
          serviceImpl.createApiKey((io.github.hfgateway.admin.v1.CreateApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.CreateApiKeyResponse>) responseObserver);
          break;
        case METHODID_LIST_API_KEYS:
          serviceImpl.listApiKeys((io.github.hfgateway.admin.v1.ListApiKeysRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.ListApiKeysResponse>) responseObserver);
          break;
        case METHODID_REVOKE_API_KEY:
          serviceImpl.revokeApiKey((io.github.hfgateway.admin.v1.RevokeApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.admin.v1.RevokeApiKeyResponse>) responseObserver);
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
          getResolveGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.ResolveGenerationRequest,
              io.github.hfgateway.admin.v1.ResolveGenerationResponse>(
                service, METHODID_RESOLVE_GENERATION)))
        .addMethod(
          getListUnresolvedMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.ListUnresolvedRequest,
              io.github.hfgateway.admin.v1.ListUnresolvedResponse>(
                service, METHODID_LIST_UNRESOLVED)))
        .addMethod(
          getResolveCharacterMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.ResolveCharacterRequest,
              io.github.hfgateway.admin.v1.ResolveCharacterResponse>(
                service, METHODID_RESOLVE_CHARACTER)))
        .addMethod(
          getResolveMessageMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.ResolveMessageRequest,
              io.github.hfgateway.admin.v1.ResolveMessageResponse>(
                service, METHODID_RESOLVE_MESSAGE)))
        .addMethod(
          getCreateApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.CreateApiKeyRequest,
              io.github.hfgateway.admin.v1.CreateApiKeyResponse>(
                service, METHODID_CREATE_API_KEY)))
        .addMethod(
          getListApiKeysMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.ListApiKeysRequest,
              io.github.hfgateway.admin.v1.ListApiKeysResponse>(
                service, METHODID_LIST_API_KEYS)))
        .addMethod(
          getRevokeApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.admin.v1.RevokeApiKeyRequest,
              io.github.hfgateway.admin.v1.RevokeApiKeyResponse>(
                service, METHODID_REVOKE_API_KEY)))
        .build();
  }

  private static abstract class AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AdminServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.admin.v1.AdminServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AdminService");
    }
  }

  private static final class AdminServiceFileDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier {
    AdminServiceFileDescriptorSupplier() {}
  }

  private static final class AdminServiceMethodDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AdminServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (AdminServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AdminServiceFileDescriptorSupplier())
              .addMethod(getResolveGenerationMethod())
              .addMethod(getListUnresolvedMethod())
              .addMethod(getResolveCharacterMethod())
              .addMethod(getResolveMessageMethod())
              .addMethod(getCreateApiKeyMethod())
              .addMethod(getListApiKeysMethod())
              .addMethod(getRevokeApiKeyMethod())
              .build();
        }
      }
    }
    return result;
  }
}
