//! Header blocks: HEADERS, and the CONTINUATION frames that may follow.

use super::{IDLE_TALK_PER_MESSAGE, Reading, Role};
use crate::codec::h2::frame::{self, Code, END_HEADERS, END_STREAM, Fault, HAS_PRIORITY, Head};
use crate::codec::h2::shared::State;

/// A header block may be so many times as large as what is allowed of it, to be answered with 431. What is larger
/// still is no mistake (CVE-2024-27316 and its kin).
const BLOCK_FACTOR: usize = 4;
/// CONTINUATION frames of one block.
const MAX_CONTINUATIONS: u32 = 64;

/// A header block whose end has not come.
pub(super) struct Unfinished {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
    frames: u32,
}

impl Reading {
    pub(super) fn headers<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(Fault::protocol("HEADERS of no stream"));
        }
        let payload = self.input.payload();
        let mut content = frame::unpadded(head, payload)?;
        if head.has(HAS_PRIORITY) {
            // RFC 9113, section 5.3.2: what it says is out of use, but it must be sound.
            let dependency = frame::number(&payload[content.clone()]);
            if content.len() < 5 {
                return Err(Fault::protocol("HEADERS too short for its priority"));
            }
            if dependency == Some(head.stream) {
                return Err(Fault::protocol("a stream that depends on itself"));
            }
            content.start += 5;
        }
        self.idle_talk.earn(IDLE_TALK_PER_MESSAGE);
        let ends = head.has(END_STREAM);
        if head.has(END_HEADERS) {
            self.block.clear(self.max_list);
            self.decoder
                .decode(&payload[content], &mut self.block)
                .map_err(|_| UNREADABLE)?;
            return self.whole_block(head.stream, ends, state, role);
        }
        self.unfinished = Some(Unfinished {
            stream: head.stream,
            ends,
            bytes: payload[content].to_vec(),
            frames: 0,
        });
        Ok(())
    }

    pub(super) fn continuation<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        let Some(unfinished) = &mut self.unfinished else {
            return Err(Fault::protocol("CONTINUATION of no header block"));
        };
        if unfinished.stream != head.stream {
            return Err(Fault::protocol("CONTINUATION of another stream"));
        }
        unfinished.bytes.extend_from_slice(self.input.payload());
        unfinished.frames += 1;
        if unfinished.bytes.len() > self.max_list.saturating_mul(BLOCK_FACTOR)
            || unfinished.frames > MAX_CONTINUATIONS
        {
            return Err(FAR_TOO_LARGE);
        }
        if !head.has(END_HEADERS) {
            return Ok(());
        }
        let Some(whole) = self.unfinished.take() else {
            return Ok(());
        };
        self.block.clear(self.max_list);
        self.decoder
            .decode(&whole.bytes, &mut self.block)
            .map_err(|_| UNREADABLE)?;
        self.whole_block(whole.stream, whole.ends, state, role)
    }

    fn whole_block<R: Role>(
        &mut self,
        stream: u32,
        ends: bool,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        role.headers(state, stream, ends, &mut self.block)?;
        if ends && let Some(key) = state.find(stream) {
            role.received(state, key);
        }
        Ok(())
    }
}

pub const FAR_TOO_LARGE: Fault = Fault::Connection(
    Code::ENHANCE_YOUR_CALM,
    "a header block far beyond what is allowed",
);
pub const UNREADABLE: Fault = Fault::Connection(
    Code::COMPRESSION_ERROR,
    "a header block that cannot be decoded",
);
