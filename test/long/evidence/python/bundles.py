"""Makes evidence bundles of version 2 from FORMAT.txt, with keys that are known to all. It shares no code with verify.py.

As a command it makes a large one: python3 bundles.py FOLDER EVENTS [--gzip]
"""
import base64
import datetime
import functools
import gzip
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

BASE, FEED = 'audit.example.com/evidence', '1f2e3d4c-0000-4000-8000-000000000001'
KEYS = {name: bytes([at]) * 32 for at, name in enumerate(('first', 'second', 'third', 'witness', 'other'), 1)}
WITNESS = 'witness.example.org/w1'
ORGANIZATION = '019c4fce-0000-7000-8000-00000000000%d'
NO_TIME = -2 ** 63
SECOND, DAY = 10 ** 6, 86400 * 10 ** 6
NO_FILTER = '00' * 32


def h(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def b64(data):
    return base64.b64encode(data).decode()


def micros(text):
    found = datetime.datetime.fromisoformat(text) - datetime.datetime(1970, 1, 1)
    return (found.days * 86400 + found.seconds) * SECOND + found.microseconds


def instant(at):
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=at)).isoformat(timespec='microseconds') + 'Z'


def spans(found):
    return [[instant(one), instant(other)] for one, other in found]


# ------------------------------------------------------------------------------------------------------------------- keys and notes

def openssl(seed, message, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (('key', bytes.fromhex('302e020100300506032b657004220420') + seed), ('message', message)):
            with open(os.path.join(folder, name), 'wb') as file:
                file.write(data)
        return subprocess.run(['openssl', *arguments], cwd=folder, check=True, stdout=subprocess.PIPE).stdout


@functools.lru_cache(maxsize=None)
def public(name):
    return openssl(KEYS[name], b'', 'pkey', '-inform', 'DER', '-in', 'key', '-pubout', '-outform', 'DER')[-32:]


@functools.lru_cache(maxsize=None)
def sign(name, message):
    return openssl(KEYS[name], message, 'pkeyutl', '-sign', '-inkey', 'key', '-keyform', 'DER', '-rawin', '-in', 'message')


def vkey(name, kind, key):
    data = bytes([kind]) + public(key)
    return '%s+%s+%s' % (name, h(name.encode(), b'\n', data)[:4].hex(), b64(data))


def signature(name, kind, key, body):
    return '\u2014 %s %s\n' % (name, b64(h(name.encode(), b'\n', bytes([kind]), public(key))[:4] + body))


def note(number, size, root, keys=('first',), witness=None, feed=FEED, base=BASE):
    origin = '%s/%s.%s' % (base, feed, number)
    text = '%s\n%d\n%s\n' % (origin, size, b64(root))
    lines = [signature(origin, 1, key, sign(key, text.encode())) for key in keys]
    if witness:
        lines.append(signature(WITNESS, 4, 'witness', struct.pack('>Q', witness) + sign('witness', b'cosignature/v1\ntime %d\n' % witness + text.encode())))
    return text + '\n' + ''.join(lines)


def policy(number=1, keys=('first',)):
    lines = ['log ' + vkey('%s/%s.%d' % (BASE, FEED, number), 1, key) for key in keys]
    return '\n'.join(['# keys'] + lines + ['', 'witness w1 %s https://witness.example.org' % vkey(WITNESS, 4, 'witness'), 'quorum none', '']).encode()


# -------------------------------------------------------------------------------------------------------------------- leaves and tree

def event_data(position, received, action, texts, raw, month_key=bytes(32)):
    found = b''.join(struct.pack('>H', len(one.encode())) + one.encode() for one in texts)
    salt = h(month_key, struct.pack('>Q', position))[:16]
    return b'orgtrail/event/v2\n' + salt + struct.pack('>Qqq', position, received, action) + found + struct.pack('>I', len(raw)) + h(raw)


def root_of(hashes):
    """The definition of RFC 6962, section 2.1."""
    if len(hashes) < 2:
        return hashes[0] if hashes else h()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return h(b'\x01', root_of(hashes[:split]), root_of(hashes[split:]))


class Log:
    """Leaves in order: an event is a dict with `data`, `raw`, `number`; a statement one with `statement`. Tests change them before `write`."""

    def __init__(self, number=1, **begin):
        self.leaves, self.at, self.position, self.log, self.key = [], micros('2026-01-02T00:00:00'), 0, number, 'first'
        self.rows, self.read, self.windows = {}, {}, {}
        self.begin(**begin)

    def state(self, fields):
        self.at += SECOND
        self.leaves.append({'statement': {'index': len(self.leaves), 'at': instant(self.at), **fields}, 'number': fields['source']})
        return self.leaves[-1]['statement']

    def begin(self, **changed):
        return self.state({'type': 'begin', 'source': 0, 'format': 2, 'number': self.log, 'base': BASE, 'feed_id': FEED, 'key': public(self.key).hex(),
                           'version': '0.4.0', 'previous': None, 'carried': 0, 'lost_holds': [], 'adopted_position': 0, 'reason': 'begun', 'by': 'test', **changed})

    def source(self, number, **changed):
        return self.state({'type': 'source', 'source': number, 'number': number, 'kind': 'organization', 'id': ORGANIZATION % number,
                           'organization_id': ORGANIZATION % number, **changed})

    def event(self, number, action, raw=None, identity=None, defects='', gap=0):
        self.at, self.position = self.at + SECOND, self.position + 1 + gap
        identity = identity or 'e-%06d' % self.position
        if raw is None:
            time = {} if action == NO_TIME else {'time': instant(action)}
            raw = json.dumps({'id': identity, 'action': {'type': 'create', **time}, 'actor': {'email': 'm\u00e9@example.com'}}).encode()
        texts = 'organization', ORGANIZATION % number, ORGANIZATION % number, identity, defects
        self.leaves.append({'number': number, 'action': action, 'raw': raw, 'fields': (self.position, self.at, action, texts, raw), 'contents': [],
                            'data': event_data(self.position, self.at, action, texts, raw)})
        return len(self.leaves) - 1

    def counts(self, number):
        chain, leaves, events = bytes(32), 0, 0
        for leaf in self.leaves:
            if leaf['number'] == number:
                chain, leaves, events = h(chain, self.hash(leaf)), leaves + 1, events + ('data' in leaf)
        return leaves, events, chain.hex()

    def coverage(self, number, read=(), asked=(), filter_hash=NO_FILTER, again=(), **changed):
        """`asked`: (since, before, date) of each request since the last one."""
        rows = self.rows.setdefault(number, [])
        first, windows = len(rows) + 1, []
        for since, before, date in asked:
            rows.append({'source': number, 'number': len(rows) + 1, 'read_at': instant(self.at), 'lane': 'live', 'filter_hash': filter_hash,
                         'since': instant(since), 'before': instant(before), 'pages': 1, 'entries': 3, 'answers': 1, 'first_date': date and instant(date),
                         'first_cf_ray': '8f1c', 'last_date': date and instant(date), 'last_cf_ray': None, 'bodies_sha256': 'ab' * 32})
            if date and since < min(before, date):
                windows.append((since, min(before, date)))
        windows = functools.reduce(lambda found, one: found[:-1] + [(found[-1][0], max(one[1], found[-1][1]))] if found and one[0] <= found[-1][1]
                                   else found + [one], sorted(windows), [])
        (leaves, events, chain), (log_leaves, _, log_chain) = self.counts(number), self.counts(0)
        read = self.read[number] = list(read or self.read.get(number, ()))
        lines = b''.join(line(row) for row in rows[first - 1:])
        one = self.state({'type': 'coverage', 'source': number, 'filter': {'text': '', 'hash': filter_hash}, 'wanted_since': None, 'as_of': instant(self.at),
                          'read': spans(read), 'again': spans(again), 'adopted': [], 'holes': [], 'left_out': {'ranges': 0, 'holes': 0}, 'events': events,
                          'leaves': leaves, 'chain': chain, 'log_leaves': log_leaves, 'log_chain': log_chain,
                          'rows': {'first': first, 'last': len(rows), 'sha256': h(lines).hex(), 'windows': spans(windows)}, **changed})
        self.leaves[-1]['lines'] = rows[first - 1:]
        return one

    def change(self, event, raw):
        self.leaves[event]['contents'].append(raw)
        return self.state({'type': 'change', 'source': self.leaves[event]['number'], 'event': event, 'raw_sha256': h(raw).hex(), 'raw_bytes': len(raw), 'seen_at': instant(self.at)})

    def drop(self, month, indexes, older_than, **changed):
        for start, end in indexes:
            for at in range(start, end):
                self.leaves[at]['dropped'] = True
        return self.state({'type': 'drop', 'source': 0, 'month': month, 'indexes': indexes, 'events': sum(end - start for start, end in indexes), 'retention': '1 mon',
                           'older_than': older_than, 'dropped_at': instant(self.at), 'dropped_by': 'orgtrail', 'holds': [], **changed})

    def hold(self, action, identity, number=0, since=None, before=None, **changed):
        return self.state({'type': 'hold', 'source': number, 'action': action, 'id': identity, 'since': since, 'before': before, 'reason': 'case 17', 'by': 'test',
                           'done_at': instant(self.at), **changed})

    def rotate(self, new, reason='rotation', **changed):
        old, self.key = self.key, new
        return self.state({'type': 'key', 'source': 0, 'reason': reason, 'old': public(old).hex(), 'new': public(new).hex(), 'old_signs_until': None, 'by': 'test', **changed})

    # -------------------------------------------------------------------------------------------------------------- the files of a bundle

    def hash(self, leaf):
        return h(b'\x00', leaf['data'] if 'data' in leaf else b'orgtrail/statement/v2\n' + line(leaf['statement'])[:-1])

    def root(self, size=None):
        return root_of([self.hash(leaf) for leaf in self.leaves[:size]])

    def checkpoint(self, size=None, **changed):
        return note(**{'number': self.log, 'size': len(self.leaves) if size is None else size, 'root': self.root(size), 'keys': (self.key,), **changed})

    def write(self, folder, source=None, since=None, before=None, found=None, kept=(), packed=False, reads=True, **files):
        """`found`: indexes of events of a search. `kept`: sizes that hashes must not hide."""
        hashes, files_of_leaves, hidden, at = [self.hash(leaf) for leaf in self.leaves], {}, [], 0
        shown = {leaf['number'] for at, leaf in enumerate(self.leaves) if found and at in found}
        put = {'FORMAT.txt': b'the format\n', 'verify.py': b'# the verifier\n', 'policy.txt': policy(self.log, (self.key,)), 'checkpoint': self.checkpoint().encode(),
               'selection.json': json.dumps({'source': source, 'since': since, 'before': before, 'query': None if found is None else 'actor:m'}).encode()}
        statements, requests = [], []
        kinds = [self.kind(index, leaf, source, since, before, found, shown) for index, leaf in enumerate(self.leaves)]
        while at < len(self.leaves):
            leaf, kind, many = self.leaves[at], kinds[at], 1
            if kind == 'statement':
                statements.append(line(leaf['statement']))
                requests += [line(row) for row in leaf.get('lines', ())] if reads and found is None else []
            elif kind == 'S':
                height = 0
                while (at % (2 << height) == 0 and at + (2 << height) <= len(kinds) and set(kinds[at:at + (2 << height)]) == {'S'}
                       and not any(at < size < at + (2 << height) for size in kept)):
                    height += 1
                many = 1 << height
                record = b'S' + bytes([height]) + root_of(hashes[at:at + many])
            elif kind == 'D':
                record = b'D' + struct.pack('>I', leaf['number']) + hashes[at]
            else:
                record = kind.encode() + struct.pack('>H', len(leaf['data'])) + leaf['data'] + (leaf['raw'] if kind == 'E' else b'')
                record += b''.join(b'C' + struct.pack('>I', len(raw)) + raw for raw in leaf['contents']) if kind == 'E' else b''
            if kind != 'statement':
                files_of_leaves.setdefault(at >> 16, []).append(record)
            at += many
        put['statements.ndjson'] = b''.join(statements)
        if requests:
            put['reads.ndjson'] = b''.join(requests)
        for number, records in files_of_leaves.items():
            data = b''.join(records)
            put['leaves/%06d.bin%s' % (number, '.gz' * packed)] = pack(data) if packed else data
        write_files(folder, {**put, **{name.replace('__', '/'): data for name, data in files.items()}})
        return folder

    def kind(self, index, leaf, source, since, before, found, shown):
        number, statement = leaf['number'], leaf.get('statement')
        if found is not None:
            if statement is None:
                return 'E' if index in found else 'S'
            last = [one['statement']['index'] for one in self.leaves if one['number'] == number and one.get('statement', {}).get('type') == 'coverage'][-1:]
            wanted = number in shown and (statement['type'] == 'source' or statement['index'] in last or statement['type'] == 'change' and statement['event'] in found)
            return 'statement' if number == 0 or wanted else 'S'
        if source is not None and number not in (source,) + (0,) * (statement is not None):
            return 'S'
        if statement is not None:
            return 'statement'
        if leaf.get('dropped'):
            return 'D'
        inside = leaf['action'] == NO_TIME or (since is None or since <= instant(leaf['action'])) and (before is None or instant(leaf['action']) < before)
        return 'E' if inside else 'L'


def line(value):
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, separators=(',', ':')).encode() + b'\n'


def pack(data):
    return gzip.compress(data, 6, mtime=0)


def write_files(folder, files):
    for name, data in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data)
    relist(folder)


def relist(folder):
    """README.txt as one who can change the files would write it again."""
    named = {}
    for inside, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inside, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, 'rb') as file:
                    named[os.path.relpath(path, folder).encode()] = hashlib.sha256(file.read()).hexdigest()
    named.pop(b'README.txt', None)
    with open(os.path.join(folder, 'README.txt'), 'wb') as file:
        file.write(b'EVIDENCE\n\nFILES\n' + b''.join(b'%s  %s\n' % (named[path].encode(), path) for path in sorted(named)))


def large(folder, events, packed):
    """Events of two sources, a statement for each 1,000 of them; folded by verify.py's own rules of chapter 6, for speed."""
    log, chains, stack, out, file_number, statements = Log(), {}, [], [], None, []

    def push(leaf):
        state = chains.setdefault(leaf['number'], [0, 0, bytes(32)])
        node, height = log.hash(leaf), 0
        state[0], state[1], state[2] = state[0] + 1, state[1] + ('data' in leaf), h(state[2], node)
        while stack and stack[-1][0] == height:
            node, height = h(b'\x01', stack.pop()[1], node), height + 1
        stack.append((height, node))

    def flush():
        if out:
            data = b''.join(out)
            write = pack(data) if packed else data
            os.makedirs(os.path.join(folder, 'leaves'), exist_ok=True)
            with open(os.path.join(folder, 'leaves/%06d.bin%s' % (file_number, '.gz' * packed)), 'wb') as file:
                file.write(write)
            out.clear()

    log.counts = lambda number: (lambda one: (one[0], one[1], one[2].hex()))(chains.get(number, [0, 0, bytes(32)]))
    log.leaves, begin, index, start = [], log.leaves[0], 0, micros('2026-01-02T00:00:00')
    filler = ''.join(random.Random(1).choices('abcdefghij ', k=500))

    def take(leaf):
        nonlocal index, file_number
        if 'statement' in leaf:
            leaf['statement']['index'] = index
            statements.append(line(leaf['statement']))
        else:
            if index >> 16 != file_number:
                flush()
                file_number = index >> 16
            out.append(b'E' + struct.pack('>H', len(leaf['data'])) + leaf['data'] + leaf['raw'])
        push(leaf)
        index += 1
        log.leaves.clear()

    take(begin)
    for number in (1, 2):
        log.source(number)
        take(log.leaves[0])
    for at in range(events):
        raw = b'{"id":"%d","action":{"time":"2026-01-02T00:00:00Z"},"text":"%s"}' % (at, filler.encode())
        log.event(1 + at % 2, start + at, raw)
        take(log.leaves[0])
        if at % 1000 == 999:
            number = 1 + at // 1000 % 2
            log.coverage(number, [(start, log.at)], [(start, log.at, log.at)] if number not in log.read else [(log.read[number][-1][1], log.at, log.at)])
            take(log.leaves[0])
    flush()
    root = functools.reduce(lambda right, left: h(b'\x01', left[1], right), stack[-2::-1], stack[-1][1])
    requests = [line(row) for number in log.rows for row in log.rows[number]]
    write_files(folder, {'FORMAT.txt': b'', 'verify.py': b'', 'policy.txt': policy(), 'checkpoint': note(1, index, root).encode(), 'statements.ndjson': b''.join(statements),
                         'selection.json': b'{"source":null,"since":null,"before":null,"query":null}'})
    # In the order of the statements: the two sources take turns.
    pairs = [row for pair in zip(*(log.rows[number] for number in sorted(log.rows))) for row in pair] if len(log.rows) == 2 else []
    if len(pairs) == len(requests):
        write_files(folder, {'reads.ndjson': b''.join(line(row) for row in pairs)})


if __name__ == '__main__':
    large(sys.argv[1], int(sys.argv[2]), '--gzip' in sys.argv)
