package io.github.hfgateway.client;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * TLS settings, as PEM files.
 *
 * @param ca the certificate authorities to trust; null: those of the Java runtime
 * @param cert the client's certificate chain, for mTLS; null: none
 * @param key the key of the certificate, in PKCS #8; null: none
 */
public record Tls(Path ca, Path cert, Path key) {

  /** Refuses a certificate without its key, and a key without its certificate. */
  public Tls {
    if ((cert == null) != (key == null)) throw new IllegalArgumentException("a certificate and its key are both needed");
  }

  /** Trusts the certificate authorities of the Java runtime. */
  public static Tls system() {
    return new Tls(null, null, null);
  }

  /** Trusts only the certificate authorities in this file. */
  public static Tls authority(Path ca) {
    return new Tls(ca, null, null);
  }

  /** Returns the same settings with a client certificate and its key, for mTLS. */
  public Tls identity(Path cert, Path key) {
    return new Tls(ca, cert, key);
  }

  /** Reads the files. */
  ChannelCredentials credentials() {
    TlsChannelCredentials.Builder credentials = TlsChannelCredentials.newBuilder();
    try {
      if (ca != null && !Files.readString(ca, ISO_8859_1).contains("-----BEGIN CERTIFICATE-----")) {
        throw new IllegalArgumentException("no certificate in " + ca);
      }
      if (ca != null) credentials.trustManager(ca.toFile());
      if (cert != null) credentials.keyManager(cert.toFile(), key.toFile());
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return credentials.build();
  }
}
