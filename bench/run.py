#!/usr/bin/env python3
"""Runs the same scenarios against each broker, in turns, and prints one table. See README.md.

  bench/run.sh                                   everything; saved as results/latest.json
  bench/run.sh --quick --only godwit --scenario A,B
"""
import argparse
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import brokers
import scenarios
import table
from measure import await_quiet, filesystem, machine, machine_cpu

QUICK = dict(seconds=3, warm=2, rounds=1, starts=3, backlog=50_000, connections=300, queues=1000, consumers=1000,
             large_backlog=200_000, settle=2, journal_seconds=0.5)
FULL = dict(seconds=7, warm=6, rounds=3, starts=5, backlog=200_000, connections=1000, queues=10_000, consumers=5000,
            large_backlog=10_000_000, settle=6, journal_seconds=2)


def options():
    ap = argparse.ArgumentParser(description="Godwit beside ActiveMQ Classic and Artemis in one run.")
    ap.add_argument("--only", default="activemq,artemis,godwit", help="brokers, of " + ",".join(brokers.KNOWN))
    ap.add_argument("--scenario", default="all", help="of " + ",".join([*scenarios.SCENARIOS, "journal"]))
    ap.add_argument("--quick", action="store_true", help="short phases, one round, smaller G and J to M: for developing")
    for name, kind, what in (("seconds", float, "measured phase of A to F, N, X"), ("warm", float, "seconds before it"),
                             ("rounds", int, "how often each is measured"), ("backlog", int, "messages in G"),
                             ("connections", int, "in J"), ("queues", int, "in K"), ("consumers", int, "connections in L"),
                             ("large_backlog", int, "messages in M, 1.2 KiB of disk each")):
        ap.add_argument("--" + name.replace("_", "-"), type=kind, help=f"{what} (default {FULL[name]:,}, with --quick {QUICK[name]:,})")
    ap.add_argument("--add", action="store_true",
                    help="put the scenarios that are measured now into results/latest.json in place of those there; the table says so")
    ap.add_argument("--out", help="where results go: results/latest.json for a complete run, else results/partial.json")
    ap.add_argument("--data", default=brokers.BUILD, help="folder for the stores, on the disk to be measured")
    ap.add_argument("--wait-quiet", type=float, default=0, metavar="S", help="before each measurement wait up to S seconds for an idle machine")
    ap.add_argument("--lock", help="a file to lock meanwhile, on a machine where others measure too")
    ap.add_argument("--profile", action="store_true", help="perf on Godwit in A to F, J to L, N, X: bench/.build/<scenario>.perf; the figures suffer")
    ap.add_argument("--godwit-args", default="", help="added to Godwit's command line")
    opt = ap.parse_args()
    for name, value in (QUICK if opt.quick else FULL).items():
        if getattr(opt, name, None) is None:
            setattr(opt, name, value)
    everything = [*scenarios.SCENARIOS, "journal"]
    opt.only = opt.only.split(",")
    opt.scenario = everything if opt.scenario == "all" else opt.scenario.split(",")
    for given, known in ((opt.only, brokers.KNOWN), (opt.scenario, everything)):
        for name in given:
            if name not in known:
                ap.error(f"unknown: {name}; there are {', '.join(known)}")
    complete = set(opt.scenario) == set(everything) and {"activemq", "artemis", "godwit"} <= set(opt.only)
    if opt.add and (opt.quick or opt.profile or not {"activemq", "artemis", "godwit"} <= set(opt.only)):
        ap.error("--add takes scenarios of all three brokers, without --quick and --profile")
    if not opt.out:
        latest = (complete or opt.add) and not opt.quick and not opt.profile
        opt.out = table.LATEST if latest else os.path.join(os.path.dirname(table.LATEST), "partial.json")
    return opt


def save(doc, path):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".tmp", "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")
    os.replace(path + ".tmp", path)


def children_cpu():
    """CPU seconds of all that this process started and that has ended."""
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


def raise_descriptors(opt):
    """J and L need a descriptor a connection in the client and one in the broker, which inherit this process's limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    need = max([1024] + [n + 500 for key, n in (("J", opt.connections), ("L", opt.consumers)) if key in opt.scenario])
    if hard < need:
        sys.exit(f"{need} open files are needed for each process, the hard limit is {hard}: raise it (ulimit -Hn), or ask for less "
                 "with --connections and --consumers")


def measure(broker, key, root, opt):
    folder = tempfile.mkdtemp(prefix=f"{broker.name}-{key}-", dir=root)
    if opt.wait_quiet:
        await_quiet(opt.wait_quiet)
    begin, all_before, ours_before = time.monotonic(), machine_cpu(), children_cpu()
    try:
        r = scenarios.SCENARIOS[key](broker, folder, key, opt)
    except (RuntimeError, OSError, KeyError, ValueError, subprocess.SubprocessError) as e:
        r = dict(ok=False, error=f"{type(e).__name__}: {e}"[:900])
    finally:
        broker.stop()
    others = machine_cpu() - all_before - (children_cpu() - ours_before)
    # the load scenarios know it for their measured phase alone
    r.setdefault("others_percent", round(max(0, others) / (time.monotonic() - begin) / os.cpu_count() * 100, 1))
    shutil.rmtree(folder, ignore_errors=True)
    print(f"# {key} {broker.name} {json.dumps(r)}", file=sys.stderr, flush=True)
    return r


def run(opt):
    os.makedirs(brokers.BUILD, exist_ok=True)
    if filesystem(opt.data) in ("tmpfs", "ramfs"):
        sys.exit(f"{opt.data} is memory, not a disk: syncs there say nothing; give another folder with --data")
    peers = [n for n in opt.only if n != "godwit"]
    subprocess.run([os.path.join(brokers.HERE, "install.sh"), *peers], check=True, stdout=sys.stderr)
    brokers.Godwit.extra = opt.godwit_args
    raise_descriptors(opt)

    taking_part = [brokers.make(n) for n in opt.only]
    doc = dict(machine=machine(opt.data), settings={name: getattr(opt, name) for name in FULL},
               titles=scenarios.TITLES, brokers={}, results={b.name: {} for b in taking_part}, journal=[])
    root = tempfile.mkdtemp(prefix="run-", dir=opt.data)
    try:
        for key in opt.scenario:
            if key == "journal":
                doc["journal"] = scenarios.journal(root, opt)
                print(f"# journal {json.dumps(doc['journal'])}", file=sys.stderr, flush=True)
            alone = key in table.ALONE
            for turn in range((1 if alone else opt.rounds) if key in scenarios.SCENARIOS else 0):
                # the order turns round, so that no broker always follows the same one
                for b in taking_part if turn % 2 == 0 else reversed(taking_part):
                    if b.name == "godwit" if alone else b.jms or key in ("H", "I"):
                        doc["results"][b.name].setdefault(key, []).append(measure(b, key, root, opt))
            doc["brokers"] = {b.name: {"version": b.version} for b in taking_part}
            if not opt.add:
                save(doc, opt.out)
        if opt.add:
            doc = added(doc, opt)
            save(doc, opt.out)
    finally:
        for b in taking_part:
            b.stop()
        shutil.rmtree(root, ignore_errors=True)
    print(table.ratio_table(doc))


def added(new, opt):
    """The saved run, with the scenarios of a new one in place of its own, and a note of which they are."""
    with open(opt.out) as f:
        doc = json.load(f)
    for name, by_key in new["results"].items():
        doc["results"].setdefault(name, {}).update(by_key)
    if "journal" in opt.scenario:
        doc["journal"] = new["journal"]
    of = dict(when=new["machine"]["when"], rounds=opt.rounds, godwit=new["brokers"]["godwit"]["version"])
    doc.setdefault("added", {}).update(dict.fromkeys(opt.scenario, of))
    return doc


def main():
    opt = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))    # so that what we started is ended
    if not opt.lock:
        return run(opt)
    with open(opt.lock, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(opt)


if __name__ == "__main__":
    main()
