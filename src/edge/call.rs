//! A caller's request, once it is known who calls.

use std::sync::Arc;

use crate::{
    edge::{Gate, intake::Intake, limiter::Limiter},
    gate::{caller::Caller, denial::Denial},
};

/// A caller's request, read.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The gate.
    pub gate: &'a Arc<Gate>,
    /// The request.
    pub intake: &'a Arc<Intake>,
    /// Who calls.
    pub caller: &'a Arc<Caller>,
}

impl<'a> Call<'a> {
    /// How fast the caller may ask.
    ///
    /// # Errors
    /// [`Denial::Internal`] for a caller without one: each is given one at the start.
    pub(super) fn limiter(&self) -> Result<&'a Limiter, Denial> {
        self.gate
            .limiters
            .get(&self.caller.name)
            .ok_or_else(|| Denial::Internal(format!("caller {} has no limiter", self.caller.name)))
    }
}
