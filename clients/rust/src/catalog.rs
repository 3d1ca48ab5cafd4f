//! The catalogs of Higgsfield's models, motions, styles and presets.

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    pages::pages,
    v1::{
        GetModelRequest, ListModelsRequest, ListMotionsRequest, ListPresetsRequest, ListSoulStylesRequest, Model,
        Motion, Preset, SoulStyle, WatchModelsRequest, WatchModelsResponse,
        catalog_service_client::CatalogServiceClient,
    },
    watching::{BoxStream, ModelChanges, follow},
};

/// Catalogs: models, motions, Soul styles and presets. Lists fetch pages on demand.
impl Client {
    /// Streams the models that match. `ListModelsRequest::default()` matches all.
    pub fn list_models(&self, request: ListModelsRequest) -> BoxStream<Model> {
        pages(&self.calls, request, rpc!(CatalogServiceClient.list_models))
    }

    /// Returns a model, with the JSON Schema of its parameters if it is known.
    ///
    /// # Errors
    ///
    /// [`Kind::ModelUnknown`](crate::Kind) if the catalog does not have the model. A submission to it may still
    /// succeed.
    pub async fn get_model(&self, id: impl Into<String>) -> Result<Model, Error> {
        let request = GetModelRequest { id: id.into() };
        let call = rpc!(CatalogServiceClient.get_model);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.model.unwrap_or_default())
    }

    /// Streams changes of Higgsfield's list of models: models that are new, changed or gone.
    ///
    /// It starts after the revision of the request; 0 is before the first change, and
    /// `WatchModelsRequest::default()` streams only future changes. If the stream breaks, it is opened again.
    pub fn watch_models(&self, request: WatchModelsRequest) -> BoxStream<WatchModelsResponse> {
        follow(&self.calls, ModelChanges::new(request), rpc!(CatalogServiceClient.watch_models))
    }

    /// Streams the motions for [`dop`](crate::dop) that match.
    pub fn list_motions(&self, request: ListMotionsRequest) -> BoxStream<Motion> {
        pages(&self.calls, request, rpc!(CatalogServiceClient.list_motions))
    }

    /// Streams the styles for [`soul`](crate::soul) that match. Takes a version of Soul, or a request.
    pub fn list_soul_styles(&self, request: impl Into<ListSoulStylesRequest>) -> BoxStream<SoulStyle> {
        pages(&self.calls, request.into(), rpc!(CatalogServiceClient.list_soul_styles))
    }

    /// Streams the presets of a model. Takes the id of the model, or a request.
    pub fn list_presets(&self, request: impl Into<ListPresetsRequest>) -> BoxStream<Preset> {
        pages(&self.calls, request.into(), rpc!(CatalogServiceClient.list_presets))
    }
}
