#!/usr/bin/env python3
"""What clients see when a node of a pair dies or hands over: Godwit's pair beside ActiveMQ's and Artemis's, in one run. See README.md.

  bench/ha.py                      everything; saved as results/ha.json; prints the README's table
  bench/ha.py --quick --only godwit
  bench/ha.py --table              the table again, from the saved run
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import brokers
import scenarios
import table
from measure import filesystem, machine, usage

SAVED = os.path.join(brokers.HERE, "results", "ha.json")
HOST = brokers.HOST
FULL = dict(kills=50, other_kills=10, switchovers=20, peer_kills=5, stored=100_000, large=5_000_000, large_kills=5, seconds=7.0)
QUICK = dict(kills=3, other_kills=2, switchovers=3, peer_kills=1, stored=5_000, large=0, large_kills=0, seconds=3.0)
# settle is between a node's return and the next fault, so that each begins from a pair that is whole.
SETTLE, PATIENCE = 1.5, 90
STARTS = 8      # seconds that a Java process is given until it waits for its lock, of which it says nothing


class Process:
    """One process of a pair."""

    def __init__(self, argv, folder, env=()):
        self.argv, self.folder, self.env, self.process = argv, folder, dict(env), None

    def start(self):
        with open(os.path.join(self.folder, "output.log"), "ab") as log:
            self.process = subprocess.Popen(self.argv, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, cwd=self.folder)

    def end(self, sig):
        p, self.process = self.process, None
        if p is not None:
            brokers.end(p, sig)


class Pair:
    """Two brokers, a and b, and whatever else they need. Clients know both addresses."""
    others = ()     # processes that never serve clients

    def __init__(self, data):
        self.processes = {}
        self.setup(data)

    def start(self):
        for p in self.processes.values():
            p.start()
            time.sleep(0.3)
        until(lambda: self.active() and self.whole(), "no pair after the start")

    def stop(self):
        for p in self.processes.values():
            p.end(signal.SIGKILL)

    def active(self):
        """The broker that serves, "" if none does."""
        for name, port in self.ports.items():
            if brokers._answers(port, "openwire"):
                return name
        return ""

    def whole(self):
        """Whether the other could take over now."""
        return all(p.process is not None and p.process.poll() is None for p in self.processes.values())

    def url(self, names="ab"):
        return "failover:(" + ",".join(f"tcp://{HOST}:{self.ports[n]}" for n in names) + ")?maxReconnectDelay=1000&randomize=false&useExponentialBackOff=true"

    def kill(self, name):
        self.processes[name].end(signal.SIGKILL)

    def back(self, name):
        """Starts a node that was killed, and waits until the pair is whole."""
        until(self.active, f"nobody took over from {name}")
        time.sleep(0.5)
        self.processes[name].start()
        until(self.whole, f"{name} did not come back")
        time.sleep(SETTLE)


def until(condition, otherwise):
    """Waits until condition() is true, and answers what it gave."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"{otherwise} within {PATIENCE} s")
        time.sleep(0.05)
    return found


class GodwitPair(Pair):
    """As `godwit cluster init` sets it up: two instances and a witness, TLS between the nodes; only the ports are others."""
    others = ("witness",)
    ports = {"a": 26642, "b": 26652}
    MOVED = ((7410, 26610, 10), (7420, 26620, 10), (8161, 26630, 10), (61614, 26640, 20))

    def setup(self, data):
        self.exe = brokers.go_build("./cmd/godwit", "godwit")
        folder = os.path.join(data, "pair")
        subprocess.run([self.exe, "cluster", "init", "--dir", folder], check=True, stdout=subprocess.DEVNULL, timeout=60)
        for name in ("a", "b", "witness"):
            file = os.path.join(folder, name + ".yaml")
            with open(file) as f:
                text = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"{HOST}:{self.moved(int(m[1]))}", f.read())
            with open(file, "w") as f:
                f.write(text)
            self.processes[name] = Process([self.exe, "serve", "--config", file], folder)

    def moved(self, port):
        for old, new, n in self.MOVED:
            if old <= port < old + n:
                return port - old + new
        raise RuntimeError(f"godwit cluster init uses port {port}, which is not known here")

    def instances(self):
        for port in (26630, 26631, 26632):
            try:
                with urllib.request.urlopen(f"http://{HOST}:{port}/api/v1/instances", timeout=3) as r:
                    answer = json.load(r)
                    return {i["name"]: i for i in (answer if isinstance(answer, list) else answer["instances"])}
            except (OSError, ValueError):
                continue
        return {}

    def active(self):
        return next((n for n, i in self.instances().items() if i.get("role") == "active"), "")

    def whole(self):
        found = self.instances()
        return (super().whole() and sorted(i.get("role") for i in found.values()) == ["active", "standby", "witness"]
                and all(i.get("lag", 0) < 20 for i in found.values()))

    def switchover(self):
        subprocess.run([self.exe, "switchover", "--api", f"http://{HOST}:26630"], check=True, stdout=subprocess.DEVNULL, timeout=30)


class ActiveMQPair(Pair):
    """Two brokers on one store; the standby waits for its lock, as the settings that ActiveMQ ships have it."""
    ports = {"a": 26700, "b": 26710}
    lock = ""

    def setup(self, data):
        single = brokers.ActiveMQ("activemq", 0)
        single.prepare()
        store = os.path.join(data, "store")
        for name, port in self.ports.items():
            folder = os.path.join(data, name)
            os.makedirs(folder)
            single.port = port
            argv, env = single.setup(folder)
            file = os.path.join(folder, "activemq.xml")
            with open(file) as f:
                text = f.read().replace(f'directory="{folder}/kahadb"', f'directory="{store}"').replace('brokerName="localhost"', f'brokerName="{name}"')
            if self.lock:
                text = text.replace('journalDiskSyncStrategy="always"/>', f'journalDiskSyncStrategy="always">{self.lock}</kahaDB>')
            with open(file, "w") as f:
                f.write(text)
            self.processes[name] = Process(argv, folder, env)

    def whole(self):
        time.sleep(STARTS)
        return super().whole()


class TunedActiveMQPair(ActiveMQPair):
    """The same with the lock asked for each second."""
    lock = '<locker><shared-file-locker lockAcquireSleepInterval="1000"/></locker>'


class ArtemisPair(Pair):
    """A primary and a backup on one store, as `artemis create` makes them."""
    ports = {"a": 26800, "b": 26810}

    def setup(self, data):
        home = os.path.join(brokers.PEERS_HOME, "apache-artemis-2.40.0")
        for name, port in self.ports.items():
            instance = os.path.join(data, name)
            other = self.ports["b" if name == "a" else "a"]
            r = subprocess.run(
                [f"{home}/bin/artemis", "create", instance, "--user", "admin", "--password", "admin", "--allow-anonymous", "--no-web", "--host", HOST,
                 "--no-amqp-acceptor", "--no-hornetq-acceptor", "--no-mqtt-acceptor", "--no-stomp-acceptor", "--default-port", str(port),
                 "--shared-store", "--failover-on-shutdown", "--data", os.path.join(data, "store"), "--name", name,
                 "--cluster-user", "c", "--cluster-password", "c", "--staticCluster", f"tcp://{HOST}:{other}",
                 *(["--backup"] if name == "b" else []), "--silent"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90)
            if r.returncode:
                raise RuntimeError("artemis create: " + r.stdout[-500:])
            self.processes[name] = Process([f"{instance}/bin/artemis", "run"], instance)

    def whole(self):
        time.sleep(STARTS)
        return super().whole()


PAIRS = {"activemq": ActiveMQPair, "activemq-tuned": TunedActiveMQPair, "artemis": ArtemisPair, "godwit": GodwitPair}
TITLES = {"activemq": "Classic 6.3.1", "activemq-tuned": "Classic, lock asked for each second", "artemis": "Artemis 2.40.0", "godwit": "Godwit"}


def gaps(pair, fault, rounds, stored, size=1024):
    """Lets one failover client send while fault(i) happens again and again: the longest wait for an answer each time, in ms, and what the client says at the end."""
    found, failed = [], []

    def on_phase(phase, nanos):
        if phase == "fault" and not failed:
            try:
                fault(len(found))
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                failed.append(f"{type(e).__name__}: {e}")
        elif phase == "gap":
            found.append(round(nanos / 1e6, 1))
    out = scenarios.run_load([f"--url={pair.url()}", "--mode=gaps", f"--rounds={rounds}", f"--stored={stored}", "--count=20000000", "--seconds=0",
                              "--warm-seconds=4", f"--size={size}", "--batch=500"], on_phase, limit=600 + rounds * 60 + stored / 2000)
    out["gaps_ms"] = found
    if failed:
        out.update(ok=False, error=failed[0])
    return out


def killing_active(pair):
    def fault(_):
        name = until(pair.active, "no active broker")
        pair.kill(name)
        pair.back(name)
    return fault


def killing_others(pair):
    """The standby and the witness in turns: one of the two leads the log's stream."""
    def fault(i):
        active = until(pair.active, "no active broker")
        name = [n for n in pair.processes if n != active][i % 2]
        pair.kill(name)
        time.sleep(3)
        pair.processes[name].start()
        until(pair.whole, f"{name} did not come back")
        time.sleep(SETTLE)
    return fault


def switching_over(pair):
    def fault(_):
        pair.switchover()
        until(pair.whole, "no standby after a switchover")
        time.sleep(SETTLE)
    return fault


def with_pair(kind, root, work):
    folder = tempfile.mkdtemp(prefix=kind + "-", dir=root)
    pair = PAIRS[kind](folder)
    try:
        pair.start()
        return work(pair)
    except (RuntimeError, OSError, KeyError, ValueError, subprocess.SubprocessError) as e:
        return dict(ok=False, error=f"{type(e).__name__}: {e}"[:900])
    finally:
        pair.stop()
        shutil.rmtree(folder, ignore_errors=True)


def idle(pair):
    """Memory, processor time and syncs of a pair that has nothing to do, by process."""
    time.sleep(10)
    before = {n: usage(p.process.pid) for n, p in pair.processes.items()}
    time.sleep(10)
    after = {n: usage(p.process.pid) for n, p in pair.processes.items()}
    return dict(ok=True, rss_mib={n: round(u["rss"] / 1024, 1) for n, u in after.items()},
                cpu_percent={n: round((after[n]["cpu"] - before[n]["cpu"]) * 10, 2) for n in after})


def sends(exe, url, producers, seconds):
    """Persistent sends by so many producers, each waiting for its answers: rate and median."""
    r = subprocess.run([exe, "bench", "--url", url, "--producers", str(producers), "--consumers", "0", "--destination", f"sends.{producers}",
                        "--duration", f"{seconds}s", "-o", "json"], capture_output=True, text=True, timeout=120 + seconds)
    if r.returncode:
        raise RuntimeError("godwit bench: " + r.stderr[-400:])
    return json.loads(r.stdout)


def rates(root, opt):
    """The replicated log against the file journal: the same sends to a pair and to a broker alone, in turns."""
    found = {"pair": {}, "alone": {}}
    for producers in (256, 1):
        def of_pair(pair):
            active = until(pair.active, "no active instance")
            return sends(pair.exe, f"tcp://{HOST}:{pair.ports[active]}", producers, opt.seconds)
        found["pair"][str(producers)] = with_pair("godwit", root, of_pair)
        alone = brokers.make("godwit")
        folder = tempfile.mkdtemp(prefix="alone-", dir=root)
        try:
            alone.start(folder)
            found["alone"][str(producers)] = sends(alone.exe, alone.url, producers, opt.seconds)
        finally:
            alone.stop()
            shutil.rmtree(folder, ignore_errors=True)
    return found


def run(opt):
    if filesystem(brokers.HERE) in ("tmpfs", "ramfs"):
        sys.exit("the tree lies in memory, not on a disk: syncs there say nothing")
    os.makedirs(brokers.BUILD, exist_ok=True)
    subprocess.run([os.path.join(brokers.HERE, "install.sh"), *{k.split("-")[0] for k in opt.only if k != "godwit"}], check=True, stdout=sys.stderr)
    root = tempfile.mkdtemp(prefix="ha-", dir=brokers.BUILD)
    doc = dict(machine=machine(brokers.HERE), settings={k: getattr(opt, k) for k in FULL}, results={}, godwit="")
    saved = {}
    if opt.add:
        with open(opt.out) as f:
            saved = json.load(f)
        doc["results"] = saved["results"]
    if "godwit" in opt.only or not saved:
        doc["godwit"] = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=brokers.HERE, capture_output=True, text=True).stdout.strip()
    else:   # the table is about Godwit
        doc.update({k: saved[k] for k in ("godwit", "machine", "settings")})

    def note(kind, what, result):
        doc["results"].setdefault(kind, {})[what] = result
        print(f"# {kind} {what} {json.dumps(result)}", file=sys.stderr, flush=True)
        save(doc, opt.out)
    try:
        for kind in opt.only:
            ours = kind == "godwit"
            note(kind, "idle", with_pair(kind, root, idle))
            note(kind, "kill", with_pair(kind, root, lambda p: gaps(p, killing_active(p), opt.kills if ours else opt.peer_kills, opt.stored)))
            if ours:
                note(kind, "other", with_pair(kind, root, lambda p: gaps(p, killing_others(p), opt.other_kills, opt.stored)))
                note(kind, "switchover", with_pair(kind, root, lambda p: gaps(p, switching_over(p), opt.switchovers, opt.stored)))
                if opt.large:
                    note(kind, "large", with_pair(kind, root, lambda p: gaps(p, killing_active(p), opt.large_kills, opt.large, size=256)))
                note(kind, "rates", rates(root, opt))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(markdown(doc))


def save(doc, path):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".tmp", "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")
    os.replace(path + ".tmp", path)


def said(result):
    """Median and maximum of the gaps in seconds, or why there are none."""
    if not result:
        return "not run"
    if not result.get("gaps_ms"):
        return "failed: " + result.get("error", "?").splitlines()[0][:80]
    found = result["gaps_ms"]
    text = f"{table.median(found) / 1e3:.2f} s, at most {max(found) / 1e3:.2f} s ({len(found)})"
    why = table.why_not([result])
    return text + (f"; **{why}**" if not result.get("ok") else "")


def verdict(ok):
    return "-" if ok is None else "yes" if ok else "no"


def markdown(doc):
    res = doc["results"]
    ours = res.get("godwit", {})
    kinds = [k for k in PAIRS if k != "godwit"]
    out = ["| figure | " + " | ".join(TITLES[k] for k in kinds) + " | Godwit | goal | met |", "|---|" + "---|" * (len(kinds) + 3)]

    def gap_row(title, what, goal, median_limit, max_limit):
        r = ours.get(what)
        ok = None
        if r:
            ok = bool(r.get("ok") and r.get("gaps_ms")) and (median_limit is None or table.median(r["gaps_ms"]) <= median_limit * 1e3) \
                and (max_limit is None or max(r["gaps_ms"]) <= max_limit * 1e3)
        peers = [said(res.get(k, {}).get(what)) if what == "kill" else "-" for k in kinds]
        out.append("| " + " | ".join([title, *peers, said(r), goal, verdict(ok)]) + " |")
    s = doc["settings"]
    gap_row(f"kill -9 of the active, {s['stored']:,} messages stored: longest wait for an answer to a send", "kill", "median 0.7 s, at most 2 s", 0.7, 2)
    gap_row("the same, of the standby and the witness in turns", "other", "at most 1 s", None, 1)
    gap_row("switchover", "switchover", "median 0.1 s, no exception", 0.1, None)
    if s["large"]:
        r, base = ours.get("large"), ours.get("kill")
        gap_row(f"kill -9 of the active, {s['large']:,} messages stored", "large", "as with few: median 0.7 s, at most 2 s", 0.7, 2)
    rates = ours.get("rates")
    if rates and all("error" not in r for r in (*rates["pair"].values(), *rates["alone"].values())):
        many = rate_of(rates["pair"]["256"]) / rate_of(rates["alone"]["256"])
        one = median_of(rates["pair"]["1"]) / median_of(rates["alone"]["1"])
        blank = ["-"] * len(kinds)
        out.append("| " + " | ".join(["persistent sends, 256 producers: rate to that of a broker alone", *blank,
                                      f"{many:.2f} ({rate_of(rates['pair']['256']):,.0f}/s)", "at least 0.25", verdict(many >= 0.25)]) + " |")
        out.append("| " + " | ".join(["persistent sends, 1 producer: p50 to that of a broker alone", *blank,
                                      f"{one:.1f} ({median_of(rates['pair']['1']):,.0f} µs)", "at most 5", verdict(one <= 5)]) + " |")
    memory = [max(res.get(k, {}).get("idle", {}).get("rss_mib", {"": 0}).values()) for k in (*kinds, "godwit")]
    out.append("| " + " | ".join(["idle memory of a node", *(f"{m:.0f} MiB" if m else "not run" for m in memory), "at most 60 MiB",
                                  verdict(memory[-1] <= 60 if memory[-1] else None)]) + " |")
    if "cpu_percent" in ours.get("idle", {}):
        cpu = ours["idle"]["cpu_percent"]
        peers = [" + ".join(f"{v:g}" for v in res.get(k, {}).get("idle", {}).get("cpu_percent", {}).values()) or "not run" for k in kinds]
        out.append("| " + " | ".join(["idle, processor time of each node, % of one core", *peers, " + ".join(f"{v:g}" for v in cpu.values()), "-", "-"]) + " |")
    m = doc["machine"]
    out += ["", f"Measured {m['when']} on {m['cores']} cores, {m['memory_mib'] / 1024:.0f} GiB, {m['filesystem']}, Linux {m['kernel']}, all nodes of a pair on this one machine and disk; "
                f"Godwit {doc['godwit']}. In brackets: how often."]
    return "\n".join(out)


def rate_of(r):
    return r["sentPerSecond"]


def median_of(r):
    return r["sendMillis"]["p50"] * 1e3


def main():
    ap = argparse.ArgumentParser(description="Pairs: what clients see when a node dies or hands over.")
    ap.add_argument("--only", default=",".join(PAIRS), help="pairs, of " + ",".join(PAIRS))
    ap.add_argument("--quick", action="store_true", help="few rounds: for developing; saved as results/ha-partial.json")
    ap.add_argument("--table", action="store_true", help="print the table of the saved run and end")
    ap.add_argument("--add", action="store_true", help="keep what the saved run has of pairs that are not measured now; date and settings shown are Godwit's")
    ap.add_argument("--out", help="where results go")
    for name, value in FULL.items():
        ap.add_argument("--" + name.replace("_", "-"), type=type(value), help=f"default {value:,}, with --quick {QUICK[name]:,}")
    opt = ap.parse_args()
    for name, value in (QUICK if opt.quick else FULL).items():
        if getattr(opt, name) is None:
            setattr(opt, name, value)
    opt.only = opt.only.split(",")
    for k in opt.only:
        if k not in PAIRS:
            ap.error(f"unknown pair {k}; there are {', '.join(PAIRS)}")
    if opt.table:
        with open(opt.out or SAVED) as f:
            return print(markdown(json.load(f)))
    opt.out = opt.out or (SAVED if not opt.quick and (opt.add or set(opt.only) == set(PAIRS)) else SAVED.replace("ha.json", "ha-partial.json"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run(opt)


if __name__ == "__main__":
    main()
