//! Files as a journal would read them that did not check what it does check.

use std::collections::BTreeMap;

use oncegate::store::local::disk::FileFacts;
use serde_json::{Value, json};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Bytes of a segment's header, and of a record.
const HEADER: usize = 64;
const RECORD: usize = 32;

/// A segment whose records all have the checksum that belongs to what they say.
pub fn without_checksums(mut segment: Vec<u8>) -> Vec<u8> {
    if segment.len() < HEADER {
        return segment;
    }
    let (head, body) = segment.split_at_mut(HEADER);
    // Magic 8, version 4, size 8, number 8, memory 16.
    let (number, mem) = (head[20..28].to_vec(), head[28..44].to_vec());
    for (record, index) in body.chunks_exact_mut(RECORD).zip(0_u32..) {
        if record.iter().any(|byte| *byte != 0) {
            let said = &record[..RECORD - 5];
            let sum = xxh3_64(&[&mem, &number, &index.to_le_bytes()[..], said].concat());
            record[RECORD - 5..].copy_from_slice(&sum.to_le_bytes()[..5]);
        }
    }
    segment
}

/// A manifest that lists whatever segments there are, and takes itself for the original.
pub fn listing_what_is_there(
    manifest: &[u8],
    itself: FileFacts,
    there: &BTreeMap<String, FileFacts>,
) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(manifest).ok()?;
    let (title, rest) = text.split_once('\n')?;
    let (body, _) = rest.rsplit_once("\nxxh3 ")?;
    let mut body: Value = serde_json::from_str(body).ok()?;
    let segments = there.iter().filter_map(|(name, facts)| {
        let number: u64 = name.strip_prefix("segment-")?.parse().ok()?;
        Some(json!({
            "number": number, "size": facts.len, "identity": facts.identity, "records": 0,
        }))
    });
    body["segments"] = segments.collect();
    body["identity"] = json!(itself.identity);
    body["closed"] = json!(false);
    let text = format!("{title}\n{body}\n");
    Some(format!("{text}xxh3 {:032x}\n", xxh3_128(text.as_bytes())).into_bytes())
}
