"""Verifies one bundle after the other: a folder a line on stdin, an object of JSON a line on stdout. A process each would take half a second."""
import contextlib
import functools
import importlib.util
import io
import json
import sys
from types import SimpleNamespace

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location('verify', sys.argv[1])
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)

# The same signature is verified by hundreds of runs: one process of openssl is enough.
verify.ed25519_holds = functools.lru_cache(maxsize=None)(verify.ed25519_holds)
options = dict(policy=None, key=[], witness=[], organization=None, since=None, before=None, tsa_ca=None, kept_elsewhere=False, anchor=[])

for line in sys.stdin:
    report = verify.Report()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            verify.verify(line.rstrip('\n'), SimpleNamespace(**options), report)
    except verify.Unreadable as problem:
        report.fault('files', str(problem))
    print(json.dumps({'holds': report.holds(), 'faults': [fault['text'] for fault in report.faults]}), flush=True)
