package io.github.hfgateway.client;

import io.github.hfgateway.v1.*;
import java.util.concurrent.CompletableFuture;

/**
 * The catalogs of Higgsfield's models, motions, styles and presets. Lists fetch pages on demand. See
 * {@link AsyncHfGatewayClient#catalog}.
 */
public final class AsyncCatalog extends CatalogRpcs {
  AsyncCatalog(Calls calls) {
    super(calls);
  }

  /**
   * Watches Higgsfield's list of models from now on: models that are new, changed or gone. Resumes if the stream breaks.
   */
  public Items<WatchModelsResponse> watchModels() {
    return watchModels(WatchModelsRequest.getDefaultInstance());
  }

  /** Watches Higgsfield's list of models from the revision of the request on; 0 is before the first change. */
  public Items<WatchModelsResponse> watchModels(WatchModelsRequest request) {
    return calls.watch(() -> Watches.models(request), null);
  }
}
