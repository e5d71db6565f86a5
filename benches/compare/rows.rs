//! The rows of the table: who does what, against whom, and how much of it must be reached.

use crate::{
    contest::{Figures, Rounds, Side, contest, middle},
    floors::{Work, sign_in_a_loop},
    gate::Gate,
    load::{Good, Load},
    machine::Process,
    peers::nginx::{LARGE, SMALL},
    report::{Row, Unit},
    requests,
    stand::Stand,
};

const REDEEMED: Good = Good { status: 200, says: "\"user\":\"joe\"" };
const ADMITTED: Good = Good { status: 303, says: "set-cookie: " };
const PAGE: Good = Good { status: 200, says: "<form" };
const PLAIN: Good = Good { status: 200, says: "good" };
const SIGNED: Good = Good { status: 200, says: "" };
const ISSUED: Good = Good { status: 201, says: "\"token\":\"" };
const KNOWN: Good = Good { status: 200, says: "x-oncegate-user: joe" };
const SHOWN: Good = Good { status: 200, says: "" };

/// Measures one row, or several that belong together; none where who takes part is missing.
pub(crate) type Measure = fn(&Stand) -> Vec<Row>;

/// All rows, in the order of the table, each by the name that chooses it.
pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("redeem by API, 64 connections", redeem),
    ("redeem by API, one connection", redeem_one),
    ("redeem by browser form, new connections", form),
    ("a link's page, new connections", page),
    ("redeem under a flood of forged tokens", flood),
    ("redeem at half load, p99", half_load),
    ("issue, 64 connections", issue),
    ("issue in batches of 1,000", batch),
    ("forward auth", forward_auth),
    ("proxied GET, small body", small),
    ("proxied GET, 1 MiB", large),
    ("durability power against process", power),
    ("store redis against journal", shared),
    ("pinned, at another gate", pinned),
];

fn repeated(load: Load) -> Load {
    Load { repeat: true, ..load }
}

fn each(tokens: &[String], write: fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    tokens.iter().map(|token| write(token)).collect()
}

/// With everybody who can: the floor, and what a user would pick instead.
fn redeem(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Verify));
    let (envoy, node) = (stand.envoy(), stand.node());
    let mut sides = vec![
        Side { process: &gate.process, load: stand.load(gate.home.api, 64, REDEEMED) },
        Side { process: &floor.process, load: repeated(stand.load(floor.at, 64, PLAIN)) },
    ];
    if let Some(envoy) = envoy {
        let load = repeated(stand.load(envoy.at, 64, PLAIN));
        sides.push(Side { process: &envoy.process, load });
    }
    if let Some(node) = node {
        sides.push(Side { process: &node.process, load: stand.load(node.at, 64, REDEEMED) });
    }
    let figures = contest(stand.rounds, &sides, |count| {
        let tokens = gate.tokens(count);
        let mut requests = vec![each(&tokens, requests::redeem); 2];
        requests.extend(envoy.map(|_| each(&tokens, requests::bearer)));
        requests.extend(node.map(|_| each(&tokens, requests::redeem)));
        requests
    });
    let mut rest = figures.iter().skip(2);
    let mut rows = vec![
        Row::new("redeem by API, 64 connections", Unit::Rate, figures[0])
            .against(floor_of(Work::Verify), figures[1])
            .at_least(1.8),
    ];
    let mut other = |name: &str| {
        let row = Row::new("redeem by API, 64 connections", Unit::Rate, figures[0]);
        rows.push(row.against(name, *rest.next().unwrap()));
    };
    if envoy.is_some() {
        other("Envoy jwt_authn (knows no \"once\")");
    }
    if node.is_some() {
        other("Node + jose + Redis (on the load's core)");
    }
    rows
}

fn floor_of(work: Work) -> &'static str {
    work.name()
}

fn redeem_one(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Verify));
    let sides = [
        Side { process: &gate.process, load: stand.load(gate.home.api, 1, REDEEMED) },
        Side { process: &floor.process, load: repeated(stand.load(floor.at, 1, PLAIN)) },
    ];
    let figures =
        contest(stand.rounds, &sides, |count| vec![each(&gate.tokens(count), requests::redeem); 2]);
    vec![
        Row::new("redeem by API, one connection", Unit::Rate, figures[0])
            .against(floor_of(Work::Verify), figures[1])
            .at_least(0.85)
            .unsaturated(),
    ]
}

fn form(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Verify));
    let renewed = |load| Load { renew: true, ..load };
    let sides = [
        Side { process: &gate.process, load: renewed(stand.load(gate.home.public, 64, ADMITTED)) },
        Side { process: &floor.process, load: renewed(repeated(stand.load(floor.at, 64, PLAIN))) },
    ];
    let figures =
        contest(stand.rounds, &sides, |count| vec![each(&gate.tokens(count), requests::form); 2]);
    vec![
        Row::new("redeem by browser form, new connections", Unit::Rate, figures[0])
            .against(floor_of(Work::Verify), figures[1])
            .at_least(1.3),
    ]
}

/// What every link with a page costs besides: nothing is spent, and all is checked.
fn page(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Verify));
    let renewed = |to, good| Load { renew: true, ..repeated(stand.load(to, 64, good)) };
    let sides = [
        Side { process: &gate.process, load: renewed(gate.home.public, PAGE) },
        Side { process: &floor.process, load: renewed(floor.at, PLAIN) },
    ];
    let figures =
        contest(stand.rounds, &sides, |_| vec![each(&gate.tokens(100), requests::link); 2]);
    vec![
        Row::new("a link's page, new connections", Unit::Rate, figures[0])
            .against(floor_of(Work::Verify), figures[1]),
    ]
}

/// Nine of ten are forged: what a genuine one says, under the signature of another.
fn flood(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Verify));
    let mixed = |load| Load { refused: Some(403), ..load };
    let sides = [
        Side { process: &gate.process, load: mixed(stand.load(gate.home.api, 64, REDEEMED)) },
        Side { process: &floor.process, load: mixed(repeated(stand.load(floor.at, 64, PLAIN))) },
    ];
    let figures = contest(stand.rounds, &sides, |count| {
        let tokens = gate.tokens(count);
        let signature = |token: &str| token.rfind('.').unwrap();
        let arrive: Vec<String> = tokens
            .iter()
            .enumerate()
            .map(|(n, token)| {
                if n * 7 % 10 == 0 {
                    return token.clone();
                }
                let other = &tokens[(n + 1) % tokens.len()];
                format!("{}{}", &token[..signature(token)], &other[signature(other)..])
            })
            .collect();
        vec![each(&arrive, requests::redeem); 2]
    });
    vec![
        Row::new("redeem while 9 of 10 are forged: the good ones", Unit::Rate, figures[0])
            .against(floor_of(Work::Verify), figures[1])
            .at_least(0.9),
    ]
}

/// At half of what the gate can do here, arriving by chance, timed from when each was due.
fn half_load(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Verify));
    let gates = || stand.load(gate.home.api, 64, REDEEMED);
    let floors = || repeated(stand.load(floor.at, 64, PLAIN));
    let requests = |count: usize| vec![each(&gate.tokens(count), requests::redeem); 2];
    let sides = [
        Side { process: &gate.process, load: gates() },
        Side { process: &floor.process, load: floors() },
    ];
    let few = Rounds { count: stand.rounds.count.min(3), ..stand.rounds };
    let most = contest(few, &sides, requests);
    let rows = [
        ("half of the gate's most", most[0].rate / 2.0, true),
        ("half of the floor's most", most[1].rate / 2.0, false),
    ];
    rows.into_iter()
        .map(|(what, rate, judged)| {
            let paced = |load| Load { rate: Some(rate), time: stand.time() * 2, ..load };
            let sides = [
                Side { process: &gate.process, load: paced(gates()) },
                Side { process: &floor.process, load: paced(floors()) },
            ];
            let figures = contest(stand.rounds_of(2), &sides, requests);
            let what = format!("p99 of redeem at {what}, {rate:.0}/s by chance");
            let row = Row::new(&what, Unit::P99, figures[0])
                .against(floor_of(Work::Verify), figures[1])
                .unsaturated();
            if judged { row.at_most(1.5) } else { row }
        })
        .collect()
}

fn issue(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Sign));
    let sides = [
        Side { process: &gate.process, load: repeated(stand.load(gate.home.api, 64, ISSUED)) },
        Side { process: &floor.process, load: repeated(stand.load(floor.at, 64, SIGNED)) },
    ];
    let figures = contest(stand.rounds, &sides, |_| vec![vec![requests::issue()]; 2]);
    vec![
        Row::new("issue, 64 connections", Unit::Rate, figures[0])
            .against(floor_of(Work::Sign), figures[1])
            .at_least(0.85),
    ]
}

fn batch(stand: &Stand) -> Vec<Row> {
    let gate = stand.gate();
    let message = stand.message();
    let good = Good { status: 200, says: "\"token\":\"" };
    let load = repeated(stand.load(gate.home.api, 4, good));
    let sides = [Side { process: &gate.process, load }];
    let (mut rates, mut cpus) = (Vec::new(), Vec::new());
    let figures = contest(stand.rounds, &sides, |_| {
        let (count, took, own) = sign_in_a_loop(stand.cores, &message, stand.time());
        rates.push(count as f64 / took.as_secs_f64());
        cpus.push(own.as_secs_f64() * 1e6 / count as f64);
        vec![vec![requests::batch(1_000)]]
    });
    let ours = Figures {
        rate: figures[0].rate * 1_000.0,
        cpu: figures[0].cpu / 1_000.0,
        load: figures[0].load / 1_000.0,
        ..figures[0]
    };
    let bare = Figures { rate: middle(rates), cpu: middle(cpus), busy: 1.0, ..Figures::default() };
    vec![
        Row::new("issue in batches of 1,000, 4 connections: links", Unit::Rate, ours)
            .against("bare sign in a loop", bare)
            .at_least(0.9),
    ]
}

fn forward_auth(stand: &Stand) -> Vec<Row> {
    let (gate, floor) = (stand.gate(), stand.floor(Work::Nothing));
    let sides = [
        Side { process: &gate.process, load: repeated(stand.load(gate.home.public, 64, KNOWN)) },
        Side { process: &floor.process, load: repeated(stand.load(floor.at, 64, PLAIN)) },
    ];
    let request = requests::forward_auth(&gate.cookie());
    let figures = contest(stand.rounds, &sides, |_| vec![vec![request.clone()]; 2]);
    vec![
        Row::new("forward auth, signed-in user", Unit::Rate, figures[0])
            .against(floor_of(Work::Nothing), figures[1])
            .at_least(0.6),
    ]
}

fn small(stand: &Stand) -> Vec<Row> {
    proxied(stand, SMALL, 64, Unit::Rate, "proxied GET, small body, signed-in user")
}

fn large(stand: &Stand) -> Vec<Row> {
    proxied(stand, LARGE, 8, Unit::Bytes, "proxied GET of 1 MiB, 8 connections")
}

/// Against nginx, and against what hyper makes of it, which is not the gate's to change.
fn proxied(stand: &Stand, path: &str, connections: usize, unit: Unit, what: &str) -> Vec<Row> {
    let Some(nginx) = stand.nginx() else { return Vec::new() };
    let (gate, floor) = (stand.gate(), stand.floor(Work::PassOn));
    let load = |to| repeated(stand.load(to, connections, SHOWN));
    let sides = [
        Side { process: &gate.process, load: load(gate.home.public) },
        Side { process: &nginx.process, load: load(nginx.at) },
        Side { process: &floor.process, load: load(floor.at) },
    ];
    let request = requests::page(path, &gate.cookie());
    let figures = contest(stand.rounds, &sides, |_| vec![vec![request.clone()]; 3]);
    let row = || Row::new(what, unit, figures[0]);
    vec![
        row().against("nginx proxy_pass", figures[1]).at_least(0.8),
        row().against(floor_of(Work::PassOn), figures[2]),
    ]
}

/// What every redemption costs that waits for the disk; and that 64 wait for it together.
fn power(stand: &Stand) -> Vec<Row> {
    let (process, power) = (stand.gate(), stand.durable());
    let of = |connections| {
        let sides = [
            Side {
                process: &power.process,
                load: stand.load(power.home.api, connections, REDEEMED),
            },
            Side {
                process: &process.process,
                load: stand.load(process.home.api, connections, REDEEMED),
            },
        ];
        contest(stand.rounds, &sides, |count| {
            [power, process].map(|gate| each(&gate.tokens(count), requests::redeem)).into()
        })
    };
    let (many, one) = (of(64), of(1));
    let row = |what: &str, ours| Row::new(what, Unit::Rate, ours).among_ourselves();
    vec![
        row("durability = power, 64 connections", many[0])
            .against("durability = process, 64 connections", many[1]),
        row("durability = power, one connection", one[0])
            .against("durability = process, one connection", one[1]),
        row("durability = power, 64 connections: one sync for many", many[0])
            .against("durability = power, one connection", one[0]),
    ]
}

fn shared(stand: &Stand) -> Vec<Row> {
    let (Some(gate), Some(redis)) = (stand.shared(), stand.redis()) else { return Vec::new() };
    elsewhere(
        stand,
        "store = redis (on the load's core), 64 connections",
        (gate, gate),
        (&redis.process, "Redis, of the same load"),
        "store = journal",
    )
}

fn pinned(stand: &Stand) -> Vec<Row> {
    let [first, second] = stand.pinned();
    elsewhere(
        stand,
        "pinned: another gate's links (it is on the load's core), 64 connections",
        (first, second),
        (&second.process, "that other gate, of the same load"),
        "its own links",
    )
}

/// A gate that `asks` where a use is recorded: what it takes, what whom it asks takes of the same
/// load, and what one takes that keeps its own. Links are issued by another, or the same.
fn elsewhere(
    stand: &Stand,
    what: &str,
    (asks, issues): (&Gate, &Gate),
    (asked, whom): (&Process, &str),
    own: &str,
) -> Vec<Row> {
    let journal = stand.gate();
    let load = |gate: &Gate| stand.load(gate.home.api, 64, REDEEMED);
    let sides = [
        Side { process: &asks.process, load: load(asks) },
        Side { process: asked, load: load(asks) },
        Side { process: &journal.process, load: load(journal) },
    ];
    let figures = contest(stand.rounds, &sides, |count| {
        [issues, issues, journal].map(|gate| each(&gate.tokens(count), requests::redeem)).into()
    });
    let row = || Row::new(what, Unit::Rate, figures[0]).among_ourselves();
    vec![row().against(whom, figures[1]), row().against(own, figures[2])]
}
