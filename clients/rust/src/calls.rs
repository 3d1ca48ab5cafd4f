//! Calls with credentials, deadlines and retries; see `retry.rs`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    error::Error,
    retry::{RetryPolicy, may_repeat},
    timers::Timers,
};

/// `rpc!(Stub.method)` is a function that calls one method.
macro_rules! rpc {
    ($stub:ident . $method:ident) => {
        |channel, request| async move { $stub::new(channel).$method(request).await }
    };
}
pub(crate) use rpc;

/// Reports retries.
pub(crate) type OnRetry = Arc<dyn Fn(&Error, Duration) + Send + Sync>;

/// The calls of a client, with its channel, credentials, timeout and retry policy.
#[derive(Clone)]
pub(crate) struct Calls {
    pub channel: Channel,
    pub authorization: Option<MetadataValue<Ascii>>,
    pub timeout: Duration,
    pub retry: RetryPolicy,
    pub timers: Arc<dyn Timers>,
    pub address: Arc<str>,
    pub on_retry: OnRetry,
}

impl Calls {
    /// Makes a unary call and returns the response or the typed error. Retries it within the timeout, which covers all
    /// attempts.
    pub async fn unary<Q, A, F>(
        &self,
        message: Q,
        timeout: Duration,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = self.after(timeout);
        let mut outage = Outage::new(self, self.retry.repeat_calls_for, deadline);
        loop {
            let remaining = deadline.map(|end| end.saturating_duration_since(self.timers.now()));
            let attempt = call(self.channel.clone(), self.request(message.clone(), remaining));
            let error = match within(remaining, attempt).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                // The gateway ended the call at the deadline, just before the client did.
                Ok(Err(status)) if status.code() == Code::Cancelled && self.is_past(deadline) => {
                    Error::deadline_exceeded()
                }
                Ok(Err(status)) => status.into(),
                Err(error) => error,
            };
            outage.endure(error).await?;
        }
    }

    /// Returns a request with the credentials and the remaining time.
    pub fn request<T>(&self, message: T, timeout: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        if let Some(time) = timeout {
            request.set_timeout(time);
        }
        request
    }

    /// Returns the deadline after `time`, or `None` if an `Instant` cannot represent it.
    pub fn after(&self, time: Duration) -> Option<Instant> {
        self.timers.now().checked_add(time)
    }

    pub fn is_past(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|end| self.timers.now() >= end)
    }
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
    last: Option<String>,
}

impl<'a> Outage<'a> {
    pub fn new(calls: &'a Calls, patience: Option<Duration>, deadline: Option<Instant>) -> Self {
        Self { calls, patience, deadline, failures: 0, began: calls.timers.now(), last: None }
    }

    /// Ends the outage, after a message of the gateway.
    pub fn over(&mut self) {
        self.failures = 0;
        self.last = None;
    }

    /// Sleeps until the next attempt. Returns the error at once if there is none.
    pub async fn endure(&mut self, error: Error) -> Result<(), Error> {
        let error = error.at(&self.calls.address, self.last.as_deref());
        if !may_repeat(&error) {
            return Err(error);
        }
        let timers = &self.calls.timers;
        let now = timers.now();
        if self.failures == 0 {
            self.began = now;
        }
        self.failures = self.failures.saturating_add(1);
        let delay = self.calls.retry.delay(self.failures, error.retry_delay(), timers.chance());
        let ends = [self.patience.and_then(|patience| self.began.checked_add(patience)), self.deadline];
        let Some(next) = now.checked_add(delay) else { return Err(error) };
        if ends.into_iter().flatten().any(|end| next >= end) {
            return Err(error);
        }
        self.last = Some(error.message().to_owned());
        (self.calls.on_retry)(&error, delay);
        timers.sleep(delay).await;
        Ok(())
    }
}
