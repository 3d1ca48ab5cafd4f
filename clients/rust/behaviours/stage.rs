//! The environment of behaviours: the gateway's addresses, the harness, and clients.

use std::{
    collections::{HashMap, HashSet},
    env,
    fmt::Debug,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use hfgateway_client::{
    BoxStream, Builder, Client, Error, Kind, StreamExt, Submission, Submit, soul,
    v1::{Generation, SoulInput},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::http;

/// The timeout of one step. Passing steps stay far below it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A behaviour of protos/vectors/behaviours.json. It panics if it fails.
#[derive(Clone)]
pub struct Behaviour {
    pub name: &'static str,
    pub perform: fn(Stage) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// `behaviours!(a, b)` defines `ALL` with the behaviours that the functions `a` and `b` run.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[crate::stage::Behaviour] = &[
            $(crate::stage::Behaviour { name: stringify!($name), perform: |stage| Box::pin($name(stage)) }),*
        ];
    };
}
pub(crate) use behaviours;

/// The environment of one run, and a client of the gateway.
#[derive(Clone)]
pub struct Stage {
    pub client: Client,
    environment: Arc<HashMap<String, String>>,
}

impl Stage {
    pub fn new() -> Self {
        let environment: HashMap<_, _> = env::vars().filter(|(name, _)| name.starts_with("HFG_")).collect();
        let client = Client::builder(&environment["HFG_ADDRESS"]).api_key(&environment["HFG_API_KEY"]);
        Self { client: client.build().expect("a client"), environment: Arc::new(environment) }
    }

    /// Returns the environment variable `HFG_{name}`.
    pub fn variable(&self, name: &str) -> &str {
        &self.environment[&format!("HFG_{name}")]
    }

    /// Returns a builder of a client with its own connection, without a key.
    pub fn another(&self) -> Builder {
        Client::builder(self.variable("ADDRESS"))
    }

    /// Sends a request to the harness, and returns its response.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let headers = HashMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
        let url = format!("{}/{path}", self.variable("CONTROL"));
        let (status, response) = http::send("POST", &url, &headers, body.to_string().as_bytes()).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&response));
        serde_json::from_slice(&response).expect("JSON")
    }

    /// Advances time at Higgsfield.
    pub async fn advance(&self, seconds: f64) {
        self.control("advance", json!({"seconds": seconds})).await;
    }

    /// Resets the connections to the gateway. There must be at least one.
    pub async fn cut(&self) {
        let response = self.control("cut", json!({})).await;
        assert_ne!(response["connections"], 0, "there was no connection to cut");
    }

    pub async fn restart(&self) {
        self.control("restart", json!({})).await;
    }

    /// Makes Higgsfield fail for one prompt.
    pub async fn plan(&self, prompt: &str, mut fault: Value) {
        fault["prompt"] = prompt.into();
        self.control("plan", json!({"faults": [fault]})).await;
    }

    /// Checks how many charges and submissions Higgsfield has for a prompt.
    pub async fn charged(&self, prompt: &str, charges: u32, submissions: u32) {
        let response = self.control("charges", json!({"prompt": prompt})).await;
        assert_eq!(response, json!({"charges": charges, "submissions": submissions}), "{prompt}");
    }

    /// Returns the number of charges for a prompt or a character's name.
    pub async fn charges(&self, name: &str) -> u64 {
        self.control("charges", json!({"prompt": name})).await["charges"].as_u64().expect("a number")
    }

    /// Waits until Higgsfield has received the prompt.
    pub async fn submitted(&self, prompt: &str) {
        let arrives = async {
            while self.control("charges", json!({"prompt": prompt})).await["submissions"] == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, arrives).await.expect("Higgsfield is sent it");
    }

    /// Submits a generation that Higgsfield accepts but does not start.
    pub async fn queued(&self, submit: impl Into<Submit>) -> Submission {
        let submission = self.client.submit(submit).await.expect("it is submitted");
        assert_eq!(submission.generation.state_name(), "QUEUED");
        submission
    }

    /// Returns a generation that Higgsfield is running.
    pub async fn running(&self, submit: impl Into<Submit>) -> Generation {
        let submission = self.queued(submit).await;
        self.advance(1.5).await;
        self.until(submission.id(), "IN_PROGRESS").await
    }

    /// Returns a completed generation.
    pub async fn completed(&self, submit: impl Into<Submit>) -> Generation {
        let submission = self.queued(submit).await;
        self.advance(60.0).await;
        self.until(submission.id(), "COMPLETED").await
    }

    /// Watches the generation until it reaches the state.
    pub async fn until(&self, id: &str, state: &str) -> Generation {
        nth(&mut self.client.watch(id), |seen| seen.state_name() == state, &mut Vec::new()).await
    }
}

/// Reads up to the first item for which `holds` returns true, and adds all items to `seen`.
pub async fn nth<T: Clone>(stream: &mut BoxStream<T>, holds: impl Fn(&T) -> bool, seen: &mut Vec<T>) -> T {
    let reads = async {
        loop {
            let item = stream.next().await.expect("another item").expect("no error");
            seen.push(item.clone());
            if holds(&item) {
                return item;
            }
        }
    };
    timeout(PATIENCE, reads).await.expect("an item in time")
}

/// Reads to the end.
pub async fn rest<T>(stream: &mut BoxStream<T>, seen: &mut Vec<T>) {
    let reads = async {
        while let Some(item) = stream.next().await {
            seen.push(item.expect("no error"));
        }
    };
    timeout(PATIENCE, reads).await.expect("it ends in time");
}

/// Returns all items of a stream.
pub async fn all<T>(mut stream: BoxStream<T>) -> Vec<T> {
    let mut items = Vec::new();
    rest(&mut stream, &mut items).await;
    items
}

/// Returns the ids of the items, which must be unique.
pub fn distinct<T>(items: Vec<T>, id: impl Fn(&T) -> &String) -> Vec<String> {
    let ids: Vec<_> = items.iter().map(|item| id(item).clone()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    ids
}

/// Returns the error, which must have this kind and reason.
pub fn fails<T: Debug>(result: Result<T, Error>, kind: Kind, reason: &str) -> Error {
    let error = result.expect_err("an error");
    assert_eq!((error.kind(), error.reason()), (kind, reason), "{error}");
    error
}

/// Returns a prompt, key or label that is used only once.
pub fn unique(words: &str) -> String {
    format!("{words} {}", Uuid::new_v4())
}

/// Returns an input with a unique prompt.
pub fn fox() -> SoulInput {
    soul(unique("a fox"))
}
