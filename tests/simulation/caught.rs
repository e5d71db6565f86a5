//! Each broken variant is caught: some seed has a world in which it admits a token twice.
//!
//! Which one is printed; `--nocapture` shows it.

use crate::{
    broken::Broken,
    run::{Pace, run, run_all},
    worlds::Kind,
};

/// Runs that a mistake may take to be noticed.
const PATIENCE: u64 = 20_000;

fn is_caught(kind: Kind, broken: Broken) {
    let sum = run_all(kind, 0..PATIENCE, Some(broken), Pace::TO_FIRST);
    // The earliest, whichever thread is the faster.
    let seed = sum.failed.first().copied().unwrap_or_else(|| panic!("{broken:?} was not noticed"));
    let violation = run(kind, seed, Some(broken), false).violation.unwrap();
    println!("{broken:?}: {kind:?}, seed {seed}: {violation}");
}

#[test]
fn a_token_of_a_lost_memory_taken_by_the_next_is_caught() {
    is_caught(Kind::Journal, Broken::NoMemory);
}

#[test]
fn looking_before_admitting_is_caught() {
    is_caught(Kind::Journal, Broken::LookedThenAdmitted);
}

#[test]
fn forgetting_the_oldest_when_full_is_caught() {
    is_caught(Kind::Journal, Broken::EvictsWhenFull);
}

#[test]
fn a_horizon_judged_before_the_lock_is_caught() {
    is_caught(Kind::Journal, Broken::HorizonOutsideTheLock);
}

#[test]
fn remembering_the_text_of_a_token_is_caught() {
    is_caught(Kind::Journal, Broken::KeyIsTheText);
}

#[test]
fn a_failed_write_taken_for_done_is_caught() {
    is_caught(Kind::Journal, Broken::FailedWriteIgnored);
}

#[test]
fn a_failed_sync_taken_for_done_is_caught() {
    is_caught(Kind::Journal, Broken::FailedSyncIgnored);
}

#[test]
fn an_answer_before_the_sync_is_caught() {
    is_caught(Kind::Journal, Broken::AnsweredBeforeTheSync);
}

#[test]
fn a_journal_without_a_manifest_is_caught() {
    is_caught(Kind::Journal, Broken::NoManifest);
}

#[test]
fn a_journal_without_checksums_is_caught() {
    is_caught(Kind::Journal, Broken::NoChecksum);
}

#[test]
fn a_loss_of_power_that_nobody_notices_is_caught() {
    is_caught(Kind::Journal, Broken::BootIgnored);
}

#[test]
fn two_owners_of_one_directory_is_caught() {
    is_caught(Kind::Journal, Broken::LockAlwaysGranted);
}

#[test]
fn a_shared_memory_without_a_guard_is_caught() {
    is_caught(Kind::Shared, Broken::NoGuard);
}

#[test]
fn a_guarding_script_loaded_for_whatever_is_found_is_caught() {
    is_caught(Kind::Shared, Broken::ScriptReloaded);
}

#[test]
fn a_guarding_script_that_stays_where_the_lead_was_lost_is_caught() {
    is_caught(Kind::Shared, Broken::ScriptNeverReloaded);
}

#[test]
fn attempts_that_cannot_be_told_apart_is_caught() {
    is_caught(Kind::Shared, Broken::AttemptConstant);
}

#[test]
fn uses_that_expire_with_their_tokens_is_caught() {
    is_caught(Kind::Shared, Broken::KeysExpireWithTheToken);
}

#[test]
fn an_eviction_that_nobody_notices_is_caught() {
    is_caught(Kind::Shared, Broken::EvictionUnnoticed);
}

#[test]
fn looking_and_recording_in_two_questions_is_caught() {
    is_caught(Kind::Shared, Broken::TwoSteps);
}

#[test]
fn a_use_recorded_where_the_token_arrives_is_caught() {
    is_caught(Kind::Pinned, Broken::SpentWhereItArrives);
}

#[test]
fn an_answer_that_is_bound_to_no_question_is_caught() {
    is_caught(Kind::Pinned, Broken::AnswerNotBound);
}
