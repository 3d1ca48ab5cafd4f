//! The position of a watch of many generations, and the token with which a broken one resumes. Pure: it does no I/O.
//!
//! A resume token continues right after its message, also within the snapshot at the start of a watch.

use std::collections::HashMap;

use crate::v1::{Forecast, Generation, WatchGenerationsResponse};

/// An event of [`Client::watch_many`](crate::Client::watch_many), with its position.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// What happened.
    pub news: News,
    /// Resumes a later watch with the same filter after this event.
    ///
    /// Some preceding events may be repeated, but none is skipped. "" until the gateway has sent a token.
    pub resume_token: String,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// A generation at a new revision. A watch without a resume token begins with the current state of each generation.
    Changed(Box<Generation>),
    /// All earlier changes have been reported; new changes follow. Occurs once, and once more after each reset.
    CaughtUp,
    /// Changes are missing, including those of generations that have ended. Discard what you have, or read it again: a
    /// snapshot follows.
    Reset,
    /// The ids in the filter that do not exist.
    Missing(Vec<String>),
    /// Newer forecasts by generation id, for generations that are otherwise unchanged.
    Forecasts(HashMap<String, Forecast>),
}

/// Turns the messages of one watch, over all its streams, into events.
pub(crate) struct WatchCursor {
    /// The token with which to open the next stream.
    pub resume_token: String,
    sent_caught_up: bool,
    sent_missing: Vec<String>,
}

impl WatchCursor {
    pub fn new(resume_token: String) -> Self {
        Self { resume_token, sent_caught_up: false, sent_missing: Vec::new() }
    }

    /// Returns the events of a message. Only the last one carries the message's token: if an earlier one did, resuming
    /// from it would skip the rest.
    pub fn received(&mut self, message: WatchGenerationsResponse) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        if message.reset {
            *self = Self::new(String::new());
            events.push(self.event(News::Reset));
        }
        if !message.missing_ids.is_empty() && message.missing_ids != self.sent_missing {
            self.sent_missing.clone_from(&message.missing_ids);
            events.push(self.event(News::Missing(message.missing_ids)));
        }
        if let Some(generation) = message.generation {
            events.push(self.event(News::Changed(Box::new(generation))));
        }
        if !message.forecasts.is_empty() {
            events.push(self.event(News::Forecasts(message.forecasts)));
        }
        if message.caught_up && !self.sent_caught_up {
            self.sent_caught_up = true;
            events.push(self.event(News::CaughtUp));
        }
        if !message.resume_token.is_empty() {
            self.resume_token = message.resume_token;
            if let Some(last) = events.last_mut().filter(|last| !matches!(last.news, News::Missing(_) | News::Reset)) {
                last.resume_token.clone_from(&self.resume_token);
            }
        }
        events
    }

    fn event(&self, news: News) -> WatchEvent {
        WatchEvent { news, resume_token: self.resume_token.clone() }
    }
}
