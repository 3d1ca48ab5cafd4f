//! Higgsfield's agents, who call models by themselves; see [`Client::agents`].

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

/// The generated stub of `AgentService`, over a client's connection and with its key.
pub type Agents = AgentServiceClient<InterceptedService<Channel, Authorization>>;

/// Adds a client's key to every call of a stub.
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
        // Without the key, which is a secret.
        formatter.debug_struct("Authorization").finish_non_exhaustive()
    }
}

impl Client {
    /// Higgsfield's agents. The stub is tonic's own: a call has no time-out but its request's, nothing is repeated, and
    /// its errors are `tonic::Status`, of which [`Error`](crate::Error) can be made.
    #[must_use]
    pub fn agents(&self) -> Agents {
        AgentServiceClient::with_interceptor(
            self.calls.channel.clone(),
            Authorization(self.calls.authorization.clone()),
        )
    }
}
