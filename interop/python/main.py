"""main.py SUITE: full, short, refused or ring, against the broker that the environment names."""

import os
import sys
import time

import stomp

import durable
import suite
from client import Client, destination, left, numbers, RUN
from suite import equal, that

UNICODE = "gr\u00fc\u00dfe \u2603 \U0001f0a1 \u65e5\u672c\u8a9e"
PATTERN = bytes(i % 256 for i in range(256))


def text():
    with Client() as client:
        to = destination("py.text")
        subscription = client.subscribe(to)
        for body in ("hello", "", UNICODE, "x" * 100_000):
            client.send(to, body)
            frame = client.receive(subscription)
            equal("body", frame.body.decode(), body)
            equal("destination", frame.headers["destination"], to)
            that("content-length on a text", "content-length" not in frame.headers)


def content_is_bytes():
    with Client() as client:
        to = destination("py.bytes")
        subscription = client.subscribe(to)
        for body in (b"\0", PATTERN, PATTERN * 400):
            client.send(to, body)
            frame = client.receive(subscription)
            equal("body", frame.body, body)
            equal("content-length", frame.headers.get("content-length"), str(len(body)))


def properties():
    with Client() as client:
        to = destination("py.properties")
        subscription = client.subscribe(to)
        sent = {"plain": "value", "escaped": "a:b\\c\nd\re", "unicode": "gr\u00fc\u00dfe \u2603", "empty": "", "spaces": " x "}
        own = {"correlation-id": "c:1", "type": "t", "priority": "7", "reply-to": "/queue/elsewhere", "JMSXGroupID": "g"}
        client.confirm(client.connection.send, to, "body", headers={**sent, **own, "persistent": "true"})
        got = client.receive(subscription).headers
        for name, value in {**sent, "correlation-id": "c:1", "type": "t", "priority": "7", "reply-to": "/queue/elsewhere"}.items():
            equal(name, got.get(name), value)
        equal("persistent", got.get("persistent"), "true")
        equal("redelivered", got.get("redelivered"), None)


def versions():
    for version in ("1.0", "1.1", "1.2"):
        with Client(version) as client:
            equal("version", client.connected_frame.headers.get("version"), version)
            to = destination("py.version." + version)
            subscription = client.subscribe(to, ack="client")
            client.send(to, "hello " + version, colon="a:b" if version != "1.0" else "a")
            frame = client.receive(subscription)
            equal("body", frame.body.decode(), "hello " + version)
            if version == "1.0":
                client.connection.ack(frame.headers["message-id"])
            else:
                client.ack(frame)
        equal("left after " + version, left("py.version." + version), [])


def priority_order():
    with Client() as client:
        to = destination("py.priority")
        for turn in range(2):
            for priority in (4, 0, 9, 5):
                client.send(to, f"{priority}/{turn}", priority=str(priority))
        subscription = client.subscribe(to)
        equal("order", client.texts(subscription, 8), [f"{priority}/{turn}" for priority in (9, 5, 4, 0) for turn in range(2)])


def commit():
    with Client() as client, Client() as other:
        to = destination("py.commit")
        outside = other.subscribe(to)
        transaction = client.connection.begin()
        client.send_numbers(to, 0, 5, transaction=transaction)
        other.nothing(outside)
        client.confirm(lambda headers: client.connection.commit(transaction, headers=headers))
        equal("after commit", other.texts(outside, 5), numbers(0, 5))


def abort():
    with Client() as client:
        to = destination("py.abort")
        transaction = client.connection.begin()
        client.send_numbers(to, 0, 5, transaction=transaction)
        client.confirm(lambda headers: client.connection.abort(transaction, headers=headers))
        client.send(to, "kept")
        subscription = client.subscribe(to, ack="client-individual")
        frame = client.receive(subscription)
        equal("kept", frame.body, b"kept")
        client.nothing(subscription)
        transaction = client.connection.begin()
        client.ack(frame, transaction=transaction)
        client.confirm(lambda headers: client.connection.abort(transaction, headers=headers))
    equal("left", left("py.abort"), ["kept!"])


def acknowledge_in_transaction():
    with Client() as client:
        source, target = destination("py.move.in"), destination("py.move.out")
        client.send_numbers(source, 0, 3)
        subscription = client.subscribe(source, ack="client-individual")
        transaction = client.connection.begin()
        for _ in range(3):
            frame = client.receive(subscription)
            client.send(target, frame.body.decode(), transaction=transaction)
            client.ack(frame, transaction=transaction)
        client.confirm(lambda headers: client.connection.commit(transaction, headers=headers))
    equal("left", left("py.move.in"), [])
    equal("moved", left("py.move.out"), numbers(0, 3))


def client_acknowledge():
    for version in ("1.1", "1.2"):
        name = "py.client-acknowledge." + version
        with Client(version) as client:
            client.send_numbers(destination(name), 0, 5)
            subscription = client.subscribe(destination(name), ack="client")
            frames = [client.receive(subscription) for _ in range(5)]
            client.ack(frames[2])  # this one and all before it
        equal("left", left(name), ["3!", "4!"])


def individual_acknowledge():
    for version in ("1.1", "1.2"):
        name = "py.individual." + version
        with Client(version) as client:
            client.send_numbers(destination(name), 0, 4)
            subscription = client.subscribe(destination(name), ack="client-individual", activemq__prefetchSize="3")
            frames = [client.receive(subscription) for _ in range(3)]
            client.nothing(subscription)
            client.ack(frames[1])
            client.receive(subscription)  # the room that the acknowledgement made
        equal("left", left(name), ["0!", "2!", "3!"])


def lost_connection_returns():
    name = "py.lost"
    client = Client()
    client.send_numbers(destination(name), 0, 3)
    subscription = client.subscribe(destination(name), ack="client")
    client.texts(subscription, 3)
    client.drop()
    equal("left", left(name), ["0!", "1!", "2!"])


def nack_dead_letters():
    with Client() as client:
        to = destination("py.nack")
        client.send(to, "poison", run=to)
        subscription = client.subscribe(to, ack="client-individual")
        client.nack(client.receive(subscription))
        client.nothing(subscription)
        dead = client.subscribe("/queue/ActiveMQ.DLQ", selector=f"run = '{to}'")
        frame = client.receive(dead)
        equal("body", frame.body, b"poison")
        equal("original-destination", frame.headers.get("original-destination"), to)


def prefetch_one():
    with Client() as client:
        to = destination("py.prefetch-1")
        client.send_numbers(to, 0, 3)
        subscription = client.subscribe(to, ack="client-individual", activemq__prefetchSize="1")
        for number in range(3):
            frame = client.receive(subscription)
            equal("body", frame.body, str(number).encode())
            client.nothing(subscription)
            client.ack(frame)


def selectors():
    with Client() as client:
        to = destination("py.selectors")
        for number in range(4):
            client.send(to, str(number), n=str(number), color=("red", "blue")[number % 2])
        number = client.subscribe(to, selector="n = 3")  # a STOMP property is a string, and is compared as a number here
        equal("n = 3", client.texts(number, 1), ["3"])
        red = client.subscribe(to, selector="color LIKE 'r%'")
        equal("color", client.texts(red, 2), ["0", "2"])
        client.nothing(red)
    equal("left", left("py.selectors"), ["1"])


def bad_selector():
    with Client() as client:
        to = destination("py.bad-selector")
        client.connection.subscribe(to, id="bad", headers={"selector": "n ==== ", "receipt": "bad"})
        headers = client.refused().headers
        equal("receipt-id", headers.get("receipt-id"), "bad")
        that("no message header", headers.get("message"))
        client.send(to, "still here")
        equal("after", client.texts(client.subscribe(to), 1), ["still here"])


def browse():
    with Client() as client:
        to = destination("py.browse")
        client.send_numbers(to, 0, 5)
        browser = client.subscribe(to, browser="true")
        equal("browsed", client.texts(browser, 5), numbers(0, 5))
        equal("end", client.receive(browser).headers.get("browser"), "end")
        equal("received after browsing", client.texts(client.subscribe(to), 5), numbers(0, 5))


def request_reply():
    with Client() as asker, Client() as server:
        to = destination("py.requests")
        replies = asker.subscribe("/temp-queue/replies")
        requests = server.subscribe(to)
        for number in range(5):
            asker.send(to, f"ask {number}", reply_to="/temp-queue/replies")
            request = server.receive(requests)
            that(f"reply-to {request.headers['reply-to']}", request.headers["reply-to"].startswith("/remote-temp-queue/"))
            server.send(request.headers["reply-to"], "answer to " + request.body.decode(), correlation_id=request.headers["message-id"])
            equal("answer", asker.receive(replies).body.decode(), f"answer to ask {number}")


def topic():
    with Client() as client, Client() as other:
        to = destination("py.topic", "topic")
        other.send(to, "nobody is there")
        first, second = client.subscribe(to), client.subscribe(to)
        other.send_numbers(to, 0, 10)
        equal("first", client.texts(first, 10), numbers(0, 10))
        equal("second", client.texts(second, 10), numbers(0, 10))
        client.confirm(lambda headers: client.connection.unsubscribe(first, **headers))
        other.send(to, "10")
        equal("second after", client.texts(second, 1), ["10"])
        client.nothing(first)


def durable_topic():
    to = destination("py.durable", "topic")
    who = {"client-id": RUN + ".py.durable"}
    with Client(headers=who) as client:
        client.subscribe(to, activemq__subscriptionName="sub")
    with Client() as sender:
        sender.send_numbers(to, 0, 10)
    with Client(headers=who) as client:
        subscription = client.subscribe(to, activemq__subscriptionName="sub")
        equal("backlog", client.texts(subscription, 10), numbers(0, 10))
        client.confirm(lambda headers: client.connection.unsubscribe(subscription, **headers))
        client.confirm(lambda headers: client.connection.unsubscribe(subscription, **{"activemq.subscriptionName": "sub"}, **headers))
    with Client(headers=who) as client:
        client.send(to, "nobody subscribed")
        subscription = client.subscribe(to, activemq__subscriptionName="sub")
        client.nothing(subscription)
        client.confirm(lambda headers: client.connection.unsubscribe(subscription, **headers))
        client.confirm(lambda headers: client.connection.unsubscribe(subscription, **{"activemq.subscriptionName": "sub"}, **headers))


def expires():
    with Client() as client:
        to = destination("py.expires")
        now = int(time.time() * 1000)
        client.send(to, "short", expires=str(now + 150))
        client.send(to, "long", expires=str(now + 60_000))
        time.sleep(0.3)  # the time to live is what is tested
        subscription = client.subscribe(to)
        equal("what is left", client.texts(subscription, 1), ["long"])
        client.nothing(subscription)


def large():
    with Client() as client:
        to = destination("py.large")
        body = PATTERN * (5 << 12)
        subscription = client.subscribe(to)
        client.send(to, body)
        that("body differs", client.receive(subscription).body == body)


def ten_thousand():
    with Client() as client, Client() as sender:
        to = destination("py.many")
        subscription = client.subscribe(to)
        for number in range(10_000):
            sender.connection.send(to, str(number))
        equal("texts", client.texts(subscription, 10_000), numbers(0, 10_000))


def client_id_is_exclusive():
    who = {"client-id": RUN + ".py.one-only"}
    with Client(headers=who) as first:
        refused(lambda: Client(headers=who))
        to = destination("py.one-only")
        first.send(to, "undisturbed")
        equal("text", first.texts(first.subscribe(to), 1), ["undisturbed"])


def refused(connect):
    try:
        connect()
    except stomp.exception.ConnectFailedException:
        return
    raise AssertionError("was let in")


def heart_beats():
    with Client(heartbeats=(400, 400)) as client:
        equal("answer", client.connected_frame.headers.get("heart-beat"), "400,400")
        time.sleep(2)  # five periods with nothing else on the wire
        that("beats came late", client.late_beats == 0)
        that("disconnected", client.connection.is_connected())
        to = destination("py.heart-beats")
        client.send(to, "alive")
        equal("text", client.texts(client.subscribe(to), 1), ["alive"])


def wrong_credentials():
    user, password = os.environ["INTEROP_USER"], os.environ["INTEROP_PASSWORD"]
    for wrong in ((user, "not " + password), ("nobody", password), ("", "")):
        refused(lambda: Client(user=wrong[0], password=wrong[1]))
    text()  # the right ones still get in


def ring():
    """Checks what the library before has sent, and sends the same on."""
    with Client() as client:
        subscription = client.subscribe("/queue/" + os.environ["INTEROP_FROM"], ack="client")
        first, second = client.receive(subscription), client.receive(subscription)
        equal("text", first.body.decode(), UNICODE)
        that("content-length on a text", "content-length" not in first.headers)
        equal("bytes", second.body, PATTERN)
        own = {"color": "bl\u00fc \\ a:b", "count": "42", "flag": "true", "price": "2.5", "correlation-id": "correlation-1", "type": "ring"}
        for frame in (first, second):
            for name, value in own.items():
                equal(name, frame.headers.get(name), value)
            equal("persistent", frame.headers.get("persistent"), "true")
        to = "/queue/" + os.environ["INTEROP_TO"]
        for body in (UNICODE, PATTERN):
            headers = {**own, "persistent": "true"}
            if isinstance(body, bytes):
                headers["content-length"] = len(body)
            client.confirm(client.connection.send, to, body, headers=headers)
        client.ack(second)


SHORT = [
    ("text", text),
    ("bytes", content_is_bytes),
    ("properties", properties),
    ("commit", commit),
    ("client-acknowledge", client_acknowledge),
    ("request-reply", request_reply),
    ("large", large),
]
SUITES = {
    "short": SHORT,
    "full": SHORT
    + [
        ("versions", versions),
        ("priority-order", priority_order),
        ("abort", abort),
        ("acknowledge-in-transaction", acknowledge_in_transaction),
        ("individual-acknowledge", individual_acknowledge),
        ("lost-connection-returns", lost_connection_returns),
        ("nack-dead-letters", nack_dead_letters),
        ("prefetch-1", prefetch_one),
        ("selectors", selectors),
        ("bad-selector", bad_selector),
        ("browse", browse),
        ("topic", topic),
        ("durable-topic", durable_topic),
        *durable.SCENARIOS,
        ("expires", expires),
        ("ten-thousand", ten_thousand),
        ("client-id-is-exclusive", client_id_is_exclusive),
        ("heart-beats", heart_beats),
    ],
    "refused": [("wrong-credentials", wrong_credentials)],
    "ring": [("ring", ring)],
}

if __name__ == "__main__":
    if sys.argv[1] == "chaos":  # INTEROP_STOMP may be several addresses, which only this one understands
        import chaos

        suite.run(chaos.SCENARIOS, 3600)
    suite.run(SUITES[sys.argv[1]])
