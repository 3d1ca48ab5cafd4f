//! Small constructors for the usual inputs. They check nothing, for the gateway checks everything and names the fields.
//!
//! What is optional is set by struct update: `SoulInput { seed: Some(42), ..soul("a lighthouse") }`.

use std::time::Duration;

use prost_types::{ListValue, Struct, Value, value::Kind as ValueKind};
use serde_json::Value as Json;

use crate::v1::{
    CreateCallbackRequest, CreateCharacterRequest, CreateWatchTokenRequest, DopInput, GenerationFilter,
    GenerationInput, ListDeliveriesRequest, ListGenerationsRequest, ListPresetsRequest, ListSoulStylesRequest,
    ModelInput, MotionStrength, SoulInput, SoulVersion, SpeakInput, WatchGenerationRequest, WatchGenerationsRequest,
    generation_input,
};

/// Text to image with Soul.
pub fn soul(prompt: impl Into<String>) -> SoulInput {
    SoulInput { prompt: prompt.into(), ..Default::default() }
}

/// Image to video with DoP; one image URL or more.
pub fn dop<U: Into<String>>(prompt: impl Into<String>, image_urls: impl IntoIterator<Item = U>) -> DopInput {
    let image_urls = image_urls.into_iter().map(Into::into).collect();
    DopInput { prompt: prompt.into(), image_urls, ..Default::default() }
}

/// A motion for [`DopInput::motions`], and how strong it is from 0 to 1 (`None`: as it is).
pub fn motion(motion_id: impl Into<String>, strength: impl Into<Option<f64>>) -> MotionStrength {
    MotionStrength { motion_id: motion_id.into(), strength: strength.into() }
}

/// Speech to video with Speak v2.
pub fn speak(image_url: impl Into<String>, audio_url: impl Into<String>, prompt: impl Into<String>) -> SpeakInput {
    SpeakInput { image_url: image_url.into(), audio_url: audio_url.into(), prompt: prompt.into(), ..Default::default() }
}

/// A character to create from images of it: for Soul 1, and under a fresh key, unless the request says otherwise.
pub fn character<U: Into<String>>(
    name: impl Into<String>,
    image_urls: impl IntoIterator<Item = U>,
) -> CreateCharacterRequest {
    let image_urls = image_urls.into_iter().map(Into::into).collect();
    CreateCharacterRequest { name: name.into(), image_urls, ..Default::default() }
}

/// Any Higgsfield model by its id, with the names and values of its JSON: an array of pairs, or a `serde_json::Map`.
pub fn model<N, V>(model_id: impl Into<String>, parameters: impl IntoIterator<Item = (N, V)>) -> ModelInput
where
    N: Into<String>,
    V: Into<Json>,
{
    let fields = parameters.into_iter().map(|(name, value)| (name.into(), protobuf_of(value.into()))).collect();
    ModelInput { model_id: model_id.into(), parameters: Some(Struct { fields }) }
}

fn protobuf_of(json: Json) -> Value {
    let kind = match json {
        Json::Null => ValueKind::NullValue(0),
        Json::Bool(value) => ValueKind::BoolValue(value),
        // All of JSON's numbers are doubles here; what is none becomes one that the gateway refuses.
        Json::Number(value) => ValueKind::NumberValue(value.as_f64().unwrap_or(f64::NAN)),
        Json::String(value) => ValueKind::StringValue(value),
        Json::Array(values) => {
            ValueKind::ListValue(ListValue { values: values.into_iter().map(protobuf_of).collect() })
        }
        Json::Object(fields) => ValueKind::StructValue(Struct {
            fields: fields.into_iter().map(|(name, value)| (name, protobuf_of(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

macro_rules! kinds {
    ($($input:ident => $kind:ident),*) => {$(
        impl From<$input> for GenerationInput {
            fn from(input: $input) -> Self {
                Self { kind: Some(generation_input::Kind::$kind(input)) }
            }
        }
    )*};
}
kinds!(SoulInput => Soul, DopInput => Dop, SpeakInput => Speak, ModelInput => Model);

impl From<GenerationFilter> for ListGenerationsRequest {
    fn from(filter: GenerationFilter) -> Self {
        Self { filter: Some(filter), ..Default::default() }
    }
}

impl From<GenerationFilter> for WatchGenerationsRequest {
    fn from(filter: GenerationFilter) -> Self {
        Self { filter: Some(filter), ..Default::default() }
    }
}

impl From<GenerationFilter> for CreateWatchTokenRequest {
    fn from(filter: GenerationFilter) -> Self {
        Self { filter: Some(filter), ..Default::default() }
    }
}

macro_rules! made_of_text {
    ($($request:ident.$field:ident),*) => {$(
        impl From<String> for $request {
            fn from($field: String) -> Self {
                Self { $field, ..Default::default() }
            }
        }

        impl From<&String> for $request {
            fn from($field: &String) -> Self {
                $field.clone().into()
            }
        }

        impl From<&str> for $request {
            fn from($field: &str) -> Self {
                $field.to_owned().into()
            }
        }
    )*};
}
made_of_text!(
    WatchGenerationRequest.id,
    ListPresetsRequest.model_id,
    CreateCallbackRequest.url,
    ListDeliveriesRequest.callback_id
);

impl From<SoulVersion> for ListSoulStylesRequest {
    fn from(version: SoulVersion) -> Self {
        Self { version: version.into(), ..Default::default() }
    }
}

/// The idempotency key to send: a fresh one where the caller has none, for a repeat without one would do it twice.
pub(crate) fn keyed(key: &str) -> String {
    if key.is_empty() { uuid::Uuid::new_v4().to_string() } else { key.to_owned() }
}

/// A time as the messages have it.
pub(crate) fn duration(time: Duration) -> prost_types::Duration {
    // What is too long for a message (10,000 years) is said as the longest.
    time.try_into().unwrap_or(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 })
}
