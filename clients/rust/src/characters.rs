//! Characters: trained faces that stay the same in all generations.

use tokio_stream::StreamExt;

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    inputs::keyed,
    v1::{CharacterState, CreateCharacterRequest, SoulCharacter, character_service_client::CharacterServiceClient},
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
    #[must_use]
    pub fn id(&self) -> &str {
        &self.character.id
    }
}

impl Client {
    /// Starts the training of a [`character`](crate::character).
    ///
    /// Retries use the same idempotency key, so that it is charged once: the key of the request, or a new UUID if it is
    /// empty.
    ///
    /// # Errors
    ///
    /// Every error has the key ([`Error::idempotency_key`]), with which the call can be repeated.
    pub async fn create_character(&self, request: CreateCharacterRequest) -> Result<CreatedCharacter, Error> {
        let idempotency_key = keyed(&request.idempotency_key);
        let request = CreateCharacterRequest { idempotency_key: idempotency_key.clone(), ..request };
        let call = rpc!(CharacterServiceClient.create_character);
        match self.calls.unary(request, self.calls.timeout, call).await {
            Ok(response) => Ok(CreatedCharacter {
                character: response.character.unwrap_or_default(),
                idempotency_key,
                replayed: response.replayed,
            }),
            Err(error) => Err(error.with_key(&idempotency_key)),
        }
    }

    /// Creates a character, watches its training, which takes minutes, and returns it COMPLETED.
    ///
    /// Calls `seen` with the created character, and then with every change. Never creates a second character.
    ///
    /// # Errors
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
            let mut changes = self.watch_character(character.id.as_str());
            while let Some(change) = changes.next().await {
                let changed = change.map_err(|error| error.with_key(&idempotency_key))?;
                // A watch begins with the current state.
                if changed != character {
                    character = changed;
                    seen(&character);
                }
            }
        }
        match character.state() {
            CharacterState::Completed => Ok(character),
            _ => Err(Error::untrained(character).with_key(&idempotency_key)),
        }
    }
}
