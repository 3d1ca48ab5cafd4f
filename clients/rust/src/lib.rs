//! The Rust client of Higgsfield Gateway.
//!
//! It submits generations so that each is charged once, watches them over lost connections and restarts of the gateway,
//! and reports typed errors. [`v1`] has the generated messages and stubs.
//!
//! ```no_run
//! use hfgateway_client::{Client, Submit, soul};
//!
//! # async fn run() -> Result<(), hfgateway_client::Error> {
//! let client = Client::builder("gateway.example:443").api_key("hfg_…").tls(hfgateway_client::Tls::system()).build()?;
//! let submit = Submit::new(soul("a lighthouse at dusk")).key("order-9").label("shop", "7");
//! let generation = client.generate(submit, |seen| println!("{}", seen.state_name())).await?;
//! println!("{}", generation.outputs[0].url);
//! # Ok(())
//! # }
//! ```
//!
//! Futures and streams can be dropped at any time. This ends the call at the gateway, but does not cancel the generation.

pub mod agents;
mod builder;
mod calls;
mod client;
mod creations;
mod cursor;
mod error;
mod inputs;
mod kind;
mod methods;
mod names;
mod retry;
mod submit;
mod timers;
mod transport;
mod upload;
mod watching;

pub use builder::{Builder, DEFAULT_ADDRESS, Tls};
pub use client::Client;
pub use creations::{CreatedCallback, CreatedCharacter};
pub use cursor::{News, WatchEvent};
pub use error::Error;
pub use inputs::{character, dop, model, motion, soul, speak};
pub use kind::Kind;
pub use prost_types;
pub use retry::RetryPolicy;
pub use submit::{Submission, Submit};
pub use timers::Timers;
pub use tokio_stream::{Stream, StreamExt};
pub use tonic::{Code, transport::Endpoint};
pub use transport::Transport;
pub use upload::Upload;
pub use watching::BoxStream;

/// The messages and stubs of `hfgateway.v1`, generated from the protos. The comments of the protos specify them.
pub mod v1 {
    #![allow(missing_docs, clippy::all, rustdoc::all)]
    include!("generated/hfgateway.v1.rs");
}
