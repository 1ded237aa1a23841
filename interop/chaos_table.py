#!/usr/bin/env python3
"""Sums up the saved output of several runs of the chaos suite as the table of docs/reliability.md.

  GODWIT_INTEROP=1 GODWIT_CHAOS=24 GODWIT_CHAOS_SEED=501 go test -count=1 -timeout 0 -v -run '^TestChaos$' ./interop > 501.log
  interop/chaos_table.py *.log
"""
import collections
import re
import statistics
import sys

UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1}


def seconds(text):
    """Of a Go duration below an hour."""
    minutes, number, unit = re.fullmatch(r"(?:(\d+)m)?([\d.]+)(µs|ms|s)", text).groups()
    return 60 * int(minutes or 0) + float(number) * UNITS[unit]


def main(paths):
    stalls = collections.defaultdict(list)
    confirmed = 0
    for path in paths:
        with open(path) as log:
            for line in log:
                if m := re.search(r"chaos_test\.go:\d+: (.*): stall (\S+) of \S+, (\S+) of the client with one", line):
                    stalls[m[1]].append((seconds(m[2]), seconds(m[3])))
                elif m := re.search(r": confirmed (\d+), in doubt", line):
                    confirmed += int(m[1])
    print("| fault | times | stall, clients with two addresses | with one |\n| --- | --- | --- | --- |")
    for fault, found in sorted(stalls.items()):
        print(f"| {fault} | {len(found)} | " + " | ".join(f"{statistics.median(x):.1f}, {max(x):.1f}" for x in zip(*found)) + " |")
    kills = sum(len(found) for fault, found in stalls.items() if fault.startswith("kill"))
    print(f"\n{sum(map(len, stalls.values()))} faults, {kills} of them kills; {confirmed:,} sends confirmed.")


if __name__ == "__main__":
    main(sys.argv[1:])
