#!/usr/bin/env python3
"""Everything that deploy/prometheus and deploy/grafana ask for has data: see README.md."""

import argparse
import http.client
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import harness
import pki
import relay
import servers

sys.path.insert(0, str(harness.ROOT / "tests/deploy"))
import drawing
import monitoring
import yaml

# What answers: it stands in for applications, a collector, a token server and a key server.
ORIGIN = """
[routes.ok]
respond = { body = "{}", headers = { content-type = "application/json" } }
[routes.bad]
match = { path = "/bad" }
respond = { status = 503 }
[routes.call]
match = { path = "/hello.Greeter/{method}" }
respond = { headers = { content-type = "application/grpc", grpc-status = "0" } }
[routes.traces]
match = { path = "/v1/traces" }
respond = { headers = { content-type = "application/x-protobuf" } }
[routes.token]
match = { path = "/token" }
respond = { body = '{"access_token": "a", "token_type": "bearer", "expires_in": 3600}', headers = { content-type = "application/json" } }
[routes.keys]
match = { path = "/keys" }
respond = { body = 'KEYS', headers = { content-type = "application/json" } }
"""
# Something of each kind.
CONFIG = """
[tracing]
endpoint = "http://127.0.0.1:{origin}"
sample_ratio = 1.0

[listeners.tls]
listen = "127.0.0.1:{tls_port}"
[listeners.tls.tls]
cert = "{tls}/server.crt"
key = "{tls}/server.key"
client_ca = "{tls}/ca.crt"
client_auth = "optional"
crl = "{tls}/ca.crl"

[listeners.raw]
listen = "127.0.0.1:{raw_port}"
protocols = []
pass_through = {{}}
[tcp_routes.raw]
upstream = "app"

[upstreams.app]
endpoints = ["127.0.0.1:{origin}"]
health_check = {{ path = "/", interval = "1s" }}
[upstreams.calls]
endpoints = ["127.0.0.1:{origin}"]
protocol = "http2"
[upstreams.slow]
endpoints = ["127.0.0.1:{slow}"]
[upstreams.gone]
endpoints = ["127.0.0.1:1"]

[routes.app]
upstream = "app"
mirror = {{ upstream = "calls" }}
response = {{ body = [{{ set = {{ "/a" = 1 }} }}] }}
[routes.fragile]
match = {{ path = "/bad" }}
upstream = "app"
retry = {{ on = ["503"], attempts = 2 }}
circuit_breaker = {{ consecutive_failures = 3, recovery_timeout = "2s" }}
[routes.gone]
match = {{ path = "/gone" }}
upstream = "gone"
[routes.limited]
match = {{ path = "/limited" }}
respond = {{}}
rate_limit = {{ requests = 1, per = "10s" }}
[routes.narrow]
match = {{ path = "/slow/{{*rest}}" }}
upstream = "slow"
concurrency_limit = {{ max = 1 }}
[routes.call]
match = {{ path = "/hello.Greeter/{{method}}" }}
upstream = "calls"
[routes.token]
match = {{ path = "/with-token" }}
upstream = "app"
credentials = {{ oauth2 = {{ token_url = "http://127.0.0.1:{origin}/token", client_id = "a", client_secret = {{ value = "b" }} }} }}
[routes.signed]
match = {{ path = "/signed" }}
upstream = "app"
jwt = {{ issuer = "a", audiences = ["a"], jwks = {{ url = "http://127.0.0.1:{origin}/keys" }}, algorithms = ["ES256"] }}

[databases.notes]
url = {{ value = "sqlite://{sqlite}" }}
[routes.notes]
match = {{ path = "/notes" }}
sql = {{ database = "notes", statement = "select 1 as one" }}

{broker}
[brokers.events.streams.work]
subjects = ["work.>"]
retention = "work-queue"
[brokers.events.streams.poison]
subjects = ["poison.>"]
retention = "work-queue"
[brokers.events.streams.rows]
subjects = ["rows.>"]
[routes.publish]
match = {{ path = "/publish/{{stream}}" }}
publish = {{ broker = "events", subject = "${{path.stream}}.new" }}
[subscriptions.work]
broker = "events"
stream = "work"
route = "app"
[subscriptions.poison]
broker = "events"
stream = "poison"
route = "refuse"
[routes.refuse]
match = {{ path = "/refuse" }}
respond = {{ status = 400 }}

[databases.main]
url = {{ value = "{postgres}" }}
[relays.rows]
database = "main"
table = "outbox"
columns = {{ key = "aggregate_id", created_at = "created_at", attempts = "attempts", error = "error" }}
publish = {{ broker = "events", subject = "rows.new" }}
notify = "outbox"
"""
PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{rules}"]
scrape_configs: [{{ job_name: outrigger, static_configs: [{{ targets: ["127.0.0.1:{port}"], labels: {{ namespace: drill }} }}] }}]
"""
# How long the traffic goes on before the queries are asked.
TRAFFIC = 25


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--draw", type=pathlib.Path, help="draw the dashboard into this file, as an SVG")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    keys = (harness.ROOT / "config/examples/jwt/keys.json").read_text().replace("\n", "")
    with (servers.of("nats") as broker, relay.Postgres(False) as postgres, harness.Upstream() as slow,
          harness.Proxy(arguments.binary, ORIGIN.replace("KEYS", keys)) as origin):
        names = certificates(broker.directory)
        sqlite3.connect(broker.directory / "notes.db").execute("create table notes (id integer)")
        tls_port, raw_port = harness.free_port(), harness.free_port()
        config = CONFIG.format(origin=origin.port, slow=slow.port, tls=names, tls_port=tls_port, raw_port=raw_port, broker=broker.block("events"),
                               sqlite=broker.directory / "notes.db", postgres=postgres.url)
        with harness.Proxy(arguments.binary, config) as proxy, Prometheus(broker.directory, proxy.admin_port) as prometheus:
            traffic(proxy, tls_port, raw_port, names, postgres)
            judge(verdict, prometheus)
            if arguments.draw:
                drawing.draw(prometheus.port, arguments.draw, TRAFFIC)
    verdict.end()


def certificates(directory):
    """The folder of a certificate, its key, its CA and a revocation list."""
    authority = pki.Authority(directory, "tls")
    authority.write(authority.issue("server"), "server")
    (authority.directory / "index").write_text("")
    (authority.directory / "config").write_text("[ca]\ndefault_ca = d\n[d]\ndatabase = index\ndefault_md = sha256\n")
    authority.openssl("ca", "-gencrl", "-config", "config", "-keyfile", "ca.key", "-cert", "ca.crt", "-crldays", "7",
                      "-out", "ca.crl")
    return authority.directory


def traffic(proxy, tls_port, raw_port, names, postgres):
    """Asks for everything, again and again; amid it the config changes, once to a good one and once to a bad one."""
    base = f"http://127.0.0.1:{proxy.port}"
    file = proxy.config / "outrigger.toml"
    text = file.read_text()
    changes = {5: "[routes.more]\nmatch = { path = '/more' }\nrespond = {}\n", 8: "x = 1\n", 12: ""}
    end, turn = time.monotonic() + TRAFFIC, 0
    while time.monotonic() < end:
        turn += 1
        for path in ["/", "/bad", "/gone", "/limited", "/with-token", "/signed", "/notes", "/none/such"]:
            ask(proxy.port, "GET", path)
        both = [threading.Thread(target=ask, args=(proxy.port, "GET", "/slow/1000/0.2")) for _ in range(2)]
        for one in both:
            one.start()
        for stream in ["work", "poison"]:
            ask(proxy.port, "POST", f"/publish/{stream}", "{}")
        curl("--http2-prior-knowledge", "--header", "content-type: application/grpc", "--header", "te: trailers", "--data", "",
             f"{base}/hello.Greeter/SayHello")
        curl("--cacert", names / "ca.crt", f"https://localhost:{tls_port}/")
        ask(raw_port, "GET", "/")
        postgres.insert(turn * 10, 10, 3)
        for one in both:
            one.join()
        if turn in changes:
            file.write_text(text + changes[turn])
        time.sleep(0.3)


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.SOON)
    connection.request(method, path, body, {"content-type": "application/json"} if body else {})
    connection.getresponse().read()
    connection.close()


def curl(*words):
    subprocess.run(["curl", "--silent", "--max-time", "5", *map(str, words)], stdout=subprocess.DEVNULL, check=False)


class Prometheus:
    def __init__(self, directory, scraped):
        self.port = harness.free_port()
        config = directory / "prometheus.yaml"
        config.write_text(PROMETHEUS.format(rules=monitoring.PROMETHEUS / "rules.yaml", port=scraped))
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory}/prometheus",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"])

    def __enter__(self):
        harness.eventually("Prometheus is there", lambda: harness.accepts(self.port))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def query(self, query):
        """The series that a query gives now; those that are not a number are left out."""
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{words}", timeout=harness.SOON) as answer:
            found = json.load(answer)["data"]["result"]
        return [series for series in found if series["value"][1] != "NaN"]


def judge(verdict, prometheus):
    """Each query of the dashboard, each recorded series, and of each alert every series that it looks at."""
    shown = monitoring.dashboard_queries()
    empty = [query for query in shown if not prometheus.query(monitoring.filled(query, "20s")) and "changes(" not in query]
    verdict.holds(f"of {len(shown)} queries of the dashboard, {len(empty)} have no data {empty}", not empty)
    rules = yaml.safe_load((monitoring.PROMETHEUS / "rules.yaml").read_text())
    rules = [rule for group in rules["groups"] for rule in group["rules"]]
    recorded = [rule["record"] for rule in rules if "record" in rule]
    empty = [name for name in recorded if not prometheus.query(name)]
    verdict.holds(f"of {len(recorded)} recorded series, {len(empty)} have no data {empty}", not empty)
    alerts = [rule for rule in rules if "alert" in rule]
    empty = []
    for rule in alerts:
        for selector in re.findall(r"(?:\w+:)?(?:outrigger|process)_\w+(?::\w+)?(?:\{[^}]*\})?", rule["expr"]):
            if not prometheus.query(selector):
                empty.append((rule["alert"], selector))
    verdict.holds(f"of what {len(alerts)} alerts look at, {len(empty)} series have no data {empty}", not empty)
    firing = sorted({series["metric"]["alertname"] for series in prometheus.query("ALERTS")})
    print(f"      alerts that fire or are about to: {', '.join(firing)}")


if __name__ == "__main__":
    main()
