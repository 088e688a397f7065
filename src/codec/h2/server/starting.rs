//! Streams that begin: what answers them gets a slot, and its first turn.

use std::future::Future;
use std::sync::Arc;

use super::body::RequestBody;
use super::side::Fresh;
use super::{Connection, RequestHead};
use crate::codec::h2::arriving::Arriving;
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::message::{Interim, Response};

impl<F, A> Connection<'_, F, A>
where
    F: Fn(Result<RequestHead, Error>, Body, Arc<dyn Interim>) -> A,
    A: Future<Output = Box<Response>>,
{
    /// Drops what is under way for streams that are gone.
    pub(super) fn drop_doomed(&mut self) {
        std::mem::swap(&mut self.doomed, &mut self.shared.state().doomed);
        for key in self.doomed.drain(..) {
            if let Some(slot) = self.slots.get(key) {
                slot.clear();
            }
        }
    }

    pub(super) fn start_fresh(&mut self) {
        let mut all = std::mem::take(&mut self.callers.fresh);
        for fresh in all.drain(..) {
            self.start(fresh);
        }
        self.callers.fresh = all;
    }

    fn start(&mut self, fresh: Fresh) {
        let Fresh {
            key,
            id,
            ends,
            read,
        } = fresh;
        let whole = {
            let mut state = self.shared.state();
            if state.get(key, id).is_none() {
                // Reset before it was looked at.
                return;
            }
            state.take_whole(key)
        };
        let body = match whole {
            Some(whole) if ends || !whole.is_empty() => Body::full(whole),
            // An end that comes behind the head goes on as such, though nothing lies between them: to servers of gRPC
            // a head that ends its stream is no call ("Requests" in gRPC over HTTP/2).
            here => {
                let limit = (!read.is_grpc).then_some(self.settings.body_timeout);
                let length = here.map_or(read.length, |_| Some(0));
                let arriving = Arriving::new(key, id, length);
                Body::stream(RequestBody::new(&self.shared, arriving, limit))
            }
        };
        let (slot, way) = self.slots.begin(&self.shared, key, id);
        slot.to_head = read.is_head;
        slot.answer((self.answer)(read.head, body, way));
        self.woken.push_back(key);
    }
}
