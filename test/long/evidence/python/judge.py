"""Judges bundles for a test that compares the two verifiers: a request in JSON on each line of its input, an answer on each line of its output."""
import base64
import json
import sys

import test_verify


def judge(folder, anchors=(), policy=None):
    report = test_verify.run(folder, policy=None if policy is None else base64.b64decode(policy),
                             anchor=[(name, base64.b64decode(note)) for name, note in anchors])
    return report.as_json()


if __name__ == '__main__':
    for line in sys.stdin:
        print(json.dumps(judge(**json.loads(line))), flush=True)
