//! Tests of the vectors in protos/vectors and of each method, against a scripted gateway on a real socket.

mod callbacks;
mod catalog;
mod characters;
mod connection;
mod cursor;
mod errors;
mod gateway;
mod inputs;
mod methods;
mod protojson;
mod retries;
mod timers;
mod uploads;

use std::{env, fs, path::PathBuf};

use serde_json::Value;

/// Returns one of the files that the clients of all languages share.
fn vectors(name: &str) -> Value {
    // Read when the tests run: a cached build may have been compiled in another clone.
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo test sets it"));
    let path = crate_folder.join("../../protos/vectors").join(name);
    serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("JSON")
}

/// Returns the cases in a list, which must not be empty.
fn cases(vectors: &Value, list: &str) -> Vec<Value> {
    let cases = vectors[list].as_array().expect("a list");
    assert!(!cases.is_empty());
    cases.clone()
}
