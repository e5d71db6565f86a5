//! The body of an answer, which is under way until the client has it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::edge::{
    body::{Body, BodyError},
    places::{UnderWay, Waiting},
};

/// A body whose request is under way until the last piece of it is on its way to the client.
pub(super) struct Answering {
    body: Body,
    under_way: Arc<UnderWay>,
}

/// A piece of it. Whoever sends it may keep it for as long as the client gives no room.
pub(super) struct Piece {
    bytes: Bytes,
    waiting: Waiting,
}

impl Answering {
    pub(super) fn new(body: Body, under_way: Arc<UnderWay>) -> Self {
        Self { body, under_way }
    }
}

impl HttpBody for Answering {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let piece = |bytes| Piece { bytes, waiting: Waiting::of(&self.under_way) };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.waiting.moves();
        self.bytes.advance(count);
    }
}
