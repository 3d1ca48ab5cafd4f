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

/** Media to upload, from wherever a caller has it; immutable: every method makes another one. */
public final class Upload {
  private static final int CHUNK = 256 * 1024;

  /** Where the bytes come from, and how many there are, or a negative number where nobody knows. */
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

  /** What is in memory. */
  public static Upload of(byte[] media, String contentType) {
    return made(() -> new ByteArrayInputStream(media), (long) media.length, contentType);
  }

  /** A file. */
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

  /** What a stream brings until its end; it is left open. */
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

  /** Another's stream, which is his to close. */
  private static final class KeptOpen extends java.io.FilterInputStream {
    KeptOpen(InputStream media) {
      super(media);
    }

    @Override
    public void close() {}
  }

  /** With so many bytes: for a stream, where that is known. The gateway checks it. */
  public Upload size(long bytes) {
    return new Upload(source, contentType, bytes, timeout);
  }

  /** With a time-out; else it takes as long as it takes. */
  public Upload timeout(Duration timeout) {
    return new Upload(source, contentType, size, timeout);
  }

  /** Sends it, once. */
  UploadMediaResponse send(Calls calls) throws IOException {
    try (InputStream media = source.open()) {
      UploadHeader.Builder header = UploadHeader.newBuilder().setContentType(contentType);
      long known = size != null ? size : source.size();
      if (known >= 0) {
        header.setSize(known);
      }
      ClientCall<UploadMediaRequest, UploadMediaResponse> call =
          calls.channel.newCall(UploadServiceGrpc.getUploadMediaMethod(), calls.options(calls.deadline(timeout)));
      Answer answer = new Answer();
      call.start(answer, new Metadata());
      try {
        call.request(2);
        call.sendMessage(UploadMediaRequest.newBuilder().setHeader(header).build());
        while (answer.wantsMore(call)) {
          byte[] chunk = media.readNBytes(CHUNK);
          if (chunk.length == 0) {
            call.halfClose();
            break;
          }
          ByteString bytes = UnsafeByteOperations.unsafeWrap(chunk);
          call.sendMessage(UploadMediaRequest.newBuilder().setChunk(bytes).build());
        }
        return answer.get(calls);
      } catch (InterruptedException cause) {
        Thread.currentThread().interrupt();
        throw Errors.canceled("the thread was interrupted", cause);
      } finally {
        // Also after an error of the source: the gateway keeps nothing of it.
        call.cancel("left", null);
      }
    }
  }

  /** What the gateway says, and when it takes more. */
  private static final class Answer extends ClientCall.Listener<UploadMediaResponse> {
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

    /** Waits until the gateway takes another chunk; false where it has ended the call. */
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
      Status told = status.isOk() ? Status.INTERNAL.withDescription("no answer came") : status;
      throw calls.error(told.asRuntimeException(trailers));
    }
  }
}
