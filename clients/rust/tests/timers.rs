//! A clock that advances only when a test advances it, or while the client sleeps.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hfgateway_client::Timers;

#[derive(Clone)]
pub struct ManualTimers(Arc<Mutex<State>>);

struct State {
    now: Instant,
    slept: Vec<f64>,
    chance: f64,
}

impl ManualTimers {
    pub fn new(chance: f64) -> Self {
        Self(Arc::new(Mutex::new(State { now: Instant::now(), slept: Vec::new(), chance })))
    }

    pub fn advance(&self, seconds: f64) {
        self.0.lock().unwrap().now += Duration::from_secs_f64(seconds);
    }

    /// Returns the sleeps so far, in seconds.
    pub fn slept(&self) -> Vec<f64> {
        self.0.lock().unwrap().slept.clone()
    }
}

impl Timers for ManualTimers {
    fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut state = self.0.lock().unwrap();
        state.now += time;
        state.slept.push(time.as_secs_f64());
        Box::pin(std::future::ready(()))
    }

    fn chance(&self) -> f64 {
        self.0.lock().unwrap().chance
    }
}
