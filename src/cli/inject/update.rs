//! Brings a sidecar that is there already to what it would be given now.
//!
//! It is what `kubectl apply` would do with the component's patch: what this program writes is as it writes it, and what
//! somebody else has added stays.

use serde_json::{Map, Value as Json, json};

use super::edit::Edits;
use super::sidecar::{IMAGE, NAME, Sidecar};
use super::yaml::{Document, Node, Value};

/// The changes of one pod.
pub(super) struct Update<'a, 'e, 't> {
    document: &'a Document,
    sidecar: &'a Sidecar,
    edits: &'e mut Edits<'t>,
    /// What has changed, each key of the container once.
    changed: Vec<String>,
    /// What had to stay.
    left: Vec<String>,
}

impl<'a, 'e, 't> Update<'a, 'e, 't> {
    pub fn new(document: &'a Document, sidecar: &'a Sidecar, edits: &'e mut Edits<'t>) -> Self {
        Update {
            document,
            sidecar,
            edits,
            changed: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Whether anything is otherwise now.
    pub fn changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What somebody should know of it.
    pub fn notes(self) -> Vec<String> {
        let changed =
            (!self.changed.is_empty()).then(|| format!("changed: {}", self.changed.join(", ")));
        changed.into_iter().chain(self.left).collect()
    }

    /// Changes a sidecar and the volumes that it mounts; gives whether it reads Secrets that it did not read before.
    pub fn container(&mut self, spec: &Node, container: &Node) -> bool {
        let mut wanted = self.sidecar.container();
        let Json::Object(keys) = &mut wanted else {
            return false;
        };
        let mounts = keys.remove("volumeMounts");
        let ports = keys.remove("ports");
        let image = container.get("image").and_then(Node::text);
        if self.sidecar.image.is_none() && image.is_some_and(|image| !image.starts_with(IMAGE)) {
            keys.remove("image");
        }
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            // Two ways to ask are no probe for Kubernetes.
            let there = container.get(probe);
            if there.is_some_and(|probe| probe.get("httpGet").is_none()) {
                keys.remove(probe);
            }
        }
        self.mapping("", container, keys);
        self.items(
            container,
            "ports",
            "containerPort",
            &ports.unwrap_or_default(),
        );
        self.sources(spec);
        let added = self.items(
            container,
            "volumeMounts",
            "mountPath",
            &mounts.unwrap_or_default(),
        );
        self.volumes(spec, &added);
        added.iter().any(|mount| mount["name"] != NAME)
    }

    /// The ConfigMap and the Secrets that are named now, in volumes that are there.
    fn sources(&mut self, spec: &Node) {
        let secrets = self
            .sidecar
            .secrets()
            .map(|(volume, name)| (volume, "secret", "secretName", name));
        let config_map = self.sidecar.config_map.as_deref();
        let config_map = config_map.map(|name| (NAME, "configMap", "name", name));
        let named: Vec<_> = secrets.chain(config_map).collect();
        let list = spec.get("volumes");
        for (volume, source, key, name) in named {
            let Some(source) = list.and_then(|list| list.named(volume)?.get(source)) else {
                continue;
            };
            if let Some(there) = source.get(key) {
                self.scalar(&format!("the volume {volume}"), there, &json!(name));
            }
        }
    }

    /// The volumes of mounts that were added, but for those that are there.
    fn volumes(&mut self, spec: &Node, mounts: &[Json]) {
        let volumes = self.sidecar.volumes().into_iter();
        let wanted = volumes.filter(|(name, _)| mounts.iter().any(|mount| mount["name"] == *name));
        let wanted: Json = wanted.map(|(_, volume)| volume).collect();
        self.items(spec, "volumes", "name", &wanted);
    }

    /// Adds to a list what has none of its items' values of `key`; gives what that was.
    fn items(&mut self, mapping: &Node, name: &str, key: &str, wanted: &Json) -> Vec<Json> {
        let text = |value: &Json| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let list = mapping.get(name);
        let there = |item: &&Json| {
            let items = list.map(Node::items).unwrap_or_default().iter();
            items
                .filter_map(|item| item.get(key)?.text())
                .any(|found| found == text(&item[key]))
        };
        let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
        let lacking: Vec<Json> = wanted.iter().filter(|item| !there(item)).cloned().collect();
        if lacking.is_empty() {
            return lacking;
        }
        let done = match list {
            None => {
                let changeable = self.changeable(mapping, name);
                if changeable {
                    let before = if name == "volumes" {
                        "containers"
                    } else {
                        "image"
                    };
                    self.edits
                        .entries(mapping, before, &[(name, json!(lacking))]);
                }
                changeable
            }
            Some(list) => self.changeable(list, name) && self.edits.items(list, &lacking).is_ok(),
        };
        if !done {
            self.leave(name, list.unwrap_or(mapping));
            return Vec::new();
        }
        self.note(name);
        lacking
    }

    fn mapping(&mut self, path: &str, there: &Node, wanted: &Map<String, Json>) {
        let Value::Mapping { .. } = there.value else {
            return self.leave(path, there);
        };
        let mut lacking = Vec::new();
        for (key, value) in wanted {
            let path = if path.is_empty() { key } else { path };
            match there.get(key) {
                None => lacking.push((key.as_str(), value.clone())),
                Some(node) if self.document.is_shared(node) => self.leave(path, node),
                Some(node) => match value {
                    Json::Object(wanted) => self.mapping(path, node, wanted),
                    Json::Array(wanted) => self.scalars(path, node, wanted),
                    _ => self.scalar(path, node, value),
                },
            }
        }
        if lacking.is_empty() {
            return;
        }
        let path = if path.is_empty() {
            lacking[0].0.to_owned()
        } else {
            path.to_owned()
        };
        if self.changeable(there, &path) {
            self.edits.entries(there, "image", &lacking);
            self.note(&path);
        } else {
            self.leave(&path, there);
        }
    }

    fn scalars(&mut self, path: &str, there: &Node, wanted: &[Json]) {
        let Value::Sequence { items, .. } = &there.value else {
            return self.leave(path, there);
        };
        let found = items.iter().map(Node::text);
        if found.eq(wanted.iter().map(Json::as_str)) {
            return;
        }
        let plain = items
            .iter()
            .all(|item| item.text().is_some() && !self.document.is_shared(item));
        if !plain || !self.changeable(there, path) {
            return self.leave(path, there);
        }
        let done = if items.is_empty() {
            self.edits.items(there, wanted).is_ok()
        } else {
            self.edits.scalars(there, wanted)
        };
        if !done {
            return self.leave(path, there);
        }
        self.note(path);
    }

    fn scalar(&mut self, path: &str, there: &Node, wanted: &Json) {
        let Some(found) = there.text() else {
            return self.leave(path, there);
        };
        let text = wanted
            .as_str()
            .map_or_else(|| wanted.to_string(), str::to_owned);
        if found == text {
            return;
        }
        if self.document.is_shared(there) || !self.edits.scalar(there, wanted) {
            return self.leave(path, there);
        }
        self.note(path);
    }

    fn changeable(&self, node: &Node, what: &str) -> bool {
        self.document.changeable(node, what).is_ok()
    }

    fn note(&mut self, key: &str) {
        if !self.changed.iter().any(|changed| changed == key) {
            self.changed.push(key.to_owned());
        }
    }

    fn leave(&mut self, what: &str, node: &Node) {
        let what = if what.is_empty() { NAME } else { what };
        let line = node.place.line;
        self.left.push(format!("`{what}` in line {line} was left as it is: an alias stands there or for it, or it is empty"));
    }
}
