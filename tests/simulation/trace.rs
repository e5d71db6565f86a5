//! What happened in a run, in order: a hash of all of it, and the words where somebody reads them.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    time::Duration,
};

/// Lines kept for a reader.
const KEPT: usize = 1_000;

/// The course of one run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: Option<VecDeque<String>>,
}

impl Trace {
    /// A trace that keeps its last lines if somebody is to read them.
    pub fn new(kept: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: kept.then(VecDeque::new) }
    }

    /// Takes down what happened at `now`, in milliseconds.
    pub fn tell(&mut self, now: u64, what: fmt::Arguments<'_>) {
        let _ = write!(Hashed(&mut self.hash), "{now} {what}");
        if let Some(lines) = &mut self.lines {
            if lines.len() == KEPT {
                lines.pop_front();
            }
            let (minutes, seconds) = (now / 60_000 % 10_000, now % 60_000);
            lines.push_back(format!(
                "{minutes:>5}:{:06.3}  {what}",
                Duration::from_millis(seconds).as_secs_f64()
            ));
        }
    }

    /// The same for the same course, and for no other.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub fn lines(&self) -> String {
        self.lines.iter().flatten().fold(String::new(), |text, line| text + line + "\n")
    }
}

/// FNV-1a, over whatever is written.
struct Hashed<'a>(&'a mut u64);

impl fmt::Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.0 = (*self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
