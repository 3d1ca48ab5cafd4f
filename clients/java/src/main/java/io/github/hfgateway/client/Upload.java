package io.github.hfgateway.client;

import com.google.protobuf.ByteString;
import io.github.hfgateway.v1.UploadHeader;
import io.github.hfgateway.v1.UploadMediaRequest;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.github.hfgateway.v1.UploadServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import io.grpc.stub.ClientCalls;
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
  final Duration timeout;

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
    return new Upload(() -> Files.newInputStream(file), () -> sizeOf(file), contentType, null);
  }

  /** Returns the size of a regular file; a pipe has none. */
  private static long sizeOf(Path file) throws IOException {
    return Files.isRegularFile(file) ? Files.size(file) : -1;
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
    CallOptions options = connection.options(connection.deadline(timeout));
    try (InputStream media = source.open()) {
      UploadHeader.Builder header = UploadHeader.newBuilder().setContentType(contentType);
      long known = size.get();
      if (known >= 0) {
        header.setSize(known);
      }
      BlockingClientCall<UploadMediaRequest, UploadMediaResponse> call = ClientCalls.blockingClientStreamingCall(
          connection.channel, UploadServiceGrpc.getUploadMediaMethod(), options);
      try {
        boolean wanted = call.write(UploadMediaRequest.newBuilder().setHeader(header).build());
        byte[] buffer = new byte[CHUNK];
        // One read: the gateway ends an upload from which nothing arrives for a while.
        for (int count = 0; wanted && (count = media.read(buffer)) >= 0; ) {
          ByteString chunk = ByteString.copyFrom(buffer, 0, count);
          wanted = call.write(UploadMediaRequest.newBuilder().setChunk(chunk).build());
        }
        call.halfClose();
        UploadMediaResponse response = call.read();
        if (response == null) {
          throw connection.error(Attempts.NO_RESPONSE, null, Context.current());
        }
        call.read(); // the status, which may be an error
        return response;
      } catch (StatusException failed) {
        throw connection.error(failed.getStatus(), failed.getTrailers(), Context.current());
      } catch (InterruptedException cause) {
        throw Blocking.interrupted(cause);
      } finally {
        // Also after an error of the source: the gateway discards the upload.
        call.cancel("left", null);
      }
    }
  }
}
