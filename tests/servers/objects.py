"""Keeps objects as S3 does, as far as a broker of Kafka needs it, until its standard input ends.

    objects.py

It keeps them in memory, and so for longer than the broker lives that stores them here. The line that is written tells its
port. Every bucket is there, whoever asks is let in, and what is to be replaced or new only under a condition (`If-Match`,
`If-None-Match`) is that.
"""

import asyncio
import email.utils
import os
import sys
import time
import urllib.parse
import xml.sax.saxutils

# The most names that one answer has.
PAGE = 1000
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# By path: what it is, its version, and since when.
objects = {}
versions = iter(range(1, 1 << 62))


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = line.split(" ")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            status, more, answer = respond(method, urllib.parse.urlsplit(target), fields, body)
            length = more.pop("content-length", len(answer))
            told = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{told}content-length: {length}\r\n\r\n".encode() + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def respond(method, url, fields, body):
    """A status, headers, and a body."""
    path = urllib.parse.unquote(url.path)
    query = dict(urllib.parse.parse_qsl(url.query))
    if "list-type" in query:
        return 200, {"content-type": "application/xml"}, listed(path, query)
    there = objects.get(path)
    version = there and there[1]
    if method == "PUT":
        if fields.get("if-none-match") == "*" and there or fields.get("if-match", version) != version:
            return 412, {}, b""
        objects[path] = body, f'"{next(versions)}"', time.time()
        return 200, {"etag": objects[path][1]}, b""
    if method == "DELETE":
        objects.pop(path, None)
        return 204, {}, b""
    if not there:
        return 404, {}, b""
    found = {"etag": version, "last-modified": email.utils.formatdate(there[2], usegmt=True)}
    if fields.get("if-none-match") == version:
        return 304, found, b""
    if method == "HEAD":
        return 200, found | {"content-length": len(there[0])}, b""
    return ranged(there[0], fields.get("range"), found)


def ranged(content, wanted, found):
    if not wanted:
        return 200, found, content
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    end = min(int(last) + 1 if last else len(content), len(content))
    found["content-range"] = f"bytes {first}-{end - 1}/{len(content)}"
    return 206, found, content[int(first):end]


def listed(bucket, query):
    """The names that begin with a prefix, in their order."""
    start = f"{bucket}/{query.get('prefix', '')}"
    after = query.get("continuation-token") or f"{bucket}/{query.get('start-after', '')}"
    names = sorted(name for name in objects if name.startswith(start) and name > after)
    shown, is_cut = names[:PAGE], len(names) > PAGE
    entries = []
    for name in shown:
        content, version, since = objects[name]
        since = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(since))
        key = xml.sax.saxutils.escape(name[len(bucket) + 1:])
        entries.append(f"<Contents><Key>{key}</Key><LastModified>{since}</LastModified>"
                       f"<ETag>{version}</ETag><Size>{len(content)}</Size></Contents>")
    token = f"<NextContinuationToken>{xml.sax.saxutils.escape(shown[-1])}</NextContinuationToken>" if is_cut else ""
    return (f'<?xml version="1.0"?><ListBucketResult xmlns="{NAMESPACE}"><KeyCount>{len(shown)}</KeyCount>'
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{token}{''.join(entries)}</ListBucketResult>").encode()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


asyncio.run(main())
