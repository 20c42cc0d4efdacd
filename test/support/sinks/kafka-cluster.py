"""A Kafka cluster that is not ours: the mock cluster of librdkafka, from Debian, and its consumer.

With the partitions of its topic as argument, prints its bootstrap servers, then obeys one order a line, and answers each with a line of JSON:
`read`, `down`, `up`, `errors API CODE ...`, `slow MS`, `calm`.
"""
import ctypes
import json
import sys

from confluent_kafka import Consumer, TopicPartition

TOPIC, PARTITIONS, BROKERS, PRODUCE = b"audit", int(sys.argv[1]), 2, 0
LOG_LEVEL_NONE = 0

library = ctypes.CDLL("librdkafka.so.1")
pointers = ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new")
for name in pointers:
    getattr(library, name).restype = ctypes.c_void_p
library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
handle = ctypes.c_void_p(library.rd_kafka_new(0, ctypes.c_void_p(library.rd_kafka_conf_new()), None, 0))
library.rd_kafka_set_log_level(handle, LOG_LEVEL_NONE)
cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(handle, BROKERS))
library.rd_kafka_mock_topic_create(cluster, TOPIC, PARTITIONS, 1)
servers = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0, "fetch.message.max.bytes": 20_000_000})
partitions = [TopicPartition(TOPIC.decode(), each, 0) for each in range(PARTITIONS)]
consumer.assign(partitions)
offsets = [0] * PARTITIONS
messages = []


def read():
    """All that has come, in the order of each partition."""
    ends = [consumer.get_watermark_offsets(each, cached=False)[1] for each in partitions]
    while any(offsets[n] < end for n, end in enumerate(ends)):
        message = consumer.poll(1.0)
        if message is None or message.error() is not None:
            continue
        offsets[message.partition()] = message.offset() + 1
        messages.append({
            "partition": message.partition(),
            "key": message.key().decode(),
            "text": message.value().decode(),
            "headers": {name: value.decode() for name, value in message.headers() or []},
            "timeMs": message.timestamp()[1],
        })
    return messages


def each_broker(name):
    for broker in range(1, BROKERS + 1):
        getattr(library, name)(cluster, broker)


def obey(order, *given):
    numbers = [int(each) for each in given]
    if order == "read":
        return read()
    if order == "down":
        each_broker("rd_kafka_mock_broker_set_down")
    elif order == "up":
        each_broker("rd_kafka_mock_broker_set_up")
    elif order == "errors":
        api, codes = numbers[0], numbers[1:]
        library.rd_kafka_mock_push_request_errors(cluster, ctypes.c_int16(api), ctypes.c_size_t(len(codes)), *codes)
    elif order == "slow":
        # What comes is taken in, and answered late.
        for broker in range(1, BROKERS + 1):
            library.rd_kafka_mock_broker_push_request_error_rtts(
                cluster, broker, ctypes.c_int16(PRODUCE), ctypes.c_size_t(1), 0, numbers[0])
    elif order == "calm":
        library.rd_kafka_mock_clear_request_errors(cluster, ctypes.c_int16(PRODUCE))
    return None


print(servers, flush=True)
for line in sys.stdin:
    print(json.dumps(obey(*line.split())), flush=True)
