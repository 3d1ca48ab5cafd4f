package io.github.hfgateway.client;

import com.google.protobuf.ByteString;
import io.github.hfgateway.v1.UploadHeader;
import io.github.hfgateway.v1.UploadMediaRequest;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.github.hfgateway.v1.UploadServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;

/** Media to upload: bytes, a file or a stream. Immutable: every method returns a new instance. */
public final class Upload {
  private static final int CHUNK = 256 * 1024;

  /** Something about a source. */
  private interface Reading<T> {
    T get() throws IOException;
  }

  private final Reading<InputStream> source;
  /** Returns the number of bytes, or null if it is not known. */
  private final Reading<Long> size;
  private final String contentType;
  final Duration timeout;

  private Upload(Reading<InputStream> source, Reading<Long> size, String contentType, Duration timeout) {
    this.source = source;
    this.size = size;
    this.contentType = contentType;
    this.timeout = timeout;
  }

  /**
   * Uploads bytes in memory.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(byte[] media, String contentType) {
    return new Upload(() -> new ByteArrayInputStream(media), () -> (long) media.length, contentType, null);
  }

  /**
   * Uploads a file, which is opened when the upload starts.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(Path file, String contentType) {
    Reading<Long> size = () -> Files.isRegularFile(file) ? Files.size(file) : null; // a pipe has none
    return new Upload(() -> Files.newInputStream(file), size, contentType, null);
  }

  /**
   * Uploads a stream, which is read to its end and left open.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(InputStream media, String contentType) {
    FilterInputStream kept = new FilterInputStream(media) {
      @Override
      public void close() {}
    };
    return new Upload(() -> kept, () -> null, contentType, null);
  }

  /** Sets the size in bytes, which the gateway verifies. Bytes and files have their size already. */
  public Upload size(long bytes) {
    return new Upload(source, () -> bytes, contentType, timeout);
  }

  /** Limits the time of the upload. Default: no limit. */
  public Upload timeout(Duration timeout) {
    return new Upload(source, size, contentType, timeout);
  }

  /** Uploads the media, without retries. The response or the error of the gateway does not wait for the source. */
  void send(Connection connection, CompletableFuture<UploadMediaResponse> sent) throws IOException, InterruptedException {
    Context context = Context.current();
    CallOptions options = connection.options(connection.deadline(timeout));
    try (InputStream media = source.get()) {
      UploadHeader.Builder header = UploadHeader.newBuilder().setContentType(contentType);
      Long known = size.get();
      if (known != null) header.setSize(known);
      ClientCall<UploadMediaRequest, UploadMediaResponse> call =
          connection.channel.newCall(UploadServiceGrpc.getUploadMediaMethod(), options);
      Semaphore ready = new Semaphore(0);
      call.start(new ClientCall.Listener<>() {
        private UploadMediaResponse response;

        @Override
        public void onReady() {
          ready.release();
        }

        @Override
        public void onMessage(UploadMediaResponse message) {
          response = message;
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
          if (status.isOk() && response != null) {
            sent.complete(response);
          }
          sent.completeExceptionally(connection.error(status.isOk() ? Attempts.NO_RESPONSE : status, trailers, context));
          ready.release();
        }
      }, new Metadata());
      // Also after an error of the source: the gateway discards the upload.
      sent.whenComplete((response, error) -> call.cancel("left", null));
      call.request(2); // the status, which may be an error, follows the response
      call.sendMessage(UploadMediaRequest.newBuilder().setHeader(header).build());
      byte[] buffer = new byte[CHUNK];
      // One read: the gateway ends an upload from which nothing arrives for a while.
      for (int count; !sent.isDone() && (count = media.read(buffer)) >= 0; ) {
        while (!call.isReady() && !sent.isDone()) {
          ready.acquire();
        }
        ByteString chunk = ByteString.copyFrom(buffer, 0, count);
        call.sendMessage(UploadMediaRequest.newBuilder().setChunk(chunk).build());
      }
      call.halfClose();
    }
  }
}
