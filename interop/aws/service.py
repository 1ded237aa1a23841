"""service.py PART: boto3 against a whole service, INTEROP_MQ, whose certificates INTEROP_CA has signed.

begin makes a broker and uses it as its clients would, changing it all the while, and a pair; end removes both."""

import base64
import os
import re
import socket
import ssl
import sys
import time

import boto3
import botocore.exceptions

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import suite  # noqa: E402
from suite import equal, that  # noqa: E402

api = boto3.session.Session().client("mq", endpoint_url=os.environ["INTEROP_MQ"])
PASSWORD = "correct horse 7"


def broker(name):
    for b in api.list_brokers()["BrokerSummaries"]:
        if b["BrokerName"] == name:
            return api.describe_broker(BrokerId=b["BrokerId"])
    return None


def wait(what, yes, limit=90):
    until = time.monotonic() + limit
    while True:
        answer = yes()
        if answer:
            return answer
        that(f"{what}: not within {limit} s", time.monotonic() < until)
        time.sleep(0.3)


def running(name):
    def yes():
        b = broker(name)
        that(f"{name} is {b['BrokerState']}", b["BrokerState"] in ("RUNNING", "CREATION_IN_PROGRESS", "REBOOT_IN_PROGRESS"))
        return b["BrokerState"] == "RUNNING" and b
    return wait(f"{name} runs", yes)


class Refused(Exception):
    pass


class Stomp:
    """A client that trusts the service's authority and nobody else."""

    def __init__(self, endpoint, user, password):
        host, port = re.fullmatch(r"stomp\+ssl://(.*):(\d+)", endpoint).groups()
        context = ssl.create_default_context(cafile=os.environ["INTEROP_CA"])
        self.socket = context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname=host)
        self.received = b""
        self.write("CONNECT", {"accept-version": "1.2", "host": "x", "login": user, "passcode": password})
        command, headers, _ = self.read()
        if command != "CONNECTED":
            self.socket.close()
            raise Refused(headers.get("message"))

    def write(self, command, headers, body=""):
        self.socket.sendall((command + "\n" + "".join(f"{k}:{v}\n" for k, v in headers.items()) + "\n" + body + "\0").encode())

    def read(self):
        while b"\0" not in self.received:
            more = self.socket.recv(65536)
            that("the connection was closed", more)
            self.received += more
        frame, _, self.received = self.received.partition(b"\0")
        head, _, body = frame.lstrip(b"\n").decode().partition("\n\n")
        command, *lines = head.split("\n")
        return command, dict(line.split(":", 1) for line in lines), body

    def send(self, destination, body):
        self.write("SEND", {"destination": destination, "persistent": "true", "receipt": "r"}, body)
        equal("answer", self.read()[0], "RECEIPT")

    def receive(self, destination):
        self.write("SUBSCRIBE", {"id": "1", "destination": destination, "ack": "client-individual"})
        command, headers, body = self.read()
        equal("delivery", command, "MESSAGE")
        self.write("ACK", {"id": headers["ack"], "receipt": "a"})
        equal("answer", self.read()[0], "RECEIPT")
        self.write("UNSUBSCRIBE", {"id": "1", "receipt": "u"})
        equal("answer", self.read()[0], "RECEIPT")
        return body


def logs_in(endpoint, user, password):
    try:
        Stomp(endpoint, user, password).socket.close()
        return True
    except Refused:
        return False


def single():
    made = api.create_broker(BrokerName="payroll", DeploymentMode="SINGLE_INSTANCE", EngineType="ACTIVEMQ", EngineVersion="5.18", HostInstanceType="mq.t3.nano", PubliclyAccessible=False,
                             AutoMinorVersionUpgrade=True, Users=[{"Username": "ann", "Password": PASSWORD, "Groups": ["staff"]}], Tags={"team": "pay"})
    equal("state", api.describe_broker(BrokerId=made["BrokerId"])["BrokerState"], "CREATION_IN_PROGRESS")
    b = running("payroll")
    equal("id", b["BrokerId"], made["BrokerId"])
    equal("tags", b["Tags"], {"team": "pay"})
    instance, = b["BrokerInstances"]
    equal("endpoints", instance["Endpoints"], [f"ssl://{instance['IpAddress']}:61617", f"stomp+ssl://{instance['IpAddress']}:61614"])


def stomp_endpoint(name, instance=0):
    return broker(name)["BrokerInstances"][instance]["Endpoints"][1]


def clients():
    endpoint = stomp_endpoint("payroll")
    ann = Stomp(endpoint, "ann", PASSWORD)
    ann.send("/queue/salaries", "hello")
    equal("body", ann.receive("/queue/salaries"), "hello")
    that("a wrong password is taken", not logs_in(endpoint, "ann", "another horse 7"))


def users_live():
    b = broker("payroll")
    endpoint, id = stomp_endpoint("payroll"), b["BrokerId"]
    ann = Stomp(endpoint, "ann", PASSWORD)
    api.create_user(BrokerId=id, Username="bob", Password=PASSWORD)
    that("a user is pending", "PendingChange" not in str(api.list_users(BrokerId=id)["Users"]))
    wait("bob logs in", lambda: logs_in(endpoint, "bob", PASSWORD), 30)
    api.update_user(BrokerId=id, Username="bob", Password="another horse 7")
    wait("bob logs in by another password", lambda: logs_in(endpoint, "bob", "another horse 7"), 30)
    that("the old password is taken", not logs_in(endpoint, "bob", PASSWORD))
    api.delete_user(BrokerId=id, Username="bob")
    wait("bob is refused", lambda: not logs_in(endpoint, "bob", "another horse 7"), 30)
    ann.send("/queue/salaries", "still here")  # by the connection that was there all the while
    equal("body", ann.receive("/queue/salaries"), "still here")


def configuration_live():
    b = broker("payroll")
    conf = b["Configurations"]["Current"]["Id"]
    ann = Stomp(b["BrokerInstances"][0]["Endpoints"][1], "ann", PASSWORD)
    data = b"""<broker xmlns="http://activemq.apache.org/schema/core">
  <plugins><forcePersistencyModeBrokerPlugin persistenceFlag="true"/></plugins>
  <destinationPolicy><policyMap><policyEntries><policyEntry queue="&gt;"><deadLetterStrategy><individualDeadLetterStrategy queuePrefix="DLQ."/></deadLetterStrategy></policyEntry></policyEntries></policyMap></destinationPolicy>
</broker>"""
    answer = api.update_configuration(ConfigurationId=conf, Data=base64.b64encode(data).decode(), Description="a dead-letter queue each")
    equal("warnings", [w["ElementName"] for w in answer["Warnings"]], ["forcePersistencyModeBrokerPlugin"])
    equal("data", base64.b64decode(api.describe_configuration_revision(ConfigurationId=conf, ConfigurationRevision="2")["Data"]), data)
    api.update_broker(BrokerId=b["BrokerId"], Configuration={"Id": conf, "Revision": 2})
    now = broker("payroll")["Configurations"]
    equal("revision", now["Current"]["Revision"], 2)
    that("it is pending", "Pending" not in now)

    def dies():
        ann.write("SUBSCRIBE", {"id": "2", "destination": "/queue/poisoned", "ack": "client-individual"})
        ann.write("SEND", {"destination": "/queue/poisoned", "persistent": "true"}, "poison")
        _, headers, _ = ann.read()
        ann.write("NACK", {"id": headers["ack"]})
        ann.write("UNSUBSCRIBE", {"id": "2", "receipt": "n"})
        equal("answer", ann.read()[0], "RECEIPT")
        ann.write("SUBSCRIBE", {"id": "3", "destination": "/queue/DLQ.poisoned", "ack": "auto"})
        ann.socket.settimeout(2)
        try:
            return ann.read()[2] == "poison"
        except TimeoutError:
            return False
        finally:
            ann.socket.settimeout(20)
            ann.write("UNSUBSCRIBE", {"id": "3"})
    wait("a dead letter is in a queue of its own", dies, 30)


def version_waits():
    b = broker("payroll")
    ann = Stomp(stomp_endpoint("payroll"), "ann", PASSWORD)
    ann.send("/queue/kept", "over the reboot")
    api.update_broker(BrokerId=b["BrokerId"], EngineVersion="5.19")
    b = broker("payroll")
    equal("version and pending", (b["EngineVersion"], b["PendingEngineVersion"]), ("5.18", "5.19"))
    api.reboot_broker(BrokerId=b["BrokerId"])
    equal("state", broker("payroll")["BrokerState"], "REBOOT_IN_PROGRESS")
    b = running("payroll")
    equal("version", b["EngineVersion"], "5.19")
    that("it is pending still", "PendingEngineVersion" not in b)
    equal("body", Stomp(stomp_endpoint("payroll"), "ann", PASSWORD).receive("/queue/kept"), "over the reboot")


def pair():
    api.create_broker(BrokerName="orders", DeploymentMode="ACTIVE_STANDBY_MULTI_AZ", EngineType="ACTIVEMQ", HostInstanceType="mq.t3.nano", PubliclyAccessible=False, AutoMinorVersionUpgrade=True,
                      Users=[{"Username": "ann", "Password": PASSWORD}])
    b = running("orders")
    equal("instances", len(b["BrokerInstances"]), 2)
    Stomp(stomp_endpoint("orders", 0), "ann", PASSWORD).send("/queue/orders", "by one endpoint")
    equal("body", Stomp(stomp_endpoint("orders", 1), "ann", PASSWORD).receive("/queue/orders"), "by one endpoint")


def deletions():
    for name in ("payroll", "orders"):
        b = broker(name)
        endpoint = b["BrokerInstances"][0]["Endpoints"][1]
        api.delete_broker(BrokerId=b["BrokerId"])
        wait(f"{name} is gone", lambda: broker(name) is None)
        try:
            api.describe_broker(BrokerId=b["BrokerId"])
            raise AssertionError("it can be described")
        except botocore.exceptions.ClientError as e:
            equal("error", e.response["Error"]["Code"], "NotFoundException")
        try:
            Stomp(endpoint, "ann", PASSWORD)
            raise AssertionError("it takes clients")
        except OSError:
            pass


PARTS = {
    "begin": [("single", single), ("clients", clients), ("users-live", users_live), ("configuration-live", configuration_live), ("version-waits", version_waits), ("pair", pair)],
    "end": [("deletions", deletions)],
}
suite.run(PARTS[sys.argv[1]], limit=180)
