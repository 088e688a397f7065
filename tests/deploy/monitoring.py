#!/usr/bin/env python3
"""Checks the rules, the scrape config and the dashboard with promtool; see `run` beside this file."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/outrigger.json"

# For each alert what has it fire, and something near it that does not: series, each with its values a minute apart. `_`
# is a minute without a sample, `1+2x3` stands for 1 3 5 7.
BUILD = {'outrigger_build_info{instance="a"}': "1x60"}
CASES = {
    "OutriggerConfigRefused": ("outrigger_config_last_reload_successful", "0x60", "1x60"),
    "OutriggerRestarts": (BUILD, "process_start_time_seconds{instance='a'}", "1 2 3 4x57", "1 2 3x58"),
    "OutriggerMemoryHigh": (BUILD, "process_resident_memory_bytes{instance='a'}", "220000000x60", "200000000x60"),
    "OutriggerFileDescriptors": (
        BUILD | {"process_max_fds{instance='a'}": "100x60"}, "process_open_fds{instance='a'}", "81x60", "80x60",
    ),
    "OutriggerLogLinesDropped": ("outrigger_log_lines_dropped_total", "0+1x60", "7x60"),
    "OutriggerSpansDropped": ("outrigger_spans_dropped_total{reason='failed'}", "0+1x60", "7x60"),
    "OutriggerRouteFailing": (
        {"outrigger_requests_total{route='a', code='200'}": "0+90x60"},
        "outrigger_requests_total{route='a', code='503'}", "0+10x60", "0+4x60",
    ),
    "OutriggerCircuitOpen": ("outrigger_circuit_breaker_state{route='a'}", "2x60", "1x60"),
    "OutriggerOverloaded": ("outrigger_refused_total{route='a', reason='overloaded'}", "0+1x60", "7x60"),
    "OutriggerRetryBudgetExhausted": ("outrigger_retry_budget_exhausted_total{route='a'}", "0+1x60", "7x60"),
    "OutriggerUpstreamDown": (
        {"outrigger_upstream_endpoints{upstream='a', state='ejected'}": "2x60"},
        "outrigger_upstream_endpoints{upstream='a', state='available'}", "0x60", "1x60",
    ),
    "OutriggerUpstreamFailing": (
        {"outrigger_upstream_requests_total{upstream='a', result='2xx'}": "0+80x60"},
        "outrigger_upstream_requests_total{upstream='a', result='timeout'}", "0+20x60", "0+8x60",
    ),
    "OutriggerEndpointOut": ("outrigger_endpoint_healthy{upstream='a', endpoint='b'}", "0x60", "0x40 1x20"),
    # An hour after the start it is 3600.
    "OutriggerCertificateExpires": ("outrigger_certificate_expiry_timestamp_seconds{name='a'}", "600000x120", "999999x120"),
    "OutriggerCertificateExpired": ("outrigger_certificate_expiry_timestamp_seconds{name='a'}", "3500x60", "3700x60"),
    "OutriggerRevocationListStale": ("outrigger_revocation_next_update_timestamp_seconds{name='a'}", "0x120", "9999x120"),
    "OutriggerCredentialsFailing": ("outrigger_credential_refreshes_total{route='a', result='failed'}", "0+1x60", "7x60"),
    "OutriggerKeysFailing": ("outrigger_key_refreshes_total{route='a', result='failed'}", "0+1x60", "7x60"),
    "OutriggerBrokerDisconnected": ("outrigger_broker_connected{broker='a'}", "0x60", "1x60"),
    "OutriggerBrokerBlocked": ("outrigger_broker_blocked{broker='a'}", "1x60", "0x60"),
    "OutriggerDeadLetters": ("outrigger_dead_lettered_total{subscription='a', reason='attempts'}", "0x55 1x5", "1x60"),
    "OutriggerSubscriptionBehind": ("outrigger_subscription_lag{subscription='a'}", "2000+1x60", "3000-1x60"),
    "OutriggerDatabaseDown": ("outrigger_database_up{database='a'}", "0x60", "1x60"),
    "OutriggerDatabaseWaiting": ("outrigger_database_waiting{database='a'}", "1x60", "0x60"),
    "OutriggerRelayUnhealthy": ("outrigger_relay_healthy{relay='a'}", "0x60", "1x60"),
    "OutriggerRelayBehind": ("outrigger_relay_lag_seconds{relay='a'}", "301x60", "300x60"),
    "OutriggerRelaySetAside": ("outrigger_relay_set_aside{relay='a'}", "1x60", "0x60"),
}
# How the alerts of a case are labelled, beside what the case says: rules that divide keep no other labels.
LABEL = re.compile(r"(\w+)=['\"]([^'\"]*)['\"]")


class Wrong(Exception):
    """What is not as it should be."""


def main():
    rules = yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())
    operator = yaml.safe_load((PROMETHEUS / "prometheusrule.yaml").read_text())
    if operator["spec"] != rules:
        raise Wrong("prometheusrule.yaml is not rules.yaml")
    queries = dashboard_queries()
    names_are_known([*queries, *(rule["expr"] for group in rules["groups"] for rule in group["rules"])], rules)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        promtool("check", "rules", PROMETHEUS / "rules.yaml")
        shown = [{"record": f"query_{at}", "expr": filled(query)} for at, query in enumerate(queries)]
        write(folder / "queries.yaml", {"groups": [{"name": "dashboard", "rules": shown}]})
        promtool("check", "rules", folder / "queries.yaml")
        check_scrape(folder)
        alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
        if {rule["alert"] for rule in alerts} != set(CASES):
            raise Wrong("alerts without a case, or cases without an alert")
        tests = [test for rule in alerts for test in cases(rule)]
        rule_files = [str(PROMETHEUS / "rules.yaml")]
        write(folder / "tests.yaml", {"rule_files": rule_files, "evaluation_interval": "1m", "tests": tests})
        promtool("test", "rules", folder / "tests.yaml")
    print(f"{len(alerts)} alerts fire when they should, and only then; {len(queries)} queries of the dashboard are well formed")


def dashboard_queries():
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return found + [each["expr"] for each in dashboard["annotations"]["list"]]


def filled(query, interval="5m"):
    """A query of the dashboard with everything selected."""
    query = query.replace("$__rate_interval", interval)
    return re.sub(r'"\$\w+"', '".*"', query)


def names_are_known(queries, rules):
    """A metric that is spelled wrong is no error for Prometheus: it has no data."""
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    known = set(re.findall(r'"((?:outrigger|process)_\w+)"', sources))
    known |= {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    for query in queries:
        for name in re.findall(r"[a-z_]*:?(?:outrigger|process)_\w+(?::\w+)?", query):
            if name not in known and re.sub("_(bucket|sum|count)$", "", name) not in known:
                raise Wrong(f"there is no metric {name}")


def check_scrape(folder):
    """With what finds pods replaced: Debian's Prometheus is built without it."""
    scrape = yaml.safe_load((PROMETHEUS / "scrape.yaml").read_text())
    for job in scrape["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    write(folder / "prometheus.yaml", scrape | {"rule_files": [str(PROMETHEUS / "rules.yaml")]})
    promtool("check", "config", folder / "prometheus.yaml")


def cases(rule):
    """Two tests of an alert."""
    case = CASES[rule["alert"]]
    beside = case[0] if isinstance(case[0], dict) else {}
    series, *values = case[1:] if beside else case
    labels = dict(LABEL.findall(series))
    aggregated = re.search(r"by \(([^)]*)\)", rule["expr"]) or "ratio" in rule["expr"]
    kept = {"route", "upstream", "subscription", "reason"} if aggregated else set(labels)
    if rule["alert"] == "OutriggerOverloaded":
        kept -= {"reason"}
    labels = {key: value for key, value in labels.items() if key in kept} | rule["labels"]
    fires = {
        "exp_labels": labels,
        "exp_annotations": {key: told(text, labels) for key, text in rule["annotations"].items()},
    }
    at = "2h" if "120" in values[0] else "1h"
    for value, expected in zip(values, [[fires], []]):
        inputs = {**beside, series: value}
        yield {
            "interval": "1m",
            "input_series": [{"series": name, "values": found} for name, found in inputs.items()],
            "alert_rule_test": [{"eval_time": at, "alertname": rule["alert"], "exp_alerts": expected}],
        }


def told(text, labels):
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)


def write(path, content):
    path.write_text(json.dumps(content))


def promtool(*words):
    done = subprocess.run(["promtool", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"promtool {words[0]} {words[1]}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"monitoring: {wrong}")
