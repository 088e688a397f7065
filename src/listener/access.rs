//! Who may connect to a unix socket: `mode` and `group` of a listener.

use std::fmt;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::str::FromStr;

use rustix::process::getegid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ListenAddress;
use crate::value::{Wrong, text};

/// Permissions of a file, written `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

/// A group, by its name in `/etc/group` or by its number.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Group(String);

/// What a socket has that is given to a group and has no `mode`.
const FOR_GROUP: Mode = Mode(0o660);

const GROUPS: &str = "/etc/group";

/// Who may connect: whoever may write to the file.
pub struct Access {
    mode: Option<Mode>,
    group: Option<u32>,
}

impl Access {
    /// # Errors
    /// A group that there is not.
    pub fn of(mode: Option<Mode>, group: Option<&Group>) -> io::Result<Self> {
        let number = |group: &Group| {
            let groups = std::fs::read_to_string(GROUPS).unwrap_or_default();
            let unknown =
                || io::Error::other(format!("there is no group `{}` in {GROUPS}", group.0));
            group.number(&groups).ok_or_else(unknown)
        };
        Ok(Access {
            mode: mode.or(group.map(|_| FOR_GROUP)),
            group: group.map(number).transpose()?,
        })
    }

    /// Makes it so at `address`, if that is a file. What is not said is as a new file has it.
    ///
    /// # Errors
    /// What the kernel says: a process may give its files to groups of its own only.
    pub fn grant(&self, address: &ListenAddress) -> io::Result<()> {
        let ListenAddress::Unix(path) = address else {
            return Ok(());
        };
        let granted = self.grant_file(path);
        granted.map_err(|error| {
            let message = format!("cannot set who may connect to {address}: {error}");
            io::Error::new(error.kind(), message)
        })
    }

    fn grant_file(&self, path: &Path) -> io::Result<()> {
        let file = std::fs::symlink_metadata(path)?;
        let group = self.group.unwrap_or_else(|| getegid().as_raw());
        if file.gid() != group {
            chown(path, None, Some(group))?;
        }
        let mode = self.mode.map_or_else(by_default, |Mode(mode)| mode);
        if file.mode() & 0o777 != mode {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }
}

/// What the umask leaves of all.
fn by_default() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok());
    0o777 & !umask.unwrap_or(0o022)
}

impl Group {
    fn number(&self, groups: &str) -> Option<u32> {
        let named = groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(&self.0);
            is_it.then(|| fields.nth(1)?.parse().ok()).flatten()
        });
        named.or_else(|| self.0.parse().ok())
    }
}

impl FromStr for Mode {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let octal = |byte| (b'0'..=b'7').contains(&byte);
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(octal);
        match u32::from_str_radix(text, 8) {
            Ok(mode) if digits && mode <= 0o777 => Ok(Mode(mode)),
            _ => Err(Wrong::new(format!("`{text}` is not a mode of a file"))
                .help("write it like \"0660\"")),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a mode in quotes, such as \"0660\"")
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal() {
        for (text, shown) in [("0660", "0660"), ("660", "0660"), ("0777", "0777")] {
            assert_eq!(text.parse::<Mode>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "66",
            "0668",
            "0o66",
            "1777",
            "+660",
            "rw-rw----",
            "00660",
        ] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_is_named_or_numbered() {
        let groups = "root:x:0:\napp:x:1000:me,you\nbroken\n7:x:8:\n";
        let number = |group: &str| Group(group.into()).number(groups);
        assert_eq!(number("app"), Some(1000));
        assert_eq!(number("1001"), Some(1001));
        assert_eq!(number("7"), Some(8));
        assert_eq!(number("nobody"), None);
        assert_eq!(number("broken"), None);
    }

    #[test]
    fn a_file_gets_what_is_granted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let address = ListenAddress::Unix(path.clone());
        let file = || std::fs::metadata(&path).unwrap();
        let (own, before) = (Group(file().gid().to_string()), file().mode() & 0o777);
        for (mode, group, expected) in [
            (Some(Mode(0o600)), None, 0o600),
            (None, Some(&own), 0o660),
            (Some(Mode(0o666)), Some(&own), 0o666),
            (None, None, before),
        ] {
            Access::of(mode, group).unwrap().grant(&address).unwrap();
            assert_eq!(file().mode() & 0o777, expected);
        }
        drop(socket);
        let nobody = Group("no-such-group".into());
        let error = Access::of(None, Some(&nobody)).err().unwrap();
        assert!(error.to_string().contains("no-such-group"), "{error}");
        let gone = ListenAddress::Unix(dir.path().join("gone"));
        let error = Access::of(None, None).unwrap().grant(&gone).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
