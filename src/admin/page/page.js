// Asks the API again and again, reckons what came between two answers, and carries out what is pressed.

import { count, h, long, percent, quantile, rate, seconds, show } from "./dom.js";
import { VIEWS, attention, words } from "./views.js";

/** Milliseconds from one answer to the next question. */
const EVERY = 2000;
/** How many answers of before are kept: a minute. Rates are those of the newest few. */
const KEPT = 31;
const NEWEST = 6;

const $ = (id) => document.getElementById(id);
const see = {
  stats: null, recent: null, now: Date.now(), open: new Set(), letters: {}, kind: "all", onlySet: true,
  requests: null, reloads: null, routes: null, config: null, places: null, explanation: null, generation: 0,
  matches: (...texts) => texts.some((text) => String(text ?? "").toLowerCase().includes(filter())),
};
let view = VIEWS.some(([id]) => `#${id}` === location.hash) ? location.hash.slice(1) : "routes";
let live = true;
let trouble = null;
let timer = 0;
let samples = [];

const filter = () => $("filter").value.trim().toLowerCase();

/** Asks the API: `ask("POST /relays/{name}/pause", { name })`. The answer is JSON, or text where it is none. */
async function ask(what, { name, query = "", body } = {}) {
  const [method, path] = what.split(" ");
  const url = path.replace("{name}", encodeURIComponent(name)) + query;
  const answer = await fetch(url, { method, body, cache: "no-store", credentials: "same-origin" });
  const text = await answer.text();
  const isJson = (answer.headers.get("content-type") ?? "").includes("json");
  const value = isJson ? JSON.parse(text) : text;
  if (!answer.ok) throw new Error(isJson ? value.detail ?? value.title : text.trim() || answer.statusText);
  return value;
}

// What came between

function counted(one) {
  const calls = Object.entries(one.counters?.outrigger_grpc_responses_total ?? {}).map(([labels, n]) => [`gRPC ${labels.split("grpc_status=")[1]}`, n]);
  const why = { ...one.statuses, ...Object.fromEntries(calls.filter(([name]) => name !== "gRPC OK")), ...one.refused };
  return { requests: one.requests, failures: one.failures, buckets: one.duration_buckets, statuses: one.statuses, why };
}
const sample = (stats) => ({
  at: stats.uptime_seconds,
  routes: Object.fromEntries(stats.routes.map((one) => [one.name, counted(one)])),
  unrouted: counted(stats.unrouted),
  upstreams: Object.fromEntries(stats.upstreams.map((one) => [one.name, one.duration_buckets.reduce((sum, n) => sum + n, 0)])),
});

/** Of one route: what was counted between the oldest of `all` and the newest, and its rates from one to the next. */
function lately(all, times, bounds) {
  const [first, last] = [all[0], all.at(-1)];
  const buckets = last.buckets.map((n, at) => n - (first.buckets[at] ?? 0));
  const per = (from, to) => (all[to].requests - all[from].requests) / Math.max(times[to] - times[from], 1e-3);
  const newest = Math.max(0, all.length - NEWEST);
  const why = Object.entries(last.why).map(([name, n]) => [name, n - (first.why[name] ?? 0)]).filter(([name, n]) => n > 0 && !(name < "400"));
  const asked = Object.entries(last.statuses).filter(([status]) => status >= "400" && status < "500");
  const wrong = asked.reduce((sum, [status, n]) => sum + n - (first.statuses[status] ?? 0), 0);
  // A word says more than a status.
  why.sort((a, b) => /^\d/.test(a[0]) - /^\d/.test(b[0]) || b[1] - a[1]);
  return {
    requests: last.requests - first.requests, failures: last.failures - first.failures, broken: last.failures - first.failures - wrong, why: why[0]?.[0],
    rate: all.length > 1 ? per(newest, all.length - 1) : null, rates: all.slice(1).map((_, at) => per(at, at + 1)),
    buckets, p50: quantile(buckets, bounds, 0.5), p99: quantile(buckets, bounds, 0.99),
  };
}

function reckon(stats) {
  const fresh = sample(stats);
  if (samples.length && samples.at(-1).at > fresh.at) samples = [];
  samples = [...samples, fresh].slice(-KEPT);
  const bounds = stats.duration_bounds_seconds;
  const of = (pick) => {
    const known = samples.filter((one) => pick(one));
    return lately(known.map(pick), known.map((one) => one.at), bounds);
  };
  const routes = Object.fromEntries(stats.routes.map(({ name }) => [name, of((one) => one.routes[name])]));
  const from = samples.at(-NEWEST) ?? samples[0];
  const between = fresh.at - from.at;
  const upstreams = Object.fromEntries(Object.entries(fresh.upstreams).map(([name, n]) => [name, between ? (n - (from.upstreams[name] ?? n)) / between : null]));
  return { routes, upstreams, unrouted: of((one) => one.unrouted) };
}

// What is shown

function totals({ stats, recent }) {
  const all = [...Object.values(recent.routes), recent.unrouted];
  const add = (key) => all.reduce((sum, one) => sum + (one[key] ?? 0), 0);
  const buckets = all.reduce((sum, one) => sum.map((n, at) => n + one.buckets[at]), all[0].buckets.map(() => 0));
  const [p50, p99] = [0.5, 0.99].map((q) => quantile(buckets, stats.duration_bounds_seconds, q));
  const flying = [...stats.routes, stats.unrouted].reduce((sum, one) => sum + one.in_flight, 0);
  const ever = [...stats.routes, stats.unrouted].reduce((sum, one) => sum + one.requests, 0);
  const connections = stats.listeners.reduce((sum, one) => sum + one.connections, 0);
  const parts = [
    [recent.unrouted.rate === null ? "–" : rate(add("rate")), "requests /s"], [percent(add("failures"), add("requests")), "failed, 1 min"],
    [seconds(p50), "p50, 1 min"], [seconds(p99), "p99, 1 min"], [count(flying), "in flight"], [count(connections), "connections"], [count(ever), "requests ever"],
  ];
  return parts.map(([value, name]) => h("div.total", { "data-key": name }, h("b", value), h("span", name)));
}

function facts({ stats }) {
  const state = trouble ? ["bad", "no answer"] : stats.draining ? ["warn", "draining"] : ["good", "serving"];
  const pill = h(`span.pill.${state[0]}`, { title: trouble }, state[1]);
  return [pill, h("span", `v${stats.version}`), h("span", { title: stats.hash }, `generation ${stats.generation}`), h("span", `up ${long(stats.uptime_seconds)}`), trouble ? h("span.bad-text", trouble) : null];
}

function draw() {
  if (!see.stats) {
    show($("panel"), h("div.empty", trouble ?? "Asking the proxy …"));
    return;
  }
  const concerns = attention(see);
  document.title = concerns.some((one) => one.kind === "bad") ? "(!) outrigger" : "outrigger";
  show($("facts"), facts(see));
  show($("totals"), totals(see));
  const most = see.open.has("attention") ? concerns.length : window.innerWidth < 760 ? 3 : 6;
  const told = concerns.slice(0, most).map(({ view, kind, what, why }) => h("li", { "data-key": what.replace(/\d+.*ago/, "") }, h(`span.pill.${kind}`, kind === "bad" ? "fault" : "look"), h("div", h("a", { href: `#${view}` }, what), why ? h("span.quiet", " · ", words(why)) : null)));
  const more = concerns.length > most ? h("li", { "data-key": "more" }, h("button", { type: "button", "data-act": "open", "data-of": "attention" }, `and ${concerns.length - most} more`)) : null;
  show($("attention"), told.length ? h("ul", told, more) : null);
  const tabs = VIEWS.map(([id, name]) => {
    const faults = concerns.filter((one) => one.view === id && one.kind === "bad").length;
    return h("button", { type: "button", role: "tab", id: `tab-${id}`, "data-key": id, "data-act": "tab", "data-of": id, "aria-selected": String(id === view), "aria-controls": "panel", tabindex: id === view ? "0" : "-1" }, name, faults ? h("span.dot", { title: "faults" }, faults) : null);
  });
  show($("tabs"), tabs);
  $("panel").setAttribute("aria-labelledby", `tab-${view}`);
  const [, , render] = VIEWS.find(([id]) => id === view);
  show($("panel"), h("div", { "data-key": view }, render(see)));
}

// What is asked

const NEEDS = {
  requests: async () => { see.requests = await ask("GET /requests", { query: "?limit=300" }); },
  reloads: async () => { see.reloads = await ask("GET /reloads"); },
  routes: async () => { see.routes = await ask("GET /routes"); },
  config: async () => {
    see.config = await ask("GET /config");
    see.places = (await ask("GET /config/places")).places;
  },
};
/** Those that stay as they are until another config serves. */
const LASTING = new Set(["routes", "config"]);

async function look() {
  clearTimeout(timer);
  try {
    const stats = await ask("GET /stats");
    trouble = null;
    see.recent = reckon(stats);
    const isNew = stats.generation !== see.generation || stats.hash !== see.stats?.hash;
    see.stats = stats;
    see.now = Date.parse(stats.at);
    if (isNew) [see.generation, see.routes, see.config] = [stats.generation, null, null];
    if (NEEDS[view] && !(LASTING.has(view) && see[view] && (view !== "config" || see.places))) await NEEDS[view]();
  } catch (error) {
    trouble = error instanceof TypeError ? "The proxy does not answer." : error.message;
  }
  draw();
  clearTimeout(timer);
  if (live && !document.hidden) timer = setTimeout(look, EVERY);
}

function go(to, focus) {
  view = to;
  history.replaceState(null, "", `#${to}`);
  draw();
  if (focus) $(`tab-${to}`).focus();
  $(`tab-${to}`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  look();
}

function say(text) {
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { $("said").textContent = ""; }, 6000);
}

function explainThis({ method = "GET", url, listener = "", headers = "" }) {
  see.explanation = null;
  go("explain");
  const { elements } = document.querySelector("form.explain");
  [elements.method.value, elements.url.value, elements.listener.value, elements.headers.value] = [method, url, listener, headers];
  elements.url.focus();
}

async function explain(form) {
  const given = Object.fromEntries(new FormData(form));
  const question = { method: given.method, url: given.url, headers: {} };
  if (given.listener) question.listener = given.listener;
  if (given.client.trim()) question.client = given.client.trim();
  for (const line of given.headers.split("\n").filter((one) => one.trim())) {
    const [name, ...value] = line.split(":");
    (question.headers[name.trim()] ??= []).push(value.join(":").trim());
  }
  try {
    see.explanation = await ask("POST /explain", { body: JSON.stringify(question) });
  } catch (error) {
    see.explanation = error.message;
  }
  draw();
}

/** What buttons do, by their `data-act`. What cannot be undone is pressed twice. */
const ACTS = {
  open: (key) => { if (!see.open.delete(key)) see.open.add(key); draw(); },
  tab: (id) => go(id),
  kind: (kind) => { see.kind = kind; draw(); },
  "only-set": () => { see.onlySet = !see.onlySet; draw(); },
  failures: (name) => { $("filter").value = name; see.kind = "all"; go("requests"); },
  "explain-route": (name) => {
    const { path } = see.routes?.find((one) => one.name === name)?.match ?? {};
    explainThis({ url: (path ?? "/").replace(/\{\*?([^}]*)\}/g, "$1") });
  },
  "explain-request": (at) => {
    const { method, path, listener } = see.requests[at];
    explainThis({ method, url: path, listener });
  },
  pause: (of) => flow(of, "paused", { subscriptions: "POST /subscriptions/{name}/pause", relays: "POST /relays/{name}/pause" }),
  resume: (of) => flow(of, "resumed", { subscriptions: "POST /subscriptions/{name}/resume", relays: "POST /relays/{name}/resume" }),
  letters: async (name) => {
    see.letters[name] = await ask("GET /subscriptions/{name}/dead-letters", { name, query: "?limit=10&bytes=200" }).catch((error) => error.message);
    draw();
  },
  replay: async (name, button) => {
    if (!isSure(button)) return;
    const { replayed } = await ask("POST /subscriptions/{name}/dead-letters/replay", { name, query: "?limit=10" });
    say(`${replayed} dead letters of ${name} are delivered anew.`);
    await ACTS.letters(name);
  },
  reload: async () => {
    const { changed, generation } = await ask("POST /reload");
    say(changed ? `Generation ${generation} serves.` : "Nothing has changed.");
    await look();
  },
};

async function flow(of, done, ways) {
  const [kind, name] = of.split(" ");
  await ask(ways[kind], { name });
  say(`${name} is ${done}.`);
  await look();
}

function isSure(button) {
  if (button.classList.contains("sure")) return true;
  button.classList.add("sure");
  button.textContent = "Press again to replay";
  return false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-act]");
  if (!button || button.tagName === "FORM") return;
  try {
    await ACTS[button.dataset.act](button.dataset.of, button);
  } catch (error) {
    say(error.message);
    await look();
  }
});
document.addEventListener("submit", (event) => {
  event.preventDefault();
  explain(event.target);
});
$("filter").addEventListener("input", draw);
$("live").addEventListener("click", () => {
  live = !live;
  $("live").setAttribute("aria-pressed", String(live));
  $("live").textContent = live ? "Live" : "Paused";
  if (live) look();
});
document.addEventListener("visibilitychange", () => { if (live && !document.hidden) look(); });
window.addEventListener("hashchange", () => {
  const to = location.hash.slice(1);
  if (VIEWS.some(([id]) => id === to)) go(to);
});
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.getAttribute("role") === "tab") {
    const at = VIEWS.findIndex(([id]) => id === view);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: VIEWS.length - 1 }[key];
    if (next !== undefined) {
      event.preventDefault();
      go(VIEWS.at(next % VIEWS.length)[0], true);
      return;
    }
  }
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) {
    if (key === "Escape" && target.id === "filter") {
      target.value = "";
      draw();
      target.blur();
    }
    return;
  }
  if (key === "/") {
    event.preventDefault();
    $("filter").focus();
  } else if (key === "p") $("live").click();
  else if (key >= "1" && VIEWS[Number(key) - 1]) go(VIEWS[Number(key) - 1][0], true);
});

draw();
look();
