//! The catalogs.

use hfgateway_client::{
    Kind, StreamExt,
    prost_types::value::Kind as ValueKind,
    v1::{ListModelsRequest, ListMotionsRequest, Model, SoulVersion, WatchModelsRequest},
};

use crate::stage::{Stage, all, behaviours, distinct, fails, unique};

behaviours!(list_models, watch_models, get_model, list_motions, list_soul_styles, list_presets);

fn holds(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

async fn list_models(stage: Stage) {
    let pages = ListModelsRequest { page_size: 7, ..Default::default() };
    let models = distinct(all(stage.client.list_models(pages)).await, |model| &model.id);
    assert!(models.len() > 7, "too few for a second page");
    let souls: Vec<_> = models.iter().filter(|id| holds(id, "soul")).cloned().collect();
    assert!(!souls.is_empty() && souls.len() < models.len());
    for query in ["soul", "SOUL"] {
        let narrowed = ListModelsRequest { query: query.to_owned(), ..Default::default() };
        assert_eq!(distinct(all(stage.client.list_models(narrowed)).await, |model| &model.id), souls);
    }
}

/// Returns whether the schema of a model has the parameter.
fn takes(model: &Model, parameter: &str) -> bool {
    let schema = model.parameters_schema.as_ref();
    let properties = schema.and_then(|schema| schema.fields.get("properties")).and_then(|value| value.kind.as_ref());
    matches!(properties, Some(ValueKind::StructValue(properties)) if properties.fields.contains_key(parameter))
}

async fn get_model(stage: Stage) {
    let id = "higgsfield-ai/soul/v2/standard";
    let model = stage.client.get_model(id).await.expect("it is known");
    assert_eq!(model.id, id);
    assert!(takes(&model, "prompt"));
    let unknown = stage.client.get_model(unique("unknown/model").replace(' ', "-")).await;
    fails(unknown, Kind::ModelUnknown, "MODEL_UNKNOWN");
}

async fn watch_models(stage: Stage) {
    let mut watch = stage.client.watch_models(WatchModelsRequest { after_revision: Some(-1) });
    fails(watch.next().await.expect("a response"), Kind::InvalidInput, "INVALID_INPUT");
}

async fn list_motions(stage: Stage) {
    let motions = all(stage.client.list_motions(ListMotionsRequest::default())).await;
    assert!(motions.len() > 1);
    for motion in &motions {
        assert!(!motion.id.is_empty() && !motion.name.is_empty(), "{motion:?}");
        assert!(motion.preview_url.starts_with("http"), "{motion:?}");
    }
    let name = &motions[0].name;
    let narrowed = ListMotionsRequest { query: name.to_uppercase(), ..Default::default() };
    let matching: Vec<_> = motions.iter().filter(|motion| holds(&motion.name, name)).cloned().collect();
    assert!(matching.len() < motions.len());
    assert_eq!(all(stage.client.list_motions(narrowed)).await, matching);
}

async fn list_soul_styles(stage: Stage) {
    let first = distinct(all(stage.client.list_soul_styles(SoulVersion::V1)).await, |style| &style.id);
    let second = distinct(all(stage.client.list_soul_styles(SoulVersion::V2)).await, |style| &style.id);
    assert!(!first.is_empty() && !second.is_empty());
    assert_ne!(first, second);
}

async fn list_presets(stage: Stage) {
    let schemas = ListModelsRequest { include_schema: true, ..Default::default() };
    let models = all(stage.client.list_models(schemas)).await;
    let model = models.iter().find(|model| takes(model, "preset_id")).expect("one with presets");
    let presets = all(stage.client.list_presets(&model.id)).await;
    assert!(!presets.is_empty());
    assert!(presets.iter().all(|preset| !preset.id.is_empty() && !preset.name.is_empty()), "{presets:?}");
    let mut unknown = stage.client.list_presets(unique("unknown/model").replace(' ', "-"));
    fails(unknown.next().await.expect("a response"), Kind::ModelUnknown, "MODEL_UNKNOWN");
}
