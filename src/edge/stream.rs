//! The bytes of a connection, of which the first were looked at already.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::edge::places::Activity;

/// The most of the first bytes that are read in one step.
const AT_ONCE: usize = 4096;

/// A connection whose first bytes can be looked at before somebody reads them.
#[derive(Debug)]
pub(super) struct FirstBytes {
    seen: BytesMut,
    stream: TcpStream,
}

/// A connection in the clear or through TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(FirstBytes),
    Tls(Box<TlsStream<FirstBytes>>),
}

/// A connection with what lasts as long as it, upgraded or not.
#[derive(Debug)]
pub(super) struct Holding<H> {
    pub(super) stream: Stream,
    pub(super) activity: Arc<Activity>,
    pub(super) _held: H,
}

impl FirstBytes {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { seen: BytesMut::new(), stream }
    }

    /// What has come and was not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.seen
    }

    /// Waits for more.
    ///
    /// # Errors
    /// The connection is closed.
    pub(super) async fn more(&mut self) -> io::Result<()> {
        let Self { seen, stream } = self;
        poll_fn(|cx| {
            // The head of a request at once; who sends nothing takes no room for it.
            let mut room = [MaybeUninit::uninit(); AT_ONCE];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            seen.extend_from_slice(read.filled());
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Takes away what stands at the beginning.
    pub(super) fn consume(&mut self, length: usize) {
        self.seen.advance(length.min(self.seen.len()));
    }
}

impl AsyncRead for FirstBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.seen.len().min(buffer.remaining());
        buffer.put_slice(&self.seen.split_to(length));
        if self.seen.is_empty() {
            self.seen = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FirstBytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Does the same with either kind of stream.
macro_rules! either {
    ($holding:expr, $stream:ident => $done:expr) => {
        match &mut $holding.get_mut().stream {
            Stream::Plain(stream) => {
                let $stream = Pin::new(stream);
                $done
            }
            Stream::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $done
            }
        }
    };
}

impl<H: Unpin> AsyncRead for Holding<H> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl<H: Unpin> AsyncWrite for Holding<H> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = either!(self.as_mut(), stream => stream.poll_write(cx, bytes));
        self.activity.has_written(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = either!(self.as_mut(), stream => stream.poll_flush(cx));
        self.activity.has_written(written.is_ready());
        written
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = either!(self.as_mut(), stream => stream.poll_write_vectored(cx, slices));
        self.activity.has_written(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
