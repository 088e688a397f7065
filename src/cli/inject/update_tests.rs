use serde_json::{Value as Json, json};

use super::tests::{as_text, manifests, plain, pods_below, secrets, sidecar};
use super::workload::{DRAIN, LEAST, What};
use super::*;
use crate::net::drain;

/// As somebody keeps it who has added to what this program once wrote.
const OLD: &str = "\
kind: Job
metadata: { name: settle, labels: { outrigger: sidecar } }
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 10
      initContainers:
      # The proxy.
      - name: outrigger
        image: \"example.com/outrigger:0\"   # ours
        restartPolicy: Always
        args:
        - run
        # Where it is.
        - /etc/old
        - --verbose
        env:
        - { name: A, value: b }
        resources:
          limits:
            cpu: 1   # a whole one
            memory: 64Mi
        livenessProbe:
          exec: { command: [a] }
        volumeMounts:
        - { name: settings, mountPath: /etc/outrigger }
        - { name: outrigger-secrets, mountPath: /etc/outrigger-secrets }
      containers: []
      volumes: [ { name: outrigger-secrets, secret: { secretName: old } } ]
";

#[test]
fn what_this_program_writes_is_brought_up_to_date_and_all_else_stays() {
    let named = Sidecar {
        image: Some("example.com/outrigger:1".to_owned()),
        secret: Some("new".to_owned()),
        ..sidecar()
    };
    let (done, outcomes) = inject(OLD, &named, false).unwrap();
    assert_eq!(outcomes[0].what, What::Updated);
    for (shown, what) in [
        ("      # The proxy.\n      - name: outrigger\n", "a comment"),
        (
            "        image: \"example.com/outrigger:1\"   # ours\n",
            "the image",
        ),
        (
            "        args:\n        - run\n        - \"--config\"\n        - /etc/outrigger\n        env:\n",
            "arguments",
        ),
        ("        - { name: A, value: b }\n", "what was added"),
        (
            "            cpu: 1   # a whole one\n            memory: \"256Mi\"\n",
            "limits",
        ),
        (
            "        resources:\n          requests:\n            cpu: \"50m\"\n",
            "requests",
        ),
        (
            "        livenessProbe:\n          exec: { command: [a] }\n",
            "another probe",
        ),
        (
            "        volumeMounts:\n        - { name: settings, mountPath: /etc/outrigger }\n",
            "another volume",
        ),
        (
            "[ { name: outrigger-secrets, secret: { secretName: new } } ]",
            "the Secret",
        ),
    ] {
        assert!(done.contains(shown), "{what}: {done}");
    }
    let changed = &outcomes[0].notes[0];
    for key in [
        "image",
        "args",
        "resources",
        "ports",
        "the volume outrigger-secrets",
    ] {
        assert!(changed.contains(key), "{changed}");
    }
    let (again, outcomes) = inject(&done, &named, false).unwrap();
    assert_eq!((again, outcomes[0].what), (done, What::Kept));
}

#[test]
fn in_every_style_it_is_as_if_it_had_just_been_given() {
    let old = Sidecar {
        image: Some("old:1".to_owned()),
        limits: Some([("memory".to_owned(), json!("1Mi"))].into_iter().collect()),
        ..sidecar()
    };
    let sorted = |pod: &yaml::Node| {
        let mut spec = plain(pod.get("spec").unwrap());
        for list in ["/volumes", "/initContainers/0/volumeMounts"] {
            let list = spec.pointer_mut(list).and_then(Json::as_array_mut).unwrap();
            list.sort_by_key(|item| item["name"].to_string());
        }
        spec
    };
    for text in manifests() {
        let (before, _) = inject(&text, &old, true).unwrap();
        let (done, outcomes) = inject(&before, &secrets(), true).unwrap();
        assert!(
            outcomes.iter().all(|outcome| outcome.what == What::Updated),
            "{outcomes:?}"
        );
        let (fresh, _) = inject(&text, &secrets(), true).unwrap();
        let pods = |text: &str| {
            let documents = yaml::read(text).unwrap();
            let mut pods = Vec::new();
            for document in &documents {
                pods_below(&document.root, &mut pods);
            }
            pods.into_iter().map(sorted).collect::<Vec<_>>()
        };
        assert_eq!(pods(&done), pods(&fresh), "{done}");
        let (again, outcomes) = inject(&done, &secrets(), true).unwrap();
        assert_eq!(again, done);
        assert!(outcomes.iter().all(|outcome| outcome.what == What::Kept));
    }
}

#[test]
fn what_no_option_names_stays() {
    let (old, _) = inject(
        OLD,
        &Sidecar {
            image: None,
            ..sidecar()
        },
        false,
    )
    .unwrap();
    assert!(old.contains("example.com/outrigger:0"), "{old}");
    assert!(old.contains("secretName: old"), "{old}");
    let text = "kind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n";
    let version = |image: &str| Sidecar {
        image: Some(image.to_owned()),
        config_map: Some("a".to_owned()),
        ..sidecar()
    };
    // Nobody's registry has this one, so it goes with the program.
    let (before, _) = inject(text, &version("outrigger:0.0.1"), true).unwrap();
    let none = Sidecar {
        image: None,
        ..sidecar()
    };
    let (done, _) = inject(&before, &none, true).unwrap();
    assert!(
        done.contains(concat!("\"outrigger:", env!("CARGO_PKG_VERSION"), "\"")),
        "{done}"
    );
    assert!(done.contains("\"configMap\":{\"name\":\"a\"}"), "{done}");
    let (done, _) = inject(&before, &version("outrigger:0.0.1"), true).unwrap();
    assert_eq!(done, before);
}

#[test]
fn what_cannot_be_changed_alone_stays_and_is_said() {
    let pod = |container: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: a, labels: {{outrigger: sidecar}}}}\nx: &x {{}}\nspec:\n  initContainers:\n  - name: outrigger\n    {container}\n  containers: []\n"
        )
    };
    for (container, said) in [
        ("resources: *x", "`resources` in line 7"),
        ("resources:", "`resources` in line 7"),
        ("image:", "`image` in line 7"),
        ("args: {}", "`args` in line 7"),
        ("securityContext: {<<: *x}", "`securityContext` in line 7"),
    ] {
        let text = pod(container);
        let (done, outcomes) = inject(&text, &sidecar(), false).unwrap();
        assert!(done.contains(container), "{done}");
        let said_so = outcomes[0].notes.iter().any(|note| note.starts_with(said));
        assert!(said_so, "{outcomes:?}");
        assert_eq!(inject(&done, &sidecar(), false).unwrap().0, done);
    }
    let shared = "kind: Pod\nmetadata: {name: a, labels: {outrigger: sidecar}}\nspec:\n  initContainers:\n  - &x {name: outrigger}\n  containers: [*x]\n";
    let (done, outcomes) = inject(shared, &sidecar(), false).unwrap();
    assert_eq!((done.as_str(), outcomes[0].what), (shared, What::Kept));
    assert!(outcomes[0].notes[0].contains("line 5"), "{outcomes:?}");
}

#[test]
fn one_that_is_refused_or_made_by_hand_is_left_and_said() {
    let pod = |label: &str, list: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: a, labels: {{outrigger: {label}}}}}\nspec: {{{list}: [{{name: outrigger}}]}}\n"
        )
    };
    let refused = pod("none", "containers: [], initContainers");
    for (text, what) in [
        (refused, What::Refused),
        (pod("sidecar", "containers"), What::Kept),
    ] {
        let (done, outcomes) = inject(&text, &sidecar(), true).unwrap();
        assert_eq!((&done, outcomes[0].what), (&text, what));
        assert!(
            outcomes[0].notes[0].contains("left as it is"),
            "{outcomes:?}"
        );
    }
}

#[test]
fn a_pod_that_has_no_time_to_drain_is_noted() {
    assert_eq!(DRAIN, drain::Config::default().drain_timeout.0.as_secs());
    for (seconds, noted) in [(DRAIN + LEAST, 0), (DRAIN + LEAST - 1, 1)] {
        let text = format!(
            "kind: Pod\nspec:\n  terminationGracePeriodSeconds: {seconds}\n  containers: []\n"
        );
        let (done, outcomes) = inject(&text, &sidecar(), true).unwrap();
        assert_eq!(outcomes[0].notes.len(), noted, "{outcomes:?}");
        let (_, outcomes) = inject(&done, &sidecar(), true).unwrap();
        assert_eq!(outcomes[0].notes.len(), noted, "{outcomes:?}");
    }
}

#[test]
fn resources_are_read_as_kubectl_reads_them() {
    let both = [("cpu", "1"), ("memory", "64Mi")]
        .map(|(name, quantity)| (name.to_owned(), json!(quantity)));
    assert_eq!(
        sidecar::quantities("cpu=1,memory=64Mi"),
        Ok(both.into_iter().collect())
    );
    for (text, said) in [
        ("cpu", "is not NAME=QUANTITY"),
        ("disk=1", "is none of cpu"),
        ("cpu=", "is no quantity"),
        ("memory=lots", "is no quantity"),
    ] {
        assert!(
            sidecar::quantities(text).unwrap_err().contains(said),
            "{text}"
        );
    }
    let tuned = Sidecar {
        limits: sidecar::quantities("memory=64Mi").ok(),
        requests: sidecar::quantities("cpu=1").ok(),
        ..sidecar()
    };
    let expected =
        json!({ "requests": { "cpu": "1", "memory": "32Mi" }, "limits": { "memory": "64Mi" } });
    assert_eq!(as_text(tuned.container())["resources"], expected);
}
