package io.github.hfgateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Submit generations, follow them, cancel them.
 * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
 * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
 * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
 * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
 * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class GenerationServiceGrpc {

  private GenerationServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.v1.GenerationService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.SubmitGenerationRequest,
      io.github.hfgateway.v1.SubmitGenerationResponse> getSubmitGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SubmitGeneration",
      requestType = io.github.hfgateway.v1.SubmitGenerationRequest.class,
      responseType = io.github.hfgateway.v1.SubmitGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.SubmitGenerationRequest,
      io.github.hfgateway.v1.SubmitGenerationResponse> getSubmitGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.SubmitGenerationRequest, io.github.hfgateway.v1.SubmitGenerationResponse> getSubmitGenerationMethod;
    if ((getSubmitGenerationMethod = GenerationServiceGrpc.getSubmitGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getSubmitGenerationMethod = GenerationServiceGrpc.getSubmitGenerationMethod) == null) {
          GenerationServiceGrpc.getSubmitGenerationMethod = getSubmitGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.SubmitGenerationRequest, io.github.hfgateway.v1.SubmitGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SubmitGeneration"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.SubmitGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.SubmitGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("SubmitGeneration"))
              .build();
        }
      }
    }
    return getSubmitGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetGenerationRequest,
      io.github.hfgateway.v1.GetGenerationResponse> getGetGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetGeneration",
      requestType = io.github.hfgateway.v1.GetGenerationRequest.class,
      responseType = io.github.hfgateway.v1.GetGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetGenerationRequest,
      io.github.hfgateway.v1.GetGenerationResponse> getGetGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetGenerationRequest, io.github.hfgateway.v1.GetGenerationResponse> getGetGenerationMethod;
    if ((getGetGenerationMethod = GenerationServiceGrpc.getGetGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getGetGenerationMethod = GenerationServiceGrpc.getGetGenerationMethod) == null) {
          GenerationServiceGrpc.getGetGenerationMethod = getGetGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.GetGenerationRequest, io.github.hfgateway.v1.GetGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetGeneration"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("GetGeneration"))
              .build();
        }
      }
    }
    return getGetGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListGenerationsRequest,
      io.github.hfgateway.v1.ListGenerationsResponse> getListGenerationsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListGenerations",
      requestType = io.github.hfgateway.v1.ListGenerationsRequest.class,
      responseType = io.github.hfgateway.v1.ListGenerationsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListGenerationsRequest,
      io.github.hfgateway.v1.ListGenerationsResponse> getListGenerationsMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListGenerationsRequest, io.github.hfgateway.v1.ListGenerationsResponse> getListGenerationsMethod;
    if ((getListGenerationsMethod = GenerationServiceGrpc.getListGenerationsMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getListGenerationsMethod = GenerationServiceGrpc.getListGenerationsMethod) == null) {
          GenerationServiceGrpc.getListGenerationsMethod = getListGenerationsMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListGenerationsRequest, io.github.hfgateway.v1.ListGenerationsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListGenerations"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListGenerationsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListGenerationsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("ListGenerations"))
              .build();
        }
      }
    }
    return getListGenerationsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.CancelGenerationRequest,
      io.github.hfgateway.v1.CancelGenerationResponse> getCancelGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelGeneration",
      requestType = io.github.hfgateway.v1.CancelGenerationRequest.class,
      responseType = io.github.hfgateway.v1.CancelGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.CancelGenerationRequest,
      io.github.hfgateway.v1.CancelGenerationResponse> getCancelGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.CancelGenerationRequest, io.github.hfgateway.v1.CancelGenerationResponse> getCancelGenerationMethod;
    if ((getCancelGenerationMethod = GenerationServiceGrpc.getCancelGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getCancelGenerationMethod = GenerationServiceGrpc.getCancelGenerationMethod) == null) {
          GenerationServiceGrpc.getCancelGenerationMethod = getCancelGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.CancelGenerationRequest, io.github.hfgateway.v1.CancelGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelGeneration"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CancelGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CancelGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("CancelGeneration"))
              .build();
        }
      }
    }
    return getCancelGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.WaitGenerationRequest,
      io.github.hfgateway.v1.WaitGenerationResponse> getWaitGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WaitGeneration",
      requestType = io.github.hfgateway.v1.WaitGenerationRequest.class,
      responseType = io.github.hfgateway.v1.WaitGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.WaitGenerationRequest,
      io.github.hfgateway.v1.WaitGenerationResponse> getWaitGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.WaitGenerationRequest, io.github.hfgateway.v1.WaitGenerationResponse> getWaitGenerationMethod;
    if ((getWaitGenerationMethod = GenerationServiceGrpc.getWaitGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getWaitGenerationMethod = GenerationServiceGrpc.getWaitGenerationMethod) == null) {
          GenerationServiceGrpc.getWaitGenerationMethod = getWaitGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.WaitGenerationRequest, io.github.hfgateway.v1.WaitGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WaitGeneration"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WaitGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WaitGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("WaitGeneration"))
              .build();
        }
      }
    }
    return getWaitGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchGenerationRequest,
      io.github.hfgateway.v1.WatchGenerationResponse> getWatchGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchGeneration",
      requestType = io.github.hfgateway.v1.WatchGenerationRequest.class,
      responseType = io.github.hfgateway.v1.WatchGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchGenerationRequest,
      io.github.hfgateway.v1.WatchGenerationResponse> getWatchGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchGenerationRequest, io.github.hfgateway.v1.WatchGenerationResponse> getWatchGenerationMethod;
    if ((getWatchGenerationMethod = GenerationServiceGrpc.getWatchGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getWatchGenerationMethod = GenerationServiceGrpc.getWatchGenerationMethod) == null) {
          GenerationServiceGrpc.getWatchGenerationMethod = getWatchGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.WatchGenerationRequest, io.github.hfgateway.v1.WatchGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchGeneration"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WatchGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WatchGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("WatchGeneration"))
              .build();
        }
      }
    }
    return getWatchGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchGenerationsRequest,
      io.github.hfgateway.v1.WatchGenerationsResponse> getWatchGenerationsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchGenerations",
      requestType = io.github.hfgateway.v1.WatchGenerationsRequest.class,
      responseType = io.github.hfgateway.v1.WatchGenerationsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchGenerationsRequest,
      io.github.hfgateway.v1.WatchGenerationsResponse> getWatchGenerationsMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.WatchGenerationsRequest, io.github.hfgateway.v1.WatchGenerationsResponse> getWatchGenerationsMethod;
    if ((getWatchGenerationsMethod = GenerationServiceGrpc.getWatchGenerationsMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getWatchGenerationsMethod = GenerationServiceGrpc.getWatchGenerationsMethod) == null) {
          GenerationServiceGrpc.getWatchGenerationsMethod = getWatchGenerationsMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.WatchGenerationsRequest, io.github.hfgateway.v1.WatchGenerationsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchGenerations"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WatchGenerationsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.WatchGenerationsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("WatchGenerations"))
              .build();
        }
      }
    }
    return getWatchGenerationsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.EstimateGenerationRequest,
      io.github.hfgateway.v1.EstimateGenerationResponse> getEstimateGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "EstimateGeneration",
      requestType = io.github.hfgateway.v1.EstimateGenerationRequest.class,
      responseType = io.github.hfgateway.v1.EstimateGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.EstimateGenerationRequest,
      io.github.hfgateway.v1.EstimateGenerationResponse> getEstimateGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.EstimateGenerationRequest, io.github.hfgateway.v1.EstimateGenerationResponse> getEstimateGenerationMethod;
    if ((getEstimateGenerationMethod = GenerationServiceGrpc.getEstimateGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getEstimateGenerationMethod = GenerationServiceGrpc.getEstimateGenerationMethod) == null) {
          GenerationServiceGrpc.getEstimateGenerationMethod = getEstimateGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.EstimateGenerationRequest, io.github.hfgateway.v1.EstimateGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "EstimateGeneration"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.EstimateGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.EstimateGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("EstimateGeneration"))
              .build();
        }
      }
    }
    return getEstimateGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteGenerationRequest,
      io.github.hfgateway.v1.DeleteGenerationResponse> getDeleteGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteGeneration",
      requestType = io.github.hfgateway.v1.DeleteGenerationRequest.class,
      responseType = io.github.hfgateway.v1.DeleteGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteGenerationRequest,
      io.github.hfgateway.v1.DeleteGenerationResponse> getDeleteGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteGenerationRequest, io.github.hfgateway.v1.DeleteGenerationResponse> getDeleteGenerationMethod;
    if ((getDeleteGenerationMethod = GenerationServiceGrpc.getDeleteGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getDeleteGenerationMethod = GenerationServiceGrpc.getDeleteGenerationMethod) == null) {
          GenerationServiceGrpc.getDeleteGenerationMethod = getDeleteGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.DeleteGenerationRequest, io.github.hfgateway.v1.DeleteGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteGeneration"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.DeleteGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.DeleteGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("DeleteGeneration"))
              .build();
        }
      }
    }
    return getDeleteGenerationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ExplainGenerationRequest,
      io.github.hfgateway.v1.ExplainGenerationResponse> getExplainGenerationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ExplainGeneration",
      requestType = io.github.hfgateway.v1.ExplainGenerationRequest.class,
      responseType = io.github.hfgateway.v1.ExplainGenerationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ExplainGenerationRequest,
      io.github.hfgateway.v1.ExplainGenerationResponse> getExplainGenerationMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ExplainGenerationRequest, io.github.hfgateway.v1.ExplainGenerationResponse> getExplainGenerationMethod;
    if ((getExplainGenerationMethod = GenerationServiceGrpc.getExplainGenerationMethod) == null) {
      synchronized (GenerationServiceGrpc.class) {
        if ((getExplainGenerationMethod = GenerationServiceGrpc.getExplainGenerationMethod) == null) {
          GenerationServiceGrpc.getExplainGenerationMethod = getExplainGenerationMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ExplainGenerationRequest, io.github.hfgateway.v1.ExplainGenerationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ExplainGeneration"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ExplainGenerationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ExplainGenerationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new GenerationServiceMethodDescriptorSupplier("ExplainGeneration"))
              .build();
        }
      }
    }
    return getExplainGenerationMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static GenerationServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<GenerationServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<GenerationServiceStub>() {
        @java.lang.Override
        public GenerationServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new GenerationServiceStub(channel, callOptions);
        }
      };
    return GenerationServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static GenerationServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<GenerationServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<GenerationServiceBlockingV2Stub>() {
        @java.lang.Override
        public GenerationServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new GenerationServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return GenerationServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static GenerationServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<GenerationServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<GenerationServiceBlockingStub>() {
        @java.lang.Override
        public GenerationServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new GenerationServiceBlockingStub(channel, callOptions);
        }
      };
    return GenerationServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static GenerationServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<GenerationServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<GenerationServiceFutureStub>() {
        @java.lang.Override
        public GenerationServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new GenerationServiceFutureStub(channel, callOptions);
        }
      };
    return GenerationServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Submit generations, follow them, cancel them.
   * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
   * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
   * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
   * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
   * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Stores the generation durably, then hands it to Higgsfield. Safe to repeat with the same idempotency_key: the same
     * generation comes back and is charged once. Higgsfield being full or away is no error but PENDING with a delay.
     * A refusal that comes while the call waits is the call's error (metadata "generation_id"), and in any case the
     * generation's failure.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED,
     * MODEL_UNAVAILABLE), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS; UPSTREAM_SATURATED with fail_when_saturated),
     * INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    default void submitGeneration(io.github.hfgateway.v1.SubmitGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.SubmitGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSubmitGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void getGeneration(io.github.hfgateway.v1.GetGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Newest first. A page_token holds only for the filter that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    default void listGenerations(io.github.hfgateway.v1.ListGenerationsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListGenerationsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListGenerationsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Succeeds in PENDING (where a submission is on its way, the call waits for its outcome), and again on a canceled
     * generation; in QUEUED Higgsfield decides, and cannot for what went to v1.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_CANCELABLE) in any other state; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    default void cancelGeneration(io.github.hfgateway.v1.CancelGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CancelGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Answers when the generation is done, or at the timeout with what it is by then: see Generation.done.
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void waitGeneration(io.github.hfgateway.v1.WaitGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WaitGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWaitGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Every change after after_revision, each once and in order: at once those that have happened, then the others as
     * they happen. Ends with OK after the one that is done (at once, when that is not after after_revision); with
     * UNAVAILABLE when the gateway drains or the stream gets old: resume. Watching costs Higgsfield nothing, however many
     * watch; leaving ends nothing.
     * Codes: NOT_FOUND before the first message; INVALID_ARGUMENT for an after_revision that has not happened.
     * </pre>
     */
    default void watchGeneration(io.github.hfgateway.v1.WatchGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Many generations on one stream: all that match the filter, later ones included. First the present state of each
     * that matches and is not done (with filter.ids: done ones too), then caught_up, then every change, each once, in
     * order for each generation. A token from before that caught_up starts over. With a resume_token: first the changes
     * since, then caught_up, and every token resumes behind its own message. Ends with OK when all of filter.ids are
     * done, never for other filters; with UNAVAILABLE as WatchGeneration.
     * Codes: INVALID_ARGUMENT for a resume_token of another filter, and for filter.states and filter.idempotency_key.
     * </pre>
     */
    default void watchGenerations(io.github.hfgateway.v1.WatchGenerationsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchGenerationsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchGenerationsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Checks the input as SubmitGeneration does, and says what it would cost. Charges nothing, reserves nothing.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (MODEL_UNAVAILABLE),
     * UNAVAILABLE (UPSTREAM_UNAVAILABLE), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    default void estimateGeneration(io.github.hfgateway.v1.EstimateGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.EstimateGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getEstimateGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Removes a generation that is done from the gateway, and its input and files from Higgsfield where Higgsfield can
     * (not what went to v1). Its idempotency_key stays used. Again on a deleted one: OK.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_DONE); UNAVAILABLE (GATEWAY_UNAVAILABLE); UNAVAILABLE
     * (UPSTREAM_UNAVAILABLE): it is deleted in the gateway, and Higgsfield has not confirmed the removal yet. The gateway
     * repeats it until it is confirmed.
     * </pre>
     */
    default void deleteGeneration(io.github.hfgateway.v1.DeleteGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteGenerationMethod(), responseObserver);
    }

    /**
     * <pre>
     * The whole story of a generation, oldest first: every change with its cause, every call to Higgsfield with its
     * outcome. Holds no secrets, and nothing of its input.
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void explainGeneration(io.github.hfgateway.v1.ExplainGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ExplainGenerationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getExplainGenerationMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service GenerationService.
   * <pre>
   * Submit generations, follow them, cancel them.
   * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
   * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
   * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
   * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
   * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
   * </pre>
   */
  public static abstract class GenerationServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return GenerationServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service GenerationService.
   * <pre>
   * Submit generations, follow them, cancel them.
   * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
   * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
   * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
   * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
   * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
   * </pre>
   */
  public static final class GenerationServiceStub
      extends io.grpc.stub.AbstractAsyncStub<GenerationServiceStub> {
    private GenerationServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected GenerationServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new GenerationServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores the generation durably, then hands it to Higgsfield. Safe to repeat with the same idempotency_key: the same
     * generation comes back and is charged once. Higgsfield being full or away is no error but PENDING with a delay.
     * A refusal that comes while the call waits is the call's error (metadata "generation_id"), and in any case the
     * generation's failure.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED,
     * MODEL_UNAVAILABLE), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS; UPSTREAM_SATURATED with fail_when_saturated),
     * INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public void submitGeneration(io.github.hfgateway.v1.SubmitGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.SubmitGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSubmitGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void getGeneration(io.github.hfgateway.v1.GetGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Newest first. A page_token holds only for the filter that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public void listGenerations(io.github.hfgateway.v1.ListGenerationsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListGenerationsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListGenerationsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Succeeds in PENDING (where a submission is on its way, the call waits for its outcome), and again on a canceled
     * generation; in QUEUED Higgsfield decides, and cannot for what went to v1.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_CANCELABLE) in any other state; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public void cancelGeneration(io.github.hfgateway.v1.CancelGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CancelGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Answers when the generation is done, or at the timeout with what it is by then: see Generation.done.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void waitGeneration(io.github.hfgateway.v1.WaitGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WaitGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getWaitGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Every change after after_revision, each once and in order: at once those that have happened, then the others as
     * they happen. Ends with OK after the one that is done (at once, when that is not after after_revision); with
     * UNAVAILABLE when the gateway drains or the stream gets old: resume. Watching costs Higgsfield nothing, however many
     * watch; leaving ends nothing.
     * Codes: NOT_FOUND before the first message; INVALID_ARGUMENT for an after_revision that has not happened.
     * </pre>
     */
    public void watchGeneration(io.github.hfgateway.v1.WatchGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Many generations on one stream: all that match the filter, later ones included. First the present state of each
     * that matches and is not done (with filter.ids: done ones too), then caught_up, then every change, each once, in
     * order for each generation. A token from before that caught_up starts over. With a resume_token: first the changes
     * since, then caught_up, and every token resumes behind its own message. Ends with OK when all of filter.ids are
     * done, never for other filters; with UNAVAILABLE as WatchGeneration.
     * Codes: INVALID_ARGUMENT for a resume_token of another filter, and for filter.states and filter.idempotency_key.
     * </pre>
     */
    public void watchGenerations(io.github.hfgateway.v1.WatchGenerationsRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchGenerationsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchGenerationsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Checks the input as SubmitGeneration does, and says what it would cost. Charges nothing, reserves nothing.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (MODEL_UNAVAILABLE),
     * UNAVAILABLE (UPSTREAM_UNAVAILABLE), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public void estimateGeneration(io.github.hfgateway.v1.EstimateGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.EstimateGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getEstimateGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Removes a generation that is done from the gateway, and its input and files from Higgsfield where Higgsfield can
     * (not what went to v1). Its idempotency_key stays used. Again on a deleted one: OK.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_DONE); UNAVAILABLE (GATEWAY_UNAVAILABLE); UNAVAILABLE
     * (UPSTREAM_UNAVAILABLE): it is deleted in the gateway, and Higgsfield has not confirmed the removal yet. The gateway
     * repeats it until it is confirmed.
     * </pre>
     */
    public void deleteGeneration(io.github.hfgateway.v1.DeleteGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteGenerationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The whole story of a generation, oldest first: every change with its cause, every call to Higgsfield with its
     * outcome. Holds no secrets, and nothing of its input.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void explainGeneration(io.github.hfgateway.v1.ExplainGenerationRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ExplainGenerationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getExplainGenerationMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service GenerationService.
   * <pre>
   * Submit generations, follow them, cancel them.
   * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
   * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
   * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
   * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
   * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
   * </pre>
   */
  public static final class GenerationServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<GenerationServiceBlockingV2Stub> {
    private GenerationServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected GenerationServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new GenerationServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores the generation durably, then hands it to Higgsfield. Safe to repeat with the same idempotency_key: the same
     * generation comes back and is charged once. Higgsfield being full or away is no error but PENDING with a delay.
     * A refusal that comes while the call waits is the call's error (metadata "generation_id"), and in any case the
     * generation's failure.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED,
     * MODEL_UNAVAILABLE), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS; UPSTREAM_SATURATED with fail_when_saturated),
     * INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public io.github.hfgateway.v1.SubmitGenerationResponse submitGeneration(io.github.hfgateway.v1.SubmitGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSubmitGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.GetGenerationResponse getGeneration(io.github.hfgateway.v1.GetGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first. A page_token holds only for the filter that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public io.github.hfgateway.v1.ListGenerationsResponse listGenerations(io.github.hfgateway.v1.ListGenerationsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListGenerationsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Succeeds in PENDING (where a submission is on its way, the call waits for its outcome), and again on a canceled
     * generation; in QUEUED Higgsfield decides, and cannot for what went to v1.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_CANCELABLE) in any other state; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.v1.CancelGenerationResponse cancelGeneration(io.github.hfgateway.v1.CancelGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Answers when the generation is done, or at the timeout with what it is by then: see Generation.done.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.WaitGenerationResponse waitGeneration(io.github.hfgateway.v1.WaitGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getWaitGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Every change after after_revision, each once and in order: at once those that have happened, then the others as
     * they happen. Ends with OK after the one that is done (at once, when that is not after after_revision); with
     * UNAVAILABLE when the gateway drains or the stream gets old: resume. Watching costs Higgsfield nothing, however many
     * watch; leaving ends nothing.
     * Codes: NOT_FOUND before the first message; INVALID_ARGUMENT for an after_revision that has not happened.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.hfgateway.v1.WatchGenerationResponse>
        watchGeneration(io.github.hfgateway.v1.WatchGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Many generations on one stream: all that match the filter, later ones included. First the present state of each
     * that matches and is not done (with filter.ids: done ones too), then caught_up, then every change, each once, in
     * order for each generation. A token from before that caught_up starts over. With a resume_token: first the changes
     * since, then caught_up, and every token resumes behind its own message. Ends with OK when all of filter.ids are
     * done, never for other filters; with UNAVAILABLE as WatchGeneration.
     * Codes: INVALID_ARGUMENT for a resume_token of another filter, and for filter.states and filter.idempotency_key.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.hfgateway.v1.WatchGenerationsResponse>
        watchGenerations(io.github.hfgateway.v1.WatchGenerationsRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchGenerationsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Checks the input as SubmitGeneration does, and says what it would cost. Charges nothing, reserves nothing.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (MODEL_UNAVAILABLE),
     * UNAVAILABLE (UPSTREAM_UNAVAILABLE), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public io.github.hfgateway.v1.EstimateGenerationResponse estimateGeneration(io.github.hfgateway.v1.EstimateGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getEstimateGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Removes a generation that is done from the gateway, and its input and files from Higgsfield where Higgsfield can
     * (not what went to v1). Its idempotency_key stays used. Again on a deleted one: OK.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_DONE); UNAVAILABLE (GATEWAY_UNAVAILABLE); UNAVAILABLE
     * (UPSTREAM_UNAVAILABLE): it is deleted in the gateway, and Higgsfield has not confirmed the removal yet. The gateway
     * repeats it until it is confirmed.
     * </pre>
     */
    public io.github.hfgateway.v1.DeleteGenerationResponse deleteGeneration(io.github.hfgateway.v1.DeleteGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The whole story of a generation, oldest first: every change with its cause, every call to Higgsfield with its
     * outcome. Holds no secrets, and nothing of its input.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.ExplainGenerationResponse explainGeneration(io.github.hfgateway.v1.ExplainGenerationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getExplainGenerationMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service GenerationService.
   * <pre>
   * Submit generations, follow them, cancel them.
   * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
   * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
   * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
   * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
   * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
   * </pre>
   */
  public static final class GenerationServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<GenerationServiceBlockingStub> {
    private GenerationServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected GenerationServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new GenerationServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores the generation durably, then hands it to Higgsfield. Safe to repeat with the same idempotency_key: the same
     * generation comes back and is charged once. Higgsfield being full or away is no error but PENDING with a delay.
     * A refusal that comes while the call waits is the call's error (metadata "generation_id"), and in any case the
     * generation's failure.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED,
     * MODEL_UNAVAILABLE), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS; UPSTREAM_SATURATED with fail_when_saturated),
     * INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public io.github.hfgateway.v1.SubmitGenerationResponse submitGeneration(io.github.hfgateway.v1.SubmitGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSubmitGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.GetGenerationResponse getGeneration(io.github.hfgateway.v1.GetGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first. A page_token holds only for the filter that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public io.github.hfgateway.v1.ListGenerationsResponse listGenerations(io.github.hfgateway.v1.ListGenerationsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListGenerationsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Succeeds in PENDING (where a submission is on its way, the call waits for its outcome), and again on a canceled
     * generation; in QUEUED Higgsfield decides, and cannot for what went to v1.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_CANCELABLE) in any other state; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public io.github.hfgateway.v1.CancelGenerationResponse cancelGeneration(io.github.hfgateway.v1.CancelGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Answers when the generation is done, or at the timeout with what it is by then: see Generation.done.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.WaitGenerationResponse waitGeneration(io.github.hfgateway.v1.WaitGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getWaitGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Every change after after_revision, each once and in order: at once those that have happened, then the others as
     * they happen. Ends with OK after the one that is done (at once, when that is not after after_revision); with
     * UNAVAILABLE when the gateway drains or the stream gets old: resume. Watching costs Higgsfield nothing, however many
     * watch; leaving ends nothing.
     * Codes: NOT_FOUND before the first message; INVALID_ARGUMENT for an after_revision that has not happened.
     * </pre>
     */
    public java.util.Iterator<io.github.hfgateway.v1.WatchGenerationResponse> watchGeneration(
        io.github.hfgateway.v1.WatchGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Many generations on one stream: all that match the filter, later ones included. First the present state of each
     * that matches and is not done (with filter.ids: done ones too), then caught_up, then every change, each once, in
     * order for each generation. A token from before that caught_up starts over. With a resume_token: first the changes
     * since, then caught_up, and every token resumes behind its own message. Ends with OK when all of filter.ids are
     * done, never for other filters; with UNAVAILABLE as WatchGeneration.
     * Codes: INVALID_ARGUMENT for a resume_token of another filter, and for filter.states and filter.idempotency_key.
     * </pre>
     */
    public java.util.Iterator<io.github.hfgateway.v1.WatchGenerationsResponse> watchGenerations(
        io.github.hfgateway.v1.WatchGenerationsRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchGenerationsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Checks the input as SubmitGeneration does, and says what it would cost. Charges nothing, reserves nothing.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (MODEL_UNAVAILABLE),
     * UNAVAILABLE (UPSTREAM_UNAVAILABLE), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public io.github.hfgateway.v1.EstimateGenerationResponse estimateGeneration(io.github.hfgateway.v1.EstimateGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getEstimateGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Removes a generation that is done from the gateway, and its input and files from Higgsfield where Higgsfield can
     * (not what went to v1). Its idempotency_key stays used. Again on a deleted one: OK.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_DONE); UNAVAILABLE (GATEWAY_UNAVAILABLE); UNAVAILABLE
     * (UPSTREAM_UNAVAILABLE): it is deleted in the gateway, and Higgsfield has not confirmed the removal yet. The gateway
     * repeats it until it is confirmed.
     * </pre>
     */
    public io.github.hfgateway.v1.DeleteGenerationResponse deleteGeneration(io.github.hfgateway.v1.DeleteGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteGenerationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The whole story of a generation, oldest first: every change with its cause, every call to Higgsfield with its
     * outcome. Holds no secrets, and nothing of its input.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.ExplainGenerationResponse explainGeneration(io.github.hfgateway.v1.ExplainGenerationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getExplainGenerationMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service GenerationService.
   * <pre>
   * Submit generations, follow them, cancel them.
   * Every RPC of every service can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (NOT_ALLOWED),
   * INVALID_ARGUMENT (INVALID_INPUT), RESOURCE_EXHAUSTED (QUOTA_EXCEEDED, GATEWAY_OVERLOADED), UNAVAILABLE
   * (GATEWAY_UNAVAILABLE) and INTERNAL (INTERNAL). After UNAVAILABLE, and after a call whose answer was lost (a CANCELLED
   * that the caller did not cause is one: a server that ends leaves it to calls it has not taken up), the same call may
   * be repeated as it is: nothing is done twice. A call's deadline or cancellation ends the call, never the generation.
   * </pre>
   */
  public static final class GenerationServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<GenerationServiceFutureStub> {
    private GenerationServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected GenerationServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new GenerationServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores the generation durably, then hands it to Higgsfield. Safe to repeat with the same idempotency_key: the same
     * generation comes back and is charged once. Higgsfield being full or away is no error but PENDING with a delay.
     * A refusal that comes while the call waits is the call's error (metadata "generation_id"), and in any case the
     * generation's failure.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED,
     * MODEL_UNAVAILABLE), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS; UPSTREAM_SATURATED with fail_when_saturated),
     * INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.SubmitGenerationResponse> submitGeneration(
        io.github.hfgateway.v1.SubmitGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSubmitGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.GetGenerationResponse> getGeneration(
        io.github.hfgateway.v1.GetGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Newest first. A page_token holds only for the filter that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListGenerationsResponse> listGenerations(
        io.github.hfgateway.v1.ListGenerationsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListGenerationsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Succeeds in PENDING (where a submission is on its way, the call waits for its outcome), and again on a canceled
     * generation; in QUEUED Higgsfield decides, and cannot for what went to v1.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_CANCELABLE) in any other state; UNAVAILABLE (UPSTREAM_UNAVAILABLE).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.CancelGenerationResponse> cancelGeneration(
        io.github.hfgateway.v1.CancelGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Answers when the generation is done, or at the timeout with what it is by then: see Generation.done.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.WaitGenerationResponse> waitGeneration(
        io.github.hfgateway.v1.WaitGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getWaitGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Checks the input as SubmitGeneration does, and says what it would cost. Charges nothing, reserves nothing.
     * Codes: INVALID_ARGUMENT (INPUT_REFUSED), NOT_FOUND (MODEL_UNKNOWN), FAILED_PRECONDITION (MODEL_UNAVAILABLE),
     * UNAVAILABLE (UPSTREAM_UNAVAILABLE), INTERNAL (UPSTREAM_CREDENTIALS_REFUSED).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.EstimateGenerationResponse> estimateGeneration(
        io.github.hfgateway.v1.EstimateGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getEstimateGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Removes a generation that is done from the gateway, and its input and files from Higgsfield where Higgsfield can
     * (not what went to v1). Its idempotency_key stays used. Again on a deleted one: OK.
     * Codes: NOT_FOUND; FAILED_PRECONDITION (NOT_DONE); UNAVAILABLE (GATEWAY_UNAVAILABLE); UNAVAILABLE
     * (UPSTREAM_UNAVAILABLE): it is deleted in the gateway, and Higgsfield has not confirmed the removal yet. The gateway
     * repeats it until it is confirmed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.DeleteGenerationResponse> deleteGeneration(
        io.github.hfgateway.v1.DeleteGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteGenerationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The whole story of a generation, oldest first: every change with its cause, every call to Higgsfield with its
     * outcome. Holds no secrets, and nothing of its input.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ExplainGenerationResponse> explainGeneration(
        io.github.hfgateway.v1.ExplainGenerationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getExplainGenerationMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_SUBMIT_GENERATION = 0;
  private static final int METHODID_GET_GENERATION = 1;
  private static final int METHODID_LIST_GENERATIONS = 2;
  private static final int METHODID_CANCEL_GENERATION = 3;
  private static final int METHODID_WAIT_GENERATION = 4;
  private static final int METHODID_WATCH_GENERATION = 5;
  private static final int METHODID_WATCH_GENERATIONS = 6;
  private static final int METHODID_ESTIMATE_GENERATION = 7;
  private static final int METHODID_DELETE_GENERATION = 8;
  private static final int METHODID_EXPLAIN_GENERATION = 9;

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
        case METHODID_SUBMIT_GENERATION:
          serviceImpl.submitGeneration((io.github.hfgateway.v1.SubmitGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.SubmitGenerationResponse>) responseObserver);
          break;
        case METHODID_GET_GENERATION:
          serviceImpl.getGeneration((io.github.hfgateway.v1.GetGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetGenerationResponse>) responseObserver);
          break;
        case METHODID_LIST_GENERATIONS:
          serviceImpl.listGenerations((io.github.hfgateway.v1.ListGenerationsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListGenerationsResponse>) responseObserver);
          break;
        case METHODID_CANCEL_GENERATION:
          serviceImpl.cancelGeneration((io.github.hfgateway.v1.CancelGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CancelGenerationResponse>) responseObserver);
          break;
        case METHODID_WAIT_GENERATION:
          serviceImpl.waitGeneration((io.github.hfgateway.v1.WaitGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WaitGenerationResponse>) responseObserver);
          break;
        case METHODID_WATCH_GENERATION:
          serviceImpl.watchGeneration((io.github.hfgateway.v1.WatchGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchGenerationResponse>) responseObserver);
          break;
        case METHODID_WATCH_GENERATIONS:
          serviceImpl.watchGenerations((io.github.hfgateway.v1.WatchGenerationsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.WatchGenerationsResponse>) responseObserver);
          break;
        case METHODID_ESTIMATE_GENERATION:
          serviceImpl.estimateGeneration((io.github.hfgateway.v1.EstimateGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.EstimateGenerationResponse>) responseObserver);
          break;
        case METHODID_DELETE_GENERATION:
          serviceImpl.deleteGeneration((io.github.hfgateway.v1.DeleteGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteGenerationResponse>) responseObserver);
          break;
        case METHODID_EXPLAIN_GENERATION:
          serviceImpl.explainGeneration((io.github.hfgateway.v1.ExplainGenerationRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ExplainGenerationResponse>) responseObserver);
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
          getSubmitGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.SubmitGenerationRequest,
              io.github.hfgateway.v1.SubmitGenerationResponse>(
                service, METHODID_SUBMIT_GENERATION)))
        .addMethod(
          getGetGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.GetGenerationRequest,
              io.github.hfgateway.v1.GetGenerationResponse>(
                service, METHODID_GET_GENERATION)))
        .addMethod(
          getListGenerationsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListGenerationsRequest,
              io.github.hfgateway.v1.ListGenerationsResponse>(
                service, METHODID_LIST_GENERATIONS)))
        .addMethod(
          getCancelGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.CancelGenerationRequest,
              io.github.hfgateway.v1.CancelGenerationResponse>(
                service, METHODID_CANCEL_GENERATION)))
        .addMethod(
          getWaitGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.WaitGenerationRequest,
              io.github.hfgateway.v1.WaitGenerationResponse>(
                service, METHODID_WAIT_GENERATION)))
        .addMethod(
          getWatchGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.hfgateway.v1.WatchGenerationRequest,
              io.github.hfgateway.v1.WatchGenerationResponse>(
                service, METHODID_WATCH_GENERATION)))
        .addMethod(
          getWatchGenerationsMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.hfgateway.v1.WatchGenerationsRequest,
              io.github.hfgateway.v1.WatchGenerationsResponse>(
                service, METHODID_WATCH_GENERATIONS)))
        .addMethod(
          getEstimateGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.EstimateGenerationRequest,
              io.github.hfgateway.v1.EstimateGenerationResponse>(
                service, METHODID_ESTIMATE_GENERATION)))
        .addMethod(
          getDeleteGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.DeleteGenerationRequest,
              io.github.hfgateway.v1.DeleteGenerationResponse>(
                service, METHODID_DELETE_GENERATION)))
        .addMethod(
          getExplainGenerationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ExplainGenerationRequest,
              io.github.hfgateway.v1.ExplainGenerationResponse>(
                service, METHODID_EXPLAIN_GENERATION)))
        .build();
  }

  private static abstract class GenerationServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    GenerationServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.v1.GenerationServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("GenerationService");
    }
  }

  private static final class GenerationServiceFileDescriptorSupplier
      extends GenerationServiceBaseDescriptorSupplier {
    GenerationServiceFileDescriptorSupplier() {}
  }

  private static final class GenerationServiceMethodDescriptorSupplier
      extends GenerationServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    GenerationServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (GenerationServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new GenerationServiceFileDescriptorSupplier())
              .addMethod(getSubmitGenerationMethod())
              .addMethod(getGetGenerationMethod())
              .addMethod(getListGenerationsMethod())
              .addMethod(getCancelGenerationMethod())
              .addMethod(getWaitGenerationMethod())
              .addMethod(getWatchGenerationMethod())
              .addMethod(getWatchGenerationsMethod())
              .addMethod(getEstimateGenerationMethod())
              .addMethod(getDeleteGenerationMethod())
              .addMethod(getExplainGenerationMethod())
              .build();
        }
      }
    }
    return result;
  }
}
