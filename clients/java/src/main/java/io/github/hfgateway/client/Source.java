package io.github.hfgateway.client;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** Items that arrive one after the other. It has one reader. */
interface Source<T> {
  /** Returns the next item, or empty after the last one. The reader waits for it before it asks for another one. */
  CompletableFuture<Optional<T>> next();

  /** Ends the source and its calls. A reader that waits gets empty. */
  void close();
}
