//! What running needs: the clock, randomness, an HTTP client, the verification of passwords
//! and of signatures, signing, telemetry, metrics, audit, shutdown, and the word to who supervises the process.

pub mod audit;
pub mod clock;
pub mod entropy;
pub mod http_client;
pub mod metrics;
pub mod passwords;
pub mod service_manager;
pub mod shutdown;
pub mod signer;
pub mod telemetry;
pub mod verifier;
