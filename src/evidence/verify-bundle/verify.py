#!/usr/bin/env python3
"""Verifies an evidence bundle of orgtrail, offline: python3 verify.py [BUNDLE]

It needs Python 3.9 or later and its standard library, reads the bundle as a stream, sends nothing, and writes nothing but what it is told
to. FORMAT.txt beside it is the specification. First come the forms of chapters 1 to 6 in their order, then the claims of README.txt in theirs:

  1  the files are those that were written                                   check_list
  2  these leaves in this order are what the key signed, with this content   Walk, check_signatures
  3  nothing is left out of the selection                                    Walk, with its chains
  4  what was dropped, when, by which retention, under no hold               Journal.check_drops
  5  what is stated as read lies within what was asked                       Journal.on_coverage
  6  all of that is unchanged since a checkpoint was kept                    check_kept
  7  not claimed: that what Cloudflare sent was stored                       Sample (--sample, --compare)
"""
import argparse, base64, bisect, calendar, contextlib, datetime, functools, hashlib, io, json, math, os, pathlib, re, stat, struct, sys, zlib
from types import SimpleNamespace

HOLDS, NO_BUNDLE, DOES_NOT_HOLD = 0, 2, 5  # the exit codes
sha256 = hashlib.sha256
Fault = ValueError  # something is not as FORMAT.txt says. Python raises it itself for what is no UTF-8, no JSON, no Base64, no day of a year
NoBundle = OSError  # there is nothing to judge, or it cannot be read, or the options are wrong

def need(is_so, why, *values):
    if not is_so:
        raise Fault(why % values if values else why)

# =================================================================================== chapter 1: numbers, instants, ranges, JSON, lines

MAX_BYTES, MAX_RAW, MAX_LEAVES, MAX_LEVELS, MAX_NUMBER = 65_000, 1 << 26, 1 << 48, 32, 1 << 53
SECOND, DAY = 1_000_000, 86400 * 1_000_000
EPOCH, MICROSECOND = datetime.datetime(1970, 1, 1), datetime.timedelta(microseconds=1)

def whole(digits):
    need(re.fullmatch('-?(0|[1-9][0-9]{0,15})', digits) and abs(int(digits)) < MAX_NUMBER, 'a number is no integer below 2^53: %.40s', digits)
    return int(digits)

def one_of_each(pairs):
    need(len(dict(pairs)) == len(pairs), 'a field is there twice')
    return dict(pairs)

def strict_json(data):
    body = data.decode()
    value = json.loads(body, object_pairs_hook=one_of_each, parse_int=whole, parse_float=whole, parse_constant=whole)
    need(type(value) is dict, 'it is no object')
    layer = [value] if body.count('{') + body.count('[') > MAX_LEVELS else []
    for _ in range(MAX_LEVELS):
        layer = [one for outer in layer if type(outer) in (dict, list) for one in (outer.values() if type(outer) is dict else outer)]
    need(not any(type(one) in (dict, list) for one in layer), 'it has more than 32 levels')
    if '\\u' in body:
        json.dumps(value, ensure_ascii=False).encode()  # refuses half of a surrogate pair
    return value

@functools.lru_cache(maxsize=1 << 16)
def instant(value):
    """Microseconds since 1970. A TypeError for what is no text."""
    match = re.fullmatch(r'([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{6})Z', value)
    need(match, '%.60r is no instant', value)
    year, *others = map(int, match.groups())  # Python has no year 0: the year 400 is 146,097 days later
    return (datetime.datetime(year or 400, *others) - EPOCH) // MICROSECOND - (0 if year else 146097 * DAY)

def shown(micros):
    """An instant for people, without its zeros."""
    try:
        text = (EPOCH + micros * MICROSECOND).isoformat(timespec='microseconds')
    except OverflowError:
        return '%d microseconds since 1970' % micros
    return re.sub(r'(T00:00:00)?\.000000$', '', text) + ('Z' if micros % DAY else '')

# A form takes a value as JSON has it, and gives what it means; a Fault if it is not of that form.

def checked(value, is_so, what):
    need(is_so, '%.80r is no %s', value, what)
    return value

def integer(low=0, high=MAX_NUMBER):
    return lambda value: checked(value, type(value) is int and low <= value < high, 'number that fits')

def like(pattern, what):
    return lambda value: checked(value, re.fullmatch(pattern, value, re.DOTALL), what)

def or_null(form):
    return lambda value: None if value is None else form(value)

def list_of(item, most=MAX_NUMBER):
    return lambda value: [item(one) for one in checked(value, type(value) is list and len(value) <= most, 'list, or too long')]

def a_range(item):
    def form(value):
        start, end = map(item, checked(value, type(value) is list and len(value) == 2, 'range'))
        need(start < end, 'the range %.80r is empty', value)
        return start, end
    return form

def ranges(item, most=MAX_NUMBER):
    def form(value):
        found = list_of(a_range(item), most)(value)
        need(all(one[1] < other[0] for one, other in zip(found, found[1:])), 'ranges do not ascend, or touch')
        return found
    return form

def fields(**forms):
    def form(value):
        result = SimpleNamespace()
        for name, one in forms.items():
            need(type(value) is dict and name in value, 'the field "%s" is missing', name)
            try:
                setattr(result, name, one(value[name]))
            except (Fault, TypeError) as problem:
                raise Fault('"%s": %s' % (name, problem)) from None
        return result
    return form

def merged(found):
    result = []
    for start, end in sorted(found):
        if result and start <= result[-1][1]:
            start, end = result[-1][0], max(end, result.pop()[1])
        result.append((start, end))
    return result

def outside(inner, outer):
    """The first range that does not lie within one of `outer`, which is merged; None: all do."""
    places = ((one, bisect.bisect_right(outer, (one[0], float('inf'))) - 1) for one in inner)
    return next((one for one, at in places if at < 0 or one[1] > outer[at][1]), None)

def lines_of(stream):
    """Each line without its line feed."""
    with stream:
        for line in iter(lambda: stream.readline(MAX_BYTES + 2), b''):
            need(line.endswith(b'\n') and line != b'\n' and b'\r' not in line and len(line) <= MAX_BYTES + 1,
                 'a line is empty, too long, not ended, or has a carriage return')
            yield line[:-1]

# ======================================================================================================= chapter 2: leaves and tree

EVENT, STATEMENT, NO_TIME = b'orgtrail/event/v2\n', b'orgtrail/statement/v2\n', -1 << 63
TIMES = struct.Struct('>Qqq')  # position, received_at, action_time
AT_TIMES = len(EVENT) + 16  # behind the salt

def read_event(data):
    """position, received_at, action_time; source_kind, source_id, organization_id, id, defects; length and hash of the content."""
    texts, at = [], AT_TIMES + TIMES.size
    for _ in range(5):
        end = at + 2 + int.from_bytes(data[at:at + 2], 'big')
        texts.append(data[at + 2:end].decode())
        at = end
    length = int.from_bytes(data[at:at + 4], 'big')
    need(data[:len(EVENT)] == EVENT and at + 36 == len(data) <= MAX_BYTES and length <= MAX_RAW, 'a record has no leaf of an event')
    return (*TIMES.unpack_from(data, AT_TIMES), *texts, length, data[-32:])

class Fold:
    """A tree of RFC 6962 that grows: its full subtrees, the widest first; the roots of those sizes that are wanted."""

    def __init__(self, wanted=()):
        self.size, self.heights, self.hashes, self.wanted, self.roots = 0, [], [], set(wanted), {0: sha256().digest()}

    def push(self, height, node):
        heights, hashes, self.size = self.heights, self.hashes, self.size + (1 << height)
        while heights and heights[-1] == height:
            heights.pop()
            node = sha256(b'\x01' + hashes.pop() + node).digest()
            height += 1
        heights.append(height)
        hashes.append(node)
        if self.size in self.wanted:
            self.roots[self.size] = self.root()

    def root(self):
        node = self.hashes[-1] if self.hashes else self.roots[0]
        for left in self.hashes[-2::-1]:
            node = sha256(b'\x01' + left + node).digest()
        return node

# ================================================================================================= chapter 3: keys, notes, policy
# Ed25519 as RFC 8032, 5.1 has it. A point is (x, y) on -x^2 + y^2 = 1 + d x^2 y^2. Nothing is secret here.

PRIME, ORDER = 2 ** 255 - 19, 2 ** 252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME

def point_of(data):
    """None if the 32 bytes are those of no point."""
    number = int.from_bytes(data, 'little')
    y = (number & (1 << 255) - 1) % PRIME
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    x = x if (x * x - square) % PRIME == 0 else x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    x = x if x & 1 == number >> 255 else -x % PRIME
    return (x, y) if (x * x - square) % PRIME == 0 else None

def plus(one, other):
    (a, b), (c, d) = one, other
    e = CURVE * a * b * c * d % PRIME
    inverse = pow(1 - e * e, -1, PRIME)
    return (a * d + b * c) * (1 - e) * inverse % PRIME, (a * c + b * d) * (1 + e) * inverse % PRIME

def times(number, point):
    rest = times(number // 2, plus(point, point)) if number else (0, 1)
    return plus(rest, point) if number % 2 else rest

BASE_POINT = point_of((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, 'little'))

def ed25519_holds(public, message, signature):
    point, number = point_of(public), int.from_bytes(signature[32:], 'little')
    if len(signature) != 64 or number >= ORDER or point is None:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), 'little') % ORDER
    x, y = plus(times(number, BASE_POINT), times(challenge, (-point[0], point[1])))
    return (y | (x & 1) << 255).to_bytes(32, 'little') == signature[:32]

def strict_base64(value):
    data = base64.b64decode(value, validate=True)
    need(base64.b64encode(data).decode() == value, '%.80r has stray bits', value)
    return data

LOG, WITNESS = 1, 4

class Key:
    def __init__(self, name, kind, public):
        self.name, self.kind, self.public = name, kind, public
        self.id = sha256(name.encode() + b'\n' + bytes([kind]) + public).digest()[:4]
        self.vkey = '%s+%s+%s' % (name, self.id.hex(), base64.b64encode(bytes([kind]) + public).decode())

def read_vkey(vkey, kind):
    match = re.fullmatch(r'([^\s+]+)\+[0-9a-f]{8}\+(.+)', vkey)
    key = Key(match.group(1), kind, strict_base64(match.group(2))[1:]) if match else None
    need(key and key.vkey == vkey and len(key.public) == 32, '%.200r is no key of Ed25519, or of another type than its line', vkey)
    return key

def read_policy(data):
    """The keys of its logs, and those of its witnesses."""
    lines = [[word for word in re.split('[ \t]+', line) if word] + [''] * 3 for line in data.decode('utf-8', 'replace').split('\n')]
    return [read_vkey(words[1], LOG) for words in lines if words[0] == 'log'], [read_vkey(words[2], WITNESS) for words in lines if words[0] == 'witness']

class Checkpoint:
    def __init__(self, note):
        note = note.decode()
        body, cut, signatures = note.rpartition('\n\n')
        lines = body.split('\n')
        is_note = cut and signatures.endswith('\n') and not re.search('[\x00-\x09\x0b-\x1f]', note)
        need(is_note and len(lines) == 3 and lines[0], 'it is no note of three lines and signatures')
        need(re.fullmatch('0|[1-9][0-9]{0,15}', lines[1]) and int(lines[1]) <= MAX_LEAVES, 'its second line is no number of leaves')
        self.body, self.origin, self.size, self.root, self.signatures = body + '\n', lines[0], int(lines[1]), strict_base64(lines[2]), []
        need(len(self.root) == 32, 'its root is no SHA-256')
        for line in signatures[:-1].split('\n'):
            match = re.fullmatch(r'\u2014 ([^\s+]+) (\S+)', line)
            data = strict_base64(match.group(2)) if match else b''
            need(len(data) > 4, 'a line of signatures is none: %.80r', line)
            self.signatures.append((match.group(1), data[:4], data[4:]))

    def signers(self, keys):
        """Those of the keys that signed, each with the seconds that a witness says. A wrong signature of one is a fault."""
        known, found = {(key.name, key.id): key for key in keys}, {}
        for name, identity, signature in self.signatures:
            key = known.get((name, identity))
            if key:
                seconds = int.from_bytes(signature[:8], 'big') if key.kind == WITNESS else None
                head, signature = (b'', signature) if seconds is None else (b'cosignature/v1\ntime %d\n' % seconds, signature[8:])
                need(ed25519_holds(key.public, head + self.body.encode(), signature), 'its signature by %s is wrong', name)
                found[key.vkey] = key, seconds
        return list(found.values())

# ==================================================================================================== chapter 4: forms of statements

count, positive, source_number = integer(), integer(1), integer(1, 1 << 32)
text, some_text, digest = like('.*', 'text'), like('.+', 'text that says something'), like('[0-9a-f]{64}', 'hash or key')
span, spans, maybe_instant, maybe_text = a_range(instant), ranges(instant, 500), or_null(instant), or_null(text)

def month(value):
    """The text, the instants of beginning and end; None for `none`."""
    if value == 'none':
        return value, None, None
    start = instant(like('[0-9]{4}-[0-9]{2}', 'month')(value) + '-01T00:00:00.000000Z')
    return value, start, start + calendar.monthrange(int(value[:4]) or 400, int(value[5:]))[1] * DAY

OF_THE_LOG, OF_A_SOURCE = {'begin', 'drop', 'key', 'end'}, {'source', 'coverage', 'change'}
FORMS = {
    'begin': fields(format=integer(2, 3), number=integer(1, 10 ** 9), base=text, feed_id=text, key=digest, version=text, previous=maybe_text, carried=count,
                    lost_holds=or_null(list_of(count)), adopted_position=count, reason=text, by=text),
    'source': fields(number=source_number, kind=some_text, id=some_text, organization_id=maybe_text),
    'coverage': fields(filter=fields(text=text, hash=text), wanted_since=maybe_instant, as_of=instant, read=spans, again=spans, adopted=spans,
                       holes=list_of(fields(range=span, reason=text, found_at=instant), 40), left_out=fields(ranges=count, holes=count),
                       events=count, leaves=count, chain=digest, log_leaves=count, log_chain=digest,
                       rows=fields(first=positive, last=count, sha256=digest, windows=spans)),
    'change': fields(event=count, raw_sha256=digest, raw_bytes=count, seen_at=instant),
    'drop': fields(month=month, indexes=ranges(count), events=count, retention=text, older_than=instant, dropped_at=instant, dropped_by=text,
                   holds=list_of(count)),
    'hold': fields(action=like('added|released', 'action'), id=count, since=maybe_instant, before=maybe_instant, reason=text, by=maybe_text,
                   done_at=instant),
    'key': fields(reason=like('rotation|lost|compromised', 'reason'), old=digest, new=digest, old_signs_until=maybe_instant, by=text),
    'end': fields(reason=text, by=text),
    'note': fields(about=text, facts=lambda value: checked(value, type(value) is dict, 'object')),
}
HEAD = fields(index=count, type=some_text, at=instant, source=integer(0, 1 << 32))
REQUEST = fields(  # a line of reads.ndjson
    source=source_number, number=positive, read_at=instant, lane=text, filter_hash=text, since=instant, before=instant, pages=count, entries=count,
    answers=count, first_date=maybe_instant, first_cf_ray=maybe_text, last_date=maybe_instant, last_cf_ray=maybe_text, bodies_sha256=digest)

def read_statement(line):
    """`index`, `type`, `at`, `source`, the fields of its type, and `leaf`, the hash."""
    need(len(STATEMENT) + len(line) <= MAX_BYTES, 'it is too long')
    value = strict_json(line)
    one = HEAD(value)
    one.__dict__.update(FORMS.get(one.type, fields())(value).__dict__)
    one.leaf = sha256(b'\x00' + STATEMENT + line).digest()
    return one

# ================================================================================================== chapter 6: the files of a bundle

SELECTION = fields(source=or_null(source_number), since=maybe_instant, before=maybe_instant, query=maybe_text)
REQUIRED = 'README.txt', 'FORMAT.txt', 'verify.py', 'policy.txt', 'checkpoint', 'selection.json', 'statements.ndjson'

class Unpacked(io.FileIO):
    """What is in one member of gzip without optional parts, and nothing behind it."""

    def __init__(self, path):
        super().__init__(path)
        self.unpacker, self.head = zlib.decompressobj(31), self.read(4)
        self.left = self.head

    def readinto(self, target):
        need(self.head == b'\x1f\x8b\x08\x00', 'a file is not packed as FORMAT.txt says')
        data = b''
        while not data and not self.unpacker.eof:
            self.left = self.left or self.read(1 << 16)
            data = self.unpacker.decompress(self.left, len(target))
            need(data or self.left or self.unpacker.eof, 'a file ends within what is packed')
            self.left = self.unpacker.unconsumed_tail
        need(not self.unpacker.eof or not (self.unpacker.unused_data or self.read(1)), 'something stands behind what is packed')
        target[:len(data)] = data
        return len(data)

class Bundle:
    def __init__(self, folder):
        self.folder, self.paths, self.others, waiting = folder, set(), [], ['']
        while waiting:
            inside = waiting.pop()
            for entry in os.scandir(os.path.join(folder, inside)):
                path, mode = inside + entry.name, entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    waiting.append(path + '/')
                elif stat.S_ISREG(mode) and not re.search('[\ud800-\udfff\ufffd]', path):
                    self.paths.add(path)
                else:
                    self.others.append(path)
        names = ((re.fullmatch(r'leaves/([0-9]{6}|[1-9][0-9]{6,10})\.bin(\.gz)?', path), path) for path in sorted(self.paths))
        self.leaves = {int(match.group(1)): path for match, path in names if match}

    def open(self, path):
        need(path in self.paths, '%s is missing', path)
        return open(os.path.join(self.folder, path), 'rb')

    def read(self, path):
        need(path in self.paths, '%s is missing', path)
        return pathlib.Path(self.folder, path).read_bytes()

    def hash(self, path):
        found = sha256()
        with self.open(path) as file:
            for piece in iter(lambda: file.read(1 << 18), b''):
                found.update(piece)
        return found.hexdigest()

    def selection(self):
        value = strict_json(self.read('selection.json'))
        chosen = SELECTION(value)
        need(len(value) == 4, 'selection.json has other fields than its four')
        need(None in (chosen.since, chosen.before) or chosen.since < chosen.before, 'selection.json has an empty time')
        chosen.searched, chosen.timed = chosen.query is not None, chosen.query is None and (chosen.since, chosen.before) != (None, None)
        chosen.only = None if chosen.searched else chosen.source
        return chosen

    def records(self, number):
        need(number in self.leaves, 'leaves/%06d is missing', number)
        path = self.leaves[number]
        return io.BufferedReader(Unpacked(os.path.join(self.folder, path)), 1 << 18) if path.endswith('.gz') else self.open(path)

# ================================================================================ claim 1: the files are those that were written

def check_list(bundle, report):
    readme, check = bundle.read('README.txt') if 'README.txt' in bundle.paths else b'', report.check
    listing = readme.decode('utf-8', 'ignore')
    _, cut, rest = ('\n' + listing).rpartition('\nFILES\n')
    found = [re.fullmatch('([0-9a-f]{64})  ([^\r\n\u2028\u2029]+)', line) for line in rest.split('\n')[:-1]]
    order, named = [one and one.group(2).encode() for one in found], {one.group(2): one.group(1) for one in found if one}
    check(listing.encode() == readme and cut and readme.endswith(b'\n') and None not in order and order == sorted(set(order)), 1,
          'README.txt does not end with FILES and the list of files in their order')
    for path in bundle.others:
        check(False, 1, '%s is a link, or no plain file' % path)
    for path in sorted(bundle.paths | named.keys() | set(REQUIRED)):
        is_leaves, is_anchor = path.startswith('leaves/'), path.startswith('anchors/')
        check(path in bundle.paths and (path not in named or bundle.hash(path) == named[path]), 1,
              '%s is missing, or not as it was when README.txt was written' % path)
        check(path in bundle.leaves.values() if is_leaves else re.fullmatch('anchors/[a-z0-9._-]+', path) or not is_anchor, 1,
              '%s is no name of a file of leaves, or of an anchor, or is there packed and not packed' % path)
        check(path in named or path == 'README.txt' or not (is_leaves or is_anchor or path in REQUIRED or path == 'reads.ndjson'), 1, '%s is not named by README.txt' % path)
        if path not in named and path != 'README.txt':
            report.said.append('%s is not named by README.txt: it was put there afterwards.' % path)
    report.claims[1].append('The files are those that were written: %d, as README.txt names them.' % len(named))

# ======================================================== chapters 4, 5, 7, 8: each statement is judged by those before it, ahead of the leaves

class Journal:
    def __init__(self, bundle, chosen, report):
        self.bundle, self.chosen, self.report, self.said = bundle, chosen, report, report.said
        self.leaves, self.last, self.clock = [], None, 0  # `leaves`: index, hash, number, what a coverage statement counts below it
        self.begins, self.keys, self.stolen, self.feed = [], [], set(), None  # `keys`: (number of the log, key), each when it came in force
        self.sources, self.by_key, self.changes, self.drops, self.holds = {}, {}, {}, [], {}
        self.stated, self.windows_of, self.coverage, self.rows, self.newest, self.without_rows = {}, {}, {}, {}, {}, []
        self.requests = lines_of(bundle.open('reads.ndjson')) if 'reads.ndjson' in bundle.paths else iter(())
        self.request = next(self.requests, None)
        report.check('reads.ndjson' not in bundle.paths or self.request and not chosen.searched, 5, 'reads.ndjson is empty, or is in a bundle of a search')
        for line in lines_of(bundle.open('statements.ndjson')):
            try:
                one = read_statement(line)
                need(self.leaves[-1][0] < one.index if self.leaves else (one.index, one.type) == (0, 'begin'), 'it does not ascend, or the first is no begin')
            except Fault as problem:
                raise Fault('statements.ndjson, line %d: %s' % (len(self.leaves) + 1, problem)) from None
            self.judge(one)
            counts = (one.leaves, one.events, one.chain, one.log_leaves, one.log_chain) if one.type == 'coverage' else None
            self.leaves.append((one.index, one.leaf, one.source, counts))
        need(self.begins, 'no statement begins the log')
        for one in self.without_rows:
            self.check(one.as_of < self.newest[one.source] - 31 * DAY, 5, one, 'its requests are missing')
        report.check(self.request is None or chosen.searched, 5, 'reads.ndjson has requests that no statement here counts')
        self.dropped = sorted(((start, end, drop) for drop in self.drops for start, end in drop.indexes), key=lambda one: one[:2])

    def check(self, is_so, claim, one, why):
        self.report.check(is_so, claim, 'statement %%d, %s: %s' % (one.type, why), one.index)

    def name(self, number):
        return 'source %s, %s' % (number, ' '.join(self.sources[number][:2]) if number in self.sources else 'not named here')

    def log_of(self, origin):
        """The number of a log of this feed; None of another one."""
        digits = origin[len(self.feed):] if origin.startswith(self.feed) else ''
        return int(digits) if re.fullmatch('[1-9][0-9]{0,8}', digits) else None

    def judge(self, one):
        last, self.last, only, searched = self.last, one, self.chosen.only, self.chosen.searched
        self.clock += last is not None and one.at < last.at
        self.check(not last or last.type != 'end' or (one.index, one.type) == (last.index + 1, 'begin'), 2, one, 'a leaf follows an end')
        self.check(one.source == 0 if one.type in OF_THE_LOG else one.source or one.type not in OF_A_SOURCE, 2, one, 'it cannot be of number %d' % one.source)
        self.check(one.source == 0 or one.source in self.sources or one.type == 'source', 2, one, 'its source %d was not given before' % one.source)
        self.check(only is None or one.source in (0, only), 3, one, 'it is of another source than the selected one')
        self.check(not searched or one.source == 0 or one.type in OF_A_SOURCE, 3, one, 'it does not belong to a search')
        if one.type not in FORMS:
            self.said.append('Statement %d is of a type that is not known here: %s.' % (one.index, one.type))
        elif one.type == 'note' and one.about == 'clock':
            self.said.append('What statements say of when, beyond the clock of the database: note %d.' % one.index)
        elif one.type not in ('note', 'end'):
            getattr(self, 'on_' + one.type)(one)

    def on_begin(self, one):
        first, one.lost, one.log, one.root = self.begins[0] if self.begins else one, 0, 0, None
        self.check((one.base, one.feed_id) == (first.base, first.feed_id), 2, one, 'it is of another feed')
        self.check(not self.begins or one.number > self.begins[-1].number, 2, one, 'logs do not ascend')
        self.check((one.previous is None) == (one.number == 1), 2, one, 'the first log alone has no previous one')
        self.check(one.adopted_position <= first.adopted_position, 2, one, 'only the first log adopts events')
        self.check(one.carried <= one.index, 2, one, 'it carries more leaves than there are')
        self.feed = '%s/%s.' % (one.base, one.feed_id)
        if one.previous is not None:
            try:
                before = Checkpoint(one.previous.encode())
                one.lost, one.log = before.size - one.carried, self.log_of(before.origin) or 0
                one.root = before.root if one.lost == 0 else None
            except Fault as problem:
                self.check(False, 2, one, 'the previous checkpoint cannot be read: %s' % problem)
            self.check(0 < one.log < one.number and one.lost >= 0, 2, one, 'the previous checkpoint is not of an earlier log, or too small')
        self.check(one.key not in self.stolen, 2, one, 'its key was stated as compromised')
        self.begins.append(one)
        self.keys.append((one.number, one.key))

    def on_key(self, one):
        self.check(one.old == self.keys[-1][1], 2, one, 'the old key was not in force')
        self.check(one.new not in [key for _, key in self.keys], 2, one, 'the new key was one before')
        self.stolen |= {one.old} if one.reason == 'compromised' else set()
        self.keys.append((self.begins[-1].number, one.new))

    def on_source(self, one):
        key = one.kind, one.id
        self.check(one.number == one.source, 2, one, 'it is of source %d and gives %d' % (one.source, one.number))
        self.check(one.number not in self.sources and key not in self.by_key, 2, one, 'a number, or a source, is given twice')
        self.sources.setdefault(one.number, (one.kind, one.id, one.index))
        self.by_key.setdefault(key, (one.number, one.index))

    def on_change(self, one):
        self.check(one.event < one.index, 2, one, 'it is of an event that does not stand before it')
        self.changes.setdefault(one.event, []).append((one.source, (one.raw_sha256, one.raw_bytes)))

    def on_drop(self, one):
        name, _, end = one.month
        one.numbers = set()  # of its records D
        self.drops.append(one)
        self.check(sum(last - first for first, last in one.indexes) == one.events, 4, one, 'it names other leaves than it counts')
        self.check(not one.indexes or one.indexes[-1][1] <= one.index, 4, one, 'it names leaves that do not stand before it')
        self.check(end is not None and end <= one.older_than <= one.dropped_at <= one.at, 4, one, 'the month %s was not old enough' % name)

    def on_hold(self, one):
        hold = self.holds.setdefault(one.id, SimpleNamespace(added=None, released=None))
        self.check(not hold.added if one.action == 'added' else hold.added and not hold.released and hold.added.source == one.source, 4, one,
                   'it is added twice, or released and was not in force')
        setattr(hold, one.action, getattr(hold, one.action) or one)

    def check_drops(self):
        """Claim 4, behind the leaves: what was dropped was under no hold."""
        for one, other in zip(self.dropped, self.dropped[1:]):
            self.check(one[1] <= other[0], 4, other[2], 'leaf %d is dropped twice' % other[0])
        for drop, hold in ((drop, hold) for drop in self.drops if drop.month[1] is not None for hold in self.holds.values()):
            (name, start, end), added, released = drop.month, hold.added, hold.released
            if (added and added.index < drop.index and added.done_at <= drop.dropped_at and added.source in drop.numbers | {0}
                    and not (released and released.index < drop.index and released.done_at <= drop.dropped_at)):
                since, before = start if added.since is None else added.since, end if added.before is None else added.before
                self.check(since > start or before < end, 4, drop, 'the month %s was dropped while hold %d kept it' % (name, added.id))
                if since < end and start < before:
                    self.said.append('The month %s was dropped while hold %d was of it, or of a part of it.' % (name, added.id))

    # ------------------------------------------------------- claim 5: what is stated as read lies within what was asked

    def on_coverage(self, one):
        """Rules 1 to 5 of chapter 7, but for the counts, which Walk compares."""
        read, rows, key = one.read, one.rows, (one.source, one.filter.hash)
        before, seen = self.stated.get(key), self.coverage.get(one.source)
        self.check(all(end <= one.as_of for _, end in read) and one.as_of <= one.at, 5, one, 'it speaks of a time that is still to come')
        self.check(not outside(one.again, read), 5, one, 'what was read again was not read')
        self.check(not any(hole.range[0] < end and start < hole.range[1] for hole in one.holes for start, end in read), 5, one, 'a hole lies in what was read')
        self.check(not self.chosen.searched or not seen, 3, one, 'it is not the last one of its source alone')
        self.coverage[one.source] = one
        if self.chosen.searched:
            return
        self.stated[key] = one
        self.newest[one.source] = max(one.as_of, self.newest.get(one.source, one.as_of))
        windows = self.windows_of[key] = merged(self.windows_of.get(key, []) + rows.windows)
        missing, first = outside(read, merged(windows + one.adopted)), self.begins[0]
        self.check(not before or not outside(before.read, read), 5, one, 'less is read than before')
        self.check(not missing, 5, one, 'what is read from %s to %s was not asked for' % tuple(map(shown, missing or (0, 0))))
        self.check(not one.adopted or (first.adopted_position and one.adopted[-1][1] <= first.at
                                       and (not before or not outside(one.adopted, before.adopted))), 5, one, 'more is adopted than the log began with')
        self.check(rows.first == self.rows.get(one.source, 0) + 1 and rows.last >= rows.first - 1, 5, one, 'its requests do not go on from those before')
        self.rows[one.source] = rows.last
        found, windows, number = sha256(), [], rows.first  # rule 5: the lines of reads.ndjson that it counts
        while self.request is not None and number <= rows.last:
            request = REQUEST(strict_json(self.request))
            if (request.source, request.number) != (one.source, number):
                break
            found.update(self.request + b'\n')
            if request.filter_hash == one.filter.hash and None not in (request.first_date, request.last_date):
                windows.append((request.since, min(request.before, request.first_date, request.last_date)))
            number, self.request = number + 1, next(self.requests, None)
        if number == rows.first <= rows.last:
            self.without_rows.append(one)
            return
        windows = merged(window for window in windows if window[0] < window[1])
        as_stated = windows == rows.windows if len(windows) <= 500 else len(rows.windows) == 500 and set(rows.windows) <= set(windows)
        self.check(number == rows.last + 1 and found.hexdigest() == rows.sha256 and as_stated, 5, one, 'its requests are not those of reads.ndjson')

# =================================================================== claims 2 and 3: all leaves in order, none left out of the selection

class Walk:
    """Each leaf once. A Fault ends it: what does not stand in the form of chapter 6 cannot be read any further."""

    def __init__(self, bundle, chosen, journal, size, wanted, report, sees):
        self.bundle, self.chosen, self.journal, self.size, self.check, self.sees = bundle, chosen, journal, size, report.check, sees
        self.fold, self.numbers, self.found_changes, self.shown = Fold(wanted), {}, set(), set()  # `numbers`: leaves, events, chain of each
        self.counts, self.not_dropped, self.position, self.starts = dict.fromkeys('ELDSC', 0), 0, 0, [start for start, _, _ in journal.dropped]
        self.stream, self.kind, self.opened = io.BytesIO(), '', set()  # `kind`: of the record that comes next; empty at the end of a file
        self.since, self.before = ((end if one is None else one) for one, end in ((chosen.since, NO_TIME), (chosen.before, -NO_TIME)))

    def run(self):
        chosen, journal, size, fold = self.chosen, self.journal, self.size, self.fold
        allowed = 'ES' if chosen.searched else 'ED' + 'L' * chosen.timed + 'S' * (chosen.only is not None)
        for place, leaf, number, counts in journal.leaves + [(size, None, None, None)]:
            need(place <= size, 'statement %d stands behind the %d leaves that are signed', place, size)
            while fold.size < place:
                if not self.kind or fold.size >> 16 not in self.opened:
                    self.open_file(fold.size, fold.size >> 16)
                if self.kind not in allowed:
                    raise Fault('%r is no record of this selection, at leaf %d' % (self.kind, fold.size))
                self.counts[self.kind] += 1
                (self.hash_alone if self.kind in 'SD' else self.event)(fold.size, place)
            if leaf is not None:
                (leaves, events, chain), (log_leaves, _, log_chain) = (self.numbers.get(one, (0, 0, bytes(32))) for one in (number, 0))
                found = leaves, events, chain.hex(), log_leaves, log_chain.hex()
                self.check(counts is None or (counts[3:] == found[3:] if chosen.searched else counts == found), 3,
                           'statement %d counts other leaves of its source, or of the log, than are here below it', place)
                self.check(not self.drop_of(place), 4, 'leaf %d is a statement, and dropped', place)
                self.add(number, leaf, False)
        need(not self.kind and self.opened == self.bundle.leaves.keys(), 'there are more records or files than the %d leaves that are signed', size)
        for index in journal.changes.keys() - self.found_changes:
            self.check(False, 2, 'a change is stated of leaf %d, which is no event of its source that is here', index)
        for number in {number for _, _, number, _ in journal.leaves if chosen.searched and number} - self.shown:
            self.check(False, 3, 'statements of source %d are here, and the search found nothing of it', number)
        self.check(journal.last.type != 'end' or size == journal.last.index + 1, 2, 'a leaf follows the end at leaf %d', journal.last.index)
        self.check(chosen.only is None or chosen.only in journal.sources, 3, 'no statement gives the selected source')

    def open_file(self, index, number):
        if not self.kind:
            need(number not in self.opened, 'leaves/%06d ends before leaf %d', number, index)
            self.opened.add(number)
            self.stream.close()
            self.stream = self.bundle.records(number)
            self.next_kind()
        need(self.kind and number in self.opened, 'leaf %d does not stand in leaves/%06d', index, number)

    def next_kind(self):
        self.kind = self.stream.read(1).decode('latin-1')

    def bytes(self, length):
        data = self.stream.read(length)
        if len(data) != length:
            raise Fault('the record at leaf %d is cut' % self.fold.size)
        return data

    def add(self, number, leaf, is_event):
        """A leaf of a number: its chain, and the tree."""
        index, changes = self.fold.size, self.journal.changes
        if is_event:
            self.check(self.chosen.only in (None, number), 3, 'leaf %d is of another source than the selected one', index)
            if index in changes and all(source == number for source, _ in changes[index]):
                self.found_changes.add(index)
        state = self.numbers.setdefault(number, [0, 0, bytes(32)])
        state[0] += 1
        state[1] += is_event
        state[2] = sha256(state[2] + leaf).digest()
        self.fold.push(0, leaf)

    def hash_alone(self, index, end):
        """What is hidden, and events that were dropped."""
        number, node, drop = int.from_bytes(self.bytes(1 if self.kind == 'S' else 4), 'big'), self.bytes(32), self.drop_of(index)
        if self.kind == 'S':
            need(number < 48 and index % (1 << number) == 0 and index + (1 << number) <= end, 'the hash of 2^%d leaves cannot stand at leaf %d', number, index)
            self.fold.push(number, node)
        else:
            need(self.journal.sources.get(number, (0, 0, index))[2] < index, 'leaf %d is of number %d, which was not given before', index, number)
            self.check(drop, 4, 'leaf %d is dropped, and no drop says so', index)
            if drop:
                drop.numbers.add(number)
            self.add(number, node, True)
        self.next_kind()

    def event(self, index, _):
        """A leaf of an event, its content and later contents: each stated change of an event with its content has its record C, each C its change."""
        data, raw = self.bytes(int.from_bytes(self.bytes(2), 'big')), None
        event = position, _, action, kind, identity, _, _, _, length, expected = read_event(data)
        number, given = self.journal.by_key.get((kind, identity), (0, index))
        need(given < index, 'the source of leaf %d was not given before', index)
        self.check(self.position < position < MAX_NUMBER, 2, 'the position of leaf %d does not ascend', index)
        self.position = position
        if self.kind == 'E':
            raw = self.stream.read(length)
            self.shown.add(number)
            self.check(len(raw) == length and sha256(raw).digest() == expected, 2, 'the content of event %d is not that of its leaf', index)
        if self.chosen.timed:
            self.check((raw is not None) is (action == NO_TIME or self.since <= action < self.before), 3,
                       'event %d is of the time and without its content, or the other way round', index)
        drop = self.drop_of(index)
        self.not_dropped += drop is not None
        self.check(not drop or drop.month[1] is None or drop.month[1] <= action < drop.month[2], 4, 'leaf %d is of another month than its drop', index)
        self.add(number, sha256(b'\x00' + data).digest(), True)
        for see in self.sees:
            see(index, event, number, raw)
        self.next_kind()
        if self.kind == 'C' or index in self.journal.changes:
            self.later(index, number, {change for _, change in self.journal.changes.get(index, ())} if raw is not None else set())

    def later(self, index, number, stated):
        found = []
        while self.kind == 'C':
            length = int.from_bytes(self.bytes(4), 'big')
            need(length <= MAX_RAW, 'a later content of event %d is too long', index)
            raw = self.bytes(length)
            found.append((sha256(raw).hexdigest(), length))
            for see in self.sees:
                see(index, None, number, raw)
            self.next_kind()
        self.counts['C'] += len(found)
        self.check(len(found) == len(stated) and set(found) == stated, 2, 'the later contents of event %d are not those that are stated', index)

    def drop_of(self, index):
        """The drop that names a leaf."""
        at = bisect.bisect_right(self.starts, index) - 1
        return self.journal.dropped[at][2] if at >= 0 and index < self.journal.dropped[at][1] else None

# ===================================================================================================== claim 2: the signatures

def check_signatures(checkpoint, policy, journal, walk, report):
    """Gives the witnesses that signed: name, seconds, size."""
    logs, witnesses = policy
    key, signers, known = Key(checkpoint.origin, LOG, bytes.fromhex(journal.keys[-1][1])), [], {(key.name, key.id) for key in logs + witnesses}
    report.said += ['The checkpoint has a signature of %s, whose key is not known here.' % name
                    for name in sorted({name for name, identity, _ in checkpoint.signatures if (name, identity) not in known})]
    try:
        signers = checkpoint.signers(logs + witnesses)
    except Fault as problem:
        report.check(False, 2, 'checkpoint: %s' % problem)
    for is_so, why in ((checkpoint.origin == '%s%d' % (journal.feed, journal.begins[-1].number), 'its origin is not that of the log'),
                       (checkpoint.root == walk.fold.root(), 'the leaves have another root than the signed one'),
                       (key.vkey in [one.vkey for one in logs], 'the policy does not have the key in force, %s' % key.vkey),
                       (key.vkey in [one.vkey for one, _ in signers], 'the key in force did not sign it')):
        report.check(is_so, 2, 'checkpoint: %s' % why)
    for one in journal.begins:
        journal.check(not one.root or walk.fold.roots.get(one.carried, one.root) == one.root, 2, one,
                      'the leaves that it carries are not those of the previous checkpoint')
    report.facts['key'] = key.vkey
    return [(one.name, seconds, checkpoint.size) for one, seconds in signers if one.kind == WITNESS]

# ===================================================================================== claim 6: unchanged since a checkpoint was kept

def read_kept(bundle, files, report):
    """(name, checkpoint, whether the auditor kept it)"""
    for path in sorted(path for path in bundle.paths if path.startswith('anchors/')) + files:
        try:
            yield path, Checkpoint(pathlib.Path(path).read_bytes() if path in files else bundle.read(path)), path in files
        except Fault as problem:
            report.check(False, 6, '%s: %s' % (path, problem))

def check_kept(kept, policy, journal, walk, report):
    """The rule of chapter 5. Gives what was kept: (witness or None, seconds, size)."""
    found, last = [], journal.begins[-1]
    for name, one, is_kept in kept:
        log, root, size = journal.log_of(one.origin), walk.fold.roots.get(one.size), format(one.size, ',')
        loss = next((' (log %d states that %s leaves of log %d are lost)' % (begin.number, format(begin.lost, ','), begin.log)
                     for begin in journal.begins if log is not None and begin.number > log and begin.carried < one.size), '')
        try:
            if log is None and not one.origin.startswith(last.base + '/'):
                report.said.append('%s is of %s, not of this log: it was not compared.' % (name, one.origin))
                continue
            need(log is not None and log <= last.number, 'it is of another feed of this operator, or of a later log: %s', one.origin)
            need(one.size <= walk.size, '%s leaves were signed, and here are %s%s', size, format(walk.size, ','), loss)
            if root is None:
                report.said.append('%s: %s leaves cannot be compared, as hashes hide them: export with --anchor, which names it.' % (name, size))
                continue
            need(root == one.root, 'its first %s leaves are not those that were signed then%s', size, loss)
            signers = one.signers([Key(one.origin, LOG, bytes.fromhex(key)) for number, key in journal.keys if number == log] + policy[0] + policy[1])
            by_log = {key.public.hex() for key, _ in signers if key.name == one.origin}
            need(by_log, 'no key of its log signed it')
        except Fault as problem:
            report.check(False, 6, '%s: %s' % (name, problem))
            continue
        if by_log <= journal.stolen:
            report.said.append('%s: only a key that is stated as compromised signed it.' % name)
        elif is_kept:
            found += [(None, 0, one.size)] + [(key.name, seconds, one.size) for key, seconds in signers if key.kind == WITNESS]
    return found

# ================================================================================================ claim 7, not claimed: the sample

class Sample:
    """Days that the auditor fetches from Cloudflare: entries of its API, one behind the other or in answers."""

    def __init__(self, checkpoint, journal, options):
        self.journal, self.word, self.is_drawn = journal, options.word or '', options.sample is not None or options.all
        self.seed = sha256(b'orgtrail/sample/v2\n' + checkpoint.body.encode() + self.word.encode()).digest()
        months = {drop.month[0] for drop in journal.drops}
        self.units = [(number, day) for number, stated in sorted(journal.coverage.items()) for start, end in (stated.read if options.once else stated.again)
                      for day in range(-(-max(start, stated.as_of - 540 * DAY) // DAY), end // DAY) if shown(day * DAY)[:7] not in months]
        self.days = self.units if options.all else sorted(self.units[at] for at in self.draw(len(self.units), options.sample or 0))
        self.there, self.here, self.last = {}, {}, None  # {(number, day, id): hashes of contents}
        drawn = set(self.days)
        for entry in (entry for path in options.compare or () for entry in entries_of(path)):
            unit = self.unit_of(entry)
            if unit in drawn if self.is_drawn else shown(unit[1] * DAY)[:7] not in months:
                self.there.setdefault((*unit, entry['id']), set()).add(same(entry))
        self.days = self.days if self.is_drawn else sorted({key[:2] for key in self.there})
        self.wanted, self.missing, self.other, self.only_here = set(self.days), [], [], []

    def draw(self, units, many):
        found, k = {}, 0
        while len(found) < min(many, units):
            found[int.from_bytes(sha256(self.seed + k.to_bytes(4, 'big')).digest()[:8], 'big') % units] = True
            k += 1
        return list(found)

    def unit_of(self, entry):
        try:
            named = [(kind, entry[kind].get('id')) for kind in ('organization', 'account') if type(entry.get(kind)) is dict]
            found = [number for number, one in self.journal.sources.items() if one[:2] in named or len(self.journal.sources) == 1]
            day = re.fullmatch(r'([0-9-]{10})T\d\d:\d\d:\d\d(\.\d+)?Z', entry['action']['time']).group(1)
            need(found and type(entry['id']) is str, 'of no source')
            return found[0], instant(day + 'T00:00:00.000000Z') // DAY
        except (AttributeError, KeyError, TypeError, ValueError):
            raise NoBundle('an entry is of no source here, or has no id or time: %.200s' % json.dumps(entry)) from None

    def see(self, index, event, number, raw):
        """An event, or (without one) a later content of the one before."""
        if event is not None:
            day = event[2] // DAY
            self.last = (number, day, event[6]) if (number, day) in self.wanted and event[2] != NO_TIME else None
        if self.last is not None:
            self.here.setdefault(self.last, set()).update([] if raw is None else [same(json_or_text(raw))])

    def compare(self, report):
        self.missing, self.only_here = sorted(self.there.keys() - self.here.keys()), sorted(self.here.keys() - self.there.keys())
        self.other = sorted(key for key, contents in self.there.items() if self.here.get(key) and not contents <= self.here[key])
        report.check(not (self.missing or self.only_here or self.other), 7, 'the sample: %d entries are only at Cloudflare, %d have other content, '
                     '%d are only here' % (len(self.missing), len(self.other), len(self.only_here)))

    def probability(self, lacking):
        """Of finding it, if so many of the units lack something."""
        return 1 - math.prod(max(0, 1 - lacking / (len(self.units) - at)) for at in range(min(len(self.days), len(self.units))))

    def text(self, is_compared):
        drawn = 'the word "%s"' % self.word if self.word else 'NO WORD: the operator could have tried checkpoints until the draw suits'
        yield 'The sample: %d of %d days%s.' % (len(self.days), len(self.units), ', drawn by the checkpoint and ' + drawn if self.is_drawn else '')
        yield from ('  %s  %s' % (shown(day * DAY), self.journal.name(number)) for number, day in self.days)
        yield 'If so many days lack something, such a sample finds it: %s.' % ', '.join(
            '%d: %.1f %%' % (lacking, 100 * self.probability(lacking)) for lacking in (1, 10, 60))
        yield ('Compared: %d entries of Cloudflare with %d events here.' % (len(self.there), len(self.here)) if is_compared else
               'Fetch these days from Cloudflare with a credential of your own, all pages, and give the files to --compare.')
        for what, keys in (('ONLY AT CLOUDFLARE, left out here', self.missing), ('OTHER CONTENT than at Cloudflare', self.other),
                           ('ONLY HERE: Cloudflare has deleted it, or it was invented', self.only_here)):
            yield from ('%s: source %d, %s, %s' % (what, number, shown(day * DAY), identity) for number, day, identity in keys[:50])

def same(value):  # equal for equal JSON
    return sha256(json.dumps(value, sort_keys=True).encode()).digest()

def json_or_text(raw):
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError):
        return raw.decode('utf-8', 'backslashreplace')

def entries_of(path):
    data, at, cursor = pathlib.Path(path).read_bytes().decode('utf-8', 'replace').strip(), 0, None
    while at < len(data):
        try:
            value, end = json.JSONDecoder().raw_decode(data, at)
            at = re.compile(r'\s*').match(data, end).end()
            if type(value) is dict and 'success' in value:
                need(value['success'] is True and not value.get('errors') and type(value.get('result')) is list, 'an answer without success: fetch it again')
                cursor, value = (value.get('result_info') or {}).get('cursor'), value['result']
        except (Fault, RecursionError) as problem:
            raise NoBundle('%s has what is no answer: %s' % (path, problem)) from None
        yield from value if type(value) is list else [value]
    if cursor:
        raise NoBundle('%s is not complete: its last answer has a cursor, so there are more pages' % path)

# ========================================================================================================================= the report

class Report:
    NEEDS = {1: {1}, 2: {2}, 3: {2, 3}, 4: {2, 3, 4}, 5: {2, 3, 5}, 6: {2, 6}}  # a claim is made if there is no fault of these

    def __init__(self):
        self.found, self.said, self.facts, self.verdict, self.losses, self.claims = {}, [], {}, 'does not hold', [], {claim: [] for claim in self.NEEDS}

    def check(self, is_so, claim, what, index=None):
        """A fault if it is not so. `what` may have a place for the index: faults of one cause are one."""
        if not is_so:
            text = what if index is None else what.replace('%d', str(index), 1)
            one = self.found.setdefault((claim, what), {'claim': claim, 'text': text, 'count': 0, 'indexes': []})
            one['count'] += 1
            one['indexes'] += [index] if index is not None and len(one['indexes']) < 20 else []

    def as_json(self):
        """Faults of kept checkpoints stand first."""
        faults = sorted(self.found.values(), key=lambda one: (one['claim'] != 6, one['claim']))
        broken = {one['claim'] for one in faults}
        claims = ['%d  %s' % (claim, one) for claim, found in self.claims.items() for one in found if not self.NEEDS[claim] & broken]
        return {'holds': not faults, 'verdict': self.verdict, 'losses': self.losses, **self.facts, 'claims': claims, 'faults': faults, 'not_claimed': self.said}

    def as_text(self):
        told = self.as_json()
        yield '; '.join(['The evidence %s' % self.verdict + (': ' + told['faults'][0]['text'] if told['faults'] else '')] + self.losses)
        yield from ['What holds:'] + ['  ' + one for one in told['claims'] or ['nothing']] + ['What does not hold:'] * bool(told['faults'])
        for one in told['faults'][:100]:
            yield '  ! %s%s' % (one['text'], '' if one['count'] == 1 else ' (%d times: %s)' % (one['count'], ', '.join(map(str, one['indexes'][:5]))))
        yield from ['What is not claimed, or is worth knowing:'] + ['  - ' + one for one in self.said]

def tell(chosen, journal, walk, kept, options, report):
    """What follows from all of that, if nothing of it has a fault."""
    size, last, counts, begin = walk.size, journal.coverage.get(chosen.only), walk.counts, journal.begins[0]
    events = '%d events with content, %d without it, %d dropped; %d later contents' % (counts['E'], counts['L'], counts['D'], counts['C'])
    report.claims[2].append('%d leaves in this order are what %s signed, with the content that is here: %s.' % (size, report.facts['key'], events))
    if chosen.searched:
        report.said.append('That these are all events that match the search: the word of the operator.')
    elif chosen.only is None:
        report.claims[3].append('Nothing is left out: each leaf is a statement, an event or a stated drop.')
    elif last:
        report.claims[3].append('Nothing of %s is left out below leaf %d; later leaves of it are in the log, and there may be others.' % (journal.name(chosen.only), last.index))
    else:
        report.said.append('That all of %s is here: no statement counts its leaves.' % journal.name(chosen.only))
    if chosen.timed:
        report.claims[3].append('Content is here of events from %s to %s, and of those without a time.' % tuple('…' if one is None else shown(one) for one in (chosen.since, chosen.before)))
    if chosen.only is not None:
        report.said.append('Anything of other sources but hashes. Holds of an organization stand in its own bundle.')
    for drop in journal.drops:
        report.claims[4].append('The month %s was dropped at %s by %s, retention %s: %d events.' % (drop.month[0], shown(drop.dropped_at), drop.dropped_by, drop.retention, drop.events))
    if not journal.drops:
        report.claims[4].append('No event was dropped.')
    for number, one in sorted(journal.coverage.items()):
        holes = [hole.range for hole in one.holes]
        start, end = one.as_of if one.wanted_since is None else one.wanted_since, one.as_of
        taken = [(start, start)] + [(first, min(last, end)) for first, last in merged(one.read + holes) if start < last and first < end] + [(end, end)]
        gaps = [(before[1], behind[0]) for before, behind in zip(taken, taken[1:]) if before[1] < behind[0]]
        lists = {'read once or more': one.read, 'read again': one.again, 'gaps, never read': gaps, 'holes, not to be had': holes,
                 'adopted, the word of the operator alone': one.adopted}
        told = ['%s: %s' % (what, ', '.join('%s to %s' % tuple(map(shown, span)) for span in found[:8]) + (' and %d more' % (len(found) - 8) if len(found) > 8 else ''))
                for what, found in lists.items() if found] + ['asked for, from the first day on'] * (not one.adopted and not chosen.searched)
        told += ['%d ranges and %d holes more are not stated' % (one.left_out.ranges, one.left_out.holes)] * bool(one.left_out.ranges + one.left_out.holes)
        report.claims[5].append('%s, as of %s: %s.' % (journal.name(number), shown(one.as_of), '; '.join(told)))
    kept_size = max((one for _, _, one in kept), default=0)
    for name, seconds, one in kept:
        report.claims[6].append('The first %d leaves are unchanged since %s.' % (
            one, 'their checkpoint was kept' if name is None else 'the witness %s saw them at %s, by its clock' % (name, shown(seconds * SECOND))))
    report.losses += ['log %d since %s: %s leaves of log %d are lost, as stated' % (one.number, shown(one.at)[:10], format(one.lost, ','), one.log)
                      for one in journal.begins if one.lost > 0]
    for is_so, what in (
            (kept_size < size, 'That the operator has not rewritten the last %d leaves: give a checkpoint that you kept (--checkpoint).' % (size - kept_size)),
            (options.policy is None, 'That the key is that of the operator: it came with the bundle. Compare it, or give your own policy (--policy).'),
            (begin.adopted_position, 'That events up to position %d are as they were received: they were adopted at %s.' % (begin.adopted_position, shown(begin.at))),
            (walk.not_dropped, '%d events that are stated as dropped are here: the drop was not carried out.' % walk.not_dropped),
            (journal.clock, 'The clock of the database went back %d times.' % journal.clock),
            (journal.without_rows, 'The requests behind %d older statements are not here: their windows are signed.' % len(journal.without_rows)),
            (True, 'That what Cloudflare sent was stored, that nothing was invented, and that Date and CF-Ray are those of Cloudflare: the word of the '
                   'operator, whatever is kept. To test it: --sample, --compare.')):
        report.said += [what] if is_so else []
    report.facts.update(size=size, events=counts['E'], unanchored=kept_size == 0, keys_given=options.policy is not None)
    report.verdict = 'holds' + ('' if kept_size == size > 0 and options.policy is not None else ', as far as the operator is believed')

# ============================================================================================================================ all of it

def writer_of(file):
    """--events: a line of JSON for each event that is here, and for each later content of it."""
    names, base = ('position', 'received_at', 'action_time', 'source_kind', 'source_id', 'organization_id', 'id', 'defects'), {}

    def see(index, event, number, raw):
        if event is not None:
            base.update(zip(names, event), index=index, received_at=shown(event[1]), action_time=None if event[2] == NO_TIME else shown(event[2]))
        file.write(json.dumps({**base, 'is_later': event is None, 'raw': None if raw is None else json_or_text(raw)}) + '\n')
    return see

def verify(options, report):
    """Returns the sample, None if there is none."""
    bundle, sample, sees = Bundle(options.dir), None, []
    if not bundle.paths & {'checkpoint', 'statements.ndjson'}:
        raise NoBundle('%s is no bundle' % options.dir)
    with contextlib.ExitStack() as files:
        try:
            check_list(bundle, report)
            chosen, policy = bundle.selection(), read_policy(bundle.read('policy.txt') if options.policy is None else pathlib.Path(options.policy).read_bytes())
            checkpoint, journal, kept = Checkpoint(bundle.read('checkpoint')), Journal(bundle, chosen, report), list(read_kept(bundle, options.checkpoint, report))
            if options.sample is not None or options.all or options.compare:
                if chosen.searched:
                    raise NoBundle('a bundle of a search is no place for a sample: it does not say what is missing')
                sample = Sample(checkpoint, journal, options)
                sees.append(sample.see)
            if options.events:
                sees.append(writer_of(files.enter_context(open(options.events, 'w', encoding='utf-8'))))
            wanted = {begin.carried for begin in journal.begins if begin.root} | {one.size for _, one, _ in kept}
            walk = Walk(bundle, chosen, journal, checkpoint.size, wanted, report, sees)
            files.callback(lambda: walk.stream.close())
            walk.run()
            journal.check_drops()
            witnesses, found = check_signatures(checkpoint, policy, journal, walk, report), check_kept(kept, policy, journal, walk, report)
            # Witnesses that only the bundle names may be the operator's.
            tell(chosen, journal, walk, found + (witnesses if options.policy is not None else []), options, report)
            if options.compare:
                sample.compare(report)
        except (Fault, zlib.error, RecursionError) as problem:
            report.check(False, 2, str(problem))
    if report.found:
        report.verdict = 'does not hold'
        if options.events and os.path.exists(options.events):
            os.remove(options.events)
    return sample

def arguments(given):
    parser = argparse.ArgumentParser(
        prog='verify.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Verifies an evidence bundle of orgtrail offline, and says what holds, what does not, and what is not claimed.',
        epilog='''exit codes: 0 the evidence holds, 5 it does not, 2 there is no bundle, or the options are wrong

  python3 verify.py bundle --checkpoint kept.txt --policy mine.txt             is what was signed in March still the beginning of it?
  python3 verify.py bundle --sample 25 --word "three red boats"                which days to fetch from Cloudflare
  python3 verify.py bundle --sample 25 --word "three red boats" --compare F…   what is missing on either side''')
    add = parser.add_argument
    add('dir', metavar='BUNDLE', nargs='?', default=os.path.dirname(os.path.abspath(__file__)), help='default: the folder of this file')
    add('--checkpoint', '--anchor', metavar='FILE', nargs='+', action='extend', default=[], help='checkpoints that were kept elsewhere')
    add('--policy', metavar='FILE', help='keys and witnesses that you know, instead of the policy.txt of the bundle')
    add('--sample', metavar='DAYS', type=int, nargs='?', const=25, help='draw so many days (25)')
    add('--word', metavar='TEXT', help='for the draw: thought of after you have the checkpoint')
    add('--once', action='store_true', help='draw also from days that were read only once')
    add('--all', action='store_true', help='all days')
    add('--compare', metavar='FILE', nargs='+', action='extend', help='what Cloudflare answered for these days; without a draw: for any')
    add('--events', metavar='FILE', help='write the verified events as lines of JSON')
    add('--json', action='store_true', help='print the report as JSON')
    options = parser.parse_args(given)
    for path in options.checkpoint:
        if os.path.realpath(path).startswith(os.path.join(os.path.realpath(options.dir), '')):
            parser.error('%s is a file of the bundle, which proves nothing about the bundle: give one that was kept elsewhere' % path)
    return options

def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding='utf-8', errors='backslashreplace')
    options, report = arguments(None), Report()
    try:
        sample = verify(options, report)
    except NoBundle as problem:
        print('verify: %s' % problem, file=sys.stderr)
        return NO_BUNDLE
    drawn = {'sample': {name: getattr(sample, name) for name in ('word', 'days', 'missing', 'other', 'only_here')}} if sample else {}
    lines = [*report.as_text(), *(sample.text(options.compare) if sample else ())]
    # A terminal obeys nothing that a bundle has in its names.
    lines = [re.sub('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]', lambda one: '\\u%04x' % ord(one.group()), line) for line in lines]
    try:
        print(json.dumps({**report.as_json(), **drawn}, indent=1) if options.json else '\n'.join(lines), flush=True)
    except BrokenPipeError:  # the reader has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DOES_NOT_HOLD if report.found else HOLDS

if __name__ == '__main__':
    sys.exit(main())
