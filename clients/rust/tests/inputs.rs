//! protos/vectors/inputs.json: the inputs that constructors return, and the requests that methods send.

use std::time::Duration;

use hfgateway_client::{StreamExt, Submit, dop, model, motion, soul, speak, v1::*};
use serde_json::Value;
use tonic::Code;

use crate::{
    cases,
    gateway::{End, Gateway, Seen, status},
    protojson::{self, Fields, Object},
    vectors,
};

#[test]
fn constructors() {
    for case in cases(&vectors("inputs.json"), "inputs") {
        let made = constructed(case["constructor"].as_str().unwrap(), &case["arguments"]);
        assert_eq!(
            protojson::normal(&protojson::of_input(&made)),
            protojson::normal(&case["input"]),
            "{}",
            case["name"]
        );
    }
}

fn constructed(constructor: &str, arguments: &Value) -> GenerationInput {
    let mut given = Fields::of(arguments);
    let input = match constructor {
        "soul" => SoulInput {
            version: given.maybe_text("version").map_or(0, |name| version(&name).into()),
            aspect_ratio: given.text("aspect_ratio"),
            width: given.int("width").unwrap_or_default(),
            height: given.int("height").unwrap_or_default(),
            resolution: given.text("resolution"),
            batch_size: given.int("batch_size").unwrap_or_default(),
            style_id: given.text("style_id"),
            style_strength: given.float("style_strength"),
            character_id: given.text("character_id"),
            character_strength: given.float("character_strength"),
            image_reference_url: given.text("image_reference_url"),
            enhance_prompt: given.truth("enhance_prompt"),
            seed: given.int("seed"),
            ..soul(given.text("prompt"))
        }
        .into(),
        "dop" => DopInput {
            variant: given.maybe_text("variant").map_or(0, |name| variant(&name).into()),
            end_image_url: given.text("end_image_url"),
            motions: motions(given.take("motions")),
            enhance_prompt: given.truth("enhance_prompt"),
            seed: given.int("seed"),
            ..dop(given.text("prompt"), given.texts("image_urls"))
        }
        .into(),
        "speak" => SpeakInput {
            quality: given.maybe_text("quality").map_or(0, |name| quality(&name).into()),
            duration_seconds: given.int("duration_seconds").unwrap_or_default(),
            enhance_prompt: given.truth("enhance_prompt"),
            seed: given.int("seed"),
            ..speak(given.text("image_url"), given.text("audio_url"), given.text("prompt"))
        }
        .into(),
        "model" => {
            let parameters = given.take("parameters").unwrap();
            let version = given.maybe_text("api_version");
            let made = model(given.text("model_id"), parameters.as_object().unwrap().clone());
            ModelInput { api_version: version.map_or(0, |name| form(&name).into()), ..made }.into()
        }
        other => panic!("{other}"),
    };
    given.end();
    input
}

fn version(name: &str) -> SoulVersion {
    match name {
        "v1" => SoulVersion::V1,
        "v2" => SoulVersion::V2,
        "cinema" => SoulVersion::Cinema,
        other => panic!("{other}"),
    }
}

fn variant(name: &str) -> DopVariant {
    match name {
        "lite" => DopVariant::Lite,
        "standard" => DopVariant::Standard,
        "turbo" => DopVariant::Turbo,
        other => panic!("{other}"),
    }
}

fn quality(name: &str) -> SpeakQuality {
    match name {
        "mid" => SpeakQuality::Mid,
        "high" => SpeakQuality::High,
        other => panic!("{other}"),
    }
}

fn form(name: &str) -> ApiVersion {
    match name {
        "v1" => ApiVersion::V1,
        "v2" => ApiVersion::V2,
        other => panic!("{other}"),
    }
}

fn motions(given: Option<Value>) -> Vec<MotionStrength> {
    let given = given.unwrap_or(Value::Object(Default::default()));
    given.as_object().unwrap().iter().map(|(id, strength)| motion(id, strength.as_f64())).collect()
}

#[test]
fn parameters_of_a_model_may_be_pairs() {
    let made = model("some/model", [("prompt", "x".into()), ("duration", serde_json::json!(5))]);
    let shown = protojson::of_input(&made.into());
    assert_eq!(
        protojson::normal(&shown["model"]["parameters"]),
        protojson::normal(&serde_json::json!({"prompt": "x", "duration": 5}))
    );
}

#[tokio::test]
async fn requests() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    for case in cases(&vectors("inputs.json"), "requests") {
        let name = &case["name"];
        let mut given = Fields::of(&case["arguments"]);
        match case["method"].as_str().unwrap() {
            "submit" => {
                gateway.answers(Generation::default());
                client.submit(submit(&mut given)).await.unwrap();
            }
            "list" => {
                let request = ListGenerationsRequest {
                    include_input: given.truth("include_input").unwrap_or_default(),
                    page_size: given.int("page_size").unwrap_or_default(),
                    ..filter(&mut given).into()
                };
                assert!(client.list(request).next().await.is_none(), "{name}");
            }
            "watch" => {
                gateway.streams(vec![], End::Error(status(Code::NotFound, "NOT_FOUND", None)));
                let request = WatchGenerationRequest {
                    after_revision: given.int("after_revision").unwrap_or_default(),
                    include_input: given.truth("include_input").unwrap_or_default(),
                    ..given.text("id").into()
                };
                assert!(client.watch(request).next().await.unwrap().is_err(), "{name}");
            }
            "watch_many" => {
                gateway.streams_of_many(vec![], End::Error(status(Code::NotFound, "NOT_FOUND", None)));
                let interval = given.float("forecast_interval").map(Duration::from_secs_f64);
                let request = WatchGenerationsRequest {
                    resume_token: given.text("resume_token"),
                    include_input: given.truth("include_input").unwrap_or_default(),
                    forecast_interval: interval.map(|time| time.try_into().unwrap()),
                    ..filter(&mut given).into()
                };
                assert!(client.watch_many(request).next().await.unwrap().is_err(), "{name}");
            }
            "create_watch_token" => {
                let ttl = given.float("ttl").map(Duration::from_secs_f64);
                let request = CreateWatchTokenRequest {
                    include_input: given.truth("include_input").unwrap_or_default(),
                    ttl: ttl.map(|time| time.try_into().unwrap()),
                    ..filter(&mut given).into()
                };
                assert_eq!(client.create_watch_token(request).await.unwrap().token, "hfw_1", "{name}");
            }
            other => panic!("{other}"),
        }
        given.end();
        let (message, sent) = shown(gateway.seen().last().unwrap());
        assert_eq!(message, case["message"], "{name}");
        assert_eq!(protojson::normal(&sent), protojson::normal(&case["request"]), "{name}");
    }
}

fn submit(given: &mut Fields) -> Submit {
    let mut input = Fields::of(&given.take("input").unwrap());
    let mut fields = Fields::of(&input.take("soul").unwrap());
    let mut submit = Submit::new(soul(fields.text("prompt"))).key(given.text("idempotency_key"));
    fields.end();
    input.end();
    for (name, value) in given.map("labels") {
        submit = submit.label(name, value);
    }
    if let Some(name) = given.maybe_text("wait_for") {
        submit = submit.wait_for(WaitFor::from_str_name(&format!("WAIT_FOR_{}", name.to_uppercase())).unwrap());
    }
    for (name, set) in [
        ("wait_timeout", Submit::wait_timeout as fn(Submit, Duration) -> Submit),
        ("start_timeout", Submit::start_timeout),
        ("outputs_ttl", Submit::outputs_ttl),
    ] {
        if let Some(seconds) = given.float(name) {
            submit = set(submit, Duration::from_secs_f64(seconds));
        }
    }
    if given.truth("fail_when_saturated") == Some(true) {
        submit = submit.fail_when_saturated();
    }
    if let Some(url) = given.maybe_text("callback_url") {
        submit = submit.callback_url(url);
    }
    submit
}

fn filter(given: &mut Fields) -> GenerationFilter {
    let states = given.texts("states").into_iter();
    let state = |name| GenerationState::from_str_name(&format!("GENERATION_STATE_{name}")).unwrap().into();
    GenerationFilter {
        ids: given.texts("ids"),
        states: states.map(state).collect(),
        model_ids: given.texts("model_ids"),
        labels: given.map("labels"),
        idempotency_key: given.text("idempotency_key"),
        created_after: given.maybe_text("created_after").map(|text| protojson::time(&text)),
        created_before: given.maybe_text("created_before").map(|text| protojson::time(&text)),
        ..Default::default()
    }
}

/// Returns the name and the JSON of a request.
fn shown(request: &Seen) -> (&'static str, Value) {
    match request {
        Seen::Submit(sent) => (
            "SubmitGenerationRequest",
            Object::new()
                .maybe("input", sent.input.as_ref().map(protojson::of_input))
                .plain("idempotency_key", sent.idempotency_key.clone())
                .plain("labels", protojson::of_map(&sent.labels))
                .maybe("wait_for", (sent.wait_for != 0).then(|| sent.wait_for().as_str_name()))
                .maybe("wait_timeout", sent.wait_timeout.as_ref().map(protojson::of_duration))
                .maybe("start_timeout", sent.start_timeout.as_ref().map(protojson::of_duration))
                .plain("fail_when_saturated", sent.fail_when_saturated)
                .maybe("outputs_ttl", sent.outputs_ttl.as_ref().map(protojson::of_duration))
                .plain("callback_url", sent.callback_url.clone())
                .done(),
        ),
        Seen::List(sent) => (
            "ListGenerationsRequest",
            Object::new()
                .maybe("filter", sent.filter.as_ref().map(protojson::of_filter))
                .plain("page_size", sent.page_size)
                .plain("page_token", sent.page_token.clone())
                .plain("include_input", sent.include_input)
                .done(),
        ),
        Seen::Watch(sent) => (
            "WatchGenerationRequest",
            Object::new()
                .plain("id", sent.id.clone())
                .plain("after_revision", sent.after_revision)
                .plain("include_input", sent.include_input)
                .maybe("forecast_interval", sent.forecast_interval.as_ref().map(protojson::of_duration))
                .done(),
        ),
        Seen::WatchMany(sent) => (
            "WatchGenerationsRequest",
            Object::new()
                .maybe("filter", sent.filter.as_ref().map(protojson::of_filter))
                .plain("resume_token", sent.resume_token.clone())
                .plain("include_input", sent.include_input)
                .maybe("forecast_interval", sent.forecast_interval.as_ref().map(protojson::of_duration))
                .done(),
        ),
        Seen::Token(sent) => (
            "CreateWatchTokenRequest",
            Object::new()
                .maybe("filter", sent.filter.as_ref().map(protojson::of_filter))
                .maybe("ttl", sent.ttl.as_ref().map(protojson::of_duration))
                .plain("include_input", sent.include_input)
                .done(),
        ),
        other => panic!("{other:?}"),
    }
}
