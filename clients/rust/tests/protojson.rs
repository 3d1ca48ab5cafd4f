//! The part of protobuf's JSON that the vectors use. Anything else is an error, so that no field is overlooked.

use std::{collections::HashMap, str::FromStr};

use hfgateway_client::v1::{generation_input::Kind, *};
use prost_types::{Duration, Struct, Timestamp, value::Kind as ValueKind};
use serde_json::{Map, Value, json};

/// The fields of an object, each of which is taken once.
pub struct Fields(Map<String, Value>);

impl Fields {
    pub fn of(value: &Value) -> Self {
        Self(value.as_object().expect("an object").clone())
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub fn text(&mut self, name: &str) -> String {
        self.maybe_text(name).unwrap_or_default()
    }

    pub fn maybe_text(&mut self, name: &str) -> Option<String> {
        self.take(name).map(|value| value.as_str().expect("a text").to_owned())
    }

    pub fn int(&mut self, name: &str) -> Option<i32> {
        self.take(name).map(|value| value.as_i64().expect("a whole number") as i32)
    }

    pub fn float(&mut self, name: &str) -> Option<f64> {
        self.take(name).map(|value| value.as_f64().expect("a number"))
    }

    pub fn truth(&mut self, name: &str) -> Option<bool> {
        self.take(name).map(|value| value.as_bool().expect("true or false"))
    }

    pub fn texts(&mut self, name: &str) -> Vec<String> {
        let values = self.take(name).unwrap_or(json!([]));
        values.as_array().expect("a list").iter().map(|value| value.as_str().expect("a text").to_owned()).collect()
    }

    pub fn map(&mut self, name: &str) -> HashMap<String, String> {
        let values = self.take(name).unwrap_or(json!({}));
        let pairs = values.as_object().expect("a map").iter();
        pairs.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
    }

    /// Checks that all fields were taken.
    pub fn end(self) {
        assert!(self.0.is_empty(), "not looked at: {:?}", self.0);
    }
}

pub fn generation(value: &Value) -> Generation {
    let mut fields = Fields::of(value);
    let state = match fields.take("state") {
        Some(Value::String(name)) => GenerationState::from_str_name(&name).expect("a state").into(),
        Some(number) => number.as_i64().expect("a number") as i32,
        None => 0,
    };
    let generation = Generation {
        state,
        id: fields.text("id"),
        idempotency_key: fields.text("idempotency_key"),
        done: fields.truth("done").unwrap_or_default(),
        revision: fields.int("revision").unwrap_or_default(),
        failure: fields.take("failure").map(|value| failure(&value)),
        create_time: fields.maybe_text("create_time").map(|text| time(&text)),
        accept_time: fields.maybe_text("accept_time").map(|text| time(&text)),
        end_time: fields.maybe_text("end_time").map(|text| time(&text)),
        ..Default::default()
    };
    fields.end();
    generation
}

fn failure(value: &Value) -> Failure {
    let mut fields = Fields::of(value);
    let reason = fields.maybe_text("reason");
    let violations = fields.take("field_violations").unwrap_or(json!([]));
    let failure = Failure {
        reason: reason.map_or(0, |name| ErrorReason::from_str_name(&name).expect("a reason").into()),
        message: fields.text("message"),
        retryable: fields.truth("retryable").unwrap_or_default(),
        metadata: fields.map("metadata"),
        field_violations: violations.as_array().expect("a list").iter().map(violation).collect(),
        ..Default::default()
    };
    fields.end();
    failure
}

fn violation(value: &Value) -> FieldViolation {
    let mut fields = Fields::of(value);
    let violation = FieldViolation { field: fields.text("field"), description: fields.text("description") };
    fields.end();
    violation
}

pub fn time(text: &str) -> Timestamp {
    Timestamp::from_str(text).expect("a time")
}

pub fn message_of_one(value: &Value) -> WatchGenerationResponse {
    let mut fields = Fields::of(value);
    let message = WatchGenerationResponse {
        generation: fields.take("generation").map(|value| generation(&value)),
        forecast: fields.take("forecast").map(|value| forecast(&value)),
    };
    fields.end();
    message
}

pub fn message_of_many(value: &Value) -> WatchGenerationsResponse {
    let mut fields = Fields::of(value);
    let forecasts = fields.take("forecasts").unwrap_or(json!({}));
    let message = WatchGenerationsResponse {
        generation: fields.take("generation").map(|value| generation(&value)),
        resume_token: fields.text("resume_token"),
        caught_up: fields.truth("caught_up").unwrap_or_default(),
        reset: fields.truth("reset").unwrap_or_default(),
        missing_ids: fields.texts("missing_ids"),
        forecasts: Fields::of(&forecasts).0.iter().map(|(id, value)| (id.clone(), forecast(value))).collect(),
    };
    fields.end();
    message
}

fn forecast(value: &Value) -> Forecast {
    let mut fields = Fields::of(value);
    let forecast = Forecast { progress: fields.float("progress").expect("progress"), ..Default::default() };
    fields.end();
    forecast
}

/// Messages as JSON, without the fields that are not set.
pub struct Object(Map<String, Value>);

impl Object {
    pub fn new() -> Self {
        Self(Map::new())
    }

    /// Adds a field unless it has the zero value of its type.
    pub fn plain(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let zero = match &value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(value) => value.as_f64() == Some(0.0),
            Value::String(value) => value.is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        };
        if zero { self } else { self.maybe(name, Some(value)) }
    }

    /// Adds a field if it is set.
    pub fn maybe(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    pub fn done(self) -> Value {
        Value::Object(self.0)
    }
}

pub fn of_input(input: &GenerationInput) -> Value {
    let (name, value) = match input.kind.as_ref().expect("a kind") {
        Kind::Soul(soul) => ("soul", of_soul(soul)),
        Kind::Dop(dop) => ("dop", of_dop(dop)),
        Kind::Speak(speak) => ("speak", of_speak(speak)),
        Kind::Model(model) => (
            "model",
            Object::new()
                .plain("model_id", model.model_id.clone())
                .maybe("parameters", model.parameters.as_ref().map(of_struct))
                .maybe("api_version", (model.api_version != 0).then(|| model.api_version().as_str_name()))
                .done(),
        ),
    };
    json!({name: value})
}

fn of_soul(soul: &SoulInput) -> Value {
    let version = (soul.version != 0).then(|| soul.version().as_str_name());
    Object::new()
        .plain("prompt", soul.prompt.clone())
        .maybe("version", version)
        .plain("aspect_ratio", soul.aspect_ratio.clone())
        .plain("width", soul.width)
        .plain("height", soul.height)
        .plain("resolution", soul.resolution.clone())
        .plain("batch_size", soul.batch_size)
        .plain("style_id", soul.style_id.clone())
        .maybe("style_strength", soul.style_strength)
        .plain("character_id", soul.character_id.clone())
        .maybe("character_strength", soul.character_strength)
        .plain("image_reference_url", soul.image_reference_url.clone())
        .maybe("enhance_prompt", soul.enhance_prompt)
        .maybe("seed", soul.seed)
        .done()
}

fn of_dop(dop: &DopInput) -> Value {
    let variant = (dop.variant != 0).then(|| dop.variant().as_str_name());
    let motions: Vec<Value> = dop
        .motions
        .iter()
        .map(|one| Object::new().plain("motion_id", one.motion_id.clone()).maybe("strength", one.strength).done())
        .collect();
    Object::new()
        .maybe("variant", variant)
        .plain("prompt", dop.prompt.clone())
        .plain("image_urls", dop.image_urls.clone())
        .plain("end_image_url", dop.end_image_url.clone())
        .plain("motions", motions)
        .maybe("enhance_prompt", dop.enhance_prompt)
        .maybe("seed", dop.seed)
        .done()
}

fn of_speak(speak: &SpeakInput) -> Value {
    let quality = (speak.quality != 0).then(|| speak.quality().as_str_name());
    Object::new()
        .plain("image_url", speak.image_url.clone())
        .plain("audio_url", speak.audio_url.clone())
        .plain("prompt", speak.prompt.clone())
        .maybe("quality", quality)
        .plain("duration_seconds", speak.duration_seconds)
        .maybe("enhance_prompt", speak.enhance_prompt)
        .maybe("seed", speak.seed)
        .done()
}

fn of_struct(fields: &Struct) -> Value {
    fields.fields.iter().map(|(name, value)| (name.clone(), of_value(value))).collect::<Map<_, _>>().into()
}

fn of_value(value: &prost_types::Value) -> Value {
    match value.kind.as_ref().expect("a kind") {
        ValueKind::NullValue(_) => Value::Null,
        ValueKind::NumberValue(number) => json!(number),
        ValueKind::StringValue(text) => json!(text),
        ValueKind::BoolValue(truth) => json!(truth),
        ValueKind::StructValue(fields) => of_struct(fields),
        ValueKind::ListValue(list) => list.values.iter().map(of_value).collect(),
    }
}

pub fn of_filter(filter: &GenerationFilter) -> Value {
    let states: Vec<&str> = filter.states().map(|state| state.as_str_name()).collect();
    Object::new()
        .plain("ids", filter.ids.clone())
        .plain("states", states)
        .plain("model_ids", filter.model_ids.clone())
        .plain("labels", of_map(&filter.labels))
        .plain("idempotency_key", filter.idempotency_key.clone())
        .maybe("created_after", filter.created_after.as_ref().map(ToString::to_string))
        .maybe("created_before", filter.created_before.as_ref().map(ToString::to_string))
        .done()
}

pub fn of_map(map: &HashMap<String, String>) -> Value {
    map.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>().into()
}

pub fn of_duration(time: &Duration) -> String {
    match time.nanos / 1_000_000 {
        0 => format!("{}s", time.seconds),
        millis => format!("{}.{millis:03}s", time.seconds),
    }
}

/// Converts all numbers to doubles, as JSON has no others.
pub fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(normal).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), normal(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}
