"""The blocking Java client is generated from the asynchronous one, and methods of one call from the protos."""

from __future__ import annotations

import pytest

from tools import blocking, java_rpcs

ASYNC = """package io.github.hfgateway.client;

/** Ponies. See {@link AsyncHfGatewayClient#catalog}. */
public final class AsyncCatalog {
  AsyncCatalog(Calls calls) {
  }

  /** Returns a pony. */
  public CompletableFuture<Pony> get(String id, Map<String, Integer> sizes) {
    return calls.unary(id, sizes);
  }

  private CompletableFuture<Pony> hidden(String id) {
  }

  /** Deletes a pony. */
  public CompletableFuture<Void> delete(String id) {
  }

  /** Trains a pony. */
  public CompletableFuture<Pony> train(String id, Consumer<? super Pony> onProgress) {
  }

  /** Lists ponies. */
  public Items<Pony> list() {
  }

  /** Watches ponies. */
  public Items<Pony> watch(Filter filter) {
  }
}
"""


def test_the_blocking_java_client_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["blocking.py", "--check"])
    assert blocking.main() == 0, "run: make generate"


def test_every_public_method_has_a_blocking_twin() -> None:
    text = blocking.to_blocking(ASYNC)
    assert "public final class Catalog {" in text
    assert "/** Ponies. See {@link HfGatewayClient#catalog}. */" in text
    methods = [line.strip() for line in text.splitlines() if line.startswith(("  public ", "    ", "  /**"))]
    assert methods[1:] == [
        "/** Returns a pony. */",
        "public Pony get(String id, Map<String, Integer> sizes) {",
        "return Blocking.await(async.get(id, sizes));",
        "/** Deletes a pony. */",
        "public void delete(String id) {",
        "Blocking.await(async.delete(id));",
        "/** Trains a pony. */",
        "public Pony train(String id, Consumer<? super Pony> onProgress) {",
        "return Blocking.await(onProgress, seen -> async.train(id, seen));",
        "/** Lists ponies. */",
        "public Stream<Pony> list() {",
        "return new Watch<>(async.list()).stream();",
        "/** Watches ponies. */",
        "public Watch<Pony> watch(Filter filter) {",
        "return new Watch<>(async.watch(filter));",
    ]


def test_a_comment_of_the_protos_names_fields_states_and_exceptions() -> None:
    comment = java_rpcs.comment("CancelGeneration")
    assert "\n   * Cancels a generation. The effect depends on its state:\n   * <ul>\n   * <li>PENDING: " in comment
    assert "   * @throws GatewayException.NotFound if the tenant has no generation with this id\n" in comment
    assert "Retry: " not in comment
    assert "or the {@code page_token} belongs" in java_rpcs.comment("ListGenerations")


def test_a_twin_has_the_generated_methods_of_its_class() -> None:
    text = blocking.to_blocking(ASYNC.replace("class AsyncCatalog", "class AsyncCatalog extends CatalogRpcs"))
    assert "  public Model getModel(String id) {\n    return Blocking.await(async.getModel(id));\n" in text
    assert "  public Pony get(String id, " in text
