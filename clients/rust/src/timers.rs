//! Time and chance as values, so that a test has hours pass without waiting for them.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

/// A clock that never goes back, a sleep, and a source of numbers from 0 to 1.
pub trait Timers: Send + Sync + 'static {
    /// What the time is.
    fn now(&self) -> Instant;
    /// Ready after so long.
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
    /// For the jitter of delays.
    fn chance(&self) -> f64;
}

/// The real ones.
pub(crate) struct TokioTimers;

impl Timers for TokioTimers {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }
}
