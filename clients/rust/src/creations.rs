//! Characters, whose faces stay the same in all generations, and callbacks: signed deliveries to the tenant's servers.

use std::fmt;

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    inputs::keyed,
    v1::{
        Callback, CharacterState, CreateCallbackRequest, CreateCharacterRequest, SoulCharacter,
        callback_service_client::CallbackServiceClient, character_service_client::CharacterServiceClient,
    },
    watching::last,
};

/// The result of [`Client::create_character`].
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedCharacter {
    /// The character.
    pub character: SoulCharacter,
    /// The key of the creation. Creating again with this key returns the same character.
    pub idempotency_key: String,
    /// Whether the key had been used before, so that the call started and charged nothing.
    pub replayed: bool,
}

impl CreatedCharacter {
    /// Returns the id of the character.
    pub fn id(&self) -> &str {
        &self.character.id
    }
}

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
    /// Starts the training of a [`character`](crate::character).
    ///
    /// Retries use the same idempotency key, so that it is charged once: the key of the request, or a new UUID if it is
    /// empty.
    ///
    /// Every error has the key ([`Error::idempotency_key`]), with which the call can be repeated.
    pub async fn create_character(&self, request: CreateCharacterRequest) -> Result<CreatedCharacter, Error> {
        let idempotency_key = keyed(&request.idempotency_key);
        let request = CreateCharacterRequest { idempotency_key: idempotency_key.clone(), ..request };
        let call = rpc!(CharacterServiceClient.create_character);
        let response = self.calls.unary(request, self.calls.timeout, call).await;
        let response = response.map_err(|error| error.with_key(&idempotency_key))?;
        let character = response.character.unwrap_or_default();
        Ok(CreatedCharacter { character, idempotency_key, replayed: response.replayed })
    }

    /// Creates a character, watches its training, which takes minutes, and returns it COMPLETED.
    ///
    /// Calls `seen` with the created character, and then with every change. Never creates a second character.
    ///
    /// [`Kind::TrainingFailed`](crate::Kind) if the training does not complete. Every error has the key.
    pub async fn train_character(
        &self,
        request: CreateCharacterRequest,
        mut seen: impl FnMut(&SoulCharacter),
    ) -> Result<SoulCharacter, Error> {
        let CreatedCharacter { mut character, idempotency_key, .. } = self.create_character(request).await?;
        seen(&character);
        if !character.done {
            let changes = self.watch_character(character.id.as_str());
            let ended = last(character, changes, seen).await;
            character = ended.map_err(|error| error.with_key(&idempotency_key))?;
        }
        match character.state() {
            CharacterState::Completed => Ok(character),
            _ => Err(Error::untrained(character).with_key(&idempotency_key)),
        }
    }

    /// Creates a callback: the gateway delivers later events of generations by HTTP POST.
    ///
    /// Takes a URL, to report the end of every generation, or a request. The secret that signs deliveries is returned
    /// only by this call. Retries use the same idempotency key: the one of the request, or a new UUID if it is empty. If
    /// the response is lost, and the secret with it, this creates another secret; but not with a key of the request,
    /// because another caller may have the secret then.
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
