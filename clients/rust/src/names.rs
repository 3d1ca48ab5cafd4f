//! The short names of the enum values in the protos.

use std::borrow::Cow;

use crate::v1::{CharacterState, ErrorReason, Failure, Generation, GenerationState, SoulCharacter};

macro_rules! state_names {
    ($($message:ident: $state:ident $prefix:literal),*) => {$(
        impl $message {
            /// Returns the name of the state, such as "COMPLETED", or "STATE_17" for a state that is newer than this
            /// crate.
            pub fn state_name(&self) -> Cow<'static, str> {
                match $state::try_from(self.state) {
                    Ok(state) => short(state.as_str_name(), $prefix),
                    Err(_) => format!("STATE_{}", self.state).into(),
                }
            }
        }
    )*};
}
state_names!(Generation: GenerationState "GENERATION_STATE_", SoulCharacter: CharacterState "CHARACTER_STATE_");

impl Failure {
    /// Returns the name of the reason, such as "QUOTA_EXCEEDED": "" if there is none, and "REASON_99" for a reason that
    /// is newer than this crate.
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
