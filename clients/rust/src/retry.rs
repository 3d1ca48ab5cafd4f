//! When to retry a call, and after how long. Pure: the caller supplies the clock and sleeps.
//!
//! A call is retried unchanged, a submission with the same key, and only if the API guarantees that a retry has no second
//! effect. INTERNAL and UNKNOWN without a reason are retried as UNAVAILABLE: they are the errors of a stream that was cut
//! off.

use std::time::Duration;

use crate::{error::Error, kind::Kind};

/// When and for how long a client retries.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The delay before the first retry, if the error has no retry delay. It doubles with each consecutive failure, and
    /// is multiplied by a random factor of 0.5 to 1. Default: 200 ms.
    pub first_delay: Duration,
    /// The longest delay. Default: 10 s.
    pub max_delay: Duration,
    /// How long a unary call is retried. Default: `None`, until its deadline.
    pub repeat_calls_for: Option<Duration>,
    /// How long the gateway may be unavailable in a row before a watch ends with the last error. Default: 120 s.
    pub resume_watches_for: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(10),
            repeat_calls_for: None,
            resume_watches_for: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// Returns the delay before the next attempt: the one that the gateway asked for, or else an exponential one with
    /// jitter.
    ///
    /// `failures` counts consecutive failures, from 1. `chance` is a random number from 0 to 1.
    pub fn delay(&self, failures: u32, retry_delay: Option<Duration>, chance: f64) -> Duration {
        if let Some(asked) = retry_delay.filter(|asked| !asked.is_zero()) {
            return asked; // the gateway has added jitter already
        }
        let doubled = self.first_delay.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.max_delay).mul_f64(0.5 + chance / 2.0)
    }
}

/// Returns whether the call can be retried without a second effect, and may succeed then.
pub(crate) fn may_repeat(error: &Error) -> bool {
    matches!(error.kind(), Kind::GatewayOverloaded | Kind::SubmissionUnresolved)
        || (error.kind().broader() == Kind::Unavailable && !error.is_mistake())
}
