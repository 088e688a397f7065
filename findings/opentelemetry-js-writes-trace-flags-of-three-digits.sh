#!/bin/bash
# @opentelemetry/core 2.12.1 (JavaScript) reads a traceparent whose flags have one of the upper four bits set, as it should
# (W3C Trace Context, 3.2.2.5: unknown flags are to be ignored), and writes what is no traceparent when it passes that
# context on: three digits of flags, since it puts a 0 before the number, however many digits that has. Its own reader
# refuses the result, so that the trace ends at the next service. One would guess that unknown flags are either kept, as
# those of opentelemetry-api 1.45.2 (Python) are, or cleared.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >npm.log
npm install --silent @opentelemetry/api@1.9.1 @opentelemetry/core@2.12.1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-api==1.45.2

cat >passed.js <<'JAVASCRIPT'
const { ROOT_CONTEXT, defaultTextMapGetter, defaultTextMapSetter } = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");

const propagator = new W3CTraceContextPropagator();
const passed = (carrier) => {
  const context = propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
  const next = {};
  propagator.inject(context, next, defaultTextMapSetter);
  return next;
};
for (const flags of ["01", "03", "11", "81"]) {
  const first = passed({ traceparent: `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-${flags}` });
  const second = passed(first);
  console.log(flags, first.traceparent.split("-")[3], second.traceparent === undefined ? "refused" : "read");
}
JAVASCRIPT
cat >passed.py <<'PYTHON'
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

propagator = TraceContextTextMapPropagator()


def passed(carrier):
    following = {}
    propagator.inject(following, propagator.extract(carrier))
    return following


for flags in ["01", "03", "11", "81"]:
    first = passed({"traceparent": f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"})
    print(flags, first["traceparent"].split("-")[3], "read" if passed(first) else "refused")
PYTHON

node passed.js | tee javascript
diff javascript - <<'SEEN'
01 01 read
03 03 read
11 011 refused
81 081 refused
SEEN
venv/bin/python passed.py | tee python
diff python - <<'SEEN'
01 01 read
03 03 read
11 11 read
81 81 read
SEEN
