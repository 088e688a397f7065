"""Runs a cluster of Kafka with three brokers until its standard input ends, and does what stands there.

    kafka.py LIBRARY [--tls CERT KEY] [--client-ca CA] [--login MECHANISM USER PASSWORD]

The cluster is the one that librdkafka has for its own tests. It keeps everything in memory, and knows groups and commits. In
front of each broker stands a relay, which speaks TLS and asks for a login where that is said, because of what the cluster
does otherwise than a real one:
- it creates no topics when a client asks for them, and names no broker that would;
- its answer to a request for the versions it knows, when that request is of a later version than it knows itself;
- its reading of some requests about groups in their compact form: they are asked for in the older one;
- its reading of a member's goodbye, which is that of an older version;
- a group's members cannot learn what they were assigned once all of it is known, so that the leader must come last.

The first line that is written tells the relays' addresses, and each further one answers a line that was read: a function of
`rdkafka_mock.h` without its `rd_kafka_mock_`, and its arguments. Further ones are
    swallow N       the next N produce requests are carried out, and their connections cut instead of answered
    repeated        how many requests came that were the same as one of those
    refused         how many connections were refused, because a broker was down
    newcomers       how many asked to join a group that were no members of it
"""

import argparse
import asyncio
import ctypes
import os
import ssl
import struct
import sys

import sasl

BROKERS = 3
PRODUCE, METADATA, JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP, SASL_HANDSHAKE = 0, 3, 11, 13, 14, 17
API_VERSIONS, CREATE_TOPICS, SASL_AUTHENTICATE = 18, 19, 36
# The first version of Metadata that is compact.
COMPACT_METADATA = 9
# What the relay answers itself: the first and the last version, none of which is compact.
OURS = {SASL_HANDSHAKE: (1, 1), CREATE_TOPICS: (2, 2), SASL_AUTHENTICATE: (1, 1)}
# How long a login is good for.
FOR_EVER = bytes(8)
# How many partitions a topic has where nobody says it.
PARTITIONS = 4
TOPIC_EXISTS, WRONG_PARTITIONS, WRONG_REPLICAS, UNSUPPORTED_MECHANISM, NOT_LOGGED_IN = 36, 37, 38, 33, 58
# The last versions that are not compact: OffsetCommit, OffsetFetch, FindCoordinator, JoinGroup, Heartbeat, LeaveGroup,
# SyncGroup.
NOT_COMPACT = {8: 7, 9: 5, 10: 2, 11: 5, 12: 3, 13: 3, 14: 3}
UNSUPPORTED_VERSION = 35
# Functions that say nothing.
VOID = "group_initial_rebalance_delay_ms", "push_request_errors", "topic_set_error"
# How long the leader of a group waits for the other members.
LAST = 0.02


class Cluster:
    def __init__(self, library, login):
        self.login = login
        self.topics = set()
        self.library = ctypes.CDLL(library)
        for name in "conf_new", "new", "mock_cluster_new":
            getattr(self.library, "rd_kafka_" + name).restype = ctypes.c_void_p
        self.library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        config = ctypes.c_void_p(self.library.rd_kafka_conf_new())
        # Nobody reads what it has to say.
        self.library.rd_kafka_conf_set(config, b"log_level", b"0", None, ctypes.c_size_t(0))
        client = ctypes.c_void_p(self.library.rd_kafka_new(0, config, None, ctypes.c_size_t(0)))
        self.cluster = ctypes.c_void_p(self.library.rd_kafka_mock_cluster_new(client, BROKERS))
        for api, version in NOT_COMPACT.items():
            self.call("set_apiversion", api, 0, version)
        places = self.library.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        self.ports = [int(place.rpartition(":")[2]) for place in places.split(",")]
        self.to_swallow = 0
        self.swallowed = set()
        self.repeated = 0
        self.refused = 0
        self.newcomers = 0

    def call(self, name, *arguments):
        def c(argument):
            if isinstance(argument, int):
                return ctypes.c_int(argument)
            return ctypes.c_char_p(argument.encode())

        function = getattr(self.library, "rd_kafka_mock_" + name)
        return function(self.cluster, *map(c, arguments))

    def obey(self, line):
        name, *words = line.split()
        if name in ("repeated", "refused", "newcomers"):
            return getattr(self, name)
        arguments = [int(word) if word.lstrip("-").isdigit() else word for word in words]
        if name == "swallow":
            self.to_swallow = arguments[0]
            return 0
        if name == "topic_create":
            self.topics.add(arguments[0])
        said = self.call(name, *arguments)
        return 0 if name in VOID else said

    def create(self, name, partitions, replicas):
        """Creates a topic as a client asks for it, and gives what a broker answers."""
        if name in self.topics:
            return TOPIC_EXISTS
        if partitions == 0 or partitions < -1:
            return WRONG_PARTITIONS
        if replicas == 0 or replicas > BROKERS:
            return WRONG_REPLICAS
        self.topics.add(name)
        return self.call("topic_create", name, partitions if partitions > 0 else PARTITIONS, max(replicas, 1))

    async def serve(self, port, reader, writer):
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            self.refused += 1
            writer.transport.abort()
            return
        asked = Asked()
        ways = [
            asyncio.create_task(self.forward(reader, requests, writer, asked)),
            asyncio.create_task(self.back(answers, writer, asked)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.transport.abort()
        requests.transport.abort()

    async def forward(self, reader, requests, writer, asked):
        login = self.login and sasl.Login(*self.login)
        while True:
            frame = await read_frame(reader)
            api, version = struct.unpack(">hh", frame[4:8])
            number, content = frame[8:12], frame[12:]
            if api == API_VERSIONS and version > 2:
                known = struct.pack(">hihhh", UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, 2)
                writer.write(framed(number + known))
                continue
            if api in (SASL_HANDSHAKE, SASL_AUTHENTICATE):
                said = text(content)[1]
                writer.write(framed(number + (handshake if api == SASL_HANDSHAKE else authenticate)(login, said)))
                continue
            if api == API_VERSIONS:
                asked.versions.add(number)
            elif login and not login.is_done:
                return
            if api == CREATE_TOPICS:
                writer.write(framed(number + self.created(text(content)[1])))
                continue
            if api == METADATA and version >= COMPACT_METADATA:
                asked.brokers.add(number)
            if api == JOIN_GROUP:
                self.newcomers += member_of(content) == b""
            if api == SYNC_GROUP and frame[-4:] != bytes(4):
                await asyncio.sleep(LAST)
            if api == LEAVE_GROUP:
                asked.leaving.add(number)
                frame = older_goodbye(number, content)
            if api == PRODUCE:
                self.repeated += content in self.swallowed
                if self.to_swallow:
                    self.to_swallow -= 1
                    self.swallowed.add(content)
                    asked.doomed.add(number)
            requests.write(frame)
            await requests.drain()

    async def back(self, answers, writer, asked):
        while True:
            frame = await read_frame(answers)
            if frame[4:8] in asked.doomed:
                return
            if frame[4:8] in asked.leaving:
                # Nothing is told of single members.
                frame = framed(frame[4:] + bytes(4))
            if frame[4:8] in asked.brokers:
                frame = with_controller(frame)
            if frame[4:8] in asked.versions:
                frame = framed(with_ours(frame[4:]))
            writer.write(frame)
            await writer.drain()

    def created(self, content):
        """The answer to a request to create topics."""
        count, rest = struct.unpack(">i", content[:4])[0], content[4:]
        answers = b""
        for _ in range(count):
            name, rest = text(rest)
            partitions, replicas, assigned, configs = struct.unpack(">ihii", rest[:14])
            assert assigned == 0, "the brokers choose where partitions are"
            rest = rest[14:]
            for _ in range(2 * configs):
                _, rest = text(rest)
            answers += name + struct.pack(">hh", self.create(name[2:].decode(), partitions, replicas), -1)
        return struct.pack(">ii", 0, count) + answers


class Asked:
    """The numbers of the requests of one connection whose answers are not passed on as they are."""

    def __init__(self):
        self.doomed, self.leaving, self.versions, self.brokers = set(), set(), set(), set()


def handshake(login, said):
    """The answer to a client that names its mechanism."""
    fits = login and said[2:].decode() == login.mechanism
    known = login.mechanism.encode() if login else b""
    return struct.pack(">hih", 0 if fits else UNSUPPORTED_MECHANISM, 1, len(known)) + known


def authenticate(login, said):
    """The answer to a step of logging in."""
    try:
        answer = login.step(said[4:])
        return struct.pack(">hhi", 0, -1, len(answer)) + answer + FOR_EVER
    except sasl.Refused as refused:
        why = str(refused).encode()
        return struct.pack(">hh", NOT_LOGGED_IN, len(why)) + why + struct.pack(">i", 0) + FOR_EVER


def with_ours(answer):
    """The versions that the cluster knows, and those of what the relay answers."""
    count = struct.unpack(">i", answer[6:10])[0]
    end = 10 + 6 * count
    ours = b"".join(struct.pack(">hhh", api, *versions) for api, versions in OURS.items())
    return answer[:6] + struct.pack(">i", count + len(OURS)) + answer[10:end] + ours + answer[end:]


def with_controller(frame):
    """What is known of the brokers, with the first of them as the one that creates topics."""
    # The length, the number, the tags, and for how long to wait.
    at = 4 + 4 + 1 + 4
    count, at = number_at(frame, at)
    for _ in range(count - 1):
        # Its id, its host, its port, its rack, and the tags.
        at = behind_text(frame, at + 4)
        at = behind_text(frame, at + 4) + 1
    at = behind_text(frame, at)
    return frame[:at] + struct.pack(">i", 1) + frame[at + 4:]


def number_at(frame, at):
    """A number of as many bytes as it needs, and what is behind it."""
    number, shift = 0, 0
    while True:
        number |= (frame[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if frame[at - 1] < 128:
            return number, at


def behind_text(frame, at):
    length, at = number_at(frame, at)
    return at + max(length - 1, 0)


def framed(content):
    return struct.pack(">i", len(content)) + content


def older_goodbye(number, content):
    """The request by which a member leaves, as the version before had it: without a list of members."""
    client, rest = text(content)
    group, rest = text(rest)
    member, _ = text(rest[4:])
    return framed(struct.pack(">hh", LEAVE_GROUP, 2) + number + client + group + member)


def member_of(content):
    """Who asks to join a group: nobody where it is no member yet."""
    _, rest = text(content)
    _, rest = text(rest)
    return text(rest[8:])[0][2:]


def text(content):
    """The text that stands first, with its length, and what is behind it."""
    end = 2 + max(struct.unpack(">h", content[:2])[0], 0)
    return content[:end], content[end:]


async def read_frame(reader):
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack(">i", length)[0])


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--client-ca")
    parser.add_argument("--login", nargs=3)
    return parser.parse_args()


def tls(said):
    if not said.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*said.tls)
    if said.client_ca:
        context.load_verify_locations(said.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main():
    said = arguments()
    cluster = Cluster(said.library, said.login)
    relays, places = [], []
    for broker, port in enumerate(cluster.ports, 1):
        relay = await asyncio.start_server(
            lambda reader, writer, port=port: cluster.serve(port, reader, writer), "127.0.0.1", 0, ssl=tls(said)
        )
        relays.append(relay)
        address = relay.sockets[0].getsockname()
        cluster.call("broker_set_host_port", broker, *address)
        places.append("%s:%d" % address)
    print(",".join(places), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(cluster.obey(line), flush=True)
    os._exit(0)


asyncio.run(main())
