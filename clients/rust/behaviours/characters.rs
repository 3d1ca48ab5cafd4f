//! Characters and their training.

use hfgateway_client::{
    CreatedCharacter, Kind, character,
    v1::{CharacterState, CreateCharacterRequest, ListCharactersRequest, SoulVersion},
};
use uuid::Uuid;

use crate::stage::{Stage, all, behaviours, distinct, fails, nth, rest, unique};

behaviours!(create_character, get_character, list_characters, watch_character, delete_character);

const FACES: [&str; 2] = ["https://example.com/face-1.png", "https://example.com/face-2.png"];

async fn created(stage: &Stage) -> CreatedCharacter {
    let created = stage.client.create_character(character(unique("Ann"), FACES)).await.expect("it is created");
    assert!(!created.replayed);
    created
}

async fn create_character(stage: Stage) {
    let request = CreateCharacterRequest {
        version: SoulVersion::V2.into(),
        idempotency_key: Uuid::new_v4().to_string(),
        ..character(unique("Ann"), FACES)
    };
    let first = stage.client.create_character(request.clone()).await.expect("it is created");
    assert!(!first.replayed && !first.id().is_empty() && !first.character.done, "{first:?}");
    assert_eq!((&first.character.name, first.character.version()), (&request.name, SoulVersion::V2));
    let second = stage.client.create_character(request.clone()).await.expect("it is created again");
    assert_eq!((second.id(), second.replayed), (first.id(), true));
    let other = CreateCharacterRequest { name: unique("Ben"), ..request.clone() };
    let reused = stage.client.create_character(other.clone()).await;
    let error = fails(reused, Kind::KeyReused, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(error.idempotency_key(), request.idempotency_key);
    assert_eq!(stage.charges(&request.name).await, 1);
    assert_eq!(stage.charges(&other.name).await, 0);
}

async fn get_character(stage: Stage) {
    let created = created(&stage).await;
    let found = stage.client.get_character(created.id()).await.expect("it is found");
    assert_eq!((found.id.as_str(), &found.name), (created.id(), &created.character.name));
    fails(stage.client.get_character(Uuid::new_v4()).await, Kind::NotFound, "NOT_FOUND");
    let other = stage.another().api_key(stage.variable("OTHER_API_KEY")).build().expect("a client");
    fails(other.get_character(created.id()).await, Kind::NotFound, "NOT_FOUND");
}

async fn list_characters(stage: Stage) {
    let (first, second) = (created(&stage).await, created(&stage).await);
    let pages = ListCharactersRequest { page_size: 1, ..Default::default() };
    let listed = distinct(all(stage.client.list_characters(pages)).await, |character| &character.id);
    assert_eq!(listed[..2], [second.id(), first.id()]);
}

async fn watch_character(stage: Stage) {
    let mut watch = stage.client.watch_character(created(&stage).await.id());
    let mut seen = Vec::new();
    assert!(!nth(&mut watch, |_| true, &mut seen).await.done);
    stage.advance(1.5).await;
    nth(&mut watch, |changed| changed.state() == CharacterState::InProgress, &mut seen).await;
    stage.advance(3600.0).await;
    rest(&mut watch, &mut seen).await;
    assert!(seen.is_sorted_by(|one, next| one.state < next.state), "{seen:?}");
    let last = seen.last().expect("some");
    assert_eq!((last.state_name().as_ref(), last.done), ("COMPLETED", true));
}

async fn delete_character(stage: Stage) {
    let created = created(&stage).await;
    for _ in 0..2 {
        stage.client.delete_character(created.id()).await.expect("it is deleted");
        fails(stage.client.get_character(created.id()).await, Kind::NotFound, "NOT_FOUND");
    }
}
