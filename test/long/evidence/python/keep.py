"""Runs the tests of verify.py, and keeps each bundle that they judge: python3 keep.py FOLDER. A line of JSON for each says what verify.py said."""
import base64
import json
import os
import shutil
import sys
import unittest

import test_verify

KEPT = sys.argv[1]
judge = test_verify.run


def run(folder, anchors=(), **changed):
    report = judge(folder, anchors, **changed)
    # Other options than these have only one of the two verifiers.
    if set(changed) <= {'policy'}:
        run.count += 1
        target = os.path.join(KEPT, str(run.count))
        shutil.copytree(folder, target, symlinks=True)
        policy = changed.get('policy')
        print(json.dumps({
            'folder': target, 'holds': report.holds(), 'faults': [fault['text'] for fault in report.faults][:5],
            'anchors': [base64.b64encode(note).decode() for note in anchors],
            'policy': None if policy is None else base64.b64encode(policy).decode()}))
    return report


run.count = 0
test_verify.run = run
# Those of changed bits are compared elsewhere, and links are a matter of who reads the folder.
skipped = ('test_mutations', 'test_links', 'test_gzip_and_two_payload_files')
suite = unittest.TestSuite(test for cases in unittest.defaultTestLoader.loadTestsFromModule(test_verify) for test in cases
                           if test.id().rpartition('.')[2] not in skipped)
sys.exit(not unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful())
