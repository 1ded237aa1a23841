"""main.py SUITE: boto3, or cli with the AWS command line that INTEROP_AWS names: every operation of Amazon MQ's API once, and its errors.

INTEROP_MQ is the service's URL; the keys are in the environment as AWS's clients want them. The command line takes its parameters as JSON, so that both are
asked the same."""

import base64
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import suite  # noqa: E402
from suite import equal, that  # noqa: E402

URL = os.environ["INTEROP_MQ"]
REGION = "eu-central-1"


class Refused(Exception):
    def __init__(self, code, message, attribute=None):
        super().__init__(f"{code}: {message} ({attribute})")
        self.code, self.message, self.attribute = code, message, attribute


class Absent(Exception):
    """The client's model has no such operation or member."""


class Boto:
    def __init__(self, **credentials):
        import boto3

        session = boto3.session.Session(**credentials)
        self.client = session.client("mq", region_name=REGION, endpoint_url=URL)

    def call(self, operation, **parameters):
        import botocore.exceptions

        method = getattr(self.client, re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
        try:
            answer = method(**parameters)
        except botocore.exceptions.ClientError as e:
            error = e.response["Error"]
            that("no request id", e.response["ResponseMetadata"].get("RequestId"))
            raise Refused(error["Code"], error["Message"], e.response.get("ErrorAttribute")) from e
        that("no request id", answer["ResponseMetadata"].get("RequestId"))
        return answer

    def other(self, key, secret):
        return Boto(aws_access_key_id=key, aws_secret_access_key=secret)


class CLI:
    def __init__(self, **env):
        self.env = env

    def call(self, operation, **parameters):
        command = re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()
        done = subprocess.run(
            [os.environ["INTEROP_AWS"], "--region", REGION, "--endpoint-url", URL, "--output", "json", "mq", command, "--cli-input-json", json.dumps(parameters)],
            env={**os.environ, "AWS_PAGER": "", **self.env}, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return json.loads(done.stdout) if done.stdout.strip() else {}
        found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation[^:]*: (.*)", done.stderr, re.S)
        if not found:
            if "invalid choice" in done.stderr.lower() or "Unknown parameter" in done.stderr:
                raise Absent(done.stderr)
            raise AssertionError(done.stderr)
        raise Refused(found[1], found[2].strip())

    def other(self, key, secret):
        return CLI(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)


api = Boto() if sys.argv[1] == "boto3" else CLI()
made = {}
codes = set()


def refused(code, attribute, words, operation, by=None, always=False, **parameters):
    if isinstance(api, CLI) and code in codes and not always:  # it takes long to start, and shows all errors of a code alike
        return
    codes.add(code)
    try:
        answer = (by or api).call(operation, **parameters)
    except Refused as e:
        equal("code", e.code, code)
        that(f"{e.message!r} does not say {words!r}", words in e.message)
        if isinstance(by or api, Boto) and attribute:
            equal("attribute", e.attribute, attribute)
        return
    raise AssertionError(f"{operation} was answered {answer}")


BROKER = {
    "BrokerName": "payroll", "DeploymentMode": "ACTIVE_STANDBY_MULTI_AZ", "EngineType": "ACTIVEMQ", "EngineVersion": "5.19", "HostInstanceType": "mq.m5.large", "PubliclyAccessible": False,
    "AutoMinorVersionUpgrade": True, "Users": [{"Username": "ops", "Password": "correct horse 7", "Groups": ["admins"]}], "SubnetIds": ["subnet-a", "subnet-b"], "SecurityGroups": ["sg-1"],
    "Tags": {"team": "pay"}, "Logs": {"General": True}, "MaintenanceWindowStartTime": {"DayOfWeek": "TUESDAY", "TimeOfDay": "03:00", "TimeZone": "Europe/Berlin"},
}


def configurations():
    c = api.call("CreateConfiguration", Name="base", EngineType="ACTIVEMQ", EngineVersion="5.19", Tags={"a": "b"})
    equal("revision", c["LatestRevision"]["Revision"], 1)
    data = base64.b64encode(b"<broker/>").decode()
    c = api.call("UpdateConfiguration", ConfigurationId=c["Id"], Data=data, Description="gr\u00f6\u00dfer")
    equal("revision", c["LatestRevision"]["Revision"], 2)
    made["configuration"] = c["Id"]
    equal("data", api.call("DescribeConfigurationRevision", ConfigurationId=c["Id"], ConfigurationRevision="2")["Data"], data)
    d = api.call("DescribeConfiguration", ConfigurationId=c["Id"])
    equal("engine type", d["EngineType"], "ActiveMQ")
    equal("tags", d["Tags"], {"a": "b"})
    equal("description", d["LatestRevision"]["Description"], "gr\u00f6\u00dfer")
    equal("configurations", [x["Id"] for x in api.call("ListConfigurations")["Configurations"]], [c["Id"]])
    equal("revisions", [x["Revision"] for x in api.call("ListConfigurationRevisions", ConfigurationId=c["Id"])["Revisions"]], [1, 2])
    refused("NotFoundException", "configuration-id", "c-0", "DescribeConfiguration", ConfigurationId="c-0")
    refused("BadRequestException", "data", "base64", "UpdateConfiguration", ConfigurationId=c["Id"], Data="<broker/>")


def brokers():
    b = api.call("CreateBroker", **BROKER, CreatorRequestId="token", Configuration={"Id": made["configuration"], "Revision": 2})
    again = api.call("CreateBroker", **BROKER, CreatorRequestId="token", Configuration={"Id": made["configuration"], "Revision": 2})
    equal("the broker of the same token", again["BrokerId"], b["BrokerId"])
    made["id"], made["arn"] = b["BrokerId"], b["BrokerArn"]
    refused("ConflictException", "brokerName", "payroll", "CreateBroker", **BROKER)  # the client makes another token
    api.call("UpdateBroker", BrokerId=made["id"], EngineVersion="5.18", SecurityGroups=[], MaintenanceWindowStartTime={"DayOfWeek": "SUNDAY", "TimeOfDay": "04:00"})
    d = api.call("DescribeBroker", BrokerId=made["id"])
    equal("state", d["BrokerState"], "RUNNING")
    equal("engine", (d["EngineType"], d["EngineVersion"]), ("ActiveMQ", "5.18"))
    equal("window", d["MaintenanceWindowStartTime"], {"DayOfWeek": "SUNDAY", "TimeOfDay": "04:00"})
    equal("security groups", d["SecurityGroups"], [])
    equal("instances", len(d["BrokerInstances"]), 2)
    equal("configuration", d["Configurations"]["Current"], {"Id": made["configuration"], "Revision": 2})
    equal("public", d["PubliclyAccessible"], False)
    equal("users", [u["Username"] for u in d["Users"]], ["ops"])
    api.call("RebootBroker", BrokerId=made["id"])
    refused("NotFoundException", "broker-id", "b-0", "DescribeBroker", BrokerId="b-0")
    refused("BadRequestException", "engineVersion", "5.19.1", "UpdateBroker", BrokerId=made["id"], EngineVersion="5.19.1")
    refused("BadRequestException", "engineType", "RABBITMQ", "CreateBroker", **{**BROKER, "EngineType": "RABBITMQ"})
    refused("BadRequestException", "users[0].password", "12 to 250", "CreateBroker", **{**BROKER, "Users": [{"Username": "ops", "Password": "short"}]})


def lists():
    equal("brokers", [b["BrokerId"] for b in api.call("ListBrokers")["BrokerSummaries"]], [made["id"]])
    if isinstance(api, Boto):
        for i in range(11):
            api.call("CreateBroker", **{**BROKER, "BrokerName": f"more{i}"})
        pages = api.client.get_paginator("list_brokers").paginate(PaginationConfig={"PageSize": 5})
        equal("brokers a page", [len(p["BrokerSummaries"]) for p in pages], [5, 5, 2])
    refused("BadRequestException", "maxResults", "5 to 100", "ListConfigurations", MaxResults=3)
    types = api.call("DescribeBrokerEngineTypes", EngineType="ACTIVEMQ")["BrokerEngineTypes"]
    equal("versions", [v["Name"] for v in types[0]["EngineVersions"]], ["5.18", "5.19"])
    options = api.call("DescribeBrokerInstanceOptions", HostInstanceType="mq.t3.micro")["BrokerInstanceOptions"]
    equal("storage", [o["StorageType"] for o in options], ["efs"])


def users():
    api.call("CreateUser", BrokerId=made["id"], Username="new.user~1", Password="correct horse 8", Groups=["a.b", "cc"])
    api.call("UpdateUser", BrokerId=made["id"], Username="new.user~1", ConsoleAccess=True)
    u = api.call("DescribeUser", BrokerId=made["id"], Username="new.user~1")
    equal("user", (u["ConsoleAccess"], u["Groups"], u["Username"]), (True, ["a.b", "cc"], "new.user~1"))
    equal("users", [u["Username"] for u in api.call("ListUsers", BrokerId=made["id"])["Users"]], ["new.user~1", "ops"])
    refused("ConflictException", "username", "already exists", "CreateUser", BrokerId=made["id"], Username="ops", Password="correct horse 8")
    refused("BadRequestException", "groups[0]", "2 to 100", "UpdateUser", BrokerId=made["id"], Username="ops", Groups=["a"])
    api.call("DeleteUser", BrokerId=made["id"], Username="new.user~1")
    refused("NotFoundException", "username", "new.user~1", "DescribeUser", BrokerId=made["id"], Username="new.user~1")


def tags():
    api.call("CreateTags", ResourceArn=made["arn"], Tags={"a": "1", "b c": "\u00fc"})
    api.call("DeleteTags", ResourceArn=made["arn"], TagKeys=["team", "b c"])
    equal("tags", api.call("ListTags", ResourceArn=made["arn"])["Tags"], {"a": "1"})
    refused("BadRequestException", "resource-arn", "region", "ListTags", ResourceArn=made["arn"].replace(REGION, "us-east-1"))
    refused("ForbiddenException", "resource-arn", "account", "ListTags", ResourceArn=made["arn"].replace("123456789012", "210987654321"))


def extras():
    equal("active", [i["Active"] for i in api.call("DescribeBroker", BrokerId=made["id"])["BrokerInstances"]], [True, False])
    plan = api.call("SwitchoverBroker", BrokerId=made["id"], Plan=True)
    that("no reasons", plan["Clients"][0]["Reasons"])
    equal("switched over to", api.call("SwitchoverBroker", BrokerId=made["id"], Instance=made["id"] + "-2")["From"], made["id"] + "-1")
    instances = api.call("DescribeBroker", BrokerId=made["id"])["BrokerInstances"]
    equal("active", [i["Active"] for i in instances], [False, True])
    that("since when is not said", instances[1].get("ActiveSince"))
    equal("cost", api.call("UpdateBroker", BrokerId=made["id"], SubnetIds=["subnet-c", "subnet-d"], Plan=True)["Cost"], "restart: no, failover: no")
    refused("BadRequestException", "instance", "instance must be", "SwitchoverBroker", BrokerId=made["id"], Instance="second")


def refused_operations():
    for operation, parameters in {"Promote": {"Mode": "SWITCHOVER"}, "DescribeSharedResources": {}}.items():
        try:
            refused("BadRequestException", None, operation + " is refused", operation, always=True, BrokerId=made["id"], **parameters)
        except (Absent, AttributeError):
            print(f"note the client has no {operation}", flush=True)


def credentials():  # no operation declares these errors, so botocore drops their attribute
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    refused("InvalidSignatureException", None, "secret access key", "ListBrokers", by=api.other(key, secret + "x"))
    refused("UnrecognizedClientException", None, "AKIDNOBODY", "ListBrokers", by=api.other("AKIDNOBODY", secret))
    refused("ExpiredTokenException", None, "expired", "DescribeBroker", by=api.other("AKIDPAST", secret), BrokerId=made["id"])
    equal("another account's brokers", api.other("AKIDOTHER", "another secret").call("ListBrokers")["BrokerSummaries"], [])


def deletions():
    if isinstance(api, Boto):
        refused("ConflictException", "configuration-id", "payroll", "DeleteConfiguration", ConfigurationId=made["configuration"])
    equal("deleted", api.call("DeleteBroker", BrokerId=made["id"])["BrokerId"], made["id"])
    refused("NotFoundException", "broker-id", made["id"], "DeleteBroker", BrokerId=made["id"])
    try:
        api.call("DeleteConfiguration", ConfigurationId=made["configuration"])
    except Absent:
        print("note the client has no DeleteConfiguration", flush=True)
        return
    refused("NotFoundException", "configuration-id", made["configuration"], "DescribeConfiguration", ConfigurationId=made["configuration"])


def throttled():
    for _ in range(130):  # more than the burst: the client tries again by itself
        api.call("ListBrokers")


SCENARIOS = [("configurations", configurations), ("brokers", brokers), ("lists", lists), ("users", users), ("tags", tags), ("extras", extras), ("refused operations", refused_operations), ("credentials", credentials),
             ("deletions", deletions)]
if isinstance(api, Boto):
    SCENARIOS.append(("throttled", throttled))

suite.run([(name.replace(" ", "-"), scenario) for name, scenario in SCENARIOS], limit=120)
