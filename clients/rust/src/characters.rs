//! Characters: faces that stay the same over generations, once they are trained.

use tokio_stream::StreamExt;

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    inputs::keyed,
    pages::pages,
    v1::{
        CharacterState, CreateCharacterRequest, DeleteCharacterRequest, GetCharacterRequest, ListCharactersRequest,
        SoulCharacter, character_service_client::CharacterServiceClient,
    },
    watching::{BoxStream, Training, follow},
};

/// What the creation of a character answers with.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedCharacter {
    /// The character that now exists for the key.
    pub character: SoulCharacter,
    /// Create with it again, and this character comes back.
    pub idempotency_key: String,
    /// The key was known: nothing new was started, nothing is charged twice.
    pub replayed: bool,
}

impl CreatedCharacter {
    /// The character's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.character.id
    }
}

/// Characters, which Higgsfield trains for money.
impl Client {
    /// Starts the training of a [`character`](crate::character): once, however often the answer gets lost, for repeats
    /// carry the same key: the request's, or a fresh one where that is empty.
    ///
    /// # Errors
    ///
    /// An error has the key too ([`Error::idempotency_key`]), so that the same character can be created again.
    pub async fn create_character(&self, request: CreateCharacterRequest) -> Result<CreatedCharacter, Error> {
        let idempotency_key = keyed(&request.idempotency_key);
        let request = CreateCharacterRequest { idempotency_key: idempotency_key.clone(), ..request };
        let call = rpc!(CharacterServiceClient.create_character);
        match self.calls.unary(request, self.calls.timeout, call).await {
            Ok(answer) => Ok(CreatedCharacter {
                character: answer.character.unwrap_or_default(),
                idempotency_key,
                replayed: answer.replayed,
            }),
            Err(error) => Err(error.with_key(&idempotency_key)),
        }
    }

    /// Creates a character, follows its training to the end, which takes minutes, and returns it COMPLETED; `seen` is
    /// called with the character as created, and with every change.
    ///
    /// # Errors
    ///
    /// [`Kind::TrainingFailed`](crate::Kind) where training failed; it is never created again.
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
                // A watch begins with the present.
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

    /// The character as it is now.
    pub async fn get_character(&self, id: impl Into<String>) -> Result<SoulCharacter, Error> {
        let request = GetCharacterRequest { id: id.into() };
        let call = rpc!(CharacterServiceClient.get_character);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.character.unwrap_or_default())
    }

    /// All characters, newest first; a page is fetched when it is needed.
    pub fn list_characters(&self, request: ListCharactersRequest) -> BoxStream<SoulCharacter> {
        pages(&self.calls, request, rpc!(CharacterServiceClient.list_characters))
    }

    /// Removes it at Higgsfield; one that is deleted already is no error.
    pub async fn delete_character(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteCharacterRequest { id: id.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(CharacterServiceClient.delete_character)).await?;
        Ok(())
    }

    /// The character as it is, then every change until its training has ended. A stream that breaks is opened again.
    pub fn watch_character(&self, id: impl Into<String>) -> BoxStream<SoulCharacter> {
        follow(&self.calls, Training::new(id.into()), rpc!(CharacterServiceClient.watch_character))
    }
}
