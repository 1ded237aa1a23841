"""Durable subscriptions of stomp.py, which live longer than the connections that use them."""

from client import RUN, Client, destination, numbers
from suite import equal, that

SUB = {"activemq__subscriptionName": "sub"}


def named(name, version="1.2"):
    return Client(version, headers={"client-id": f"{RUN}.{name}"})


def end(client, subscription):
    """Ends the subscription itself, not only its use."""
    client.confirm(lambda headers: client.connection.unsubscribe(subscription, **headers))
    client.confirm(lambda headers: client.connection.unsubscribe(subscription, **{"activemq.subscriptionName": "sub"}, **headers))


def versions():
    for version in ("1.0", "1.1", "1.2"):
        name = "py.durable-" + version
        to = destination(name, "topic")
        with named(name, version) as client:
            client.subscribe(to, **SUB)
        with Client(version) as sender:
            sender.send_numbers(to, 0, 3)
        with named(name, version) as client:
            subscription = client.subscribe(to, **SUB)
            equal("backlog with " + version, client.texts(subscription, 3), numbers(0, 3))
            if version != "1.0":  # in which ActiveMQ cannot be told
                end(client, subscription)


def unacknowledged():
    name = "py.durable-unacknowledged"
    to = destination(name, "topic")
    client = named(name)
    subscription = client.subscribe(to, ack="client-individual", **SUB)
    with Client() as sender:
        sender.send_numbers(to, 0, 4)
    frames = [client.receive(subscription) for _ in range(3)]
    client.ack(frames[1])
    client.drop()
    with named(name) as client:
        subscription = client.subscribe(to, ack="client-individual", **SUB)
        again = [client.receive(subscription) for _ in range(3)]
        equal("again", [frame.body.decode() for frame in again], ["0", "2", "3"])
        for frame in again:
            client.ack(frame)
        end(client, subscription)


def in_transaction():
    name = "py.durable-transaction"
    to = destination(name, "topic")
    with named(name) as client:
        subscription = client.subscribe(to, ack="client-individual", **SUB)
        with Client() as sender:
            sender.send_numbers(to, 0, 2)
        first, second = client.receive(subscription), client.receive(subscription)
        client.connection.begin("t1")
        client.ack(first, transaction="t1")
        client.confirm(lambda headers: client.connection.commit("t1", **headers))
        client.connection.begin("t2")
        client.ack(second, transaction="t2")
        client.confirm(lambda headers: client.connection.abort("t2", **headers))
    with named(name) as client:
        subscription = client.subscribe(to, **SUB)
        equal("left", client.texts(subscription, 1), ["1"])
        end(client, subscription)


def selector():
    name = "py.durable-selector"
    to = destination(name, "topic")
    with named(name) as client:
        client.subscribe(to, selector="n = '2' OR n = '3'", **SUB)
    with Client() as sender:
        for number in range(4):
            sender.send(to, str(number), n=str(number))
    with named(name) as client:
        subscription = client.subscribe(to, selector="n = '2' OR n = '3'", **SUB)
        equal("selected", client.texts(subscription, 2), ["2", "3"])
        client.confirm(lambda headers: client.connection.unsubscribe(subscription, **headers))
        # Another selector is a new subscription: nothing of the old one is left.
        subscription = client.subscribe(to, selector="n = '1'", **SUB)
        client.send(to, "new", n="1")
        equal("new", client.texts(subscription, 1), ["new"])
        end(client, subscription)


def in_use():
    name = "py.durable-in-use"
    to = destination(name, "topic")
    with named(name) as client:
        subscription = client.subscribe(to, **SUB)
        client.connection.subscribe(to, id="second", ack="auto", headers={"activemq.subscriptionName": "sub"})
        that("the error says why", "in use" in client.refused().headers["message"])
    with named(name) as client:
        subscription = client.subscribe(to, **SUB)
        end(client, subscription)


def two_of_a_client():
    name = "py.durable-two"
    to = destination(name, "topic")
    with named(name) as client:
        client.subscribe(to, activemq__subscriptionName="a")
        client.subscribe(to, activemq__subscriptionName="b")
    with Client() as sender:
        sender.send_numbers(to, 0, 2)
    with named(name) as client:
        for sub in ("a", "b"):
            subscription = client.subscribe(to, activemq__subscriptionName=sub)
            equal(sub, client.texts(subscription, 2), ["0", "1"])


SCENARIOS = [
    ("durable-versions", versions),
    ("durable-unacknowledged", unacknowledged),
    ("durable-in-transaction", in_transaction),
    ("durable-selector", selector),
    ("durable-in-use", in_use),
    ("durable-two-of-a-client", two_of_a_client),
]
