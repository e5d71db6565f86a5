//! The one body type of the edge, and how a body crosses the gate.
//!
//! Bodies stream: nothing here collects one, and nothing is read that the other end has no room
//! for. Of trailers only what [`Announced`] lets pass crosses: a field there arrives after the
//! identity headers were set.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::edge::{pools::Lease, trailers::Announced};

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

/// Passes a body on as it comes, and of its trailers what was `announced` and may cross.
pub fn relay<B>(body: B, announced: Announced) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    Relay { body, announced, upload: None, lease: None }.boxed_unsync()
}

/// As [`relay`], for the body of an answer; at its end the connection that it comes by is given
/// back. One that is not read to the end takes its connection with it.
pub(super) fn relay_answer(body: Incoming, announced: Announced, lease: Option<Lease>) -> Body {
    if body.is_end_stream() {
        if let Some(lease) = lease {
            lease.give_back();
        }
        return empty();
    }
    Relay { body, announced, upload: None, lease }.boxed_unsync()
}

/// As [`relay`], for the body of a request, whose `progress` is told. A body that does not move
/// for as long as `patience` breaks off, unless its answer has begun.
pub fn relay_upload<B>(
    body: B,
    announced: Announced,
    progress: &Progress,
    patience: Duration,
) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let upload = Upload { progress: progress.clone(), patience, waiting: None };
    Relay { body, announced, upload: Some(upload), lease: None }.boxed_unsync()
}

/// How far a request is: tells a slow upload from a silent upstream, and a stalled upload from a
/// conversation.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Moved>);

#[derive(Debug, Default)]
struct Moved {
    frames: AtomicU64,
    answered: AtomicBool,
}

impl Progress {
    /// Frames that went past so far, the end of the body among them.
    pub fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }

    /// The answer has begun: from here on the two ends know what they wait for.
    pub fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    fn moved(&self) {
        self.0.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }
}

/// A body did not move for as long as bodies may stand still.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body took too long")]
pub struct Stalled;

struct Relay<B> {
    body: B,
    announced: Announced,
    upload: Option<Upload>,
    lease: Option<Lease>,
}

/// A request's body on its way. The time runs only while the client is waited for: an upstream
/// that does not read keeps nobody's time.
struct Upload {
    progress: Progress,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    fn moved(&mut self) {
        self.waiting = None;
        self.progress.moved();
    }

    /// Ready when it stood still for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.progress.is_answered() {
            return Poll::Pending;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        if self.progress.is_answered() { Poll::Pending } else { Poll::Ready(()) }
    }
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
        let Self { body, announced, upload, lease } = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
            if let Some(upload) = upload {
                ready!(upload.poll_stalled(cx));
                return Poll::Ready(Some(Err(Stalled.into())));
            }
            return Poll::Pending;
        };
        if let Some(upload) = upload {
            upload.moved();
        }
        // Whoever knows the length need not ask whether there is more.
        let is_last = match &frame {
            None => true,
            Some(frame) => frame.is_ok() && body.is_end_stream(),
        };
        if is_last && let Some(lease) = lease.take() {
            lease.give_back();
        }
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        Poll::Ready(Some(Ok(match frame.into_trailers() {
            Ok(trailers) => Frame::trailers(announced.keep(trailers)),
            Err(data) => data,
        })))
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
    use http::{HeaderMap, HeaderValue, header::TRAILER};

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn trailers_cross_as_far_as_they_were_announced_and_may() {
        let (mut head, mut trailers) = (HeaderMap::new(), HeaderMap::new());
        head.insert(TRAILER, HeaderValue::from_static("x-oncegate-user, x-checksum"));
        trailers.insert("x-oncegate-user", HeaderValue::from_static("mallory"));
        trailers.insert("x-checksum", HeaderValue::from_static("17"));
        trailers.insert("x-unannounced", HeaderValue::from_static("1"));
        let forged = full("body").with_trailers(std::future::ready(Some(Ok(trailers))));
        let collected = relay(forged, Announced::of(&head, &[])).collect().await.unwrap();
        let names: Vec<_> = collected.trailers().unwrap().keys().collect();
        assert_eq!(names, ["x-checksum"]);
        assert_eq!(collected.to_bytes(), "body");
    }

    #[tokio::test]
    async fn a_body_keeps_its_length_and_counts_its_frames() {
        let progress = Progress::default();
        let body = relay_upload(full("four"), Announced::default(), &progress, LONG);
        assert_eq!(body.size_hint().exact(), Some(4));
        assert!(!body.is_end_stream() && relay(empty(), Announced::default()).is_end_stream());
        assert_eq!(progress.frames(), 0);
        body.collect().await.unwrap();
        assert!(progress.frames() >= 1);
    }

    /// Says nothing, ever.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stands_still_breaks_off_unless_it_was_answered() {
        let progress = Progress::default();
        let stalls = || relay_upload(Silent, Announced::default(), &progress, LONG).collect();
        let error = stalls().await.unwrap_err();
        assert!(error.is::<Stalled>());
        progress.answered();
        assert!(tokio::time::timeout(LONG * 2, stalls()).await.is_err());
    }
}
