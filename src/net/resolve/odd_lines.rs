//! Lines of a system's file that make no sense: they are passed over, and told once.

use std::path::Path;

/// Odd lines of one reading.
#[derive(Debug, Default)]
pub struct OddLines(Vec<(usize, String)>);

impl OddLines {
    /// `why` is a sentence without its dot.
    pub fn note(&mut self, number: usize, why: String) {
        self.0.push((number, why));
    }

    /// Tells of them in one line of the log.
    pub fn tell(&self, path: &Path) {
        let Some((number, why)) = self.0.first() else {
            return;
        };
        let more = match self.0.len() - 1 {
            0 => String::new(),
            more => format!("; so are {more} more"),
        };
        let path = path.display();
        tracing::warn!("line {number} of {path} is passed over: {why}{more}");
    }

    #[cfg(test)]
    pub fn numbers(&self) -> Vec<usize> {
        self.0.iter().map(|(number, _)| *number).collect()
    }
}
