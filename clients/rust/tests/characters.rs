//! Characters and their training.

use hfgateway_client::{
    Kind, StreamExt, character,
    v1::{
        CharacterState, CreateCharacterRequest, CreateCharacterResponse, DeleteCharacterRequest,
        DeleteCharacterResponse, ErrorReason, Failure, GetCharacterRequest, GetCharacterResponse,
        ListCharactersRequest, ListCharactersResponse, SoulCharacter, WatchCharacterRequest, WatchCharacterResponse,
    },
};
use prost::Message;

use crate::{
    catalog::all,
    gateway::{End, Gateway, Seen, status},
    timers::ManualTimers,
};

const FACES: [&str; 2] = ["https://example.com/1.png", "https://example.com/2.png"];

fn at(state: CharacterState) -> SoulCharacter {
    let done = state >= CharacterState::Completed;
    SoulCharacter { id: "c1".to_owned(), name: "Ann".to_owned(), state: state.into(), done, ..Default::default() }
}

fn created(state: CharacterState) -> CreateCharacterResponse {
    CreateCharacterResponse { character: Some(at(state)), replayed: false }
}

fn change(state: CharacterState) -> WatchCharacterResponse {
    WatchCharacterResponse { character: Some(at(state)) }
}

fn away() -> End {
    End::Error(status(tonic::Code::Unavailable, "", None))
}

/// Returns the key of a creation request.
fn key_of(seen: &Seen) -> String {
    match seen {
        Seen::Other(method, request) if method == "CreateCharacter" => {
            CreateCharacterRequest::decode(request.as_slice()).unwrap().idempotency_key
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_creation_is_retried_with_its_key() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.refuses(status(tonic::Code::Unavailable, "", None));
    gateway.refuses(status(tonic::Code::Aborted, "SUBMISSION_UNRESOLVED", None));
    gateway.responds(CreateCharacterResponse { replayed: true, ..created(CharacterState::Queued) });
    gateway.responds(created(CharacterState::Queued));
    let first = client.create_character(character("Ann", FACES)).await.unwrap();
    assert_eq!((first.id(), first.replayed, first.idempotency_key.len()), ("c1", true, 36));
    let idempotency_key = first.idempotency_key.clone();
    let sent = Seen::other("CreateCharacter", &CreateCharacterRequest { idempotency_key, ..character("Ann", FACES) });
    assert_eq!(gateway.seen(), [sent.clone(), sent.clone(), sent]);
    // Each call creates another character.
    let second = client.create_character(character("Ann", FACES)).await.unwrap();
    assert_ne!(first.idempotency_key, second.idempotency_key);
}

#[tokio::test]
async fn the_error_of_a_creation_has_its_key() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.refuses(status(tonic::Code::InvalidArgument, "INVALID_INPUT", None));
    gateway.refuses(status(tonic::Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", None));
    let made = client.create_character(character("", FACES)).await.unwrap_err();
    let mine = CreateCharacterRequest { idempotency_key: "order-9".to_owned(), ..character("Ann", FACES) };
    let reused = client.create_character(mine).await.unwrap_err();
    assert_eq!((made.kind(), reused.kind()), (Kind::InvalidInput, Kind::KeyReused));
    assert_eq!(reused.idempotency_key(), "order-9");
    let sent: Vec<_> = gateway.seen().iter().map(key_of).collect();
    assert_eq!(sent, [made.idempotency_key(), "order-9"]);
}

#[tokio::test]
async fn a_broken_watch_is_reopened_and_repeats_no_state() {
    let gateway = Gateway::start().await;
    let timers = ManualTimers::new(1.0);
    let client = gateway.client(&timers);
    gateway.plays([change(CharacterState::Queued), WatchCharacterResponse::default()], away());
    gateway.plays([change(CharacterState::Queued), change(CharacterState::InProgress)], away());
    // The watch ends after the final state, even if the stream stays open.
    gateway.plays([change(CharacterState::Completed)], End::Open);
    let seen: Vec<_> =
        all(client.watch_character("c1")).await.iter().map(|one| one.state_name().into_owned()).collect();
    assert_eq!(seen, ["QUEUED", "IN_PROGRESS", "COMPLETED"]);
    let opened = Seen::other("WatchCharacter", &WatchCharacterRequest { id: "c1".to_owned() });
    assert_eq!(gateway.seen(), [opened.clone(), opened.clone(), opened]);
    // Each failure was the first in a row.
    assert_eq!(timers.slept(), [0.2, 0.2]);
}

#[tokio::test]
async fn a_watch_of_a_deleted_character_ends_with_not_found() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.plays([change(CharacterState::Queued)], End::Error(status(tonic::Code::NotFound, "NOT_FOUND", None)));
    let mut watch = client.watch_character("c1");
    assert_eq!(watch.next().await.unwrap().unwrap().state(), CharacterState::Queued);
    assert_eq!(watch.next().await.unwrap().unwrap_err().kind(), Kind::NotFound);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn train_watches_to_the_end_and_reports_every_change_once() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(created(CharacterState::Queued));
    gateway.plays([change(CharacterState::Queued), change(CharacterState::InProgress)], away());
    gateway.plays([change(CharacterState::Completed)], End::Ok);
    let mut seen = Vec::new();
    let trained = client.train_character(character("Ann", FACES), |one| seen.push(one.state())).await.unwrap();
    assert_eq!(trained, at(CharacterState::Completed));
    assert_eq!(seen, [CharacterState::Queued, CharacterState::InProgress, CharacterState::Completed]);
    assert_eq!(gateway.seen().len(), 3);
}

#[tokio::test]
async fn train_does_not_watch_an_ended_training() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(created(CharacterState::Completed));
    let trained = client.train_character(character("Ann", FACES), |_| {}).await.unwrap();
    assert_eq!(trained, at(CharacterState::Completed));
    assert_eq!(gateway.seen().len(), 1);
}

#[tokio::test]
async fn the_error_of_a_failed_training_has_the_character() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let failure =
        Failure { reason: ErrorReason::InputRefused.into(), message: "no face".to_owned(), ..Default::default() };
    let failed = SoulCharacter { failure: Some(failure), ..at(CharacterState::Failed) };
    gateway.responds(created(CharacterState::Queued));
    gateway.responds(WatchCharacterResponse { character: Some(failed.clone()) });
    let error = client.train_character(character("Ann", FACES), |_| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.code(), error.character()), (Kind::TrainingFailed, None, Some(&failed)));
    assert_eq!(error.to_string(), "INPUT_REFUSED: no face (character c1)");
    assert_eq!(key_of(&gateway.seen()[0]), error.idempotency_key());
    assert_eq!(gateway.seen().len(), 2);

    gateway.responds(created(CharacterState::Failed));
    let silent = client.train_character(character("Ann", FACES), |_| {}).await.unwrap_err();
    assert_eq!(silent.message(), "ended as FAILED");
    assert_eq!(silent.to_string(), "TrainingFailed: ended as FAILED (character c1)");
}

#[tokio::test]
async fn a_watch_that_ends_too_early_is_resumed() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(created(CharacterState::Queued));
    gateway.responds(WatchCharacterResponse { character: Some(at(CharacterState::InProgress)) });
    gateway.responds(WatchCharacterResponse { character: Some(at(CharacterState::Completed)) });
    assert!(client.train_character(character("Ann", FACES), |_| {}).await.unwrap().done);
}

#[tokio::test]
async fn the_error_of_a_broken_training_watch_has_the_key() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(created(CharacterState::Queued));
    gateway.refuses(status(tonic::Code::NotFound, "NOT_FOUND", None));
    let error = client.train_character(character("Ann", FACES), |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(key_of(&gateway.seen()[0]), error.idempotency_key());
}

#[tokio::test]
async fn the_other_methods_send_their_requests() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let (running, trained) = (at(CharacterState::InProgress), at(CharacterState::Completed));
    gateway.responds(GetCharacterResponse { character: Some(running.clone()) });
    let page = ListCharactersResponse { next_page_token: "p2".to_owned(), ..Default::default() };
    gateway.responds(ListCharactersResponse { characters: vec![running.clone()], ..page });
    gateway.responds(ListCharactersResponse { characters: vec![trained.clone()], ..Default::default() });
    gateway.responds(DeleteCharacterResponse {});
    assert_eq!(client.get_character("c1").await.unwrap(), running);
    let request = ListCharactersRequest { page_size: 1, ..Default::default() };
    assert_eq!(all(client.list_characters(request.clone())).await, [running, trained]);
    client.delete_character("c1").await.unwrap();
    assert_eq!(
        gateway.seen(),
        [
            Seen::other("GetCharacter", &GetCharacterRequest { id: "c1".to_owned() }),
            Seen::other("ListCharacters", &request),
            Seen::other("ListCharacters", &ListCharactersRequest { page_token: "p2".to_owned(), ..request.clone() }),
            Seen::other("DeleteCharacter", &DeleteCharacterRequest { id: "c1".to_owned() }),
        ]
    );
}
