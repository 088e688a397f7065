// Makes elements, and changes what is shown into what is to be shown, so that focus and selection stay where they are.

const SVG = new Set(["svg", "polyline"]);

const isAttributes = (one) => one && typeof one === "object" && !Array.isArray(one) && !(one instanceof Node);
const present = (children) => children.flat(9).filter((child) => child !== null && child !== undefined && child !== false);

/** An element: `h("td.number", { title: "..." }, "text", child)`. Text is always text, whatever is in it. */
export function h(kind, ...children) {
  const attributes = isAttributes(children[0]) ? children.shift() : {};
  const [tag, ...classes] = kind.split(".");
  const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

/** Has `node` show these children, and keeps those that are there already. What has another `data-key` is another one. */
export function show(node, ...children) {
  const fresh = present(children).map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
  const kept = new Map();
  for (const child of node.childNodes) {
    const key = child.dataset?.key;
    if (key) kept.set(key, child);
  }
  fresh.forEach((child, at) => {
    const key = child.dataset?.key;
    let now = node.childNodes[at];
    if (key && kept.has(key)) {
      const same = kept.get(key);
      if (same !== now) node.insertBefore(same, now ?? null);
      now = same;
    }
    if (!now) node.append(child);
    else if (now.nodeName !== child.nodeName || now.dataset?.key !== key) node.insertBefore(child, now);
    else become(now, child);
  });
  while (node.childNodes.length > fresh.length) node.lastChild.remove();
}

function become(now, wanted) {
  if (now.nodeType === Node.TEXT_NODE) {
    if (now.data !== wanted.data) now.data = wanted.data;
    return;
  }
  for (const { name } of [...now.attributes]) {
    if (!wanted.hasAttribute(name)) now.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  show(now, [...wanted.childNodes]);
}

/** Which unit, and how many digits: what a person can read at a glance. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  const sign = value < 0 ? "-" : "";
  const s = Math.abs(value);
  if (s === 0) return "0 s";
  if (s < 0.001) return `${sign}${(s * 1e6).toFixed(0)} µs`;
  if (s < 1) return `${sign}${(s * 1e3).toPrecision(s < 0.01 ? 2 : 3).replace(/\.0+$/, "")} ms`;
  if (s < 10) return `${sign}${s.toFixed(2).replace(/\.?0+$/, "")} s`;
  return sign + long(s);
}

export function long(s) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [at, [size, name]] of units.entries()) {
    if (s < size * (at ? 1 : 2)) continue;
    const rest = Math.floor((s % size) / (units[at + 1]?.[0] ?? 1));
    return `${Math.floor(s / size)} ${name}${rest && at < 2 ? ` ${rest} ${units[at + 1][1]}` : ""}`;
  }
  return `${Math.floor(s)} s`;
}

export const count = (n) => (n === null || n === undefined ? "–" : n.toLocaleString("en").replaceAll(",", "\u202f"));

export function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024) return `${unit === "B" || n >= 100 ? Math.round(n) : n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} TiB`;
}

export const rate = (n) => (n === null ? "–" : n === 0 ? "0" : n < 10 ? n.toFixed(1) : count(Math.round(n)));

export const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(part && part < whole / 10 ? 1 : 0)} %` : "–");

export const ago = (text, now) => {
  const s = (now - Date.parse(text)) / 1000;
  return s < 1.5 ? "now" : `${long(s)} ago`;
};

/** The value below which `q` of all lie, by the bounds of their buckets: as the proxy and Prometheus reckon it. */
export function quantile(buckets, bounds, q) {
  const total = buckets.reduce((sum, n) => sum + n, 0);
  if (!total) return null;
  let below = 0;
  let lower = 0;
  for (const [at, upper] of bounds.entries()) {
    const within = buckets[at];
    if (within && below + within >= q * total) return lower + ((upper - lower) * (q * total - below)) / within;
    below += within;
    lower = upper;
  }
  return lower;
}

/** A line of what was lately, without a scale. */
export function spark(values) {
  const most = Math.max(...values, 1e-9);
  const step = 60 / Math.max(values.length - 1, 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${(15 - (14 * value) / most).toFixed(1)}`);
  return h("svg.spark", { viewBox: "0 0 60 16", "aria-hidden": "true", preserveAspectRatio: "none" }, h("polyline", { points: points.join(" ") }));
}
