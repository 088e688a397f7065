//! How much CPU this process may use.

use std::path::{Path, PathBuf};

/// Cores that this process may use: its cgroup's quota rounded up, at most those that the scheduler lets it run on.
pub fn available() -> usize {
    let cores = allowed_cores().unwrap_or(1);
    let quota = quota(Path::new("/sys/fs/cgroup"), &own_cgroups()).unwrap_or(cores);
    quota.clamp(1, cores)
}

/// Cores in this process's affinity mask. The standard library's count also knows the quota, but rounds it down.
fn allowed_cores() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    count_list(list.trim())
}

/// Counts a list such as `0-3,8`.
fn count_list(list: &str) -> Option<usize> {
    list.split(',')
        .map(|range| match range.split_once('-') {
            None => range.parse::<usize>().ok().map(|_| 1),
            Some((from, to)) => {
                let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
                to.checked_sub(from).map(|more| more + 1)
            }
        })
        .sum()
}

/// This process's groups: of cgroup v2, and of the v1 CPU controller.
struct Groups {
    unified: Option<String>,
    cpu: Option<String>,
}

fn own_cgroups() -> Groups {
    parse_cgroups(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// Lines are `hierarchy:controllers:path` (cgroups(7)).
fn parse_cgroups(text: &str) -> Groups {
    let path_of = |matches: fn(&str) -> bool| {
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let controllers = parts.next()?;
            matches(controllers)
                .then(|| parts.next().map(str::to_owned))
                .flatten()
        })
    };
    Groups {
        unified: path_of(str::is_empty),
        cpu: path_of(|controllers| controllers.split(',').any(|name| name == "cpu")),
    }
}

/// The smallest quota from the group up to the root, in cores rounded up.
fn quota(root: &Path, groups: &Groups) -> Option<usize> {
    let unified = groups.unified.iter().flat_map(|group| up_from(root, group));
    let unified = unified.filter_map(|group| {
        let text = std::fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        cores(quota, period)
    });
    let roots = ["cpu", "cpu,cpuacct"].map(|name| root.join(name));
    let cpu = roots
        .iter()
        .flat_map(|root| groups.cpu.iter().flat_map(|group| up_from(root, group)));
    let cpu = cpu.filter_map(|group| {
        let read = |name| std::fs::read_to_string(group.join(name)).ok();
        cores(
            read("cpu.cfs_quota_us")?.trim(),
            read("cpu.cfs_period_us")?.trim(),
        )
    });
    unified.chain(cpu).min()
}

/// The folders of a group and of all above it. Within a container the group's path is often that of the host,
/// and its own files stand at the root.
fn up_from(root: &Path, group: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut folder = root.to_owned();
    for part in group
        .split('/')
        .filter(|part| !part.is_empty() && *part != "..")
    {
        folder.push(part);
        folders.push(folder.clone());
    }
    folders
}

/// `max` and negative numbers stand for no quota.
fn cores(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0).then(|| quota.div_ceil(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lists() {
        assert_eq!(count_list("0"), Some(1));
        assert_eq!(count_list("0-3,8,10-11"), Some(7));
        assert_eq!(count_list("x"), None);
    }

    #[test]
    fn a_quota_is_rounded_up_and_the_tightest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("pods/one");
        std::fs::create_dir_all(&pod).unwrap();
        let groups = parse_cgroups("0::/pods/one\n");
        assert_eq!(quota(root.path(), &groups), None);
        std::fs::write(root.path().join("pods/cpu.max"), "300000 100000\n").unwrap();
        std::fs::write(pod.join("cpu.max"), "max 100000\n").unwrap();
        assert_eq!(quota(root.path(), &groups), Some(3));
        std::fs::write(pod.join("cpu.max"), "20000 100000\n").unwrap();
        assert_eq!(quota(root.path(), &groups), Some(1));
        std::fs::write(pod.join("cpu.max"), "150000 100000\n").unwrap();
        assert_eq!(quota(root.path(), &groups), Some(2));
    }

    #[test]
    fn version_1_counts_too() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("cpu,cpuacct/docker/abc");
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("cpu.cfs_quota_us"), "-1\n").unwrap();
        std::fs::write(group.join("cpu.cfs_period_us"), "100000\n").unwrap();
        let groups = parse_cgroups("4:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n");
        assert_eq!(quota(root.path(), &groups), None);
        std::fs::write(group.join("cpu.cfs_quota_us"), "250000\n").unwrap();
        assert_eq!(quota(root.path(), &groups), Some(3));
    }
}
