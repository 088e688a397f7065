#!/bin/bash
# metrics-exporter-prometheus 0.18.3 (Rust) takes two backslashes in a label's value for one that is escaped already, and
# drops a backslash that stands before a quote. Both are lost without an error: what Prometheus's own Python parser reads
# back is not what was measured, and two series whose values differ only so become one name in the text, twice.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prometheus-client==0.22.1

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "labels"
version = "0.0.0"
edition = "2021"

[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
TOML
cat >src/main.rs <<'RUST'
use metrics_exporter_prometheus::PrometheusBuilder;

fn main() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let text = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        for share in [r"\\host\share", r"\host\share", r#"say \"hi\""#] {
            metrics::counter!("opened", "share" => share).increment(1);
        }
    });
    print!("{}", text.render());
}
RUST
CARGO_TARGET_DIR=$work/target cargo run --quiet >metrics.txt
cat metrics.txt

venv/bin/python - <<'PYTHON'
from prometheus_client.parser import text_string_to_metric_families

with open("metrics.txt") as file:
    samples = [s for family in text_string_to_metric_families(file.read()) for s in family.samples]
read = sorted(sample.labels["share"] for sample in samples)
print("read back:", *read, sep="\n  ")
# Measured were \\host\share, \host\share and say \"hi\".
assert read == sorted([r"\host\share", r"\host\share", 'say "hi"']), read
PYTHON
echo "as described"
