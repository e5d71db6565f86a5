//! What running needs: the clock, randomness, an HTTP client, the verification of passwords,
//! telemetry, metrics, audit, shutdown.

pub mod audit;
pub mod clock;
pub mod entropy;
pub mod http_client;
pub mod metrics;
pub mod passwords;
pub mod shutdown;
pub mod telemetry;
