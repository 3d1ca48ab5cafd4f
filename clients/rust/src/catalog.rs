//! What Higgsfield offers, as the gateway knows it.

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    pages::pages,
    v1::{
        GetModelRequest, ListModelsRequest, ListMotionsRequest, ListPresetsRequest, ListSoulStylesRequest, Model,
        Motion, Preset, SoulStyle, catalog_service_client::CatalogServiceClient,
    },
    watching::BoxStream,
};

/// Catalogs: models, motions, Soul styles and presets. Lists fetch a page when it is needed.
impl Client {
    /// All models that match; `ListModelsRequest::default()` is for all that there are.
    pub fn list_models(&self, request: ListModelsRequest) -> BoxStream<Model> {
        pages(&self.calls, request, rpc!(CatalogServiceClient.list_models))
    }

    /// One model with the schema of its parameters, where that is known.
    ///
    /// # Errors
    ///
    /// [`Kind::ModelUnknown`](crate::Kind) where the catalog does not have it, which does not say that a submit would be
    /// refused.
    pub async fn get_model(&self, id: impl Into<String>) -> Result<Model, Error> {
        let request = GetModelRequest { id: id.into() };
        let call = rpc!(CatalogServiceClient.get_model);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.model.unwrap_or_default())
    }

    /// All motions that match, for [`dop`](crate::dop).
    pub fn list_motions(&self, request: ListMotionsRequest) -> BoxStream<Motion> {
        pages(&self.calls, request, rpc!(CatalogServiceClient.list_motions))
    }

    /// All styles that match, for [`soul`](crate::soul). Takes a version of Soul, or a request that says more.
    pub fn list_soul_styles(&self, request: impl Into<ListSoulStylesRequest>) -> BoxStream<SoulStyle> {
        pages(&self.calls, request.into(), rpc!(CatalogServiceClient.list_soul_styles))
    }

    /// All presets of a model. Takes its id, or a request that says more.
    pub fn list_presets(&self, request: impl Into<ListPresetsRequest>) -> BoxStream<Preset> {
        pages(&self.calls, request.into(), rpc!(CatalogServiceClient.list_presets))
    }
}
