"""Logs in for a test that asks line by line, as java/src/interop/Identity.java does, with stomp.py."""

import os
import queue
import sys
import threading

import stomp

HOST, PORT = os.environ["INTEROP_STOMP"].rsplit(":", 1)
ADDRESS = (HOST, int(PORT))


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.frames = queue.Queue()
        self.gone = threading.Event()

    def on_error(self, frame):
        self.frames.put("refused: " + frame.headers.get("message", ""))

    def on_message(self, frame):
        self.frames.put("ok")

    def on_receipt(self, frame):
        self.frames.put("ok")

    def on_disconnected(self):
        self.gone.set()
        self.frames.put("disconnected")


def act(action, user, password, name):
    connection = stomp.StompConnection12([ADDRESS], reconnect_attempts_max=1, timeout=15)
    if os.environ.get("INTEROP_TLS"):
        connection.set_ssl(for_hosts=[ADDRESS], ca_certs=os.environ["INTEROP_CA"], cert_file=os.environ.get("INTEROP_CERT"), key_file=os.environ.get("INTEROP_KEY"))
    listener = Listener()
    connection.set_listener("identity", listener)
    try:
        connection.connect(user or None, password or None, wait=True)
    except stomp.exception.ConnectFailedException:
        return listener.frames.get(timeout=5)
    try:
        if action == "send":
            connection.send(f"/queue/{name}", "x", receipt="r")
            return listener.frames.get(timeout=15)
        if action == "receive":
            connection.subscribe(f"/queue/{name}", id="s", ack="auto")
            return listener.frames.get(timeout=15)
        if action == "hold":
            return "closed" if listener.gone.wait(60) else "still there"
        return "ok"
    finally:
        if connection.is_connected():
            connection.disconnect()


for line in sys.stdin:
    try:
        answer = act(*line.rstrip("\n").split("\t"))
    except Exception as problem:  # the test is told
        answer = f"failed: {problem!r}"
    print(answer, flush=True)
