"""Makes evidence bundles for the tests of verify.py, with keys that anybody may know. It shares no code with verify.py.

As a command it makes a large one: python3 bundles.py FOLDER EVENTS [--gzip]
"""
import base64
import functools
import gzip
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

MONTHS = ('2026-01', '2026-02', '2026-03')
MONTH_STARTS = (1767225600000000, 1769904000000000, 1772323200000000)
ORIGIN = 'audit.example.com/evidence/1f2e3d4c-0000-4000-8000-000000000000.1/'
LOG_SEED, WITNESS_SEED, OTHER_SEED = b'\x01' * 32, b'\x02' * 32, b'\x03' * 32
WITNESS_NAME = 'witness.example.org/w1'


def h(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


# ---------------------------------------------------------------------------------------------------- keys and notes

def in_folder(run):
    with tempfile.TemporaryDirectory() as folder:
        return run(folder)


def put(folder, name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)
    return path


def openssl(*arguments):
    return subprocess.run(['openssl', *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def private_key(seed):
    return bytes.fromhex('302e020100300506032b657004220420') + seed


@functools.lru_cache(maxsize=None)
def public_key(seed):
    return in_folder(lambda folder: openssl('pkey', '-inform', 'DER', '-in', put(folder, 'key', private_key(seed)), '-pubout',
                                            '-outform', 'DER'))[-32:]


@functools.lru_cache(maxsize=None)
def sign(seed, message):
    def run(folder):
        return openssl('pkeyutl', '-sign', '-inkey', put(folder, 'key', private_key(seed)), '-keyform', 'DER', '-rawin',
                       '-in', put(folder, 'message', message))
    return in_folder(run)


def key_id(name, kind, seed):
    return h(name.encode() + b'\n' + kind + public_key(seed))[:4]


def vkey(name, kind, seed):
    return '%s+%s+%s' % (name, key_id(name, kind, seed).hex(), b64(kind + public_key(seed)))


def signature_line(name, kind, seed, signature):
    return '— %s %s\n' % (name, b64(key_id(name, kind, seed) + signature))


def checkpoint(log, size, root, seed=LOG_SEED, witnesses=()):
    text = '%s\n%d\n%s\n' % (ORIGIN + log, size, b64(root))
    note = text + '\n' + signature_line(ORIGIN + log, b'\x01', seed, sign(seed, text.encode()))
    for name, witness_seed in witnesses:
        when = 1775000000
        signature = sign(witness_seed, b'cosignature/v1\ntime %d\n' % when + text.encode())
        note += signature_line(name, b'\x04', witness_seed, struct.pack('>Q', when) + signature)
    return note.encode()


def policy(witnesses=(), quorum='none', seed=LOG_SEED):
    lines = ['log ' + vkey(ORIGIN + log, b'\x01', seed) for log in ('events', 'journal')]
    lines += ['witness w%d %s' % (number, vkey(name, b'\x04', witness_seed)) for number, (name, witness_seed) in enumerate(witnesses)]
    return ('# log and witness keys\n' + '\n'.join(lines + ['quorum ' + quorum]) + '\n').encode()


# ------------------------------------------------------------------------------------------------------- leaves, trees

def text_field(text):
    return struct.pack('>H', len(text.encode())) + text.encode()


def salt(month_key, position):
    return h(month_key + struct.pack('>Q', position))[:16]


def leaf_data(event):
    action = -2 ** 63 if event['action'] is None else event['action']
    fields = (event['kind'], event['source'], event['organization'], event['id'], ','.join(event['defects']))
    return (b'orgtrail/event/v1\n' + event['salt'] + struct.pack('>Qqq', event['position'], event['received'], action)
            + b''.join(text_field(text) for text in fields) + struct.pack('>I', len(event['raw'])) + h(event['raw']))


def hole_data(position):
    return b'orgtrail/hole/v1\n' + struct.pack('>Q', position)


def leaf_hash(data):
    return h(b'\x00' + data)


def root_of(hashes):
    """The definition of RFC 6962, section 2.1."""
    if len(hashes) < 2:
        return hashes[0] if hashes else h(b'')
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return h(b'\x01' + root_of(hashes[:split]) + root_of(hashes[split:]))


def pairs_up(hashes):
    sha = hashlib.sha256
    return [sha(b'\x01' + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes) - 1, 2)]


def in_tiles(items):
    """(path within a level, items) of each tile."""
    for number in range((len(items) + 255) // 256):
        tile = items[256 * number:256 * number + 256]
        digits = '%09d' % number
        parts = [digits[at:at + 3] for at in (0, 3, 6)]
        while len(parts) > 1 and parts[0] == '000':
            parts.pop(0)
        path = '/'.join(['x' + part for part in parts[:-1]] + parts[-1:])
        yield path + ('' if len(tile) == 256 else '.p/%d' % len(tile)), tile


def write_sources(folder, events):
    numbers = {source[:2]: number for number, source in enumerate(SOURCES, 1)}
    for path, tile in in_tiles(events):
        put(folder, 'events/sources/' + path,
            b''.join(struct.pack('>H', numbers[event['kind'], event['source']] if event else 0) for event in tile))


def write_tiles(folder, log, hashes):
    level = 0
    while hashes:
        for path, tile in in_tiles(hashes):
            put(folder, '%s/tile/%d/%s' % (log, level, path), b''.join(tile))
        for _ in range(8):
            hashes = pairs_up(hashes)
        level += 1


# --------------------------------------------------------------------------------------------------------- a history

SOURCES = (('organization', '0319c4f6', '0319c4f6'), ('account', 'a1b2', '0319c4f6'), ('organization', '77aa', '77aa'))
OWNERS = {source[:2]: {'kind': source[0], 'source': source[1]} for source in SOURCES}


def make_event(position, size, rng, raw_length=60):
    month = min(len(MONTHS) - 1, (position - 1) * len(MONTHS) // size)
    action = MONTH_STARTS[month] + position * 1000
    kind, source, organization = rng.choice(SOURCES)
    identity = 'e%d-%08x' % (position, rng.getrandbits(32))
    raw = json.dumps({'id': identity, 'action': {'type': 'create'}, 'who': 'é' * 3, 'pad': 'x' * raw_length}, ensure_ascii=False)
    return {'position': position, 'month': MONTHS[month], 'salt': salt(h(MONTHS[month].encode()), position),
            'received': action + 5_000_000, 'action': None if position % 97 == 0 else action, 'kind': kind, 'source': source,
            'organization': organization, 'id': identity, 'defects': ['no-id'] if position % 53 == 0 else [], 'raw': raw.encode()}


class History:
    """Events, their leaves, the statements about them; `write` makes a bundle. A test changes what it is about in between."""

    def __init__(self, size=700, seed=1, holes=()):
        rng = random.Random(seed)
        self.events = {position: make_event(position, size, rng) for position in range(1, size + 1)}
        self.size, self.statements, self.changes = size, [], []
        for position in holes:
            del self.events[position]
        self.seal()

    def seal(self):
        """Hashes the events as they are now, as the builder does."""
        self.leaves = [leaf_hash(leaf_data(self.events[position]) if position in self.events else hole_data(position))
                       for position in range(1, self.size + 1)]
        self.sealed = dict(self.events)

    def tree(self, size=None):
        size = self.size if size is None else size
        return {'origin': ORIGIN + 'events', 'size': size, 'root': b64(root_of(self.leaves[:size]))}

    def state(self, statement_type, size=None, **fields):
        statement = {'type': statement_type, 'at': '2026-04-01T00:00:00.000001Z', 'tree': self.tree(size), **fields}
        self.statements.append(json.dumps(statement, ensure_ascii=False).encode())

    def state_genesis(self, adopted=0):
        self.state('genesis', 0, version='0.2.0', feed_id='1f2e', retention=None, adopted=adopted,
                   vkeys=[vkey(ORIGIN + log, b'\x01', LOG_SEED) for log in ('events', 'journal')])
        for number, (kind, source, organization) in enumerate(SOURCES, 1):
            self.state('source', 0, number=number, kind=kind, id=source, organization_id=organization)

    def chain(self, number, size):
        count, chain = 0, bytes(32)
        for position in range(1, size + 1):
            event = self.sealed.get(position)
            if event and (event['kind'], event['source']) == SOURCES[number - 1][:2]:
                count, chain = count + 1, h(chain + self.leaves[position - 1])
        return count, chain.hex()

    def state_coverage(self, size=None, ranges=(('2026-01-01T00:00:00Z', '2026-03-31T00:00:00Z'),), numbers=(1, 2, 3), **fields):
        size = self.size if size is None else size
        for number in numbers:
            events, chain = self.chain(number, size)
            kind, source, _ = SOURCES[number - 1]
            self.state('coverage', size, **{
                'source_kind': kind, 'source_id': source, 'filter': {'text': '', 'hash': ''}, 'wanted_since': None,
                'passes': [{'pass': 1, 'ranges': [list(pair) for pair in ranges]}], 'events': events, 'chain': chain,
                'commits': 1, 'server_time': None, 'reads': None, **fields})

    def positions_of(self, month):
        """Half-open ranges."""
        positions = sorted(position for position, event in self.sealed.items() if event['month'] == month)
        ranges = []
        for position in positions:
            if ranges and ranges[-1][1] == position:
                ranges[-1][1] += 1
            else:
                ranges.append([position, position + 1])
        return ranges

    def drop(self, month, declared=True, **fields):
        positions = self.positions_of(month)
        self.events = {position: event for position, event in self.events.items() if event['month'] != month}
        if declared:
            self.state('drop', **{'month': month, 'events': sum(end - start for start, end in positions), 'ids_sha256': h(b'').hex(),
                       'retention': '0 days', 'account': 'orgtrail', 'holds': [], 'positions': positions, 'part': 1, 'parts': 1, **fields})

    def hold(self, action='added', released_at=None, **fields):
        self.state('hold', **{
            'action': action, 'id': 7, 'organization_id': None, 'account_id': None, 'since': None, 'before': None, 'reason': 'case 7',
            'created_by': None, 'created_as': 'legal', 'created_at': '2026-03-01T00:00:00Z', 'released_by': None, 'released_as': None,
            'released_at': released_at, **fields})

    def change(self, position, raw):
        self.changes.append(json.dumps({'position': position, 'raw': raw.decode()}, ensure_ascii=False).encode())
        self.state('change', position=position, event_id=self.sealed[position]['id'], raw_sha256=h(raw).hex(), length=len(raw),
                   seen_at='2026-03-31T12:00:00Z')

    def standard(self):
        """One of each that a bundle may have: the base of most tests."""
        self.state_genesis()
        self.state_coverage(self.size // 2, ranges=[('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z')])
        self.state_coverage()
        self.change(5, b'{"later":"content"}')
        return self

    # ------------------------------------------------------------------------------------------------------- writing

    def checkpoint(self, size=None, **options):
        size = self.size if size is None else size
        return checkpoint('events', size, root_of(self.leaves[:size]), **options)

    def journal_hashes(self):
        return [leaf_hash(b'orgtrail/journal/v1\n' + text) for text in self.statements]

    def write(self, folder, packed=False, witnesses=(), quorum='none', listed=True, anchors=(), events_witnesses=None, seed=LOG_SEED, with_sources=True):
        cosigners = witnesses if events_witnesses is None else events_witnesses
        put(folder, 'policy.txt', policy(witnesses, quorum, seed))
        put(folder, 'events/checkpoint', self.checkpoint(seed=seed, witnesses=cosigners))
        write_tiles(folder, 'events', self.leaves)
        files = {}
        for position in sorted(self.events):
            event = self.events[position]
            leaf = leaf_data(event)
            record = struct.pack('>H', len(leaf)) + leaf + struct.pack('>I', len(event['raw'])) + event['raw']
            files.setdefault((position - 1) // 65536, []).append(record)
        for number, records in files.items():
            data = b''.join(records)
            put(folder, 'events/payload/%06d.oev%s' % (number, '.gz' if packed else ''), gzip.compress(data, 6, mtime=0) if packed else data)
        if with_sources:
            write_sources(folder, [self.sealed.get(position) for position in range(1, self.size + 1)])
        hashes = self.journal_hashes()
        put(folder, 'journal/checkpoint', checkpoint('journal', len(hashes), root_of(hashes), seed=seed, witnesses=witnesses))
        write_tiles(folder, 'journal', hashes)
        put(folder, 'journal/entries.ndjson', b''.join(text + b'\n' for text in self.statements))
        if self.changes:
            put(folder, 'journal/changes.ndjson', b''.join(line + b'\n' for line in self.changes))
        for number, note in enumerate(anchors):
            put(folder, 'anchors/%03d' % number, note)
        write_readme(folder, listed)
        return folder


def all_files(folder):
    return sorted(os.path.relpath(os.path.join(parent, name), folder) for parent, _, names in os.walk(folder) for name in names)


def write_readme(folder, listed=True):
    lines = ['An evidence bundle for the tests of verify.py.', '']
    for path in [path for path in all_files(folder) if path != 'README.txt'] if listed else ():
        with open(os.path.join(folder, path), 'rb') as file:
            lines.append('%s  %s' % (h(file.read()).hex(), path))
    put(folder, 'README.txt', ('\n'.join(lines) + '\n').encode())


# ------------------------------------------------------------------------------------------------------ a large one

def write_large(folder, size, packed, raw_length=1040):
    """Events of some 1.1 kB each, written as they are made: no list of them is kept, only their leaf hashes."""
    shutil.rmtree(folder, ignore_errors=True)
    rng, leaves, owners, chains = random.Random(1), [], [], {source[:2]: [0, bytes(32)] for source in SOURCES}
    for first in range(1, size + 1, 65536):
        path = os.path.join(folder, 'events/payload/%06d.oev%s' % ((first - 1) // 65536, '.gz' if packed else ''))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with (gzip.open(path, 'wb', 1) if packed else open(path, 'wb')) as file:
            for position in range(first, min(size, first + 65535) + 1):
                event = make_event(position, size, rng, raw_length)
                leaf = leaf_data(event)
                leaves.append(leaf_hash(leaf))
                owners.append(OWNERS[event['kind'], event['source']])
                chain = chains[(event['kind'], event['source'])]
                chain[:] = chain[0] + 1, h(chain[1] + leaves[-1])
                file.write(struct.pack('>H', len(leaf)) + leaf + struct.pack('>I', len(event['raw'])) + event['raw'])
        print('%d of %d' % (len(leaves), size), file=sys.stderr)
    history = History(0)
    history.leaves, history.size = leaves, size
    history.state_genesis()
    for number, source in enumerate(SOURCES, 1):
        count, chain = chains[source[:2]]
        history.chain = lambda *_, count=count, chain=chain: (count, chain.hex())
        history.state_coverage(numbers=(number,))
    history.write(folder, with_sources=False)
    write_sources(folder, owners)
    write_readme(folder)
    return folder


if __name__ == '__main__':
    write_large(sys.argv[1], int(sys.argv[2]), '--gzip' in sys.argv[3:])
