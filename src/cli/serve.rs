//! `oncegate serve`: runs the gate until a signal ends it.

use std::{num::NonZero, pin::pin, thread::available_parallelism};

use clap::Args;
use tokio::runtime::Builder;

use crate::{
    app::{self, HandedOver, Listeners},
    cli::{configuration::ConfigArgs, failure::Failure},
    config::{Config, Durability},
    ops::{clock::Clock, service_manager, shutdown, telemetry},
};

/// What `--help` says at its end.
const AFTER: &str = "\
Listens on listen.public (links, pages, sites), listen.api (the API) and listen.admin (health,
metrics). Logs go to standard error: text on a terminal, JSON otherwise; ONCEGATE_LOG filters
them, e.g. ONCEGATE_LOG=info,oncegate::edge=debug. SIGTERM or SIGINT ends it in order.

Takes sockets that systemd hands over, by FileDescriptorName=public, api and admin, or in that
order where none has a name; binds the others itself. Tells Type=notify when it is ready.

Examples:
  oncegate keys new && oncegate serve
  ONCEGATE_LISTEN__PUBLIC=0.0.0.0:8443 oncegate serve --config /etc/oncegate/oncegate.toml

Exit codes: 0 ended by a signal, 1 cannot start, 64 bad usage or configuration";

/// Runs the gate
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the gate until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] if it does not start.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = args.config.load()?;
    telemetry::init(std::env::var(telemetry::FILTER).ok().as_deref());
    // Before there are threads: it takes variables out of the environment.
    let handed_over = HandedOver::take()?;
    let runtime = super::started(threads(config.once.durability))?;
    let ended = runtime.block_on(serve(config, handed_over));
    // A start that still waits for the state's lock would be waited for here.
    runtime.shutdown_background();
    ended
}

/// One thread a processor. Where there is one, no thread hands tasks to another, and none is paid
/// for that: a proxied request takes 7 % less. Whoever waits for a disk holds up all there, as a
/// journal's new segment does; so not where that is what a record waits for.
fn threads(durability: Durability) -> Builder {
    match available_parallelism() {
        Ok(NonZero::<usize>::MIN) if durability == Durability::Process => {
            Builder::new_current_thread()
        }
        _ => Builder::new_multi_thread(),
    }
}

async fn serve(config: Config, handed_over: HandedOver) -> Result<(), Failure> {
    let listeners = Listeners::taking(handed_over, &config)?;
    let mut signal = pin!(shutdown::signal());
    let running = tokio::select! {
        // First, so that it is listened for before anything takes its time.
        biased;
        heard = &mut signal => return heard.map_err(deaf),
        started = app::start(config, Clock::default(), listeners) => started?,
    };
    service_manager::ready();
    let heard = signal.await.map_err(deaf);
    service_manager::stopping();
    running.stop().await;
    heard
}

fn deaf(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot listen for signals: {error}"))
}
