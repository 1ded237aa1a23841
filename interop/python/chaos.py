"""Load of a stomp.py client while the test breaks the brokers: it sends with receipts, consumes with acknowledgements, connects again after each loss, and keeps books.

INTEROP_STOMP may name several addresses. Of what is sent, a number whose receipt did not come is in doubt and never sent again. See Crash.java for the protocol with the test and
History.java for the history."""

import os
import queue
import sys
import threading
import time

import stomp

from client import RUN
from suite import that

ADDRESSES = [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in os.environ["INTEROP_STOMP"].split(","))]
NAME = f"stomp{len(ADDRESSES)}"
QUEUE = f"/queue/{RUN}.{NAME}"
PAUSE = 0.02
RECEIPT_WITHIN = 40
QUIET = 3
DRAIN_LIMIT = 60

history = open(os.environ["INTEROP_HISTORY"], "w", encoding="utf-8") if "INTEROP_HISTORY" in os.environ else None
confirmed = {}
doubtful = set()
seen = set()
fresh = set()  # given without the redelivered flag
unflagged = []
disordered = []
repeated = 0
unexpected = []
connects = {"producer": 0, "consumer": 0}
sending = threading.Event()
receiving = threading.Event()
lock = threading.Lock()


def micros():
    return time.time_ns() // 1000


def say(line):
    if history:
        with lock:
            history.write(line + "\n")


class Lost(Exception):
    """The connection is gone; another is to be made."""


class Link(stomp.ConnectionListener):
    """One connection, which ends with the first sign of trouble."""

    def __init__(self):
        self.answers = queue.Queue()
        self.connection = stomp.Connection12(ADDRESSES, reconnect_attempts_max=1, timeout=10, heartbeats=(4000, 4000), auto_decode=False)
        self.connection.set_listener("chaos", self)
        try:
            self.connection.connect(os.environ.get("INTEROP_USER"), os.environ.get("INTEROP_PASSWORD"))
            self.answer(10)  # with wait=True connect would wait for ever if the socket ends first
        except Exception as failure:  # stomp.py has several, all of which mean: try again
            self.end()
            raise Lost from failure

    def end(self):
        try:
            self.connection.remove_listener("chaos")
            self.connection.transport.disconnect_socket()
        except Exception:  # it was not open
            pass

    def on_connected(self, frame):
        self.answers.put("connected")

    def on_disconnected(self):
        self.answers.put(None)

    def on_error(self, frame):
        self.answers.put(None)

    def on_receipt(self, frame):
        self.answers.put(frame.headers["receipt-id"])

    def on_message(self, frame):
        self.answers.put(frame)

    def answer(self, timeout):
        got = self.answers.get(timeout=timeout)
        if got is None:
            raise Lost
        return got


def again(who, use):
    """Uses one connection after the other until use returns."""
    while True:
        link = None
        try:
            link = Link()
            connects[who] += 1
            return use(link)
        except Lost:
            time.sleep(0.05)
        except (stomp.exception.StompException, OSError):
            time.sleep(0.05)
        finally:
            if link:
                link.end()


def produce():
    number = -1

    def use(link):
        nonlocal number
        while sending.is_set():
            number += 1
            key = f"{NAME}:{number}"
            doubtful.add(key)
            begun = micros()
            link.connection.send(QUEUE, key, headers={"persistent": "true", "receipt": key})
            try:
                while link.answer(RECEIPT_WITHIN) != key:
                    pass
            except queue.Empty:
                raise Lost from None
            doubtful.discard(key)
            confirmed[key] = micros()
            say(f"ack {NAME} {begun} {confirmed[key]} ? 0")
            time.sleep(PAUSE)

    again("producer", use)


def consume():
    global repeated
    highest = -1

    def use(link):
        global repeated
        nonlocal highest
        link.connection.subscribe(QUEUE, id="1", ack="client-individual")
        while receiving.is_set():
            try:
                frame = link.answer(0.1)
            except queue.Empty:
                continue
            key = frame.body.decode()
            number = int(key.rsplit(":", 1)[1])
            flagged = frame.headers.get("redelivered") == "true"
            if key in seen:
                repeated += 1
                if not flagged and key in fresh:  # one that is not flagged may come after one that is: see Crash.java
                    unflagged.append(key)
                    say(f"unflagged {key} {micros()}")
            else:
                if number < highest:
                    disordered.append(f"{key} after {highest}")
                highest = max(highest, number)
            seen.add(key)
            if not flagged:
                fresh.add(key)
            link.connection.ack(frame.headers["ack"])

    again("consumer", use)


def guarded(work):
    def run():
        try:
            work()
        except BaseException as failure:  # the judgement tells
            unexpected.append(f"{work.__name__}: {type(failure).__name__}: {failure}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def load():
    sending.set()
    receiving.set()
    consumer, producer = guarded(consume), guarded(produce)
    while len(seen) < 20:
        time.sleep(0.05)
    print("note loaded", flush=True)
    sys.stdin.readline()
    sending.clear()
    producer.join(60)
    that("the producer does not end", not producer.is_alive())
    start, last, since = time.monotonic(), len(seen), time.monotonic()
    while time.monotonic() - since < QUIET and time.monotonic() - start < DRAIN_LIMIT:
        time.sleep(0.1)
        if len(seen) != last:
            last, since = len(seen), time.monotonic()
    receiving.clear()
    consumer.join(60)
    that("the consumer does not end", not consumer.is_alive())
    print(
        f"note {NAME}: confirmed {len(confirmed)}, in doubt {len(doubtful)}, seen {len(seen)}, seen again {repeated}, of them unflagged {len(unflagged)}; connections of the producer "
        f"{connects['producer']}, of the consumer {connects['consumer']}",
        flush=True,
    )


def every_confirmed_arrived():
    missing = [key for key in confirmed if key not in seen]
    for key in missing:
        say(f"lost {key} {confirmed[key]}")
    if history:
        history.flush()
    that(f"lost {len(missing)} confirmed messages: {missing[:5]}", not missing)
    that("nothing was confirmed", confirmed)


def no_unflagged_repeat():
    that(f"{len(unflagged)} came again without the redelivered flag: {unflagged[:5]}", not unflagged)


def order():
    that(f"{len(disordered)} out of order: {disordered[:5]}", not disordered)


def no_unexpected_error():
    that(f"{unexpected}", not unexpected)


SCENARIOS = [
    ("load", load),
    ("every-confirmed-arrived", every_confirmed_arrived),
    ("no-unflagged-repeat", no_unflagged_repeat),
    ("order-of-first-deliveries", order),
    ("no-unexpected-error", no_unexpected_error),
]
