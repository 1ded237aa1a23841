"""Scenarios in order; one line each: "ok NAME" or "FAIL NAME reason", at the end "done"."""

import os
import sys
import threading
import time
import traceback

LIMIT_SECONDS = 30


def run(scenarios, limit=LIMIT_SECONDS):
    only = os.environ.get("INTEROP_ONLY")  # to look into one scenario by hand
    for name, scenario in scenarios:
        if only in (None, name):
            start = time.monotonic()
            reason = attempt(scenario, limit)
            millis = int((time.monotonic() - start) * 1000)
            print(f"ok {name} {millis}ms" if reason is None else f"FAIL {name} {reason}", flush=True)
    print("done", flush=True)
    sys.stdout.flush()
    os._exit(0)  # threads of a scenario that hung must not keep the process


def attempt(scenario, limit):
    outcome = []

    def body():
        try:
            scenario()
            outcome.append(None)
        except BaseException as failure:  # whatever it was, it is the scenario's result
            traceback.print_exc()
            outcome.append(f"{type(failure).__name__}: {failure}".replace("\n", " "))

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(limit)
    return outcome[0] if outcome else f"not done after {limit} s"


def equal(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {short(got)}, want {short(want)}")


def that(what, holds):
    if not holds:
        raise AssertionError(what)


def short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"
