package io.github.hfgateway.client;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/**
 * PEM files: whom to trust, and, for mTLS, who we are.
 *
 * @param ca the authorities; null: those of the Java runtime
 * @param cert our certificate, with those that lead from it to its authority; null: none
 * @param key its key, in PKCS #8; null: none
 */
public record Tls(Path ca, Path cert, Path key) {

  /** With the authorities of the Java runtime. */
  public static Tls system() {
    return new Tls(null, null, null);
  }

  /** With an authority of one's own. */
  public static Tls authority(Path ca) {
    return new Tls(ca, null, null);
  }

  /** The same, and with a certificate of the client. */
  public Tls identity(Path cert, Path key) {
    return new Tls(ca, cert, key);
  }

  /** The files as they are now. */
  ChannelCredentials credentials() {
    TlsChannelCredentials.Builder credentials = TlsChannelCredentials.newBuilder();
    try {
      if (ca != null) {
        credentials.trustManager(ca.toFile());
      }
      if (cert != null) {
        credentials.keyManager(cert.toFile(), key.toFile());
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return credentials.build();
  }
}
