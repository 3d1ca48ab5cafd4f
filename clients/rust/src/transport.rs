//! The connection that all stubs share: it adds the API key to every attempt of a call, and has the caller's layers.

use std::sync::Arc;

use tonic::{
    Request, Status,
    body::Body,
    codegen::{Body as HttpBody, Bytes, Service, StdError, http},
    metadata::{Ascii, MetadataValue},
    service::interceptor::InterceptedService,
    transport::Channel,
};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

use crate::builder::Builder;

/// A client's connection, in the types of its stubs.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

/// Adds the caller's layers to a connection.
pub(crate) type Layers = Arc<dyn Fn(Transport) -> Transport + Send + Sync>;

/// Returns a connection that adds the API key to every attempt.
pub(crate) fn authorized(channel: Channel, key: Option<MetadataValue<Ascii>>) -> Transport {
    let authorize = move |mut request: Request<()>| {
        if let Some(value) = &key {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    };
    let service = InterceptedService::new(channel, authorize);
    let service = service.map_response(|response| response.map(Body::new));
    BoxCloneSyncService::new(service.map_err(|error| Status::from_error(error.into())))
}

impl Builder {
    /// Adds a layer of tower around every attempt of every call. A layer that is added later is outside of the others.
    ///
    /// For an interceptor of tonic, use `tonic::service::interceptor::InterceptorLayer`. Layers do not see the API key.
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Transport> + Send + Sync + 'static,
        L::Service: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<StdError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let inner = self.layers;
        self.layers = Arc::new(move |transport| {
            let service = layer.layer(inner(transport));
            let service = service.map_response(|response| response.map(Body::new));
            BoxCloneSyncService::new(service.map_err(|error| Status::from_error(error.into())))
        });
        self
    }
}
