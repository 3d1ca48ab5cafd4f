package io.github.hfgateway.client;

import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** A paged list, whose pages are fetched on demand: items {@code T} in responses {@code A}. */
final class Pages<A, T> implements Iterator<T> {
  private final Function<String, A> fetch;
  private final Function<A, List<T>> items;
  private final Function<A, String> nextToken;
  private String next;
  private Iterator<T> page = Collections.emptyIterator();

  private Pages(
      String first, Function<String, A> fetch, Function<A, List<T>> items, Function<A, String> nextToken) {
    this.next = first;
    this.fetch = fetch;
    this.items = items;
    this.nextToken = nextToken;
  }

  /**
   * Returns the items of all pages, from the page with the token {@code first} ("" for the first page).
   * {@code nextToken} returns the token of the next page, which is "" after the last one.
   */
  static <A, T> Stream<T> of(
      String first, Function<String, A> fetch, Function<A, List<T>> items, Function<A, String> nextToken) {
    int kind = Spliterator.ORDERED | Spliterator.NONNULL;
    Pages<A, T> pages = new Pages<>(first, fetch, items, nextToken);
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(pages, kind), false);
  }

  @Override
  public boolean hasNext() {
    while (!page.hasNext() && next != null) {
      A response = fetch.apply(next);
      page = items.apply(response).iterator();
      String token = nextToken.apply(response);
      next = token.isEmpty() ? null : token;
    }
    return page.hasNext();
  }

  @Override
  public T next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return page.next();
  }
}
