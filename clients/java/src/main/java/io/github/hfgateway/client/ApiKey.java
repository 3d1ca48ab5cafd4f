package io.github.hfgateway.client;

import io.grpc.Metadata;
import java.util.Optional;

/** Checks of API keys. Their errors do not contain the key. */
final class ApiKey {
  private ApiKey() {}

  /** Returns the header with the key; empty without a key. */
  static Optional<Metadata> header(String key) {
    if (key == null || key.isEmpty()) {
      return Optional.empty();
    }
    if (!key.chars().allMatch(letter -> letter > ' ' && letter <= '~')) {
      throw new IllegalArgumentException("the API key contains characters other than visible ASCII");
    }
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + key);
    return Optional.of(headers);
  }

  /** Throws unless only this machine can reach the address. */
  static void requireLoopback(String address) {
    if (!address.matches("unix:.*|(dns:(///)?)?(localhost|127(\\.\\d{1,3}){3}|\\[::1])(:\\d+)?")) {
      throw new IllegalArgumentException(
          "the API key would be sent to " + address + " in plaintext: use tls, or insecure to allow it");
    }
  }
}
