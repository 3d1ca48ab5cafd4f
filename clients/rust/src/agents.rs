//! Higgsfield's agents; see [`Client::agents`].

use std::fmt;

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use self::v1alpha1::agent_service_client::AgentServiceClient;
use crate::client::Client;

/// The messages and stubs of `hfgateway.agents.v1alpha1`, which may change between versions.
pub mod v1alpha1 {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    include!("generated/hfgateway.agents.v1alpha1.rs");
}

/// The generated stub of `AgentService`, with a client's connection and API key.
pub type Agents = AgentServiceClient<InterceptedService<Channel, Authorization>>;

/// Adds a client's API key to every call of a stub.
#[derive(Clone)]
pub struct Authorization(Option<MetadataValue<Ascii>>);

impl Interceptor for Authorization {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leave out the API key.
        formatter.debug_struct("Authorization").finish_non_exhaustive()
    }
}

impl Client {
    /// Returns the generated stub of Higgsfield's agents.
    ///
    /// It is tonic's own client: calls have only the timeout of their request, and are not retried. Their errors are
    /// `tonic::Status`, which converts into [`Error`](crate::Error).
    #[must_use]
    pub fn agents(&self) -> Agents {
        AgentServiceClient::with_interceptor(
            self.calls.channel.clone(),
            Authorization(self.calls.authorization.clone()),
        )
    }
}
