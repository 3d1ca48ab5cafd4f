//! The messages and gRPC stubs of Higgsfield Gateway. The comments of its protos specify them.
#![allow(clippy::all, rustdoc::all)]

/// `hfgateway.v1`: the API for callers.
pub mod v1 {
    include!("hfgateway.v1.rs");
}

/// `hfgateway.agents`.
pub mod agents {
    /// `hfgateway.agents.v1alpha1`: conversations with agents. This version may change.
    pub mod v1alpha1 {
        include!("hfgateway.agents.v1alpha1.rs");
    }
}

/// `hfgateway.admin`.
pub mod admin {
    /// `hfgateway.admin.v1`: the API for the operator of a gateway.
    pub mod v1 {
        include!("hfgateway.admin.v1.rs");
    }
}
