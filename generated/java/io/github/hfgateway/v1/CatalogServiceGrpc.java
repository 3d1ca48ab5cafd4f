package io.github.hfgateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
 * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class CatalogServiceGrpc {

  private CatalogServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.v1.CatalogService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListModelsRequest,
      io.github.hfgateway.v1.ListModelsResponse> getListModelsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListModels",
      requestType = io.github.hfgateway.v1.ListModelsRequest.class,
      responseType = io.github.hfgateway.v1.ListModelsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListModelsRequest,
      io.github.hfgateway.v1.ListModelsResponse> getListModelsMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListModelsRequest, io.github.hfgateway.v1.ListModelsResponse> getListModelsMethod;
    if ((getListModelsMethod = CatalogServiceGrpc.getListModelsMethod) == null) {
      synchronized (CatalogServiceGrpc.class) {
        if ((getListModelsMethod = CatalogServiceGrpc.getListModelsMethod) == null) {
          CatalogServiceGrpc.getListModelsMethod = getListModelsMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListModelsRequest, io.github.hfgateway.v1.ListModelsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListModels"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListModelsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListModelsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CatalogServiceMethodDescriptorSupplier("ListModels"))
              .build();
        }
      }
    }
    return getListModelsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetModelRequest,
      io.github.hfgateway.v1.GetModelResponse> getGetModelMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetModel",
      requestType = io.github.hfgateway.v1.GetModelRequest.class,
      responseType = io.github.hfgateway.v1.GetModelResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetModelRequest,
      io.github.hfgateway.v1.GetModelResponse> getGetModelMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetModelRequest, io.github.hfgateway.v1.GetModelResponse> getGetModelMethod;
    if ((getGetModelMethod = CatalogServiceGrpc.getGetModelMethod) == null) {
      synchronized (CatalogServiceGrpc.class) {
        if ((getGetModelMethod = CatalogServiceGrpc.getGetModelMethod) == null) {
          CatalogServiceGrpc.getGetModelMethod = getGetModelMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.GetModelRequest, io.github.hfgateway.v1.GetModelResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetModel"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetModelRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetModelResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CatalogServiceMethodDescriptorSupplier("GetModel"))
              .build();
        }
      }
    }
    return getGetModelMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListMotionsRequest,
      io.github.hfgateway.v1.ListMotionsResponse> getListMotionsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListMotions",
      requestType = io.github.hfgateway.v1.ListMotionsRequest.class,
      responseType = io.github.hfgateway.v1.ListMotionsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListMotionsRequest,
      io.github.hfgateway.v1.ListMotionsResponse> getListMotionsMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListMotionsRequest, io.github.hfgateway.v1.ListMotionsResponse> getListMotionsMethod;
    if ((getListMotionsMethod = CatalogServiceGrpc.getListMotionsMethod) == null) {
      synchronized (CatalogServiceGrpc.class) {
        if ((getListMotionsMethod = CatalogServiceGrpc.getListMotionsMethod) == null) {
          CatalogServiceGrpc.getListMotionsMethod = getListMotionsMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListMotionsRequest, io.github.hfgateway.v1.ListMotionsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListMotions"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListMotionsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListMotionsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CatalogServiceMethodDescriptorSupplier("ListMotions"))
              .build();
        }
      }
    }
    return getListMotionsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListSoulStylesRequest,
      io.github.hfgateway.v1.ListSoulStylesResponse> getListSoulStylesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListSoulStyles",
      requestType = io.github.hfgateway.v1.ListSoulStylesRequest.class,
      responseType = io.github.hfgateway.v1.ListSoulStylesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListSoulStylesRequest,
      io.github.hfgateway.v1.ListSoulStylesResponse> getListSoulStylesMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListSoulStylesRequest, io.github.hfgateway.v1.ListSoulStylesResponse> getListSoulStylesMethod;
    if ((getListSoulStylesMethod = CatalogServiceGrpc.getListSoulStylesMethod) == null) {
      synchronized (CatalogServiceGrpc.class) {
        if ((getListSoulStylesMethod = CatalogServiceGrpc.getListSoulStylesMethod) == null) {
          CatalogServiceGrpc.getListSoulStylesMethod = getListSoulStylesMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListSoulStylesRequest, io.github.hfgateway.v1.ListSoulStylesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListSoulStyles"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListSoulStylesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListSoulStylesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CatalogServiceMethodDescriptorSupplier("ListSoulStyles"))
              .build();
        }
      }
    }
    return getListSoulStylesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListPresetsRequest,
      io.github.hfgateway.v1.ListPresetsResponse> getListPresetsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListPresets",
      requestType = io.github.hfgateway.v1.ListPresetsRequest.class,
      responseType = io.github.hfgateway.v1.ListPresetsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListPresetsRequest,
      io.github.hfgateway.v1.ListPresetsResponse> getListPresetsMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListPresetsRequest, io.github.hfgateway.v1.ListPresetsResponse> getListPresetsMethod;
    if ((getListPresetsMethod = CatalogServiceGrpc.getListPresetsMethod) == null) {
      synchronized (CatalogServiceGrpc.class) {
        if ((getListPresetsMethod = CatalogServiceGrpc.getListPresetsMethod) == null) {
          CatalogServiceGrpc.getListPresetsMethod = getListPresetsMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListPresetsRequest, io.github.hfgateway.v1.ListPresetsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListPresets"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListPresetsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListPresetsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CatalogServiceMethodDescriptorSupplier("ListPresets"))
              .build();
        }
      }
    }
    return getListPresetsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static CatalogServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CatalogServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CatalogServiceStub>() {
        @java.lang.Override
        public CatalogServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CatalogServiceStub(channel, callOptions);
        }
      };
    return CatalogServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static CatalogServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CatalogServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CatalogServiceBlockingV2Stub>() {
        @java.lang.Override
        public CatalogServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CatalogServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return CatalogServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static CatalogServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CatalogServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CatalogServiceBlockingStub>() {
        @java.lang.Override
        public CatalogServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CatalogServiceBlockingStub(channel, callOptions);
        }
      };
    return CatalogServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static CatalogServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CatalogServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CatalogServiceFutureStub>() {
        @java.lang.Override
        public CatalogServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CatalogServiceFutureStub(channel, callOptions);
        }
      };
    return CatalogServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
   * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
   * </pre>
   */
  public interface AsyncService {

    /**
     */
    default void listModels(io.github.hfgateway.v1.ListModelsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListModelsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListModelsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND (MODEL_UNKNOWN), which does not say that SubmitGeneration would refuse it.
     * </pre>
     */
    default void getModel(io.github.hfgateway.v1.GetModelRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetModelResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetModelMethod(), responseObserver);
    }

    /**
     */
    default void listMotions(io.github.hfgateway.v1.ListMotionsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListMotionsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListMotionsMethod(), responseObserver);
    }

    /**
     */
    default void listSoulStyles(io.github.hfgateway.v1.ListSoulStylesRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListSoulStylesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListSoulStylesMethod(), responseObserver);
    }

    /**
     * <pre>
     * The presets of one model, for those that have a preset_id parameter.
     * Codes: NOT_FOUND (MODEL_UNKNOWN).
     * </pre>
     */
    default void listPresets(io.github.hfgateway.v1.ListPresetsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListPresetsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListPresetsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service CatalogService.
   * <pre>
   * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
   * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
   * </pre>
   */
  public static abstract class CatalogServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return CatalogServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service CatalogService.
   * <pre>
   * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
   * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
   * </pre>
   */
  public static final class CatalogServiceStub
      extends io.grpc.stub.AbstractAsyncStub<CatalogServiceStub> {
    private CatalogServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CatalogServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CatalogServiceStub(channel, callOptions);
    }

    /**
     */
    public void listModels(io.github.hfgateway.v1.ListModelsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListModelsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListModelsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND (MODEL_UNKNOWN), which does not say that SubmitGeneration would refuse it.
     * </pre>
     */
    public void getModel(io.github.hfgateway.v1.GetModelRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetModelResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetModelMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     */
    public void listMotions(io.github.hfgateway.v1.ListMotionsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListMotionsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListMotionsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     */
    public void listSoulStyles(io.github.hfgateway.v1.ListSoulStylesRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListSoulStylesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListSoulStylesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The presets of one model, for those that have a preset_id parameter.
     * Codes: NOT_FOUND (MODEL_UNKNOWN).
     * </pre>
     */
    public void listPresets(io.github.hfgateway.v1.ListPresetsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListPresetsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListPresetsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service CatalogService.
   * <pre>
   * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
   * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
   * </pre>
   */
  public static final class CatalogServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<CatalogServiceBlockingV2Stub> {
    private CatalogServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CatalogServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CatalogServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     */
    public io.github.hfgateway.v1.ListModelsResponse listModels(io.github.hfgateway.v1.ListModelsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListModelsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND (MODEL_UNKNOWN), which does not say that SubmitGeneration would refuse it.
     * </pre>
     */
    public io.github.hfgateway.v1.GetModelResponse getModel(io.github.hfgateway.v1.GetModelRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetModelMethod(), getCallOptions(), request);
    }

    /**
     */
    public io.github.hfgateway.v1.ListMotionsResponse listMotions(io.github.hfgateway.v1.ListMotionsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListMotionsMethod(), getCallOptions(), request);
    }

    /**
     */
    public io.github.hfgateway.v1.ListSoulStylesResponse listSoulStyles(io.github.hfgateway.v1.ListSoulStylesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListSoulStylesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The presets of one model, for those that have a preset_id parameter.
     * Codes: NOT_FOUND (MODEL_UNKNOWN).
     * </pre>
     */
    public io.github.hfgateway.v1.ListPresetsResponse listPresets(io.github.hfgateway.v1.ListPresetsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListPresetsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service CatalogService.
   * <pre>
   * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
   * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
   * </pre>
   */
  public static final class CatalogServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<CatalogServiceBlockingStub> {
    private CatalogServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CatalogServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CatalogServiceBlockingStub(channel, callOptions);
    }

    /**
     */
    public io.github.hfgateway.v1.ListModelsResponse listModels(io.github.hfgateway.v1.ListModelsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListModelsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND (MODEL_UNKNOWN), which does not say that SubmitGeneration would refuse it.
     * </pre>
     */
    public io.github.hfgateway.v1.GetModelResponse getModel(io.github.hfgateway.v1.GetModelRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetModelMethod(), getCallOptions(), request);
    }

    /**
     */
    public io.github.hfgateway.v1.ListMotionsResponse listMotions(io.github.hfgateway.v1.ListMotionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListMotionsMethod(), getCallOptions(), request);
    }

    /**
     */
    public io.github.hfgateway.v1.ListSoulStylesResponse listSoulStyles(io.github.hfgateway.v1.ListSoulStylesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListSoulStylesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The presets of one model, for those that have a preset_id parameter.
     * Codes: NOT_FOUND (MODEL_UNKNOWN).
     * </pre>
     */
    public io.github.hfgateway.v1.ListPresetsResponse listPresets(io.github.hfgateway.v1.ListPresetsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListPresetsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service CatalogService.
   * <pre>
   * What Higgsfield offers, from the gateway's cache: also while Higgsfield is away. Only before the first answer of
   * Higgsfield: UNAVAILABLE (UPSTREAM_UNAVAILABLE), but for models, which have a built-in list.
   * </pre>
   */
  public static final class CatalogServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<CatalogServiceFutureStub> {
    private CatalogServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CatalogServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CatalogServiceFutureStub(channel, callOptions);
    }

    /**
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListModelsResponse> listModels(
        io.github.hfgateway.v1.ListModelsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListModelsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND (MODEL_UNKNOWN), which does not say that SubmitGeneration would refuse it.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.GetModelResponse> getModel(
        io.github.hfgateway.v1.GetModelRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetModelMethod(), getCallOptions()), request);
    }

    /**
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListMotionsResponse> listMotions(
        io.github.hfgateway.v1.ListMotionsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListMotionsMethod(), getCallOptions()), request);
    }

    /**
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListSoulStylesResponse> listSoulStyles(
        io.github.hfgateway.v1.ListSoulStylesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListSoulStylesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The presets of one model, for those that have a preset_id parameter.
     * Codes: NOT_FOUND (MODEL_UNKNOWN).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListPresetsResponse> listPresets(
        io.github.hfgateway.v1.ListPresetsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListPresetsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_LIST_MODELS = 0;
  private static final int METHODID_GET_MODEL = 1;
  private static final int METHODID_LIST_MOTIONS = 2;
  private static final int METHODID_LIST_SOUL_STYLES = 3;
  private static final int METHODID_LIST_PRESETS = 4;

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
        case METHODID_LIST_MODELS:
          serviceImpl.listModels((io.github.hfgateway.v1.ListModelsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListModelsResponse>) responseObserver);
          break;
        case METHODID_GET_MODEL:
          serviceImpl.getModel((io.github.hfgateway.v1.GetModelRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetModelResponse>) responseObserver);
          break;
        case METHODID_LIST_MOTIONS:
          serviceImpl.listMotions((io.github.hfgateway.v1.ListMotionsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListMotionsResponse>) responseObserver);
          break;
        case METHODID_LIST_SOUL_STYLES:
          serviceImpl.listSoulStyles((io.github.hfgateway.v1.ListSoulStylesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListSoulStylesResponse>) responseObserver);
          break;
        case METHODID_LIST_PRESETS:
          serviceImpl.listPresets((io.github.hfgateway.v1.ListPresetsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListPresetsResponse>) responseObserver);
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
          getListModelsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListModelsRequest,
              io.github.hfgateway.v1.ListModelsResponse>(
                service, METHODID_LIST_MODELS)))
        .addMethod(
          getGetModelMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.GetModelRequest,
              io.github.hfgateway.v1.GetModelResponse>(
                service, METHODID_GET_MODEL)))
        .addMethod(
          getListMotionsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListMotionsRequest,
              io.github.hfgateway.v1.ListMotionsResponse>(
                service, METHODID_LIST_MOTIONS)))
        .addMethod(
          getListSoulStylesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListSoulStylesRequest,
              io.github.hfgateway.v1.ListSoulStylesResponse>(
                service, METHODID_LIST_SOUL_STYLES)))
        .addMethod(
          getListPresetsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListPresetsRequest,
              io.github.hfgateway.v1.ListPresetsResponse>(
                service, METHODID_LIST_PRESETS)))
        .build();
  }

  private static abstract class CatalogServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    CatalogServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.v1.CatalogServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("CatalogService");
    }
  }

  private static final class CatalogServiceFileDescriptorSupplier
      extends CatalogServiceBaseDescriptorSupplier {
    CatalogServiceFileDescriptorSupplier() {}
  }

  private static final class CatalogServiceMethodDescriptorSupplier
      extends CatalogServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    CatalogServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (CatalogServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new CatalogServiceFileDescriptorSupplier())
              .addMethod(getListModelsMethod())
              .addMethod(getGetModelMethod())
              .addMethod(getListMotionsMethod())
              .addMethod(getListSoulStylesMethod())
              .addMethod(getListPresetsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
