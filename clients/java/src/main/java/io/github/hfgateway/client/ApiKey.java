package io.github.hfgateway.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.util.function.Supplier;

/** Sends an API key with each attempt of a call; null and "" are none. Errors do not contain the key. */
record ApiKey(Supplier<String> key) implements ClientInterceptor {
  private static final Metadata.Key<String> HEADER =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
    return new ForwardingClientCall.SimpleForwardingClientCall<>(next.newCall(method, options)) {
      @Override
      public void start(Listener<A> listener, Metadata headers) {
        String found = key.get();
        if (found != null && !found.isEmpty()) {
          headers.put(HEADER, "Bearer " + checked(found));
        }
        super.start(listener, headers);
      }
    };
  }

  /** Returns the key if it can be sent. */
  static String checked(String key) {
    if (!key.chars().allMatch(letter -> letter > ' ' && letter <= '~')) {
      throw new IllegalArgumentException("the API key contains characters other than visible ASCII");
    }
    return key;
  }

  /** Throws unless only this machine can reach the address. */
  static void requireLoopback(String address) {
    if (!address.matches("unix:.*|(dns:(///)?)?(localhost|127(\\.\\d{1,3}){3}|\\[::1])(:\\d+)?")) {
      throw new IllegalArgumentException(
          "the API key would be sent to " + address + " in plaintext: use tls, or insecure to allow it");
    }
  }
}
