use std::fs;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::workload::{Outcome, What};
use super::yaml::{Node, Value};
use super::*;

const APP: &str = "\
# The shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  labels: { outrigger: sidecar }   # asks for it
spec:
  template:
    metadata:
      labels:
        app: shop
    spec:
      # The application.
      containers:
      - name: shop
        image: shop:1
        args: [\"a: b\", 'c']

      volumes:
      # Its data.
      - name: data
        emptyDir: {}
---
apiVersion: v1
kind: Service
metadata: { name: shop }
";

#[test]
fn lines_are_added_and_none_is_changed() {
    let (done, outcomes) = inject(APP, &sidecar(), false).unwrap();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].object, "Deployment shop");
    assert_eq!((outcomes[0].line, outcomes[0].what), (2, What::Added));
    let mut left = APP.lines().peekable();
    for line in done.lines() {
        left.next_if(|next| *next == line);
    }
    assert_eq!(left.next(), None, "{done}");
    let shown = "    spec:
      initContainers:
        - name: outrigger
          image: outrigger:1
          restartPolicy: Always
";
    assert!(done.contains(shown), "{done}");
    let shown = "      volumes:
      - name: outrigger
        configMap:
          name: outrigger
      # Its data.
      - name: data
";
    assert!(done.contains(shown), "{done}");
    assert!(
        done.contains("      # The application.\n      containers:\n"),
        "{done}"
    );
}

#[test]
fn the_second_time_changes_nothing() {
    for text in manifests() {
        let (done, _) = inject(&text, &secrets(), true).unwrap();
        let (again, outcomes) = inject(&done, &secrets(), true).unwrap();
        assert_eq!(again, done);
        assert!(
            outcomes.iter().all(|outcome| outcome.what == What::Kept),
            "{outcomes:?}"
        );
    }
}

#[test]
fn every_style_and_kind_is_given_the_same() {
    for text in manifests() {
        let (done, outcomes) = inject(&text, &secrets(), true).unwrap();
        assert!(!outcomes.is_empty());
        assert!(
            outcomes.iter().all(|outcome| outcome.what == What::Added),
            "{outcomes:?}"
        );
        let ends = done.matches("\r\n").count();
        let expected = if text.contains('\r') {
            done.matches('\n').count()
        } else {
            0
        };
        assert_eq!(ends, expected);
        let documents = yaml::read(&done).unwrap();
        let mut pods = Vec::new();
        documents
            .iter()
            .for_each(|document| pods_below(&document.root, &mut pods));
        assert_eq!(pods.len(), outcomes.len(), "{done}");
        for pod in pods {
            let spec = plain(pod.get("spec").unwrap());
            assert_eq!(
                spec["initContainers"][0],
                as_text(secrets().container()),
                "{done}"
            );
            for (at, (_, volume)) in secrets().volumes().into_iter().enumerate() {
                assert_eq!(spec["volumes"][at], as_text(volume), "{done}");
            }
            assert_eq!(spec["securityContext"]["fsGroup"], "65532");
            let metadata = plain(pod.get("metadata").unwrap());
            assert_eq!(metadata["labels"]["outrigger"], "sidecar");
            assert_eq!(metadata["annotations"]["prometheus.io/port"], "15021");
        }
    }
}

#[test]
fn it_gives_what_the_components_give() {
    let component = |name: &str| {
        let text = fs::read_to_string(format!("deploy/kubernetes/components/{name}")).unwrap();
        plain(&yaml::read(&text.replace("0440", "288")).unwrap()[0].root)
    };
    let sidecar_alone = component("sidecar/sidecar-pod.yaml");
    let mut container = as_text(sidecar().container());
    container["image"] = json!("outrigger");
    assert_eq!(sidecar_alone["spec"]["initContainers"][0], container);
    assert_eq!(
        sidecar_alone["spec"]["volumes"][0],
        as_text(sidecar().volumes().remove(0).1)
    );
    let labels = json!({ sidecar::LABEL: sidecar::ASKS });
    assert_eq!(sidecar_alone["metadata"]["labels"], labels);
    let annotations = sidecar_alone["metadata"]["annotations"]
        .as_object()
        .unwrap();
    assert_eq!(annotations.len(), sidecar::ANNOTATIONS.len());
    for (key, value) in sidecar::ANNOTATIONS {
        assert_eq!(annotations[key], value);
    }
    let with_secrets = Sidecar {
        secret: Some("outrigger-secrets".to_owned()),
        tls_secret: Some("outrigger-tls".to_owned()),
        ..sidecar()
    };
    for (at, name) in ["egress/secret-pod.yaml", "mtls/volume-pod.yaml"]
        .into_iter()
        .enumerate()
    {
        let component = component(name);
        let spec = &component["spec"];
        let container = as_text(with_secrets.container());
        assert_eq!(
            spec["initContainers"][0]["volumeMounts"][0],
            container["volumeMounts"][at + 1]
        );
        assert_eq!(
            spec["volumes"][0],
            as_text(with_secrets.volumes().remove(at + 1).1)
        );
        assert_eq!(
            spec["securityContext"]["fsGroup"],
            sidecar::GROUP.to_string()
        );
    }
}

#[test]
fn who_asks_is_given_it() {
    use What::{Added, Kept, NotAsked, Refused};
    let pod = |metadata: &str| {
        format!("kind: Pod\nmetadata: {{name: a{metadata}}}\nspec: {{containers: []}}\n")
    };
    let template = |metadata: &str| {
        format!(
            "kind: Job\nmetadata: {{name: a}}\nspec: {{template: {{metadata: {metadata}, spec: {{containers: []}}}}}}\n"
        )
    };
    let other = "kind: Rollout\nmetadata: {labels: {outrigger: sidecar}}\nspec: {template: {spec: {containers: []}}}\n";
    let by_hand = "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: outrigger}]}\n";
    for (text, all, expected) in [
        (pod(""), false, NotAsked),
        (pod(""), true, Added),
        (pod(", labels: {outrigger: sidecar}"), false, Added),
        (pod(", annotations: {outrigger: sidecar}"), false, Added),
        (pod(", labels: {outrigger: none}"), true, Refused),
        (pod(", annotations: {outrigger: none}"), true, Refused),
        (template("{labels: {outrigger: sidecar}}"), false, Added),
        (template("{labels: {outrigger: none}}"), true, Refused),
        (other.to_owned(), false, Added),
        (other.replace("labels", "names"), true, NotAsked),
        (by_hand.to_owned(), true, Kept),
    ] {
        let (done, outcomes) = inject(&text, &sidecar(), all).unwrap();
        let found: Vec<_> = outcomes.iter().map(|outcome| outcome.what).collect();
        assert_eq!(found, [expected], "{text}");
        assert_eq!(done != text, expected == Added);
    }
}

#[test]
fn what_cannot_be_changed_alone_is_refused_at_its_place() {
    let pod = |spec: &str| format!("kind: Pod\nmetadata: {{name: a}}\nspec:\n{spec}\n");
    let containers = "  containers: []\n";
    for (text, line, column, message) in [
        ("a: [b\n".to_owned(), 2, 1, "this is not YAML"),
        (
            "a: 1\nb: 2\na: 3\n".to_owned(),
            3,
            1,
            "the key `a` is there twice",
        ),
        (format!("a: {}", "[".repeat(200)), 1, 103, "nested too deep"),
        (
            pod(&format!("  volumes:\n{containers}")),
            4,
            10,
            "`volumes` is a single value, or empty",
        ),
        (
            pod(&format!("  x: &v [a]\n  volumes: *v\n{containers}")),
            5,
            12,
            "`volumes` is an alias",
        ),
        (
            pod(&format!("  volumes: &v [a]\n  x: *v\n{containers}")),
            4,
            12,
            "an alias stands for `volumes`",
        ),
        (
            pod(&format!("  <<: {{a: b}}\n{containers}")),
            4,
            3,
            "`spec` has a merge key",
        ),
        (
            pod(&format!("  volumes: [name: outrigger]\n{containers}")),
            4,
            12,
            "there is a volume `outrigger` already",
        ),
        (
            pod("  containers: [ports: [containerPort: 15021]]"),
            4,
            39,
            "the sidecar has this port",
        ),
        (
            pod("  containers: []\n  volumes:\n  - # c\n    name: a"),
            7,
            5,
            "between a dash and the first item",
        ),
        (
            pod("  ? containers\n  : []"),
            1,
            1,
            "written in a way that cannot be changed",
        ),
        (
            format!(
                "{}  labels: {{outrigger: perhaps}}\nspec: {{containers: []}}",
                "kind: Pod\nmetadata:\n"
            ),
            3,
            23,
            "says neither",
        ),
    ] {
        let wrong = inject(&text, &sidecar(), true).unwrap_err();
        assert!(wrong.message.contains(message), "{text}\n{wrong:?}");
        assert_eq!(
            (wrong.line, wrong.column),
            (line, column),
            "{text}\n{wrong:?}"
        );
    }
}

#[test]
fn what_is_scraped_already_and_what_is_on_the_node_is_said() {
    let text = "kind: Pod\nmetadata:\n  annotations: {prometheus.io/port: '80'}\nspec: {hostNetwork: true, containers: []}\n";
    let (done, outcomes) = inject(text, &sidecar(), true).unwrap();
    assert_eq!(outcomes[0].notes.len(), 2);
    assert!(!done.contains("prometheus.io/scrape"));
}

#[test]
fn the_command_prints_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let app = file("app.yaml", APP);
    let plain = file("plain.yaml", "kind: Service\nmetadata: {name: a}");
    let wrong = file("wrong.yaml", "a: [");
    let has_it = file("has.yaml", &inject(APP, &sidecar(), false).unwrap().0);
    for (files, check, code, printed) in [
        (vec![&app], false, 0, true),
        (vec![&app], true, 1, false),
        (vec![&has_it], true, 0, false),
        (vec![&has_it, &app], true, 1, false),
        (vec![&plain], false, 1, false),
        (vec![&app, &wrong], false, 2, false),
        (
            vec![&app, &folder.path().join("none.yaml")],
            false,
            2,
            false,
        ),
        (vec![&plain, &app, &has_it], false, 0, true),
    ] {
        let inject = Inject {
            files: files.iter().map(|path| path.to_path_buf()).collect(),
            all: false,
            check,
            sidecar: sidecar(),
        };
        let mut output = Vec::new();
        assert_eq!(inject.outcome(&mut output), code, "{files:?}");
        assert_eq!(!output.is_empty(), printed, "{files:?}");
        let documents = yaml::read(std::str::from_utf8(&output).unwrap()).unwrap();
        let expected = files
            .iter()
            .map(|path| if **path == plain { 1 } else { 2 })
            .sum();
        assert_eq!(documents.len(), if printed { expected } else { 0 });
    }
}

proptest! {
    /// A manifest that is broken anywhere is refused, or given what it lacks and nothing else.
    #[test]
    fn no_text_is_broken(which in 0..6_usize, at in any::<prop::sample::Index>(), length in 0..9_usize, new in "[ -~\n]{0,4}") {
        let mut text = manifests().swap_remove(which);
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let from = at.index(starts.len());
        let to = starts.get(from + length).copied().unwrap_or(text.len());
        text.replace_range(starts[from]..to, &new);
        if let Ok((done, _)) = inject(&text, &secrets(), true) {
            let (again, outcomes) = inject(&done, &secrets(), true).unwrap();
            prop_assert_eq!(again, done);
            let added = |outcome: &Outcome| outcome.what == What::Added;
            prop_assert!(!outcomes.iter().any(added));
        }
    }
}

pub(super) fn sidecar() -> Sidecar {
    Sidecar {
        image: Some("outrigger:1".to_owned()),
        config_map: None,
        secret: None,
        tls_secret: None,
        requests: None,
        limits: None,
    }
}

pub(super) fn secrets() -> Sidecar {
    Sidecar {
        secret: Some("keys".to_owned()),
        tls_secret: Some("certificates".to_owned()),
        ..sidecar()
    }
}

/// The same in many styles.
pub(super) fn manifests() -> Vec<String> {
    let json = json!({ "kind": "List", "items": [
        { "kind": "Pod", "metadata": { "name": "ü", "labels": { "a": "b" } }, "spec": { "containers": [], "volumes": [] } },
        { "kind": "Job", "spec": { "template": { "spec": { "initContainers": [{ "name": "a" }], "containers": [] } } } },
    ]});
    let cron_job = "\
- kind: CronJob
  metadata: {name: a}
  spec:
    jobTemplate:
      spec:
        template:
          metadata:
            labels: &l {}
          spec: { # flow
            containers: [ { name: a } ],
            securityContext: { runAsUser: 1 },
          }
- kind: StatefulSet
  spec:
    template:
      spec:
        containers:
          -
            name: ü
        initContainers:
          - name: |
              text
        volumes:
        - {name: a}
";
    let list = cron_job.lines().map(|line| format!("  {line}\n"));
    vec![
        APP.to_owned(),
        APP.replace('\n', "\r\n"),
        format!("# ü\nitems:\n{}kind: List\n", list.collect::<String>()),
        json.to_string(),
        format!("{json:#}"),
        format!("{json:#}")
            .replace("  ", "\t")
            .replace('\n', "\r\n"),
    ]
}

pub(super) fn pods_below<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    if node.reach(&["spec", "containers"]).is_some() {
        found.push(node);
    }
    match &node.value {
        Value::Mapping { entries, .. } => entries
            .iter()
            .for_each(|(_, value)| pods_below(value, found)),
        Value::Sequence { items, .. } => items.iter().for_each(|item| pods_below(item, found)),
        Value::Scalar(_) | Value::Alias => {}
    }
}

/// As JSON whose values are all text.
pub(super) fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Mapping { entries, .. } => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.text().unwrap().to_owned(), plain(value)));
            entries.collect()
        }
        Value::Sequence { items, .. } => items.iter().map(plain).collect(),
        Value::Scalar(text) => json!(text),
        Value::Alias => Json::Null,
    }
}

pub(super) fn as_text(value: Json) -> Json {
    match value {
        Json::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, as_text(value)))
            .collect(),
        Json::Array(items) => items.into_iter().map(as_text).collect(),
        Json::String(_) => value,
        other => json!(other.to_string()),
    }
}
