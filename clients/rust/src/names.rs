//! The short names of the protos' enums, as errors and people use them.

use std::borrow::Cow;

use crate::v1::{CharacterState, ErrorReason, Failure, Generation, GenerationState, SoulCharacter};

impl Generation {
    /// "QUEUED", "COMPLETED" and so on; "STATE_17" for one that is newer than this crate.
    #[must_use]
    pub fn state_name(&self) -> Cow<'static, str> {
        match GenerationState::try_from(self.state) {
            Ok(state) => short(state.as_str_name(), "GENERATION_STATE_"),
            Err(_) => format!("STATE_{}", self.state).into(),
        }
    }
}

impl SoulCharacter {
    /// "IN_PROGRESS", "COMPLETED" and so on; "STATE_17" for one that is newer than this crate.
    #[must_use]
    pub fn state_name(&self) -> Cow<'static, str> {
        match CharacterState::try_from(self.state) {
            Ok(state) => short(state.as_str_name(), "CHARACTER_STATE_"),
            Err(_) => format!("STATE_{}", self.state).into(),
        }
    }
}

impl Failure {
    /// "QUOTA_EXCEEDED" and so on; "" where no reason is given, "REASON_99" for one that is newer than this crate.
    #[must_use]
    pub fn reason_name(&self) -> Cow<'static, str> {
        match ErrorReason::try_from(self.reason) {
            Ok(ErrorReason::Unspecified) => "".into(),
            Ok(reason) => short(reason.as_str_name(), "ERROR_REASON_"),
            Err(_) => format!("REASON_{}", self.reason).into(),
        }
    }
}

fn short(name: &'static str, prefix: &str) -> Cow<'static, str> {
    name.strip_prefix(prefix).unwrap_or(name).into()
}
