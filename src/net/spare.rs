//! What lies ready for reuse without being used.

/// How many of some spare things there were at the least, so that those which nobody had use for can go.
#[derive(Clone, Copy, Debug, Default)]
pub struct LowWaterMark(usize);

impl LowWaterMark {
    /// One was taken; `left` are still there.
    pub fn left(&mut self, left: usize) {
        self.0 = self.0.min(left);
    }

    /// How many of the `there` lay unused since this was last asked, and are to be dropped now.
    pub fn unused(&mut self, there: usize) -> usize {
        let unused = self.0.min(there);
        self.0 = there - unused;
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_is_what_was_never_taken_since_the_last_time() {
        let mut low_water = LowWaterMark::default();
        assert_eq!(low_water.unused(5), 0, "all came since");
        low_water.left(4);
        low_water.left(2);
        low_water.left(3);
        assert_eq!(low_water.unused(5), 2);
        assert_eq!(low_water.unused(3), 3);
        assert_eq!(low_water.unused(0), 0);
        assert_eq!(low_water.unused(1), 0, "it came since");
        assert_eq!(low_water.unused(1), 1);
    }
}
