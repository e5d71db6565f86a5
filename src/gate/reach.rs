//! Where the use of a token can be recorded: which gates' memories are in reach from here.

use crate::gate::denial::Denial;

/// The memories in which this gate can have a use recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Each gate has its own, and a token names the gate.
    Pinned {
        /// This gate.
        own: String,
        /// The gates it can ask.
        peers: Vec<String>,
    },
    /// All gates share one, and a token names none.
    Shared,
}

impl Reach {
    /// The gate that a token issued here names.
    pub fn home(&self) -> Option<&str> {
        match self {
            Self::Pinned { own, .. } => Some(own),
            Self::Shared => None,
        }
    }

    /// Judges where a token says that its use is recorded.
    ///
    /// # Errors
    /// [`Denial::WrongGate`].
    pub fn judge(&self, gate: Option<&str>) -> Result<(), Denial> {
        let reached = match (self, gate) {
            (Self::Shared, None) => true,
            (Self::Pinned { own, peers }, Some(gate)) => {
                own == gate || peers.iter().any(|peer| peer == gate)
            }
            // A store that the other kind of gate lacks.
            _ => false,
        };
        reached.then_some(()).ok_or_else(|| Denial::WrongGate(gate.unwrap_or_default().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_spent_where_it_says_or_not_at_all() {
        let pinned = Reach::Pinned { own: "gate-a".to_owned(), peers: vec!["gate-b".to_owned()] };
        let wrong = |gate: &str| Err(Denial::WrongGate(gate.to_owned()));
        assert_eq!(pinned.home(), Some("gate-a"));
        assert_eq!([pinned.judge(Some("gate-a")), pinned.judge(Some("gate-b"))], [Ok(()), Ok(())]);
        assert_eq!(
            [pinned.judge(Some("gate-c")), pinned.judge(None)],
            [wrong("gate-c"), wrong("")]
        );
        assert_eq!(Reach::Shared.home(), None);
        assert_eq!(
            [Reach::Shared.judge(None), Reach::Shared.judge(Some("gate-a"))],
            [Ok(()), wrong("gate-a")]
        );
    }
}
