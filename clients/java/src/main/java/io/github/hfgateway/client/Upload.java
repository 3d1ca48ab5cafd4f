package io.github.hfgateway.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.github.hfgateway.v1.UploadHeader;
import io.github.hfgateway.v1.UploadMediaRequest;
import io.github.hfgateway.v1.UploadMediaResponse;
import io.github.hfgateway.v1.UploadServiceGrpc;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** Media to upload: bytes, a file or a stream. Immutable: every method returns a new instance. */
public final class Upload {
  private static final int CHUNK = 256 * 1024;

  /** The source of the bytes, and their number, or a negative number if it is not known. */
  private interface Source {
    InputStream open() throws IOException;

    long size() throws IOException;
  }

  private final Source source;
  private final String contentType;
  private final Long size;
  private final Duration timeout;

  private Upload(Source source, String contentType, Long size, Duration timeout) {
    this.source = source;
    this.contentType = contentType;
    this.size = size;
    this.timeout = timeout;
  }

  /**
   * Uploads bytes in memory.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(byte[] media, String contentType) {
    return made(() -> new ByteArrayInputStream(media), (long) media.length, contentType);
  }

  /**
   * Uploads a file, which is opened when the upload starts.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(Path file, String contentType) {
    Source source =
        new Source() {
          @Override
          public InputStream open() throws IOException {
            return Files.newInputStream(file);
          }

          @Override
          public long size() throws IOException {
            return Files.size(file);
          }
        };
    return new Upload(source, contentType, null, null);
  }

  /**
   * Uploads a stream, which is read to its end and left open.
   *
   * @param contentType the media type, such as "image/png"
   */
  public static Upload of(InputStream media, String contentType) {
    return made(() -> new KeptOpen(media), -1L, contentType);
  }

  private interface Opener {
    InputStream open() throws IOException;
  }

  private static Upload made(Opener opener, long size, String contentType) {
    Source source =
        new Source() {
          @Override
          public InputStream open() throws IOException {
            return opener.open();
          }

          @Override
          public long size() {
            return size;
          }
        };
    return new Upload(source, contentType, null, null);
  }

  /** A stream of the caller, which is not closed. */
  private static final class KeptOpen extends java.io.FilterInputStream {
    KeptOpen(InputStream media) {
      super(media);
    }

    @Override
    public void close() {}
  }

  /** Sets the size in bytes, which the gateway verifies. Bytes and files have their size already. */
  public Upload size(long bytes) {
    return new Upload(source, contentType, bytes, timeout);
  }

  /** Limits the time of the upload. Default: no limit. */
  public Upload timeout(Duration timeout) {
    return new Upload(source, contentType, size, timeout);
  }

  /** Uploads the media, without retries. */
  UploadMediaResponse send(Calls calls) throws IOException {
    try (InputStream media = source.open()) {
      UploadHeader.Builder header = UploadHeader.newBuilder().setContentType(contentType);
      long known = size != null ? size : source.size();
      if (known >= 0) {
        header.setSize(known);
      }
      ClientCall<UploadMediaRequest, UploadMediaResponse> call =
          calls.channel.newCall(UploadServiceGrpc.getUploadMediaMethod(), calls.options(calls.deadline(timeout)));
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
        return response.get(calls);
      } catch (InterruptedException cause) {
        Thread.currentThread().interrupt();
        throw Errors.canceled("the thread was interrupted", cause);
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

    synchronized UploadMediaResponse get(Calls calls) throws InterruptedException {
      while (status == null) {
        wait();
      }
      if (status.isOk() && message != null) {
        return message;
      }
      Status end = status.isOk() ? Status.INTERNAL.withDescription("the call ended without a response") : status;
      throw calls.error(end.asRuntimeException(trailers));
    }
  }
}
