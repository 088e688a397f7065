//! Pages of the program and its libraries that are mapped, and so count as resident, and are not needed any more.
//!
//! Reading a config and building what serves it runs through code that serving never enters. The kernel maps such
//! code sixteen pages at a touch and leaves it mapped: of an idle proxy, that is most of what is resident. After load,
//! so is the code of serving. Letting go of it costs little: what is still needed comes back at its next use, from the
//! page cache.
#![expect(
    unsafe_code,
    reason = "madvise(2) is unsafe for what it can do elsewhere; why it is sound here is said at the call"
)]

use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// What the loader has mapped from files and made ready before `main`, without a byte of its own in it.
#[derive(Clone, Debug)]
pub struct Program {
    mappings: Vec<Range<usize>>,
}

impl Program {
    /// To be called once, while nothing but the loader has mapped files. Knows of nothing where the kernel tells
    /// nothing.
    pub fn loaded() -> Self {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        Program {
            mappings: as_in_files(&smaps),
        }
    }

    /// Unmaps every page; those that are still needed come back.
    pub fn let_go(&self) {
        for range in &self.mappings {
            let start = std::ptr::without_provenance_mut(range.start);
            // SAFETY: this is a private mapping of a file that cannot be written to, and when the loader was done
            // with it, no page differed from the file. It is code or constants of the program or of a library that
            // it is linked with: nothing makes it writable or unmaps it while the program runs. So whatever goes
            // here is read from the file at its next use, the same bytes as before.
            let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
        }
    }
}

/// Mappings that are as their file is and cannot be written to, from the text of `/proc/self/smaps` (proc_pid_smaps(5)):
/// of each a line as in `/proc/self/maps`, and one for each thing that is counted of it.
fn as_in_files(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    let mut in_memory = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("Anonymous:"), count) => in_memory = count,
            // The kernel tells it behind the other.
            (Some("Swap:"), in_swap) => {
                if in_memory.take() == Some("0") && in_swap == Some("0") {
                    found.extend(mapping.take());
                }
            }
            (Some(name), _) if name.ends_with(':') => {}
            _ => (mapping, in_memory) = (read_only_file(line), None),
        }
    }
    found
}

/// The range of a private mapping of a file that cannot be written to.
fn read_only_file(line: &str) -> Option<Range<usize>> {
    // Addresses, permissions, offset, device, inode, path.
    let words: Vec<&str> = line.split_ascii_whitespace().take(6).collect();
    let [addresses, "r--p" | "r-xp", _, _, _, path] = words[..] else {
        return None;
    };
    // What the kernel itself maps, such as `[vdso]`, has no path.
    if !path.starts_with('/') {
        return None;
    }
    let (start, end) = addresses.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    Some(start..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_in_its_file_is_let_go() {
        let kept = [
            ("r--p", "/opt/proxy", "4", "0"),
            ("r--p", "/opt/proxy", "0", "4"),
            ("rw-p", "/opt/proxy", "0", "0"),
            ("r--s", "/opt/proxy", "0", "0"),
            ("---p", "/opt/proxy", "0", "0"),
            ("r-xp", "[vdso]", "0", "0"),
            ("r--p", "", "0", "0"),
        ];
        for (permissions, path, in_memory, in_swap) in kept {
            let smaps = mapping("1000-3000", permissions, path, in_memory, in_swap);
            assert!(as_in_files(&smaps).is_empty(), "{smaps}");
        }
        let code = mapping("3000-9000", "r-xp", "/opt/a proxy", "0", "0");
        let constants = mapping(
            "ffff00000000-ffff00001000",
            "r--p",
            "/lib/libc.so.6",
            "0",
            "0",
        );
        let stack = mapping("a000-b000", "rw-p", "[stack]", "8", "0");
        assert_eq!(
            as_in_files(&format!("{code}{stack}{constants}")),
            [0x3000..0x9000, 0xffff_0000_0000..0xffff_0000_1000]
        );
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_kept() {
        let line = "3000-9000 r-xp 00002000 fe:00 7     /opt/proxy\n";
        for untold in ["", "Swap:       0 kB\n", "Anonymous:   0 kB\n"] {
            assert!(as_in_files(&format!("{line}{untold}")).is_empty());
        }
        assert!(as_in_files("").is_empty());
    }

    #[test]
    fn the_program_runs_on_when_its_pages_are_let_go() {
        let program = Program::loaded();
        let before = resident();
        program.let_go();
        let after = resident();
        assert!(after < before, "{before} KiB, then {after}");
    }

    fn mapping(addresses: &str, permissions: &str, path: &str, memory: &str, swap: &str) -> String {
        format!(
            "{addresses} {permissions} 00002000 fe:00 7          {path}\n\
             Rss:           8 kB\n\
             Anonymous:     {memory} kB\n\
             KSM:           0 kB\n\
             Swap:          {swap} kB\n\
             SwapPss:       0 kB\n\
             VmFlags: rd mr mw me\n"
        )
    }

    /// KiB of files that are mapped and resident.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let files = status
            .lines()
            .find_map(|line| line.strip_prefix("RssFile:"));
        let count = files.unwrap().trim().strip_suffix(" kB");
        count.unwrap().parse().unwrap()
    }
}
