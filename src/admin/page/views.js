// What is shown of each answer of the API. `see` has the newest answers, what came between them (`recent`), and what is open.

import { ago, bytes, count, h, long, percent, rate, seconds, spark } from "./dom.js";

const pill = (kind, text, title) => h(`span.pill.${kind}`, { title }, text);
const pills = (all) => h("div.pills", all);
const cell = (label, ...content) => h("td", { "data-label": label }, h("div", content));
const number = (label, ...content) => h("td.number", { "data-label": label }, content);
const none = () => h("td.none");
const act = (name, of, text, title) => h("button", { type: "button", "data-act": name, "data-of": of, title }, text);
const empty = (text) => h("div.empty", text);
const list = (pairs) => h("dl", pairs.map(([name, value]) => [h("dt", name), h("dd", value)]));
/** A sentence, with what stands between backticks in it as code. */
export const words = (text) => String(text).split("`").map((part, at) => (at % 2 ? h("code", part) : part));
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
const sum = (series) => Object.values(series ?? {}).reduce((all, n) => all + n, 0);

function table(key, heads, rows) {
  const head = heads.map((name) => h(name.startsWith("#") ? "th.number" : "th", { scope: "col" }, name.replace("#", "")));
  return h("table", { "data-key": key }, h("thead", h("tr", head)), h("tbody", rows));
}

/** A row that can be opened, and what is in it then. */
function row(see, key, { kind = "tr", first, cells, inside }) {
  const open = see.open.has(key);
  const button = h("button.more", { type: "button", "data-act": "open", "data-of": key, "aria-expanded": String(open) }, first[0]);
  const rows = [h(kind, { "data-key": key }, h("td", h("div", button, first.slice(1))), cells)];
  if (open) rows.push(h("tr.detail", { "data-key": `${key} inside` }, h("td", { colspan: cells.length + 1 }, inside())));
  return rows;
}

/** A value of JSON as pairs, those of tables within it by their whole path. */
function pairs(value, path = "") {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value) && value.some((one) => typeof one === "object")) return value.flatMap((one, at) => pairs(one, value.length > 1 ? `${path} ${at + 1}`.trim() : path));
  if (Array.isArray(value)) return value.length ? [[path, value.join(", ")]] : [];
  if (typeof value !== "object") return [[path, typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => pairs(inner, path ? `${path}.${key}` : key));
}

const entries = (counts) => Object.entries(counts ?? {}).sort((a, b) => b[1] - a[1]).map(([name, n]) => [name, count(n)]);

function counters(all, but = []) {
  const shown = Object.entries(all ?? {}).filter(([name]) => !but.includes(name));
  return shown.map(([name, series]) => h("div", h("h3.mono", name), list(Object.entries(series).map(([labels, n]) => [labels.replaceAll(",", " ") || "all", count(n)]))));
}

// Routes

function states(route) {
  const shown = [];
  const { circuit_breaker: breaker, concurrency_limit: slots, rate_limit: rates, credentials, jwt } = route.state ?? {};
  if (route.healthy === false) shown.push(pill("bad", "target down"));
  if (breaker) {
    const kind = { closed: "good", open: "bad" }[breaker.state] ?? "warn";
    const wait = breaker.retry_in_seconds ? `, ${seconds(breaker.retry_in_seconds)}` : "";
    shown.push(pill(kind, `breaker ${breaker.state}${breaker.forced ? " by order" : ""}${wait}`, `${breaker.consecutive_failures} failures in a row`));
  }
  for (const limit of rates ?? []) {
    const left = limit.keys === undefined ? `${count(limit.left)} left` : plural(limit.keys, "key", "keys");
    shown.push(pill(limit.left === 0 || limit.overflowing ? "warn" : "plain", `rate ${left}`, `limit ${limit.limit}${limit.shadow ? ", which only counts" : ""}`));
  }
  if (slots) shown.push(pill(slots.in_flight >= slots.limit ? "warn" : "plain", `${slots.in_flight} of ${slots.limit} at once`));
  if (credentials?.token) shown.push(pill(credentials.token === "valid" ? (credentials.last_error ? "warn" : "plain") : "bad", `token ${credentials.token}`));
  if (jwt?.last_error) shown.push(pill("warn", "keys not fetched", jwt.last_error));
  return shown.length ? cell("State", pills(shown)) : none();
}

function routeRow(see, route, lately) {
  const config = see.routes?.find((one) => one.name === route.name);
  const target = config?.[route.target];
  const to = typeof target === "string" ? ` ${target}` : target?.database ?? target?.broker ? ` ${target.database ?? target.broker}` : "";
  const { name, needs, state, counters: counted } = route;
  const wrong = route.healthy === false || (lately.requests >= 3 && lately.failures > lately.requests / 20);
  const times = lately.requests ? lately : { p50: route.p50_seconds, p99: route.p99_seconds };
  const since = lately.requests ? "in the last minute" : "since the start";
  return row(see, `route ${name}`, {
    kind: wrong ? "tr.wrong" : "tr",
    first: [name, h("div.quiet.small", `${route.target}${to}`)],
    cells: [
      states(route),
      number("Rate", spark(lately.rates), h("span.rate", `${rate(lately.rate)} /s`)),
      number("Errors, 1 min", h(lately.failures ? "span.bad-text" : "span.quiet", percent(lately.failures, lately.requests))),
      number("p50", h(lately.requests ? "span" : "span.quiet", { title: since }, seconds(times.p50))),
      number("p99", h(lately.requests ? "span" : "span.quiet", { title: since }, seconds(times.p99))),
      number("In flight", count(route.in_flight)),
      number("Requests", count(route.requests)),
      number("Failed", count(route.failures)),
    ],
    inside: () => [
      h("div.row", act("failures", name, "Its failures"), act("explain-route", name, "Explain a request")),
      h("div.columns",
        h("div", h("h3", "Answers since the start"), list(entries(route.statuses)), sum(route.refused) ? [h("h3", "Refused here, by reason"), list(entries(route.refused))] : null),
        h("div", h("h3", "Times since the start"), list([["mean", seconds(route.mean_seconds)], ["p50", seconds(route.p50_seconds)], ["p90", seconds(route.p90_seconds)], ["p99", seconds(route.p99_seconds)]]), h("h3", "Bodies"), list([["requests", bytes(route.request_bytes)], ["answers", bytes(route.response_bytes)]])),
        needs?.length ? h("div", h("h3", "Needs"), list(needs.map((need) => [`${need.kind} ${need.name}`, need.healthy ? pill("good", "there") : pill("bad", "down")]))) : null,
        pairs(state).length ? h("div", h("h3", "Policies now"), list(pairs(state))) : null,
        config ? h("div", h("h3", "As it is set"), list(pairs({ ...config, name: null, state: null }))) : null,
        counters(counted, ["outrigger_requests_failed_total", "outrigger_request_bytes_total", "outrigger_response_bytes_total", "outrigger_refused_total"])),
    ],
  });
}

function routes(see) {
  const { stats, recent } = see;
  const nothing = { name: "no route", target: "requests that match none", state: {}, ...stats.unrouted };
  const all = [...stats.routes.map((one) => [one, recent.routes[one.name]]), ...(nothing.requests ? [[nothing, recent.unrouted]] : [])];
  const shown = all.filter(([one]) => see.matches(one.name, one.target, ...(one.needs ?? []).map((need) => need.name)));
  const heads = ["Route", "State", "#Rate", "#Errors, 1 min", "#p50", "#p99", "#In flight", "#Requests", "#Failed"];
  const tcp = stats.tcp_routes.filter((one) => see.matches(one.name));
  return [
    shown.length ? table("routes", heads, shown.map(([one, lately]) => routeRow(see, one, lately))) : empty("No route has that in its name or target."),
    tcp.length ? [h("h2", "Connections that are not HTTP"), h("div.columns", tcp.map((one) => h("div.card", h("b", one.name), counters(one.counters))))] : null,
  ];
}

// Upstreams

const fine = { available: "good", unhealthy: "bad", ejected: "bad" };

function upstreams(see) {
  const shown = see.stats.upstreams.filter((one) => see.matches(one.name, ...one.endpoints.map((e) => `${e.name} ${e.address}`)));
  if (!shown.length) return empty(see.stats.upstreams.length ? "No upstream has that in its name." : "There are no upstreams.");
  const rows = shown.map((one) => {
    const asked = one.counters.outrigger_upstream_requests_total;
    const there = one.endpoints.filter((e) => e.state === "available").length;
    const all = one.endpoints.length;
    return [
      row(see, `upstream ${one.name}`, {
        kind: "tr.group",
        first: [one.name, h("div.quiet.small", pairs(one.balancer, "balancer")[0]?.[1] ?? "")],
        cells: [
          cell("State", pill(there === all && all ? "good" : there ? "warn" : "bad", `${there} of ${all} available`)),
          number("Rate", `${rate(see.recent.upstreams[one.name] ?? null)} /s`),
          number("In flight", count(one.in_flight)),
          number("Latency", `p50 ${seconds(one.p50_seconds)}, p99 ${seconds(one.p99_seconds)}`),
          number("Attempts", count(sum(asked))),
          none(), none(),
        ],
        inside: () => h("div.columns", h("div", h("h3", "Settings"), list([["at once at most", count(one.max_in_flight)], ...pairs(one.balancer, "balancer")])), counters(one.counters)),
      }),
      one.endpoints.map((e) => {
        const error = e.last_error;
        const fresh = error && error.seconds_ago < 60;
        return h(e.state === "available" && !(fresh && e.failures) ? "tr.inner" : "tr.inner.wrong", { "data-key": `endpoint ${one.name} ${e.address}` },
          h("td", h("div", e.address, e.name !== e.address ? h("div.quiet.small", e.name) : null)),
          cell("State", pills([pill(fine[e.state] ?? "warn", e.state), e.check?.failure ? pill("bad", "check failed", e.check.failure) : null, e.weight === 1 ? null : pill("plain", `weight ${e.weight}`)])),
          none(),
          number("In flight", count(e.in_flight)),
          number("Latency", seconds(e.latency_seconds), e.penalty_seconds ? h("div.warn-text.small", { title: "What the balancer reckons with after failures" }, `reckoned ${seconds(e.penalty_seconds)}`) : null),
          number("Connections", h("span", { title: "open, and idle of them" }, `${e.connections.open} open, ${e.connections.idle} idle`)),
          number("Fails in a row", e.failures ? h("b.bad-text", count(e.failures)) : "0"),
          error ? cell("Last error", h(fresh ? "span.bad-text" : "span.quiet", error.error), h("span.quiet", ` ${long(error.seconds_ago)} ago`)) : none());
      }),
    ];
  });
  return table("upstreams", ["Upstream and endpoints", "State", "#Rate", "#In flight", "#Latency", "#Attempts, connections", "#Fails in a row", "Last error"], rows);
}

// Messages: brokers, subscriptions, relays

const calm = new Set(["delivering", "relaying", "standby", "ending"]);

function flowState(one) {
  const kind = calm.has(one.state) ? "good" : one.state === "paused" ? "warn" : "bad";
  return [pill(kind, one.state.replaceAll("_", " ")), one.why ? h("div.small", words(one.why)) : null];
}

const flowButtons = (kind, one) => (one.state === "paused" ? act("resume", `${kind} ${one.name}`, "Resume") : act("pause", `${kind} ${one.name}`, "Pause"));

function letters(see, name) {
  const found = see.letters[name];
  if (!found) return null;
  if (typeof found === "string") return h("p.bad-text", found);
  if (!found.length) return h("p.quiet", "There are no dead letters.");
  const shown = found.map((one) => h("tr", cell("Message", h("span.mono", one.message_id ?? "–")), cell("Why", one.reason ?? "–"), number("Attempts", count(one.attempts)), cell("Since", one.since ?? "–"), cell("Body", h("span.mono.small", one.body ?? "")), number("Size", bytes(one.size))));
  return [table(`letters ${name}`, ["Message", "Why", "#Attempts", "Since", "Body", "#Size"], shown), h("p.quiet.small", "The first ten, and the beginning of each.")];
}

function messages(see) {
  const { stats } = see;
  const brokers = stats.brokers.filter((one) => see.matches(one.name, one.kind));
  const subscriptions = stats.subscriptions.filter((one) => see.matches(one.name, one.broker, one.route));
  const relays = stats.relays.filter((one) => see.matches(one.name, one.broker, one.database));
  if (!stats.brokers.length) return empty("There are no brokers, and so no subscriptions and relays.");
  return [
    h("h2", "Brokers"),
    table("brokers", ["Broker", "State", "What is wrong"], brokers.map((one) => h(one.connected ? "tr" : "tr.wrong", { "data-key": one.name },
      h("td", h("div", h("b", one.name), h("div.quiet.small", one.kind))),
      cell("State", pill(one.connected ? (one.blocked ? "warn" : "good") : "bad", one.connected ? (one.blocked ? "blocked" : "connected") : "down"), h("span.quiet", ` since ${ago(one.since, see.now).replace(" ago", "")}`)),
      cell("What is wrong", [one.error, one.blocked, ...one.mismatches.map((m) => `${m.what}: ${m.why}`)].filter(Boolean).join("; ") || "–")))),
    subscriptions.length ? [h("h2", "Subscriptions"), table("subscriptions", ["Subscription", "State", "#In flight", "#Waiting", "#Acked", "#Retried", "#Dead letters", "Orders"], subscriptions.map((one) => row(see, `subscription ${one.name}`, {
      kind: calm.has(one.state) || one.state === "paused" ? "tr" : "tr.wrong",
      first: [one.name, h("div.quiet.small", `${one.source} of ${one.broker} to route ${one.route}`)],
      cells: [
        cell("State", flowState(one)), number("In flight", count(one.in_flight)), number("Waiting", count(one.lag)), number("Acked", count(one.acked)),
        number("Retried", count(sum(one.retried))), number("Dead letters", one.dead_lettered ? h("b.bad-text", count(one.dead_lettered)) : "0"), cell("Orders", h("div.pills", flowButtons("subscriptions", one))),
      ],
      inside: () => [
        h("div.row", act("letters", one.name, "Show dead letters"), act("replay", one.name, "Replay the first ten")),
        letters(see, one.name),
        h("div.columns",
          one.last_failures?.length ? h("div", h("h3", "Newest failures"), one.last_failures.slice(0, 8).map((f) => h("p.small", h("span.quiet", `${ago(f.at, see.now)}: `), `attempt ${f.attempt}, ${f.reason ?? f.status}, ${f.then}`))) : null,
          counters(one.counters)),
      ],
    })))] : null,
    relays.length ? [h("h2", "Relays"), table("relays", ["Relay", "State", "#Rows waiting", "#Oldest", "#Held", "#Set aside", "Last error", "Orders"], relays.map((one) => row(see, `relay ${one.name}`, {
      kind: calm.has(one.state) || one.state === "paused" ? "tr" : "tr.wrong",
      first: [one.name, h("div.quiet.small", `${one.table} of ${one.database} to ${one.broker}`)],
      cells: [
        cell("State", flowState(one)), number("Rows waiting", count(one.lag?.rows)), number("Oldest", seconds(one.lag?.oldest)), number("Held", count(one.held)), number("Set aside", count(one.lag?.set_aside)),
        one.last_error ? cell("Last error", words(one.last_error.detail ?? one.last_error.reason), h("span.quiet", ` ${ago(one.last_error.at, see.now)}`)) : none(), cell("Orders", h("div.pills", flowButtons("relays", one))),
      ],
      inside: () => h("div.columns", h("div", list(pairs({ ...one, counters: null, lag: null, last_error: null, why: null }))), counters(one.counters)),
    })))] : null,
  ];
}

// Databases

function databases(see) {
  const shown = see.stats.databases.filter((one) => see.matches(one.name, one.kind));
  if (!see.stats.databases.length) return empty("There are no databases.");
  return table("databases", ["Database", "State", "#In use", "#Idle", "#Waiting", "#At most", "Last error", "Statements of routes"], shown.map((one) => {
    const users = see.stats.routes.filter((route) => route.needs.some((need) => need.kind === "database" && need.name === one.name));
    return h(one.connected === false ? "tr.wrong" : "tr", { "data-key": one.name },
      h("td", h("div", h("b", one.name), h("div.quiet.small", `${one.kind} ${one.version ?? ""}`, one.behind_a_pooler ? " behind a pooler" : ""))),
      cell("State", one.connected === null ? pill("plain", "not asked yet") : pill(one.connected ? "good" : "bad", one.connected ? "up" : "down")),
      number("In use", count(one.pool.in_use)), number("Idle", count(one.pool.idle)), number("Waiting", one.pool.waiting ? h("b.warn-text", count(one.pool.waiting)) : "0"), number("At most", count(one.pool.max_connections)),
      one.last_error ? cell("Last error", one.last_error.error, h("span.quiet", ` ${ago(one.last_error.at, see.now)}`)) : none(),
      cell("Statements of routes", users.map((route) => h("div", `${route.name}: `, Object.entries(route.counters.outrigger_statements_total ?? {}).map(([labels, n]) => `${labels.replace("result=", "")} ${count(n)}`).join(", ")))));
  }));
}

// Requests

function attempts(one) {
  const phases = (all) => Object.entries(all ?? {}).filter(([, s]) => s !== null).map(([name, s]) => `${name.replace("_", " ")} ${seconds(s)}`).join(", ");
  const where = (a) => [a.endpoint ?? a.database ?? a.broker ?? a.root, a.upstream ? `of ${a.upstream}` : null].filter(Boolean).join(" ");
  const steps = [
    ...one.attempts.map((a, at) => [a.began_seconds, h("div", h("b", `Attempt ${at + 1}`), ` at ${where(a)}: `, pill(/^([23]\d\d|ok|confirmed)$/.test(a.outcome) ? "good" : /^4\d\d$/.test(a.outcome) ? "warn" : "bad", a.outcome), ` after ${seconds(a.seconds)}`, h("div.quiet.small", [a.detail, phases(a.phases)].filter(Boolean).join(" · ")))]),
    ...one.policies.map((p) => [p.at_seconds, h("div", h("b", p.policy.replaceAll("_", " ")), ": ", words(p.did))]),
    [Infinity, h("div", h("b", "The end"), one.reason ? `: ${one.reason}` : `: ${one.status}`)],
  ];
  steps.sort((a, b) => a[0] - b[0]);
  return h("div.timeline", steps.map(([at, what]) => [h("span.number.quiet", `+${seconds(Math.min(at, one.seconds))}`), what]));
}

function requests(see) {
  const kinds = [["all", "All"], ["failed", "Failed"], ["slow", "Slow"]];
  const choice = h("div.row", { "data-key": "choice" }, kinds.map(([id, name]) => h("button", { type: "button", "data-act": "kind", "data-of": id, "aria-pressed": String(see.kind === id) }, see.kind === id ? h("b", name) : name)), h("span.quiet.small", "The newest requests that failed or took long. Without bodies, headers and queries."));
  if (!see.requests) return [choice, empty("Asking …")];
  const shown = see.requests.filter((one) => (see.kind === "all" || one[see.kind]) && see.matches(one.route, one.reason, one.path, one.status, one.endpoint, one.upstream, one.request_id, one.grpc_status, one.detail, one.cause, one.method, ...one.attempts.map((attempt) => attempt.endpoint)));
  if (!shown.length) return [choice, empty(see.requests.length ? "None of them fits." : "None has failed or taken long yet.")];
  return [choice, h("p"), table("requests", ["Request", "When", "Route", "Answer", "#Took", "Asked last"], shown.slice(0, 200).map((one, at) => row(see, `request ${one.request_id} ${one.at}`, {
    first: [`${one.method ?? (one.source ? "message" : "–")} ${one.path ?? ""}`],
    cells: [
      h("td.when", { "data-label": "When" }, ago(one.at, see.now)),
      cell("Route", one.route === "none" ? pill("warn", "no route") : one.route),
      cell("Answer", pills([pill(one.status >= 500 ? "bad" : one.status >= 400 || one.failed ? "warn" : "plain", one.status), one.reason ? pill("bad", one.reason) : null, one.grpc_status ? pill(one.failed ? "bad" : "plain", one.grpc_status) : null, one.slow ? pill("warn", "slow") : null])),
      number("Took", seconds(one.seconds)),
      cell("Asked last", [one.endpoint ?? one.database ?? one.broker ?? "–", one.attempts.length > 1 ? h("span.quiet", `, ${one.attempts.length} attempts`) : null]),
    ],
    inside: () => [
      one.detail ? h("p", h("b", words(one.detail))) : null, one.cause ? h("p", words(one.cause)) : null,
      h("div.columns.wide",
        h("div", h("h3", "What happened"), attempts(one), one.steps_not_shown ? h("p.quiet.small", `${one.steps_not_shown} steps are not shown.`) : null),
        h("div", h("h3", "Known of it"), list([["request id", h("span.mono.small", one.request_id)], ["trace id", h("span.mono.small", one.trace_id ?? "–")], ["at", one.at], ["listener", one.listener], ["to the head", seconds(one.head_seconds)], ["body", seconds(one.body_seconds)], ...(one.source ? [["message of", `${one.source.destination} (${one.source.system})`]] : [])]))),
      one.method ? h("div.row", act("explain-request", String(see.requests.indexOf(one)), "Explain this request")) : null,
    ],
  })))];
}

// Certificates and tokens

export const expiry = (days) => (days === null || days === undefined ? "plain" : days < 7 ? "bad" : days < 30 ? "warn" : "good");

function certificates(see) {
  const tokens = see.stats.tokens.filter((one) => see.matches(one.route));
  const certs = see.stats.certificates.filter((one) => see.matches(one.file, one.subject, ...one.names, ...one.used_by));
  if (!see.stats.tokens.length && !see.stats.certificates.length) return empty("The config names no certificates, and no tokens are fetched.");
  return [
    tokens.length ? [h("h2", "Tokens"), table("tokens", ["Route", "Token", "Left", "Expires", "Last error"], tokens.map((one) => h(one.token === "valid" ? "tr" : "tr.wrong", { "data-key": one.route },
      h("td", h("b", one.route)), cell("Token", pill(one.token === "valid" ? "good" : "bad", one.token)),
      cell("Left", one.seconds_left === null ? "–" : one.seconds_left < 0 ? h("span.bad-text", `expired ${long(-one.seconds_left)} ago`) : long(one.seconds_left)),
      cell("Expires", one.expires_at ?? "–"), one.last_error ? cell("Last error", h("span.bad-text", one.last_error)) : cell("Last error", "–"))))] : null,
    certs.length ? [h("h2", "Certificates"), table("certificates", ["Names", "Left", "Until", "File", "Used by"], certs.map((one) => h(expiry(one.days_left) === "bad" ? "tr.wrong" : "tr", { "data-key": `${one.file} ${one.serial}` },
      h("td", h("div", h("b", one.names.join(", ") || one.subject || one.issuer || "–"), h("div.quiet.small", one.kind))),
      cell("Left", pill(expiry(one.days_left), one.days_left === null ? "no end" : one.days_left < 0 ? "expired" : plural(one.days_left, "day", "days"))),
      cell("Until", one.not_after ?? "–"), cell("File", h("span.mono.small", one.file)), cell("Used by", one.used_by.join(", ")))))] : null,
  ];
}

// Reloads

const sign = { "+": "added", "-": "removed", "~": "changed", l: "removed" };

function reloads(see) {
  const head = h("div.row", { "data-key": "head" }, act("reload", "", "Reload now"), h("span.quiet.small", "The newest first. Nobody has to order a reload: files are watched."));
  const shown = (see.reloads ?? []).filter((one) => see.matches(one.result, one.summary, ...one.changes));
  return [head, h("p"), shown.map((one) => h("article.card", { "data-key": one.at },
    h("div.row", pill({ refused: "bad", applied: "good" }[one.result] ?? "plain", one.result), h("b", `generation ${one.generation}${one.result === "refused" ? " serves on" : ""}`), h("span.quiet", { title: one.at }, ago(one.at, see.now))),
    one.changes.length ? h("pre.changes", one.changes.map((line) => h(`span.${sign[line[0]] ?? "quiet"}`, line)), one.changes_not_shown ? h("span.quiet", `and ${one.changes_not_shown} more`) : null) : null,
    one.report ? h("pre", one.report) : null))];
}

// Config

function config(see) {
  if (!see.config) return empty("Asking …");
  const places = see.places;
  const lines = [];
  const inline = (value) => (Array.isArray(value) ? `[${value.map(inline).join(", ")}]` : value && typeof value === "object" ? `{ ${Object.entries(value).filter(([, v]) => v !== null).map(([k, v]) => `${k} = ${inline(v)}`).join(", ")} }` : JSON.stringify(value));
  const add = (value, path) => {
    const here = path.join(".");
    const set = Object.entries(value).filter(([, inner]) => inner !== null);
    const isTable = (inner) => inner && typeof inner === "object" && !Array.isArray(inner);
    const plain = set.filter(([, inner]) => !isTable(inner));
    if (path.length && (plain.length || (!set.length && places?.[here]))) lines.push([`[${here}]`, here, "table"]);
    for (const [key, inner] of plain) lines.push([`${key} = ${inline(inner)}`, here ? `${here}.${key}` : key, ""]);
    for (const [key, inner] of set.filter(([, found]) => isTable(found))) add(inner, [...path, key]);
  };
  add(see.config.config, []);
  const shown = lines.filter(([text, path]) => (!see.onlySet || places?.[path]) && see.matches(text, path));
  return [
    h("div.row", { "data-key": "head" },
      h("span", `Generation ${see.config.generation}, since ${see.config.loaded_at}`),
      h("span.mono.quiet.small", see.config.hash.slice(0, 12)),
      places ? act("only-set", "", see.onlySet ? "Show defaults as well" : "Show only what is set") : h("span.warn-text", "The files are not those that serve: lines are not told.")),
    h("p"),
    h("div.card.config.mono", { "data-key": "config" }, shown.map(([text, path, kind]) => h("div", { class: `${kind}${places && !places[path] && !kind ? " default" : ""}` }, h("span.place", { title: places?.[path] }, places?.[path] ?? (kind || !places ? "" : "default")), h("span.line", kind ? text : `  ${text}`)))),
  ];
}

// Explain

function explain(see) {
  const found = see.explanation;
  const fields = (all) => all.map((field) => h("div.mono.small", `${field.name}: ${field.value}`));
  const form = h("form.explain.card", { "data-key": "form", "data-act": "explain" },
    h("label", "Method", h("select", { name: "method" }, ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((name) => h("option", name)))),
    h("label.url", "URL or path", h("input", { name: "url", required: true, placeholder: "/orders/7", autocomplete: "off", spellcheck: "false" })),
    h("label", "Listener", h("select", { name: "listener" }, h("option", { value: "" }, "by the URL"), see.stats.listeners.map((one) => h("option", one.name)))),
    h("label", "Caller's address", h("input", { name: "client", placeholder: "127.0.0.1", autocomplete: "off" })),
    h("button", { type: "submit" }, "Explain"),
    h("label.wide", "Headers, one a line", h("textarea", { name: "headers", rows: "2", placeholder: "x-user: eve", spellcheck: "false" })));
  if (!found) return [form, h("p.quiet", { "data-key": "told" }, "What would become of a request, by the search and the policies that serve. Nothing is sent, and nothing is spent.")];
  if (typeof found === "string") return [form, h("p.bad-text", { "data-key": "told" }, found)];
  const { outcome, route, request } = found;
  return [form, h("div", { "data-key": "told" },
    h("div.card",
      h("p.verdict", { class: `verdict ${outcome.kind === "refused" ? "bad-text" : ""}` }, words(outcome.summary || outcome.kind)),
      outcome.detail ? h("p", words(outcome.detail)) : null,
      h("p", `${request.method} ${request.host ?? ""}${request.path} to listener ${request.listener}`, route ? [" takes route ", h("b", route.name), route.place ? h("span.quiet.mono.small", ` ${route.place}`) : null] : " takes no route"),
      found.notes.map((note) => h("p.quiet", words(note)))),
    h("div.columns.wide",
      h("div", h("h2", "Routes passed over"), found.passed_over.length ? list(found.passed_over.map((one) => [h("b", one.route), words(one.why)])) : h("p.quiet", "None.")),
      h("div", found.target ? [h("h2", `Target: ${found.target.kind}`), h("p.quiet.mono.small", found.target.place ?? ""), list([...pairs(found.target.value, found.target.kind), ...pairs(found.target.options)])] : null,
        found.sends ? [h("h2", "Is sent"), h("p.mono.small", `${found.sends.method} ${found.sends.path}`), fields(found.sends.headers)] : null,
        outcome.headers.length ? [h("h2", "Headers of the answer"), fields(outcome.headers)] : null)),
    found.policies.length ? [h("h2", "Policies, in their order"), table("policies", ["Policy", "Value", "Set", "Now"], found.policies.map((one) => h("tr", h("td.when", h("b", one.key)), cell("Value", h("span.mono.small", pairs(one.value).map(([k, v]) => (k ? `${k} = ${v}` : v)).join(", "))), h("td.when", { "data-label": "Set" }, one.set.place ? h("span.mono.small", one.set.place) : h("span.quiet", one.set.by)), one.state ? cell("Now", h("span.small", pairs(one.state).map(([k, v]) => (k ? `${k}: ${v}` : v)).join(", "))) : none())))] : null)];
}

/** The views, in their order: each with what it is called and how it shows what is known. */
export const VIEWS = [
  ["routes", "Routes", routes], ["upstreams", "Upstreams", upstreams], ["messages", "Messages", messages], ["databases", "Databases", databases], ["requests", "Requests", requests],
  ["certificates", "Certificates", certificates], ["reloads", "Reloads", reloads], ["config", "Config", config], ["explain", "Explain", explain],
];

/** What an operator should know first: the view that shows more, how bad it is, and a sentence. */
export function attention({ stats, recent, now }) {
  const found = [];
  const tell = (view, kind, what, why) => found.push({ view, kind, what, why });
  if (stats.draining) tell("routes", "warn", "The proxy drains", "readiness fails, and requests finish");
  if (stats.serves_last_good) tell("reloads", "bad", "The last good config of an earlier run serves", "what was found at the start is broken");
  if (stats.last_reload?.result === "refused") tell("reloads", "bad", `The newest config is refused (${ago(stats.last_reload.at, now)})`, stats.last_reload.summary);
  for (const one of stats.upstreams) {
    if (!one.endpoints.length) tell("upstreams", "bad", `Upstream ${one.name} has no endpoint`, "its name is not resolved");
    for (const e of one.endpoints) {
      const error = e.last_error && e.last_error.seconds_ago < 60 ? e.last_error.error : null;
      if (e.state !== "available") tell("upstreams", "bad", `Endpoint ${e.address} of ${one.name} is ${e.state}`, e.check?.failure ?? e.last_error?.error);
      else if (error && (e.failures || e.penalty_seconds)) tell("upstreams", "warn", `Endpoint ${e.address} of ${one.name} fails`, error);
    }
  }
  for (const one of stats.routes) {
    const breaker = one.state?.circuit_breaker;
    const lately = recent.routes[one.name];
    const fails = lately.failures >= 3 && lately.failures > lately.requests / 20;
    const why = fails ? `${percent(lately.failures, lately.requests)} of ${count(lately.requests)} requests failed in the last minute${lately.why ? `, mostly ${lately.why}` : ""}` : null;
    if (breaker && breaker.state !== "closed") tell("routes", "bad", `The circuit breaker of route ${one.name} is ${breaker.state}${breaker.forced ? " by order" : ""}`, why);
    // What callers do wrong is nothing that has broken here.
    else if (fails) tell("routes", lately.broken > lately.failures / 2 ? "bad" : "warn", `Route ${one.name} fails`, why);
    const keys = one.state?.jwt?.last_error;
    if (keys) tell("routes", "warn", `The keys of route ${one.name} cannot be fetched`, keys);
  }
  if (recent.unrouted.requests >= 3) tell("requests", "warn", "Requests match no route", `${count(recent.unrouted.requests)} in the last minute`);
  for (const one of stats.tokens) {
    if (one.token !== "valid") tell("certificates", "bad", one.token === "expired" ? `The token of route ${one.route} expired ${long(-one.seconds_left)} ago` : `Route ${one.route} has no token`, one.last_error);
    else if (one.last_error) tell("certificates", "warn", `The token of route ${one.route} cannot be renewed`, one.last_error);
  }
  for (const one of stats.certificates) {
    const kind = expiry(one.days_left);
    if (kind === "bad" || kind === "warn") tell("certificates", kind, `${one.names.join(", ") || one.file} ${one.days_left < 0 ? "has expired" : `expires in ${plural(one.days_left, "day", "days")}`}`, one.used_by.join(", "));
  }
  for (const one of stats.brokers) if (!one.connected) tell("messages", "bad", `Broker ${one.name} is down`, one.error);
  for (const one of stats.subscriptions) if (!calm.has(one.state)) tell("messages", one.state === "paused" ? "warn" : "bad", `Subscription ${one.name} is ${one.state.replaceAll("_", " ")}`, one.why);
  for (const one of stats.relays) if (!calm.has(one.state)) tell("messages", one.state === "paused" ? "warn" : "bad", `Relay ${one.name} is ${one.state.replaceAll("_", " ")}`, one.why);
  for (const one of stats.databases) if (one.connected === false) tell("databases", "bad", `Database ${one.name} is down`, one.last_error?.error);
  return found.sort((a, b) => (a.kind > b.kind) - (a.kind < b.kind));
}
