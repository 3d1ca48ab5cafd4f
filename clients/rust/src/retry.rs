//! When a call is made again, and how long to wait before it. Pure: who uses it brings the clock and the sleep.
//!
//! A call is repeated as it is, a submit with the same key, and only where the gateway's contract says that nothing is
//! done twice.

use std::time::Duration;

use crate::error::{Error, Kind};

/// How patient a client is.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Before the first repeat; doubled with each failure in a row.
    pub first_delay: Duration,
    /// It is doubled up to this.
    pub max_delay: Duration,
    /// No more repeats of a unary call after so long. `None`: until its deadline.
    pub repeat_calls_for: Option<Duration>,
    /// A watch ends with the last error when the gateway was away for so long.
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
    /// Before the next attempt: what the gateway asked for, else twice as long each time, with jitter.
    ///
    /// `failures` counts the attempts that failed in a row, from 1; `chance` is 0 to 1.
    #[must_use]
    pub fn delay(&self, failures: u32, retry_delay: Option<Duration>, chance: f64) -> Duration {
        if let Some(asked) = retry_delay.filter(|asked| !asked.is_zero()) {
            return asked; // the gateway has spread it already
        }
        let doubled = self.first_delay.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.max_delay).mul_f64(0.5 + chance / 2.0)
    }
}

/// Whether the same call may be made again without doing anything twice, and has a chance.
pub(crate) fn may_repeat(error: &Error) -> bool {
    matches!(error.kind(), Kind::GatewayOverloaded | Kind::SubmissionUnresolved)
        || error.kind().broader() == Kind::Unavailable
}
