//! What a behaviour has at hand: the gateway's addresses, the harness, and clients.

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

/// For a step that is not meant to take long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One of protos/vectors/behaviours.json; it panics where the promise does not hold.
#[derive(Clone)]
pub struct Behaviour {
    pub name: &'static str,
    pub perform: fn(Stage) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// `behaviours!(a, b)`: those that the functions of that name perform, as `ALL`.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[crate::stage::Behaviour] = &[
            $(crate::stage::Behaviour { name: stringify!($name), perform: |stage| Box::pin($name(stage)) }),*
        ];
    };
}
pub(crate) use behaviours;

/// The environment of one run, and a client of it.
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

    /// A variable, without its `HFG_`.
    pub fn told(&self, name: &str) -> &str {
        &self.environment[&format!("HFG_{name}")]
    }

    /// For a client of its own connection, which has no key yet.
    pub fn another(&self) -> Builder {
        Client::builder(self.told("ADDRESS"))
    }

    /// Asks the harness for something.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let headers = HashMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
        let url = format!("{}/{path}", self.told("CONTROL"));
        let (status, answer) = http::send("POST", &url, &headers, body.to_string().as_bytes()).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Lets time pass at Higgsfield.
    pub async fn advance(&self, seconds: f64) {
        self.control("advance", json!({"seconds": seconds})).await;
    }

    /// Resets the connections to the gateway, of which there has to be one.
    pub async fn cut(&self) {
        let answer = self.control("cut", json!({})).await;
        assert_ne!(answer["connections"], 0, "there was no connection to cut");
    }

    pub async fn restart(&self) {
        self.control("restart", json!({})).await;
    }

    /// Has Higgsfield err about one prompt.
    pub async fn plan(&self, prompt: &str, mut fault: Value) {
        fault["prompt"] = prompt.into();
        self.control("plan", json!({"faults": [fault]})).await;
    }

    /// What Higgsfield charged for and was sent has to be this.
    pub async fn charged(&self, prompt: &str, charges: u32, submissions: u32) {
        let answer = self.control("charges", json!({"prompt": prompt})).await;
        assert_eq!(answer, json!({"charges": charges, "submissions": submissions}), "{prompt}");
    }

    /// What Higgsfield charged for, by a prompt or a character's name.
    pub async fn charges(&self, name: &str) -> u64 {
        self.control("charges", json!({"prompt": name})).await["charges"].as_u64().expect("a number")
    }

    /// Returns once Higgsfield was sent it.
    pub async fn submitted(&self, prompt: &str) {
        let arrives = async {
            while self.control("charges", json!({"prompt": prompt})).await["submissions"] == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, arrives).await.expect("Higgsfield is sent it");
    }

    /// One that Higgsfield has accepted and not begun.
    pub async fn queued(&self, submit: impl Into<Submit>) -> Submission {
        let submission = self.client.submit(submit).await.expect("it is submitted");
        assert_eq!(submission.generation.state_name(), "QUEUED");
        submission
    }

    /// One that runs at Higgsfield.
    pub async fn running(&self, submit: impl Into<Submit>) -> Generation {
        let submission = self.queued(submit).await;
        self.advance(1.5).await;
        self.until(submission.id(), "IN_PROGRESS").await
    }

    /// One that has ended well.
    pub async fn completed(&self, submit: impl Into<Submit>) -> Generation {
        let submission = self.queued(submit).await;
        self.advance(60.0).await;
        self.until(submission.id(), "COMPLETED").await
    }

    /// The generation when it has come to that state.
    pub async fn until(&self, id: &str, state: &str) -> Generation {
        nth(&mut self.client.watch(id), |seen| seen.state_name() == state, &mut Vec::new()).await
    }
}

/// Reads on until it holds; what is read on the way is seen.
pub async fn nth<T: Clone>(stream: &mut BoxStream<T>, holds: impl Fn(&T) -> bool, seen: &mut Vec<T>) -> T {
    let reads = async {
        loop {
            let item = stream.next().await.expect("the stream goes on").expect("no error");
            seen.push(item.clone());
            if holds(&item) {
                return item;
            }
        }
    };
    timeout(PATIENCE, reads).await.expect("it comes in time")
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

/// All that a stream brings.
pub async fn all<T>(mut stream: BoxStream<T>) -> Vec<T> {
    let mut items = Vec::new();
    rest(&mut stream, &mut items).await;
    items
}

/// Their ids, none of which may come twice.
pub fn distinct<T>(items: Vec<T>, id: impl Fn(&T) -> &String) -> Vec<String> {
    let ids: Vec<_> = items.iter().map(|item| id(item).clone()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    ids
}

/// The error that this has to be.
pub fn fails<T: Debug>(result: Result<T, Error>, kind: Kind, reason: &str) -> Error {
    let error = result.expect_err("an error");
    assert_eq!((error.kind(), error.reason()), (kind, reason), "{error}");
    error
}

/// A prompt, key or label that nobody else uses.
pub fn unique(words: &str) -> String {
    format!("{words} {}", Uuid::new_v4())
}

/// An input with a prompt that nobody else uses.
pub fn fox() -> SoulInput {
    soul(unique("a fox"))
}
