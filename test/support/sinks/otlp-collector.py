"""Reads requests of OTLP by Google's protobuf and the definitions of OpenTelemetry, both from Debian.

On stdin, each request: its length in 4 bytes, then its bytes. On stdout, each answer: a line of JSON. With the argument `refuse`,
log records that say "poison" are rejected.
"""
import base64
import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

REFUSES = sys.argv[1:] == ["refuse"]


def value_of(value):
    return getattr(value, value.WhichOneof("value"))


def record_of(record):
    return {
        "attributes": {each.key: value_of(each.value) for each in record.attributes},
        "text": value_of(record.body),
        "eventName": record.event_name,
        "severity": [record.severity_number, record.severity_text],
        "nanoseconds": [str(record.time_unix_nano), str(record.observed_time_unix_nano)],
        "unknown": len(UnknownFieldSet(record)),
    }


def answer_to(body):
    request = ExportLogsServiceRequest.FromString(body)
    records = [
        record_of(record)
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]
    taken = [record for record in records if not (REFUSES and "poison" in record["text"])]
    rejected = len(records) - len(taken)
    response = ExportLogsServiceResponse()
    if rejected:
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = "poison"
    services = [each.value.string_value for one in request.resource_logs for each in one.resource.attributes]
    return {
        "taken": taken,
        "services": services,
        "isCanonical": request.SerializeToString() == body,
        "answer": base64.b64encode(response.SerializeToString()).decode(),
    }


while header := sys.stdin.buffer.read(4):
    try:
        answer = answer_to(sys.stdin.buffer.read(int.from_bytes(header, "big")))
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
