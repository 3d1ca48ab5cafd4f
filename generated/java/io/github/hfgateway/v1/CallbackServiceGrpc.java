package io.github.hfgateway.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
 * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
 * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
 * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
 * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
 * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
 * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
 * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
 * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
 * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class CallbackServiceGrpc {

  private CallbackServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.v1.CallbackService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateCallbackRequest,
      io.github.hfgateway.v1.CreateCallbackResponse> getCreateCallbackMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateCallback",
      requestType = io.github.hfgateway.v1.CreateCallbackRequest.class,
      responseType = io.github.hfgateway.v1.CreateCallbackResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateCallbackRequest,
      io.github.hfgateway.v1.CreateCallbackResponse> getCreateCallbackMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.CreateCallbackRequest, io.github.hfgateway.v1.CreateCallbackResponse> getCreateCallbackMethod;
    if ((getCreateCallbackMethod = CallbackServiceGrpc.getCreateCallbackMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getCreateCallbackMethod = CallbackServiceGrpc.getCreateCallbackMethod) == null) {
          CallbackServiceGrpc.getCreateCallbackMethod = getCreateCallbackMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.CreateCallbackRequest, io.github.hfgateway.v1.CreateCallbackResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateCallback"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateCallbackRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.CreateCallbackResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("CreateCallback"))
              .build();
        }
      }
    }
    return getCreateCallbackMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetCallbackRequest,
      io.github.hfgateway.v1.GetCallbackResponse> getGetCallbackMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetCallback",
      requestType = io.github.hfgateway.v1.GetCallbackRequest.class,
      responseType = io.github.hfgateway.v1.GetCallbackResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetCallbackRequest,
      io.github.hfgateway.v1.GetCallbackResponse> getGetCallbackMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.GetCallbackRequest, io.github.hfgateway.v1.GetCallbackResponse> getGetCallbackMethod;
    if ((getGetCallbackMethod = CallbackServiceGrpc.getGetCallbackMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getGetCallbackMethod = CallbackServiceGrpc.getGetCallbackMethod) == null) {
          CallbackServiceGrpc.getGetCallbackMethod = getGetCallbackMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.GetCallbackRequest, io.github.hfgateway.v1.GetCallbackResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetCallback"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetCallbackRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.GetCallbackResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("GetCallback"))
              .build();
        }
      }
    }
    return getGetCallbackMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListCallbacksRequest,
      io.github.hfgateway.v1.ListCallbacksResponse> getListCallbacksMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListCallbacks",
      requestType = io.github.hfgateway.v1.ListCallbacksRequest.class,
      responseType = io.github.hfgateway.v1.ListCallbacksResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListCallbacksRequest,
      io.github.hfgateway.v1.ListCallbacksResponse> getListCallbacksMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListCallbacksRequest, io.github.hfgateway.v1.ListCallbacksResponse> getListCallbacksMethod;
    if ((getListCallbacksMethod = CallbackServiceGrpc.getListCallbacksMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getListCallbacksMethod = CallbackServiceGrpc.getListCallbacksMethod) == null) {
          CallbackServiceGrpc.getListCallbacksMethod = getListCallbacksMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListCallbacksRequest, io.github.hfgateway.v1.ListCallbacksResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListCallbacks"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListCallbacksRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListCallbacksResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("ListCallbacks"))
              .build();
        }
      }
    }
    return getListCallbacksMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.UpdateCallbackRequest,
      io.github.hfgateway.v1.UpdateCallbackResponse> getUpdateCallbackMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateCallback",
      requestType = io.github.hfgateway.v1.UpdateCallbackRequest.class,
      responseType = io.github.hfgateway.v1.UpdateCallbackResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.UpdateCallbackRequest,
      io.github.hfgateway.v1.UpdateCallbackResponse> getUpdateCallbackMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.UpdateCallbackRequest, io.github.hfgateway.v1.UpdateCallbackResponse> getUpdateCallbackMethod;
    if ((getUpdateCallbackMethod = CallbackServiceGrpc.getUpdateCallbackMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getUpdateCallbackMethod = CallbackServiceGrpc.getUpdateCallbackMethod) == null) {
          CallbackServiceGrpc.getUpdateCallbackMethod = getUpdateCallbackMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.UpdateCallbackRequest, io.github.hfgateway.v1.UpdateCallbackResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateCallback"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.UpdateCallbackRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.UpdateCallbackResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("UpdateCallback"))
              .build();
        }
      }
    }
    return getUpdateCallbackMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteCallbackRequest,
      io.github.hfgateway.v1.DeleteCallbackResponse> getDeleteCallbackMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteCallback",
      requestType = io.github.hfgateway.v1.DeleteCallbackRequest.class,
      responseType = io.github.hfgateway.v1.DeleteCallbackResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteCallbackRequest,
      io.github.hfgateway.v1.DeleteCallbackResponse> getDeleteCallbackMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.DeleteCallbackRequest, io.github.hfgateway.v1.DeleteCallbackResponse> getDeleteCallbackMethod;
    if ((getDeleteCallbackMethod = CallbackServiceGrpc.getDeleteCallbackMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getDeleteCallbackMethod = CallbackServiceGrpc.getDeleteCallbackMethod) == null) {
          CallbackServiceGrpc.getDeleteCallbackMethod = getDeleteCallbackMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.DeleteCallbackRequest, io.github.hfgateway.v1.DeleteCallbackResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteCallback"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.DeleteCallbackRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.DeleteCallbackResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("DeleteCallback"))
              .build();
        }
      }
    }
    return getDeleteCallbackMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.RotateCallbackSecretRequest,
      io.github.hfgateway.v1.RotateCallbackSecretResponse> getRotateCallbackSecretMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RotateCallbackSecret",
      requestType = io.github.hfgateway.v1.RotateCallbackSecretRequest.class,
      responseType = io.github.hfgateway.v1.RotateCallbackSecretResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.RotateCallbackSecretRequest,
      io.github.hfgateway.v1.RotateCallbackSecretResponse> getRotateCallbackSecretMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.RotateCallbackSecretRequest, io.github.hfgateway.v1.RotateCallbackSecretResponse> getRotateCallbackSecretMethod;
    if ((getRotateCallbackSecretMethod = CallbackServiceGrpc.getRotateCallbackSecretMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getRotateCallbackSecretMethod = CallbackServiceGrpc.getRotateCallbackSecretMethod) == null) {
          CallbackServiceGrpc.getRotateCallbackSecretMethod = getRotateCallbackSecretMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.RotateCallbackSecretRequest, io.github.hfgateway.v1.RotateCallbackSecretResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RotateCallbackSecret"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.RotateCallbackSecretRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.RotateCallbackSecretResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("RotateCallbackSecret"))
              .build();
        }
      }
    }
    return getRotateCallbackSecretMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.TestCallbackRequest,
      io.github.hfgateway.v1.TestCallbackResponse> getTestCallbackMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "TestCallback",
      requestType = io.github.hfgateway.v1.TestCallbackRequest.class,
      responseType = io.github.hfgateway.v1.TestCallbackResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.TestCallbackRequest,
      io.github.hfgateway.v1.TestCallbackResponse> getTestCallbackMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.TestCallbackRequest, io.github.hfgateway.v1.TestCallbackResponse> getTestCallbackMethod;
    if ((getTestCallbackMethod = CallbackServiceGrpc.getTestCallbackMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getTestCallbackMethod = CallbackServiceGrpc.getTestCallbackMethod) == null) {
          CallbackServiceGrpc.getTestCallbackMethod = getTestCallbackMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.TestCallbackRequest, io.github.hfgateway.v1.TestCallbackResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "TestCallback"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.TestCallbackRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.TestCallbackResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("TestCallback"))
              .build();
        }
      }
    }
    return getTestCallbackMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListDeliveriesRequest,
      io.github.hfgateway.v1.ListDeliveriesResponse> getListDeliveriesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListDeliveries",
      requestType = io.github.hfgateway.v1.ListDeliveriesRequest.class,
      responseType = io.github.hfgateway.v1.ListDeliveriesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListDeliveriesRequest,
      io.github.hfgateway.v1.ListDeliveriesResponse> getListDeliveriesMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.ListDeliveriesRequest, io.github.hfgateway.v1.ListDeliveriesResponse> getListDeliveriesMethod;
    if ((getListDeliveriesMethod = CallbackServiceGrpc.getListDeliveriesMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getListDeliveriesMethod = CallbackServiceGrpc.getListDeliveriesMethod) == null) {
          CallbackServiceGrpc.getListDeliveriesMethod = getListDeliveriesMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.ListDeliveriesRequest, io.github.hfgateway.v1.ListDeliveriesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListDeliveries"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListDeliveriesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.ListDeliveriesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("ListDeliveries"))
              .build();
        }
      }
    }
    return getListDeliveriesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.v1.RedeliverDeliveryRequest,
      io.github.hfgateway.v1.RedeliverDeliveryResponse> getRedeliverDeliveryMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RedeliverDelivery",
      requestType = io.github.hfgateway.v1.RedeliverDeliveryRequest.class,
      responseType = io.github.hfgateway.v1.RedeliverDeliveryResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.v1.RedeliverDeliveryRequest,
      io.github.hfgateway.v1.RedeliverDeliveryResponse> getRedeliverDeliveryMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.v1.RedeliverDeliveryRequest, io.github.hfgateway.v1.RedeliverDeliveryResponse> getRedeliverDeliveryMethod;
    if ((getRedeliverDeliveryMethod = CallbackServiceGrpc.getRedeliverDeliveryMethod) == null) {
      synchronized (CallbackServiceGrpc.class) {
        if ((getRedeliverDeliveryMethod = CallbackServiceGrpc.getRedeliverDeliveryMethod) == null) {
          CallbackServiceGrpc.getRedeliverDeliveryMethod = getRedeliverDeliveryMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.v1.RedeliverDeliveryRequest, io.github.hfgateway.v1.RedeliverDeliveryResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RedeliverDelivery"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.RedeliverDeliveryRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.v1.RedeliverDeliveryResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CallbackServiceMethodDescriptorSupplier("RedeliverDelivery"))
              .build();
        }
      }
    }
    return getRedeliverDeliveryMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static CallbackServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CallbackServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CallbackServiceStub>() {
        @java.lang.Override
        public CallbackServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CallbackServiceStub(channel, callOptions);
        }
      };
    return CallbackServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static CallbackServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CallbackServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CallbackServiceBlockingV2Stub>() {
        @java.lang.Override
        public CallbackServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CallbackServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return CallbackServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static CallbackServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CallbackServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CallbackServiceBlockingStub>() {
        @java.lang.Override
        public CallbackServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CallbackServiceBlockingStub(channel, callOptions);
        }
      };
    return CallbackServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static CallbackServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CallbackServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CallbackServiceFutureStub>() {
        @java.lang.Override
        public CallbackServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CallbackServiceFutureStub(channel, callOptions);
        }
      };
    return CallbackServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
   * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
   * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
   * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
   * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
   * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
   * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
   * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
   * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
   * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * For what changes from now on. Safe to repeat with the same idempotency_key, but the secret is told only once.
     * Codes: FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED); RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) beyond 20 of a tenant.
     * </pre>
     */
    default void createCallback(io.github.hfgateway.v1.CreateCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateCallbackResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateCallbackMethod(), responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void getCallback(io.github.hfgateway.v1.GetCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetCallbackResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetCallbackMethod(), responseObserver);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    default void listCallbacks(io.github.hfgateway.v1.ListCallbacksRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListCallbacksResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListCallbacksMethod(), responseObserver);
    }

    /**
     * <pre>
     * Changes what is set in the request, and nothing else. Counts for what is taken up for delivery from then on.
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void updateCallback(io.github.hfgateway.v1.UpdateCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UpdateCallbackResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateCallbackMethod(), responseObserver);
    }

    /**
     * <pre>
     * With its deliveries and secrets; an attempt that is under way is not called back. OK also where it does not exist.
     * </pre>
     */
    default void deleteCallback(io.github.hfgateway.v1.DeleteCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteCallbackResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteCallbackMethod(), responseObserver);
    }

    /**
     * <pre>
     * Makes a new secret. Deliveries are signed with the old ones too for 24 h more, so that a receiver can change over.
     * A repeat makes another one, which does no harm: all sign.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) while four still sign.
     * </pre>
     */
    default void rotateCallbackSecret(io.github.hfgateway.v1.RotateCallbackSecretRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.RotateCallbackSecretResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRotateCallbackSecretMethod(), responseObserver);
    }

    /**
     * <pre>
     * Sends one delivery of type "callback.test" now, with an empty Generation as data, and tells what became of it. It is
     * never repeated nor kept, and goes to a paused callback too. That it failed is no error of the call.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (GATEWAY_OVERLOADED) while too many are under way.
     * </pre>
     */
    default void testCallback(io.github.hfgateway.v1.TestCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.TestCallbackResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getTestCallbackMethod(), responseObserver);
    }

    /**
     * <pre>
     * Newest first: what waits, and for 7 days what was taken or given up.
     * A page_token holds only for the request that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    default void listDeliveries(io.github.hfgateway.v1.ListDeliveriesRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListDeliveriesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListDeliveriesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Has it delivered (again) from now on, under the same webhook-id and with a new schedule; after later revisions of its
     * generation, if those were delivered. One that waits is due at once.
     * Codes: NOT_FOUND, also where the generation has been deleted.
     * </pre>
     */
    default void redeliverDelivery(io.github.hfgateway.v1.RedeliverDeliveryRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.RedeliverDeliveryResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRedeliverDeliveryMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service CallbackService.
   * <pre>
   * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
   * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
   * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
   * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
   * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
   * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
   * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
   * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
   * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
   * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
   * </pre>
   */
  public static abstract class CallbackServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return CallbackServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service CallbackService.
   * <pre>
   * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
   * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
   * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
   * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
   * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
   * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
   * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
   * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
   * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
   * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
   * </pre>
   */
  public static final class CallbackServiceStub
      extends io.grpc.stub.AbstractAsyncStub<CallbackServiceStub> {
    private CallbackServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CallbackServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CallbackServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * For what changes from now on. Safe to repeat with the same idempotency_key, but the secret is told only once.
     * Codes: FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED); RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) beyond 20 of a tenant.
     * </pre>
     */
    public void createCallback(io.github.hfgateway.v1.CreateCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateCallbackResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateCallbackMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void getCallback(io.github.hfgateway.v1.GetCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetCallbackResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetCallbackMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public void listCallbacks(io.github.hfgateway.v1.ListCallbacksRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListCallbacksResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListCallbacksMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Changes what is set in the request, and nothing else. Counts for what is taken up for delivery from then on.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void updateCallback(io.github.hfgateway.v1.UpdateCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UpdateCallbackResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateCallbackMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * With its deliveries and secrets; an attempt that is under way is not called back. OK also where it does not exist.
     * </pre>
     */
    public void deleteCallback(io.github.hfgateway.v1.DeleteCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteCallbackResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteCallbackMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Makes a new secret. Deliveries are signed with the old ones too for 24 h more, so that a receiver can change over.
     * A repeat makes another one, which does no harm: all sign.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) while four still sign.
     * </pre>
     */
    public void rotateCallbackSecret(io.github.hfgateway.v1.RotateCallbackSecretRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.RotateCallbackSecretResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRotateCallbackSecretMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Sends one delivery of type "callback.test" now, with an empty Generation as data, and tells what became of it. It is
     * never repeated nor kept, and goes to a paused callback too. That it failed is no error of the call.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (GATEWAY_OVERLOADED) while too many are under way.
     * </pre>
     */
    public void testCallback(io.github.hfgateway.v1.TestCallbackRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.TestCallbackResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getTestCallbackMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Newest first: what waits, and for 7 days what was taken or given up.
     * A page_token holds only for the request that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public void listDeliveries(io.github.hfgateway.v1.ListDeliveriesRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListDeliveriesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListDeliveriesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Has it delivered (again) from now on, under the same webhook-id and with a new schedule; after later revisions of its
     * generation, if those were delivered. One that waits is due at once.
     * Codes: NOT_FOUND, also where the generation has been deleted.
     * </pre>
     */
    public void redeliverDelivery(io.github.hfgateway.v1.RedeliverDeliveryRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.v1.RedeliverDeliveryResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRedeliverDeliveryMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service CallbackService.
   * <pre>
   * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
   * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
   * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
   * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
   * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
   * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
   * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
   * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
   * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
   * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
   * </pre>
   */
  public static final class CallbackServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<CallbackServiceBlockingV2Stub> {
    private CallbackServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CallbackServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CallbackServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * For what changes from now on. Safe to repeat with the same idempotency_key, but the secret is told only once.
     * Codes: FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED); RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) beyond 20 of a tenant.
     * </pre>
     */
    public io.github.hfgateway.v1.CreateCallbackResponse createCallback(io.github.hfgateway.v1.CreateCallbackRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.GetCallbackResponse getCallback(io.github.hfgateway.v1.GetCallbackRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public io.github.hfgateway.v1.ListCallbacksResponse listCallbacks(io.github.hfgateway.v1.ListCallbacksRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListCallbacksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Changes what is set in the request, and nothing else. Counts for what is taken up for delivery from then on.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.UpdateCallbackResponse updateCallback(io.github.hfgateway.v1.UpdateCallbackRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * With its deliveries and secrets; an attempt that is under way is not called back. OK also where it does not exist.
     * </pre>
     */
    public io.github.hfgateway.v1.DeleteCallbackResponse deleteCallback(io.github.hfgateway.v1.DeleteCallbackRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Makes a new secret. Deliveries are signed with the old ones too for 24 h more, so that a receiver can change over.
     * A repeat makes another one, which does no harm: all sign.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) while four still sign.
     * </pre>
     */
    public io.github.hfgateway.v1.RotateCallbackSecretResponse rotateCallbackSecret(io.github.hfgateway.v1.RotateCallbackSecretRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRotateCallbackSecretMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sends one delivery of type "callback.test" now, with an empty Generation as data, and tells what became of it. It is
     * never repeated nor kept, and goes to a paused callback too. That it failed is no error of the call.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (GATEWAY_OVERLOADED) while too many are under way.
     * </pre>
     */
    public io.github.hfgateway.v1.TestCallbackResponse testCallback(io.github.hfgateway.v1.TestCallbackRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getTestCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first: what waits, and for 7 days what was taken or given up.
     * A page_token holds only for the request that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public io.github.hfgateway.v1.ListDeliveriesResponse listDeliveries(io.github.hfgateway.v1.ListDeliveriesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListDeliveriesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Has it delivered (again) from now on, under the same webhook-id and with a new schedule; after later revisions of its
     * generation, if those were delivered. One that waits is due at once.
     * Codes: NOT_FOUND, also where the generation has been deleted.
     * </pre>
     */
    public io.github.hfgateway.v1.RedeliverDeliveryResponse redeliverDelivery(io.github.hfgateway.v1.RedeliverDeliveryRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRedeliverDeliveryMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service CallbackService.
   * <pre>
   * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
   * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
   * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
   * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
   * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
   * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
   * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
   * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
   * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
   * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
   * </pre>
   */
  public static final class CallbackServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<CallbackServiceBlockingStub> {
    private CallbackServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CallbackServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CallbackServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * For what changes from now on. Safe to repeat with the same idempotency_key, but the secret is told only once.
     * Codes: FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED); RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) beyond 20 of a tenant.
     * </pre>
     */
    public io.github.hfgateway.v1.CreateCallbackResponse createCallback(io.github.hfgateway.v1.CreateCallbackRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.GetCallbackResponse getCallback(io.github.hfgateway.v1.GetCallbackRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public io.github.hfgateway.v1.ListCallbacksResponse listCallbacks(io.github.hfgateway.v1.ListCallbacksRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListCallbacksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Changes what is set in the request, and nothing else. Counts for what is taken up for delivery from then on.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.v1.UpdateCallbackResponse updateCallback(io.github.hfgateway.v1.UpdateCallbackRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * With its deliveries and secrets; an attempt that is under way is not called back. OK also where it does not exist.
     * </pre>
     */
    public io.github.hfgateway.v1.DeleteCallbackResponse deleteCallback(io.github.hfgateway.v1.DeleteCallbackRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Makes a new secret. Deliveries are signed with the old ones too for 24 h more, so that a receiver can change over.
     * A repeat makes another one, which does no harm: all sign.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) while four still sign.
     * </pre>
     */
    public io.github.hfgateway.v1.RotateCallbackSecretResponse rotateCallbackSecret(io.github.hfgateway.v1.RotateCallbackSecretRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRotateCallbackSecretMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sends one delivery of type "callback.test" now, with an empty Generation as data, and tells what became of it. It is
     * never repeated nor kept, and goes to a paused callback too. That it failed is no error of the call.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (GATEWAY_OVERLOADED) while too many are under way.
     * </pre>
     */
    public io.github.hfgateway.v1.TestCallbackResponse testCallback(io.github.hfgateway.v1.TestCallbackRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getTestCallbackMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Newest first: what waits, and for 7 days what was taken or given up.
     * A page_token holds only for the request that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public io.github.hfgateway.v1.ListDeliveriesResponse listDeliveries(io.github.hfgateway.v1.ListDeliveriesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListDeliveriesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Has it delivered (again) from now on, under the same webhook-id and with a new schedule; after later revisions of its
     * generation, if those were delivered. One that waits is due at once.
     * Codes: NOT_FOUND, also where the generation has been deleted.
     * </pre>
     */
    public io.github.hfgateway.v1.RedeliverDeliveryResponse redeliverDelivery(io.github.hfgateway.v1.RedeliverDeliveryRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRedeliverDeliveryMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service CallbackService.
   * <pre>
   * Signed webhooks to the tenant's own servers, for who would rather be told than watch.
   * A delivery is a POST as Standard Webhooks 1.0.0 has it, of the JSON object {"type", "timestamp", "data"}: the type is
   * "generation." and the state in lower case ("generation.completed"), the timestamp that of the change, and data the
   * Generation at that revision in proto3 JSON, without its input. Headers: webhook-id, the same however often a delivery
   * is repeated; webhook-timestamp; webhook-signature, HMAC-SHA256 ("v1,") once for each secret that counts.
   * Delivered at least once, also over restarts: drop a webhook-id that has been seen. Deliveries for one generation come
   * in the order of their revisions, each after the one before has been taken or given up; between generations there is no
   * order. Any 2xx within 15 s takes a delivery; its body is not read. Anything else, a redirect too, is tried again over
   * about three days; a Retry-After is kept. 410 ends the callback: it is paused, and so is one that takes nothing for
   * three days. What a paused callback did not get is delivered when it goes on, as far as the gateway still keeps it.
   * </pre>
   */
  public static final class CallbackServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<CallbackServiceFutureStub> {
    private CallbackServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CallbackServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CallbackServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * For what changes from now on. Safe to repeat with the same idempotency_key, but the secret is told only once.
     * Codes: FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED); RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) beyond 20 of a tenant.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.CreateCallbackResponse> createCallback(
        io.github.hfgateway.v1.CreateCallbackRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateCallbackMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.GetCallbackResponse> getCallback(
        io.github.hfgateway.v1.GetCallbackRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetCallbackMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Newest first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListCallbacksResponse> listCallbacks(
        io.github.hfgateway.v1.ListCallbacksRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListCallbacksMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Changes what is set in the request, and nothing else. Counts for what is taken up for delivery from then on.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.UpdateCallbackResponse> updateCallback(
        io.github.hfgateway.v1.UpdateCallbackRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateCallbackMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * With its deliveries and secrets; an attempt that is under way is not called back. OK also where it does not exist.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.DeleteCallbackResponse> deleteCallback(
        io.github.hfgateway.v1.DeleteCallbackRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteCallbackMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Makes a new secret. Deliveries are signed with the old ones too for 24 h more, so that a receiver can change over.
     * A repeat makes another one, which does no harm: all sign.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (QUOTA_EXCEEDED) while four still sign.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.RotateCallbackSecretResponse> rotateCallbackSecret(
        io.github.hfgateway.v1.RotateCallbackSecretRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRotateCallbackSecretMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Sends one delivery of type "callback.test" now, with an empty Generation as data, and tells what became of it. It is
     * never repeated nor kept, and goes to a paused callback too. That it failed is no error of the call.
     * Codes: NOT_FOUND; RESOURCE_EXHAUSTED (GATEWAY_OVERLOADED) while too many are under way.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.TestCallbackResponse> testCallback(
        io.github.hfgateway.v1.TestCallbackRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getTestCallbackMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Newest first: what waits, and for 7 days what was taken or given up.
     * A page_token holds only for the request that it came with: else INVALID_ARGUMENT.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.ListDeliveriesResponse> listDeliveries(
        io.github.hfgateway.v1.ListDeliveriesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListDeliveriesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Has it delivered (again) from now on, under the same webhook-id and with a new schedule; after later revisions of its
     * generation, if those were delivered. One that waits is due at once.
     * Codes: NOT_FOUND, also where the generation has been deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.v1.RedeliverDeliveryResponse> redeliverDelivery(
        io.github.hfgateway.v1.RedeliverDeliveryRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRedeliverDeliveryMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_CALLBACK = 0;
  private static final int METHODID_GET_CALLBACK = 1;
  private static final int METHODID_LIST_CALLBACKS = 2;
  private static final int METHODID_UPDATE_CALLBACK = 3;
  private static final int METHODID_DELETE_CALLBACK = 4;
  private static final int METHODID_ROTATE_CALLBACK_SECRET = 5;
  private static final int METHODID_TEST_CALLBACK = 6;
  private static final int METHODID_LIST_DELIVERIES = 7;
  private static final int METHODID_REDELIVER_DELIVERY = 8;

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
        case METHODID_CREATE_CALLBACK:
          serviceImpl.createCallback((io.github.hfgateway.v1.CreateCallbackRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.CreateCallbackResponse>) responseObserver);
          break;
        case METHODID_GET_CALLBACK:
          serviceImpl.getCallback((io.github.hfgateway.v1.GetCallbackRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.GetCallbackResponse>) responseObserver);
          break;
        case METHODID_LIST_CALLBACKS:
          serviceImpl.listCallbacks((io.github.hfgateway.v1.ListCallbacksRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListCallbacksResponse>) responseObserver);
          break;
        case METHODID_UPDATE_CALLBACK:
          serviceImpl.updateCallback((io.github.hfgateway.v1.UpdateCallbackRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.UpdateCallbackResponse>) responseObserver);
          break;
        case METHODID_DELETE_CALLBACK:
          serviceImpl.deleteCallback((io.github.hfgateway.v1.DeleteCallbackRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.DeleteCallbackResponse>) responseObserver);
          break;
        case METHODID_ROTATE_CALLBACK_SECRET:
          serviceImpl.rotateCallbackSecret((io.github.hfgateway.v1.RotateCallbackSecretRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.RotateCallbackSecretResponse>) responseObserver);
          break;
        case METHODID_TEST_CALLBACK:
          serviceImpl.testCallback((io.github.hfgateway.v1.TestCallbackRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.TestCallbackResponse>) responseObserver);
          break;
        case METHODID_LIST_DELIVERIES:
          serviceImpl.listDeliveries((io.github.hfgateway.v1.ListDeliveriesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.ListDeliveriesResponse>) responseObserver);
          break;
        case METHODID_REDELIVER_DELIVERY:
          serviceImpl.redeliverDelivery((io.github.hfgateway.v1.RedeliverDeliveryRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.v1.RedeliverDeliveryResponse>) responseObserver);
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
          getCreateCallbackMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.CreateCallbackRequest,
              io.github.hfgateway.v1.CreateCallbackResponse>(
                service, METHODID_CREATE_CALLBACK)))
        .addMethod(
          getGetCallbackMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.GetCallbackRequest,
              io.github.hfgateway.v1.GetCallbackResponse>(
                service, METHODID_GET_CALLBACK)))
        .addMethod(
          getListCallbacksMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListCallbacksRequest,
              io.github.hfgateway.v1.ListCallbacksResponse>(
                service, METHODID_LIST_CALLBACKS)))
        .addMethod(
          getUpdateCallbackMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.UpdateCallbackRequest,
              io.github.hfgateway.v1.UpdateCallbackResponse>(
                service, METHODID_UPDATE_CALLBACK)))
        .addMethod(
          getDeleteCallbackMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.DeleteCallbackRequest,
              io.github.hfgateway.v1.DeleteCallbackResponse>(
                service, METHODID_DELETE_CALLBACK)))
        .addMethod(
          getRotateCallbackSecretMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.RotateCallbackSecretRequest,
              io.github.hfgateway.v1.RotateCallbackSecretResponse>(
                service, METHODID_ROTATE_CALLBACK_SECRET)))
        .addMethod(
          getTestCallbackMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.TestCallbackRequest,
              io.github.hfgateway.v1.TestCallbackResponse>(
                service, METHODID_TEST_CALLBACK)))
        .addMethod(
          getListDeliveriesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.ListDeliveriesRequest,
              io.github.hfgateway.v1.ListDeliveriesResponse>(
                service, METHODID_LIST_DELIVERIES)))
        .addMethod(
          getRedeliverDeliveryMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.v1.RedeliverDeliveryRequest,
              io.github.hfgateway.v1.RedeliverDeliveryResponse>(
                service, METHODID_REDELIVER_DELIVERY)))
        .build();
  }

  private static abstract class CallbackServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    CallbackServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.v1.CallbackServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("CallbackService");
    }
  }

  private static final class CallbackServiceFileDescriptorSupplier
      extends CallbackServiceBaseDescriptorSupplier {
    CallbackServiceFileDescriptorSupplier() {}
  }

  private static final class CallbackServiceMethodDescriptorSupplier
      extends CallbackServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    CallbackServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (CallbackServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new CallbackServiceFileDescriptorSupplier())
              .addMethod(getCreateCallbackMethod())
              .addMethod(getGetCallbackMethod())
              .addMethod(getListCallbacksMethod())
              .addMethod(getUpdateCallbackMethod())
              .addMethod(getDeleteCallbackMethod())
              .addMethod(getRotateCallbackSecretMethod())
              .addMethod(getTestCallbackMethod())
              .addMethod(getListDeliveriesMethod())
              .addMethod(getRedeliverDeliveryMethod())
              .build();
        }
      }
    }
    return result;
  }
}
