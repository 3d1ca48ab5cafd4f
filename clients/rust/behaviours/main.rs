//! Runs the behaviours of docs/clients.md with the Rust client: the named ones or all, one after the other. Prints a line
//! of JSON for each. `python -m tests.clients.harness` provides the environment.

mod access;
mod callbacks;
mod catalogs;
mod characters;
mod connection;
mod ending;
mod following;
mod http;
mod stage;
mod submitting;
mod uploads;

use std::{any::Any, env, process::ExitCode, time::Duration};

use serde_json::json;
use stage::{Behaviour, Stage};

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    let all: Vec<Behaviour> = [
        submitting::ALL,
        following::ALL,
        ending::ALL,
        access::ALL,
        connection::ALL,
        uploads::ALL,
        catalogs::ALL,
        characters::ALL,
        callbacks::ALL,
    ]
    .concat();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|behaviour| behaviour.name != **name)) {
        eprintln!("{unknown}: is no behaviour");
        return ExitCode::from(2);
    }
    let stage = Stage::new();
    let mut held = true;
    for behaviour in all.iter().filter(|behaviour| names.is_empty() || names.iter().any(|name| name == behaviour.name))
    {
        let line = match judge(behaviour, &stage).await {
            Ok(()) => json!({"behaviour": behaviour.name, "ok": true}),
            Err(error) => {
                held = false;
                json!({"behaviour": behaviour.name, "ok": false, "error": error})
            }
        };
        println!("{line}");
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a behaviour and returns its error. Behaviours fail by a panic, so each runs in its own task.
async fn judge(behaviour: &Behaviour, stage: &Stage) -> Result<(), String> {
    let mut task = tokio::spawn((behaviour.perform)(stage.clone()));
    match tokio::time::timeout(PATIENCE, &mut task).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failed)) => Err(said(failed.into_panic().as_ref())),
        Err(_) => {
            task.abort();
            Err(format!("took longer than {PATIENCE:?}"))
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked").to_owned()
}
