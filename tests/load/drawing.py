"""Draws a dashboard of Grafana without Grafana, as an SVG: for those who want to look at what its queries give."""

import html
import json
import time
import urllib.parse
import urllib.request

import monitoring

CELL, ROW = 60, 34
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"]


def draw(port, path, seconds):
    """Asks the Prometheus at `port` for the last `seconds` of every panel."""
    panels = json.loads(monitoring.DASHBOARD.read_text())["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    parts = [panel_svg(port, panel, seconds) for panel in panels]
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{24 * CELL}" height="{height * ROW}" '
                    f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>')


def panel_svg(port, panel, seconds):
    place = panel["gridPos"]
    x, y, width, height = place["x"] * CELL, place["y"] * ROW, place["w"] * CELL - 8, place["h"] * ROW - 8
    title = f'<text x="6" y="15" font-weight="bold">{html.escape(panel["title"])}</text>'
    if panel["type"] == "row":
        return f'<g transform="translate({x},{y})">{title}</g>'
    series = [(legend(target["legendFormat"], found["metric"]), points(found["values"]))
              for target in panel["targets"] for found in asked(port, target["expr"], seconds)]
    values = [value for _, line in series for _, value in line] or [0]
    low, high = min(0, *values), max(0, *values) or 1
    last = series[0][1][-1][1] if panel["type"] == "stat" and series else None
    inner = [title, f'<text x="{width - 6}" y="15" text-anchor="end">{low:.3g} to {high:.3g} {panel["fieldConfig"]["defaults"]["unit"]}'
                    f'</text><rect width="{width}" height="{height}" fill="none" stroke="#ccc"/>']
    if last is not None:
        inner.append(f'<text x="{width / 2}" y="{height / 2 + 20}" font-size="30" text-anchor="middle">{last:.4g}</text>')
    else:
        shown = min(len(series), 6)
        bottom = height - 14 * ((shown + 1) // 2) - 10
        end = time.time()
        for number, (name, line) in enumerate(series):
            colour = COLOURS[number % len(COLOURS)]
            dots = " ".join(f"{(1 - (end - at) / seconds) * (width - 20) + 10:.1f},"
                            f"{bottom - (value - low) / (high - low) * (bottom - 24):.1f}" for at, value in line)
            inner.append(f'<polyline points="{dots}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
            if number < shown:
                inner.append(f'<text x="{8 + number % 2 * width / 2}" y="{bottom + 16 + number // 2 * 14}" fill="{colour}">'
                             f'{html.escape(name[:38])}</text>')
    return f'<g transform="translate({x},{y})">{"".join(inner)}</g>'


def asked(port, query, seconds):
    end = time.time()
    words = {"query": monitoring.filled(query, "10s"), "start": end - seconds, "end": end, "step": 1}
    address = f"http://127.0.0.1:{port}/api/v1/query_range?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)["data"]["result"]


def points(values):
    return [(float(at), float(value)) for at, value in values if value != "NaN"] or [(time.time(), 0)]


def legend(text, labels):
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text or " ".join(value for name, value in labels.items() if name != "__name__")
