"""Tests of verify.py: python3 -m unittest discover -s test/long/evidence/python. VECTORS in the environment names another file of vectors."""
import contextlib
import functools
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
VERIFY = os.path.abspath(os.path.join(HERE, '../../../../src/evidence/verify-bundle/verify.py'))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.dirname(VERIFY)]

import bundles  # noqa: E402
import verify  # noqa: E402
from bundles import History, LOG_SEED, MONTHS, ORIGIN, OTHER_SEED, WITNESS_NAME, WITNESS_SEED, put, vkey  # noqa: E402

# The same signature is verified by hundreds of runs: one process of openssl is enough.
verify.ed25519_holds = functools.lru_cache(maxsize=None)(verify.ed25519_holds)


def run(folder, anchors=(), **changed):
    """The report on a bundle, made in this process."""
    options = dict(policy=None, key=[], witness=[], organization=None, since=None, before=None, tsa_ca=None, kept_elsewhere=False,
                   anchor=[('kept %d' % number, note) for number, note in enumerate(anchors, 1)])
    report = verify.Report()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            verify.verify(folder, SimpleNamespace(**{**options, **changed}), report)
    except verify.Unreadable as problem:
        report.fault('files', str(problem))
    return report


def command(*arguments, env=None):
    done = subprocess.run([sys.executable, VERIFY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def bytes(self, name):
        with open(self.path(name), 'rb') as file:
            return file.read()

    def holds(self, report):
        self.assertEqual(report.faults, [])
        return report

    def fails(self, report, text):
        self.assertFalse(report.holds(), 'no fault was found')
        self.assertRegex('\n'.join(fault['text'] for fault in report.faults), text)
        return report

    def claims(self, report, text):
        self.assertRegex('\n'.join(report.claims), text)

    def notes(self, report, text):
        self.assertRegex('\n'.join(report.notes), text)


class Vectors(unittest.TestCase):
    """The bytes of evidence-vectors.json, also those that verify.py never makes: the generator must make them too."""

    def test_vectors(self):
        with open(os.environ.get('VECTORS') or os.path.join(HERE, 'vectors.json')) as file:
            vectors = json.load(file)
        month_key, raw = bytes.fromhex(vectors['month_key']), vectors['raw'].encode()
        leaf = bytes.fromhex(vectors['leaf_data'])
        self.assertEqual(bundles.salt(month_key, vectors['position']).hex(), vectors['salt'])
        event = {'position': vectors['position'], 'salt': bytes.fromhex(vectors['salt']), 'received': vectors['received_us'],
                 'action': vectors['action_us'], 'kind': 'organization', 'source': '0319c4f6', 'organization': '0819cf4f', 'raw': raw}
        fields, at = [], 58
        for _ in range(5):
            length = struct.unpack_from('>H', leaf, at)[0]
            fields.append(leaf[at + 2:at + 2 + length].decode())
            at += 2 + length
        event.update(zip(('kind', 'source', 'organization', 'id'), fields), defects=[fields[4]] if fields[4] else [])
        self.assertEqual(bundles.leaf_data(event), leaf)
        self.assertEqual(verify.sha256(b'\x00' + leaf).hexdigest(), vectors['leaf_hash'])
        source = '%s %s' % (fields[0], fields[1])
        self.assertEqual(verify.source_in(leaf)[2:2 + len(fields[0])].decode() + ' ' + fields[1], source)
        record = struct.pack('>H', len(leaf)) + leaf + struct.pack('>I', len(raw)) + raw
        read = list(verify.records_of_file(io.BytesIO(record), 'x', 0, True, verify.Report()))
        self.assertEqual(read, [(vectors['position'], leaf, True)])
        hole = verify.sha256(b'\x00' + verify.HOLE + struct.pack('>Q', 43)).digest()
        self.assertEqual(hole.hex(), vectors['hole_43_hash'])
        tree = verify.Tree()
        tree.append(bytes.fromhex(vectors['leaf_hash']))
        tree.append(hole)
        self.assertEqual(tree.root().hex(), vectors['root_of_both'])
        self.assertEqual(verify.sha256(bytes(32) + bytes.fromhex(vectors['leaf_hash'])).hexdigest(), vectors['chain_of_one'])

    def test_trees_follow_the_definition(self):
        tree, hashes = verify.Tree(), []
        for size in range(0, 700):
            self.assertEqual(tree.root(), bundles.root_of(hashes))
            hashes.append(bundles.h(b'%d' % size))
            tree.append(hashes[-1])

    def test_the_note_of_the_specification(self):
        note = ('Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— quasimodo.example/salvatore '
                'NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n').encode()
        with self.assertRaises(verify.Unreadable):
            verify.Checkpoint(note)  # a note, but of four lines
        checkpoint = ('example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n'
                      '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n'
                      '— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n')
        read = verify.Checkpoint(checkpoint.encode())
        self.assertEqual((read.size, len(read.signatures), len(read.signatures[1][2])), (20852163, 2, 72))
        for wrong in (checkpoint.replace('20852163', '020852163'), checkpoint.replace('q2I=', 'q2J='), checkpoint[:-1],
                      checkpoint.replace('— e', '- e'), checkpoint.replace('\n\n', '\nextension\n\n'), checkpoint.replace('\n\n', '\r\n\n')):
            with self.assertRaises(verify.Unreadable):
                verify.Checkpoint(wrong.encode())


class Scenarios(Case):
    """What a bundle can express, of the table of scenarios; what is changed in one: test/support/evidence/shapes, which both verifiers judge."""

    def test_nothing(self):
        report = self.holds(run(History().standard().write(self.folder)))
        self.claims(report, 'Each of the 700 positions is accounted for: 700 with unchanged content')
        self.claims(report, 'organization 77aa: of its [0-9]+ stored events up to position 700 none is left out')
        self.claims(report, 'later content of 1 changed')
        self.notes(report, 'unanchored')

    def test_gzip_and_two_payload_files(self):
        history = History(66_000)
        history.state_genesis()
        report = self.holds(run(history.write(self.folder, packed=True)))
        self.claims(report, '66,000 with unchanged content')
        self.assertTrue(os.path.isfile(self.path('events/payload/000001.oev.gz')))

    def changed(self, change):
        history = History().standard()
        change(history.events)
        return run(history.write(self.folder))

    def test_two_positions_swapped(self):
        def swap(events):
            events[10], events[11] = {**events[11], 'position': 10}, {**events[10], 'position': 11}
        report = self.changed(swap)
        self.fails(report, 'Position 10:')
        self.assertEqual((report.faults[0]['count'], report.faults[0]['positions']), (2, [10, 11]))
        self.assertIn('Position 10: the event is not the one in the tree (2 times, also at 11)', report.as_text())

    def test_rebuilt_without_a_row(self):
        kept, history = History().checkpoint(), History(700, holes=[400]).standard()
        self.notes(self.holds(run(history.write(self.folder))), 'Why 1 positions after those that were adopted have no event')
        self.fails(run(self.folder, [kept]), 'was rewritten')

    def test_month_dropped_and_declared(self):
        history = History().standard()
        history.drop(MONTHS[0])
        report = self.holds(run(history.write(self.folder)))
        self.claims(report, '466 with unchanged content, 234 dropped as declared')
        self.claims(report, 'organization 77aa: of its [0-9]+ stored events up to position 700 none is left out')
        shutil.rmtree(self.path('events/sources'))
        put(self.folder, 'README.txt', b'')
        self.notes(self.holds(run(self.folder)), 'organization 77aa: its chain, since')


class Statements(Case):
    def with_statement(self, *arguments, **fields):
        history = History().standard()
        history.state(*arguments, **fields)
        return run(history.write(self.folder))

    def test_an_unknown_type_is_named(self):
        self.notes(self.holds(self.with_statement('later', positions=[[3, 5]])), 'statements of these types say, beyond their root: later')

    def test_an_event_left_out_of_a_source_beside_a_drop(self):
        history = History().standard()
        history.drop(MONTHS[0])
        history.state_coverage(events=History().chain(2, 700)[0] + 1, numbers=(2,))
        self.fails(run(history.write(self.folder)), 'account a1b2 has [0-9]+ events up to position 700, and')

    def test_holes_readings_and_what_has_no_room(self):
        at = '2026-02-01T00:00:00.5Z'
        hole = {'pass': 1, 'range': ['2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z'], 'reason': 'refused', 'attempts': 3, 'found_at': at}
        reading = {'range': ['-infinity', at], 'method': 'scrub', 'number': 2, 'direction': 'desc', 'found': 4, 'read_from': at, 'read_to': at}
        left_out = {'ranges': 0, 'holes': 7, 'readings': 0}
        def covered(**fields):
            history = History(300).standard()
            history.state_coverage(numbers=(1,), wanted_since='2025-12-01T00:00:00Z', **fields)
            return run(history.write(self.folder))
        as_of = '2026-04-01T00:00:00.5Z'
        again = [['2026-01-05T00:00:00Z', '2026-04-01T00:00:00Z']]
        report = covered(holes=[hole], readings=[reading], left_out=left_out, as_of=as_of, read_again=again)
        self.notes(self.holds(report), 'whether a second reading, a day later, finds more from 2026-01-01T00:00:00Z to 2026-01-05T00:00:00Z: it was read once')
        self.assertIn([['2026-01-01T00:00:00Z', '2026-01-05T00:00:00Z']], [one['read_once'] for one in report.facts['coverage']])
        self.notes(self.holds(report), r'a hole in pass 1 from 2026-01-02T00:00:00Z to 2026-01-03T00:00:00Z, found at 2026-02-01T00:00:00.500000Z: refused')
        self.notes(report, 'what had no room in its statement: 0 ranges, 7 holes, 0 readings')
        self.notes(report, 'a gap from 2025-12-01T00:00:00Z to 2026-01-01T00:00:00Z')
        self.assertRegex('\n'.join(report.claims), 'read last, as stated at .*, by round 2 over all of history, made from 2026-02-01T00:00:00.500000Z to .*, which found 4 new entries')
        stated = [one for one in report.facts['coverage'] if one['holes']]
        self.assertEqual([(one['holes'], one['readings'], one['left_out'], one['as_of']) for one in stated], [([hole], [reading], left_out, as_of)])
        for wrong in ({'holes': [{**hole, 'pass': 'x'}]}, {'holes': [{**hole, 'range': hole['range'][::-1]}]}, {'readings': [{**reading, 'direction': 'up'}]},
                      {'left_out': {'ranges': 0}}, {'as_of': 'now'}, {'as_of': at}):
            shutil.rmtree(self.folder)
            self.fails(covered(**wrong), 'coverage')

    def test_coverage_under_another_filter_and_its_gaps(self):
        ranges = [('2026-01-01T00:00:00Z', '2026-02-10T00:00:00Z'), ('2026-02-11T00:00:00Z', '2026-03-31T00:00:00Z')]
        history = History().standard()
        history.state_coverage(ranges=ranges, filter={'text': 'x', 'hash': '1'})
        report = self.holds(run(history.write(self.folder), organization='0319c4f6', since=verify.microseconds('2026-02-01T00:00:00Z'),
                                before=verify.microseconds('2026-04-01T00:00:00Z')))
        self.claims(report, 'account a1b2: stated as read, of what the filter x lets through, from 2026-02-01T00:00:00Z to 2026-02-10T00:00:00Z')
        self.assertNotIn('read completely', '\n'.join(report.claims))
        self.notes(report, 'account a1b2: anything that the filter x leaves out')
        self.notes(report, 'account a1b2: a gap from 2026-02-10T00:00:00Z to 2026-02-11T00:00:00Z')
        self.notes(report, 'organization 0319c4f6: a gap from 2026-03-31T00:00:00Z to 2026-04-01T00:00:00Z')
        self.assertNotIn('77aa', '\n'.join(report.notes))

    def test_a_retention_that_is_no_interval(self):
        history = History(60).standard()
        history.drop(MONTHS[0], retention='some')
        self.notes(self.holds(run(history.write(self.folder))), 'Whether statement 12 .* states it as "some"')

    def test_signed_statements_of_any_form(self):
        rng, odd = random.Random(16), [None, [], {}, -1, 5, 10 ** 40, 1.5, True, '', 'x', '\ud800', [[1, 2]], [['a', None]], [{}], {'a': []}]
        for _ in range(300):
            shutil.rmtree(self.folder)
            history = History(60).standard()
            history.hold()
            history.drop(MONTHS[0])
            history.state('key', reason='lost', old_vkeys=[], new_vkeys=[], first_size=0)
            history.state('timestamp', anchor='tsa', token_sha256='', checkpoint=history.tree())
            at = rng.randrange(len(history.statements))
            statement = json.loads(history.statements[at])
            place = statement['tree'] if rng.random() < 0.1 else statement
            place[rng.choice(sorted(place))] = rng.choice(odd)
            history.statements[at] = json.dumps(statement).encode()
            report = run(history.write(self.folder, listed=False))  # raises nothing
            json.dumps(report.as_json())
            report.as_text()

    def test_keys_that_are_announced(self):
        history = History(60)
        history.state_genesis()
        keys = [vkey(ORIGIN + log, b'\x01', OTHER_SEED) for log in ('events', 'journal')]
        history.state('key', reason='rotation', old_vkeys=[], new_vkeys=keys, first_size=0)
        report = self.holds(run(history.write(self.folder, seed=OTHER_SEED)))
        self.assertNotIn('was announced', ' '.join(report.notes))

    def test_a_fork_that_says_what_genesis_says(self):
        bundles.ORIGIN, before = ORIGIN.replace('.1/', '.2/'), bundles.ORIGIN
        try:
            history = History(60, holes=[5])
            history.state('fork', 0, last_note='', common_size=0, cause='restore', by='dba', adopted=9, vkeys=['x'])
            history.state_genesis()
            del history.statements[1]
            report = self.holds(run(history.write(self.folder)))
        finally:
            bundles.ORIGIN = before
        self.notes(report, 'positions 1 to 9 before the log began')
        self.notes(report, 'That the key of events was announced')
        self.assertNotIn('have no event', ' '.join(report.notes))

    def after_journal(self, old, kept):
        """Of generation 2, held against a kept checkpoint of a journal: (size, root)."""
        note = bundles.checkpoint('journal', *kept)
        bundles.ORIGIN, before = ORIGIN.replace('.1/', '.2/'), bundles.ORIGIN
        try:
            history, fields = History(60), {'old_journal': {'origin': ORIGIN + 'journal', 'size': old[0], 'root': bundles.b64(old[1])}} if old else {}
            history.state('fork', 0, last_note='', common_size=0, cause='restore', by='dba', **fields)
            history.state_genesis()
            del history.statements[1]
            shutil.rmtree(self.folder)
            return run(history.write(self.folder), [note])
        finally:
            bundles.ORIGIN = before

    def test_a_kept_journal_that_the_fork_does_not_have(self):
        for kept, text in (((20, bytes(32)), 'has 20 statements of generation 1, but the fork names others, 19 of generation 1'), ((19, b'\1' * 32), 'has 19 statements')):
            report = self.after_journal((19, bytes(32)), kept)
            self.fails(report, text + '.*statements that were kept .holds, gaps. are not in this history')
            self.assertTrue(report.as_text().startswith('It does not hold: kept 1 has '))

    def test_a_kept_journal_that_the_fork_names(self):
        report = self.holds(self.after_journal((19, bytes(32)), (19, bytes(32))))
        self.claims(report, 'kept 1 is the journal of generation 1')
        self.assertTrue(report.facts['unanchored'])

    def test_a_kept_journal_that_is_not_compared(self):
        for old, kept, text in (((19, bytes(32)), 18, 'the fork names only the root of 19 of generation 1'), (None, 20, 'the fork names no journal')):
            report = self.holds(self.after_journal(old, (kept, bytes(32))))
            self.assertRegex(report.as_text(), '^Not compared, and not claimed: That the %d statements of kept 1, of generation 1, belong to this history: %s' % (kept, text))
            self.assertTrue(report.facts['unanchored'])

    def test_adopted_holes(self):
        history = History(700, holes=[1, 2, 3])
        history.state_genesis(adopted=100)
        report = self.holds(run(history.write(self.folder)))
        self.claims(report, '697 with unchanged content, 0 dropped as declared, 3 dropped before they were hashed')
        self.notes(report, 'positions 1 to 100 before the log began')


class Keys(Case):
    WITNESS = [(WITNESS_NAME, WITNESS_SEED)]

    def test_another_key(self):
        History().standard().write(self.folder, seed=OTHER_SEED)
        self.holds(run(self.folder))
        self.fails(run(self.folder, policy=bundles.policy()), 'has no signature of a key that the policy gives')
        keys = [vkey(ORIGIN + log, b'\x01', LOG_SEED) for log in ('events', 'journal')]
        self.fails(run(self.folder, key=keys), 'has no signature of a key that the policy gives')

    def test_witnesses(self):
        history = History().standard()
        history.write(self.folder, witnesses=self.WITNESS, quorum='w0')
        self.claims(self.holds(run(self.folder)), WITNESS_NAME + r' signed .*\(its key came with the bundle\)')
        report = self.holds(run(self.folder, witness=[vkey(WITNESS_NAME, b'\x04', WITNESS_SEED)]))
        self.assertFalse(report.facts['unanchored'])
        self.fails(run(self.folder, witness=[vkey(WITNESS_NAME, b'\x04', OTHER_SEED)]), 'lacks signatures of witnesses')

    def test_a_quorum_that_is_not_met(self):
        History().standard().write(self.folder, witnesses=self.WITNESS, quorum='w0', events_witnesses=[])
        self.fails(run(self.folder), 'events/checkpoint lacks signatures of witnesses')

    def test_a_wrong_signature_of_a_known_key(self):
        History().standard().write(self.folder, witnesses=self.WITNESS, listed=False)
        note = self.bytes('events/checkpoint').decode().split('\n')
        name, data = note[5].rsplit(' ', 1)
        wrong = bytearray(verify.strict_base64(data))
        wrong[-1] ^= 1
        put(self.folder, 'events/checkpoint', '\n'.join(note[:5] + [name + ' ' + bundles.b64(bytes(wrong)), '']).encode())
        self.fails(run(self.folder), 'has a wrong signature of ' + WITNESS_NAME)

    def test_groups(self):
        others = [('w.example/%d' % number, bytes([number]) * 32) for number in (4, 5, 6)]
        text = bundles.policy(others).decode().replace('quorum none', 'group g 2 w0 w1 w2\nquorum g').encode()
        for count in range(4):
            shutil.rmtree(self.folder)
            History(20).standard().write(self.folder, witnesses=others[:count])
            self.assertEqual(run(self.folder, policy=text).holds(), count >= 2)
        for wrong in (b'', b'quorum a\n', b'quorum none\nquorum none\n', b'log x\nquorum none\n', text.replace(b'g 2', b'g 4'),
                      text.replace(b'quorum g', b'witness w3 ' + vkey('other', b'\x04', others[0][1]).encode() + b'\nquorum g')):
            with self.assertRaises(verify.Unreadable):
                verify.Policy(wrong)

    def test_anchors(self):
        history = History().standard()
        history.write(self.folder, anchors=[history.checkpoint(500)])
        report = self.holds(run(self.folder, [history.checkpoint(), history.checkpoint(0)]))
        self.claims(report, '1 checkpoints that came with the bundle')
        self.assertFalse(report.facts['unanchored'])
        self.fails(run(self.folder, [history.checkpoint(300, seed=OTHER_SEED)]), 'has no signature of a known key')
        self.fails(run(self.folder, [history.checkpoint().replace(b'.1/events', b'.2/events')]), 'has no signature of a known key')
        put(self.folder, 'anchors/000', History(700, seed=2).checkpoint(500))
        self.fails(run(self.folder), 'anchors/000 has another root')

    def test_an_anchor_of_the_journal(self):
        history = History().standard()
        hashes = history.journal_hashes()
        kept = bundles.checkpoint('journal', 5, bundles.root_of(hashes[:5]))
        history.write(self.folder)
        self.holds(run(self.folder, [kept]))
        history.statements[3] = history.statements[3].replace(b'77aa', b'77ab')
        shutil.rmtree(self.folder)
        self.fails(run(history.write(self.folder), [kept]), 'was rewritten')


class Files(Case):
    def test_listed_files(self):
        History(20).standard().write(self.folder)
        put(self.folder, 'more.txt', b'x')
        self.notes(self.holds(run(self.folder)), r'1 files that this verifier does not read: more.txt')
        put(self.folder, 'policy.txt', b'# other words\n' + self.bytes('policy.txt'))
        self.fails(run(self.folder), 'policy.txt is not the file that README.txt lists')
        put(self.folder, 'README.txt', b'0' * 64 + b'  ../secret\n')
        self.fails(run(self.folder), '../secret, which README.txt lists, is missing')

    def test_links(self):
        for name in ('policy.txt', 'events/payload/000000.oev', 'more', 'events/tile'):
            shutil.rmtree(self.folder)
            History(20).standard().write(self.path('bundle'), listed=False)
            if os.path.lexists(self.path('bundle', name)):
                os.rename(self.path('bundle', name), self.path('elsewhere'))
            os.symlink(self.path('elsewhere'), self.path('bundle', name))
            self.fails(run(self.path('bundle')), 'is a link|is missing')
            shutil.rmtree(self.path('bundle'))

    def test_a_name_that_writes_a_report_of_its_own(self):
        history = History(20).standard()
        history.state('source', number=9, kind='organization', id='x\n\x1b[2JResult: the evidence holds.\u202e', organization_id=None)
        history.statements.append(history.statements[-1])
        report = run(history.write(self.folder, listed=False))
        history.state_coverage(numbers=())
        history.state('coverage', source_kind='organization', source_id='x\n\x1b[2JResult: the evidence holds.\u202e', filter={'text': '', 'hash': ''},
                      wanted_since=None, passes=[], events=3, chain='00' * 32, commits=0, server_time=None, reads=None)
        report = run(history.write(self.folder, listed=False))
        self.assertFalse(report.holds())
        text = report.as_text()
        self.assertEqual([line for line in text.split('\n') if line.startswith('Result')], ['Result: the evidence does not hold.'])
        self.assertNotRegex(text, '[\x00-\x09\x0b-\x1f\u202e]')
        self.assertIn('x\\u000a\\u001b[2JResult', text)

    def test_a_payload_file_of_no_position(self):
        History(20).standard().write(self.folder, listed=False)
        put(self.folder, 'events/payload/000001.oev', self.bytes('events/payload/000000.oev'))
        self.fails(run(self.folder), '000001.oev belongs to no position')

    def test_a_payload_twice(self):
        History(20).standard().write(self.folder, listed=False)
        data = self.bytes('events/payload/000000.oev')
        put(self.folder, 'events/payload/000000.oev', data + data)
        self.fails(run(self.folder), '000000.oev has position 1 after position 20')

    def test_a_length_that_lies(self):
        History(20).standard().write(self.folder, listed=False)
        data = self.bytes('events/payload/000000.oev')
        at = 2 + struct.unpack_from('>H', data)[0]
        put(self.folder, 'events/payload/000000.oev', data[:at] + b'\xff\xff\xff\xff' + data[at + 4:])
        self.fails(run(self.folder), 'longer than one can be')

    def test_a_large_event(self):
        history = History(20)
        history.events[7]['raw'] = b'{"pad":"' + b'x' * 3_000_000 + b'"}'
        history.seal()
        self.holds(run(history.standard().write(self.folder, packed=True)))

    def test_a_size_that_no_bundle_has(self):
        History(20).standard().write(self.folder, listed=False)
        put(self.folder, 'events/checkpoint', self.bytes('events/checkpoint').replace(b'\n20\n', b'\n2000000000000000000\n'))
        self.fails(run(self.folder), 'has no tree size in its second line')

    def test_time_stamps(self):
        History(20).standard().write(self.folder)
        keys = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, keys)
        authority = make_time_stamp(keys, self.path('journal/checkpoint'), self.path('timestamps/1.tsr'))
        self.notes(self.holds(run(self.folder)), '1 time stamps are here, and verifying them needs --tsa-ca')
        self.claims(self.holds(run(self.folder, tsa_ca=authority)), 'timestamps/1.tsr is a time stamp of journal/checkpoint')
        make_time_stamp(keys, self.path('policy.txt'), self.path('timestamps/1.tsr'))
        self.fails(run(self.folder, tsa_ca=authority), 'is no time stamp of a checkpoint of this bundle')


def make_time_stamp(keys, data, token):
    """A token by an authority of the test's own; answers its certificate."""
    os.makedirs(os.path.dirname(token), exist_ok=True)
    names = {name: os.path.join(keys, name) for name in ('key', 'certificate', 'query', 'serial', 'settings')}
    put(keys, 'serial', b'01\n')
    put(keys, 'settings', '\n'.join((
        '[req]', 'distinguished_name = name', 'x509_extensions = tsa', 'prompt = no', '[name]', 'CN = test', '[tsa]',
        'extendedKeyUsage = critical,timeStamping', '[stamp]', 'serial = ' + names['serial'], 'signer_digest = sha256',
        'default_policy = 1.2.3.4', 'digests = sha256', 'accuracy = secs:1')).encode())
    if not os.path.exists(names['key']):
        bundles.openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-config', names['settings'], '-keyout', names['key'],
                        '-out', names['certificate'])
    bundles.openssl('ts', '-query', '-data', data, '-sha256', '-cert', '-out', names['query'])
    bundles.openssl('ts', '-reply', '-config', names['settings'], '-section', 'stamp', '-queryfile', names['query'],
                    '-inkey', names['key'], '-signer', names['certificate'], '-out', token)
    return names['certificate']


class Command(Case):
    def test_exit_codes_and_json(self):
        History(20).standard().write(self.path('bundle'))
        kept = put(self.folder, 'kept', History(20).checkpoint(10))
        code, out, _ = command(self.path('bundle'), '--json', '--anchor', kept)
        report = json.loads(out)
        self.assertEqual((code, report['holds'], report['unanchored'], report['positions']['present']), (0, True, False, 20))
        os.remove(self.path('bundle/events/tile/0/000.p/20'))
        code, out, _ = command(self.path('bundle'))
        self.assertEqual(code, 5)
        self.assertIn('Result: the evidence does not hold.', out)
        self.assertEqual(command(self.path('nothing'))[0], 2)
        self.assertEqual(command(self.path('bundle'), '--since', 'yesterday')[0], 2)
        self.assertEqual(command(self.path('bundle'), '--since', '2026-02-01T00:00:00Z', '--before', '2026-01-01T00:00:00Z')[0], 2)
        code, _, errors = command(self.path('bundle'), '--anchor', self.path('bundle/events/checkpoint'))
        self.assertEqual(code, 2)
        self.assertIn('is a file of the bundle', errors)
        self.assertIn('examples:', command('--help')[1])

    def test_a_copy_of_a_checkpoint_of_the_bundle_is_not_one_that_was_kept(self):
        history = History(20).standard()
        history.write(self.path('bundle'), anchors=[history.checkpoint(12)])
        for size, path in ((20, 'events/checkpoint'), (12, 'anchors/')):
            copy = put(self.folder, 'copy', history.checkpoint(size))
            code, out, _ = command(self.path('bundle'), '--anchor', copy)
            self.assertEqual(code, 0)
            self.assertRegex(out, 'That .*/copy was kept elsewhere: the bundle has the same checkpoint, ' + path)
            self.assertIn('it is unanchored', out)
            report = json.loads(command(self.path('bundle'), '--json', '--anchor', copy, '--kept-elsewhere')[1])
            self.assertEqual((report['unanchored'], [note for note in report['not_claimed'] if 'was kept elsewhere' in note]), (False, []))

    def test_what_sounds_absolute_and_what_was_not_checked(self):
        History(20).standard().write(self.path('bundle'))
        _, out, _ = command(self.path('bundle'))
        self.assertIn('What holds, as far as the signer is believed (unanchored):', out)
        self.assertRegex(out.split('What holds')[0], "The operator's word, whatever else holds: that orgtrail was given all that Cloudflare had")
        self.assertEqual([line[4:line.index(':')] for line in out.split('\n') if line.startswith('  ? ')],
                         ['The keys against any that you were given', 'Whether history was rewritten since you or others kept a checkpoint',
                          'Time stamps', 'One organization or account by itself', 'One stretch of time by itself'])
        kept = put(self.folder, 'kept', History(20).checkpoint(10))
        _, out, _ = command(self.path('bundle'), '--anchor', kept, '--organization', '77aa', '--since', '2026-01-01T00:00:00Z')
        self.assertIn('What holds:', out)  # of positions after the tenth, the signer alone says so
        self.assertIn('none is left out, as far as the signer is believed', out)
        self.assertEqual([line[4:line.index(':')] for line in out.split('\n') if line.startswith('  ? ')],
                         ['The keys against any that you were given', 'Time stamps'])
        both = [put(self.folder, log, verify.read_file(self.path('bundle/%s/checkpoint' % log))) for log in ('events', 'journal')]
        _, out, _ = command(self.path('bundle'), '--kept-elsewhere', '--anchor', *both)
        self.assertNotIn('as far as the signer is believed', out)

    def test_a_source_of_which_nothing_is_read(self):
        history = History(20).standard()
        history.state_coverage(numbers=(1,), ranges=[])
        history.state_coverage(numbers=(1,), ranges=[], filter={'text': 'x', 'hash': '1'})
        _, out, _ = command(history.write(self.path('bundle')))
        self.assertRegex(out.split('\n')[0], '^Not everything was read: no gap and no hole, and nothing of 1 source.')
        self.assertIn('any time of it. Nothing is stated as read.', out)

    def test_readings_of_the_time_that_is_asked_for_and_gaps_at_the_top(self):
        def reading(day, method, number):
            at = '2026-04-%02dT00:00:00Z' % day
            return {'range': ['2026-%02d-01T00:00:00Z' % month for month in (day, day + 1)], 'method': method, 'number': number,
                    'direction': 'asc', 'found': day, 'read_from': at, 'read_to': at}
        history = History(20).standard()
        history.state_coverage(numbers=(1,), wanted_since='2025-12-01T00:00:00Z',
                               readings=[reading(1, 'first reading', 0), reading(2, 'pass', 2), reading(3, 'scrub', 1)])
        history.write(self.path('bundle'))
        _, out, _ = command(self.path('bundle'))
        self.assertRegex(out, 'by the first reading, made from .* found 1 new entries; pass 2 over the same time, .* found 2 new entries; round 1 over all')
        self.assertRegex(out.split('\n')[0], '^Not everything was read: 1 gap and no hole. The first gap: .* from 2025-12-01T00:00:00Z to ')
        _, out, _ = command(self.path('bundle'), '--since', '2026-02-01T00:00:00Z', '--before', '2026-02-10T00:00:00Z')
        self.assertRegex(out, r'read last, as stated at .*, by pass 2 over the same time, for what came late, made from \S+ to \S+, which found 2 new entries\n')
        self.assertNotIn('Not everything was read', out)

    def test_a_file_without_a_certificate_is_no_authority(self):
        History(20).standard().write(self.path('bundle'))
        for path in ('/dev/null', self.path('nothing'), self.path('bundle/policy.txt')):
            code, out, errors = command(self.path('bundle'), '--tsa-ca', path)
            self.assertEqual((code, out), (2, ''))
            self.assertIn('there is no certificate in ' + path, errors)

    def test_what_is_asked_about(self):
        History(20).standard().write(self.folder)
        code, out, _ = command(self.folder, '--organization', '77aa')
        self.assertEqual(code, 0)
        self.assertIn('Against the operator it holds no further than this', out)
        code, out, errors = command(self.folder, '--organization', '77')
        self.assertEqual((code, out), (1, ''))
        self.assertIn('give the whole id', errors)

    def test_without_openssl(self):
        History(20).standard().write(self.folder)
        code, out, errors = command(self.folder, env={'PATH': self.path('nothing')})
        self.assertEqual((code, out), (1, ''))
        self.assertIn('openssl cannot be run', errors)

    def test_from_within_the_bundle(self):
        History(20).standard().write(self.folder)
        shutil.copy(VERIFY, self.path('verify.py'))
        done = subprocess.run([sys.executable, 'verify.py'], cwd=self.folder, stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        self.assertNotIn(b'does not read', done.stdout)


class Random(Case):
    """Bit flips and line edits: each is found, or what is claimed stays the same to the letter."""

    COUNT = int(os.environ.get('MUTATIONS', '1000'))
    SEED = int(os.environ.get('SEED', '16'))

    def flip(self, rng, data):
        at = rng.randrange(8 * len(data))
        data = bytearray(data)
        data[at // 8] ^= 1 << at % 8
        return bytes(data), 'bit %d' % at

    def edit(self, rng, data):
        lines = data.split(b'\n')[:-1]
        at, kind = rng.randrange(len(lines)), rng.choice(('remove', 'repeat', 'swap', 'insert', 'cut'))
        if kind == 'remove':
            del lines[at]
        elif kind == 'repeat':
            lines.insert(at, lines[at])
        elif kind == 'swap':
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 'insert':
            lines.insert(at, b'{"type":"drop"}')
        else:
            lines[at] = lines[at][:rng.randrange(len(lines[at]) + 1)]
        return b''.join(line + b'\n' for line in lines), '%s line %d' % (kind, at)

    def test_mutations(self):
        print('seed %d, %d mutations' % (self.SEED, self.COUNT), file=sys.stderr)
        rng, found, same = random.Random(self.SEED), 0, []
        history = History(600).standard()
        history.drop(MONTHS[2])
        witnesses = [(WITNESS_NAME, WITNESS_SEED)]
        settings = [dict(packed=packed, listed=False, witnesses=witnesses, quorum='w0', anchors=[history.checkpoint(300)])
                    for packed in (False, True)]
        for number, options in enumerate(settings):
            history.write(self.path(str(number)), **options)
        expected = [self.holds(run(self.path(str(number)))).claims for number in (0, 1)]
        for _ in range(self.COUNT):
            number = rng.randrange(2)
            files = [path for path in bundles.all_files(self.path(str(number))) if path != 'README.txt']
            path = rng.choice(files)
            before = self.bytes(os.path.join(str(number), path))
            is_text = path.endswith(('.ndjson', '.txt', 'checkpoint')) or path.startswith('anchors/')
            after, what = (self.edit if is_text and rng.random() < 0.5 else self.flip)(rng, before)
            put(self.path(str(number)), path, after)
            report = run(self.path(str(number)))
            put(self.path(str(number)), path, before)
            if not report.holds():
                found += 1
            else:
                self.assertEqual(report.claims, expected[number], '%s of %s' % (what, path))
                same.append('%s of %s' % (what, path) if after != before else 'no change')
        print('%d found, %d change no claim: %s' % (found, len(same), sorted(same)), file=sys.stderr)
        self.assertGreater(found, self.COUNT * 0.9)


if __name__ == '__main__':
    unittest.main()
