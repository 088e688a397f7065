//! The Kubernetes components do the same for every kind of workload.

use std::path::Path;

use crate::support::sources::files;

/// A patch describes a pod where its kind of workload has it; everything else must not differ.
fn pod(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let above = lines
        .iter()
        .rposition(|line| matches!(*line, "template:" | "name: any"))
        .expect("a pod");
    let below = &lines[above + 1..];
    let own = below.strip_prefix(&["metadata:"]).unwrap_or(below);
    own.to_vec()
}

#[test]
fn the_patches_of_a_component_differ_only_in_where_the_pod_stands() {
    let patches = files(Path::new("deploy/kubernetes/components"), "yaml");
    let mut compared = 0;
    for patch in &patches {
        let path = patch.path.to_string_lossy();
        for kind in ["-cronjob.yaml", "-pod.yaml"] {
            let Some(stem) = path.strip_suffix(kind) else {
                continue;
            };
            let first = patches
                .iter()
                .find(|other| other.path == Path::new(&format!("{stem}.yaml")))
                .unwrap_or_else(|| panic!("{stem}.yaml"));
            assert_eq!(pod(&patch.text), pod(&first.text), "{path}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}
