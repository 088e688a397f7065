"""CPU time a request that reads one row by its key, beside a service in FastAPI with asyncpg: see README.md."""

import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import callers
import harness

SERVER = harness.ROOT / "tests/servers/postgres"
PACKAGES = "fastapi", "uvicorn[standard]", "asyncpg"
ROWS = 10_000
CALLERS = 8
# Of the CPU time of the other.
WANTED = 0.5
CONFIG = """
[databases.main]
url = {{ value = "{url}" }}

[routes.item]
match = {{ path = "/items/{{id}}", methods = ["GET"] }}
[routes.item.sql]
database = "main"
statement = "select id, name, price, made_at from items where id = $1"
parameters = [{{ from = "path.id", type = "int8" }}]
result = "one"
"""
SERVICE = """
import contextlib, os
import asyncpg, fastapi

@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE"], min_size=1, max_size=10)
    yield

app = fastapi.FastAPI(lifespan=lifespan)

@app.get("/items/{id}")
async def item(id: int):
    row = await app.state.pool.fetchrow("select id, name, price, made_at from items where id = $1", id)
    if row is None:
        raise fastapi.HTTPException(404)
    return {"id": row["id"], "name": row["name"], "price": str(row["price"]), "made_at": row["made_at"]}
"""


class Postgres:
    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="outrigger-sql-"))
        for command in "start", "ready":
            subprocess.run([SERVER, command, self.folder / "server"], check=True, stdout=subprocess.DEVNULL)
        said = subprocess.run([SERVER, "url", self.folder / "server"], check=True, capture_output=True, text=True)
        self.url = said.stdout.strip()
        subprocess.run(["psql", "--quiet", self.url, "--command", f"""
            create table items (id int8 primary key, name text not null, price numeric not null, made_at timestamptz not null);
            insert into items select i, 'item ' || i, i / 7.0, now() from generate_series(1, {ROWS}) i; analyze items"""],
                       check=True)
        return self

    def __exit__(self, *_):
        subprocess.run([SERVER, "stop", self.folder / "server"])
        shutil.rmtree(self.folder, ignore_errors=True)


class Service:
    """The other one, in an environment of its own, with one process."""

    def __init__(self, url):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "outrigger-suites/fastapi"
        if not (cache / "bin/uvicorn").exists():
            subprocess.run([sys.executable, "-m", "venv", cache], check=True)
            subprocess.run([cache / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="outrigger-sql-"))
        (self.folder / "service.py").write_text(SERVICE)
        self.port = harness.free_port()
        self.process = subprocess.Popen(
            [cache / "bin/uvicorn", "service:app", "--port", str(self.port), "--no-access-log", "--log-level", "warning"],
            cwd=self.folder, env={**os.environ, "DATABASE": url})

    def __enter__(self):
        harness.eventually("the service accepts", lambda: harness.accepts(self.port))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def cpu(pid):
    """Seconds that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(port, count, first):
    client = callers.Client(port)
    for number in range(count):
        wanted = (first + number * 7) % ROWS + 1
        answer = client.ask(f"/items/{wanted}")
        if answer.status != 200 or json.loads(answer.body)["id"] != wanted:
            raise callers.Failed(f"{answer.status}: {answer.body}")


def measure(port, pid, count):
    """CPU microseconds a request, and requests a second."""
    each = count // CALLERS
    processes = [multiprocessing.Process(target=ask, args=(port, each, caller * 1000)) for caller in range(CALLERS)]
    before, began = cpu(pid), time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit("a request was not answered as it should be")
    done = each * CALLERS
    return (cpu(pid) - before) / done * 1e6, done / (time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--requests", type=int, default=20_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    with (Postgres() as postgres, Service(postgres.url) as service,
          harness.Proxy(arguments.binary, CONFIG.format(url=postgres.url)) as proxy):
        both = {"outrigger": (proxy.port, proxy.process.pid), "FastAPI": (service.port, service.process.pid)}
        for port, pid in both.values():
            measure(port, pid, arguments.requests // 10)
        spent = {name: [] for name in both}
        for _ in range(arguments.rounds):
            for name, (port, pid) in both.items():
                spent[name].append(measure(port, pid, arguments.requests))
        for name, rounds in spent.items():
            used, rate = (statistics.median(values) for values in zip(*rounds))
            print(f"{name}: {used:.1f} us a request, {rate:.0f} a second")
        ours, theirs = (statistics.median(used for used, _ in spent[name]) for name in both)
        verdict.holds(f"a request takes {ours / theirs:.3f} of the CPU time, at most {WANTED}", ours / theirs <= WANTED)
    verdict.end()


if __name__ == "__main__":
    main()
