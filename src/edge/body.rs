//! The one body type of the edge, and how a body crosses the gate.
//!
//! Bodies stream: nothing here collects one. Trailers do not cross the gate, in either direction:
//! a field there would arrive after the identity headers were set, under any name it likes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body of any origin, of requests to an upstream and of answers to a client.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Passes a body on as it comes, without its trailers.
pub fn relay<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    Relay { body, progress: Progress::default() }.boxed_unsync()
}

/// As [`relay`], and counts in `progress` how often the body moved.
pub fn relay_counted<B>(body: B, progress: &Progress) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    Relay { body, progress: progress.clone() }.boxed_unsync()
}

/// How often a body has moved: tells a slow upload from a silent upstream.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Frames that went past so far, the end of the body among them.
    pub fn frames(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Relay<B> {
    body: B,
    progress: Progress,
}

impl<B> HttpBody for Relay<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.progress.0.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(match frame {
                Some(Ok(frame)) if !frame.is_data() => continue,
                Some(frame) => Some(frame.map_err(Into::into)),
                None => None,
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[tokio::test]
    async fn trailers_do_not_cross() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-oncegate-user", HeaderValue::from_static("mallory"));
        let forged = full("body").with_trailers(std::future::ready(Some(Ok(trailers))));
        let collected = relay(forged).collect().await.unwrap();
        assert_eq!(collected.trailers(), None);
        assert_eq!(collected.to_bytes(), "body");
    }

    #[tokio::test]
    async fn a_body_keeps_its_length_and_counts_its_frames() {
        let progress = Progress::default();
        let body = relay_counted(full("four"), &progress);
        assert_eq!(body.size_hint().exact(), Some(4));
        assert!(!body.is_end_stream() && relay(empty()).is_end_stream());
        assert_eq!(progress.frames(), 0);
        body.collect().await.unwrap();
        assert!(progress.frames() >= 1);
    }
}
