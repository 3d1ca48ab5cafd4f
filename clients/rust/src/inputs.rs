//! Constructors of common inputs. They do not validate: the gateway does, and its error names the wrong fields.
//!
//! Set optional fields with struct update syntax: `SoulInput { seed: Some(42), ..soul("a lighthouse") }`.

use std::time::Duration;

use prost_types::{ListValue, Struct, Value, value::Kind as ValueKind};
use serde_json::Value as Json;

use crate::v1::*;

/// Text to image with Soul.
pub fn soul(prompt: impl Into<String>) -> SoulInput {
    SoulInput { prompt: prompt.into(), ..Default::default() }
}

/// Image to video with the Director of Photography model, from one or more image URLs.
pub fn dop<U: Into<String>>(prompt: impl Into<String>, image_urls: impl IntoIterator<Item = U>) -> DopInput {
    let image_urls = image_urls.into_iter().map(Into::into).collect();
    DopInput { prompt: prompt.into(), image_urls, ..Default::default() }
}

/// A motion for [`DopInput::motions`], with its strength from 0 to 1 (`None`: the default of 1).
pub fn motion(motion_id: impl Into<String>, strength: impl Into<Option<f64>>) -> MotionStrength {
    MotionStrength { motion_id: motion_id.into(), strength: strength.into() }
}

/// Speech to video with Speak, from the URLs of an image and of a WAV file.
pub fn speak(image_url: impl Into<String>, audio_url: impl Into<String>, prompt: impl Into<String>) -> SpeakInput {
    SpeakInput { image_url: image_url.into(), audio_url: audio_url.into(), prompt: prompt.into(), ..Default::default() }
}

/// A character to train from the images at the given URLs.
///
/// The defaults are Soul 1 and a new idempotency key. Set the fields of the request to change them.
pub fn character<U: Into<String>>(
    name: impl Into<String>,
    image_urls: impl IntoIterator<Item = U>,
) -> CreateCharacterRequest {
    let image_urls = image_urls.into_iter().map(Into::into).collect();
    CreateCharacterRequest { name: name.into(), image_urls, ..Default::default() }
}

/// Any Higgsfield model by its id, or an endpoint by its path.
///
/// The parameters are sent unchanged: an array of pairs, or a `serde_json::Map`. Endpoints of Higgsfield's v1 API need
/// `ModelInput { api_version: ApiVersion::V1.into(), ..model("v1/text2image/keyframes", parameters) }`.
pub fn model<N, V>(model_id: impl Into<String>, parameters: impl IntoIterator<Item = (N, V)>) -> ModelInput
where
    N: Into<String>,
    V: Into<Json>,
{
    let fields = parameters.into_iter().map(|(name, value)| (name.into(), protobuf_of(value.into()))).collect();
    ModelInput { model_id: model_id.into(), parameters: Some(Struct { fields }), ..Default::default() }
}

fn protobuf_of(json: Json) -> Value {
    let kind = match json {
        Json::Null => ValueKind::NullValue(0),
        Json::Bool(value) => ValueKind::BoolValue(value),
        // Protobuf has only doubles. The gateway refuses NaN.
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

impl<T: Into<GenerationInput>> From<T> for EstimateGenerationRequest {
    fn from(input: T) -> Self {
        Self { input: Some(input.into()) }
    }
}

macro_rules! filtered {
    ($($request:ident),*) => {$(
        impl From<GenerationFilter> for $request {
            fn from(filter: GenerationFilter) -> Self {
                Self { filter: Some(filter), ..Default::default() }
            }
        }
    )*};
}
filtered!(ListGenerationsRequest, WatchGenerationsRequest, CreateWatchTokenRequest);

/// `made_of_text!(Request.field)` converts a text into the request with this field.
macro_rules! made_of_text {
    ($request:ident.$field:ident) => {
        impl<T: Into<String>> From<T> for $request {
            #[allow(clippy::needless_update)]
            fn from(text: T) -> Self {
                Self { $field: text.into(), ..Default::default() }
            }
        }
    };
}
pub(crate) use made_of_text;
made_of_text!(CreateCallbackRequest.url);
made_of_text!(WatchGenerationRequest.id);

impl From<SoulVersion> for ListSoulStylesRequest {
    fn from(version: SoulVersion) -> Self {
        Self { version: version.into(), ..Default::default() }
    }
}

/// Returns the key, or a new UUID if it is empty: a retry without a key could create a second object.
pub(crate) fn keyed(key: &str) -> String {
    if key.is_empty() { uuid::Uuid::new_v4().to_string() } else { key.to_owned() }
}

/// Converts a duration to its message.
pub(crate) fn duration(time: Duration) -> prost_types::Duration {
    // The longest duration of a message is about 10,000 years.
    time.try_into().unwrap_or(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 })
}
