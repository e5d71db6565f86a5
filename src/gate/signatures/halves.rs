//! Who is good of many, where a check of many tells only whether all are.
//!
//! What fails together is halved, each half checked together, and so on. That is soon done where
//! few are bad; where many are, it only adds to what each alone costs. So it ends when the checks
//! of many have cost as much as checking each alone would: then each is checked alone. Whatever
//! comes, none costs more than two checks of one.

use std::ops::Range;

/// Fewer than this are checked each alone: together would cost as much.
pub(crate) const FEW: usize = 3;

/// What a check costs, in microseconds where the benchmark was run; only their ratio counts.
pub(crate) const ALONE: usize = 24;
/// What a check of many costs, however many they are.
pub(crate) const EQUATION: usize = 26;
/// What each of them adds to it.
pub(crate) const EACH: usize = 5;
/// What each costs once before the first such check: its point is worked out.
pub(crate) const OPEN: usize = 4;

/// The two checks.
pub(crate) trait Checks {
    /// Whether this one is good.
    fn alone(&mut self, at: usize) -> bool;
    /// Whether all of these are. No verdict on any one, if not.
    fn together(&mut self, of: Range<usize>) -> bool;
}

/// Whether each of `number` is good; and whether any that were checked together were not all.
pub(crate) fn judge(number: usize, checks: &mut impl Checks) -> (Vec<bool>, bool) {
    let left = number * (ALONE - OPEN);
    let mut judging = Judging { checks, good: vec![false; number], left, split: false };
    judging.judge(0..number, false);
    (judging.good, judging.split)
}

struct Judging<'a, C> {
    checks: &'a mut C,
    good: Vec<bool>,
    /// What checks of many may still cost.
    left: usize,
    split: bool,
}

impl<C: Checks> Judging<'_, C> {
    /// Judges these, of which it may be known that not all are good. Says whether all are.
    fn judge(&mut self, of: Range<usize>, not_all: bool) -> bool {
        let cost = EQUATION + of.len() * EACH;
        if of.len() < FEW || (!not_all && cost > self.left) {
            return self.each(of);
        }
        if !not_all {
            self.left -= cost;
            if self.checks.together(of.clone()) {
                self.good.get_mut(of).into_iter().for_each(|all| all.fill(true));
                return true;
            }
            self.split = true;
        }
        let middle = of.start + of.len() / 2;
        let first = self.judge(of.start..middle, false);
        // Where not all are good but all of the first half, it is known of the second.
        let second = self.judge(middle..of.end, first);
        first && second
    }

    fn each(&mut self, of: Range<usize>) -> bool {
        of.fold(true, |all, at| {
            let good = self.checks.alone(at);
            if let Some(place) = self.good.get_mut(at) {
                *place = good;
            }
            all && good
        })
    }
}
