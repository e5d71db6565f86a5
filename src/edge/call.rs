//! A caller's request, once it is known who calls.

use std::sync::Arc;

use crate::{
    edge::{Gate, intake::Intake},
    gate::caller::Caller,
};

/// A caller's request, read.
#[derive(Debug)]
pub struct Call<'a> {
    /// The gate.
    pub gate: &'a Arc<Gate>,
    /// The request.
    pub intake: &'a Arc<Intake>,
    /// Who calls.
    pub caller: &'a Arc<Caller>,
}
