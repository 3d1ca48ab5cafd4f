//! Callbacks: signed webhooks to the tenant's servers.

use std::fmt;

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    inputs::keyed,
    pages::pages,
    v1::{
        Callback, CreateCallbackRequest, DeleteCallbackRequest, Delivery, GetCallbackRequest, ListCallbacksRequest,
        ListDeliveriesRequest, RedeliverDeliveryRequest, RotateCallbackSecretRequest, RotateCallbackSecretResponse,
        TestCallbackRequest, UpdateCallbackRequest, callback_service_client::CallbackServiceClient,
    },
    watching::BoxStream,
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

/// Callbacks and their deliveries.
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
                response.secret = self.rotate_callback_secret(&callback.id).await?.secret;
            }
            let idempotency_key = idempotency_key.clone();
            Ok(CreatedCallback { callback, secret: response.secret, idempotency_key, replayed: response.replayed })
        };
        created.await.map_err(|error: Error| error.with_key(&idempotency_key))
    }

    /// Returns the callback as it is now.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`](crate::Kind) if the callback does not exist.
    pub async fn get_callback(&self, id: impl Into<String>) -> Result<Callback, Error> {
        let request = GetCallbackRequest { id: id.into() };
        let call = rpc!(CallbackServiceClient.get_callback);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.callback.unwrap_or_default())
    }

    /// Streams all callbacks, newest first. Fetches pages on demand.
    pub fn list_callbacks(&self, request: ListCallbacksRequest) -> BoxStream<Callback> {
        pages(&self.calls, request, rpc!(CallbackServiceClient.list_callbacks))
    }

    /// Changes the fields that are set in the request, and returns the callback.
    pub async fn update_callback(&self, request: UpdateCallbackRequest) -> Result<Callback, Error> {
        let call = rpc!(CallbackServiceClient.update_callback);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.callback.unwrap_or_default())
    }

    /// Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds.
    pub async fn delete_callback(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteCallbackRequest { id: id.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(CallbackServiceClient.delete_callback)).await?;
        Ok(())
    }

    /// Creates a new secret.
    ///
    /// Deliveries are also signed with the earlier ones for 24 hours, until the callback's `old_secrets_expire_time`.
    ///
    /// # Errors
    ///
    /// [`Kind::QuotaExceeded`](crate::Kind) if four secrets are active.
    pub async fn rotate_callback_secret(&self, id: impl Into<String>) -> Result<RotateCallbackSecretResponse, Error> {
        let request = RotateCallbackSecretRequest { id: id.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(CallbackServiceClient.rotate_callback_secret)).await
    }

    /// Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error.
    pub async fn test_callback(&self, id: impl Into<String>) -> Result<Delivery, Error> {
        let request = TestCallbackRequest { id: id.into() };
        let call = rpc!(CallbackServiceClient.test_callback);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.delivery.unwrap_or_default())
    }

    /// Streams the deliveries of a callback, newest first: those that are pending, and recent ones that were delivered
    /// or failed.
    ///
    /// Takes the callback's id, or a request. Fetches pages on demand.
    pub fn list_deliveries(&self, request: impl Into<ListDeliveriesRequest>) -> BoxStream<Delivery> {
        pages(&self.calls, request.into(), rpc!(CallbackServiceClient.list_deliveries))
    }

    /// Repeats a delivery, with the same id and a new series of attempts.
    pub async fn redeliver_delivery(&self, id: impl Into<String>) -> Result<Delivery, Error> {
        let request = RedeliverDeliveryRequest { id: id.into() };
        let call = rpc!(CallbackServiceClient.redeliver_delivery);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.delivery.unwrap_or_default())
    }
}
