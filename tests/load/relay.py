"""Rows of PostgreSQL, MariaDB or SQLite that are published while everything ends in turn, and how many a second: see README.md."""

import argparse
import collections
import json
import sqlite3
import subprocess
import time

import application
import harness
import servers

CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{app}"]

[routes.app]
match = {{ path = "/events/{{*rest}}" }}
upstream = "app"

[databases.main]
url = {{ value = "{database}" }}

{block}
{keep}

[relays.orders]
database = "main"
table = "outbox"
columns = {{ key = "aggregate_id", created_at = "created_at", attempts = "attempts", error = "error" }}
publish = {{ broker = "events", {to}, headers = {{ x-key = "${{row.aggregate_id}}" }} }}
{notify}
batch = {batch}
"""
SUBSCRIPTION = """
[subscriptions.orders]
broker = "events"
{source}
route = "app"
path = "/events/orders"
prefetch = 64
ordered_by = "header:x-key"
"""
TABLE = """
create table outbox (id bigint generated always as identity primary key, aggregate_id text, kind text not null,
    payload jsonb not null, created_at timestamptz not null default now(), attempts int not null default 0, error text);
create function outbox_notify() returns trigger language plpgsql as
    $$ begin perform pg_notify('outbox', ''); return null; end $$;
create trigger outbox_notify after insert on outbox for each statement execute function outbox_notify();
"""
NAME = "orders"
# At which part of the rows what ends.
ENDS = [(1 / 8, "broker", "stop"), (2 / 8, "proxy", "kill"), (3 / 8, "database", "kill"), (4 / 8, "proxy", "kill"),
        (5 / 8, "broker", "kill"), (6 / 8, "database", "stop"), (7 / 8, "other", "kill")]
# How long nothing new may arrive before what is missing counts as lost.
SILENCE = 60


class Database(servers.Server):
    """A server of `tests/servers`, whose data it keeps."""

    # By what a relay is told of rows.
    notify = ""

    def __init__(self):
        super().__init__()
        self.start()
        self.url = self.run("url")

    def run(self, command):
        ran = subprocess.run([servers.SERVERS / self.kind, command, self.directory], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        if ran.returncode:
            raise RuntimeError(f"{self.kind} {command}: {ran.stdout}{ran.stderr}")
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

    def told(self, command, what):
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if ran.returncode:
            raise RuntimeError(f"{what}: {ran.stderr}")
        return ran.stdout.strip()

    def insert(self, first, count, keys):
        """The keys of the new rows, by their ids."""
        return dict(line.split() for line in self.sql(self.inserting(first, count, keys)).splitlines())

    def left(self):
        return int(self.sql("select count(*) from outbox where error is null"))


class Postgres(Database):
    kind = "postgres"
    notify = 'notify = "outbox"'

    def __init__(self, fsync):
        super().__init__()
        if fsync:
            self.sql("alter system set fsync = on", "select pg_reload_conf()")
        self.sql(TABLE)

    def sql(self, *texts):
        commands = [part for text in texts for part in ("--command", text)]
        return self.told(["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1",
                          "--dbname", self.url, *commands], texts)

    def inserting(self, first, count, keys):
        return (f"insert into outbox (aggregate_id, kind, payload) select 'k' || i % {keys}, 'made', "
                f"jsonb_build_object('number', i) from generate_series({first}, {first + count - 1}) i "
                "returning id || ' ' || aggregate_id")


class MariaDb(Database):
    kind = "mariadb"

    def __init__(self, fsync):
        super().__init__()
        if fsync:
            self.sql("set global innodb_flush_log_at_trx_commit = 1")
        self.sql("create table outbox (id bigint auto_increment primary key, aggregate_id varchar(100), kind varchar(100) not null, "
                 "payload json not null, created_at timestamp(6) not null default current_timestamp(6), "
                 "attempts int not null default 0, error text)")

    def sql(self, text):
        port = (self.directory / "port").read_text().strip()
        return self.told(["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--protocol=tcp", "--host=127.0.0.1",
                          "--user=test", "--password=secret", f"--port={port}", "--database=test", f"--execute={text}"], text)

    def inserting(self, first, count, keys):
        return (f"insert into outbox (aggregate_id, kind, payload) select concat('k', seq % {keys}), 'made', "
                f"json_object('number', seq) from seq_{first}_to_{first + count - 1} returning concat(id, ' ', aggregate_id)")


class Sqlite(servers.Server):
    """A file. Nothing of it can end but who writes it: in place of that, somebody keeps others from writing for some time."""

    kind = "sqlite"
    notify = ""

    def __init__(self, fsync):
        super().__init__()
        self.path = self.directory / "shop.db"
        self.url = f"sqlite://{self.path}?mode=rwc"
        self.fsync = fsync
        self.ask("pragma journal_mode = wal")
        self.ask("create table outbox (id integer primary key autoincrement, aggregate_id text, kind text not null, "
                 "payload json not null, created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), "
                 "attempts int not null default 0, error text)")

    def connect(self):
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        connection.execute(f"pragma synchronous = {'full' if self.fsync else 'off'}")
        return connection

    def ask(self, text, *values):
        connection = self.connect()
        try:
            return connection.execute(text, values).fetchall()
        finally:
            connection.close()

    def insert(self, first, count, keys):
        """The keys of the new rows, by their ids."""
        rows = self.ask("with recursive n(i) as (select ?1 union all select i + 1 from n where i + 1 < ?1 + ?2) "
                        "insert into outbox (aggregate_id, kind, payload) select 'k' || (i % ?3), 'made', json_object('number', i) "
                        "from n returning id, aggregate_id", first, count, keys)
        return {str(number): key for number, key in rows}

    def left(self):
        return self.ask("select count(*) from outbox where error is null")[0][0]

    def stop(self):
        connection = self.connect()
        connection.execute("begin immediate")
        time.sleep(8)
        connection.close()

    kill = stop

    def start(self):
        pass

    def end(self):
        pass


DATABASES = {database.kind: database for database in [Postgres, MariaDb, Sqlite]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--broker", choices=["rabbitmq", "nats"], action="append", help="default: both, one after the other")
    parser.add_argument("--database", choices=DATABASES, default="postgres")
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--keys", type=int, default=500)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--fsync", action="store_true", help="the database writes to the disk before it says so")
    parser.add_argument("--only", choices=["drill", "speed"])
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    for broker in arguments.broker or ["rabbitmq", "nats"]:
        for part in [drill, speed]:
            if arguments.only in (None, part.__name__):
                with servers.of(broker) as server, DATABASES[arguments.database](arguments.fsync) as database:
                    part(arguments, verdict, server, database)
    verdict.end()


def config(arguments, server, database, app):
    return CONFIG.format(app=app, database=database.url, block=server.block("events"), keep=server.keep(NAME),
                         to=server.to(NAME), notify=database.notify, batch=arguments.batch)


def drill(arguments, verdict, server, database):
    """Two proxies share the table, and each of all who take part ends. What they have published is delivered afterwards by
    one that is left alone: what a consumer holds when it ends comes again behind what came after it."""
    with application.Application(server.directory) as app:
        text = config(arguments, server, database, app.port)
        with harness.Proxy(arguments.binary, text) as proxy, harness.Proxy(arguments.binary, text) as other:
            which = {"broker": server, "database": database, "proxy": proxy, "other": other}
            keys, begun = {}, time.monotonic()
            for part, what, how in ENDS + [(1, None, None)]:
                new = int(part * arguments.count) - len(keys)
                keys.update(database.insert(len(keys), new, arguments.keys))
                if what:
                    # In the middle of it.
                    harness.eventually("half of them are gone", lambda: database.left() < new / 2, SILENCE)
                    getattr(which[what], how)()
                    which[what].start()
                    print(f"      {time.monotonic() - begun:.0f} s: {len(keys)} are inserted, {database.left()} of them are left; "
                          f"the {what} was ended ({how}) and is there again", flush=True)
            harness.eventually("the table is empty", lambda: database.left() == 0, SILENCE)
            print(f"      the table is empty after {time.monotonic() - begun:.0f} s: {relay(proxy)}, {relay(other)}")
        with harness.Proxy(arguments.binary, text + SUBSCRIPTION.format(source=server.source(NAME))):
            missing = wait_for(app, {f"{NAME}:{number}" for number in keys})
            verdict.holds(f"{database.kind}, {server.kind}: of {len(keys)} rows, {len(missing)} did not arrive", not missing)
            judge_order(verdict, server, app, keys)


def judge_order(verdict, server, app, keys):
    """The first arrivals of each key are in the order of their ids."""
    seen, last, disordered = collections.Counter(), {}, 0
    for arrival in app.arrivals():
        number = arrival.id.partition(":")[2]
        seen[number] += 1
        if seen[number] == 1:
            key = keys[number]
            disordered += int(number) < last.get(key, 0)
            last[key] = int(number)
    doubled = sum(count > 1 for count in seen.values())
    print(f"      {doubled} rows came more than once, under the same ids")
    verdict.holds(f"{server.kind}: {disordered} rows came behind a later one of their key", disordered == 0)


def wait_for(app, ids):
    missing, count, heard = set(ids), -1, time.monotonic()
    while time.monotonic() < heard + SILENCE:
        now = app.count()
        if now != count:
            count, heard = now, time.monotonic()
            missing = ids - {arrival.id for arrival in app.arrivals()}
            if not missing and ids:
                break
        time.sleep(1)
    return missing


def speed(arguments, verdict, server, database):
    """How many rows a second go from the table to the broker."""
    with harness.Proxy(arguments.binary, config(arguments, server, database, 1)) as proxy:
        harness.eventually("it relays", lambda: relay(proxy)["state"] == "relaying")
        proxy.admin("POST", "/relays/orders/pause")
        database.insert(0, arguments.count, arguments.keys)
        before, begun = relay(proxy)["published"], time.monotonic()
        proxy.admin("POST", "/relays/orders/resume")
        harness.eventually("all are published",
                           lambda: relay(proxy)["published"] >= before + arguments.count, 600)
        seconds = time.monotonic() - begun
        print(f"      {database.kind}, {server.kind}: {arguments.count / seconds:.0f} rows a second, {arguments.keys} keys, batches of "
              f"{arguments.batch}; resident {harness.mib(proxy.footprint().resident)}")
        harness.eventually("the table is empty", lambda: database.left() == 0)
        verdict.holds(f"{database.kind}, {server.kind}: all {arguments.count} rows are published once",
                      relay(proxy)["published"] == before + arguments.count)


def relay(proxy):
    shown = json.loads(proxy.admin("GET", "/relays/orders")[1])
    return {key: shown[key] for key in ("state", "published", "duplicates", "failed", "held")}


if __name__ == "__main__":
    main()
