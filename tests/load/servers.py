"""Brokers of one's own: RabbitMQ and NATS, each with its data in a directory, on ports that they keep."""

import pathlib
import shutil
import subprocess
import tempfile

import harness

SERVERS = harness.ROOT / "tests/servers"


def of(kind, **settings):
    """A broker that runs."""
    return {"rabbitmq": RabbitMq, "nats": Nats}[kind](**settings)


class Server:
    """What both can do. `kind` is its name here."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="outrigger-broker-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def block(self, name, url=None):
        """The broker `name` in the proxy's config, without what it declares."""
        return f'[brokers.{name}]\nurl = {{ value = "{url or self.url}" }}\n'


class RabbitMq(Server):
    kind = "rabbitmq"

    def __init__(self):
        super().__init__()
        self.start()
        self.url = self.run("url")

    def run(self, command, *arguments):
        ran = subprocess.run([SERVERS / "rabbitmq", command, self.directory, *arguments],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if ran.returncode:
            raise RuntimeError(f"rabbitmq {command}: {ran.stdout}{ran.stderr}")
        return ran.stdout.strip()

    def start(self):
        self.run("start")
        self.run("ready")

    def kill(self):
        self.run("kill")

    def stop(self):
        self.run("stop")

    def end(self):
        self.run("kill")
        # With this goes what serves all nodes, and outlives them.
        self.run("stop")

    def depth(self, queue):
        """How many messages a queue has; None where there is none of that name."""
        for line in self.run("ctl", "list_queues", "--no-table-headers", "name", "messages").splitlines():
            name, _, count = line.partition("\t")
            if name == queue:
                return int(count)
        return None

    def keep(self, name, retry=(), most=None, lives=None, variant=False):
        """The block of the queue `name` of the broker `events`."""
        lines = [f"[brokers.events.queues.{name}]"]
        if retry:
            lines.append(f"retry = {{ delays = {quoted(retry)} }}")
        if most:
            lines.append(f"max_length = {most}")
        if lives:
            lines.append(f"arguments = {{ x-delivery-limit = {lives} }}")
        if variant:
            lines.append('kind = "classic"')
        return "\n".join(lines) + "\n"

    # What leads to the queue `name`, to one that is not there, and what a subscription says of it.
    to = staticmethod('routing_key = "{}"'.format)
    nowhere = 'exchange = "nowhere", routing_key = "any"'
    source = staticmethod('queue = "{}"'.format)
    # As the admin API calls what is otherwise.
    declared = "queues.{}"


class Nats(Server):
    kind = "nats"

    def __init__(self):
        super().__init__()
        self.port = harness.free_port()
        self.binary = subprocess.run([SERVERS / "nats"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        (self.directory / "config").write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self.directory}/data" }}\n'
            'authorization { user: guest, password: guest }\n')
        self.url = f"nats://guest:guest@127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self):
        with open(self.directory / "log", "a") as log:
            self.process = subprocess.Popen([self.binary, "--config", self.directory / "config"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness.eventually("NATS accepts", lambda: harness.accepts(self.port))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(harness.SOON)

    def end(self):
        self.kill()

    def keep(self, name, retry=(), most=None, lives=None, variant=False):
        """The block of the stream `name` of the broker `events`. Messages there have no lives to lose."""
        retention = "limits" if variant else "work-queue"
        lines = [f"[brokers.events.streams.{name}]", f'subjects = ["{name}.>"]', f'retention = "{retention}"']
        if retry:
            lines.append(f"retry = {{ delays = {quoted(retry)} }}")
        if most:
            lines.append(f"max_messages = {most}")
        return "\n".join(lines) + "\n"

    to = staticmethod('subject = "{}.new"'.format)
    nowhere = 'subject = "nowhere.new"'
    source = staticmethod('stream = "{}"'.format)
    declared = "streams.{}"


def quoted(texts):
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
