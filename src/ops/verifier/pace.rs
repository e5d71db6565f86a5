//! How many signatures are checked together: fewer while some are forged.
//!
//! A crowd with a forged signature in it is checked again in smaller numbers, so a flood of
//! forgeries would make crowds dearer than each alone. Therefore the limit is halved whenever a
//! crowd fails, and falls to one, where each costs exactly one plain check, if most of it were
//! forged. It is doubled whenever as many in a row were good as a full crowd has, which under a
//! flood hardly happens.

/// The most signatures that are checked together.
pub const MOST: usize = 64;
/// The least that is worth it.
const LEAST: usize = 4;
/// So many good ones in a row double the limit.
const RUN: usize = 64;

/// The limit now.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    /// Good ones in a row since it changed.
    run: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { limit: MOST, run: 0 }
    }
}

impl Pace {
    /// How many may be checked together, 1 to [`MOST`].
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Learns from a check of `number` signatures, of which so many were good: in the end each
    /// alone if it was split.
    pub(super) fn checked(&mut self, number: usize, good: usize, split: bool) {
        self.run = if good == number { self.run + number } else { 0 };
        if split {
            let few_left = self.limit <= LEAST || good < number - good;
            self.limit = if few_left { 1 } else { self.limit / 2 };
        } else if self.run >= RUN {
            self.limit = (self.limit * 2).clamp(LEAST, MOST);
            self.run = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, ops::Range};

    use super::*;
    use crate::gate::signatures::halves::{self, ALONE, Checks, EACH, EQUATION, FEW, OPEN};

    /// Which of a crowd are forged, and what its checks cost.
    struct Counted<'a> {
        forged: &'a [bool],
        cost: usize,
    }

    impl Checks for Counted<'_> {
        fn alone(&mut self, at: usize) -> bool {
            self.cost += ALONE;
            !self.forged[at]
        }
        fn together(&mut self, of: Range<usize>) -> bool {
            self.cost += EQUATION + of.len() * EACH;
            !self.forged[of].contains(&true)
        }
    }

    #[derive(Debug, Default)]
    struct Found {
        /// What all checks cost, against each alone.
        cost: f64,
        /// The limit at the end.
        limit: usize,
    }

    /// Serves arrivals of which as many wait as are told, or fewer at the end.
    fn serve(arrivals: impl IntoIterator<Item = bool>, waiting: usize) -> Found {
        let (mut pace, mut cost, mut number) = (Pace::default(), 0, 0);
        let mut arrivals = arrivals.into_iter();
        let mut line = VecDeque::new();
        loop {
            line.extend(arrivals.by_ref().take(waiting - line.len()));
            if line.is_empty() {
                break;
            }
            let crowd: Vec<bool> = line.drain(..pace.limit().min(line.len())).collect();
            let opened = if crowd.len() < FEW { 0 } else { OPEN * crowd.len() };
            let mut counted = Counted { forged: &crowd, cost: opened };
            let (good, split) = halves::judge(crowd.len(), &mut counted);
            assert!(good.iter().zip(&crowd).all(|(good, forged)| good != forged));
            assert!(counted.cost <= 2 * ALONE * crowd.len(), "{crowd:?}");
            pace.checked(crowd.len(), good.iter().filter(|good| **good).count(), split);
            cost += counted.cost;
            number += crowd.len();
        }
        Found {
            cost: f64::from(cost as u32) / f64::from((ALONE * number) as u32),
            limit: pace.limit,
        }
    }

    /// Numbers that look random, the same each time.
    fn random() -> impl FnMut() -> u32 {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u32
        }
    }

    /// As many arrivals, of which so many in a thousand are forged.
    fn steady(per_mille: u32, number: usize) -> impl Iterator<Item = bool> {
        let mut random = random();
        (0..number).map(move |_| random() % 1000 < per_mille)
    }

    #[test]
    fn a_flood_of_forgeries_takes_less_than_a_tenth_from_what_plain_checks_leave() {
        let mut seen = 0;
        for per_mille in [1000, 990, 900, 700, 500, 300, 200, 150, 100, 70, 50, 30, 20, 10, 5, 1, 0]
        {
            for waiting in [3, 8, 64] {
                let found = serve(steady(per_mille, 20_000), waiting);
                assert!(found.cost <= 1.0 / 0.9, "{per_mille} of 1000, {waiting}: {found:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, 17 * 3);
    }

    #[test]
    fn whatever_rhythm_a_flood_has_it_takes_less_than_a_tenth() {
        let mut worst = 0.0_f64;
        for good in [1, 2, 3, 7, 15, 31, 63, 64, 65, 100, 127, 128, 200, 400, 1_000] {
            for bad in [1, 2, 4, 10, 64, 1_000] {
                for waiting in [4, 16, 64] {
                    let rhythm = (0..good + bad).map(|at| at >= good).collect::<Vec<_>>();
                    let found = serve(rhythm.into_iter().cycle().take(10_000), waiting);
                    assert!(
                        found.cost <= 1.0 / 0.9,
                        "{good} good, {bad} forged, {waiting}: {found:?}"
                    );
                    worst = worst.max(found.cost);
                }
            }
        }
        assert!(worst > 1.0, "{worst}");
    }

    #[test]
    fn after_a_flood_full_crowds_return() {
        let flood = steady(900, 10_000);
        assert_eq!(serve(flood, 64).limit, 1);
        let after = steady(900, 10_000).chain(std::iter::repeat_n(false, 6 * RUN));
        assert_eq!(serve(after, 64).limit, MOST);
    }

    #[test]
    fn crowds_without_forgeries_cost_a_third() {
        let found = serve(steady(0, 64 * 100), 64);
        assert_eq!(found.limit, MOST);
        assert!(found.cost < 0.4, "{found:?}");
    }
}
