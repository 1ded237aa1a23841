"""What is measured. Each scenario is a function of a stopped broker, an empty folder and the options; it answers a dict of
figures in which "ok" says whether every message came once, in order, and without an error."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import brokers
from measure import machine_cpu, usage

MEMORY_LIMIT_MIB = 512      # of Godwit in M
SELECTORS = 1000            # in N
CLASSPATH = f"{brokers.HERE}/loadgen/target/loadgen.jar:{brokers.HERE}/loadgen/target/lib/*"

# name: (title, arguments of the load client)
LOADS = {
    "A": ("persistent queue, 1 producer, 1 consumer, sync", ["--producers=1", "--consumers=1"]),
    "B": ("persistent queue, 16/16, sync", ["--producers=16", "--consumers=16"]),
    "C": ("persistent queue, 4/4, transacted by 100", ["--producers=4", "--consumers=4", "--transacted", "--batch=100"]),
    "D": ("non-persistent queue, 4/4, async", ["--producers=4", "--consumers=4", "--non-persistent", "--async",
                                               "--count=300000", "--warm-count=60000"]),
    "E": ("non-persistent topic 1:10, per delivery", ["--producers=1", "--consumers=10", "--non-persistent", "--async",
                                                      "--topic", "--count=60000", "--warm-count=10000"]),
    "F": ("non-persistent queue, 4 sync producers, 10 consumers with selectors",
          ["--producers=4", "--consumers=10", "--non-persistent", "--always-sync", "--selectors"]),
    "X": ("persistent queue, 4/4, XA: begin, 10 sends, prepare, commit", ["--producers=4", "--consumers=4", "--xa", "--batch=10"]),
}
TITLES = {**{key: title for key, (title, _) in LOADS.items()},
          "G": "backlog of persistent messages: restart, drain", "H": "exec to accepting a client, empty store",
          "I": "idle", "J": "idle connections", "K": "queues, 1 persistent message through each",
          "L": "connections with a consumer each", "M": "large backlog of persistent messages: restart, drain",
          "N": "non-persistent queue, 1,000 consumers with selectors x = n against 1"}


def run_load(arguments, on_phase, limit, heap="2g"):
    """Runs the load client in Java. on_phase(phase, nanoseconds) is called at each of its marks, while it waits."""
    return run_client(["java", f"-Xmx{heap}", "-XX:+UseParallelGC", "-Xss256k", "-cp", CLASSPATH, "loadgen.LoadGen", *arguments],
                      on_phase, limit)


def run_client(argv, on_phase, limit):
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         start_new_session=True)
    complaints, result = [], None
    reader = threading.Thread(target=lambda: complaints.extend(p.stderr), daemon=True)
    reader.start()
    killer = threading.Timer(limit, p.kill)
    killer.start()
    try:
        for line in p.stdout:
            if line.startswith("@"):
                phase, at = line[1:].split()
                on_phase(phase, int(at))
                p.stdin.write("\n")
                p.stdin.flush()
            elif line.startswith("{"):
                result = json.loads(line)
    finally:
        killer.cancel()
        p.kill()        # it has ended, or we have failed
        p.wait()
        reader.join(5)
    if result is None:
        raise RuntimeError(f"the load client gave no result within {limit} s: " + "".join(complaints)[-600:])
    if complaints:
        result["stderr"] = "".join(complaints)[-600:]
    return result


class Profile:
    """perf on one process between start and stop; does nothing if no file is given."""

    def __init__(self, pid, path):
        self.pid, self.path, self.process = pid, path, None

    def start(self):
        if self.path:
            self.process = subprocess.Popen(["perf", "record", "-q", "-F", "997", "--call-graph", "fp", "-p", str(self.pid),
                                             "-o", self.path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(0.3)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def perf_file(broker, name, opt):
    return os.path.join(brokers.BUILD, f"{name}.perf") if opt.profile and broker.name == "godwit" else None


def load(broker, data, key, opt):
    """A to F, X: figures are of the measured phase only."""
    broker.start(data)
    return measured(broker, key, LOADS[key][1], opt, per="received" if key == "E" else "sent")


def measured(broker, name, arguments, opt, per="sent"):
    """Puts a load on a started broker; CPU is counted per 100,000 messages that were sent or received."""
    at = {}
    profile = Profile(broker.pid, perf_file(broker, name, opt))

    def on_phase(phase, _):
        if phase == "start":
            profile.start()
        at[phase] = (usage(broker.pid), machine_cpu())
        if phase == "end":
            profile.stop()
    try:
        r = run_load(arguments + [f"--url={broker.url}", f"--seconds={opt.seconds}", f"--warm-seconds={opt.warm}"],
                     on_phase, limit=60 + 4 * (opt.seconds + opt.warm))
    finally:
        profile.stop()
    (before, machine0), (after, machine1) = at["start"], at["end"]
    messages = max(1, r[per])
    r["broker_cpu_s"] = round(after["cpu"] - before["cpu"], 2)
    r["cpu_s_per_100k"] = round(r["broker_cpu_s"] / messages * 1e5, 3)
    r["client_cpu_s_per_100k"] = round(r["client_cpu_s"] / messages * 1e5, 3)
    others = machine1 - machine0 - r["broker_cpu_s"] - r["client_cpu_s"]
    r["others_percent"] = round(max(0, others) / (r["seconds"] * os.cpu_count()) * 100, 1)
    r["peak_rss_mib"] = round(after["peak"] / 1024, 1)
    r["threads"] = after["threads"]
    return r


def backlog(broker, data, key, opt):
    """G, and M, in which the rates are compared with those of a small backlog that came before, and the broker has a memory limit. First
    an orderly restart, then one after SIGKILL; each time from exec to the first message in a warm client."""
    count, environment, arguments, limit = opt.backlog, {}, [], 240
    if key == "M":
        count, limit = opt.large_backlog, 120 + opt.large_backlog // 2000
        environment = {"GODWIT_LIMITS_PROCESS": f"{MEMORY_LIMIT_MIB}MiB"}
        arguments = [f"--reference={min(count, 500_000)}"]
        need = count * 1200 + (2 << 30)
        if (free := shutil.disk_usage(data).free) < need:
            raise RuntimeError(f"{count:,} messages need {need >> 30} GiB of disk, {free >> 30} are free; see --large-backlog, --data")
    broker.start(data, environment=environment)
    r, at, restarts, peaks = {}, {}, [], []

    def on_phase(phase, nanos):
        if phase == "restart":
            peaks.append(usage(broker.pid)["peak"])
            stopping = time.monotonic()
            broker.stop(signal.SIGKILL if restarts else signal.SIGTERM)
            if not restarts:
                r["stop_ms"] = round((time.monotonic() - stopping) * 1e3, 1)
            broker.start(data, wait=False, environment=environment)
            restarts.append(broker.started)
        elif phase == "first":
            r["first_after_kill_ms" if len(restarts) > 1 else "first_after_stop_ms"] = (nanos - restarts[-1]) / 1e6
            time.sleep(1)
            r["rss_restarted_mib"] = round(usage(broker.pid)["rss"] / 1024, 1)
        else:
            at[phase] = usage(broker.pid)
            if phase == "filled":
                time.sleep(2)
                u = usage(broker.pid)
                r["rss_backlog_mib"], r["peak_rss_fill_mib"] = round(u["rss"] / 1024, 1), round(u["peak"] / 1024, 1)
    out = run_load([f"--url={broker.url}", "--mode=backlog", "--producers=4", "--consumers=4", "--batch=100",
                    f"--count={count}", *arguments], on_phase, limit)
    r["peak_rss_mib"] = round(max(*peaks, at["end"]["peak"]) / 1024, 1)
    for name, begin, end in (("fill", "start", "filled"), ("drain", "drain", "end")):
        r[name + "_cpu_s_per_100k"] = round((at[end]["cpu"] - at[begin]["cpu"]) / count * 1e5, 3)
        if key == "M":
            r[name + "_ratio"] = round(out[name + "_per_s"] / out[f"reference_{name}_per_s"], 3)
    return {**out, **r}


def start(broker, data, key, opt):
    """H: the median of some starts, each on an empty store. Making an instance is not part of it."""
    times = []
    for i in range(opt.starts):
        folder = os.path.join(data, str(i))
        os.makedirs(folder)
        broker.setup(folder)
        broker.start(folder, wait=False)
        times.append(round(broker.wait(), 1))
        time.sleep(0.5)
        cpu = usage(broker.pid)["cpu"]
        broker.stop()
    return dict(ok=True, start_ms=sorted(times)[len(times) // 2], all_ms=times, start_cpu_s=round(cpu, 2))


def idle(broker, data, key, opt):
    """I: after settling, over as long again."""
    broker.start(data)
    time.sleep(opt.settle)
    before = usage(broker.pid)
    time.sleep(opt.settle)
    after = usage(broker.pid)
    return dict(ok=True, rss_mib=round(after["rss"] / 1024, 1), peak_rss_mib=round(after["peak"] / 1024, 1),
                threads=after["threads"], idle_cpu_percent=round((after["cpu"] - before["cpu"]) / opt.settle * 100, 2))


def held(broker, data, key, opt, client, n, thing):
    """Starts the broker and runs client(on_phase), which makes it hold n things: what they cost in RSS, some seconds later, and in CPU."""
    broker.start(data)
    time.sleep(1)
    at, profile = {}, Profile(broker.pid, perf_file(broker, key, opt))

    def on_phase(phase, _):
        if phase == "start":
            profile.start()
        at[phase] = usage(broker.pid)
        if phase == "end":
            profile.stop()
            time.sleep(3)
            at["held"] = usage(broker.pid)
    try:
        r = client(on_phase)
    finally:
        profile.stop()
    r["rss_mib"] = round(at["held"]["rss"] / 1024, 1)
    r[f"kib_per_{thing}"] = round((at["held"]["rss"] - at["start"]["rss"]) / n, 1)
    r["broker_cpu_s"] = round(at["end"]["cpu"] - at["start"]["cpu"], 2)
    r["threads"] = at["held"]["threads"]
    return r


def connections(broker, data, key, opt):
    """J: what one more idle connection with one session costs the broker."""
    def client(on_phase):
        return run_load([f"--url={broker.url}", "--mode=idle", f"--connections={opt.connections}"], on_phase, limit=120, heap="3g")
    return held(broker, data, key, opt, client, opt.connections, "connection")


def queues(broker, data, key, opt):
    """K: one persistent message in and out of each of many queues, which all stay, each with its consumer."""
    def client(on_phase):
        return run_load([f"--url={broker.url}", "--mode=queues", "--connections=16", f"--queues={opt.queues}"], on_phase, limit=600)
    return held(broker, data, key, opt, client, opt.queues, "queue")


def crowd(broker, data, key, opt):
    """L: many connections with a consumer each, on one queue."""
    program = brokers.go_build("./bench/crowd", "crowd")

    def client(on_phase):
        return run_client([program, f"--url={broker.url}", f"--connections={opt.consumers}"], on_phase, limit=300)
    return held(broker, data, key, opt, client, opt.consumers, "connection")


def selectors(broker, data, key, opt):
    """N: what a message costs with many selectors of which one is true of it, against one selector that is true of all."""
    figures = {}
    for n in (1, SELECTORS):
        folder = os.path.join(data, str(n))
        os.makedirs(folder)
        broker.start(folder)
        figures[n] = measured(broker, f"{key}{n}", ["--producers=4", f"--equalities={n}", "--non-persistent", "--always-sync"], opt)
        broker.stop()
    one, many = figures[1], figures[SELECTORS]
    return {**many, "ok": one["ok"] and many["ok"], "one": one,
            "cpu_ratio": round(many["cpu_s_per_100k"] / max(one["cpu_s_per_100k"], 0.001), 3)}


SCENARIOS = {**dict.fromkeys(LOADS, load), "G": backlog, "H": start, "I": idle, "J": connections, "K": queues, "L": crowd, "M": backlog,
             "N": selectors}


def journal(data, opt):
    """The journal alone: BenchmarkAppend of journal/segment, in which it takes turns with a raw file. Answers a list of runs."""
    binary = os.path.join(brokers.BUILD, "segment.test")
    subprocess.run(["go", "test", "-c", "-o", binary, "./journal/segment"], cwd=os.path.dirname(brokers.HERE), check=True, timeout=600)
    runs = []
    for _ in range(opt.rounds):
        r = subprocess.run([binary, "-test.run=^$", "-test.bench=^BenchmarkAppend$", f"-test.benchtime={opt.journal_seconds}s"],
                           cwd=data, env={**os.environ, "TMPDIR": data}, capture_output=True, text=True, timeout=300)
        figures = {}
        for line in r.stdout.splitlines():
            if m := re.match(r"BenchmarkAppend/writers=(\d+)(?:-\d+)?\s+\d+\s+(.*)", line):
                pairs = m.group(2).split("\t")
                units = {unit: float(value) for value, unit in (pair.split() for pair in pairs)}
                figures[m.group(1)] = dict(
                    ratio=units["ratio"], appends_per_s=units["appends/s"], raw_appends_per_s=units["appends/s"] / units["ratio"],
                    cpu_s_per_100k=units["cpu-s/100k"], raw_cpu_s_per_100k=units["raw-cpu-s/100k"])
        if r.returncode or not figures:
            runs.append(dict(ok=False, error=(r.stderr + r.stdout)[-500:]))
        else:
            runs.append(dict(ok=True, writers=figures))
        shutil.rmtree(os.path.join(data, "BenchmarkAppend"), ignore_errors=True)
    return runs
