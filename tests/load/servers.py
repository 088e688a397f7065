"""Brokers of one's own: RabbitMQ, NATS and Kafka, each with its data in a directory, on ports that they keep."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import harness

SERVERS = harness.ROOT / "tests/servers"


def of(kind, **settings):
    """A broker that runs."""
    return {"rabbitmq": RabbitMq, "nats": Nats, "kafka": Kafka, "kafka-cluster": KafkaCluster}[kind](**settings)


class Server:
    """What all can do. `kind` is its name here."""

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


class Kafka(Server):
    """Tansu, which keeps all that it has in `objects.py`, a process that does not end with it, and behind `relay.py`, so that
    it ends between requests, and its clients see it end amid them. With `in_memory` it stands alone, and what it has ends
    with it."""

    kind = "kafka"

    def __init__(self, in_memory=False):
        super().__init__()
        self.in_memory = in_memory
        self.port = harness.free_port()
        self.inner = self.port if in_memory else harness.free_port()
        self.binary = subprocess.run([SERVERS / "tansu"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.helpers = []
        if not in_memory:
            self.objects = self.helper("objects.py")
            self.endpoint = f"http://127.0.0.1:{self.objects.stdout.readline().strip()}"
            self.relay = self.helper("relay.py", self.port, self.inner)
        self.url = f"kafka://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def helper(self, script, *arguments):
        self.helpers.append(subprocess.Popen([sys.executable, SERVERS / script, *map(str, arguments)], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, text=True))
        return self.helpers[-1]

    def tell(self, word):
        if self.in_memory:
            return
        print(word, file=self.relay.stdin, flush=True)
        self.relay.stdout.readline()

    def start(self):
        place = "tcp://127.0.0.1:{}".format
        engine, store = "memory://events/", {}
        if not self.in_memory:
            engine = "s3://events/"
            store = {"AWS_ENDPOINT": self.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_DEFAULT_REGION": "any",
                     "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        with open(self.directory / "log", "a") as log:
            self.process = subprocess.Popen([self.binary, "broker", "--listener-url", place(self.inner),
                                             "--advertised-listener-url", place(self.port),
                                             "--storage-engine", engine], env=os.environ | store,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness.eventually("Tansu accepts", lambda: harness.accepts(self.inner))
        self.tell("open")

    def kill(self):
        self.tell("cut")
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.tell("cut")
        self.process.terminate()
        self.process.wait(harness.SOON)

    def end(self):
        self.process.kill()
        self.process.wait()
        for helper in reversed(self.helpers):
            helper.stdin.close()
            helper.wait()

    def block(self, name, url=None):
        # A member that is gone is missed after that.
        return Server.block(self, name, url) + 'heartbeat = "6s"\n'

    def keep(self, name, retry=(), most=None, lives=None, variant=False):
        """The block of the topic `name` of the broker `events`. It has no most, and messages have no lives to lose."""
        lines = [f"[brokers.events.topics.{name}]", f"partitions = {4 if variant else 3}"]
        if retry:
            lines.append(f"retry = {{ delays = {quoted(retry)} }}")
        return "\n".join(lines) + "\n"

    to = staticmethod('topic = "{}", key = "${{header.idempotency-key}}"'.format)
    nowhere = 'topic = "nowhere"'
    source = staticmethod('topic = "{}"'.format)
    declared = "topics.{}"


class KafkaCluster(Server):
    """Three brokers of Kafka, which keep nothing: those of `kafka.py`. What they say is that they have no messages, they say
    only when they were asked to wait no longer, also if one has come meanwhile."""

    kind = "kafka-cluster"

    def __init__(self, login=None):
        """`login` are the user and the password of those who may enter, where not everybody may."""
        super().__init__()
        library = subprocess.run([SERVERS / "kafka"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        asked = ["--login", "PLAIN", *login] if login else []
        self.process = subprocess.Popen([sys.executable, SERVERS / "kafka.py", library, *asked], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.place = self.process.stdout.readline().strip()
        self.url = f"kafka://{':'.join(login) + '@' if login else ''}{self.place}"

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    block = Kafka.block
    to, source, declared = Kafka.to, Kafka.source, Kafka.declared

    def keep(self, name):
        """The block of the topic `name` of the broker `events`, which each broker has two partitions of."""
        return f"[brokers.events.topics.{name}]\npartitions = 6\n"


def quoted(texts):
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
