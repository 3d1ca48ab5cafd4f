//! Higgsfield's agents; see [`Client::agents`].

use self::v1alpha1::agent_service_client::AgentServiceClient;
use crate::{client::Client, transport::Transport};

/// The messages and stubs of `hfgateway.agents.v1alpha1`, which may change between versions.
pub mod v1alpha1 {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    include!("generated/hfgateway.agents.v1alpha1.rs");
}

/// The generated stub of `AgentService`, with a client's connection and API key.
pub type Agents = AgentServiceClient<Transport>;

impl Client {
    /// Returns the generated stub of Higgsfield's agents.
    ///
    /// It is tonic's own client: calls have only the timeout of their request, and are not retried. Their errors are
    /// `tonic::Status`, which converts into [`Error`](crate::Error).
    pub fn agents(&self) -> Agents {
        AgentServiceClient::new(self.calls.transport.clone())
    }
}
