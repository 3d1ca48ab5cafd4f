//! The connection that all stubs share: it adds the API key to every attempt of a call, and has the caller's layers.

use std::{mem, sync::Arc};

use http_body_util::BodyExt;
use tonic::{
    Code, Request, Status,
    body::Body,
    codegen::{Body as HttpBody, Bytes, Service, StdError, http},
    metadata::{Ascii, MetadataMap, MetadataValue},
    service::interceptor::InterceptedService,
    transport::Channel,
};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

use crate::builder::Builder;

const DETAILS: &str = "grpc-status-details-bin";

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
    let service = service.map_response(|response| decodable(response.map(Body::new)));
    let service = service.map_err(|error| Status::from_error(error.into()));
    BoxCloneSyncService::new(service.map_result(|result| result.and_then(checked)))
}

/// Leaves out details of errors that are not base64, because tonic would panic.
fn decodable(response: http::Response<Body>) -> http::Response<Body> {
    let repair = |headers: &mut http::HeaderMap| {
        let mut metadata = MetadataMap::from_headers(mem::take(headers));
        if metadata.get_bin(DETAILS).is_some_and(|details| details.to_bytes().is_err()) {
            metadata.remove_bin(DETAILS);
        }
        *headers = metadata.into_headers();
    };
    let (mut head, body) = response.into_parts();
    repair(&mut head.headers);
    let body = body.map_frame(move |mut frame| {
        frame.trailers_mut().map(repair);
        frame
    });
    http::Response::from_parts(head, Body::new(body))
}

/// Refuses the response of an HTTP proxy, whose body tonic would read as gRPC. The codes are those of gRPC's mapping.
fn checked(response: http::Response<Body>) -> Result<http::Response<Body>, Status> {
    let content_type = response.headers().get(http::header::CONTENT_TYPE).map(|value| value.as_bytes());
    if content_type.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
        return Ok(response);
    }
    let code = match response.status().as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Err(Status::new(code, format!("HTTP {}, and no gRPC response", response.status())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_of_a_proxy_have_the_code_of_their_status() {
        for (status, kind, code) in [
            (401, "text/html", Code::Unauthenticated),
            (403, "application/json", Code::PermissionDenied),
            (404, "text/html", Code::Unimplemented),
            (502, "text/html", Code::Unavailable),
            (503, "application/json", Code::Unavailable),
            (200, "text/html", Code::Unknown),
        ] {
            let page = http::Response::builder().status(status).header("content-type", kind);
            let refused = checked(page.body(Body::default()).unwrap()).unwrap_err();
            assert_eq!(refused.code(), code);
            assert!(refused.message().starts_with(&format!("HTTP {status}")));
        }
        let answer = http::Response::builder().header("content-type", "application/grpc+proto");
        assert!(checked(answer.body(Body::default()).unwrap()).is_ok());
    }
}
