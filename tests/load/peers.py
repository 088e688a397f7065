"""Other proxies, set up as outrigger is here: one route to one upstream over kept-alive connections."""

import json
import pathlib
import shutil
import subprocess
import tempfile

import harness

NGINX = """
daemon off; worker_processes {workers}; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_timeout 1h; keepalive_requests 1000000;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 100; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread {workers}
  maxconn 4096
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 1s
  timeout http-keep-alive 1h
  option http-keep-alive
  http-reuse always
frontend main
  bind 127.0.0.1:{port}
  default_backend app
backend app
  server app 127.0.0.1:{upstream}
"""


def envoy_config(port, upstream):
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "main",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}],
    }
    listener = {"address": address(port), "filter_chains": [
        {"filters": [{"name": "http", "typed_config": manager}]}]}
    cluster = {"name": "app", "type": "STATIC", "load_assignment": {"cluster_name": "app", "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]}}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


class Peer:
    """One of them at work; `envoy` makes Envoy's config for a port."""

    def __init__(self, name, binary, upstream, workers, envoy=None):
        self.name = name
        self.port = harness.free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="peer-"))
        # nginx drops its rights when it has any to drop.
        self.directory.chmod(0o777)
        config = self.directory / "config.json"
        if name == "envoy":
            config.write_text(envoy(self.port) if envoy else envoy_config(self.port, upstream))
            command = [binary, "-c", config, "--concurrency", str(workers), "--use-dynamic-base-id", "-l", "error"]
        else:
            template = {"nginx": NGINX, "haproxy": HAPROXY}[name]
            config.write_text(template.format(port=self.port, upstream=upstream, workers=workers, directory=self.directory))
            command = [binary, "-c", config] if name == "nginx" else [binary, "-db", "-f", config]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def __enter__(self):
        harness.eventually(f"{self.name} accepts", lambda: harness.accepts(self.port))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def footprint(self):
        return harness.footprint(family(self.process.pid))


def family(pid):
    """A process and those that it has started."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [member for child in children for member in family(int(child))]
