"""Tests of verify.py: bundles that bundles.py makes hold; each of the changes below, made by one who hands a bundle on or by the holder of the key, is found."""
import contextlib
import copy
import gzip
import importlib.util
import io
import json
import os
import random
import shutil
import struct
import tempfile
import unittest

import bundles
from bundles import DAY, SECOND, Log, h, instant, micros, relist

SCRIPT = os.path.join(os.path.dirname(__file__), '../../../../src/evidence/verify-bundle/verify.py')
SPEC = importlib.util.spec_from_file_location('verify', SCRIPT)
verify = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(verify)

JANUARY, FEBRUARY, MARCH, APRIL = (micros('2026-0%d-01' % month) for month in (1, 2, 3, 4))
A_TIME = {'since': instant(FEBRUARY), 'before': instant(MARCH)}


def rich():
    """Two sources, three months, everything that statements can say, a second log that lost ten leaves of the first one."""
    log = Log()
    log.at = JANUARY - DAY
    log.source(1)
    log.coverage(1)
    log.at = JANUARY + DAY
    log.source(2)
    first = [log.event(1, JANUARY + at * DAY, gap=at * 1000) for at in range(1, 9)]
    log.event(1, bundles.NO_TIME, raw=b'{}', defects='no_time,no_id')
    log.at = micros('2026-02-10')
    log.coverage(1, [(JANUARY, FEBRUARY)], [(JANUARY, FEBRUARY, log.at), (JANUARY, MARCH, None)], again=[(JANUARY, FEBRUARY - DAY)], wanted_since=instant(JANUARY))
    log.hold('added', 1, since=instant(FEBRUARY), before=instant(APRIL))
    log.hold('added', 2, 1)
    log.state({'type': 'note', 'source': 0, 'about': 'clock', 'facts': {'by': 3}})
    second = [log.event(1 + at % 2, FEBRUARY + at * DAY) for at in range(12)]
    log.change(second[2], b'{"id":"later"}')
    log.change(second[2], b'{"id":"later still"}')
    log.change(second[3], b'{"id":"of the other"}')
    log.at = micros('2026-03-05')
    log.coverage(1, [(JANUARY, MARCH)], [(FEBRUARY - DAY, MARCH, log.at)], again=[(JANUARY, MARCH - 3 * DAY)],
                 holes=[{'range': [instant(MARCH), instant(MARCH + DAY)], 'reason': 'too large', 'found_at': instant(log.at)}])
    log.coverage(2, [(FEBRUARY, MARCH)], [(FEBRUARY, MARCH, log.at)], again=[(FEBRUARY, MARCH - DAY)])
    log.hold('released', 2, 1)
    log.drop('2026-01', [[first[0], first[-1] + 1]], instant(FEBRUARY))
    log.rotate('second')
    lost = log.checkpoint(len(log.leaves) + 10, root=h(b'lost'))
    log.state({'type': 'end', 'source': 0, 'reason': 'moved', 'by': 'test'})
    log.log = 2
    log.begin(previous=lost, carried=len(log.leaves) - 1, key=bundles.public('third').hex(), lost_holds=[9])
    log.key = 'third'
    for at in range(12):
        log.event(1 + at % 2, MARCH + at * DAY)
    log.at = micros('2026-04-05')
    log.coverage(1, [(JANUARY, APRIL)], [(MARCH, APRIL, log.at)], again=[(JANUARY, MARCH)])
    log.coverage(2, [(FEBRUARY, APRIL)], [(MARCH, APRIL, log.at)], again=[(FEBRUARY, MARCH)])
    log.event(1, APRIL)
    return log


RICH = rich()
EVENTS = [at for at, leaf in enumerate(RICH.leaves) if 'data' in leaf and not leaf.get('dropped')]
CHANGED = next(at for at, leaf in enumerate(RICH.leaves) if leaf.get('contents'))
SELECTIONS = {'everything': {}, 'source': {'source': 1}, 'time': A_TIME, 'time of a source': {'source': 2, **A_TIME},
              'search': {'found': [CHANGED, EVENTS[-3]]}, 'search of a source': {'source': 1, 'found': [CHANGED]}}


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.count = 0

    def folder(self):
        self.count += 1
        return os.path.join(self.root, str(self.count))

    def judge(self, folder, *options):
        """(exit code, report as JSON, sample)"""
        report, given = verify.Report(), verify.arguments([folder, *options])
        try:
            sample = verify.verify(given, report)
        except (verify.NoBundle, OSError):
            return 2, {}, None
        list(report.as_text())
        return 5 if report.found else 0, report.as_json(), sample

    def kept(self, note):
        path = self.folder()
        with open(path, 'wb') as file:
            file.write(note if isinstance(note, bytes) else note.encode())
        return path

    def holds(self, folder, *options):
        code, report, _ = self.judge(folder, *options)
        self.assertEqual((code, report.get('faults')), (0, []))
        return report

    def fails(self, folder, *options):
        code, report, _ = self.judge(folder, *options)
        self.assertEqual(code, 5, report.get('claims'))
        return report


class Honest(Case):
    def test_selections(self):
        for name, chosen in SELECTIONS.items():
            for packed in (False, True):
                with self.subTest(name, packed=packed):
                    self.holds(RICH.write(self.folder(), packed=packed, **chosen))

    def test_nothing_of_others_is_in_a_bundle_of_a_source(self):
        folder = RICH.write(self.folder(), source=1)
        for path in verify.Bundle(folder).paths:
            with open(os.path.join(folder, path), 'rb') as file:
                self.assertNotIn((bundles.ORGANIZATION % 2).encode(), file.read())

    def test_report(self):
        report = self.holds(RICH.write(self.folder()))
        begin = next(leaf['statement'] for leaf in RICH.leaves if leaf.get('statement', {}).get('previous'))
        lost = int(begin['previous'].split('\n')[1]) - begin['carried']
        self.assertEqual(report['losses'], ['log 2 since %s: %d leaves of log 1 are lost, as stated' % (begin['at'][:10], lost)])
        self.assertIn('as far as the operator is believed', report['verdict'])
        path, own = self.kept(RICH.checkpoint()), self.kept(bundles.policy(2, ('third',)))
        self.assertEqual(self.holds(RICH.write(self.folder()), '--checkpoint', path, '--policy', own)['verdict'], 'holds')
        folder = RICH.write(self.folder(), checkpoint=RICH.checkpoint(witness=1775000000).encode())
        self.assertEqual(self.holds(folder, '--policy', own)['verdict'], 'holds')
        self.assertIn('believed', self.holds(folder)['verdict'])

    def test_old_requests_may_be_missing(self):
        log = Log()
        log.source(1)
        for month in (2, 3, 5):
            log.at = micros('2026-0%d-05' % month)
            log.coverage(1, [(JANUARY, log.at)], [(log.read[1][0][1] if 1 in log.read else JANUARY, log.at, log.at)])
        for missing, code in ((range(1), 0), (range(2), 0), (range(3), 5), (range(1, 2), 0)):
            one = copy.deepcopy(log)
            for at in missing:
                one.leaves[2 + at]['lines'] = []
            self.assertEqual(self.judge(one.write(self.folder()))[0], code, missing)

    def test_files_of_65536_leaves(self):
        folder = self.folder()
        bundles.large(folder, 66_000, True)
        self.assertEqual(sorted(os.listdir(os.path.join(folder, 'leaves'))), ['000000.bin.gz', '000001.bin.gz'])
        self.holds(folder)

    def test_vectors(self):
        with open(os.path.join(os.path.dirname(__file__), '../../../fixtures/evidence/vectors.json'), encoding='utf-8') as file:
            vectors = json.load(file)
        self.assertEqual(verify.sha256(b'\x00' + bytes.fromhex(vectors['event_leaf'])).hexdigest(), vectors['event_leaf_hash'])
        files = {'FORMAT.txt': b'', 'verify.py': b'', 'checkpoint': vectors['checkpoint'].encode(),
                 'policy.txt': ('log %s\nwitness w %s\n' % (vectors['vkey'], vectors['witness_vkey'])).encode(),
                 'selection.json': b'{"source":null,"since":null,"before":null,"query":null}', 'leaves/000000.bin': bytes.fromhex(vectors['records_of_everything']),
                 'statements.ndjson': b''.join(one.encode() + b'\n' for one in vectors['statements']), 'reads.ndjson': ''.join(vectors['requests']).encode()}
        folder = self.folder()
        bundles.write_files(folder, files)
        policy = self.kept(files['policy.txt'])
        for size in range(1, 6):
            root = bytes.fromhex(vectors['roots_by_size'][size])
            with self.subTest(size):  # compared, but signed by none of its keys
                self.assertIn('no key', self.fails(folder, '--checkpoint', self.kept(bundles.note(1, size, root, ('other',))))['faults'][0]['text'])
        self.assertEqual(self.holds(folder, '--policy', policy)['verdict'], 'holds')
        fold = verify.Fold()
        for leaf, root in zip(vectors['leaves_in_order'], vectors['roots_by_size'][1:]):
            fold.push(0, bytes.fromhex(leaf))
            self.assertEqual(fold.root().hex(), root)
        sample = verify.Sample.__new__(verify.Sample)
        sample.seed = bytes.fromhex(vectors['sample']['seed'])
        self.assertEqual(sample.draw(vectors['sample']['units'], 5), vectors['sample']['first_five'])
        body = verify.Checkpoint(vectors['checkpoint'].encode()).body.encode()
        self.assertEqual(h(b'orgtrail/sample/v2\n', body, vectors['sample']['word'].encode()).hex(), vectors['sample']['seed'])


def leaf_of(log, kind, at=0):
    return [one for one in log.leaves if one.get('statement', {}).get('type') == kind][at]['statement']


def set_in(kind, at=0, /, **fields):
    """A change of the fields of a statement; `a__b` is the field b of the field a; a function takes the statement."""
    def change(log):
        for name, value in fields.items():
            one, names = leaf_of(log, kind, at), name.split('__')
            for inner in names[:-1]:
                one = one[inner]
            one[names[-1]] = value(one[names[-1]]) if callable(value) else value
    return change


def without_field(kind, name):
    return lambda log: leaf_of(log, kind).pop(name)


def text_of(kind, old, new):
    """A change of the text of a statement, which stays as it is then."""
    def change(log):
        at = next(at for at, one in enumerate(log.leaves) if one.get('statement', {}).get('type') == kind)
        data = bundles.line(log.leaves[at]['statement'])
        assert old in data
        log.leaves[at]['statement'] = Raw(log.leaves[at]['statement'], data.replace(old, new, 1))
    return change


class Raw(dict):
    def __init__(self, fields, data):
        super().__init__(fields)
        self.data = data


COUNTS = {'coverage: ' + name for name in ('events', 'leaves', 'chain', 'log_leaves', 'log_chain')}


def recount(log):
    """What coverage statements count, of leaves that were changed: else that alone would find every change."""
    chains = {}
    for leaf in log.leaves:
        one = leaf.get('statement', {})
        if one.get('type') == 'coverage' and not isinstance(one, Raw):
            for number, prefix in ((one['source'], ''), (0, 'log_')):
                leaves, events, chain = chains.get(number, (0, 0, bytes(32)))
                one.update({prefix + 'leaves': leaves, prefix + 'chain': chain.hex(), **({} if prefix else {'events': events})})
        number = one.get('source', leaf['number'])
        leaves, events, chain = chains.get(number, (0, 0, bytes(32)))
        chains[number] = leaves + 1, events + ('data' in leaf), h(chain, log.hash(leaf))


plain_line = bundles.line
bundles.line = lambda value: value.data if isinstance(value, Raw) else plain_line(value)


def move(indexes):
    """Leaves move by so much: what names them goes along."""
    def change(log):
        indexes(log)
        for at, leaf in enumerate(log.leaves):
            if 'statement' in leaf:
                leaf['statement']['index'] = at
    return change


def leave_out_event(log):
    """Without an event of source 1 and its change statements, as a database never had it: counts and chains do not fit."""
    del log.leaves[EVENTS[0]]


def position(log, at, value):
    one = log.leaves[EVENTS[at]]
    one['data'] = bundles.event_data(value, *one['fields'][1:])


def rows_widened(log):
    one = next(leaf for leaf in log.leaves if len(leaf.get('lines', ())) == 2)
    one['lines'][0]['before'] = instant(APRIL)
    one['statement']['rows']['sha256'] = h(*map(bundles.line, one['lines'])).hex()
    one['lines'][0]['first_date'] = one['lines'][0]['last_date'] = instant(APRIL)


JAN, FEB, MAR = [instant(JANUARY), instant(FEBRUARY)], [instant(FEBRUARY), instant(MARCH)], [instant(MARCH), instant(APRIL)]
# What the holder of the key could sign. All are faults in a bundle of everything.
SIGNED = {
    'begin: another format': set_in('begin', format=1),
    'begin: true for a number': set_in('begin', number=True),
    'begin: the number does not ascend': set_in('begin', 1, number=1),
    'begin: another base later': set_in('begin', 0, base='other.example.com'),
    'begin: carried beyond': set_in('begin', 1, carried=10 ** 6),
    'begin: carried more than there was': set_in('begin', 1, previous=lambda note: bundles.note(1, 3, h(b''))),
    'begin: no previous': set_in('begin', 1, previous=None),
    'begin: previous of another feed': set_in('begin', 1, previous=lambda note: note.replace('1f2e', '2f2e')),
    'begin: previous of itself': set_in('begin', 1, previous=lambda note: note.replace('0001.1', '0001.2')),
    'begin: previous with another root of what is carried': lambda log: set_in('begin', 1, previous=bundles.note(1, leaf_of(log, 'begin', 1)['carried'], h(b'')))(log),
    'begin: previous that is none': set_in('begin', 1, previous=lambda note: note + '100 % of %s'),
    'statement: an unknown type of a number that was not given': lambda log: log.state({'type': '%s', 'source': 9}),
    'begin: adopts later': set_in('begin', 1, adopted_position=5),
    'begin: a field less': without_field('begin', 'lost_holds'),
    'begin: holds that are no numbers': set_in('begin', 1, lost_holds=['1']),
    'source: twice': set_in('source', 1, kind='organization', id=bundles.ORGANIZATION % 1),
    'source: gives another number': set_in('source', number=7),
    'source: number 0': set_in('source', number=0, source=0),
    'statement of a number that was not given': set_in('note', source=9),
    'statement: index of another': set_in('note', index=lambda index: index + 1),
    'statement: no instant': set_in('note', at='2026-02-30T00:00:00.000000Z'),
    'statement: an instant of five digits': set_in('note', at='2026-02-01T00:00:00.00000Z'),
    'statement: a fraction': text_of('note', b'"by":3', b'"by":3.0'),
    'statement: a large number': text_of('note', b'"by":3', b'"by":9007199254740992'),
    'statement: a field twice': text_of('note', b'"by":3', b'"by":3,"\\u0062y":3'),
    'statement: half of a pair': text_of('note', b'"by":3', b'"by":"\\ud83d"'),
    'statement: 33 levels': text_of('note', b'"by":3', b'"by":' + b'[' * 31 + b']' * 31),
    'statement: no UTF-8': text_of('note', b'"by":3', b'"by":"\xff"'),
    'statement: a carriage return': text_of('note', b'"by":3', b'"by":\r3'),
    'statement: too long': text_of('note', b'"by":3', b'"by":"%s"' % (b'x' * 65_000)),
    'coverage: events': set_in('coverage', 1, events=lambda many: many + 1),
    'coverage: leaves': set_in('coverage', 1, leaves=lambda many: many + 1),
    'coverage: chain': set_in('coverage', 1, chain='00' * 32),
    'coverage: log_leaves': set_in('coverage', 1, log_leaves=lambda many: many - 1),
    'coverage: log_chain': set_in('coverage', 1, log_chain='00' * 32),
    'coverage: read to 2099': set_in('coverage', -1, read=[[JAN[0], '2099-01-01T00:00:00.000000Z']]),
    'coverage: as_of behind at': set_in('coverage', -1, as_of='2099-01-01T00:00:00.000000Z'),
    'coverage: read what was not asked': set_in('coverage', -2, read=[['2015-01-01T00:00:00.000000Z', MAR[1]]]),
    'coverage: a microsecond more': set_in('coverage', -2, read=lambda read: [[instant(JANUARY - 1), read[0][1]]]),
    'coverage: less than before': set_in('coverage', -2, read=[JAN], again=[]),
    'coverage: again what was not read': set_in('coverage', -2, again=[[JAN[0], instant(APRIL + 1)]]),
    'coverage: a hole in what was read': set_in('coverage', 2, holes=lambda found: [{**found[0], 'range': JAN}]),
    'coverage: ranges that touch': set_in('coverage', -2, read=[JAN, FEB, MAR]),
    'coverage: ranges that go back': set_in('coverage', -2, read=[FEB, JAN]),
    'coverage: an empty range': set_in('coverage', -2, again=[[JAN[0], JAN[0]]]),
    'coverage: 501 ranges': set_in('coverage', -2, again=[[instant(JANUARY + at * SECOND), instant(JANUARY + at * SECOND + 1)] for at in range(501)]),
    'coverage: adopted': set_in('coverage', -2, adopted=[['2015-01-01T00:00:00.000000Z', JAN[0]]]),
    'coverage: adopted beyond the beginning': lambda log: (set_in('begin', adopted_position=3)(log), set_in('coverage', 0, adopted=[[MAR[0], MAR[1]]])(log)),
    'coverage: adopted grows': lambda log: (set_in('begin', adopted_position=3)(log), set_in('coverage', 1, adopted=[['2015-01-01T00:00:00.000000Z', '2015-01-02T00:00:00.000000Z']])(log)),
    'coverage: windows wider than requests': set_in('coverage', 1, rows__windows=[[JAN[0], MAR[1]]]),
    'coverage: a request forged afterwards': rows_widened,
    'coverage: numbers of requests leave one out': set_in('coverage', -2, rows__first=lambda first: first + 1, rows__last=lambda last: last + 1),
    'coverage: hash of requests': set_in('coverage', -2, rows__sha256='00' * 32),
    'coverage: windows without requests': set_in('coverage', 0, rows__windows=[JAN]),
    'coverage: another filter than its requests': set_in('coverage', 1, filter__hash='00'),
    'change: of a statement': set_in('change', event=1),
    'change: of an event of the other source': set_in('change', 0, event=EVENTS[4]),
    'change: of a later leaf': set_in('change', event=len(RICH.leaves) - 1),
    'change: another content': set_in('change', raw_sha256='00' * 32),
    'change: another length': set_in('change', raw_bytes=1),
    'drop: too young': set_in('drop', older_than=instant(FEBRUARY - 1)),
    'drop: older_than in the future': set_in('drop', older_than='2027-01-01T00:00:00.000000Z'),
    'drop: a month of none': set_in('drop', month='none'),
    'drop: month 13': set_in('drop', month='2026-13'),
    'drop: count': set_in('drop', events=lambda many: many + 1),
    'drop: of later leaves': lambda log: set_in('drop', indexes=lambda found: found + [[len(log.leaves) - 1, len(log.leaves)]], events=lambda many: many + 1)(log),
    'drop: of a statement': set_in('drop', indexes=lambda found: [[0, 1]] + found, events=lambda many: many + 1),
    'drop: a leaf that no drop names': set_in('drop', indexes=lambda found: [[found[0][0], found[0][1] - 1]], events=lambda many: many - 1),
    'drop: a leaf twice': lambda log: log.drop('2026-01', leaf_of(log, 'drop')['indexes'], instant(FEBRUARY)),
    'drop: under a hold of everything': set_in('hold', 0, since=None),
    'drop: under a hold of the source': set_in('hold', 2, done_at='2026-12-01T00:00:00.000000Z'),
    'hold: added twice': set_in('hold', 1, id=1, source=0),
    'hold: released without having been added': set_in('hold', 2, id=7),
    'hold: another action': set_in('hold', 0, action='changed'),
    'hold: released behind the drop': lambda log: (set_in('hold', 0, since=None)(log), log.hold('released', 1, done_at=instant(FEBRUARY))),
    'key: another old one': set_in('key', old='11' * 32),
    'key: a new one that was one': lambda log: set_in('key', new=leaf_of(log, 'begin')['key'])(log),
    'key: another reason': set_in('key', reason='whim'),
    'key in force is not the one that signs': set_in('begin', 1, key='22' * 32),
    'end: a leaf follows': lambda log: log.leaves.insert(len(log.leaves) - 1, {'number': 0, 'statement': {**leaf_of(log, 'end'), 'index': len(log.leaves) - 1}}),
    'an event left out': move(leave_out_event),
    'two events swapped': lambda log: log.leaves.__setitem__(slice(EVENTS[5], EVENTS[5] + 2), log.leaves[EVENTS[5]:EVENTS[5] + 2][::-1]),
    'a position twice': lambda log: position(log, 3, RICH.leaves[EVENTS[2]]['fields'][0]),
    'position 0': lambda log: position(log, 0, 0),
    'position 2^63': lambda log: position(log, -1, 1 << 63),
    'event of a source that was not given': lambda log: log.event(3, APRIL),
    'event with a byte more': lambda log: log.leaves[-1].update(data=log.leaves[-1]['data'] + b'\0'),
    'event with another prefix': lambda log: log.leaves[-1].update(data=log.leaves[-1]['data'].replace(b'v2', b'v3', 1)),
    'event with an id that is not UTF-8': lambda log: log.leaves[-1].update(data=log.leaves[-1]['data'].replace(b'e-', b'e\xff', 1)),
    'event with another length of raw': lambda log: log.leaves[-1].update(raw=log.leaves[-1]['raw'] + b' '),
    'a later content that no change states': lambda log: log.leaves[EVENTS[3]]['contents'].append(b'{}'),
    'a later content twice': lambda log: log.leaves[CHANGED]['contents'].append(log.leaves[CHANGED]['contents'][0]),
    'a later content missing': lambda log: log.leaves[CHANGED]['contents'].pop(),
}


def file_changed(name, change):
    def run(folder):
        path = os.path.join(folder, name)
        with open(path, 'rb') as file:
            data = file.read()
        new = change(data)
        assert new != data, name
        with open(path, 'wb') as file:
            file.write(new)
    return run


def removed(name):
    return lambda folder: os.remove(os.path.join(folder, name))


def added(name, data=b'{}\n'):
    def run(folder):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(data)
    return run


def lines(change):
    return lambda data: b''.join(change(data.splitlines(True)))


RECORDS, STATEMENTS, READS, README = 'leaves/000000.bin', 'statements.ndjson', 'reads.ndjson', 'README.txt'
# What can be changed without the key. README.txt is written again behind those of the first list, and not behind those of the second.
UNSIGNED = {
    'content': file_changed(RECORDS, lambda data: data.replace(b'create', b'delete', 1)),
    'records cut': file_changed(RECORDS, lambda data: data[:-1]),
    'records longer': file_changed(RECORDS, lambda data: data + b'E'),
    'a later content behind all': file_changed(RECORDS, lambda data: data + b'C' + struct.pack('>I', 2) + b'{}'),
    'records gone': removed(RECORDS),
    'records twice': lambda folder: added(RECORDS + '.gz', gzip.compress(b''))(folder),
    'a second file of records': added('leaves/000001.bin'),
    'another name of records': lambda folder: os.rename(os.path.join(folder, RECORDS), os.path.join(folder, 'leaves/0000000.bin')),
    'a statement gone': file_changed(STATEMENTS, lines(lambda found: found[:-1])),
    'statements swapped': file_changed(STATEMENTS, lines(lambda found: found[:-2] + found[:-3:-1])),
    'a statement twice': file_changed(STATEMENTS, lines(lambda found: found + found[-1:])),
    'a space in a statement': file_changed(STATEMENTS, lambda data: data.replace(b'","', b'", "', 1)),
    'no last line feed': file_changed(STATEMENTS, lambda data: data[:-1]),
    'an empty line': file_changed(STATEMENTS, lambda data: data + b'\n'),
    'a byte order mark': file_changed(STATEMENTS, lambda data: b'\xef\xbb\xbf' + data),
    'a request gone': file_changed(READS, lines(lambda found: found[1:])),
    'requests swapped': file_changed(READS, lines(lambda found: found[:-2] + found[:-3:-1])),
    'a request more': file_changed(READS, lines(lambda found: found + found[-1:])),
    'requests empty': file_changed(READS, lambda data: b''),
    'requests gone': removed(READS),
    'policy of another key': file_changed('policy.txt', lambda data: bundles.policy(2, ('other',))),
    'policy without keys': file_changed('policy.txt', lambda data: b'# none\n'),
    'policy with a broken key': file_changed('policy.txt', lambda data: data.replace(b'+', b'+0', 1)),
    'checkpoint by another key': file_changed('checkpoint', lambda data: RICH.checkpoint(keys=('other',)).encode()),
    'checkpoint by an earlier key': file_changed('checkpoint', lambda data: RICH.checkpoint(keys=('first',)).encode()),
    'checkpoint of log 1': file_changed('checkpoint', lambda data: RICH.checkpoint(number=1).encode()),
    'checkpoint of fewer leaves': file_changed('checkpoint', lambda data: RICH.checkpoint(len(RICH.leaves) - 1).encode()),
    'checkpoint with a line more': file_changed('checkpoint', lambda data: data.replace(b'\n\n', b'\nmore\n\n', 1)),
    'checkpoint with a zero': file_changed('checkpoint', lambda data: data.replace(b'\n', b'\n0', 1)),
    'checkpoint with a wrong cosignature': file_changed('checkpoint', lambda data: RICH.checkpoint(witness=7).encode()[:-9] + b'AAAAAAA=\n'),
    'checkpoint without its last line feed': file_changed('checkpoint', lambda data: data[:-1]),
    'selection with a field more': file_changed('selection.json', lambda data: data.replace(b'{', b'{"more":1,', 1)),
    'selection with a field less': file_changed('selection.json', lambda data: data.replace(b', "query": null', b'', 1)),
    'selection of a source': file_changed('selection.json', lambda data: data.replace(b'null', b'1', 1)),
    'selection of a time': file_changed('selection.json', lambda data: data.replace(b'"since": null', b'"since": "2026-03-01T00:00:00.000000Z"', 1)),
    'selection of a search': file_changed('selection.json', lambda data: data.replace(b'"query": null', b'"query": "x"', 1)),
    'an anchor of another root': added('anchors/one', RICH.checkpoint(5, root=h(b'')).encode()),
    'an anchor that is no note': added('anchors/one'),
    'a name of an anchor': added('anchors/One', RICH.checkpoint(5).encode()),
    'a file gone': removed('FORMAT.txt'),
    'a link': lambda folder: os.symlink('checkpoint', os.path.join(folder, 'linked')),
    'a pipe': lambda folder: os.mkfifo(os.path.join(folder, 'pipe')),
    'a link for the records': lambda folder: (os.rename(os.path.join(folder, RECORDS), os.path.join(folder, 'x')), os.symlink('../x', os.path.join(folder, RECORDS))),
}
UNLISTED = {
    'a file of leaves that is not named': added('leaves/000007.bin'),
    'an anchor that is not named': added('anchors/one', RICH.checkpoint(5).encode()),
    'the verifier changed': file_changed('verify.py', lambda data: data + b'#'),
    'README.txt gone': removed(README),
    'README.txt with CRLF': file_changed(README, lambda data: data.replace(b'\n', b'\r\n')),
    'README.txt without its list': file_changed(README, lambda data: data.split(b'FILES')[0]),
    'README.txt with a path twice': file_changed(README, lines(lambda found: found + found[-1:])),
    'README.txt not sorted': file_changed(README, lines(lambda found: found[:-2] + found[:-3:-1])),
    'README.txt with a line more': file_changed(README, lambda data: data + b'more\n'),
}


def of_packed(change):
    return file_changed(RECORDS + '.gz', change)


PACKED = {
    'two members': of_packed(lambda data: data + gzip.compress(b'')),
    'something behind': of_packed(lambda data: data + b'\0'),
    'flags': of_packed(lambda data: data[:3] + b'\x10' + data[4:10] + b'comment\0' + data[10:]),
    'reserved flags': of_packed(lambda data: data[:3] + b'\x80' + data[4:]),
    'checksum': of_packed(lambda data: data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]),
    'length': of_packed(lambda data: data[:-1] + b'\1'),
    'cut': of_packed(lambda data: data[:-1]),
    'not packed': of_packed(gzip.decompress),
}


def replaced(old, new):
    return file_changed(RECORDS, lambda data: data.replace(old, new, 1))


class Tampered(Case):
    def each(self, changes, listed=True, **chosen):
        for name, change in changes.items():
            with self.subTest(name):
                folder = RICH.write(self.folder(), **chosen)
                change(folder)
                if listed:
                    relist(folder)
                self.fails(folder)
                shutil.rmtree(folder)

    def test_without_the_key(self):
        self.each(UNSIGNED)
        self.each(UNLISTED, False)
        self.each(PACKED, packed=True)

    def test_with_the_key(self):
        for name, change in SIGNED.items():
            with self.subTest(name):
                log = copy.deepcopy(RICH)
                change(log)
                if name not in COUNTS:
                    recount(log)
                self.fails(log.write(self.folder()))

    def test_selections(self):
        """What a bundle of a part must not have, or must."""
        for name, log, chosen in self.parts():
            with self.subTest(name):
                self.fails(log.write(self.folder(), **chosen))

    def parts(self):
        def changed(kind):
            log = copy.deepcopy(RICH)
            log.kind = lambda index, *rest: kind(index, RICH.kind(index, *rest), log.leaves[index])
            return log
        one = EVENTS[6]
        yield 'everything: hides', changed(lambda at, kind, leaf: 'S' if at == one else kind), {}
        yield 'everything: without content', changed(lambda at, kind, leaf: 'L' if at == one else kind), {}
        yield 'everything: dropped, unstated', changed(lambda at, kind, leaf: 'D' if at == one else kind), {}
        yield 'time: hides', changed(lambda at, kind, leaf: 'S' if at == one else kind), A_TIME
        yield 'time: content of another time', changed(lambda at, kind, leaf: 'E' if kind == 'L' else kind), A_TIME
        yield 'time: no content', changed(lambda at, kind, leaf: 'L' if kind == 'E' else kind), A_TIME
        yield 'source: hides an event', changed(lambda at, kind, leaf: 'S' if at == EVENTS[1] else kind), {'source': 1}
        yield 'source: hides a change', changed(lambda at, kind, leaf: 'S' if leaf.get('statement', {}).get('type') == 'change' else kind), {'source': 1}
        yield 'source: hides a statement of the log', changed(lambda at, kind, leaf: 'S' if leaf.get('statement', {}).get('type') == 'key' else kind), {'source': 1}
        yield 'source: hides a hold', changed(lambda at, kind, leaf: 'S' if leaf.get('statement', {}).get('type') == 'hold' else kind), {'source': 1}
        yield 'source: event of another', changed(lambda at, kind, leaf: 'E' if kind == 'S' and 'data' in leaf else kind), {'source': 1}
        yield 'source: statement of another', changed(lambda at, kind, leaf: 'statement' if 'statement' in leaf else kind), {'source': 1}
        yield 'source: without its requests', RICH, {'source': 1, 'reads': False}
        yield 'source: never given', RICH, {'source': 5}
        yield 'search: without content', changed(lambda at, kind, leaf: 'L' if kind == 'E' else kind), SELECTIONS['search']
        yield 'search: without a change', changed(lambda at, kind, leaf: 'S' if leaf.get('statement', {}).get('type') == 'change' else kind), SELECTIONS['search']
        yield 'search: dropped', changed(lambda at, kind, leaf: 'D' if leaf.get('dropped') else kind), SELECTIONS['search']
        yield 'search: an anchor that is no note', RICH, {**SELECTIONS['search'], 'anchors__x': b'no note'}

    def test_changed_bits(self):
        """Each bit of leaves, statements, requests, and of the first signature."""
        chance, found = random.Random(36), 0
        for name, chosen in SELECTIONS.items():
            folder = RICH.write(self.folder(), **chosen)
            for _ in range(60):
                path = os.path.join(folder, chance.choice([one for one in (RECORDS, STATEMENTS, READS, 'checkpoint') if os.path.exists(os.path.join(folder, one))]))
                with open(path, 'r+b') as file:
                    data = file.read()
                    at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
                    file.seek(at)
                    file.write(bytes([data[at] ^ bit]))
                relist(folder)
                code, report, _ = self.judge(folder)
                self.assertEqual(code, 5, (name, path, at, bit))
                found += 1
                with open(path, 'wb') as file:
                    file.write(data)
        self.assertEqual(found, 60 * len(SELECTIONS))

    def test_no_bundle(self):
        os.mkdir(os.path.join(self.root, 'empty'))
        for folder in ('empty', 'missing'):
            self.assertEqual(self.judge(os.path.join(self.root, folder))[0], 2)


class Kept(Case):
    """The rule of kept checkpoints: chapter 5."""

    def test_rule(self):
        begin = leaf_of(RICH, 'begin', 1)
        folder, end = RICH.write(self.folder()), begin['index']
        holding = {'first key': (5, {'number': 1, 'keys': ('first',)}), 'this one': (None, {}), 'by the next key': (end - 1, {'number': 1, 'keys': ('second',)}),
                   'of another operator': (5, {'base': 'other.example.org', 'keys': ('other',)})}
        failing = {'another root': (5, {'number': 1, 'keys': ('first',), 'root': h(b'')}), 'what was lost': (end + 9, {'number': 1, 'keys': ('second',), 'root': h(b'lost')}),
                   'larger than the tree': (len(RICH.leaves) + 1, {}), 'of a later log': (5, {'number': 3}), 'another key': (5, {'keys': ('other',)}),
                   'another feed': (5, {'feed': FEED_2, 'keys': ('first',)})}
        for name, (size, changed) in holding.items():
            with self.subTest(name):
                self.holds(folder, '--checkpoint', self.kept(RICH.checkpoint(size, **changed)))
        for name, (size, changed) in failing.items():
            with self.subTest(name):
                self.assertEqual(self.fails(folder, '--checkpoint', self.kept(RICH.checkpoint(size, **changed)))['faults'][0]['claim'], 6)
        lost = self.fails(folder, '--checkpoint', self.kept(begin['previous']))['faults'][0]['text']
        self.assertIn('log 2 states that', lost)

    def test_hidden_by_hashes(self):
        size = next(at for at in range(EVENTS[1] | 1, 99, 2) if {at - 1, at} <= set(EVENTS))
        for kept in ((), (size,)):
            folder = RICH.write(self.folder(), found=[EVENTS[0]], kept=kept)
            self.holds(folder, '--checkpoint', self.kept(RICH.checkpoint(size)))
            code, report, _ = self.judge(folder, '--checkpoint', self.kept(RICH.checkpoint(size, root=h(b''))))
            self.assertEqual(code, 5 if kept else 0)
            self.assertEqual('cannot be compared' in str(report['not_claimed']), not kept)


FEED_2 = '2f2e3d4c-0000-4000-8000-000000000001'


class Sampled(Case):
    """63 of 3,048 events are hidden within 540 days: chapter 10."""

    def setUp(self):
        super().setUp()
        chance, start = random.Random(36), micros('2025-01-01')
        self.log, log = None, Log()
        log.at = start
        log.source(1)
        times = sorted(start + chance.randrange(540 * DAY) for _ in range(3048))
        hidden = set(chance.sample(range(3048), 63))
        self.entries = [{'id': 'e-%06d' % at, 'action': {'type': 'x', 'time': instant(when)}} for at, when in enumerate(times)]
        for at, entry in enumerate(self.entries):
            if at not in hidden:
                log.event(1, times[at], json.dumps(entry).encode(), entry['id'])
        end = start + 540 * DAY
        log.at = end - SECOND
        log.coverage(1, [(start, end)], [(start, end, end)], again=[(start, end)], as_of=instant(end), at=instant(end + SECOND))
        self.log, self.hidden = log, hidden

    def file(self, entries):
        pages = [entries[at:at + 1000] for at in range(0, len(entries), 1000)]
        return self.kept(''.join(json.dumps({'success': True, 'errors': [], 'result': page, 'result_info': {'cursor': 'c' * (at < len(pages) - 1)}})
                                 for at, page in enumerate(pages)))

    def test_probability(self):
        folder = self.log.write(self.folder())
        path, found = self.file(self.entries), 0
        bundle = verify.Bundle(folder)
        checkpoint, journal = verify.Checkpoint(bundle.read('checkpoint')), verify.Journal(bundle, bundle.selection(), verify.Report())
        lacking = {micros(self.entries[at]['action']['time'][:-1]) // DAY for at in self.hidden}
        for word in range(1, 101):
            options = verify.arguments([folder, '--sample', '20', '--word', str(word)])
            sample = verify.Sample(checkpoint, journal, options)
            self.assertEqual((len(sample.units), len(set(sample.days))), (540, 20))
            found += any(day in lacking for _, day in sample.days)
        # 0.91 of 100; fewer than 80 happen in 0.04 % of all draws.
        self.assertGreaterEqual(found, 80)
        self.assertAlmostEqual(sample.probability(60), 0.909, 2)
        code, report, sample = self.judge(folder, '--sample', '20', '--word', 'a word', '--compare', path)
        drawn = {day for _, day in sample.days}
        self.assertEqual(len(sample.missing), sum(micros(self.entries[at]['action']['time'][:-1]) // DAY in drawn for at in self.hidden))
        self.assertEqual(code, 5 if sample.missing else 0)
        code, _, sample = self.judge(folder, '--all', '--compare', path)
        self.assertEqual((code, len(sample.missing), len(sample.only_here), len(sample.other)), (5, 63, 0, 0))

    def test_what_differs(self):
        folder = self.log.write(self.folder())
        here = [entry for at, entry in enumerate(self.entries) if at not in self.hidden]
        other = [{**here[0], 'action': {**here[0]['action'], 'type': 'y'}}] + here[2:]
        for entries, expected in ((here, (0, 0, 0, 0)), (other, (5, 0, 1, 1)), (here[::-1], (0, 0, 0, 0))):
            code, _, sample = self.judge(folder, '--all', '--compare', self.file(entries))
            self.assertEqual((code, len(sample.missing), len(sample.only_here), len(sample.other)), expected)
        self.assertEqual(self.judge(folder, '--all', '--compare', self.kept('{"success":false,"errors":[1],"result":null}'))[0], 2)
        self.assertEqual(self.judge(folder, '--all', '--compare', self.kept('{"success":true,"errors":[],"result":[],"result_info":{"cursor":"c"}}'))[0], 2)
        target = os.path.join(self.root, 'events.ndjson')
        self.holds(folder, '--events', target)
        with open(target, encoding='utf-8') as file:
            self.assertEqual([json.loads(one)['raw'] for one in file], here)


if __name__ == '__main__':
    with contextlib.redirect_stdout(io.StringIO()):
        unittest.main()
