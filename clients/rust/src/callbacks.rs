//! Callbacks: signed webhooks to servers of the tenant's own.

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

/// What the creation of a callback answers with.
#[derive(Clone, PartialEq)]
pub struct CreatedCallback {
    /// The callback that now exists for the key.
    pub callback: Callback,
    /// What its deliveries are signed with. It is told once: "" where `replayed`, also after an answer that was lost on
    /// its way here; [`Client::rotate_callback_secret`] makes another then.
    pub secret: String,
    /// Create with it again, and this callback comes back.
    pub idempotency_key: String,
    /// The key was known: nothing new was created.
    pub replayed: bool,
}

impl CreatedCallback {
    /// The callback's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.callback.id
    }
}

impl fmt::Debug for CreatedCallback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the secret.
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
    /// Has the gateway deliver what changes from now on, signed with a secret that is told only here. Takes a URL, for the
    /// ends of all generations, or a request that says more. Repeats carry the same key: the request's, or a fresh one
    /// where that is empty.
    ///
    /// # Errors
    ///
    /// An error has the key too ([`Error::idempotency_key`]), so that the same callback can be created again.
    pub async fn create_callback(&self, request: impl Into<CreateCallbackRequest>) -> Result<CreatedCallback, Error> {
        let request = request.into();
        let idempotency_key = keyed(&request.idempotency_key);
        let request = CreateCallbackRequest { idempotency_key: idempotency_key.clone(), ..request };
        let call = rpc!(CallbackServiceClient.create_callback);
        match self.calls.unary(request, self.calls.timeout, call).await {
            Ok(answer) => Ok(CreatedCallback {
                callback: answer.callback.unwrap_or_default(),
                secret: answer.secret,
                idempotency_key,
                replayed: answer.replayed,
            }),
            Err(error) => Err(error.with_key(&idempotency_key)),
        }
    }

    /// The callback as it is now.
    pub async fn get_callback(&self, id: impl Into<String>) -> Result<Callback, Error> {
        let request = GetCallbackRequest { id: id.into() };
        let call = rpc!(CallbackServiceClient.get_callback);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.callback.unwrap_or_default())
    }

    /// All callbacks, newest first; a page is fetched when it is needed.
    pub fn list_callbacks(&self, request: ListCallbacksRequest) -> BoxStream<Callback> {
        pages(&self.calls, request, rpc!(CallbackServiceClient.list_callbacks))
    }

    /// Changes what is set in the request, and nothing else.
    pub async fn update_callback(&self, request: UpdateCallbackRequest) -> Result<Callback, Error> {
        let call = rpc!(CallbackServiceClient.update_callback);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.callback.unwrap_or_default())
    }

    /// Removes it with its deliveries and secrets; one that does not exist is no error.
    pub async fn delete_callback(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteCallbackRequest { id: id.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(CallbackServiceClient.delete_callback)).await?;
        Ok(())
    }

    /// A new secret; the ones before sign too until the callback's `old_secrets_expire_time`.
    pub async fn rotate_callback_secret(&self, id: impl Into<String>) -> Result<RotateCallbackSecretResponse, Error> {
        let request = RotateCallbackSecretRequest { id: id.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(CallbackServiceClient.rotate_callback_secret)).await
    }

    /// Sends one delivery of type "callback.test" now, and tells what became of it: that it failed is no error.
    pub async fn test_callback(&self, id: impl Into<String>) -> Result<Delivery, Error> {
        let request = TestCallbackRequest { id: id.into() };
        let call = rpc!(CallbackServiceClient.test_callback);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.delivery.unwrap_or_default())
    }

    /// The deliveries of a callback, newest first: what waits, and what was delivered or given up of late. Takes the
    /// callback's id, or a request that says more; a page is fetched when it is needed.
    pub fn list_deliveries(&self, request: impl Into<ListDeliveriesRequest>) -> BoxStream<Delivery> {
        pages(&self.calls, request.into(), rpc!(CallbackServiceClient.list_deliveries))
    }

    /// Has a delivery made again from now on, under the same id.
    pub async fn redeliver_delivery(&self, id: impl Into<String>) -> Result<Delivery, Error> {
        let request = RedeliverDeliveryRequest { id: id.into() };
        let call = rpc!(CallbackServiceClient.redeliver_delivery);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.delivery.unwrap_or_default())
    }
}
