#!/usr/bin/env python3
"""Prints the README's table from a saved run, or with --all each figure that was measured.

  bench/table.py [--all] [results/latest.json]
"""
import argparse
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
LATEST = os.path.join(HERE, "results", "latest.json")
PEERS = ("activemq", "artemis")
ALONE = {"M"}       # of Godwit alone, and in one round

# (scenario, figure in the results, its name, unit, goal). A goal is a limit: ("of the better", "<=" or ">=", factor) or
# ("absolute", "<=" or ">=", value); the better of the peers is the one nearer to the goal.
GOALS = [
    ("A", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 5)),
    ("A", "send_per_s", "sends/s", "", ("of the better", ">=", 1.3)),
    ("A", "send_us.p50", "send p50", "µs", ("absolute", "<=", 270)),
    ("B", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 6)),
    ("B", "send_per_s", "sends/s", "", ("of the better", ">=", 1.7)),
    ("B", "send_us.p99", "send p99", "µs", ("of the better", "<=", 1 / 2)),
    ("C", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 6)),
    ("C", "recv_per_s", "messages/s", "", ("of the better", ">=", 2)),
    ("D", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 4)),
    ("D", "recv_per_s", "received/s", "", ("of the better", ">=", 1.5)),
    ("E", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 3)),
    ("F", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 4)),
    ("X", "cpu_s_per_100k", "broker CPU per 100k", "s", ("of the better", "<=", 1 / 4)),
    ("G", "rss_backlog_mib", "RSS with the backlog", "MiB", ("absolute", "<=", 120)),
    ("G", "first_after_kill_ms", "first message after kill -9", "ms", ("absolute", "<=", 150)),
    ("G", "drain_per_s", "drain/s", "", ("of the better", ">=", 2)),
    ("H", "start_ms", "start", "ms", ("absolute", "<=", 50)),
    ("I", "rss_mib", "RSS", "MiB", ("absolute", "<=", 25)),
    ("J", "kib_per_connection", "RSS per connection", "KiB", ("absolute", "<=", 30)),
    ("K", "rss_mib", "RSS afterwards", "MiB", ("of the better", "<=", 1 / 5)),
    ("K", "seconds", "time", "s", ("of the better", "<=", 1 / 5)),
    ("L", "kib_per_connection", "RSS per connection", "KiB", ("absolute", "<=", 40)),
    ("L", "accept_s", "time to accept all", "s", ("of the better", "<=", 1 / 3)),
    ("M", "rss_backlog_mib", "RSS with the backlog", "MiB", ("absolute", "<=", 512)),
    ("M", "peak_rss_mib", "peak RSS, filling to draining", "MiB", ("absolute", "<=", 512)),
    ("M", "fill_ratio", "fill rate / an empty queue's", "", ("absolute", ">=", 0.7)),
    ("M", "drain_ratio", "drain rate / a small backlog's", "", ("absolute", ">=", 0.7)),
    ("M", "first_after_stop_ms", "first message after SIGTERM", "ms", ("absolute", "<=", 1000)),
    ("M", "first_after_kill_ms", "first message after kill -9", "ms", ("absolute", "<=", 1000)),
    ("N", "cpu_ratio", "broker CPU with 1,000 / with 1", "", ("absolute", "<=", 2)),
]
JOURNAL_GOALS = [(w, "ratio", "rate / raw file's rate", "", ("absolute", ">=", 0.8)) for w in ("1", "16", "256")]
JOURNAL_GOALS += [("256", "cpu_s_per_100k", "CPU per 100k", "s", ("absolute", "<=", 0.4))]


def dig(d, path):
    for part in path.split("."):
        d = d.get(part) if isinstance(d, dict) else None
    return d if isinstance(d, (int, float)) and not isinstance(d, bool) else None


def median(values):
    values = sorted(v for v in values if v is not None)
    if not values:
        return None
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def number(v):
    if v is None:
        return "-"
    if abs(v) >= 100:
        return f"{v:,.0f}"
    return f"{v:.3g}"


def with_unit(v, unit):
    return number(v) + (f" {unit}" if unit and v is not None else "")


def factor(f):
    return f"1/{round(1 / f)} of" if f < 1 else f"{f:g} x"


def why_not(runs):
    """Says why the rounds of one scenario cannot count; empty if they can."""
    said = []
    for r in runs:
        if r.get("error"):
            said.append(r["error"].splitlines()[0][:160])
        elif not r.get("ok"):
            said.append(", ".join(f"{k.replace('_', ' ')} {r[k]}" for k in
                                  ("lost", "duplicates", "order_breaks", "strangers", "errors") if r.get(k)) or "not ok")
    return "; ".join(dict.fromkeys(said))


def row(title, figure, unit, goal, cells, broken, absent="-"):
    """cells: the figures of Classic, Artemis, Godwit; absent stands for a peer that has none."""
    kind, sign, limit = goal
    *peers, ours = cells
    known = [v for v in peers if v is not None]
    better = (min(known) if sign == "<=" else max(known)) if known else None
    text = factor(limit) + " the better" if kind == "of the better" else with_unit(limit, unit)
    shown, met = with_unit(ours, unit), "-"
    if ours is not None and better:
        shown += f" (x{ours / better:.2f})"
    bound = limit if kind == "absolute" else better * limit if better is not None else None
    if broken:
        met = "no: " + broken
    elif ours is not None and bound is not None:
        met = "yes" if (ours <= bound if sign == "<=" else ours >= bound) else "no"
    sign = {"<=": "at most", ">=": "at least"}[sign]
    return "| " + " | ".join([title, figure, *(absent if v is None else with_unit(v, unit) for v in peers), shown, f"{sign} {text}", met]) + " |"


def ratio_table(doc):
    """The README's table as Markdown: medians of the rounds of one run, beside the peers."""
    results, names = doc["results"], doc["brokers"]
    head = ["Classic " + names.get("activemq", {}).get("version", "").split(" ")[0],
            "Artemis " + names.get("artemis", {}).get("version", "").split(" ")[0], "Godwit (to the better peer)"]
    out = ["| scenario | figure | " + " | ".join(h.strip() for h in head) + " | goal | met |", "|---|---|---|---|---|---|---|"]
    last = None
    for key, figure, name, unit, goal in GOALS:
        runs = {b: results.get(b, {}).get(key, []) for b in (*PEERS, "godwit")}
        cells = [median([dig(r, figure) for r in runs[b]]) for b in runs]
        if any(runs.values()):
            title = f"{key} {doc['titles'][key]}" if key != last else ""
            out.append(row(title, name, unit, goal, cells, why_not(runs["godwit"]), "not run" if key in ALONE else "-"))
            last = key
    for writers, figure, name, unit, goal in JOURNAL_GOALS if doc.get("journal") else []:
        ours = median([dig(r, f"writers.{writers}.{figure}") for r in doc["journal"]])
        out.append(row(f"journal alone, {writers} writer{'s' if writers != '1' else ''}", name, unit, goal, [None, None, ours],
                       why_not(doc["journal"])))
    return "\n".join(out + [""] + notes(doc))


# settings that a table must name
SIZES = [("backlog", "messages in G"), ("connections", "connections in J"), ("queues", "queues in K"), ("consumers", "connections in L"),
         ("large_backlog", "messages in M")]


def notes(doc):
    m, s, out = doc["machine"], doc["settings"], []
    out.append(f"Measured {m['when']} on {m['cores']} cores, {m['memory_mib'] // 1024} GiB, {m['filesystem']}, Linux {m['kernel']}: "
               f"median of {s['rounds']} round{'s' if s['rounds'] > 1 else ''}, {s['seconds']:g} s each after {s['warm']:g} s of warm-up, "
               + ", ".join(f"{s[name]:,} {what}" for name, what in SIZES if name in s) + "; "
               + ", ".join(f"{n} {b['version']}" for n, b in doc["brokers"].items()) + ".")
    for key, a in sorted(doc.get("added", {}).items()):
        out.append(f"{key} was measured again {a['when']}, all three brokers: median of {a['rounds']} round{'s' if a['rounds'] > 1 else ''}, {a['godwit']}.")
    noise = [(median([dig(r, "others_percent") for r in runs]) or 0, key, n)
             for n, by_key in doc["results"].items() for key, runs in by_key.items()]
    worst = max(noise, default=(0, "", ""))
    if worst[0] >= 3:
        out.append(f"Other processes used up to {worst[0]:.0f} % of the machine's CPU (worst: {worst[1]}, {worst[2]}).")
    for key in sorted(ALONE & doc["results"].get("godwit", {}).keys()):
        held = [(n, median([dig(r, "rss_backlog_mib") for r in doc["results"].get(n, {}).get("G", [])])) for n in PEERS]
        held = [f"{n} {number(v)} MiB" for n, v in held if v]
        out.append(f"{key} is run with Godwit alone, once" + (f": for the messages of G the peers took {', '.join(held)} already." if held else "."))
    for n, by_key in doc["results"].items():
        for key, runs in by_key.items():
            if n != "godwit" and (why := why_not(runs)):
                out.append(f"{n} in {key}: {why}.")
    for n in doc["results"]:
        if n not in (*PEERS, "godwit"):
            out.append(f"{n}: start {number(median([dig(r, 'start_ms') for r in doc['results'][n].get('H', [])]))} ms, "
                       f"idle RSS {number(median([dig(r, 'rss_mib') for r in doc['results'][n].get('I', [])]))} MiB.")
    return out


def leaves(d, path=""):
    for k, v in d.items():
        if isinstance(v, dict):
            yield from leaves(v, f"{path}{k}.")
        elif isinstance(v, (int, float)) and not isinstance(v, bool):
            yield path + k


def full_table(doc):
    """Each figure of each scenario and broker, medians; for people who want to know more."""
    names = list(doc["results"])
    out = ["| | figure | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for key in doc["titles"]:
        figures = {}
        for n in names:
            for r in doc["results"][n].get(key, []):
                figures.update(dict.fromkeys(leaves(r)))
        for f in figures:
            cells = [number(median([dig(r, f) for r in doc["results"][n].get(key, [])])) for n in names]
            out.append(f"| {key} | {f} | " + " | ".join(cells) + " |")
    for writers in ("1", "16", "256") if doc.get("journal") else []:
        for f in ("appends_per_s", "raw_appends_per_s", "ratio", "cpu_s_per_100k", "raw_cpu_s_per_100k"):
            v = number(median([dig(r, f"writers.{writers}.{f}") for r in doc["journal"]]))
            out.append(f"| journal, {writers} | {f} | " + " | ".join(v if n == "godwit" else "-" for n in names) + " |")
    return "\n".join(out)


def main():
    ap = argparse.ArgumentParser(description="Prints the README's table from a saved run.")
    ap.add_argument("file", nargs="?", default=LATEST)
    ap.add_argument("--all", action="store_true", help="each figure that was measured")
    opt = ap.parse_args()
    with open(opt.file) as f:
        doc = json.load(f)
    print(full_table(doc) if opt.all else ratio_table(doc))


if __name__ == "__main__":
    main()
