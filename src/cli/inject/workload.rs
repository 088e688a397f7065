//! Finds what makes pods in a manifest, and gives a sidecar to those that ask for one.

use serde_json::json;

use super::edit::Edits;
use super::sidecar::{ANNOTATIONS, ASKS, GROUP, LABEL, NAME, PORTS, REFUSES, Sidecar};
use super::update::Update;
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
    /// It is there already, and has been brought up to date.
    Updated,
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
        let there = self.there();
        if asked == Some(false) {
            let notes =
                there.map(|_| "it has one all the same, which was left as it is".to_owned());
            return Ok(outcome(What::Refused, Vec::from_iter(notes)));
        }
        let taken = asked == Some(true) || (all && known);
        match there {
            Some(There::Native(container)) if taken => {
                return self.update(container, edits, outcome);
            }
            Some(There::Native(_)) => return Ok(outcome(What::Kept, Vec::new())),
            Some(There::Ordinary) => {
                let note = "it is no native sidecar, and was left as it is: a Job would not end";
                return Ok(outcome(What::Kept, vec![note.to_owned()]));
            }
            None => {}
        }
        if !taken {
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

    fn there(&self) -> Option<There<'_>> {
        let named = |list: &'static str| {
            let list = self.pod.reach(&["spec", list])?;
            list.named(NAME)
        };
        let native = named("initContainers").map(There::Native);
        native.or_else(|| named("containers").map(|_| There::Ordinary))
    }

    fn update(
        &self,
        container: &Node,
        edits: &mut Edits<'_>,
        outcome: impl Fn(What, Vec<String>) -> Outcome,
    ) -> Result<Outcome, Wrong> {
        let Some(spec) = self.pod.get("spec") else {
            return Ok(outcome(What::Kept, Vec::new()));
        };
        let list = spec.get("initContainers");
        let within = [Some(self.pod), Some(spec), list, Some(container)];
        let mut within = within.into_iter().flatten();
        if let Some(shared) = within.find(|node| self.document.is_shared(node)) {
            let line = shared.place.line;
            let note = format!("it was left as it is: an alias stands for what is in line {line}");
            return Ok(outcome(What::Kept, vec![note]));
        }
        self.ports_are_free(spec)?;
        let mut update = Update::new(self.document, self.sidecar, edits);
        let adds_secrets = update.container(spec, container);
        let what = if update.changes() {
            What::Updated
        } else {
            What::Kept
        };
        let mut notes = update.notes();
        if adds_secrets {
            self.group(spec, edits)?;
        }
        notes.extend(self.grace());
        Ok(outcome(what, notes))
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
        let others = containers.filter(|container| !container.is_named(NAME));
        let ports = others.filter_map(|container| container.get("ports"));
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
        notes.extend(self.grace());
        notes
    }

    /// A pod that is killed before the proxy has drained.
    fn grace(&self) -> Option<String> {
        let node = self.pod.reach(&["spec", "terminationGracePeriodSeconds"])?;
        let seconds: u64 = node.text()?.parse().ok()?;
        let line = node.place.line;
        (seconds < DRAIN + LEAST).then(|| {
            format!(
                "its terminationGracePeriodSeconds (line {line}) is {seconds} s: the application's own end and then the proxy's drain_timeout, {DRAIN} s unless its config says otherwise"
            )
        })
    }
}

/// The proxy's own `drain_timeout` where its config says nothing, in seconds.
pub(super) const DRAIN: u64 = 25;
/// What an application should have to end in, in seconds: what is left of Kubernetes' 30 s.
pub(super) const LEAST: u64 = 5;

/// A sidecar that a pod has already.
enum There<'a> {
    Native(&'a Node),
    /// A container like any other.
    Ordinary,
}

fn map(entries: &[(&str, &str)]) -> serde_json::Value {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect()
}
