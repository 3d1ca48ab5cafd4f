package io.github.hfgateway.behaviours;

import static io.github.hfgateway.behaviours.Stage.unique;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.hfgateway.client.GatewayException;
import io.github.hfgateway.client.Inputs;
import io.github.hfgateway.client.Submission;
import io.github.hfgateway.v1.CreateUploadResponse;
import io.github.hfgateway.v1.UploadMediaResponse;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** Uploads through the gateway, and directly to the storage. */
final class Uploads {
  static final Map<String, Main.Behaviour> ALL =
      Map.of(
          "upload_bytes", Uploads::bytes,
          "upload_stream", Uploads::stream,
          "upload_refused", Uploads::refused,
          "create_upload", Uploads::createUpload);

  /** A PNG with one grey pixel. */
  private static final byte[] PNG =
      Base64.getDecoder()
          .decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==");

  private static final int LARGE = 3 << 20;

  private Uploads() {}

  private static void holds(UploadMediaResponse stored, int size) {
    assertTrue(stored.getUrl().startsWith("http"));
    assertEquals(size, stored.getSize());
  }

  private static void bytes(Stage stage) {
    UploadMediaResponse stored = stage.client.upload(PNG, "image/png");
    holds(stored, PNG.length);
    Submission submission = stage.client.submit(Inputs.dop(unique("zoom in"), stored.getUrl()));
    assertTrue(submission.generation().hasAcceptTime());
  }

  private static void stream(Stage stage) throws Exception {
    byte[] media = new byte[LARGE];
    holds(stage.client.upload(new ByteArrayInputStream(media), "video/mp4"), LARGE);
    Path file = Files.createTempFile("media", ".mp4");
    try {
      Files.write(file, media);
      holds(stage.client.upload(file, "video/mp4"), LARGE);
    } finally {
      Files.delete(file);
    }
  }

  private static void refused(Stage stage) {
    GatewayException error =
        assertThrows(
            GatewayException.InvalidInput.class, () -> stage.client.upload("words".getBytes(), "text/html"));
    assertTrue(List.of("INPUT_REFUSED", "INVALID_INPUT").contains(error.reason()), error.reason());
  }

  private static void createUpload(Stage stage) throws Exception {
    CreateUploadResponse created = stage.client.createUpload("image/png");
    HttpRequest.Builder put =
        HttpRequest.newBuilder(URI.create(created.getUploadUrl()))
            .PUT(HttpRequest.BodyPublishers.ofByteArray(PNG));
    created.getUploadHeadersMap().forEach(put::header);
    int status = Stage.HTTP.send(put.build(), HttpResponse.BodyHandlers.discarding()).statusCode();
    assertTrue(List.of(200, 201, 204).contains(status), "" + status);
    HttpRequest read = HttpRequest.newBuilder(URI.create(created.getUrl())).build();
    HttpResponse<byte[]> answer = Stage.HTTP.send(read, HttpResponse.BodyHandlers.ofByteArray());
    assertEquals(200, answer.statusCode());
    assertArrayEquals(PNG, answer.body());
  }
}
