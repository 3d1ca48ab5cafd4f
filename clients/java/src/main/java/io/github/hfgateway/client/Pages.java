package io.github.hfgateway.client;

import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** A paged list, whose pages are fetched on demand: items {@code T} in responses {@code A}. */
final class Pages<A, T> implements Source<T> {
  private final Function<String, CompletableFuture<A>> fetch;
  private final Function<A, List<T>> items;
  private final Function<A, String> nextToken;
  private String token;
  private boolean over;
  private Iterator<T> page = Collections.emptyIterator();
  private volatile CompletableFuture<?> fetching = CompletableFuture.completedFuture(null);

  /** Creates the items of all pages. {@code fetch} gets null, and then the token of the next page; "" is none. */
  Pages(Function<String, CompletableFuture<A>> fetch, Function<A, List<T>> items, Function<A, String> nextToken) {
    this.fetch = fetch;
    this.items = items;
    this.nextToken = nextToken;
  }

  @Override
  public CompletableFuture<Optional<T>> next() {
    if (page.hasNext() || over) {
      return CompletableFuture.completedFuture(page.hasNext() ? Optional.of(page.next()) : Optional.empty());
    }
    CompletableFuture<A> response = fetch.apply(token);
    fetching = response;
    return response.thenCompose(
        fetched -> {
          page = items.apply(fetched).iterator();
          token = nextToken.apply(fetched);
          over = token.isEmpty();
          return next();
        });
  }

  @Override
  public void close() {
    fetching.cancel(true);
  }
}
