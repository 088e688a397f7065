//! Where rows go: JSON that is kept until it is whole, or handed on in pieces.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};

use super::{Effects, Failure};

/// A piece of a result that is handed on while more of it comes.
const PIECE: usize = 16 << 10;

/// How rows stand beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One alone.
    One,
    /// A list in JSON.
    Array,
    /// A line each (NDJSON).
    Lines,
    /// Nobody wants them.
    None,
}

/// `big_numbers`: how numbers are written that a reader in JavaScript would round.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum BigNumbers {
    #[default]
    String,
    Number,
}

/// How large a result may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub rows: usize,
    pub bytes: usize,
}

/// Pieces of a result, in order: an error is the last one.
pub type Pieces = mpsc::Receiver<Result<Bytes, Failure>>;

/// The rows of a result as JSON.
pub struct Output {
    form: Form,
    limits: Limits,
    pub(super) big_numbers: BigNumbers,
    pub(super) text: BytesMut,
    rows: usize,
    /// Bytes that were handed on.
    passed: usize,
    way: Option<Way>,
    there: Option<Arc<OnceLock<Instant>>>,
}

/// To whom pieces are handed on.
#[derive(Clone)]
struct Way {
    sender: mpsc::Sender<Result<Bytes, Failure>>,
    /// Not before so many bytes are there.
    hold: usize,
}

impl Output {
    /// One that keeps everything.
    pub fn whole(form: Form, limits: Limits, big_numbers: BigNumbers) -> Self {
        Output {
            form,
            limits,
            big_numbers,
            text: BytesMut::new(),
            rows: 0,
            passed: 0,
            way: None,
            there: None,
        }
    }

    /// One that hands on what is there once it is more than `hold` bytes. At most `ahead` bytes wait to be taken beyond
    /// what is being written.
    pub fn in_pieces(
        form: Form,
        limits: Limits,
        big_numbers: BigNumbers,
        hold: usize,
        ahead: usize,
    ) -> (Self, Pieces) {
        let (sender, pieces) = mpsc::channel((ahead / PIECE).max(1));
        let mut output = Output::whole(form, limits, big_numbers);
        output.way = Some(Way { sender, hold });
        (output, pieces)
    }

    /// Has `there` say when there is a connection whose rows come here.
    #[must_use]
    pub fn telling(mut self, there: &Arc<OnceLock<Instant>>) -> Self {
        self.there = Some(there.clone());
        self
    }

    /// There is a connection. Of several the first counts.
    pub(super) fn is_connected(&self) {
        if let Some(there) = &self.there {
            let _earlier = there.set(Instant::now());
        }
    }

    /// Takes it away from whoever has it, who can still tell its reader how it ended.
    pub(super) fn take(&mut self) -> Output {
        let mut rest = Output::whole(self.form, self.limits, self.big_numbers);
        rest.way.clone_from(&self.way);
        std::mem::replace(self, rest)
    }

    /// Whether there is a piece for a reader who waits for one.
    pub(super) fn has_piece(&self) -> bool {
        let passes = |way: &Way| self.passed + self.text.len() > way.hold;
        self.text.len() >= PIECE && self.way.as_ref().is_some_and(passes)
    }

    /// How many rows may come before there is one too many.
    pub(super) fn most_rows(&self) -> usize {
        match self.form {
            Form::One => 1,
            Form::None => usize::MAX,
            _ => self.limits.rows,
        }
    }

    /// The most bytes that a row may still have.
    pub(super) fn room(&self) -> usize {
        self.limits
            .bytes
            .saturating_sub(self.passed + self.text.len())
    }

    pub(super) fn wants_rows(&self) -> bool {
        self.form != Form::None
    }

    /// Whether something of it is with its reader, so that it cannot be begun anew.
    pub fn has_begun(&self) -> bool {
        self.passed > 0
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Forgets all, as the statement is run once more.
    pub(super) fn reset(&mut self) {
        self.text.clear();
        self.rows = 0;
    }

    /// What stands before a row.
    pub(super) fn begin_row(&mut self) -> Result<(), Failure> {
        self.rows += 1;
        if self.rows > self.most_rows() {
            return Err(match self.form {
                Form::One => Failure::NotOne,
                _ => Failure::TooLarge(format!(
                    "the result has more than {} rows",
                    self.limits.rows
                )),
            });
        }
        if self.form == Form::Array {
            let mark = if self.rows == 1 { b"[" } else { b"," };
            self.text.extend_from_slice(mark);
        }
        Ok(())
    }

    /// What stands behind a row.
    pub(super) fn end_row(&mut self) -> Result<(), Failure> {
        if self.form == Form::Lines {
            self.text.extend_from_slice(b"\n");
        }
        if self.passed + self.text.len() > self.limits.bytes {
            return Err(self.too_many_bytes());
        }
        Ok(())
    }

    pub(super) fn too_many_bytes(&self) -> Failure {
        Failure::TooLarge(format!(
            "the result has more than {} bytes",
            self.limits.bytes
        ))
    }

    /// Hands on what is there, as nothing more is there for now. Waits for the reader where it is far behind.
    /// One who has not taken it by `until` has lost the rest.
    pub(super) async fn flush(&mut self, until: Instant) -> Result<(), Failure> {
        let Some(way) = &self.way else { return Ok(()) };
        if self.text.is_empty() || self.passed + self.text.len() <= way.hold {
            return Ok(());
        }
        let sender = way.sender.clone();
        while !self.text.is_empty() {
            let length = self.text.len().min(PIECE);
            let piece = self.text.split_to(length).freeze();
            self.passed += length;
            match timeout_at(until, sender.send(Ok(piece))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(nobody_reads()),
                Err(_) => return Err(Failure::Timeout(Effects::None)),
            }
        }
        Ok(())
    }

    /// The same for a thread that may block. `waits` does so between two looks at whether the reader has made room; one who
    /// has not when it says that the time is over has lost the rest.
    pub(super) fn flush_blocking(&mut self, waits: impl Fn() -> bool) -> Result<(), Failure> {
        let Some(way) = &self.way else { return Ok(()) };
        let sender = way.sender.clone();
        while !self.text.is_empty() {
            let length = self.text.len().min(PIECE);
            let mut piece = Ok(self.text.split_to(length).freeze());
            self.passed += length;
            while let Err(refused) = sender.try_send(piece) {
                piece = match refused {
                    TrySendError::Closed(_) => return Err(nobody_reads()),
                    TrySendError::Full(piece) if waits() => piece,
                    TrySendError::Full(_) => return Err(Failure::Timeout(Effects::None)),
                };
            }
        }
        Ok(())
    }

    /// The end of the JSON. Gives what was not handed on.
    pub fn finish(&mut self) -> Bytes {
        if self.form == Form::Array {
            let end: &[u8] = if self.rows == 0 { b"[]" } else { b"]" };
            self.text.extend_from_slice(end);
        }
        self.text.split().freeze()
    }

    /// Hands on how it ended, and what is left.
    pub async fn end(mut self, result: Result<(), Failure>) {
        let Some(Way { sender, .. }) = self.way.take() else {
            return;
        };
        let last = match result {
            Ok(()) => Ok(self.finish()),
            Err(failure) => Err(failure),
        };
        // Whoever read it may be gone.
        let _gone = sender.send(last).await;
    }
}

fn nobody_reads() -> Failure {
    Failure::Broken("nobody reads the result any more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: Limits = Limits { rows: 3, bytes: 20 };

    fn add(output: &mut Output, row: &[u8]) -> Result<(), Failure> {
        output.begin_row()?;
        output.text.extend_from_slice(row);
        output.end_row()
    }

    fn whole(form: Form) -> Output {
        Output::whole(form, LIMITS, BigNumbers::String)
    }

    #[test]
    fn rows_stand_beside_each_other_as_the_form_says() {
        for (form, expected) in [(Form::Array, "[{},{}]"), (Form::Lines, "{}\n{}\n")] {
            let mut output = whole(form);
            add(&mut output, b"lost").unwrap();
            output.reset();
            add(&mut output, b"{}").unwrap();
            add(&mut output, b"{}").unwrap();
            assert_eq!(output.finish(), expected);
        }
        assert_eq!(whole(Form::Array).finish(), "[]");
        assert_eq!(whole(Form::Lines).finish(), "");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let mut output = whole(Form::Array);
        for _ in 0..3 {
            add(&mut output, b"{}").unwrap();
        }
        assert!(matches!(add(&mut output, b"{}"), Err(Failure::TooLarge(_))));
        let mut output = whole(Form::Array);
        assert!(matches!(
            add(&mut output, &[b'x'; 20]),
            Err(Failure::TooLarge(_))
        ));
        let mut output = whole(Form::One);
        add(&mut output, b"{}").unwrap();
        assert_eq!(add(&mut output, b"{}"), Err(Failure::NotOne));
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_wait_for_their_reader_until_the_end_of_the_statement() {
        let limits = Limits {
            rows: 10,
            bytes: 1 << 20,
        };
        let (mut output, mut pieces) =
            Output::in_pieces(Form::Lines, limits, BigNumbers::String, 4, PIECE);
        let until = Instant::now() + Duration::from_secs(1);
        add(&mut output, b"{}").unwrap();
        output.flush(until).await.unwrap();
        assert!(!output.has_begun() && pieces.try_recv().is_err());
        add(&mut output, b"{}").unwrap();
        output.flush(until).await.unwrap();
        assert!(output.has_begun());
        add(&mut output, b"{}").unwrap();
        let late = output.flush(until).await;
        assert_eq!(late, Err(Failure::Timeout(Effects::None)));
        assert_eq!(pieces.recv().await, Some(Ok(Bytes::from("{}\n{}\n"))));
        let ending = tokio::spawn(output.end(late));
        assert!(matches!(pieces.recv().await, Some(Err(_))));
        assert_eq!(pieces.recv().await, None);
        ending.await.unwrap();
    }
}
