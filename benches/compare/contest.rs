//! Sides that do the same, in turn, round after round; and what each of them took.

use std::time::Duration;

use crate::{
    load::{Answered, Load, run},
    machine::{Process, own_time},
};

/// One side of a contest.
pub(crate) struct Side<'a> {
    /// Whose processor time is counted.
    pub process: &'a Process,
    pub load: Load,
}

/// What one side did: the median of the rounds, each figure by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Good answers a second.
    pub rate: f64,
    /// Answers a second, good or not.
    pub all: f64,
    /// Bytes of bodies a second.
    pub bytes: f64,
    /// Microseconds in which half of the answers, or 99 of 100, were there.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of processor time that the server took for one good answer.
    pub cpu: f64,
    /// Which part of the time the server's core was at it.
    pub busy: f64,
    /// Microseconds of processor time that the load took for one answer.
    pub load: f64,
}

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// How many count; one more is for warming up.
    pub count: usize,
    pub time: Duration,
}

/// Lets all sides do their part in every round, another one first in each.
///
/// `requests` makes those of a round, one list a side: at most so many that are distinct. It is
/// asked between the rounds, which are over sooner where it gives too few.
pub(crate) fn contest(
    rounds: Rounds,
    sides: &[Side<'_>],
    mut requests: impl FnMut(usize) -> Vec<Vec<Vec<u8>>>,
) -> Vec<Figures> {
    let mut all = vec![Vec::new(); sides.len()];
    let mut fastest: f64 = 12_000.0;
    for round in 0..=rounds.count {
        let wanted = fastest * 1.3 * rounds.time.as_secs_f64();
        let requests = requests(wanted as usize + 64);
        assert_eq!(requests.len(), sides.len(), "requests for every side");
        for turn in 0..sides.len() {
            let n = (turn + round) % sides.len();
            let side = &sides[n];
            let (cpu, own) = (side.process.cpu(), own_time());
            let answered = run(&side.load, &requests[n]);
            let cpu = side.process.cpu().saturating_sub(cpu);
            let own = own_time().saturating_sub(own);
            assert!(answered.good > 0, "{}: no good answer", side.process.name);
            let figures = of(answered, cpu, own);
            if !side.load.repeat {
                fastest = fastest.max(figures.all);
            }
            all[n].push(figures);
        }
    }
    // The first round only warms up.
    all.iter().map(|rounds| median(rounds.get(1..).unwrap_or_default())).collect()
}

fn of(mut answered: Answered, cpu: Duration, own: Duration) -> Figures {
    answered.latencies.sort_unstable();
    let at = |part: f64| {
        let index = (answered.latencies.len() as f64 * part) as usize;
        let last = answered.latencies.len() - 1;
        f64::from(answered.latencies[index.min(last)]) / 1_000.0
    };
    let (took, good) = (answered.took.as_secs_f64(), answered.good as f64);
    Figures {
        rate: good / took,
        all: answered.latencies.len() as f64 / took,
        bytes: answered.body_bytes as f64 / took,
        p50: at(0.5),
        p99: at(0.99),
        cpu: cpu.as_secs_f64() * 1e6 / good,
        busy: cpu.as_secs_f64() / took,
        load: own.as_secs_f64() * 1e6 / answered.latencies.len() as f64,
    }
}

fn median(rounds: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| middle(rounds.iter().map(figure).collect());
    Figures {
        rate: of(|f| f.rate),
        all: of(|f| f.all),
        bytes: of(|f| f.bytes),
        p50: of(|f| f.p50),
        p99: of(|f| f.p99),
        cpu: of(|f| f.cpu),
        busy: of(|f| f.busy),
        load: of(|f| f.load),
    }
}

/// The median.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
