//! Calls with deadlines, retries and typed errors; see `retry.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_stream::try_stream;
use tokio::{select, sync::Semaphore};
use tonic::{Code, Request, Response, Status};

use crate::{
    error::Error,
    kind::Kind,
    retry::{RetryPolicy, may_repeat},
    timers::Timers,
    transport::Transport,
    v1::FieldViolation,
    watching::BoxStream,
};

/// `rpc!(Stub.method)` is a function that calls one method.
///
/// The future is in a box: it takes kilobytes, which every future around it would take as well.
macro_rules! rpc {
    ($stub:ident . $method:ident) => {
        |transport, request| Box::pin(async move { $stub::new(transport).$method(request).await })
    };
}
pub(crate) use rpc;

/// Reports retries.
pub(crate) type OnRetry = Arc<dyn Fn(&Error, Duration) + Send + Sync>;

/// Reports warnings about inputs.
pub(crate) type OnWarning = Arc<dyn Fn(&FieldViolation) + Send + Sync>;

/// The calls of a client, with its connection, timeout and retry policy.
#[derive(Clone)]
pub(crate) struct Calls {
    pub transport: Transport,
    pub timeout: Duration,
    pub retry: RetryPolicy,
    pub timers: Arc<dyn Timers>,
    pub address: Arc<str>,
    pub on_retry: OnRetry,
    pub on_warning: OnWarning,
    /// Whether the gateway has ever responded.
    pub reached: Arc<AtomicBool>,
    /// Has no permits, and is closed with the client.
    pub open: Arc<Semaphore>,
}

impl Calls {
    /// Makes a unary call and returns the response or the typed error. Retries it within the timeout, which covers all
    /// attempts.
    pub async fn unary<Q, A, F>(
        &self,
        message: Q,
        timeout: Duration,
        call: impl Fn(Transport, Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = self.after(timeout);
        let mut outage = Outage::new(self, self.retry.repeat_calls_for, deadline);
        let repeated = async {
            loop {
                let remaining = deadline.map(|end| end.saturating_duration_since(self.timers.now()));
                let attempt = call(self.transport.clone(), request(message.clone(), remaining));
                let error = match within(remaining, attempt).await {
                    Ok(Ok(response)) => {
                        outage.over();
                        return Ok(response.into_inner());
                    }
                    // The gateway ended the call at the deadline, just before the client did.
                    Ok(Err(status)) if status.code() == Code::Cancelled && self.is_past(deadline) => {
                        Error::deadline_exceeded()
                    }
                    Ok(Err(status)) => status.into(),
                    Err(error) => error,
                };
                outage.endure(error).await?;
            }
        };
        self.until_closed(repeated).await
    }

    /// Returns the result of a call, or a `ClientClosed` when the client is closed.
    pub async fn until_closed<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        select! {
            biased;
            _ = self.open.acquire() => Err(Error::closed()),
            result = call => result,
        }
    }

    /// Streams the items of all pages. Fetches each page when it is needed. `open` returns the items of a page and the
    /// token of the next one, which is empty after the last page, and `turn` sets the token.
    pub fn pages<Q, A, T, F>(
        &self,
        mut query: Q,
        call: impl Fn(Transport, Request<Q>) -> F + Copy + Send + Sync + 'static,
        open: fn(A) -> (Vec<T>, String),
        turn: fn(&mut Q, String),
    ) -> BoxStream<T>
    where
        Q: Clone + Send + Sync + 'static,
        A: Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let calls = self.clone();
        Box::pin(try_stream! {
            loop {
                let (items, next) = open(calls.unary(query.clone(), calls.timeout, call).await?);
                for item in items {
                    yield item;
                }
                if next.is_empty() {
                    return;
                }
                turn(&mut query, next);
            }
        })
    }

    /// Returns the deadline after `time`, or `None` if an `Instant` cannot represent it.
    pub fn after(&self, time: Duration) -> Option<Instant> {
        self.timers.now().checked_add(time)
    }

    pub fn is_past(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|end| self.timers.now() >= end)
    }

    /// Completes the error of an attempt: `before` is the message of the failure before it.
    pub fn describe(&self, error: Error, before: Option<&str>) -> Error {
        if !error.reason().is_empty() {
            self.reached.store(true, Ordering::Relaxed);
        }
        error.at(&self.address, self.reached.load(Ordering::Relaxed), before)
    }
}

// The longest timeout of gRPC: 8 digits of hours. tonic panics if it is longer.
const LONGEST: Duration = Duration::from_secs(99_999_999 * 3600);

/// Returns a request with the remaining time.
pub(crate) fn request<T>(message: T, timeout: Option<Duration>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(time) = timeout {
        request.set_timeout(time.min(LONGEST));
    }
    request
}

/// Returns the output of a future, or a `DeadlineExceeded` after `time`.
pub(crate) async fn within<T>(time: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Error> {
    match time {
        Some(time) => tokio::time::timeout(time, future).await.map_err(|_| Error::deadline_exceeded()),
        None => Ok(future.await),
    }
}

/// Counts the failures since the last success. Decides how long to wait before the next attempt, and when to give up.
pub(crate) struct Outage<'a> {
    calls: &'a Calls,
    patience: Option<Duration>,
    deadline: Option<Instant>,
    failures: u32,
    began: Instant,
    // The last failure that may have had an effect, or else the last one.
    last: Option<Error>,
}

impl<'a> Outage<'a> {
    pub fn new(calls: &'a Calls, patience: Option<Duration>, deadline: Option<Instant>) -> Self {
        Self { calls, patience, deadline, failures: 0, began: calls.timers.now(), last: None }
    }

    /// Ends the outage, after a message of the gateway.
    pub fn over(&mut self) {
        self.calls.reached.store(true, Ordering::Relaxed);
        self.failures = 0;
        self.last = None;
    }

    /// Sleeps until the next attempt. If there is none, returns the error at once, or after an overload the last error
    /// whose attempt may have had an effect.
    pub async fn endure(&mut self, error: Error) -> Result<(), Error> {
        let error = self.calls.describe(error, self.last.as_ref().map(Error::message));
        if !may_repeat(&error) {
            return Err(error);
        }
        let timers = &self.calls.timers;
        let now = timers.now();
        if self.failures == 0 {
            self.began = now;
        }
        self.failures += 1;
        let delay = self.calls.retry.delay(self.failures, error.retry_delay(), timers.chance());
        let ends = [self.patience.and_then(|patience| self.began.checked_add(patience)), self.deadline];
        // An overload had no effect, but the failure before it may have had one.
        let overloaded = |error: &Error| error.kind() == Kind::GatewayOverloaded;
        let before = self.last.take().filter(|last| overloaded(&error) && !overloaded(last));
        if now.checked_add(delay).is_none_or(|next| ends.into_iter().flatten().any(|end| next >= end)) {
            return Err(match before {
                Some(before) => before.then(&error),
                None => error,
            });
        }
        (self.calls.on_retry)(&error, delay);
        self.last = Some(before.unwrap_or(error));
        timers.sleep(delay).await;
        Ok(())
    }
}
