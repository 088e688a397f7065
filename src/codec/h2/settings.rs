//! What the two sides tell each other of themselves (RFC 9113, section 6.5).

use super::flow;
use super::frame::{self, Code, Fault, MAX_31, MAX_PAYLOAD};
use super::hpack::TABLE_SIZE;

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// Streams at once that a server is trusted with before it has told.
const STREAMS_AT_FIRST: u32 = 100;

/// What the peer has told, or the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    pub header_table_size: usize,
    pub max_concurrent_streams: u32,
    pub initial_window: u32,
    pub max_payload: usize,
}

impl Default for Remote {
    fn default() -> Self {
        Remote {
            header_table_size: TABLE_SIZE,
            max_concurrent_streams: STREAMS_AT_FIRST,
            initial_window: flow::INITIAL,
            max_payload: MAX_PAYLOAD,
        }
    }
}

impl Remote {
    /// Takes over what a SETTINGS frame says. `first`: what it does not say has its default, and no limit of
    /// streams is none.
    ///
    /// # Errors
    /// A value that may not be.
    pub fn update(&mut self, payload: &[u8], first: bool) -> Result<(), Fault> {
        if first {
            self.max_concurrent_streams = u32::MAX;
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Fault::Connection(
                Code::FRAME_SIZE_ERROR,
                "SETTINGS of a length that cannot be",
            ));
        }
        for setting in settings {
            let [a, b, value @ ..] = *setting;
            let value = u32::from_be_bytes(value);
            match u16::from_be_bytes([a, b]) {
                HEADER_TABLE_SIZE => self.header_table_size = value as usize,
                ENABLE_PUSH if value > 1 => {
                    return Err(Fault::protocol("ENABLE_PUSH is neither 0 nor 1"));
                }
                MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                INITIAL_WINDOW_SIZE if value > MAX_31 => {
                    return Err(Fault::Connection(
                        Code::FLOW_CONTROL_ERROR,
                        "an INITIAL_WINDOW_SIZE that cannot be",
                    ));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                    return Err(Fault::protocol("a MAX_FRAME_SIZE that cannot be"));
                }
                // Larger frames than the least would let one stream hold up the others for longer.
                MAX_FRAME_SIZE => {}
                _ => {}
            }
        }
        Ok(())
    }
}

/// Our settings.
pub struct Local {
    /// A server's; none for a client, which takes no pushes instead.
    pub max_concurrent_streams: Option<u32>,
    pub initial_window: u32,
    pub max_header_list: u32,
    /// The window of the connection.
    pub connection_window: u32,
}

impl Local {
    /// Writes them, and the update of the connection's window, which is no setting.
    pub fn put(&self, out: &mut Vec<u8>) {
        let first = match self.max_concurrent_streams {
            Some(limit) => (MAX_CONCURRENT_STREAMS, limit),
            None => (ENABLE_PUSH, 0),
        };
        let settings = [
            first,
            (INITIAL_WINDOW_SIZE, self.initial_window),
            (MAX_HEADER_LIST_SIZE, self.max_header_list),
        ];
        frame::put_head(out, frame::SETTINGS, 0, 0, settings.len() * 6);
        for (key, value) in settings {
            out.extend_from_slice(&key.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        frame::put_window_update(out, 0, self.connection_window - flow::INITIAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: u16, value: u32) -> Vec<u8> {
        [&key.to_be_bytes()[..], &value.to_be_bytes()].concat()
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let update = |key, value| Remote::default().update(&setting(key, value), true);
        for (key, value) in [
            (ENABLE_PUSH, 2),
            (MAX_FRAME_SIZE, 100),
            (MAX_FRAME_SIZE, 1 << 24),
        ] {
            let fault = update(key, value).unwrap_err();
            assert!(matches!(fault, Fault::Connection(Code::PROTOCOL_ERROR, _)));
        }
        let fault = update(INITIAL_WINDOW_SIZE, 1 << 31).unwrap_err();
        assert!(matches!(
            fault,
            Fault::Connection(Code::FLOW_CONTROL_ERROR, _)
        ));
        assert!(Remote::default().update(&[0; 7], true).is_err());
        assert!(update(0x99, 5).is_ok());
        assert!(update(MAX_FRAME_SIZE, (1 << 24) - 1).is_ok());
    }

    #[test]
    fn what_is_told_later_changes_only_that() {
        let mut remote = Remote::default();
        remote
            .update(&setting(MAX_CONCURRENT_STREAMS, 3), true)
            .unwrap();
        remote
            .update(&setting(HEADER_TABLE_SIZE, 0), false)
            .unwrap();
        assert_eq!(remote.max_concurrent_streams, 3);
        assert_eq!(remote.header_table_size, 0);
        remote.update(&[], true).unwrap();
        assert_eq!(remote.max_concurrent_streams, u32::MAX);
    }
}
