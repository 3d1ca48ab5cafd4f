//! Callbacks: signed webhooks to the tenant's servers.

use std::fmt;

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    inputs::keyed,
    v1::{Callback, CreateCallbackRequest, callback_service_client::CallbackServiceClient},
};

/// The result of [`Client::create_callback`].
#[derive(Clone, PartialEq)]
pub struct CreatedCallback {
    /// The callback.
    pub callback: Callback,
    /// The key with which the gateway signs deliveries.
    ///
    /// It is returned only once: it is "" if an earlier call with the request's idempotency key created the callback.
    /// Call [`Client::rotate_callback_secret`] for a new one then.
    pub secret: String,
    /// The key of the creation. Creating again with this key returns the same callback.
    pub idempotency_key: String,
    /// Whether the key had been used before, so that the call created nothing.
    pub replayed: bool,
}

impl CreatedCallback {
    /// Returns the id of the callback.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.callback.id
    }
}

impl fmt::Debug for CreatedCallback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leave out the secret.
        formatter
            .debug_struct("CreatedCallback")
            .field("callback", &self.callback)
            .field("idempotency_key", &self.idempotency_key)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a callback: the gateway delivers later events of generations by HTTP POST.
    ///
    /// Takes a URL, to report the end of every generation, or a request. The secret that signs deliveries is returned
    /// only by this call. Retries use the same idempotency key: the one of the request, or a new UUID if it is empty. If
    /// the response is lost, and the secret with it, this creates another secret; but not with a key of the request,
    /// because another caller may have the secret then.
    ///
    /// # Errors
    ///
    /// Every error has the key ([`Error::idempotency_key`]), with which the call can be repeated.
    pub async fn create_callback(&self, request: impl Into<CreateCallbackRequest>) -> Result<CreatedCallback, Error> {
        let request = request.into();
        let own = request.idempotency_key.is_empty();
        let idempotency_key = keyed(&request.idempotency_key);
        let request = CreateCallbackRequest { idempotency_key: idempotency_key.clone(), ..request };
        let created = async {
            let call = rpc!(CallbackServiceClient.create_callback);
            let mut response = self.calls.unary(request, self.calls.timeout, call).await?;
            let callback = response.callback.unwrap_or_default();
            if response.replayed && own {
                response.secret = self.rotate_callback_secret(callback.id.as_str()).await?.secret;
            }
            let idempotency_key = idempotency_key.clone();
            Ok(CreatedCallback { callback, secret: response.secret, idempotency_key, replayed: response.replayed })
        };
        created.await.map_err(|error: Error| error.with_key(&idempotency_key))
    }
}
