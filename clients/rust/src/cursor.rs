//! Where a watch of many generations stands, and what a broken one must send to go on. Pure: it does no I/O.
//!
//! The gateway's tokens resume without a gap right behind their message; only where a stream begins with the present, for
//! want of a token or after a reset, a token from before `caught_up` starts over. A stream that broke there is opened
//! without one; the generations that ended meanwhile would go missing in silence, so a reset is told first.

use std::collections::HashMap;

use crate::v1::{Forecast, Generation, WatchGenerationsResponse};

/// What a watch of many tells, with the place that it is at.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// What happened.
    pub news: News,
    /// Hand it to a later watch with the same filter, to go on from here. It may tell once more what was told just before
    /// it, and leaves nothing out. "" until there is one.
    pub resume_token: String,
}

/// One kind of news each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// A generation as it is now: at first its present state, then every change.
    Changed(Box<Generation>),
    /// All that had happened before has been told; what follows is new. Once, and once more after each reset.
    CaughtUp,
    /// Changes are missing: forget what you hold, or read it again. Everything is told anew from here.
    Reset,
    /// Of the ids asked for, those that do not exist.
    Missing(Vec<String>),
    /// Newer forecasts, by generation id, of generations that have not changed otherwise.
    Forecasts(HashMap<String, Forecast>),
}

/// Turns the messages of one watch, over all its streams, into events.
pub(crate) struct WatchCursor {
    /// The token to open the next stream with.
    pub resume_token: String,
    begins_with_the_present: bool,
    told_some_of_it: bool,
    told_caught_up: bool,
    told_missing: Vec<String>,
}

impl WatchCursor {
    pub fn new(resume_token: String) -> Self {
        Self {
            resume_token,
            begins_with_the_present: true,
            told_some_of_it: false,
            told_caught_up: false,
            told_missing: Vec::new(),
        }
    }

    /// What to tell before the first message of a stream.
    pub fn stream_opened(&mut self) -> Option<WatchEvent> {
        self.begins_with_the_present = self.resume_token.is_empty();
        (self.begins_with_the_present && self.told_some_of_it).then(|| self.reset())
    }

    /// What a message tells. The last event is the first to carry its token: the others would skip the rest.
    pub fn received(&mut self, message: WatchGenerationsResponse) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        if message.reset {
            self.resume_token.clear();
            self.begins_with_the_present = true;
            events.push(self.reset());
        }
        if !message.missing_ids.is_empty() && message.missing_ids != self.told_missing {
            self.told_missing.clone_from(&message.missing_ids);
            events.push(self.event(News::Missing(message.missing_ids)));
        }
        if let Some(generation) = message.generation {
            self.told_some_of_it = true;
            events.push(self.event(News::Changed(Box::new(generation))));
        }
        if !message.forecasts.is_empty() {
            events.push(self.event(News::Forecasts(message.forecasts)));
        }
        if message.caught_up && !self.told_caught_up {
            self.told_caught_up = true;
            events.push(self.event(News::CaughtUp));
        }
        if message.caught_up {
            self.begins_with_the_present = false;
        }
        if !self.begins_with_the_present && !message.resume_token.is_empty() {
            self.resume_token = message.resume_token;
            if let Some(last) = events.last_mut().filter(|last| !matches!(last.news, News::Missing(_))) {
                last.resume_token.clone_from(&self.resume_token);
            }
        }
        events
    }

    fn reset(&mut self) -> WatchEvent {
        self.told_some_of_it = false;
        self.told_caught_up = false;
        self.told_missing.clear();
        self.event(News::Reset)
    }

    fn event(&self, news: News) -> WatchEvent {
        WatchEvent { news, resume_token: self.resume_token.clone() }
    }
}
