//! Frames that carry nothing of a message: how the connection and its streams are run.

use super::{CALM, Reading, Role};
use crate::codec::h2::frame::{self, ACK, Code, Fault, Head};
use crate::codec::h2::incoming::Cut;
use crate::codec::h2::shared::{Side, State};

impl Reading {
    pub(super) fn priority(&mut self, head: Head) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(Fault::protocol("PRIORITY of no stream"));
        }
        if head.length != 5 {
            return Err(Fault::Stream(
                Code::FRAME_SIZE_ERROR,
                "PRIORITY of a length that cannot be",
            ));
        }
        if frame::number(self.input.payload()) == Some(head.stream) {
            return Err(Fault::malformed("a stream that depends on itself"));
        }
        self.talk()
    }

    pub(super) fn rst_stream<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(Fault::protocol("RST_STREAM of no stream"));
        }
        let (4, Some(code)) = (head.length, frame::word(self.input.payload())) else {
            return Err(WRONG_SIZE);
        };
        let Some(key) = state.find(head.stream) else {
            self.talk()?;
            return role.unknown(head.stream, frame::RST_STREAM);
        };
        if role.takes_back_work(&state.at(key).side) && !self.resets.spend() {
            return Err(Fault::Connection(CALM.0, CALM.1));
        }
        role.cut(state, key, Cut::Reset(Code(code)));
        Ok(())
    }

    pub(super) fn settings<S: Side>(
        &mut self,
        head: Head,
        state: &mut State<S>,
    ) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("SETTINGS of a stream"));
        }
        if head.has(ACK) {
            return match head.length {
                0 => Ok(()),
                _ => Err(WRONG_SIZE),
            };
        }
        self.talk()?;
        let before = state.remote.initial_window;
        let first = !std::mem::replace(&mut state.settled, true);
        state.remote.update(self.input.payload(), first)?;
        state.encoder.set_max_size(state.remote.header_table_size);
        let grown = i64::from(state.remote.initial_window) - i64::from(before);
        if grown != 0 && !state.change_windows(grown) {
            return Err(WINDOW_TOO_LARGE);
        }
        frame::put(state.out.buffer(), frame::SETTINGS, ACK, 0, &[]);
        Ok(())
    }

    pub(super) fn ping<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("PING of a stream"));
        }
        if head.length != 8 {
            return Err(WRONG_SIZE);
        }
        if head.has(ACK) {
            role.pong();
            return Ok(());
        }
        self.talk()?;
        frame::put(
            state.out.buffer(),
            frame::PING,
            ACK,
            0,
            self.input.payload(),
        );
        Ok(())
    }

    pub(super) fn goaway<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("GOAWAY of a stream"));
        }
        let payload = self.input.payload();
        let (Some(last), Some(code)) = (
            frame::number(payload),
            payload.get(4..).and_then(frame::word),
        ) else {
            return Err(WRONG_SIZE);
        };
        role.goaway(state, last, Code(code));
        self.talk()
    }

    pub(super) fn window_update<R: Role>(
        &mut self,
        head: Head,
        state: &mut State<R::Side>,
        role: &mut R,
    ) -> Result<(), Fault> {
        let (4, Some(increment)) = (head.length, frame::number(self.input.payload())) else {
            return Err(WRONG_SIZE);
        };
        let sent = state.content_sent;
        if !self.granted.covers(head.stream, increment, sent) {
            self.talk()?;
        }
        if head.stream == 0 {
            if increment == 0 {
                return Err(Fault::protocol("a WINDOW_UPDATE of nothing"));
            }
            if !state.send_window.change(i64::from(increment)) {
                return Err(WINDOW_TOO_LARGE);
            }
            return Ok(());
        }
        let Some(key) = state.find(head.stream) else {
            return role.unknown(head.stream, frame::WINDOW_UPDATE);
        };
        if increment == 0 {
            return Err(Fault::malformed("a WINDOW_UPDATE of nothing"));
        }
        if !state.at(key).window.change(i64::from(increment)) {
            return Err(Fault::Stream(
                Code::FLOW_CONTROL_ERROR,
                "a window larger than can be",
            ));
        }
        state.unblocked.push(key);
        Ok(())
    }
}

const WRONG_SIZE: Fault =
    Fault::Connection(Code::FRAME_SIZE_ERROR, "a frame of a length that cannot be");
const WINDOW_TOO_LARGE: Fault =
    Fault::Connection(Code::FLOW_CONTROL_ERROR, "a window larger than can be");
