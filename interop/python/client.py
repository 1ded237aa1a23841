"""One STOMP connection of stomp.py, with the few things that every scenario does."""

import itertools
import os
import queue

import stomp

from suite import equal

SOON = 10
NOTHING = 0.25
HOST, PORT = os.environ["INTEROP_STOMP"].split(",")[0].rsplit(":", 1)
ADDRESS = (HOST, int(PORT))
RUN = os.environ["INTEROP_RUN"]
VERSIONS = {"1.0": stomp.StompConnection10, "1.1": stomp.StompConnection11, "1.2": stomp.StompConnection12}


def destination(name, kind="queue"):
    return f"/{kind}/{RUN}.{name}"


class Client(stomp.ConnectionListener):
    def __init__(self, version="1.2", heartbeats=(0, 0), headers=None, user=None, password=None):
        options = {"auto_decode": False, "auto_content_length": False}  # with that header a message is bytes, without it text
        if version != "1.0":
            options["heartbeats"] = heartbeats
        self.connection = VERSIONS[version]([ADDRESS], reconnect_attempts_max=1, timeout=SOON, **options)
        if os.environ.get("INTEROP_TLS"):
            self.connection.set_ssl(for_hosts=[ADDRESS], ca_certs=os.environ["INTEROP_CA"])
        self.version = version
        self.numbers = itertools.count(1)
        self.messages = {}
        self.errors = queue.Queue()
        self.receipts = queue.Queue()
        self.connected_frame = None
        self.late_beats = 0
        self.connection.set_listener("client", self)
        self.connection.connect(
            user if user is not None else os.environ.get("INTEROP_USER"),
            password if password is not None else os.environ.get("INTEROP_PASSWORD"),
            wait=True,
            headers=headers or {},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.connection.is_connected():
            receipt = f"r{next(self.numbers)}"
            self.connection.disconnect(receipt)
            self.wait_receipt(receipt)  # from then on the client id is free
        self.connection.remove_listener("client")

    # what stomp.py calls, on its own thread

    def on_connected(self, frame):
        self.connected_frame = frame

    def on_message(self, frame):
        self.messages.setdefault(frame.headers.get("subscription"), queue.Queue()).put(frame)

    def on_error(self, frame):
        self.errors.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_heartbeat_timeout(self):
        self.late_beats += 1

    # what scenarios call

    def confirm(self, call, *args, headers=None, **kwargs):
        """Makes a call with a receipt and waits for it."""
        receipt = f"r{next(self.numbers)}"
        call(*args, headers={**(headers or {}), "receipt": receipt}, **kwargs)
        self.wait_receipt(receipt)

    def wait_receipt(self, receipt):
        try:
            got = self.receipts.get(timeout=SOON)
        except queue.Empty:
            raise AssertionError(f"no receipt {receipt} within {SOON} s") from None
        equal("receipt", got, receipt)

    def refused(self):
        try:
            return self.errors.get(timeout=SOON)
        except queue.Empty:
            raise AssertionError(f"no ERROR frame within {SOON} s") from None

    def send(self, to, body, persistent=True, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            headers["content-length"] = len(body)
        if persistent:
            headers["persistent"] = "true"
        self.confirm(self.connection.send, to, body, headers=headers)

    def send_numbers(self, to, start, end, **headers):
        for number in range(start, end):
            self.send(to, str(number), **headers)

    def subscribe(self, to, ack="auto", **headers):
        """Subscribes and returns the subscription's id."""
        name = f"s{next(self.numbers)}"
        self.messages[name] = queue.Queue()
        headers = {key.replace("__", "."): value for key, value in headers.items()}
        self.confirm(self.connection.subscribe, to, id=name, ack=ack, headers=headers)
        return name

    def receive(self, subscription, timeout=SOON):
        try:
            return self.messages[subscription].get(timeout=timeout)
        except queue.Empty:
            refused = "" if self.errors.empty() else f", but an ERROR: {self.errors.get().headers}"
            raise AssertionError(f"no message within {timeout} s{refused}") from None

    def texts(self, subscription, count):
        return [self.receive(subscription).body.decode() for _ in range(count)]

    def nothing(self, subscription):
        try:
            frame = self.messages[subscription].get(timeout=NOTHING)
        except queue.Empty:
            return
        raise AssertionError(f"a message came that should not: {frame.headers} {frame.body[:100]}")

    def ack(self, frame, **headers):
        self.settle(self.connection.ack, frame, headers)

    def nack(self, frame, **headers):
        self.settle(self.connection.nack, frame, headers)

    def settle(self, call, frame, headers):
        transaction = headers.get("transaction")
        receipt = f"r{next(self.numbers)}"
        if self.version == "1.2":
            call(frame.headers["ack"], transaction=transaction, receipt=receipt)
        else:
            call(frame.headers["message-id"], frame.headers["subscription"], transaction=transaction, receipt=receipt)
        self.wait_receipt(receipt)

    def drop(self):
        """Ends the connection without a DISCONNECT."""
        self.connection.transport.disconnect_socket()
        self.connection.transport.stop()


def left(name, kind="queue"):
    """What a queue holds, each redelivered message marked with "!"; it is taken."""
    with Client() as client:
        subscription = client.subscribe(destination(name, kind))
        found = []
        while True:
            try:
                frame = client.receive(subscription, NOTHING * 2)
            except AssertionError:
                return found
            found.append(frame.body.decode() + ("!" if frame.headers.get("redelivered") == "true" else ""))


def numbers(start, end):
    return [str(number) for number in range(start, end)]

