package io.github.hfgateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
 * expire_time. Uploading is free; an upload that failed is simply done again.
 * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class UploadServiceGrpc {

  private UploadServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.v1.UploadService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.UploadMediaRequest,
      io.github.hfgateway.v1.UploadMediaResponse> getUploadMediaMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UploadMedia",
      requestType = io.github.hfgateway.v1.UploadMediaRequest.class,
      responseType = io.github.hfgateway.v1.UploadMediaResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.UploadMediaRequest,
      io.github.hfgateway.v1.UploadMediaResponse> getUploadMediaMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.UploadMediaRequest, io.github.hfgateway.v1.UploadMediaResponse> getUploadMediaMethod;
    if ((getUploadMediaMethod = UploadServiceGrpc.getUploadMediaMethod) == null) {
      synchronized (UploadServiceGrpc.class) {
        if ((getUploadMediaMethod = UploadServiceGrpc.getUploadMediaMethod) == null) {
          UploadServiceGrpc.getUploadMediaMethod = getUploadMediaMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.UploadMediaRequest, io.github.hfgateway.v1.UploadMediaResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UploadMedia"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.UploadMediaRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.UploadMediaResponse.getDefaultInstance()))
              .setSchemaDescriptor(new UploadServiceMethodDescriptorSupplier("UploadMedia"))
              .build();
        }
      }
    }
    return getUploadMediaMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateUploadRequest,
      io.github.hfgateway.v1.CreateUploadResponse> getCreateUploadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateUpload",
      requestType = io.github.hfgateway.v1.CreateUploadRequest.class,
      responseType = io.github.hfgateway.v1.CreateUploadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateUploadRequest,
      io.github.hfgateway.v1.CreateUploadResponse> getCreateUploadMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateUploadRequest, io.github.hfgateway.v1.CreateUploadResponse> getCreateUploadMethod;
    if ((getCreateUploadMethod = UploadServiceGrpc.getCreateUploadMethod) == null) {
      synchronized (UploadServiceGrpc.class) {
        if ((getCreateUploadMethod = UploadServiceGrpc.getCreateUploadMethod) == null) {
          UploadServiceGrpc.getCreateUploadMethod = getCreateUploadMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.CreateUploadRequest, io.github.hfgateway.v1.CreateUploadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateUpload"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateUploadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateUploadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new UploadServiceMethodDescriptorSupplier("CreateUpload"))
              .build();
        }
      }
    }
    return getCreateUploadMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static UploadServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<UploadServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<UploadServiceStub>() {
        @java.lang.Override
        public UploadServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new UploadServiceStub(channel, callOptions);
        }
      };
    return UploadServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static UploadServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<UploadServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<UploadServiceBlockingV2Stub>() {
        @java.lang.Override
        public UploadServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new UploadServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return UploadServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static UploadServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<UploadServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<UploadServiceBlockingStub>() {
        @java.lang.Override
        public UploadServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new UploadServiceBlockingStub(channel, callOptions);
        }
      };
    return UploadServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static UploadServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<UploadServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<UploadServiceFutureStub>() {
        @java.lang.Override
        public UploadServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new UploadServiceFutureStub(channel, callOptions);
        }
      };
    return UploadServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
   * expire_time. Uploading is free; an upload that failed is simply done again.
   * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Through the gateway: the header first, then the bytes in order; the end of the stream is the end of the media.
     * Never more than a chunk in memory. More or fewer bytes than header.size: INVALID_ARGUMENT (INVALID_INPUT), and no
     * URL.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UploadMediaRequest> uploadMedia(
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UploadMediaResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getUploadMediaMethod(), responseObserver);
    }

    /**
     * <pre>
     * Past the gateway (browsers, large files): PUT the bytes to upload_url with all upload_headers.
     * </pre>
     */
    default void createUpload(io.github.hfgateway.v1.CreateUploadRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateUploadResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateUploadMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service UploadService.
   * <pre>
   * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
   * expire_time. Uploading is free; an upload that failed is simply done again.
   * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static abstract class UploadServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return UploadServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service UploadService.
   * <pre>
   * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
   * expire_time. Uploading is free; an upload that failed is simply done again.
   * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class UploadServiceStub
      extends io.grpc.stub.AbstractAsyncStub<UploadServiceStub> {
    private UploadServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected UploadServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new UploadServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Through the gateway: the header first, then the bytes in order; the end of the stream is the end of the media.
     * Never more than a chunk in memory. More or fewer bytes than header.size: INVALID_ARGUMENT (INVALID_INPUT), and no
     * URL.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UploadMediaRequest> uploadMedia(
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UploadMediaResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncClientStreamingCall(
          getChannel().newCall(getUploadMediaMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Past the gateway (browsers, large files): PUT the bytes to upload_url with all upload_headers.
     * </pre>
     */
    public void createUpload(io.github.hfgateway.v1.CreateUploadRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateUploadResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateUploadMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service UploadService.
   * <pre>
   * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
   * expire_time. Uploading is free; an upload that failed is simply done again.
   * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class UploadServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<UploadServiceBlockingV2Stub> {
    private UploadServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected UploadServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new UploadServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Through the gateway: the header first, then the bytes in order; the end of the stream is the end of the media.
     * Never more than a chunk in memory. More or fewer bytes than header.size: INVALID_ARGUMENT (INVALID_INPUT), and no
     * URL.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<io.github.hfgateway.v1.UploadMediaRequest, io.github.hfgateway.v1.UploadMediaResponse>
        uploadMedia() {
      return io.grpc.stub.ClientCalls.blockingClientStreamingCall(
          getChannel(), getUploadMediaMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Past the gateway (browsers, large files): PUT the bytes to upload_url with all upload_headers.
     * </pre>
     */
    public io.github.hfgateway.v1.CreateUploadResponse createUpload(io.github.hfgateway.v1.CreateUploadRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateUploadMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service UploadService.
   * <pre>
   * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
   * expire_time. Uploading is free; an upload that failed is simply done again.
   * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class UploadServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<UploadServiceBlockingStub> {
    private UploadServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected UploadServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new UploadServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Past the gateway (browsers, large files): PUT the bytes to upload_url with all upload_headers.
     * </pre>
     */
    public io.github.hfgateway.v1.CreateUploadResponse createUpload(io.github.hfgateway.v1.CreateUploadRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateUploadMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service UploadService.
   * <pre>
   * Puts media on Higgsfield's storage; the URL then serves as an input, in as many generations as wanted, until
   * expire_time. Uploading is free; an upload that failed is simply done again.
   * Codes of both: INVALID_ARGUMENT (INPUT_REFUSED: content_type), UNAVAILABLE (UPSTREAM_UNAVAILABLE).
   * </pre>
   */
  public static final class UploadServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<UploadServiceFutureStub> {
    private UploadServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected UploadServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new UploadServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Past the gateway (browsers, large files): PUT the bytes to upload_url with all upload_headers.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.CreateUploadResponse> createUpload(
        io.github.hfgateway.v1.CreateUploadRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateUploadMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_UPLOAD = 0;
  private static final int METHODID_UPLOAD_MEDIA = 1;

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
        case METHODID_CREATE_UPLOAD:
          serviceImpl.createUpload((io.github.hfgateway.v1.CreateUploadRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateUploadResponse>) responseObserver);
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
        case METHODID_UPLOAD_MEDIA:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.uploadMedia(
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UploadMediaResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getUploadMediaMethod(),
          io.grpc.stub.ServerCalls.asyncClientStreamingCall(
            new MethodHandlers<
              io.github.hfgateway.v1.UploadMediaRequest,
              io.github.hfgateway.v1.UploadMediaResponse>(
                service, METHODID_UPLOAD_MEDIA)))
        .addMethod(
          getCreateUploadMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.CreateUploadRequest,
              io.github.hfgateway.v1.CreateUploadResponse>(
                service, METHODID_CREATE_UPLOAD)))
        .build();
  }

  private static abstract class UploadServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    UploadServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.v1.UploadServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("UploadService");
    }
  }

  private static final class UploadServiceFileDescriptorSupplier
      extends UploadServiceBaseDescriptorSupplier {
    UploadServiceFileDescriptorSupplier() {}
  }

  private static final class UploadServiceMethodDescriptorSupplier
      extends UploadServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    UploadServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (UploadServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new UploadServiceFileDescriptorSupplier())
              .addMethod(getUploadMediaMethod())
              .addMethod(getCreateUploadMethod())
              .build();
        }
      }
    }
    return result;
  }
}
