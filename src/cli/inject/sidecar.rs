//! What a pod is given: the same as by the components in deploy/kubernetes.

use clap::Args;
use serde_json::{Map, Value, json};

/// The container's name, and that of the volume with its config.
pub(super) const NAME: &str = "outrigger";
/// The label by which workloads ask for it, and pods show it.
pub(super) const LABEL: &str = "outrigger";
pub(super) const ASKS: &str = "sidecar";
pub(super) const REFUSES: &str = "none";

pub(super) const PORTS: [(&str, u16); 2] = [("proxied", 15001), ("probes", 15021)];
/// The user and group that the container runs as.
pub(super) const GROUP: u32 = 65532;

/// The image that is given where none is named, of which version that may be.
pub(super) const IMAGE: &str = "outrigger:";

const SECRETS: &str = "outrigger-secrets";
const TLS: &str = "outrigger-tls";

/// Where what it reads comes from.
#[derive(Args, Debug)]
pub(super) struct Sidecar {
    /// The image of the proxy [default: that of a proxy that is there already, else outrigger:VERSION]
    #[arg(long, env = "OUTRIGGER_IMAGE")]
    pub image: Option<String>,
    /// The ConfigMap whose keys are the files of its config [default: as it is there already, else outrigger]
    #[arg(long)]
    pub config_map: Option<String>,
    /// A Secret whose keys become files in /etc/outrigger-secrets
    #[arg(long)]
    pub secret: Option<String>,
    /// A Secret with `tls.crt`, `tls.key` and `ca.crt`, which become files in /etc/outrigger-tls
    #[arg(long)]
    pub tls_secret: Option<String>,
    /// What the proxy is sure to have, as cpu=50m,memory=32Mi
    #[arg(long, value_name = "RESOURCES", value_parser = quantities)]
    pub requests: Option<Map<String, Value>>,
    /// The most it may have, as memory=256Mi
    #[arg(long, value_name = "RESOURCES", value_parser = quantities)]
    pub limits: Option<Map<String, Value>>,
}

/// `NAME=QUANTITY,...`, as `kubectl set resources` takes it.
pub(super) fn quantities(text: &str) -> Result<Map<String, Value>, String> {
    let pairs = text.split(',').map(|pair| {
        let (name, quantity) = pair
            .split_once('=')
            .ok_or_else(|| format!("`{pair}` is not NAME=QUANTITY"))?;
        if !["cpu", "memory", "ephemeral-storage"].contains(&name) {
            return Err(format!(
                "`{name}` is none of cpu, memory, ephemeral-storage"
            ));
        }
        if !quantity.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Err(format!("`{quantity}` is no quantity, as 50m or 256Mi"));
        }
        Ok((name.to_owned(), json!(quantity)))
    });
    pairs.collect()
}

impl Sidecar {
    fn resources(&self) -> Value {
        let with = |mut resources: Map<String, Value>, named: &Option<Map<String, Value>>| {
            resources.extend(named.clone().unwrap_or_default());
            resources
        };
        let requests = [("cpu", "50m"), ("memory", "32Mi")];
        let requests = requests.map(|(name, quantity)| (name.to_owned(), json!(quantity)));
        let limits = [("memory".to_owned(), json!("256Mi"))];
        json!({
            "requests": with(Map::from_iter(requests), &self.requests),
            "limits": with(Map::from_iter(limits), &self.limits),
        })
    }

    pub fn container(&self) -> Value {
        let ports = PORTS.map(|(name, port)| json!({ "name": name, "containerPort": port }));
        let probe = |path: &str| json!({ "path": path, "port": "probes" });
        let mounts = std::iter::once(NAME).chain(self.secrets().map(|(volume, _)| volume));
        let mounts: Vec<Value> = mounts
            .map(|volume| json!({ "name": volume, "mountPath": format!("/etc/{volume}"), "readOnly": true }))
            .collect();
        json!({
            "name": NAME,
            "image": self.image.as_deref().unwrap_or(concat!("outrigger:", env!("CARGO_PKG_VERSION"))),
            "restartPolicy": "Always",
            "args": ["run", "--config", "/etc/outrigger"],
            "ports": ports,
            "startupProbe": { "httpGet": probe("/readyz"), "periodSeconds": 1, "failureThreshold": 60 },
            "readinessProbe": { "httpGet": probe("/readyz"), "periodSeconds": 5 },
            "livenessProbe": { "httpGet": probe("/livez"), "periodSeconds": 10, "failureThreshold": 6 },
            "resources": self.resources(),
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": GROUP,
                "runAsGroup": GROUP,
                "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "volumeMounts": mounts,
        })
    }

    /// The volumes that the container mounts, each with its name.
    pub fn volumes(&self) -> Vec<(&'static str, Value)> {
        let config_map = self.config_map.as_deref().unwrap_or(NAME);
        let config = json!({ "name": NAME, "configMap": { "name": config_map } });
        // 0440: for the owner and the group.
        let secrets = self.secrets().map(|(volume, secret)| {
            let source = json!({ "secretName": secret, "defaultMode": 0o440 });
            (volume, json!({ "name": volume, "secret": source }))
        });
        std::iter::once((NAME, config)).chain(secrets).collect()
    }

    /// The volumes that are Secrets, each with the Secret's name.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let both = [(SECRETS, &self.secret), (TLS, &self.tls_secret)];
        both.into_iter()
            .filter_map(|(volume, secret)| Some((volume, secret.as_deref()?)))
    }
}

/// The annotations by which Prometheus finds its metrics, where that is set up so.
pub(super) const ANNOTATIONS: [(&str, &str); 3] = [
    ("prometheus.io/scrape", "true"),
    ("prometheus.io/port", "15021"),
    ("prometheus.io/path", "/metrics"),
];
