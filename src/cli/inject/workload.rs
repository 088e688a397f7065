//! Finds what makes pods in a manifest, and gives a sidecar to those that ask for one.

use serde_json::json;

use super::edit::Edits;
use super::sidecar::{ANNOTATIONS, ASKS, GROUP, LABEL, NAME, PORTS, REFUSES, Sidecar};
use super::wrong::Wrong;
use super::yaml::{Document, Node};

/// Those that Kubernetes itself knows; others are taken when they ask for it and have a pod template like these.
const KINDS: [&str; 7] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
];

/// What became of an object that makes pods.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// Its kind and name.
    pub object: String,
    pub line: usize,
    pub column: usize,
    pub what: What,
    /// What somebody should know beside it.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Added,
    /// It is there already.
    Kept,
    /// It was not asked for.
    NotAsked,
    Refused,
}

/// Adds to `edits` what gives each object of a document its sidecar.
///
/// # Errors
/// What cannot be changed so that nothing else changes, and what would not work.
pub(super) fn inject(
    document: &Document,
    edits: &mut Edits<'_>,
    sidecar: &Sidecar,
    all: bool,
) -> Result<Vec<Outcome>, Wrong> {
    let mut outcomes = Vec::new();
    let mut left = vec![&document.root];
    while let Some(object) = left.pop() {
        let kind = object.get("kind").and_then(Node::text).unwrap_or_default();
        if let (true, Some(items)) = (kind.ends_with("List"), object.get("items")) {
            left.extend(items.items().iter().rev());
        } else if let Some(pod) = pod(object, kind) {
            let pod = Pod {
                document,
                sidecar,
                object,
                pod,
            };
            outcomes.push(pod.inject(kind, edits, all)?);
        }
    }
    Ok(outcomes)
}

/// Where an object describes its pods: metadata and spec.
fn pod<'a>(object: &'a Node, kind: &str) -> Option<&'a Node> {
    let pod = match kind {
        "Pod" => Some(object),
        "CronJob" => object.reach(&["spec", "jobTemplate", "spec", "template"]),
        _ => object.reach(&["spec", "template"]),
    };
    pod.filter(|pod| pod.reach(&["spec", "containers"]).is_some())
}

struct Pod<'a> {
    document: &'a Document,
    sidecar: &'a Sidecar,
    object: &'a Node,
    pod: &'a Node,
}

impl Pod<'_> {
    fn inject(&self, kind: &str, edits: &mut Edits<'_>, all: bool) -> Result<Outcome, Wrong> {
        let name = self
            .object
            .reach(&["metadata", "name"])
            .and_then(Node::text);
        let name = name.unwrap_or("without a name");
        let outcome = |what, notes| Outcome {
            object: format!("{kind} {name}"),
            line: self.object.place.line,
            column: self.object.place.column,
            what,
            notes,
        };
        let known = kind == "Pod" || KINDS.contains(&kind);
        let asked = self.asked()?;
        if self.has_one() {
            return Ok(outcome(What::Kept, Vec::new()));
        }
        if asked == Some(false) {
            return Ok(outcome(What::Refused, Vec::new()));
        }
        if asked.is_none() && !(all && known) {
            return Ok(outcome(What::NotAsked, Vec::new()));
        }
        self.add(edits)?;
        Ok(outcome(What::Added, self.notes()))
    }

    /// By a label or an annotation of the object or of its pods; the first that is there decides.
    fn asked(&self) -> Result<Option<bool>, Wrong> {
        for place in [self.object, self.pod] {
            for map in ["labels", "annotations"] {
                let Some(node) = place.reach(&["metadata", map, LABEL]) else {
                    continue;
                };
                return match node.text() {
                    Some(ASKS) => Ok(Some(true)),
                    Some(REFUSES) => Ok(Some(false)),
                    _ => Err(Wrong::at(
                        node.place,
                        format!("`{LABEL}` says neither `{ASKS}` nor `{REFUSES}`"),
                        "",
                    )),
                };
            }
        }
        Ok(None)
    }

    fn has_one(&self) -> bool {
        let spec = self.pod.get("spec");
        let lists = ["initContainers", "containers"].map(|key| spec.and_then(|spec| spec.get(key)));
        lists.into_iter().flatten().any(|list| list.names(NAME))
    }

    fn add(&self, edits: &mut Edits<'_>) -> Result<(), Wrong> {
        let pod = self.document.changeable(self.pod, "template")?;
        let Some(spec) = pod.get("spec") else {
            return Ok(());
        };
        let spec = self.document.changeable(spec, "spec")?;
        self.ports_are_free(spec)?;
        self.metadata(edits)?;
        self.group(spec, edits)?;
        self.volumes(spec, edits)?;
        let container = self.sidecar.container();
        match spec.get("initContainers") {
            // First, so that the others may call out through it.
            Some(list) => {
                let list = self.document.changeable(list, "initContainers")?;
                edits.items(list, &[container])
            }
            None => {
                let list = json!([container]);
                edits.entries(spec, "containers", &[("initContainers", list)]);
                Ok(())
            }
        }
    }

    /// Containers of a pod share their ports.
    fn ports_are_free(&self, spec: &Node) -> Result<(), Wrong> {
        let lists = ["containers", "initContainers"].map(|key| spec.get(key));
        let containers = lists.into_iter().flatten().flat_map(Node::items);
        let ports = containers.filter_map(|container| container.get("ports"));
        for node in ports
            .flat_map(Node::items)
            .filter_map(|port| port.get("containerPort"))
        {
            let number = node.text().and_then(|text| text.parse::<u16>().ok());
            if PORTS.iter().any(|(_, port)| Some(*port) == number) {
                return Err(Wrong::at(
                    node.place,
                    "the sidecar has this port, and containers of a pod share them",
                    "give the application another one",
                ));
            }
        }
        Ok(())
    }

    /// The label that shows the sidecar, and how Prometheus finds it, unless the pod says so for something else.
    fn metadata(&self, edits: &mut Edits<'_>) -> Result<(), Wrong> {
        let labels = [(LABEL, ASKS)];
        let Some(metadata) = self.pod.get("metadata") else {
            let metadata = json!({ "labels": map(&labels), "annotations": map(&ANNOTATIONS) });
            edits.entries(self.pod, "spec", &[("metadata", metadata)]);
            return Ok(());
        };
        let metadata = self.document.changeable(metadata, "metadata")?;
        if metadata.reach(&["labels", LABEL]).is_none() {
            self.add_to_map(metadata, "labels", &labels, edits)?;
        }
        if !self.is_scraped() {
            self.add_to_map(metadata, "annotations", &ANNOTATIONS, edits)?;
        }
        Ok(())
    }

    fn is_scraped(&self) -> bool {
        let keys = ANNOTATIONS.map(|(key, _)| self.pod.reach(&["metadata", "annotations", key]));
        keys.iter().any(Option::is_some)
    }

    fn add_to_map(
        &self,
        metadata: &Node,
        key: &str,
        added: &[(&str, &str)],
        edits: &mut Edits<'_>,
    ) -> Result<(), Wrong> {
        let Some(there) = metadata.get(key) else {
            edits.entries(metadata, "", &[(key, map(added))]);
            return Ok(());
        };
        let there = self.document.changeable(there, key)?;
        let added: Vec<_> = added
            .iter()
            .map(|(name, value)| (*name, json!(value)))
            .collect();
        edits.entries(there, "", &added);
        Ok(())
    }

    /// Files of Secrets are readable for the pod's group; any group will do, as the container is in it.
    fn group(&self, spec: &Node, edits: &mut Edits<'_>) -> Result<(), Wrong> {
        if self.sidecar.secrets().next().is_none() {
            return Ok(());
        }
        match spec.get("securityContext") {
            None => {
                let context = json!({ "fsGroup": GROUP });
                edits.entries(spec, "containers", &[("securityContext", context)]);
            }
            Some(context) if context.get("fsGroup").is_none() => {
                let context = self.document.changeable(context, "securityContext")?;
                edits.entries(context, "", &[("fsGroup", json!(GROUP))]);
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn volumes(&self, spec: &Node, edits: &mut Edits<'_>) -> Result<(), Wrong> {
        let (names, added): (Vec<_>, Vec<_>) = self.sidecar.volumes().into_iter().unzip();
        let Some(list) = spec.get("volumes") else {
            edits.entries(spec, "containers", &[("volumes", json!(added))]);
            return Ok(());
        };
        let list = self.document.changeable(list, "volumes")?;
        if let Some(name) = names.into_iter().find(|name| list.names(name)) {
            let message = format!("there is a volume `{name}` already, but no sidecar");
            return Err(Wrong::at(list.place, message, "rename it"));
        }
        edits.items(list, &added)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_scraped() {
            notes.push(
                "its prometheus.io annotations are kept, and lead to the application's metrics"
                    .to_owned(),
            );
        }
        if self
            .pod
            .reach(&["spec", "hostNetwork"])
            .and_then(Node::text)
            == Some("true")
        {
            notes.push("it is on the network of its node, and so is the proxy".to_owned());
        }
        notes
    }
}

fn map(entries: &[(&str, &str)]) -> serde_json::Value {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect()
}
