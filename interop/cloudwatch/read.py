"""Prints what a CloudWatch has in a namespace: a line of JSON for each metric, with its dimensions and its greatest value."""
import datetime
import json
import os

import boto3

cloud = boto3.client("cloudwatch", endpoint_url=os.environ["INTEROP_CLOUDWATCH"], region_name="eu-central-1",
                     aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret")
now = datetime.datetime.now(datetime.timezone.utc)
for page in cloud.get_paginator("list_metrics").paginate(Namespace="Godwit/AmazonMQ"):
    for metric in page["Metrics"]:
        if metric["MetricName"] not in ("QueueSize", "EnqueueCount", "TotalMessageCount", "StorePercentUsage"):
            print(json.dumps({"name": metric["MetricName"], "dimensions": {d["Name"]: d["Value"] for d in metric["Dimensions"]}}))
            continue
        points = cloud.get_metric_statistics(Namespace="Godwit/AmazonMQ", MetricName=metric["MetricName"], Dimensions=metric["Dimensions"],
                                             StartTime=now - datetime.timedelta(hours=1), EndTime=now + datetime.timedelta(hours=1),
                                             Period=3600, Statistics=["Maximum"])["Datapoints"]
        print(json.dumps({"name": metric["MetricName"], "dimensions": {d["Name"]: d["Value"] for d in metric["Dimensions"]},
                          "value": max([p["Maximum"] for p in points], default=None), "unit": points[0]["Unit"] if points else None}))
