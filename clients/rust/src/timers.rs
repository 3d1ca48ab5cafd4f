//! Clock, sleep and randomness, which tests replace so that hours pass without waiting.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

/// The clock, sleep and randomness of a client. By default those of tokio and of the system.
pub trait Timers: Send + Sync + 'static {
    /// Returns the time, on a monotonic clock.
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Returns a future that is ready after `time`.
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }

    /// Returns a random number from 0 to 1, for the jitter of delays.
    fn chance(&self) -> f64 {
        fastrand::f64()
    }
}

/// The default timers.
pub(crate) struct SystemTimers;

impl Timers for SystemTimers {}
