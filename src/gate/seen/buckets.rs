//! The buckets of a shard, by the time at which each has expired.

use std::collections::VecDeque;

use super::{BUCKET, bucket::Bucket};

/// Buckets in the order of their ends, which are whole multiples of [`BUCKET`].
///
/// Links that live some minutes leave no gap: a bucket stands where its distance from the first
/// says, and is only searched for where one is missing.
#[derive(Debug, Default)]
pub(super) struct Buckets(VecDeque<(u64, Bucket)>);

impl Buckets {
    /// The bucket that ends then.
    pub(super) fn get(&self, end: u64) -> Option<&Bucket> {
        let place = self.place(end).ok()?;
        self.0.get(place).map(|(_, bucket)| bucket)
    }

    /// The bucket that ends then, an empty one where there was none.
    pub(super) fn at(&mut self, end: u64) -> &mut Bucket {
        let place = self.place(end).unwrap_or_else(|place| {
            self.0.insert(place, (end, Bucket::default()));
            place
        });
        #[expect(clippy::indexing_slicing, reason = "it was found, or put, there")]
        &mut self.0[place].1
    }

    /// Takes out the first if it ends by `now`, and says when.
    pub(super) fn pop_ended(&mut self, now: u64) -> Option<(u64, Bucket)> {
        if self.0.front()?.0 <= now { self.0.pop_front() } else { None }
    }

    /// Where the bucket that ends then stands, or is to stand.
    fn place(&self, end: u64) -> Result<usize, usize> {
        let first = self.0.front().map_or(end, |(first, _)| *first);
        let expected = usize::try_from(end.saturating_sub(first) / BUCKET).unwrap_or(usize::MAX);
        match self.0.get(expected) {
            Some((found, _)) if *found == end => Ok(expected),
            _ => self.0.binary_search_by_key(&end, |(end, _)| *end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_whatever_is_missing_between() {
        let mut buckets = Buckets::default();
        let ends = [7, 3, 4, 5, 900, 1, 6, u64::MAX / BUCKET].map(|number| number * BUCKET);
        for (n, end) in ends.into_iter().enumerate() {
            assert!(buckets.get(end).is_none());
            buckets.at(end).insert(n as u64 + 1);
            for (n, end) in ends.into_iter().enumerate().take(n + 1) {
                assert!(buckets.get(end).unwrap().contains(n as u64 + 1));
                assert_eq!(buckets.at(end).len(), 1);
            }
        }
        let ended: Vec<_> = std::iter::from_fn(|| buckets.pop_ended(6 * BUCKET)).collect();
        assert_eq!(ended.iter().map(|(end, _)| end / BUCKET).collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
        assert!(ended.iter().all(|(_, bucket)| bucket.len() == 1));
        assert!(buckets.get(6 * BUCKET).is_none() && buckets.get(7 * BUCKET).is_some());
    }
}
