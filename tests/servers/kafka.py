"""Runs a cluster of Kafka with three brokers until its standard input ends, and does what stands there.

    kafka.py LIBRARY

The cluster is the one that librdkafka has for its own tests. It keeps everything in memory, knows groups and commits, and
creates no topics when it is asked to by a client. In front of each broker stands a relay, because of what the cluster does
otherwise than a real one:
- its answer to a request for the versions it knows, when that request is of a later version than it knows itself;
- its reading of some requests about groups in their compact form: they are asked for in the older one;
- its reading of a member's goodbye, which is that of an older version;
- a group's members cannot learn what they were assigned once all of it is known, so that the leader must come last.

The first line that is written tells the relays' addresses, and each further one answers a line that was read: a function of
`rdkafka_mock.h` without its `rd_kafka_mock_`, and its arguments. Further ones are
    swallow N       the next N produce requests are carried out, and their connections cut instead of answered
    repeated        how many requests came that were the same as one of those
"""

import asyncio
import ctypes
import os
import struct
import sys

BROKERS = 3
PRODUCE, LEAVE_GROUP, SYNC_GROUP, API_VERSIONS = 0, 13, 14, 18
# The last versions that are not compact: OffsetCommit, OffsetFetch, FindCoordinator, JoinGroup, Heartbeat, LeaveGroup,
# SyncGroup.
NOT_COMPACT = {8: 7, 9: 5, 10: 2, 11: 5, 12: 3, 13: 3, 14: 3}
UNSUPPORTED_VERSION = 35
# Functions that say nothing.
VOID = "group_initial_rebalance_delay_ms", "push_request_errors", "topic_set_error"
# How long the leader of a group waits for the other members.
LAST = 0.02


class Cluster:
    def __init__(self, library):
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

    def call(self, name, *arguments):
        def c(argument):
            if isinstance(argument, int):
                return ctypes.c_int(argument)
            return ctypes.c_char_p(argument.encode())

        function = getattr(self.library, "rd_kafka_mock_" + name)
        return function(self.cluster, *map(c, arguments))

    def obey(self, line):
        name, *words = line.split()
        if name == "repeated":
            return self.repeated
        arguments = [int(word) if word.lstrip("-").isdigit() else word for word in words]
        if name == "swallow":
            self.to_swallow = arguments[0]
            return 0
        said = self.call(name, *arguments)
        return 0 if name in VOID else said

    async def serve(self, port, reader, writer):
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        doomed, leaving = set(), set()
        ways = [
            asyncio.create_task(self.forward(reader, requests, writer, doomed, leaving)),
            asyncio.create_task(self.back(answers, writer, doomed, leaving)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.transport.abort()
        requests.transport.abort()

    async def forward(self, reader, requests, writer, doomed, leaving):
        while True:
            frame = await read_frame(reader)
            api, version = struct.unpack(">hh", frame[4:8])
            number, content = frame[8:12], frame[12:]
            if api == API_VERSIONS and version > 2:
                known = struct.pack(">hihhh", UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, 2)
                writer.write(struct.pack(">i", 4 + len(known)) + number + known)
                continue
            if api == SYNC_GROUP and frame[-4:] != bytes(4):
                await asyncio.sleep(LAST)
            if api == LEAVE_GROUP:
                leaving.add(number)
                frame = older_goodbye(number, content)
            if api == PRODUCE:
                self.repeated += content in self.swallowed
                if self.to_swallow:
                    self.to_swallow -= 1
                    self.swallowed.add(content)
                    doomed.add(number)
            requests.write(frame)
            await requests.drain()

    async def back(self, answers, writer, doomed, leaving):
        while True:
            frame = await read_frame(answers)
            if frame[4:8] in doomed:
                return
            if frame[4:8] in leaving:
                # Nothing is told of single members.
                frame = struct.pack(">i", len(frame)) + frame[4:] + bytes(4)
            writer.write(frame)
            await writer.drain()


def older_goodbye(number, content):
    """The request by which a member leaves, as the version before had it: without a list of members."""
    client, rest = text(content)
    group, rest = text(rest)
    member, _ = text(rest[4:])
    content = struct.pack(">hh", LEAVE_GROUP, 2) + number + client + group + member
    return struct.pack(">i", len(content)) + content


def text(content):
    """The text that stands first, with its length, and what is behind it."""
    end = 2 + struct.unpack(">h", content[:2])[0]
    return content[:end], content[end:]


async def read_frame(reader):
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack(">i", length)[0])


async def main():
    cluster = Cluster(sys.argv[1])
    relays, places = [], []
    for broker, port in enumerate(cluster.ports, 1):
        relay = await asyncio.start_server(
            lambda reader, writer, port=port: cluster.serve(port, reader, writer), "127.0.0.1", 0
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
