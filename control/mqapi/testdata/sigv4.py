"""Writes sigv4.json: requests as botocore signs them. Needs botocore; run in this folder: python3 sigv4.py"""
import datetime
import json
from unittest import mock

import botocore
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AT = datetime.datetime(2026, 11, 30, 22, 15, 1, tzinfo=datetime.timezone.utc)
ARN = "arn%3Aaws%3Amq%3Aeu-central-1%3A123456789012%3Abroker%3Apayroll%3Ab-1"
JSON = {"Content-Type": "application/json"}

CASES = {
    "list": ("GET", "/v1/brokers", {}, ""),
    "query in another order": ("GET", "/v1/brokers?nextToken=b%2Fc%3D%3D&maxResults=5", {}, ""),
    "no body, POST": ("POST", "/v1/brokers/b-1/reboot", {}, ""),
    "body": ("POST", "/v1/brokers", JSON, '{"brokerName": "payroll"}'),
    "body, not ASCII": ("PUT", "/v1/configurations/c-1", JSON, '{"data": "", "description": "größer – 大"}'),
    "ARN in the path": ("GET", "/v1/tags/" + ARN, {}, ""),
    "ARN and keys": ("DELETE", "/v1/tags/" + ARN + "?tagKeys=b%20c&tagKeys=a&tagKeys=%C3%BC%2B%2F", {}, ""),
    "tilde and dot": ("GET", "/v1/brokers/b-1/users/a~b.c_d-e", {}, ""),
    "spaces in a header": ("GET", "/v1/brokers", {"X-Amz-Note": "  a   b  "}, ""),
    "port in the host": ("GET", "http://127.0.0.1:8161/v1/brokers", {}, ""),
}


def sign(method, url, headers, body):
    if url.startswith("/"):
        url = "https://mq.eu-central-1.amazonaws.com" + url
    request = AWSRequest(method=method, url=url, data=body.encode(), headers=dict(headers))
    # The name of what gives the time has changed over botocore's versions.
    clock = "get_current_datetime" if hasattr(botocore.auth, "get_current_datetime") else None
    signer = botocore.auth.SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), "mq", "eu-central-1")
    if clock:
        with mock.patch.object(botocore.auth, clock, return_value=AT.replace(tzinfo=None)):
            signer.add_auth(request)
    else:
        with mock.patch.object(botocore.auth, "datetime") as fake:
            fake.datetime.utcnow.return_value = AT.replace(tzinfo=None)
            signer.add_auth(request)
    prepared = request.prepare()
    kept = {k: v if isinstance(v, str) else v.decode() for k, v in prepared.headers.items()}
    return {"method": method, "url": prepared.url, "headers": kept, "body": body}


with open("sigv4.json", "w", encoding="utf-8") as f:
    json.dump({"by": "botocore " + botocore.__version__, "at": AT.strftime("%Y%m%dT%H%M%SZ"), "accessKeyId": "AKIDEXAMPLE", "secret": SECRET,
               "cases": {name: sign(*case) for name, case in CASES.items()}}, f, indent=1, ensure_ascii=False, sort_keys=True)
    f.write("\n")
