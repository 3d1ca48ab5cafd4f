package io.github.hfgateway.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.github.hfgateway.v1.UploadHeader;
import io.github.hfgateway.v1.UploadMediaRequest;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.github.hfgateway.v1.UploadServiceGrpc;
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

/** Media to upload: bytes, a file or a stream. Immutable: every method returns a new instance. */
public final class Upload {
  private static final int CHUNK = 256 * 1024;

  private interface Opener {
    InputStream open() throws IOException;
  }

  /** Returns the number of bytes, or a negative number if it is not known. */
  private interface Size {
    long get() throws IOException;
  }

  private final Opener source;
  private final Size size;
  private final String contentType;
  private final Duration timeout;

  private Upload(Opener source, Size size, String contentType, Duration timeout) {
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
    return new Upload(() -> new ByteArrayInputStream(media), () -> media.length, contentType, null);
  }

  /**
   * Uploads a file, which is opened when the upload starts.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(Path file, String contentType) {
    return new Upload(() -> Files.newInputStream(file), () -> Files.size(file), contentType, null);
  }

  /**
   * Uploads a stream, which is read to its end and left open.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(InputStream media, String contentType) {
    FilterInputStream kept =
        new FilterInputStream(media) {
          @Override
          public void close() {}
        };
    return new Upload(() -> kept, () -> -1, contentType, null);
  }

  /** Sets the size in bytes, which the gateway verifies. Bytes and files have their size already. */
  public Upload size(long bytes) {
    return new Upload(source, () -> bytes, contentType, timeout);
  }

  /** Limits the time of the upload. Default: no limit. */
  public Upload timeout(Duration timeout) {
    return new Upload(source, size, contentType, timeout);
  }

  /** Uploads the media, without retries. */
  UploadMediaResponse send(Connection connection) throws IOException {
    try (InputStream media = source.open()) {
      UploadHeader.Builder header = UploadHeader.newBuilder().setContentType(contentType);
      long known = size.get();
      if (known >= 0) {
        header.setSize(known);
      }
      ClientCall<UploadMediaRequest, UploadMediaResponse> call =
          connection.channel.newCall(
              UploadServiceGrpc.getUploadMediaMethod(), connection.options(connection.deadline(timeout)));
      Response response = new Response();
      call.start(response, new Metadata());
      try {
        call.request(2);
        call.sendMessage(UploadMediaRequest.newBuilder().setHeader(header).build());
        while (response.wantsMore(call)) {
          byte[] chunk = media.readNBytes(CHUNK);
          if (chunk.length == 0) {
            call.halfClose();
            break;
          }
          ByteString bytes = UnsafeByteOperations.unsafeWrap(chunk);
          call.sendMessage(UploadMediaRequest.newBuilder().setChunk(bytes).build());
        }
        return response.get(connection);
      } catch (InterruptedException cause) {
        throw Blocking.interrupted(cause);
      } finally {
        // Also after an error of the source: the gateway discards the upload.
        call.cancel("left", null);
      }
    }
  }

  /** The response of the gateway, and its flow control. */
  private static final class Response extends ClientCall.Listener<UploadMediaResponse> {
    private UploadMediaResponse message;
    private Status status;
    private Metadata trailers;

    @Override
    public synchronized void onMessage(UploadMediaResponse message) {
      this.message = message;
    }

    @Override
    public synchronized void onReady() {
      notifyAll();
    }

    @Override
    public synchronized void onClose(Status status, Metadata trailers) {
      this.status = status;
      this.trailers = trailers;
      notifyAll();
    }

    /** Waits until the gateway accepts another chunk. Returns false if it has ended the call. */
    synchronized boolean wantsMore(ClientCall<?, ?> call) throws InterruptedException {
      while (status == null && !call.isReady()) {
        wait();
      }
      return status == null;
    }

    synchronized UploadMediaResponse get(Connection connection) throws InterruptedException {
      while (status == null) {
        wait();
      }
      if (status.isOk() && message != null) {
        return message;
      }
      Status end = status.isOk() ? Status.INTERNAL.withDescription("the call ended without a response") : status;
      throw connection.error(end, trailers, Context.current());
    }
  }
}
