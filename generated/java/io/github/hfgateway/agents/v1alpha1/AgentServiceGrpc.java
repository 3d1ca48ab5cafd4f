package io.github.hfgateway.agents.v1alpha1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
 * for it. May change between versions, as Higgsfield's own API does.
 * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
 * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
 * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
 * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
 * that were not created here can be used too.
 * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
 * one session or one message.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AgentServiceGrpc {

  private AgentServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "hfgateway.agents.v1alpha1.AgentService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.CreateSessionRequest,
      io.github.hfgateway.agents.v1alpha1.CreateSessionResponse> getCreateSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateSession",
      requestType = io.github.hfgateway.agents.v1alpha1.CreateSessionRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.CreateSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.CreateSessionRequest,
      io.github.hfgateway.agents.v1alpha1.CreateSessionResponse> getCreateSessionMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.CreateSessionRequest, io.github.hfgateway.agents.v1alpha1.CreateSessionResponse> getCreateSessionMethod;
    if ((getCreateSessionMethod = AgentServiceGrpc.getCreateSessionMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getCreateSessionMethod = AgentServiceGrpc.getCreateSessionMethod) == null) {
          AgentServiceGrpc.getCreateSessionMethod = getCreateSessionMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.CreateSessionRequest, io.github.hfgateway.agents.v1alpha1.CreateSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateSession"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.CreateSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.CreateSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("CreateSession"))
              .build();
        }
      }
    }
    return getCreateSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.GetSessionRequest,
      io.github.hfgateway.agents.v1alpha1.GetSessionResponse> getGetSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSession",
      requestType = io.github.hfgateway.agents.v1alpha1.GetSessionRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.GetSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.GetSessionRequest,
      io.github.hfgateway.agents.v1alpha1.GetSessionResponse> getGetSessionMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.GetSessionRequest, io.github.hfgateway.agents.v1alpha1.GetSessionResponse> getGetSessionMethod;
    if ((getGetSessionMethod = AgentServiceGrpc.getGetSessionMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getGetSessionMethod = AgentServiceGrpc.getGetSessionMethod) == null) {
          AgentServiceGrpc.getGetSessionMethod = getGetSessionMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.GetSessionRequest, io.github.hfgateway.agents.v1alpha1.GetSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSession"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.GetSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.GetSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("GetSession"))
              .build();
        }
      }
    }
    return getGetSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.SendMessageRequest,
      io.github.hfgateway.agents.v1alpha1.SendMessageResponse> getSendMessageMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SendMessage",
      requestType = io.github.hfgateway.agents.v1alpha1.SendMessageRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.SendMessageResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.SendMessageRequest,
      io.github.hfgateway.agents.v1alpha1.SendMessageResponse> getSendMessageMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.SendMessageRequest, io.github.hfgateway.agents.v1alpha1.SendMessageResponse> getSendMessageMethod;
    if ((getSendMessageMethod = AgentServiceGrpc.getSendMessageMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getSendMessageMethod = AgentServiceGrpc.getSendMessageMethod) == null) {
          AgentServiceGrpc.getSendMessageMethod = getSendMessageMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.SendMessageRequest, io.github.hfgateway.agents.v1alpha1.SendMessageResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SendMessage"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.SendMessageRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.SendMessageResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("SendMessage"))
              .build();
        }
      }
    }
    return getSendMessageMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.ListMessagesRequest,
      io.github.hfgateway.agents.v1alpha1.ListMessagesResponse> getListMessagesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListMessages",
      requestType = io.github.hfgateway.agents.v1alpha1.ListMessagesRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.ListMessagesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.ListMessagesRequest,
      io.github.hfgateway.agents.v1alpha1.ListMessagesResponse> getListMessagesMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.ListMessagesRequest, io.github.hfgateway.agents.v1alpha1.ListMessagesResponse> getListMessagesMethod;
    if ((getListMessagesMethod = AgentServiceGrpc.getListMessagesMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getListMessagesMethod = AgentServiceGrpc.getListMessagesMethod) == null) {
          AgentServiceGrpc.getListMessagesMethod = getListMessagesMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.ListMessagesRequest, io.github.hfgateway.agents.v1alpha1.ListMessagesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListMessages"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.ListMessagesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.ListMessagesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("ListMessages"))
              .build();
        }
      }
    }
    return getListMessagesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest,
      io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse> getInterruptSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "InterruptSession",
      requestType = io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest,
      io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse> getInterruptSessionMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest, io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse> getInterruptSessionMethod;
    if ((getInterruptSessionMethod = AgentServiceGrpc.getInterruptSessionMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getInterruptSessionMethod = AgentServiceGrpc.getInterruptSessionMethod) == null) {
          AgentServiceGrpc.getInterruptSessionMethod = getInterruptSessionMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest, io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "InterruptSession"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("InterruptSession"))
              .build();
        }
      }
    }
    return getInterruptSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.WatchSessionRequest,
      io.github.hfgateway.agents.v1alpha1.WatchSessionResponse> getWatchSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchSession",
      requestType = io.github.hfgateway.agents.v1alpha1.WatchSessionRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.WatchSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.WatchSessionRequest,
      io.github.hfgateway.agents.v1alpha1.WatchSessionResponse> getWatchSessionMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.WatchSessionRequest, io.github.hfgateway.agents.v1alpha1.WatchSessionResponse> getWatchSessionMethod;
    if ((getWatchSessionMethod = AgentServiceGrpc.getWatchSessionMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getWatchSessionMethod = AgentServiceGrpc.getWatchSessionMethod) == null) {
          AgentServiceGrpc.getWatchSessionMethod = getWatchSessionMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.WatchSessionRequest, io.github.hfgateway.agents.v1alpha1.WatchSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchSession"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.WatchSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.WatchSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("WatchSession"))
              .build();
        }
      }
    }
    return getWatchSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.CreateMediaRequest,
      io.github.hfgateway.agents.v1alpha1.CreateMediaResponse> getCreateMediaMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateMedia",
      requestType = io.github.hfgateway.agents.v1alpha1.CreateMediaRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.CreateMediaResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.CreateMediaRequest,
      io.github.hfgateway.agents.v1alpha1.CreateMediaResponse> getCreateMediaMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.CreateMediaRequest, io.github.hfgateway.agents.v1alpha1.CreateMediaResponse> getCreateMediaMethod;
    if ((getCreateMediaMethod = AgentServiceGrpc.getCreateMediaMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getCreateMediaMethod = AgentServiceGrpc.getCreateMediaMethod) == null) {
          AgentServiceGrpc.getCreateMediaMethod = getCreateMediaMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.CreateMediaRequest, io.github.hfgateway.agents.v1alpha1.CreateMediaResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateMedia"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.CreateMediaRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.CreateMediaResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("CreateMedia"))
              .build();
        }
      }
    }
    return getCreateMediaMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest,
      io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse> getConfirmMediaMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ConfirmMedia",
      requestType = io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest.class,
      responseType = io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest,
      io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse> getConfirmMediaMethod() {
    io.grpc.MethodDescriptor<io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest, io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse> getConfirmMediaMethod;
    if ((getConfirmMediaMethod = AgentServiceGrpc.getConfirmMediaMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getConfirmMediaMethod = AgentServiceGrpc.getConfirmMediaMethod) == null) {
          AgentServiceGrpc.getConfirmMediaMethod = getConfirmMediaMethod =
              io.grpc.MethodDescriptor.<io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest, io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ConfirmMedia"))
              .setIdempotent(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("ConfirmMedia"))
              .build();
        }
      }
    }
    return getConfirmMediaMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AgentServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceStub>() {
        @java.lang.Override
        public AgentServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceStub(channel, callOptions);
        }
      };
    return AgentServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AgentServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingV2Stub>() {
        @java.lang.Override
        public AgentServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AgentServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AgentServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingStub>() {
        @java.lang.Override
        public AgentServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceBlockingStub(channel, callOptions);
        }
      };
    return AgentServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AgentServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceFutureStub>() {
        @java.lang.Override
        public AgentServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceFutureStub(channel, callOptions);
        }
      };
    return AgentServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
   * for it. May change between versions, as Higgsfield's own API does.
   * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
   * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
   * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
   * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
   * that were not created here can be used too.
   * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
   * one session or one message.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * A session is free. With the same idempotency_key: the same session; one whose answer was lost is made anew.
     * Codes: INVALID_ARGUMENT, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED).
     * </pre>
     */
    default void createSession(io.github.hfgateway.agents.v1alpha1.CreateSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.CreateSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void getSession(io.github.hfgateway.agents.v1alpha1.GetSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.GetSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * A message, or the answer to a question of the agent. Billable, and Higgsfield takes no key for it: a message whose
     * answer was lost is looked up among the session's messages, and never sent again. With the same idempotency_key: the
     * message of the first call.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (UPSTREAM_SATURATED), ABORTED (SESSION_BUSY: a turn is running, and this message was neither taken nor charged;
     * SUBMISSION_UNRESOLVED: sent, no answer came, and it is not among the messages yet: call again with the same key to
     * look again). After all of these but SUBMISSION_UNRESOLVED nothing was charged, and the key is free.
     * </pre>
     */
    default void sendMessage(io.github.hfgateway.agents.v1alpha1.SendMessageRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.SendMessageResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSendMessageMethod(), responseObserver);
    }

    /**
     * <pre>
     * Oldest first.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    default void listMessages(io.github.hfgateway.agents.v1alpha1.ListMessagesRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.ListMessagesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListMessagesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Asks the agent to stop its turn; a session without a turn stays as it is.
     * Codes: NOT_FOUND.
     * </pre>
     */
    default void interruptSession(io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getInterruptSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * First the session and the messages after after_message_id, then every change of both; the end of a turn follows the
     * turn's messages. Goes on until the caller leaves, or ends with OK after the turn where until_idle is set, and always
     * after TERMINATED; with UNAVAILABLE when the gateway drains or the stream gets old: watch again, after the last
     * completed message. While Higgsfield does not answer it only waits.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    default void watchSession(io.github.hfgateway.agents.v1alpha1.WatchSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.WatchSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * A place for media that messages refer to: PUT the bytes to upload_url with content_type, then ConfirmMedia.
     * Codes: INVALID_ARGUMENT.
     * </pre>
     */
    default void createMedia(io.github.hfgateway.agents.v1alpha1.CreateMediaRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.CreateMediaResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateMediaMethod(), responseObserver);
    }

    /**
     * <pre>
     * Says that the bytes are there.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (NOT_DONE: the bytes are not there).
     * </pre>
     */
    default void confirmMedia(io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getConfirmMediaMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AgentService.
   * <pre>
   * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
   * for it. May change between versions, as Higgsfield's own API does.
   * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
   * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
   * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
   * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
   * that were not created here can be used too.
   * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
   * one session or one message.
   * </pre>
   */
  public static abstract class AgentServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AgentServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AgentService.
   * <pre>
   * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
   * for it. May change between versions, as Higgsfield's own API does.
   * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
   * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
   * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
   * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
   * that were not created here can be used too.
   * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
   * one session or one message.
   * </pre>
   */
  public static final class AgentServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AgentServiceStub> {
    private AgentServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * A session is free. With the same idempotency_key: the same session; one whose answer was lost is made anew.
     * Codes: INVALID_ARGUMENT, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED).
     * </pre>
     */
    public void createSession(io.github.hfgateway.agents.v1alpha1.CreateSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.CreateSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void getSession(io.github.hfgateway.agents.v1alpha1.GetSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.GetSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * A message, or the answer to a question of the agent. Billable, and Higgsfield takes no key for it: a message whose
     * answer was lost is looked up among the session's messages, and never sent again. With the same idempotency_key: the
     * message of the first call.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (UPSTREAM_SATURATED), ABORTED (SESSION_BUSY: a turn is running, and this message was neither taken nor charged;
     * SUBMISSION_UNRESOLVED: sent, no answer came, and it is not among the messages yet: call again with the same key to
     * look again). After all of these but SUBMISSION_UNRESOLVED nothing was charged, and the key is free.
     * </pre>
     */
    public void sendMessage(io.github.hfgateway.agents.v1alpha1.SendMessageRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.SendMessageResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSendMessageMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Oldest first.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    public void listMessages(io.github.hfgateway.agents.v1alpha1.ListMessagesRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.ListMessagesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListMessagesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Asks the agent to stop its turn; a session without a turn stays as it is.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public void interruptSession(io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getInterruptSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * First the session and the messages after after_message_id, then every change of both; the end of a turn follows the
     * turn's messages. Goes on until the caller leaves, or ends with OK after the turn where until_idle is set, and always
     * after TERMINATED; with UNAVAILABLE when the gateway drains or the stream gets old: watch again, after the last
     * completed message. While Higgsfield does not answer it only waits.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    public void watchSession(io.github.hfgateway.agents.v1alpha1.WatchSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.WatchSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * A place for media that messages refer to: PUT the bytes to upload_url with content_type, then ConfirmMedia.
     * Codes: INVALID_ARGUMENT.
     * </pre>
     */
    public void createMedia(io.github.hfgateway.agents.v1alpha1.CreateMediaRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.CreateMediaResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateMediaMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Says that the bytes are there.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (NOT_DONE: the bytes are not there).
     * </pre>
     */
    public void confirmMedia(io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest request,
        io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getConfirmMediaMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AgentService.
   * <pre>
   * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
   * for it. May change between versions, as Higgsfield's own API does.
   * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
   * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
   * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
   * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
   * that were not created here can be used too.
   * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
   * one session or one message.
   * </pre>
   */
  public static final class AgentServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AgentServiceBlockingV2Stub> {
    private AgentServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * A session is free. With the same idempotency_key: the same session; one whose answer was lost is made anew.
     * Codes: INVALID_ARGUMENT, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED).
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.CreateSessionResponse createSession(io.github.hfgateway.agents.v1alpha1.CreateSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.GetSessionResponse getSession(io.github.hfgateway.agents.v1alpha1.GetSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A message, or the answer to a question of the agent. Billable, and Higgsfield takes no key for it: a message whose
     * answer was lost is looked up among the session's messages, and never sent again. With the same idempotency_key: the
     * message of the first call.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (UPSTREAM_SATURATED), ABORTED (SESSION_BUSY: a turn is running, and this message was neither taken nor charged;
     * SUBMISSION_UNRESOLVED: sent, no answer came, and it is not among the messages yet: call again with the same key to
     * look again). After all of these but SUBMISSION_UNRESOLVED nothing was charged, and the key is free.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.SendMessageResponse sendMessage(io.github.hfgateway.agents.v1alpha1.SendMessageRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSendMessageMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Oldest first.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.ListMessagesResponse listMessages(io.github.hfgateway.agents.v1alpha1.ListMessagesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListMessagesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Asks the agent to stop its turn; a session without a turn stays as it is.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse interruptSession(io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getInterruptSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * First the session and the messages after after_message_id, then every change of both; the end of a turn follows the
     * turn's messages. Goes on until the caller leaves, or ends with OK after the turn where until_idle is set, and always
     * after TERMINATED; with UNAVAILABLE when the gateway drains or the stream gets old: watch again, after the last
     * completed message. While Higgsfield does not answer it only waits.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.hfgateway.agents.v1alpha1.WatchSessionResponse>
        watchSession(io.github.hfgateway.agents.v1alpha1.WatchSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A place for media that messages refer to: PUT the bytes to upload_url with content_type, then ConfirmMedia.
     * Codes: INVALID_ARGUMENT.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.CreateMediaResponse createMedia(io.github.hfgateway.agents.v1alpha1.CreateMediaRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateMediaMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says that the bytes are there.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (NOT_DONE: the bytes are not there).
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse confirmMedia(io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getConfirmMediaMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AgentService.
   * <pre>
   * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
   * for it. May change between versions, as Higgsfield's own API does.
   * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
   * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
   * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
   * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
   * that were not created here can be used too.
   * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
   * one session or one message.
   * </pre>
   */
  public static final class AgentServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AgentServiceBlockingStub> {
    private AgentServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * A session is free. With the same idempotency_key: the same session; one whose answer was lost is made anew.
     * Codes: INVALID_ARGUMENT, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED).
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.CreateSessionResponse createSession(io.github.hfgateway.agents.v1alpha1.CreateSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.GetSessionResponse getSession(io.github.hfgateway.agents.v1alpha1.GetSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A message, or the answer to a question of the agent. Billable, and Higgsfield takes no key for it: a message whose
     * answer was lost is looked up among the session's messages, and never sent again. With the same idempotency_key: the
     * message of the first call.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (UPSTREAM_SATURATED), ABORTED (SESSION_BUSY: a turn is running, and this message was neither taken nor charged;
     * SUBMISSION_UNRESOLVED: sent, no answer came, and it is not among the messages yet: call again with the same key to
     * look again). After all of these but SUBMISSION_UNRESOLVED nothing was charged, and the key is free.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.SendMessageResponse sendMessage(io.github.hfgateway.agents.v1alpha1.SendMessageRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSendMessageMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Oldest first.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.ListMessagesResponse listMessages(io.github.hfgateway.agents.v1alpha1.ListMessagesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListMessagesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Asks the agent to stop its turn; a session without a turn stays as it is.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse interruptSession(io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getInterruptSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * First the session and the messages after after_message_id, then every change of both; the end of a turn follows the
     * turn's messages. Goes on until the caller leaves, or ends with OK after the turn where until_idle is set, and always
     * after TERMINATED; with UNAVAILABLE when the gateway drains or the stream gets old: watch again, after the last
     * completed message. While Higgsfield does not answer it only waits.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    public java.util.Iterator<io.github.hfgateway.agents.v1alpha1.WatchSessionResponse> watchSession(
        io.github.hfgateway.agents.v1alpha1.WatchSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A place for media that messages refer to: PUT the bytes to upload_url with content_type, then ConfirmMedia.
     * Codes: INVALID_ARGUMENT.
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.CreateMediaResponse createMedia(io.github.hfgateway.agents.v1alpha1.CreateMediaRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateMediaMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says that the bytes are there.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (NOT_DONE: the bytes are not there).
     * </pre>
     */
    public io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse confirmMedia(io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getConfirmMediaMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AgentService.
   * <pre>
   * Conversations with Higgsfield's agents, which call models by themselves. Needs an account that Higgsfield has enabled
   * for it. May change between versions, as Higgsfield's own API does.
   * Every RPC can also end with UNAUTHENTICATED (INVALID_CREDENTIALS), PERMISSION_DENIED (FEATURE_NOT_ENABLED, and
   * NOT_ALLOWED for a watch token), RESOURCE_EXHAUSTED (INSUFFICIENT_CREDITS, GATEWAY_OVERLOADED), UNAVAILABLE
   * (UPSTREAM_UNAVAILABLE, GATEWAY_UNAVAILABLE) and INTERNAL (UPSTREAM_CREDENTIALS_REFUSED, INTERNAL).
   * A session belongs to the tenant that created it: to all others it is NOT_FOUND. Where no keys are asked for, sessions
   * that were not created here can be used too.
   * Idempotency keys are remembered for 7 days at least. They are apart from those of generations, and one key stands for
   * one session or one message.
   * </pre>
   */
  public static final class AgentServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AgentServiceFutureStub> {
    private AgentServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * A session is free. With the same idempotency_key: the same session; one whose answer was lost is made anew.
     * Codes: INVALID_ARGUMENT, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.CreateSessionResponse> createSession(
        io.github.hfgateway.agents.v1alpha1.CreateSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateSessionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.GetSessionResponse> getSession(
        io.github.hfgateway.agents.v1alpha1.GetSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetSessionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * A message, or the answer to a question of the agent. Billable, and Higgsfield takes no key for it: a message whose
     * answer was lost is looked up among the session's messages, and never sent again. With the same idempotency_key: the
     * message of the first call.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (IDEMPOTENCY_KEY_REUSED), RESOURCE_EXHAUSTED
     * (UPSTREAM_SATURATED), ABORTED (SESSION_BUSY: a turn is running, and this message was neither taken nor charged;
     * SUBMISSION_UNRESOLVED: sent, no answer came, and it is not among the messages yet: call again with the same key to
     * look again). After all of these but SUBMISSION_UNRESOLVED nothing was charged, and the key is free.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.SendMessageResponse> sendMessage(
        io.github.hfgateway.agents.v1alpha1.SendMessageRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSendMessageMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Oldest first.
     * Codes: INVALID_ARGUMENT, NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.ListMessagesResponse> listMessages(
        io.github.hfgateway.agents.v1alpha1.ListMessagesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListMessagesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Asks the agent to stop its turn; a session without a turn stays as it is.
     * Codes: NOT_FOUND.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse> interruptSession(
        io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getInterruptSessionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * A place for media that messages refer to: PUT the bytes to upload_url with content_type, then ConfirmMedia.
     * Codes: INVALID_ARGUMENT.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.CreateMediaResponse> createMedia(
        io.github.hfgateway.agents.v1alpha1.CreateMediaRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateMediaMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Says that the bytes are there.
     * Codes: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (NOT_DONE: the bytes are not there).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse> confirmMedia(
        io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getConfirmMediaMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_SESSION = 0;
  private static final int METHODID_GET_SESSION = 1;
  private static final int METHODID_SEND_MESSAGE = 2;
  private static final int METHODID_LIST_MESSAGES = 3;
  private static final int METHODID_INTERRUPT_SESSION = 4;
  private static final int METHODID_WATCH_SESSION = 5;
  private static final int METHODID_CREATE_MEDIA = 6;
  private static final int METHODID_CONFIRM_MEDIA = 7;

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
        case METHODID_CREATE_SESSION:
          serviceImpl.createSession((io.github.hfgateway.agents.v1alpha1.CreateSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.CreateSessionResponse>) responseObserver);
          break;
        case METHODID_GET_SESSION:
          serviceImpl.getSession((io.github.hfgateway.agents.v1alpha1.GetSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.GetSessionResponse>) responseObserver);
          break;
        case METHODID_SEND_MESSAGE:
          serviceImpl.sendMessage((io.github.hfgateway.agents.v1alpha1.SendMessageRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.SendMessageResponse>) responseObserver);
          break;
        case METHODID_LIST_MESSAGES:
          serviceImpl.listMessages((io.github.hfgateway.agents.v1alpha1.ListMessagesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.ListMessagesResponse>) responseObserver);
          break;
        case METHODID_INTERRUPT_SESSION:
          serviceImpl.interruptSession((io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse>) responseObserver);
          break;
        case METHODID_WATCH_SESSION:
          serviceImpl.watchSession((io.github.hfgateway.agents.v1alpha1.WatchSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.WatchSessionResponse>) responseObserver);
          break;
        case METHODID_CREATE_MEDIA:
          serviceImpl.createMedia((io.github.hfgateway.agents.v1alpha1.CreateMediaRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.CreateMediaResponse>) responseObserver);
          break;
        case METHODID_CONFIRM_MEDIA:
          serviceImpl.confirmMedia((io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest) request,
              (io.grpc.stub.StreamObserver<io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse>) responseObserver);
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
          getCreateSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.CreateSessionRequest,
              io.github.hfgateway.agents.v1alpha1.CreateSessionResponse>(
                service, METHODID_CREATE_SESSION)))
        .addMethod(
          getGetSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.GetSessionRequest,
              io.github.hfgateway.agents.v1alpha1.GetSessionResponse>(
                service, METHODID_GET_SESSION)))
        .addMethod(
          getSendMessageMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.SendMessageRequest,
              io.github.hfgateway.agents.v1alpha1.SendMessageResponse>(
                service, METHODID_SEND_MESSAGE)))
        .addMethod(
          getListMessagesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.ListMessagesRequest,
              io.github.hfgateway.agents.v1alpha1.ListMessagesResponse>(
                service, METHODID_LIST_MESSAGES)))
        .addMethod(
          getInterruptSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.InterruptSessionRequest,
              io.github.hfgateway.agents.v1alpha1.InterruptSessionResponse>(
                service, METHODID_INTERRUPT_SESSION)))
        .addMethod(
          getWatchSessionMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.WatchSessionRequest,
              io.github.hfgateway.agents.v1alpha1.WatchSessionResponse>(
                service, METHODID_WATCH_SESSION)))
        .addMethod(
          getCreateMediaMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.CreateMediaRequest,
              io.github.hfgateway.agents.v1alpha1.CreateMediaResponse>(
                service, METHODID_CREATE_MEDIA)))
        .addMethod(
          getConfirmMediaMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.hfgateway.agents.v1alpha1.ConfirmMediaRequest,
              io.github.hfgateway.agents.v1alpha1.ConfirmMediaResponse>(
                service, METHODID_CONFIRM_MEDIA)))
        .build();
  }

  private static abstract class AgentServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AgentServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.hfgateway.agents.v1alpha1.AgentServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AgentService");
    }
  }

  private static final class AgentServiceFileDescriptorSupplier
      extends AgentServiceBaseDescriptorSupplier {
    AgentServiceFileDescriptorSupplier() {}
  }

  private static final class AgentServiceMethodDescriptorSupplier
      extends AgentServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AgentServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (AgentServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AgentServiceFileDescriptorSupplier())
              .addMethod(getCreateSessionMethod())
              .addMethod(getGetSessionMethod())
              .addMethod(getSendMessageMethod())
              .addMethod(getListMessagesMethod())
              .addMethod(getInterruptSessionMethod())
              .addMethod(getWatchSessionMethod())
              .addMethod(getCreateMediaMethod())
              .addMethod(getConfirmMediaMethod())
              .build();
        }
      }
    }
    return result;
  }
}
