#!/usr/bin/env python3
"""Verifies an evidence bundle of orgtrail, offline.

It needs Python 3.9 or later, its standard library, and the command `openssl` (3.0 or later) for Ed25519. It was written from
the specification alone, apart from orgtrail's own verifier (but for `verify_found`, whose author knew that one). It reads the bundle as a stream and writes nothing.

Terms: H is SHA-256. A log is a Merkle tree of RFC 6962. The log `events` has one leaf per position of the feed, the log
`journal` one leaf per signed statement. A checkpoint is a signed line "log L has size N and root R". Rewriting an event
changes its leaf, so the root, so the checkpoint. A checkpoint that another party has kept is an anchor: the log must still agree with it.

What no bundle shows, whatever this file says of it:
  newest state     A checkpoint says what the log was, not that it was the newest one. The operator may have a longer log, and have left
                   out what came later. Ask him for a checkpoint of your own choosing of day, and compare with --anchor.
  signing time     A checkpoint has no time. The times in statements are the operator's word. Only a time stamp (--tsa-ca) or a
                   witness, by its own clock, says by when it existed.
  unanchored       Without a checkpoint that a third party kept, the holder of the key may have rewritten all of it, also this
                   file: then a bundle that holds shows no more than that it agrees with itself.

What it does, in this order (`verify`, near the end of the file, calls it all):
  1. Trust.checkpoint    the signatures of events/checkpoint and journal/checkpoint, by the keys of a policy; the quorum of witnesses
  2. read_journal        each statement is a leaf of the journal, none is beyond it; what they say is kept for the next step
  3. Events.check        each leaf in order: the event in the bundle gives it, or the event was dropped and a statement says so;
                         the leaves give the signed root, and on the way the root that each statement and each anchor names,
                         and the chain of each source
  4. the rest            later contents, time stamps, coverage and its gaps, and the list of what is not claimed

A bundle of a time (`Time`) has the content of the events of that time; of others it may have the leaf, which shows when they happened.
A bundle of a search (`verify_found`) has events that a question found, and for each its leaf and the hashes from there to the signed root.
A bundle of one source (`OneSource`) has some leaves of the two logs, and the tiles that lead from these to the signed roots (`Part`).
"""
import argparse
import base64
import bisect
import datetime
import gzip
import hashlib
import heapq
import io
import json
import os
import re
import stat
import struct
import subprocess
import sys
import tempfile
import time

HOLDS, FAILED, USAGE, DOES_NOT_HOLD = 0, 1, 2, 5  # the exit codes

sha256 = hashlib.sha256


class Unreadable(Exception):
    """Something is not of the form that the specification gives it."""


class CannotVerify(Exception):
    """The verifier itself could not do its work: that says nothing about the evidence."""


# ---------------------------------------------------------------------------------------------------------- the report

UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]')


def number_of_things(count, thing):
    return '%s %s%s' % (format(count, ',') if count else 'no', thing, '' if count < 2 else 's')


class Report:
    """What holds, what does not, and what is not claimed. Every fault has an area; a claim needs its areas to be free of them."""

    SHOWN = 20  # causes of an area, and positions of a cause

    def __init__(self):
        self.faults, self.count, self.notes, self.skipped, self.facts = [], {}, [], [], {}
        self.uncompared = []
        self.anchored_to_the_end = False  # whether what was kept elsewhere covers all of both logs
        self.made = []  # claims: (text, whether it is no more than the word of the signer)
        self.causes, self.more = {}, {}  # (area, text without its position): the fault; area: faults that are not kept

    def fault(self, area, text, position=None):
        """Faults of one cause, at several positions, are one."""
        self.count[area] = self.count.get(area, 0) + 1
        cause = area, text.replace(str(position), '', 1)
        if cause in self.causes:
            one = self.causes[cause]
            one['count'] += 1
            one['positions'] += [position] if len(one['positions']) < self.SHOWN and position is not None else []
        elif sum(one['area'] == area for one in self.faults) < self.SHOWN:
            self.causes[cause] = {'area': area, 'position': position, 'text': text, 'count': 1, 'positions': [position] if position is not None else []}
            self.faults.append(self.causes[cause])
        else:
            self.more[area] = self.more.get(area, 0) + 1

    def note(self, text):
        self.notes.append(text)

    def not_compared(self, text):
        """Of what an auditor kept: said before all that holds."""
        self.note(text)
        self.uncompared.append(text)

    def skip(self, text):
        """A check that was not made, since what it needs was not given."""
        self.skipped.append(text)

    def claim(self, areas, text, believed=False):
        """`believed`: it sounds absolute, and is so only as far as someone other than the signer has kept a checkpoint."""
        if not any(self.count.get(area) for area in areas):
            self.made.append((text, believed))

    @property
    def claims(self):
        return [text + ', as far as the signer is believed' if believed and not self.anchored_to_the_end else text for text, believed in self.made]

    def unread(self):
        """Before all else: that some time was not read."""
        gaps = [(one['source'], gap) for one in self.facts.get('coverage', ()) for gap in one['gaps']]
        holes = sum(len(one['holes']) for one in self.facts.get('coverage', ()))
        nothing = sum(not one['ranges'] for one in self.facts.get('coverage', ()))
        if not gaps and not holes and not nothing:
            return []
        first = ' The first gap: %s %s from %s to %s.' % (gaps[0][0]['kind'], gaps[0][0]['id'], gaps[0][1][0] or 'the beginning',
                                                         gaps[0][1][1] or 'the end') if gaps else ''
        return ['Not everything was read: %s and %s%s.%s All are named under "What is not claimed".' % (
            number_of_things(len(gaps), 'gap'), number_of_things(holes, 'hole'),
            ', and nothing of %s' % number_of_things(nothing, 'source') if nothing else '', first)]

    def holds(self):
        return not self.count

    def as_json(self):
        return {'holds': self.holds(), **self.facts, 'claims': self.claims, 'faults': self.faults,
                'fault_count': sum(self.count.values()), 'not_checked': self.skipped, 'not_claimed': self.notes}

    @staticmethod
    def others(fault):
        """How many positions have the same fault, and the first of them."""
        if fault['count'] == 1:
            return ''
        first = fault['positions'][1:5]
        more = ', …' if fault['count'] > len(first) + 1 else ''
        return ' (%s times%s)' % (format(fault['count'], ','), ', also at ' + ', '.join(map(str, first)) + more if first else '')

    def as_text(self):
        """A line each, whatever names the bundle has in it: a terminal obeys nothing of these."""
        lines = ['It does not hold: ' + fault['text'] + self.others(fault) for fault in self.faults if fault['area'] == 'anchors'][:1]
        lines += ['Not compared, and not claimed: ' + text for text in self.uncompared]
        lines += [self.facts['bundle']] if 'bundle' in self.facts else []
        lines += self.unread()
        lines += ["The operator's word, whatever else holds: that orgtrail was given all that Cloudflare had, and stored it. "
                  'To test it, ask Cloudflare for some days with a credential of your own, and compare the ids.']
        lines += ['What holds, as far as the signer is believed (unanchored):' if self.facts.get('unanchored', True) else 'What holds:'] + ['  + ' + text for text in self.claims or ['nothing']]
        if self.faults:
            lines += ['What does not hold:'] + ['  ! ' + fault['text'] + self.others(fault) for fault in self.faults]
            lines += ['  ! … and %s more of the kind "%s"' % (format(count, ','), area) for area, count in self.more.items()]
        lines += ['What was not checked:'] * bool(self.skipped) + ['  ? ' + text for text in self.skipped]
        lines += ['What is not claimed:'] + ['  - ' + text for text in self.notes]
        if self.holds() and (self.facts.get('unanchored') or not self.facts.get('keys_given')):
            lines += ['Against the operator it holds no further than this: %s.' % ', and '.join(
                text for text, is_so in (('its keys were not compared with any that you were given', not self.facts.get('keys_given')),
                                         ('it is unanchored', self.facts.get('unanchored'))) if is_so)]
        lines += ['Result: the evidence %s.' % ('holds' if self.holds() else 'does not hold')]
        return '\n'.join(UNPRINTABLE.sub(lambda match: '\\u%04x' % ord(match.group()), line) for line in lines)


# ------------------------------------------------------------------------------------------- keys, signatures and notes

def strict_base64(text):
    """The bytes, if the text is the one canonical Base64 text of them."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Unreadable('is not Base64')
    if base64.b64encode(data) != (text.encode() if isinstance(text, str) else text):
        raise Unreadable('is not canonical Base64')
    return data


def digest(text):
    """A SHA-256 as statements write it: 64 hexadecimal digits."""
    if isinstance(text, str) and re.fullmatch('[0-9a-f]{64}', text):
        return bytes.fromhex(text)
    raise Unreadable('%.80r is no SHA-256' % (text,))


def root_of(text):
    """A root as statements write it: in Base64, as its checkpoint has it."""
    if isinstance(text, str) and len(text) == 44:
        return strict_base64(text)
    raise Unreadable('%.80r is no root' % (text,))


class Key:
    """A C2SP verifier key: name+id+base64(type ‖ 32 bytes)."""

    def __init__(self, vkey):
        parts = vkey.split('+', 2)
        if len(parts) != 3 or not parts[0] or not re.fullmatch('[0-9a-f]{8}', parts[1]):
            raise Unreadable('%.200r is no verifier key' % vkey)
        self.vkey, self.name, self.id = vkey, parts[0], bytes.fromhex(parts[1])
        data = strict_base64(parts[2])
        self.type, self.public = data[0:1], data[1:]
        if sha256(self.name.encode('utf-8', 'surrogateescape') + b'\n' + data).digest()[:4] != self.id:
            raise Unreadable('the id of the key %.200r is not that of its name and bytes' % vkey)

    def is_ed25519(self, kind):
        return self.type == kind and len(self.public) == 32


LOG_KEY, WITNESS_KEY = b'\x01', b'\x04'


def openssl(*arguments):
    try:
        return subprocess.run(['openssl', *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    except OSError as problem:
        raise CannotVerify('the command openssl cannot be run: %s' % problem)


def check_openssl():
    version = openssl('version').stdout.decode(errors='replace').strip()
    if not re.match(r'OpenSSL ([3-9]|\d\d)', version):
        raise CannotVerify('OpenSSL 3.0 or later is needed for Ed25519, and this is: %s' % version)
    return version


def ed25519_holds(public, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        der = bytes.fromhex('302a300506032b6570032100') + public  # the SubjectPublicKeyInfo of RFC 8410
        for name, data in (('key', der), ('message', message), ('signature', signature)):
            names[name] = os.path.join(folder, name)
            with open(names[name], 'wb') as file:
                file.write(data)
        return openssl('pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', names['key'], '-rawin',
                       '-in', names['message'], '-sigfile', names['signature']).returncode == 0


class Checkpoint:
    """A signed note of three lines: origin, size, root. `signatures`: (key name, key id, signature)."""

    def __init__(self, note):
        try:
            note.decode('utf-8')
        except UnicodeDecodeError:
            raise Unreadable('is not UTF-8')
        if re.search(rb'[\x00-\x09\x0b-\x1f]', note) or len(note) > 1_000_000:
            raise Unreadable('is no signed note: control characters, or too long')
        text, separator, signatures = note.rpartition(b'\n\n')
        lines = text.split(b'\n')
        if not separator or len(lines) != 3 or not lines[0]:
            raise Unreadable('is no checkpoint of three lines and signatures')
        if not re.fullmatch(rb'0|[1-9][0-9]{0,15}', lines[1]) or int(lines[1]) >= 2 ** 53:
            raise Unreadable('has no tree size in its second line')
        self.text, self.origin, self.size = text + b'\n', lines[0].decode(), int(lines[1])
        self.root = strict_base64(lines[2])
        if len(self.root) != 32:
            raise Unreadable('has a root that is no SHA-256')
        if not signatures.endswith(b'\n'):
            raise Unreadable('does not end in a newline')
        self.signatures = []
        if signatures.count(b'\n') > 100:
            raise Unreadable('has more than 100 signatures')
        for line in signatures[:-1].split(b'\n'):
            match = re.fullmatch(r'— ([^\s+]+) ([A-Za-z0-9+/=]+)', line.decode())
            data = strict_base64(match.group(2)) if match else b''
            if len(data) < 5:
                raise Unreadable('has a line that is no signature: %.100r' % line)
            self.signatures.append((match.group(1), data[:4], data[4:]))

    def signature_holds(self, key, signature):
        if key.is_ed25519(LOG_KEY):
            return len(signature) == 64 and ed25519_holds(key.public, self.text, signature)
        when = int.from_bytes(signature[:8], 'big')
        message = b'cosignature/v1\ntime %d\n' % when + self.text
        return len(signature) == 72 and when < 2 ** 63 and ed25519_holds(key.public, message, signature[8:])

    def signers(self, keys):
        """The keys that signed. A line of a key that is not known is ignored, a line of a known one must be right."""
        found = []
        for name, identity, signature in self.signatures:
            for key in keys:
                if (key.name, key.id) == (name, identity):
                    if not self.signature_holds(key, signature):
                        raise Unreadable('has a wrong signature of %s' % key.name)
                    if key not in found:
                        found.append(key)
        return found

    def strangers(self, keys):
        """The names of those who signed, and whose keys are not known."""
        known = {(key.name, key.id) for key in keys}
        return [name for name, identity, _ in self.signatures if (name, identity) not in known]


ORIGIN = re.compile(r'[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~-]+)*/(?P<feed>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<generation>[1-9][0-9]{0,8})/(?P<log>events|journal)')


def same_log(one, other):
    """Whether two origins are of one log of one feed, in whatever generation."""
    one, other = ORIGIN.fullmatch(one), ORIGIN.fullmatch(other)
    return bool(one and other) and one.group('feed', 'log') == other.group('feed', 'log')


def generation(origin):
    return int(ORIGIN.fullmatch(origin).group('generation'))


def keys_for(origin, keys):
    """A key is named like the origin of its log, with the generation: in another generation the same key has another name."""
    named = [key for key in keys if key.is_ed25519(LOG_KEY) and key.name != origin and same_log(key.name, origin)]
    data = [(key.type + key.public) for key in named]
    vkeys = ['%s+%s+%s' % (origin, sha256(origin.encode() + b'\n' + one).hexdigest()[:8], base64.b64encode(one).decode()) for one in data]
    known = {key.vkey for key in keys}
    return keys + [Key(vkey) for vkey in vkeys if vkey not in known]


# --------------------------------------------------------------------------------------------------------------- policy

class Policy:
    """A C2SP tlog-policy: `log VKEY`, `witness NAME VKEY`, `group NAME N|any|all MEMBER…`, `quorum NAME|none`."""

    def __init__(self, data):
        if re.search(rb'[\x00-\x08\x0b-\x1f\x7f]', data):
            raise Unreadable('has control characters')
        self.logs, self.witnesses, self.groups, self.quorum, self.keys, self.ignored, self.grouped = [], {}, {}, None, [], [], set()
        for line in data.decode('utf-8', 'surrogateescape').split('\n'):
            words = line.replace('\t', ' ').split(' ')
            words = [word for word in words if word]
            if words and not words[0].startswith('#'):
                self.read(words, line)
        if self.quorum is None:
            raise Unreadable('has no line "quorum"')

    def read(self, words, line):
        kind, rest = words[0], words[1:]
        if kind == 'log' and len(rest) in (1, 2):
            self.add_key(self.logs, Key(rest[0]), LOG_KEY)
        elif kind == 'witness' and len(rest) in (2, 3):
            self.name(rest[0])
            self.witnesses[rest[0]] = []
            self.add_key(self.witnesses[rest[0]], Key(rest[1]), WITNESS_KEY)
        elif kind == 'group' and len(rest) >= 3:
            members = rest[2:]
            for member in members:
                self.known(member)
                if member in self.grouped:
                    raise Unreadable('has %.100r in a group twice' % member)
                self.grouped.add(member)
            number = {'any': '1', 'all': str(len(members))}.get(rest[1], rest[1])
            if not re.fullmatch('[1-9][0-9]*', number) or int(number) > len(members) or len(set(members)) < len(members):
                raise Unreadable('has a group that cannot be met: %.100r' % line)
            self.name(rest[0])
            self.groups[rest[0]] = (int(number), members)
        elif kind == 'quorum' and len(rest) == 1 and self.quorum is None:
            if rest[0] != 'none':
                self.known(rest[0])
            self.quorum = rest[0]
        else:
            raise Unreadable('has a line that cannot be read: %.100r' % line)

    def add_key(self, keys, key, kind):
        # One key may sign for two logs, `events` and `journal`, under two names. A witness counts once.
        if any(key.public == other.public and (kind == WITNESS_KEY or key.name == other.name) for other in self.keys):
            raise Unreadable('has one key twice: %s' % key.name)
        self.keys.append(key)
        if key.is_ed25519(kind):
            keys.append(key)
        else:
            self.ignored.append(key.name)

    def name(self, name):
        if name == 'none' or name in self.witnesses or name in self.groups:
            raise Unreadable('uses the name %.100r twice' % name)

    def known(self, name):
        if name not in self.witnesses and name not in self.groups:
            raise Unreadable('names %.100r before it says what that is' % name)

    def witness_keys(self):
        return [key for keys in self.witnesses.values() for key in keys]

    def is_met(self, signers, name=None):
        name = name or self.quorum
        if name in self.groups:
            number, members = self.groups[name]
            return sum(self.is_met(signers, member) for member in members) >= number
        return name == 'none' or any(key in signers for key in self.witnesses[name])


# ------------------------------------------------------------------------------------------------------ trees and tiles

class Tree:
    """An RFC 6962 tree that grows by one leaf hash at a time."""

    def __init__(self):
        self.size = 0
        self.peaks = []  # the roots of the full subtrees that make up the tree, the widest first
        self.levels = {}  # tile level (1 and above): the hashes of its tiles, one after the other

    def append(self, node):
        self.size += 1
        rest, height, peaks = self.size, 0, self.peaks
        while not rest & 1:
            node = sha256(b'\x01' + peaks.pop() + node).digest()
            rest >>= 1
            height += 1
            if not height & 7:
                self.levels.setdefault(height >> 3, bytearray()).extend(node)
        peaks.append(node)

    def root(self):
        if not self.peaks:
            return sha256(b'').digest()
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = sha256(b'\x01' + peak + node).digest()
        return node


def tile_paths(level, size):
    """(path, number of hashes) of each tile of a level, in a tree of that size."""
    hashes = size >> (8 * level)
    for number in range((hashes + 255) >> 8):
        width = min(256, hashes - 256 * number)
        yield tile_path(level, number, width), width


def tile_path(level, number, width):
    path, rest = '%03d' % (number % 1000), number // 1000
    while rest:
        path, rest = 'x%03d/%s' % (rest % 1000, path), rest // 1000
    return 'tile/%d/%s%s' % (level, path, '' if width == 256 else '.p/%d' % width)


class Bundle:
    """The files of a bundle, by their paths in it, and which of them were looked at."""

    def __init__(self, folder):
        self.folder, self.read, self.others = folder, set(), set()
        self.real = os.path.realpath(folder)

    def has(self, path):
        """What a link leads to is not in the bundle."""
        full = os.path.join(self.real, *path.split('/'))
        return os.path.isfile(full) and os.path.realpath(full) == full

    def open(self, path):
        self.read.add(path)
        if not self.has(path):
            raise Unreadable('%s is missing' % path)
        return open(os.path.join(self.folder, path), 'rb')

    def bytes(self, path, limit=1 << 20):
        with self.open(path) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Unreadable('%s is longer than it can be' % path)
        return data

    def files(self, under=''):
        """The paths of all files; `others` gets what is no file, a link or a pipe, which is never read."""
        found = []
        for folder, folders, names in os.walk(os.path.join(self.folder, under)):
            for path in [os.path.join(folder, name) for name in folders + names]:
                kind, inside = os.lstat(path).st_mode, os.path.relpath(path, self.folder).replace(os.sep, '/')
                if stat.S_ISREG(kind) and not re.search('[\ud800-\udfff\ufffd]', inside):  # a name that is no UTF-8 leads to no file elsewhere
                    found.append(inside)
                elif not stat.S_ISDIR(kind):
                    self.others.add(inside.encode('utf-8', 'replace').decode())
        return sorted(found)


def is_hidden(path):
    """Of a file system, not of a bundle: `.DS_Store`."""
    return any(part.startswith('.') for part in path.split('/'))


def leaf_tiles(bundle, log, size):
    """(path, bytes) of each tile of level 0 of a log."""
    for path, width in tile_paths(0, size):
        tile = bundle.bytes(log + '/' + path)
        if len(tile) != 32 * width:
            raise Unreadable('%s/%s has %d bytes and not %d' % (log, path, len(tile), 32 * width))
        yield path, tile


def check_upper_tiles(bundle, log, tree, report):
    """The tiles above level 0 add nothing to the root. They are compared so that other software can rely on them."""
    level = 1
    while tree.size >> (8 * level):
        at, hashes = 0, tree.levels[level]
        for path, width in tile_paths(level, tree.size):
            try:
                if bundle.bytes(log + '/' + path) != hashes[at:at + 32 * width]:
                    report.fault(log, '%s/%s does not follow from the tiles below it' % (log, path))
            except Unreadable as problem:
                report.fault(log, str(problem))
            at += 32 * width
        level += 1


class Roots:
    """Who says that a log had which root at which size: checked while the tree grows past that size."""

    def __init__(self):
        self.sizes, self.met = {}, set()

    def expect(self, size, root, area, who, lost=None):
        """`lost`: the fault if it is another root, in place of the usual one."""
        self.sizes.setdefault(size, []).append((root, area, who, lost))

    def check(self, tree, report):
        for root, area, who, lost in self.sizes.pop(tree.size, ()):
            if tree.root() == root:
                self.met.add(who)
            else:
                report.fault(area, lost or '%s has another root for the first %s leaves: history was rewritten' % (who, format(tree.size, ',')))

    def check_rest(self, size, report):
        for beyond, claims in sorted(self.sizes.items()):
            for _, area, who, lost in claims:
                report.fault(area, lost or '%s has %s leaves and this log only %s: leaves are missing at the end'
                             % (who, format(beyond, ','), format(size, ',')))


def joined(hashes):
    """The root over hashes whose number is a power of two."""
    while len(hashes) > 32:
        hashes = b''.join(sha256(b'\x01' + hashes[at:at + 64]).digest() for at in range(0, len(hashes), 64))
    return hashes


class Part:
    """Some leaves of a log, `log/leaves`, and the tiles that prove them."""

    def __init__(self, bundle, log, checkpoint, report):
        self.log, self.size, self.tiles = log, checkpoint.size, {}
        for path in bundle.files(log + '/tile'):
            if not is_hidden(path):
                self.read_tile(bundle, path, report)
        try:
            if self.root(self.size) != checkpoint.root:
                report.fault(log, 'The tiles of %s do not give the root of its checkpoint' % log)
        except Unreadable as problem:
            report.fault(log, str(problem))
        for level, number in self.tiles:
            self.check_parent(level, number, report)
        self.records = bytearray()  # 40 bytes each: index, hash
        self.read_leaves(bundle, report)

    def read_tile(self, bundle, path, report):
        """A tile has one name in a tree of this size, and that many hashes."""
        match = re.fullmatch(r'tile/([0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/[0-9]{1,3})?', path[len(self.log) + 1:])
        level, number = (int(match.group(1)), int(re.sub('[x/]', '', match.group(2)))) if match else (0, self.size)
        width = min(256, (self.size >> (8 * level)) - 256 * number)
        if width < 1 or path != '%s/%s' % (self.log, tile_path(level, number, width)):
            report.fault(self.log, '%s is no tile of a tree of this size' % path)
            bundle.read.add(path)
            return
        hashes = bundle.bytes(path)
        if len(hashes) == 32 * width:
            self.tiles[level, number] = hashes
        else:
            report.fault(self.log, '%s has %d bytes and not %d' % (path, len(hashes), 32 * width))

    def tile(self, level, number):
        if (level, number) not in self.tiles:
            width = min(256, (self.size >> (8 * level)) - 256 * number)
            raise Unreadable('%s/%s is missing' % (self.log, tile_path(level, number, width)))
        return self.tiles[level, number]

    def check_parent(self, level, number, report):
        """The root of a full tile is a hash of the tile above it. The other tiles give the root of the tree."""
        try:
            if len(self.tiles[level, number]) < 32 * 256:
                return
            at = 32 * (number & 255)
            if self.tile(level + 1, number >> 8)[at:at + 32] != joined(self.tiles[level, number]):
                raise Unreadable('%s/%s is not proven by the tile above it' % (self.log, tile_path(level, number, 256)))
        except Unreadable as problem:
            report.fault(self.log, str(problem))

    def root(self, size):
        """The root of the first leaves, from perfect subtrees, the largest first."""
        start, peaks = 0, []
        for height in reversed(range(size.bit_length())):
            if size >> height & 1:
                level = height >> 3
                index = start >> (8 * level)
                at = 32 * (index & 255)
                peaks.append(joined(self.tile(level, index >> 8)[at:at + (32 << (height & 7))]))
                start += 1 << height
        if not peaks:
            return sha256(b'').digest()
        node = peaks.pop()
        while peaks:
            node = sha256(b'\x01' + peaks.pop() + node).digest()
        return node

    def read_leaves(self, bundle, report):
        path, before = self.log + '/leaves', -1
        try:
            with bundle.open(path) as file:
                for record in iter(lambda: file.read(40), b''):
                    index, leaf = int.from_bytes(record[:8], 'big'), record[8:]
                    if len(record) < 40 or not before < index < self.size:
                        raise Unreadable('%s has leaf %d after leaf %d, or is cut off' % (path, index, before))
                    before, at = index, 32 * (index & 255)
                    if self.tile(0, index >> 8)[at:at + 32] != leaf:
                        report.fault(self.log, '%s: leaf %d (position %d) is not the one in the tree' % (path, index, index + 1),
                                     index + 1 if self.log == 'events' else None)
                    self.records += record
        except Unreadable as problem:
            report.fault(self.log, str(problem))

    def leaves(self):
        """(index, hash) of each."""
        for at in range(0, len(self.records), 40):
            yield int.from_bytes(self.records[at:at + 8], 'big'), bytes(self.records[at + 8:at + 40])

    def check_roots(self, roots, report):
        """What was said of roots. A checkpoint whose tiles are not in the bundle cannot be compared."""
        for size in sorted(size for size in roots.sizes if size <= self.size):
            try:
                roots.check(Prefix(size, self.root(size)), report)
            except Unreadable as problem:
                for _, area, who, _ in roots.sizes.pop(size):
                    if area == 'anchors':
                        report.note('That %s is a part of this history: a bundle of one source has not the hashes for its size, %s.'
                                    % (who, format(size, ',')))
                    else:
                        report.fault(area, '%s cannot be compared: %s' % (who, problem))
        roots.check_rest(self.size, report)


class Prefix:
    """A tree whose root is known already."""

    def __init__(self, size, root):
        self.size, self.known = size, root

    def root(self):
        return self.known


# -------------------------------------------------------------------------------------------------------- times, ranges

EPOCH = datetime.datetime(1970, 1, 1)
FOREVER = 1 << 80
DAY = 86_400_000_000
TIME = re.compile(r'([0-9]{4,6})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z')


def first_day(year, month):
    """The number of the first day of a month, from 1970 on. Python's dates end with the year 9999, and those of PostgreSQL do not.
    The calendar repeats itself every 400 years, which are 146,097 days. Months may be counted on beyond 12, or back below 1."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    cycles, year = (year - 2000) // 400, (year - 2000) % 400 + 2000
    return (datetime.date(year, month, 1) - datetime.date(1970, 1, 1)).days + 146_097 * cycles


def microseconds(value):
    """An instant in µs since 1970, from RFC 3339 in UTC."""
    match = TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise Unreadable('%.80r is no instant in UTC, such as 2026-01-31T08:00:00Z' % (value,))
    year, month, day, hour, minute, second = (int(match.group(number)) for number in range(1, 7))
    if not 1 <= month <= 12 or not 1 <= day <= first_day(year, month + 1) - first_day(year, month) or hour > 23 or minute > 59 or second > 59:
        raise Unreadable('%.80r is no instant' % (value,))
    seconds = ((first_day(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second
    return seconds * 1_000_000 + int((match.group(7) or '0').ljust(6, '0'))


def range_of_time(start, end):
    return -FOREVER if start == '-infinity' else microseconds(start), microseconds(end)


def range_of_positions(start, end):
    if count_of(start) < 1 or count_of(end) <= start:
        raise Unreadable('has a range of positions that is none')
    return start, end


def instant(value):
    if abs(value) >= FOREVER:
        return 'ever' if value > 0 else 'the beginning'
    try:
        return (EPOCH + datetime.timedelta(microseconds=value)).isoformat() + 'Z'
    except OverflowError:
        return '%d µs' % value


def merged(ranges):
    """Half-open ranges in order, those that touch made one."""
    result = []
    for start, end in sorted(ranges):
        if start > end:
            raise Unreadable('a range ends before it starts')
        if result and start <= result[-1][1]:
            result[-1][1] = max(result[-1][1], end)
        elif start < end:
            result.append([start, end])
    return result


def missing_from(ranges, start, end):
    """The parts of [start, end) that merged ranges leave out."""
    gaps = []
    for first, last in ranges:
        if last <= start or first >= end:
            continue
        if first > start:
            gaps.append((start, first))
        start = last
    return gaps + ([(start, end)] if start < end else [])


def pairs(value, read):
    """[[from, to], …] of a statement, `to` not included."""
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Unreadable('%.80r is no list of ranges' % (value,))
    return [read(start, end) for start, end in value]


def count_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Unreadable('%.80r is no count' % (value,))
    return value


# -------------------------------------------------------------------------------------------------------------- journal

def no_duplicates(items):
    if len({key for key, _ in items}) < len(items):
        raise Unreadable('says one thing twice')
    return dict(items)


def whole(text):
    if abs(int(text)) >= 2 ** 53:
        raise Unreadable('has a number that not every parser reads the same: %.40s' % text)
    return int(text)


def no_number(text):
    raise Unreadable('has a number that is not whole: %.40s' % text)


def check_plain(value, depth=32):
    """Nothing that two parsers could read in two ways: no half of a surrogate pair, no deep nesting."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, (dict, list)):
        if not depth:
            raise Unreadable('is nested too deeply')
        for one in [*value, *value.values()] if isinstance(value, dict) else value:
            check_plain(one, depth - 1)


def strict_json(data):
    value = json.loads(data.decode('utf-8'), object_pairs_hook=no_duplicates, parse_int=whole, parse_float=no_number, parse_constant=no_number)
    check_plain(value)
    if not isinstance(value, dict):
        raise Unreadable('is no object')
    return value


def field(statement, name):
    if name not in statement:
        raise Unreadable('has no field "%s"' % name)
    return statement[name]


def text_of(value):
    if not isinstance(value, str):
        raise Unreadable('has %.80r instead of a text' % (value,))
    return value


def name_of(value):
    if not text_of(value):
        raise Unreadable('has an empty name')


def maybe(check):
    return lambda value: value is None or check(value)


def each(check):
    def check_list(value):
        if not isinstance(value, list):
            raise Unreadable('has %.80r instead of a list' % (value,))
        for one in value:
            check(one)
    return check_list


def one_of(*words):
    def check_word(value):
        if value not in words:
            raise Unreadable('has %.80r and not one of %s' % (value, ', '.join(words)))
    return check_word


def with_fields(**checks):
    def check_object(value):
        if not isinstance(value, dict):
            raise Unreadable('has %.80r instead of an object' % (value,))
        for name, check in checks.items():
            check(field(value, name))
    return check_object


def with_optional(check_first, **checks):
    """Fields that statements of earlier versions do not have."""
    def check_object(value):
        check_first(value)
        for name, check in checks.items():
            if name in value:
                check(value[name])
    return check_object


def time_range(value):
    ((start, end),) = pairs([value], range_of_time)
    if start > end:
        raise Unreadable('has a range that ends before it starts')


def number_of(first, last=2 ** 53):
    def check_number(value):
        if not first <= count_of(value) <= last:
            raise Unreadable('has the number %d, which is not from %d to %d' % (value, first, last))
    return check_number


def any_number(value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable('has %.80r instead of a number' % (value,))


def month_of(value):
    if not re.fullmatch(r'([0-9]{4}|[+-][0-9]{6})-(0[1-9]|1[0-2])|-infinity', text_of(value)):
        raise Unreadable('%.80r is no month' % value)


def positions_of(value):
    return pairs(value, range_of_positions)


def times_of(value):
    return pairs(value, range_of_time)


TREE = with_fields(origin=name_of, size=count_of, root=root_of)
HEAD = with_fields(type=name_of, at=microseconds, tree=TREE)
FORMS = {  # the fields of each type of statement; a reader leaves alone the fields and types that it does not know
    'genesis': with_fields(version=text_of, feed_id=text_of, vkeys=each(text_of), retention=maybe(text_of), adopted=count_of),
    'source': with_fields(number=number_of(1, 65_535), kind=name_of, id=name_of, organization_id=maybe(text_of)),
    'coverage': with_optional(with_fields(
        source_kind=name_of, source_id=name_of, filter=with_fields(text=text_of, hash=text_of), wanted_since=maybe(microseconds),
        passes=each(with_fields(**{'pass': any_number, 'ranges': times_of})), events=count_of, chain=digest, commits=count_of,
        server_time=maybe(microseconds), reads=maybe(with_optional(
            with_fields(count=count_of, sha256=digest), after=with_fields(count=count_of, sha256=digest)))),
        as_of=microseconds, left_out=with_fields(ranges=count_of, holes=count_of, readings=count_of), read_again=times_of,
        holes=each(with_fields(**{'pass': any_number}, range=time_range, reason=text_of, attempts=count_of, found_at=microseconds)),
        readings=each(with_fields(range=time_range, method=text_of, number=count_of, direction=one_of('asc', 'desc'), found=count_of,
                                  read_from=microseconds, read_to=microseconds))),
    'change': with_fields(position=count_of, event_id=text_of, raw_sha256=digest, length=count_of, seen_at=microseconds),
    'drop': with_fields(
        month=month_of, events=count_of, ids_sha256=maybe(digest), retention=text_of, account=text_of, holds=each(count_of),
        positions=positions_of, part=number_of(1), parts=number_of(1)),
    'jump': with_fields(id=count_of, positions=positions_of, old_timeline=text_of, new_timeline=text_of, found_at=microseconds),
    'clock': with_fields(before=maybe(microseconds), ahead_seconds=maybe(any_number), compared_at=maybe(microseconds)),
    'hold': with_fields(
        action=one_of('added', 'released'), id=count_of, organization_id=maybe(text_of), account_id=maybe(text_of),
        since=maybe(microseconds), before=maybe(microseconds), reason=text_of, created_by=maybe(text_of), created_as=text_of,
        created_at=microseconds, released_by=maybe(text_of), released_as=maybe(text_of), released_at=maybe(microseconds)),
    'key': with_fields(
        reason=one_of('rotation', 'lost', 'compromised'), old_vkeys=each(text_of), new_vkeys=each(text_of), first_size=count_of),
    'schema': with_fields(from_version=text_of, to_version=text_of, size_before=count_of, size_after=count_of),
    'fork': with_optional(  # it may say what genesis says
        with_fields(last_note=text_of, common_size=count_of, cause=text_of, by=text_of),
        version=text_of, feed_id=text_of, vkeys=each(text_of), retention=maybe(text_of), adopted=count_of,
        old_vkeys=each(text_of), stolen_vkeys=each(text_of), old_journal=TREE),
    'end': with_fields(reason=text_of, by=text_of),
    'timestamp': with_fields(anchor=text_of, token_sha256=digest, checkpoint=TREE),
    'archive': with_fields(
        id=count_of, kind=name_of, month=month_of, first_position=count_of, last_position=count_of, events=count_of, bytes=count_of,
        sha256=digest, ids_sha256=digest, raw_sha256=digest, written_at=microseconds),
}
LONGEST = 65_535 - len(b'orgtrail/journal/v1\n')  # a leaf has a length of two bytes in an entry bundle


class Journal:
    """Reads the signed statements in order, and keeps what the events are held against."""

    def __init__(self, origin, roots, journal_origin, journal_roots, report):
        self.origin, self.roots, self.report = origin, roots, report
        self.journal_origin, self.journal_roots = journal_origin, journal_roots
        self.types, self.adopted, self.vkeys, self.fork, self.ended = {}, 0, set(), None, None
        self.new_keys = []  # (first size of the events that they sign, verifier keys)
        self.earlier_vkeys = set()
        self.stolen = set()  # the bytes of keys that were compromised
        self.size, self.at, self.backwards = 0, -FOREVER, 0  # of the statement before
        self.sources = {}  # number: (kind, id)
        self.organizations = {}  # (kind, id): organization id
        self.coverage = {}  # (kind, id): (filter, merged ranges, size, events, statement): what was stated last
        self.reads = {}  # (kind, id): Reads: what is stated of its list of requests
        self.chains = {}  # size: [(source, events, chain, who)]
        self.dropped, self.jumped = [], []  # half-open ranges of positions
        self.drops = []  # (who, at, statement, positions named)
        self.held = {}  # number of a source: [(ranges, text)]: events that a hold has, if they are of this source
        self.holds = {}  # id: [the statement that added it, when it was released]
        self.changes = {}  # (position, SHA-256): the statement
        self.named = []  # sentences on kept checkpoints of the journal before, which the fork names

    def read(self, index, text):
        who = 'statement %d' % (index + 1)
        try:
            if len(text) > LONGEST:
                raise Unreadable('is longer than a leaf can be')
            statement = strict_json(text)
            HEAD(statement)
            kind, tree, at = statement['type'], statement['tree'], microseconds(statement['at'])
            who += ' (%s)' % kind
            size = self.expect(tree, self.origin, self.roots, who)
            self.check_order(index, kind, size, at, who)
            self.types[kind] = self.types.get(kind, 0) + 1
            FORMS.get(kind, HEAD)(statement)
            reader = getattr(self, 'read_' + kind, None)
            if reader and kind in FORMS:
                reader(statement, size, at, who)
        except (Unreadable, ValueError, TypeError, AttributeError, RecursionError) as problem:
            self.report.fault('journal', '%s %s' % (who, problem))

    def check_order(self, index, kind, size, at, who):
        """A journal begins with genesis, that of a later generation with fork. Statements are made while the tree grows."""
        if index == 0:
            match = ORIGIN.fullmatch(self.journal_origin)
            first = 'genesis' if not match or match.group('generation') == '1' else 'fork'
            if kind != first:
                self.report.fault('journal', '%s is the first one, and no %s' % (who, first))
        elif kind == 'fork':
            self.report.fault('journal', '%s is a fork, which only the first one can be' % who)
        if kind == 'genesis' and (index > 1 or 'genesis' in self.types):
            self.report.fault('journal', '%s is another genesis' % who)
        if size < self.size:
            self.report.fault('journal', '%s speaks of a smaller tree than the one before it' % who)
        self.backwards += at < self.at
        self.size, self.at = size, at

    def expect(self, tree, origin, roots, who):
        """Notes what a statement says of a tree, for when that tree is made; answers its size."""
        if field(tree, 'origin') != origin:
            raise Unreadable('is about another log: %.200r' % tree['origin'])
        roots.expect(count_of(field(tree, 'size')), root_of(field(tree, 'root')), 'journal', who)
        return tree['size']

    def read_genesis(self, statement, size, at, who):
        self.adopted = statement['adopted']
        self.vkeys.update(statement['vkeys'])

    def read_key(self, statement, size, at, who):
        if 'old_signs_until' in statement:
            microseconds(statement['old_signs_until'])
        if 'by' in statement:
            text_of(statement['by'])
        for vkey in statement['old_vkeys']:
            if self.vkeys and vkey not in self.vkeys:
                self.report.fault('journal', '%s replaces a key that this log never had: %.200s' % (who, vkey))
                break
        self.vkeys.update(statement['old_vkeys'] + statement['new_vkeys'])
        self.new_keys.append((statement['first_size'], statement['new_vkeys']))
        if statement['reason'] == 'compromised':
            self.stolen.update(key.public for key in plain_keys(statement['old_vkeys']))
            self.report.note('That what the key before %s signed is the log\'s: it was compromised. A checkpoint of it counts only as far '
                             'as an anchor, a cosignature or a time stamp is older than the theft.' % who)

    def read_timestamp(self, statement, size, at, who):
        self.expect(statement['checkpoint'], self.journal_origin, self.journal_roots, who)

    def read_fork(self, statement, size, at, who):
        self.fork = self.fork or statement
        self.adopted = statement.get('adopted', self.adopted)
        self.vkeys.update(statement.get('vkeys', ()))
        self.earlier_vkeys.update(statement.get('old_vkeys', ()))  # of earlier generations: a kept checkpoint may be by one
        self.stolen.update(key.public for key in plain_keys(statement.get('stolen_vkeys', ())))

    def read_end(self, statement, size, at, who):
        self.ended = who, statement

    def read_source(self, statement, size, at, who):
        number, source = statement['number'], (statement['kind'], statement['id'])
        if number in self.sources or source in self.organizations:
            raise Unreadable('gives a source or a number a second time')
        self.sources[number] = source
        self.organizations[source] = statement['organization_id']

    def read_coverage(self, statement, size, at, who):
        source = (statement['source_kind'], statement['source_id'])
        self.chains.setdefault(size, []).append((source, statement['events'], digest(statement['chain']), who))
        ranges = merged([pair for one in statement['passes'] for pair in times_of(one['ranges'])])
        condition = (statement['filter']['text'], statement['filter']['hash'])
        over = microseconds(statement['as_of']) if 'as_of' in statement else at + 3600 * 1000000  # the first version did not say as of when
        if ranges and ranges[-1][1] > over:
            self.report.fault('coverage', '%s: %s is stated as read from %s to %s, before that was over' % (who, named(source), instant(over), instant(ranges[-1][1])))
        before = self.coverage.get(source)
        if before and before[0] == condition:
            lost = [gap for start, end in before[1] for gap in missing_from(ranges, start, end)]
            if lost:
                self.report.fault('coverage', '%s no longer covers %s to %s of %s, under the same filter'
                                  % (who, instant(lost[0][0]), instant(lost[0][1]), named(source)))
        self.coverage[source] = (condition, ranges, size, statement['events'], statement)
        if statement['reads'] is not None:
            self.reads.setdefault(source, Reads(source, self.report)).state(statement['reads'], who)

    def read_change(self, statement, size, at, who):
        self.changes[statement['position'], digest(statement['raw_sha256'])] = statement

    def read_hold(self, statement, size, at, who):
        identity = statement['id']
        if statement['action'] == 'added':
            if identity in self.holds:
                raise Unreadable('adds the hold %d a second time' % identity)
            self.holds[identity] = [statement, FOREVER]
        elif identity not in self.holds or self.holds[identity][1] != FOREVER or statement['released_at'] is None:
            raise Unreadable('releases the hold %d, which was not added, twice, or without a time' % identity)
        else:
            self.holds[identity][1] = microseconds(statement['released_at'])

    def read_drop(self, statement, size, at, who):
        positions = positions_of(statement['positions'])
        if any(end > size + 1 for _, end in positions):
            raise Unreadable('names positions that its tree of %d leaves does not have' % size)
        if 'dropped_at' in statement:
            microseconds(statement['dropped_at'])
        self.dropped += positions
        self.drops.append((who, at, statement, sum(end - start for start, end in positions)))

    def read_jump(self, statement, size, at, who):
        self.jumped += positions_of(statement['positions'])

    def read_clock(self, statement, size, at, who):
        if statement['before'] is not None:
            self.report.note('When things were stored and stated before %s: the clock of the database went back there, from %s (%s).'
                             % (instant(at), instant(microseconds(statement['before'])), who))
        if statement['ahead_seconds'] is not None:
            self.report.note('That the clock of the database was right at %s: it was %d seconds ahead of Cloudflare\'s (%s).'
                             % (instant(at), statement['ahead_seconds'], who))

    def finish(self):
        """What the drops say together. A drop goes in parts if it is long; each part has the number of events of all."""
        before = 0
        for start, end in sorted(self.dropped + self.jumped):
            if start < before:
                self.report.fault('journal', 'Position %d is named twice, by drops or by jumps' % start, start)
            before = max(before, end)
        self.dropped, self.jumped = merged(self.dropped), merged(self.jumped)
        groups = []
        for drop in self.drops:
            if drop[2]['part'] == 1 or not groups:
                groups.append([])
            groups[-1].append(drop)
            self.check_time(*drop[:3])
            self.check_holds(*drop[:3])
        for group in groups:
            who, month, events = group[0][0], group[0][2]['month'], group[0][2]['events']
            parts = [(one['part'], one['parts'], one['month'], one['events']) for _, _, one, _ in group]
            count = sum(drop[3] for drop in group)
            if parts != [(number, len(group), month, events) for number in range(1, len(group) + 1)]:
                self.report.fault('journal', '%s: the parts of the drop of %s are not complete' % (who, month))
            elif count != events:
                self.report.fault('journal', 'The drop of %s states %s events and names %s positions'
                                  % (month, format(events, ','), format(count, ',')))

    def check_time(self, who, at, drop):
        """Whether the month was as old as the retention asks for, when it was dropped."""
        month = drop['month']
        if month == '-infinity':
            self.report.fault('retention', '%s dropped events without a time, which are never old enough' % who)
            return
        retention = interval(drop['retention'])
        if retention is None:
            self.report.note('Whether %s kept to the retention: it states it as %.80s.' % (who, json.dumps(drop['retention'])))
        elif long_before(min(at, dropped_at(drop)), *retention) < month_times(month)[1]:
            self.report.fault('retention', '%s dropped %s before the retention stated in it allowed that' % (who, month))

    def check_holds(self, who, at, drop):
        """A hold of everything over all of the month had its events. One of an organization or an account had those of its own log."""
        for identity in drop['holds']:
            if identity not in self.holds:
                self.report.fault('journal', '%s names the hold %d, which no statement adds' % (who, identity))
        if drop['month'] == '-infinity' or not drop['positions']:
            return
        start, end = month_times(drop['month'])
        for identity, (hold, released) in self.holds.items():
            since, before = hold['since'], hold['before']
            is_over_all = (since is None or microseconds(since) <= start) and (before is None or microseconds(before) >= end)
            organization, account, added = hold['organization_id'], hold['account_id'], microseconds(hold['created_at'])
            text = '%s dropped %s while the hold %d was in force' % (who, drop['month'], identity)
            is_of_all = organization is None and account is None
            if not is_over_all:
                continue
            if added <= dropped_at(drop) < released:
                if is_of_all:
                    self.report.fault('retention', text)
                elif organization is None or account is None:
                    log = ('organization', organization) if account is None else ('account', account)
                    for number in [number for number, one in self.sources.items() if one == log]:
                        self.held.setdefault(number, []).append((merged(positions_of(drop['positions'])), text))
            elif is_of_all and added <= at < released:
                self.report.note('That %s dropped %s before the hold %d was added, as it says.' % (who, drop['month'], identity))

    def is_dropped(self, position):
        return is_in(self.dropped, position)


def is_in(ranges, position):
    """Whether merged ranges have a position."""
    at = bisect.bisect_right(ranges, [position, FOREVER]) - 1
    return at >= 0 and position < ranges[at][1]


def named(source):
    return '%s %s' % source


def month_times(month):
    """The first instant of a month, and the first of the next one."""
    year, number = int(month[:-3]), int(month[-2:])
    return first_day(year, number) * DAY, first_day(year, number + 1) * DAY


def dropped_at(drop):
    return microseconds(drop.get('dropped_at', drop['at']))


def interval(text):
    """Months, days and µs of an interval as PostgreSQL writes it: "1 year 2 mons", "540 days 12:00:00"; None if it is none."""
    number = r'[+-]?[0-9]{1,7}'
    match = re.fullmatch(r'(?:(%s) years?(?: |$))?(?:(%s) mons?(?: |$))?(?:(%s) days?(?: |$))?(?:([+-]?)([0-9]{1,7}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?)?'
                         % (number, number, number), text)
    if not match or not text or text.endswith(' '):
        return None
    years, months, days, sign, hours, minutes, seconds, digits = match.groups(default='')
    us = ((int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)) * 1_000_000 + int(digits.ljust(6, '0'))
    return int(years or 0) * 12 + int(months or 0), int(days or 0), -us if sign == '-' else us


def long_before(time, months, days, us):
    """An instant less an interval, as PostgreSQL counts: months by the calendar, to the last day of a month that is shorter, then days, then the rest."""
    day, rest = divmod(time, DAY)
    year = 1970 + day // 366 - 1 if day >= 0 else 1970 + day // 365 - 1
    month = 1
    while first_day(year, month + 1) <= day:
        month += 1
    within = min(day - first_day(year, month), first_day(year, month - months + 1) - first_day(year, month - months) - 1)
    return (first_day(year, month - months) + within - days) * DAY + rest - us


def read_journal(bundle, checkpoint, journal, report):
    """Statements beyond the signed size are not believed, nor is one whose leaf is not in the tree."""
    tree = Tree()
    with bundle.open('journal/entries.ndjson') as file:
        for _, tile in leaf_tiles(bundle, 'journal', checkpoint.size):
            for at in range(0, len(tile), 32):
                line = file.readline(1 << 20)
                text, index = line[:-1] if line.endswith(b'\n') else line, tree.size
                if text == line:
                    report.fault('journal', 'journal/entries.ndjson ends in the middle of statement %d' % (index + 1))
                if sha256(b'\x00orgtrail/journal/v1\n' + text).digest() == tile[at:at + 32]:
                    journal.read(index, text)
                else:
                    report.fault('journal', 'statement %d is not the one that was signed' % (index + 1))
                tree.append(tile[at:at + 32])
        if file.read(1):
            report.fault('journal', 'journal/entries.ndjson has statements that are not signed, after the first %d' % tree.size)
    if tree.root() != checkpoint.root:
        report.fault('journal', 'The statements do not give the root of journal/checkpoint')
    check_upper_tiles(bundle, 'journal', tree, report)


def read_part_of_journal(bundle, part, journal, report):
    """The statements that a bundle of one source has: line k is the leaf of record k in journal/leaves."""
    with bundle.open('journal/entries.ndjson') as file:
        for index, leaf in part.leaves():
            line = file.readline(1 << 20)
            if not line.endswith(b'\n'):
                report.fault('journal', 'journal/entries.ndjson ends before or in the middle of statement %d' % (index + 1))
            if sha256(b'\x00orgtrail/journal/v1\n' + line[:-1]).digest() == leaf:
                journal.read(index, line[:-1])
            else:
                report.fault('journal', 'statement %d is not the one that was signed' % (index + 1))
        if file.read(1):
            report.fault('journal', 'journal/entries.ndjson has more lines than journal/leaves has records')
    if next(part.leaves(), (None, None))[0] != 0:
        report.fault('journal', 'The first statement of the journal is not in the bundle')


def check_journal_roots(bundle, checkpoint, roots, report):
    """The journal once more: its statements speak of what it was before them."""
    tree = Tree()
    roots.check(tree, report)
    for _, tile in leaf_tiles(bundle, 'journal', checkpoint.size):
        for at in range(0, len(tile), 32):
            tree.append(tile[at:at + 32])
            roots.check(tree, report)
    roots.check_rest(tree.size, report)


# --------------------------------------------------------------------------------------------------------------- events

EVENT, HOLE = b'orgtrail/event/v1\n', b'orgtrail/hole/v1\n'
FILE_LEAVES = 65_536


def read_exactly(file, length):
    data = file.read(length)
    if len(data) != length:
        raise Unreadable('ends in the middle of an event')
    return data


def raw_hash(file, length):
    """H(raw), read in pieces: a wrong length must not cost memory."""
    if length > 1 << 26:
        raise Unreadable('has an event of %d bytes, which is longer than one can be' % length)
    if length <= 1 << 20:
        return sha256(read_exactly(file, length)).digest()
    total = sha256()
    while length:
        piece = read_exactly(file, min(length, 1 << 20))
        total.update(piece)
        length -= len(piece)
    return total.digest()


def source_key(kind, identity):
    """A source as it stands in leaf data."""
    return b''.join(len(data).to_bytes(2, 'big') + data for data in (str(kind).encode(), str(identity).encode()))


def source_in(leaf):
    """Kind and id as they stand in the leaf data, if the five fields of variable length fill it exactly."""
    at, source_end = 58, 0
    last = len(leaf) - 36
    for number in range(5):
        if at + 2 > last:
            return None
        start, at = at + 2, at + 2 + (leaf[at] << 8) + leaf[at + 1]
        text = leaf[start:at]
        if not text.isascii() and not is_utf8(text):
            return None
        if number == 1:
            source_end = at
    return leaf[58:source_end] if at == last else None


def organization_in(leaf):
    """The third field of variable length, of a leaf whose fields fill it."""
    at = 58
    for _ in range(2):
        at += 2 + (leaf[at] << 8) + leaf[at + 1]
    return leaf[at + 2:at + 2 + (leaf[at] << 8) + leaf[at + 1]]


def is_utf8(data):
    try:
        return data.decode() is not None
    except UnicodeDecodeError:
        return False


class Time:
    """The time that a bundle is of, `events/time`: an object with `since` and `before`, each an instant or null. Nothing signs it: it
    says which events must be here with their content, no more. An event without a time is of every time."""

    def __init__(self, data):
        value = strict_json(data)
        if set(value) != {'since', 'before'}:
            raise Unreadable('is not since and before')
        self.since = -FOREVER if value['since'] is None else microseconds(value['since'])
        self.before = FOREVER if value['before'] is None else microseconds(value['before'])
        if self.since >= self.before:
            raise Unreadable('is an empty time')
        self.stated = value
        self.text = '%s to %s' % (value['since'] or 'the beginning', value['before'] or 'the end')

    def has(self, leaf):
        return not has_time(leaf) or self.since <= int.from_bytes(leaf[50:58], 'big', signed=True) < self.before

    def has_some_of(self, month):
        start, end = (-FOREVER, FOREVER) if month == '-infinity' else month_times(month)
        return start < self.before and end > self.since


def has_time(leaf):
    return leaf[50:58] != b'\x80' + bytes(7)


def time_of(bundle, report):
    if bundle.has('events/time'):
        try:
            return Time(bundle.bytes('events/time'))
        except (Unreadable, ValueError, RecursionError) as problem:
            report.fault('events', 'events/time: it %s' % problem)
    return None


def records_of_file(file, path, first, has_content, report):
    """(position, leaf data, whether raw is the one of the leaf; None without content) for each event of a file."""
    before = first
    while True:
        start = file.read(2)
        if not start:
            return
        if len(start) < 2:
            raise Unreadable('ends in the middle of an event')
        leaf = read_exactly(file, (start[0] << 8) + start[1])
        if has_content:
            length = read_exactly(file, 4)
            actual = raw_hash(file, int.from_bytes(length, 'big'))
        position = int.from_bytes(leaf[34:42], 'big')
        if not leaf.startswith(EVENT) or len(leaf) < 104:
            report.fault('events', '%s has a record after position %d that is no event' % (path, before))
        elif not before < position <= first + FILE_LEAVES:
            report.fault('events', '%s has position %d after position %d' % (path, position, before), position)
        else:
            yield position, leaf, leaf[-36:] == length + actual if has_content else None
            before = position


def shown(bundle, size, time, report):
    """The events in order of position: those with content; in a bundle of a time also those whose leaf is here without it."""
    before = 0
    withheld = records(bundle, size, 'withheld/%s.leaves', report) if time else ()
    for event in heapq.merge(records(bundle, size, 'payload/%s.oev', report), withheld, key=lambda one: one[0]):
        if event[0] == before:
            report.fault('events', 'Position %d: the event is here with and without its content' % before, before)
        else:
            yield event
        before = event[0]


def records(bundle, size, name, report):
    """The events of all files of one kind, in order of position."""
    before = -1
    for path in bundle.files('events/' + name.split('/')[0]):
        match = re.fullmatch(r'events/%s(\.gz)?' % name.replace('.', r'\.') % '([0-9]{6})', path)
        if not match or int(match.group(1)) * FILE_LEAVES >= size or int(match.group(1)) == before:
            if not is_hidden(path):
                report.fault('events', '%s belongs to no position of the checkpoint, or is there twice' % path)
            continue
        number, packed = int(match.group(1)), match.group(2)
        before = number
        with bundle.open(path) as plain:
            file = io.BufferedReader(gzip.GzipFile(fileobj=plain), 1 << 20) if packed else plain
            try:
                if packed and not os.fstat(plain.fileno()).st_size:
                    raise Unreadable('is empty, and no packed file')
                if packed and any(flags & 0xe2 for flags in plain.peek(4)[3:4]):  # a checksum of the header, and what is reserved: unpackers differ
                    raise Unreadable('has a header that not everything unpacks')
                yield from records_of_file(file, path, number * FILE_LEAVES, name.startswith('payload'), report)
            except (Unreadable, EOFError, OSError, gzip.zlib.error) as problem:
                report.fault('events', '%s cannot be read to its end: %s' % (path, problem))


class Progress:
    def __init__(self, total):
        self.total, self.next = total, time.monotonic() + 3

    def at(self, done):
        if time.monotonic() >= self.next:
            self.next += 3
            print('verify: %s of %s positions' % (format(done, ','), format(self.total, ',')), file=sys.stderr, flush=True)


class Events:
    """Walks over the leaves and the payload together."""

    def __init__(self, bundle, checkpoint, journal, roots, report, time=None, asked=None):
        self.time, self.until = time, checkpoint.size
        self.withheld = self.unshown = 0  # in a bundle of a time: leaves without content, hashes without leaf
        self.of_time = self.timeless = 0  # those with content up to position `until`; those without a time
        self.changed, self.left_out = {position for position, _ in journal.changes}, set()  # of the changed ones, those without content
        self.bundle, self.checkpoint, self.journal, self.roots, self.report = bundle, checkpoint, journal, roots, report
        self.asked = asked.encode() if asked else None
        self.of_organization = {}  # (kind, id): events whose leaf names the organization that is asked for
        self.present = self.dropped = self.holes = self.jumped = self.late_holes = self.contradicted = 0
        self.unknown = 0  # dropped events whose source the bundle does not name
        self.chains = {}  # source as in the leaf: [events, chain]
        self.numbers = {source_key(*source): number for number, source in journal.sources.items()}
        self.unproven = {}  # source: a text that says why its chain could not be computed again

    def check(self):
        tree, report, sizes, chains = Tree(), self.report, self.roots.sizes, self.journal.chains
        progress, found = Progress(self.checkpoint.size), shown(self.bundle, self.checkpoint.size, self.time, self.report)
        event = next(found, None)
        self.at_size(tree)
        for path, tile in leaf_tiles(self.bundle, 'events', self.checkpoint.size):
            sources = self.sources_of_tile(path, len(tile) // 32)
            for at in range(0, len(tile), 32):
                position, stored = tree.size + 1, tile[at:at + 32]
                number = sources[at >> 5] if sources else None
                if event and event[0] == position:
                    self.check_event(event, stored, number)
                    event = next(found, None)
                else:
                    self.check_absence(position, stored, number)
                tree.append(stored)
                if position in sizes or position in chains:
                    self.at_size(tree)
            progress.at(tree.size)
        if event:
            report.fault('events', 'There are events beyond the last position of the checkpoint, from %d on' % event[0], event[0])
        if tree.root() != self.checkpoint.root:
            report.fault('events', 'The leaf hashes do not give the root of events/checkpoint')
        check_upper_tiles(self.bundle, 'events', tree, report)
        self.roots.check_rest(tree.size, report)

    def sources_of_tile(self, path, width):
        """`events/sources/N`, cut and named like the tile: the number of the source of each leaf, 0 for a hole. It is not signed:
        of an event that was dropped it is believed until the chain of the source is compared."""
        path = path.replace('tile/0/', 'events/sources/')
        if not self.bundle.has(path):
            return None
        data = self.bundle.bytes(path)
        if len(data) == 2 * width:
            return struct.unpack('>%dH' % width, data)
        self.report.fault('events', '%s has %d bytes and not %d' % (path, len(data), 2 * width))

    def check_event(self, event, stored, number):
        position, leaf, raw_holds = event
        if raw_holds is None:
            self.withheld += 1
            self.leave_out(position)
        else:
            self.present += 1
            self.of_time += position <= self.until
        if raw_holds is False:
            self.report.fault('events', 'Position %d: the content is not that of its leaf' % position, position)
        if sha256(b'\x00' + leaf).digest() != stored:
            self.report.fault('events', 'Position %d: the event is not the one in the tree' % position, position)
        if self.journal.dropped and self.journal.is_dropped(position):
            self.contradicted += 1
        self.check_jump(position)
        if self.time:
            self.check_time(position, leaf, raw_holds is not None)
        source = source_in(leaf)
        if source is None:
            self.report.fault('events', 'Position %d: the fields of the leaf do not fill it' % position, position)
            return
        if source not in self.numbers:
            self.report.fault('events', 'Position %d: no statement names its source' % position, position)
        elif number is not None and number != self.numbers[source]:
            self.report.fault('events', 'Position %d: events/sources gives it to another source' % position, position)
        elif self.asked and organization_in(leaf) == self.asked:
            name = self.journal.sources[self.numbers[source]]
            self.of_organization[name] = self.of_organization.get(name, 0) + 1
        self.grow_chain(source, stored)

    def leave_out(self, position):
        if position in self.changed:
            self.left_out.add(position)

    def check_time(self, position, leaf, has_content):
        if has_content and not has_time(leaf):
            self.timeless += 1
        if has_content and not self.time.has(leaf):
            self.report.fault('events', 'Position %d: its content is here, and it is not of the time of the bundle' % position, position)
        if not has_content and self.time.has(leaf):
            self.report.fault('events', 'Position %d: it is of the time of the bundle, and its content is not here' % position, position)

    def check_jump(self, position):
        if self.journal.jumped and is_in(self.journal.jumped, position):
            self.report.fault('events', 'Position %d: a jump left it out, and it has the leaf of an event' % position, position)

    def grow_chain(self, source, stored):
        state = self.chains.setdefault(source, [0, bytes(32)])
        state[0] += 1
        state[1] = sha256(state[1] + stored).digest()

    def check_absence(self, position, stored, number):
        if sha256(b'\x00' + HOLE + position.to_bytes(8, 'big')).digest() == stored:
            self.holes += 1
            self.jumped += is_in(self.journal.jumped, position)
            self.late_holes += position > self.journal.adopted and not is_in(self.journal.jumped, position)
            if number:
                self.report.fault('events', 'Position %d: a hole is given to a source' % position, position)
        elif self.journal.is_dropped(position):
            self.dropped += 1
            if number in self.journal.sources:
                self.check_held(position, number)
            self.check_hash_alone(position, stored, number)
        elif self.time:
            self.unshown += 1
            self.leave_out(position)
            self.check_hash_alone(position, stored, number)
        else:
            self.report.fault('events', 'Position %d: the event is missing, and no drop declares that' % position, position)

    def check_hash_alone(self, position, stored, number):
        """Of an event nothing is here but its hash: its source is that of events/sources."""
        self.check_jump(position)
        if number is None:
            self.unknown += 1
        elif number in self.journal.sources:
            self.grow_chain(source_key(*self.journal.sources[number]), stored)
        else:
            self.report.fault('events', 'Position %d: events/sources gives it to a source that no statement names' % position, position)

    def check_held(self, position, number):
        for held in [one for one in self.journal.held.get(number, ()) if is_in(one[0], position)]:
            self.journal.held[number].remove(held)
            self.report.fault('retention', held[1], position)

    def at_size(self, tree):
        """What was said of this size: roots, and the chain of each source."""
        self.roots.check(tree, self.report)
        self.check_chains(tree.size)

    def check_chains(self, size):
        for source, events, chain, who in self.journal.chains.pop(size, ()):
            count, actual = self.chains.get(source_key(*source), (0, bytes(32)))
            self.unproven.pop(source, None)
            if count == events and actual != chain:
                self.report.fault('coverage', '%s: the events of %s up to position %d do not give its chain' % (who, named(source), size))
            elif count > events or events - count > self.unknown:
                self.report.fault('coverage', '%s: %s has %s events up to position %d, and %s are stated'
                                  % (who, named(source), format(count, ','), size, format(events, ',')))
            elif count < events:
                self.unproven[source] = 'its chain, since the bundle does not say which dropped events were its own'


    def without_content(self):
        return ', %s without content, %s as hashes alone' % (format(self.withheld, ','), format(self.unshown, ',')) if self.time else ''

    def conclude_time(self, held, of):
        if not self.time:
            return
        if self.unshown:
            self.report.note('That none of %s events that are here as hashes alone is of the time from %s. What is here is in the log; more '
                             'of that time may be.' % (format(self.unshown, ','), self.time.text))
        else:
            self.report.claim(held, 'These are all events %sthat happened from %s, or have no time, up to position %s, but for what was dropped: %s'
                              % (of, self.time.text, format(self.until, ','), format(self.of_time, ',')), believed=True)
        self.report.note('What %s other events say, which are not of that time. %s events without a time are here.'
                         % (format(self.withheld + self.unshown, ','), format(self.timeless, ',')))
        months = sorted({drop[2]['month'] for drop in self.journal.drops if self.time.has_some_of(drop[2]['month'])})
        if months:
            self.report.note('What happened from %s and was dropped: month %s.' % (self.time.text, ', '.join(months)))


class OneSource(Events):
    """The leaves of one source, and the payload of these: `events/leaves` instead of the whole log."""

    def __init__(self, bundle, checkpoint, journal, roots, report, part, time=None):
        super().__init__(bundle, checkpoint, journal, roots, report, time)
        self.part = part
        named_ones = sorted(set(journal.sources.values()) | set(journal.coverage))
        self.source = named_ones[0] if len(named_ones) == 1 else None
        report.facts['source'] = self.source and {'kind': self.source[0], 'id': self.source[1]}
        report.facts['bundle'] = 'This is a bundle of one source: %s.' % (named(self.source) if self.source else 'which one, it does not say clearly')
        if self.source in journal.coverage:
            self.until = journal.coverage[self.source][2]
        if len(named_ones) != 1:
            report.fault('events', 'The statements of the bundle are about %d sources and not about one%s'
                         % (len(named_ones), ''.join(', ' + named(one) for one in named_ones[:5])))
        if not journal.coverage:
            report.fault('coverage', 'No statement of coverage is here, so nothing shows that these are all events of the source')
        self.number = min(journal.sources, default=None)
        if part.records and self.number is None:
            report.fault('journal', 'There are leaves, and no statement names their source')
        for position in sorted(self.changed - {index + 1 for index, _ in part.leaves() if index + 1 in self.changed}):
            report.fault('changes', 'Position %d: a statement about a changed event that is not listed' % position, position)

    def check(self):
        report, found = self.report, shown(self.bundle, self.checkpoint.size, self.time, self.report)
        sizes = sorted(size for size in self.journal.chains if size <= self.checkpoint.size)
        event = next(found, None)
        for index, stored in self.part.leaves():
            while sizes and sizes[0] <= index:
                self.check_chains(sizes.pop(0))
            while event and event[0] <= index:
                event = self.refuse(event, found)
            if event and event[0] == index + 1:
                self.check_event(event, stored, None)
                event = next(found, None)
            else:
                self.check_absence(index + 1, stored, self.number)
        while event:
            event = self.refuse(event, found)
        for size in sizes:
            self.check_chains(size)
        self.part.check_roots(self.roots, report)

    def refuse(self, event, found):
        self.report.fault('events', 'Position %d: its content is here, and events/leaves does not list it' % event[0], event[0])
        return next(found, None)

    def conclude(self, held):
        if not self.source or not self.journal.coverage:
            return
        report, who, size = self.report, named(self.source), self.journal.coverage[self.source][2]
        listed = len(self.part.records) // 40
        count = sum(index < size for index, _ in self.part.leaves())
        report.claim(held + ['coverage'], 'These are all events of %s up to position %s: %s%s'
                     % (who, format(size, ','), format(count, ','), ', some without their content' if self.time else ''), believed=True)
        report.claim(held, 'Each of its %s positions is accounted for: %s with unchanged content, %s dropped as declared%s'
                     % (*(format(number, ',') for number in (listed, self.present, self.dropped)), self.without_content()), believed=True)
        self.conclude_time(held + ['coverage'], 'of %s ' % who)
        if size < self.checkpoint.size:
            report.note('That none of the events of %s after position %s is left out: %s are here.'
                        % (who, format(size, ','), format(listed - count, ',')))
        report.note('What the statements say that are not here, and anything about other sources.')


# -------------------------------------------------------------------------------------------------------- other files

def check_listed_hashes(bundle, report):
    """README.txt lists files as sha256sum does. It is not signed: it tells an accident from an attack, no more."""
    listed = set()
    try:
        with bundle.open('README.txt') as file:
            lines = file.read(1 << 26).decode('utf-8', 'replace').split('\n')
    except Unreadable:
        lines = []
    for line in lines:
        match = re.fullmatch(r'([0-9a-f]{64})  (.+)', line)
        if not match:
            continue
        path = match.group(2)
        listed.add(path)
        if path.startswith('/') or '..' in path.split('/') or not bundle.has(path):
            report.fault('files', '%s, which README.txt lists, is missing' % path)
            continue
        total = sha256()
        with open(os.path.join(bundle.folder, path), 'rb') as file:
            for piece in iter(lambda: file.read(1 << 20), b''):
                total.update(piece)
        if total.hexdigest() != match.group(1):
            report.fault('files', '%s is not the file that README.txt lists' % path)
    for path in bundle.files() if listed else ():
        if path not in listed and not is_hidden(path) and re.match('events/|journal/|policy.txt$|changes.ndjson$', path):
            report.fault('files', '%s, which is a file of the two logs, is not listed in README.txt' % path)
    if listed:
        report.claim(['files'], '%d files are as README.txt lists them' % len(listed))
    else:
        report.note('That no file was damaged by accident: README.txt lists no SHA-256 of files.')


class Reads:
    """The list of requests of one source. A row is a line of JSON, and the list is one hash: H(the hash before + H(the line)).

    A statement has the number of rows so far and their hash. The rows up to `after` may be gone, so it has their hash as well."""

    NONE = {'count': 0, 'sha256': '00' * 32}

    def __init__(self, source, report):
        self.source, self.report = source, report
        self.hashes = {0: bytes(32)}  # so many rows: their hash, as stated
        self.count, self.first = 0, 1  # as the last statement has it; the first row that it promises
        self.next, self.hash, self.is_broken = None, None, False  # while rows are read

    def state(self, reads, who):
        after = reads.get('after', self.NONE)
        if after['count'] > reads['count'] or reads['count'] < self.count:
            self.report.fault('reads', '%s has fewer reads of %s than were stated before' % (who, named(self.source)))
        for one in (after, reads):
            if self.hashes.setdefault(one['count'], digest(one['sha256'])) != digest(one['sha256']):
                self.report.fault('reads', '%s has another hash of the first %d reads of %s than was stated before'
                                  % (who, one['count'], named(self.source)))
            self.hashes[one['count']] = digest(one['sha256'])
        self.count, self.first = reads['count'], after['count'] + 1

    def begin(self):
        self.next, self.hash = self.first, self.hashes[self.first - 1]

    def take(self, number, line, who):
        if self.is_broken:
            return
        if number != self.next or number > self.count:
            self.is_broken = True
            raise Unreadable('is row %d of %s, which does not belong there' % (number, named(self.source)))
        self.hash = sha256(self.hash + sha256(line).digest()).digest()
        self.next += 1
        if self.hashes.get(number, self.hash) != self.hash:
            self.is_broken = True
            self.report.fault('reads', 'The reads of %s up to row %d are not those that were stated' % (named(self.source), number))

    def end(self):
        if not self.is_broken and (self.next or self.first) <= self.count:
            self.report.fault('reads', 'Reads of %s are stated and not in the bundle, from row %d to %d'
                              % (named(self.source), self.next or self.first, self.count))


READ = with_fields(
    number=number_of(1), source_kind=name_of, source_id=name_of, read_at=microseconds, lane=text_of, filter_hash=text_of,
    since=microseconds, before=microseconds, pages=count_of, entries=count_of, answers=count_of, first_date=maybe(microseconds),
    first_cf_ray=maybe(text_of), last_date=maybe(microseconds), last_cf_ray=maybe(text_of), bodies_sha256=digest)
LONGEST_READ = 65_536


def check_reads(bundle, journal, report):
    """journal/reads.ndjson: the requests behind what is covered, those of one source after those of another, sorted by the bytes of kind
    and id. Each row that the last statement of its source promises is there, and no other."""
    path, rows, reads, last = 'journal/reads.ndjson', 0, None, None
    if bundle.has(path):
        with bundle.open(path) as file:
            for rows, line in enumerate(iter(lambda: file.readline(LONGEST_READ), b''), 1):
                try:
                    if not line.endswith(b'\n'):
                        report.fault('reads', '%s: line %d is too long, or has no end' % (path, rows))
                        break
                    row = strict_json(line[:-1])
                    READ(row)
                    source = row['source_kind'], row['source_id']
                    key = tuple(part.encode() for part in source)
                    if key != last:
                        is_later, last, reads = last is None or key > last, key, journal.reads.get(source)
                        if not is_later or reads is None:
                            reads = None
                            raise Unreadable('is a row of %s, which does not belong there' % named(source))
                        reads.begin()
                    if reads:
                        reads.take(row['number'], line[:-1], rows)
                except (Unreadable, ValueError, TypeError, AttributeError, RecursionError) as problem:
                    report.fault('reads', 'Line %d of %s %s' % (rows, path, problem))
                    if reads:
                        reads.is_broken = True
    for one in journal.reads.values():
        one.end()
    if rows:
        report.claim(['signatures', 'journal', 'reads'], '%s reads are those that were stated' % format(rows, ','))
    gone = [one.first - 1 for one in journal.reads.values() if one.first > 1]
    if gone:
        report.note('What %s earlier reads of %d sources were: their rows are no longer kept.' % (format(sum(gone), ','), len(gone)))


def check_changes(bundle, journal, events, journal_holds, report):
    """changes.ndjson: the content that Cloudflare gave later, one object a line with `position` and `raw`, each stated. It may repeat
    `event_id` and `seen_at` of the statement."""
    paths = [path for path in ('changes.ndjson', 'journal/changes.ndjson') if bundle.has(path)]
    left = dict(journal.changes)
    for path in paths:
        with bundle.open(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(1 << 26), b''), 1):
                try:
                    if not line.endswith(b'\n'):
                        raise Unreadable('has no end')
                    change = strict_json(line)
                    raw = text_of(field(change, 'raw')).encode()
                    stated = left.pop((count_of(field(change, 'position')), sha256(raw).digest()), {'length': None})
                    is_stated = stated['length'] == len(raw) and set(change) <= {'position', 'event_id', 'seen_at', 'raw'}
                    if is_stated and 'seen_at' in change:
                        is_stated = microseconds(change['seen_at']) == microseconds(stated['seen_at'])
                    if not is_stated or change.get('event_id', stated['event_id']) != stated['event_id']:
                        raise Unreadable('is not what a statement `change` says')
                except (Unreadable, ValueError, TypeError, AttributeError, RecursionError) as problem:
                    report.fault('changes', 'Line %d of %s %s' % (number, path, problem))
    withheld = [change for change in left if change[0] in events.left_out]  # the later content goes with the content
    if withheld:
        report.note('The later content of %d changed events, which are not of the time of the bundle.' % len(withheld))
    for change in withheld:
        del left[change]
    lost = sorted(position for position, _ in left if not journal.is_dropped(position))
    for position in lost:
        report.fault('changes', 'The later content of the changed event %d is stated and not in the bundle' % position, position)
    if len(left) > len(lost):
        report.note('The later content of %d changed events: the events were dropped.' % (len(left) - len(lost)))
    if journal.changes and journal_holds:
        report.claim(['changes'], 'The later content of %d changed events is the one that was stated' % (len(journal.changes) - len(left) - len(withheld)))


def expect_anchor(note, who, logs, keys, journal, report, kept=True):
    """Holds a kept checkpoint against the log it is of. `logs`: origin: Roots. `kept`: by the auditor, or the policy is that of the bundle."""
    try:
        checkpoint = Checkpoint(note)
        keys = keys_for(checkpoint.origin, keys)
        strangers = checkpoint.strangers([key for key in keys if key.is_ed25519(LOG_KEY)])
        if not kept and len(strangers) == len(checkpoint.signatures):
            report.note('That %s is a checkpoint: the policy has no key that signed it.' % who)
            return None
        signers = [key for key in checkpoint.signers(keys) if key.name == checkpoint.origin and key.is_ed25519(LOG_KEY)]
        if not signers:
            raise Unreadable('has no signature of a known key of its log')
        if all(key.public in journal.stolen for key in signers):
            report.note('When %s was made: a key that was stolen signed it, so it counts if it was kept before the theft.' % who)
        origin = next((one for one in logs if one == checkpoint.origin or same_log(one, checkpoint.origin)), None)
        if origin is None:
            raise Unreadable('is of another log: %s' % checkpoint.origin)
        lost = None
        if checkpoint.origin != origin:
            theirs, ours = generation(checkpoint.origin), generation(origin)
            if origin.endswith('/journal') and theirs < ours:
                return expect_old_journal(checkpoint, who, theirs, journal, report)
            if origin.endswith('/journal'):
                raise Unreadable('is of generation %d, and this is generation %d' % (theirs, ours))
            is_common = theirs == ours - 1 and checkpoint.size <= (journal.fork['common_size'] if journal.fork else 0)
            if theirs < ours and not is_common:
                lost = '%s has %s leaves of generation %d, and generation %d does not go on from them: behind the fork they are lost or rewritten' % (
                    who, format(checkpoint.size, ','), theirs, ours)
        logs[origin].expect(checkpoint.size, checkpoint.root, 'anchors', who, lost)
        return checkpoint
    except Unreadable as problem:
        report.fault('anchors', '%s %s' % (who, problem))


def expect_old_journal(checkpoint, who, theirs, journal, report):
    """Each generation has a journal of its own: of those before there is what the fork names, and that anchors nothing of this one."""
    old = (journal.fork or {}).get('old_journal')
    match = ORIGIN.fullmatch(old['origin']) if old else None
    named = int(match.group('generation')) if match else 0
    kept = theirs, checkpoint.size
    if not old or kept < (named, old['size']):
        report.not_compared('That the %s statements of %s, of generation %d, belong to this history: %s.' % (
            format(kept[1], ','), who, theirs, 'the fork names only the root of %s of generation %d' % (format(old['size'], ','), named)
            if old else 'the fork names no journal'))
    elif kept == (named, old['size']) and checkpoint.root == root_of(old['root']):
        journal.named.append('%s is the journal of generation %d as the fork names it, of %s statements' % (who, theirs, format(kept[1], ',')))
    else:
        raise Unreadable('has %s statements of generation %d, but the fork names others, %s of generation %d: statements that were kept '
                         '(holds, gaps) are not in this history' % (format(kept[1], ','), theirs, format(old['size'], ','), named))


def anchors_in(bundle, logs, keys, journal, report, kept):
    """Every file below anchors/ is a checkpoint."""
    found = []
    for path in [path for path in bundle.files('anchors') if not is_hidden(path)]:
        try:
            found += [path] if expect_anchor(bundle.bytes(path), path, logs, keys, journal, report, kept) else []
        except Unreadable as problem:
            report.fault('anchors', str(problem))
    return found


def as_in_bundle(bundle, note):
    """The file of the bundle that is the same checkpoint as one that is said to be kept; its text decides, and not who signed it."""
    for path in ['events/checkpoint', 'journal/checkpoint'] + [path for path in bundle.files('anchors') if not is_hidden(path)]:
        try:
            if bundle.bytes(path).rpartition(b'\n\n')[0] == note.rpartition(b'\n\n')[0]:
                return path
        except Unreadable:
            pass
    return None


def check_fork(journal, events_head, roots, keys, report):
    """The log of a later generation goes on from the common leaves of the one before, whose last anchored checkpoint the fork has."""
    fork = journal.fork
    if not fork:
        return
    try:
        if fork['common_size'] > events_head.size:
            raise Unreadable('says that %d leaves are common, and here are %d' % (fork['common_size'], events_head.size))
        if not fork['last_note']:
            report.note('From where the generation before went on: the fork names no checkpoint of it.')
            return
        last = Checkpoint(fork['last_note'].encode())
        if not same_log(last.origin, events_head.origin) or generation(last.origin) >= generation(events_head.origin):
            raise Unreadable('names a checkpoint of no generation before this one: %s' % last.origin)
        keys = keys_for(last.origin, keys)
        if not last.signers([key for key in keys if key.is_ed25519(LOG_KEY)]):
            report.note('That the checkpoint in the fork is signed: the policy has no key of it.')
        if last.size <= fork['common_size']:
            roots.expect(last.size, last.root, 'journal', 'The checkpoint in the fork')
        report.note('What generation %d had behind its first %s leaves, which the fork left.'
                    % (generation(last.origin), format(fork['common_size'], ',')))
    except Unreadable as problem:
        report.fault('journal', 'The fork %s' % problem)


def plain_keys(vkeys):
    """Those that are keys of a log: another text announces nothing."""
    found = []
    for vkey in vkeys:
        try:
            found.append(Key(vkey))
        except Unreadable:
            pass
    return [key for key in found if key.is_ed25519(LOG_KEY)]


def check_new_key(journal, size, head, path, report):
    """From the size of the events that a statement `key` names on, the new key signs both logs. Who has stolen the old one cannot take that
    statement away."""
    new = ([vkeys for first, vkeys in journal.new_keys if first <= size] or [[]])[-1]
    keys = [key for key in plain_keys(new) if key.name == head.origin]
    try:
        if keys and not head.signers(keys):
            raise Unreadable('is not signed by the key that signs from its size on')
    except Unreadable as problem:
        report.fault('signatures', '%s %s' % (path, problem))


def check_timestamps(bundle, checkpoint_paths, authority, report):
    """RFC 3161: each token against the checkpoint file whose SHA-256 it has, if the authority's certificate was given."""
    tokens = [path for path in bundle.files() if path.endswith('.tsr')]
    if tokens and not authority:
        report.note('When the journal existed: %d time stamps are here, and verifying them needs --tsa-ca.' % len(tokens))
        return
    candidates = [path for path in checkpoint_paths + bundle.files('timestamps') if not path.endswith('.tsr')]
    for token in tokens:
        bundle.read.add(token)
        arguments = ['ts', '-verify', '-in', os.path.join(bundle.folder, token), '-CAfile', authority, '-data']
        stamped = [path for path in candidates if openssl(*arguments, os.path.join(bundle.folder, path)).returncode == 0]
        if stamped:
            report.claim(['signatures', 'journal'], '%s is a time stamp of %s' % (token, stamped[0]))
        else:
            report.fault('timestamps', '%s is no time stamp of a checkpoint of this bundle by this authority' % token)


# ------------------------------------------------------------------------------------------------------------- verifying

class Trust:
    """Which keys count: those that the auditor gave, else those in the bundle."""

    def __init__(self, bundle, options, policy=None):
        """`policy`: that which came with the evidence, if it is not in a bundle."""
        self.given, self.required = bool(options.policy or options.key), [Key(text) for text in options.witness]
        data = options.policy if options.policy is not None else bundle.bytes('policy.txt') if bundle else policy
        if bundle:
            bundle.read.add('policy.txt')
        try:
            self.policy = Policy(data)
        except Unreadable as problem:
            raise Unreadable('the policy %s' % problem)
        if options.key:
            self.policy.logs = [Key(text) for text in options.key]
        self.witnesses_given = bool(options.policy or options.witness)
        self.keys = self.policy.logs + self.policy.witness_keys()
        self.keys += [key for key in self.required if key.vkey not in {known.vkey for known in self.keys}]

    def checkpoint(self, bundle, log, report):
        """The checkpoint of a log of the bundle, and the witnesses that signed it too."""
        path = log + '/checkpoint'
        try:
            checkpoint = Checkpoint(bundle.bytes(path))
        except Unreadable as problem:
            raise Unreadable('%s %s' % (path, problem))
        return checkpoint, self.judge(checkpoint, log, path, report)

    def judge(self, checkpoint, log, path, report):
        """Whether those signed it who must; answers the witnesses among them."""
        try:
            match = ORIGIN.fullmatch(checkpoint.origin)
            if not match or match.group('log') != log:
                raise Unreadable('is not of a log of this kind: %s' % checkpoint.origin)
            signers = checkpoint.signers(self.keys)
            if not any(key in self.policy.logs and key.name == checkpoint.origin for key in signers):
                raise Unreadable('has no signature of a key that the policy gives for %s' % checkpoint.origin)
            for name in checkpoint.strangers(self.keys + self.policy.keys):
                if self.given:
                    report.note('That %s signed %s: its key is not in the policy.' % (name, path))
                else:  # the policy of a bundle names all who signed
                    report.fault('signatures', '%s has a signature of %s, which is not in the policy' % (path, name))
            vkeys = {key.vkey for key in signers}
            if not self.policy.is_met(signers) or any(key.vkey not in vkeys for key in self.required):
                raise Unreadable('lacks signatures of witnesses that are required')
            return [key for key in signers if key not in self.policy.logs]
        except Unreadable as problem:
            report.fault('signatures', '%s %s' % (path, problem))
            return []


def claim_anchors(trust, witnesses, anchors, packed, checkpoints, report):
    """`anchors`: (path, checkpoint) of those that are parts of this history; `packed`: how many of the bundle are."""
    external = bool(anchors) or (bool(witnesses) and trust.witnesses_given)
    report.facts['unanchored'] = not external
    for path, anchor in anchors:
        report.claim(['signatures', 'anchors', 'events', 'journal'], '%s, which you kept, is a part of this history (its first %s leaves)'
                     % (path, format(anchor.size, ',')))
    for key in witnesses:
        report.claim(['signatures', 'events'], 'The witness %s signed this checkpoint of the events%s'
                     % (key.name, '' if trust.witnesses_given else ' (its key came with the bundle)'))
    if packed:
        report.claim(['signatures', 'anchors', 'events', 'journal'], '%d checkpoints that came with the bundle are parts of this history' % packed)
    if not external:
        report.note('unanchored: that the history was not rewritten by a holder of the signing key. Give --anchor with a '
                    'checkpoint that you kept, or --policy or --witness with the key of a witness that you know.')
    elif witnesses and trust.witnesses_given:
        report.anchored_to_the_end = True
    elif anchors:
        position, statement = (max([anchor.size for _, anchor in anchors if anchor.origin == head.origin], default=0) for head in checkpoints)
        report.anchored_to_the_end = position == checkpoints[0].size and statement == checkpoints[1].size
        if position < checkpoints[0].size:
            report.note('That the holder of the key did not rewrite positions %s and later: no checkpoint with these was kept.' % format(position + 1, ','))
        if statement < checkpoints[1].size:
            report.note('That the holder of the key did not rewrite statements %s and later: no checkpoint of the journal with these was kept, '
                        'so what they say of reading, gaps, drops, holds and keys is his word.' % format(statement + 1, ','))
    if not trust.given:
        report.note('That the keys are the right ones: they came with the bundle. Compare them with those you were given, or use --policy '
                    'or --key: %s.' % ', '.join(report.facts['keys']))


def stated_coverage(source, statement, ranges, gaps, is_proven):
    """For programs: all that the last statement about a source says."""
    def texts(some):
        return [[instant(start) if start > -FOREVER else None, instant(end) if end < FOREVER else None] for start, end in some]
    return {'source': {'kind': source[0], 'id': source[1]}, 'filter': {name: statement['filter'][name] for name in ('text', 'hash')},
            'stated_at': statement['at'], 'as_of': statement.get('as_of'), 'wanted_since': statement['wanted_since'],
            'size': statement['tree']['size'], 'events': statement['events'], 'chain_compared': is_proven, 'ranges': texts(ranges),
            'gaps': texts(gaps), 'read_once': texts(read_once(statement, ranges)) if 'read_again' in statement else None, 'holes': statement.get('holes', []), 'readings': statement.get('readings', []),
            'left_out': statement.get('left_out'), 'reads': stated_reads(statement['reads'])}


def stated_reads(reads):
    return reads and {'count': reads['count'], 'from': reads.get('after', Reads.NONE)['count'] + 1}


def read_once(statement, ranges):
    """What was not read a second time, a day or more later; nothing, if the statement is of a version that did not say so."""
    if 'read_again' not in statement:
        return []
    again = merged(range_of_time(*one) for one in statement['read_again'])
    return [part for start, end in ranges for part in missing_from(again, start, end)]


def name_holes(source, statement, report):
    """Time that could not be read, and what had no room in the statement."""
    for hole in statement.get('holes', ()):
        start, end = range_of_time(*hole['range'])
        report.note('%s: a hole in %s from %s to %s, found at %s: %s.'
                    % (named(source), 'pass %d' % hole['pass'] if hole['pass'] else 'the first reading', instant(start), instant(end), instant(microseconds(hole['found_at'])), hole['reason']))
    left_out = statement.get('left_out', {})
    if any(left_out.get(name) for name in ('ranges', 'holes', 'readings')):
        report.note('%s: what had no room in its statement: %d ranges, %d holes, %d readings.'
                    % (named(source), left_out['ranges'], left_out['holes'], left_out['readings']))


def way_of_reading(method, number):
    return {'first reading': 'the first reading,', 'pass': 'pass %d over the same time, for what came late,' % number,
            'scrub': 'round %d over all of history,' % number}.get(method, '%s %d,' % (method, number))


def name_readings(source, statement, asked, needed, report):
    """How and when the time that is asked for was read last, as stated: each way of reading once."""
    ways = {}
    for one in statement.get('readings', ()):
        start, end = range_of_time(*one['range'])
        if end <= asked[0] or start >= asked[1]:
            continue
        way = ways.setdefault((one['method'], one['number']), [FOREVER, -FOREVER, 0])
        way[0] = min(way[0], microseconds(one['read_from']))
        way[1] = max(way[1], microseconds(one['read_to']))
        way[2] += one['found']
    if ways:
        report.claim(needed, '%s: read last, as stated at %s, by %s' % (named(source), instant(microseconds(statement['at'])), '; '.join(
            '%s made from %s to %s, which found %d new entries' % (way_of_reading(*way), instant(start), instant(end), found) for way, (start, end, found) in sorted(ways.items()))))


def claim_coverage(journal, events, options, report):
    """The question "organization X from A to B", and the sources in general."""
    asked = options.organization
    # A bundle of a time answers for that time.
    start = options.since if options.since is not None else events.time.since if events.time else -FOREVER
    end = options.before if options.before is not None else events.time.before if events.time else FOREVER
    needed, chosen = ['signatures', 'events', 'journal', 'coverage'], 0
    if not journal.coverage:
        report.note('That Cloudflare\'s entries are all here: the journal has no statement of coverage.')
    report.facts['coverage'] = []
    for source, ((text, _), ranges, size, count, statement) in sorted(journal.coverage.items(), key=lambda item: str(item[0])):
        if asked and asked not in (source[1], journal.organizations.get(source)):
            continue
        chosen += 1
        reason = events.unproven.get(source)
        wanted = statement['wanted_since']
        first = min(ranges[0][0], FOREVER if wanted is None else microseconds(wanted)) if ranges and start == -FOREVER else start
        last = ranges[-1][1] if ranges and end == FOREVER else end
        gaps = missing_from(ranges, first, last) if ranges or (start, end) != (-FOREVER, FOREVER) else []
        report.facts['coverage'].append(stated_coverage(source, statement, ranges, gaps, not reason))
        if reason:
            report.note('%s: %s.' % (named(source), reason))
        else:
            report.claim(needed, '%s: of its %s stored events up to position %s none is left out'
                         % (named(source), format(count, ','), format(size, ',')), believed=True)
        if text:
            report.note('%s: anything that the filter %s leaves out: it was not collected.' % (named(source), text))
        how = 'stated as read, of what the filter %s lets through,' % text if text else 'stated as read completely'
        for since, before in [(max(a, first), min(b, last)) for a, b in ranges if max(a, first) < min(b, last)]:
            report.claim(needed, '%s: %s from %s to %s' % (named(source), how, instant(since), instant(before)))
        if not ranges:
            report.note('%s: any time of it. Nothing is stated as read.' % named(source))
        for since, before in gaps:
            report.note('%s: a gap from %s to %s.' % (named(source), instant(since), instant(before)))
        for since, before in read_once(statement, [(max(a, first), min(b, last)) for a, b in ranges if max(a, first) < min(b, last)]):
            report.note('%s: whether a second reading, a day later, finds more from %s to %s: it was read once.'
                        % (named(source), instant(since), instant(before)))
        name_holes(source, statement, report)
        name_readings(source, statement, (start, end), needed, report)
    if asked and not chosen:
        report.note('Anything about %s: no statement of coverage is about it.' % asked)
    for source, count in sorted(events.of_organization.items()):
        if journal.organizations.get(source) != asked and source[1] != asked:
            report.note('%s: it has %s events of %s, which are asked for with --organization %s.'
                        % (named(source), format(count, ','), asked, source[1]))
    known = {part for source, organization in journal.organizations.items() for part in (source[1], organization)}
    if asked and asked not in known and not events.of_organization and report.holds():
        raise CannotVerify('nothing in this bundle is about %s: give the whole id of an organization or account' % asked)


def verify(folder, options, report):
    bundle = Bundle(folder)
    bundle.files()
    for path in sorted(bundle.others):
        report.fault('files', '%s is a link, or no file: what it leads to is not in the bundle' % path)
    check_listed_hashes(bundle, report)
    trust = Trust(bundle, options)
    (events_head, witnesses), (journal_head, _) = (trust.checkpoint(bundle, log, report) for log in ('events', 'journal'))
    if events_head.origin[:-len('events')] != journal_head.origin[:-len('journal')]:
        report.fault('signatures', 'The two checkpoints are of two different feeds: %s, %s' % (events_head.origin, journal_head.origin))
    for log, head in (('events', events_head), ('journal', journal_head)):
        report.facts[log] = {'origin': head.origin, 'size': head.size, 'root': base64.b64encode(head.root).decode()}
        report.claim(['signatures'], '%s has a signed checkpoint of %s leaves, root %s'
                     % (head.origin, format(head.size, ','), report.facts[log]['root']))

    report.facts['keys'] = [key.vkey for key in trust.policy.logs]
    report.facts['keys_given'] = trust.given

    roots, journal_roots = Roots(), Roots()
    logs = {events_head.origin: roots, journal_head.origin: journal_roots}
    journal = Journal(events_head.origin, roots, journal_head.origin, journal_roots, report)
    is_part, time = 'events/leaves' in bundle.files('events'), time_of(bundle, report)
    try:
        if is_part:
            report.facts['bundle'] = 'This is a bundle of one source.'
            journal_part = Part(bundle, 'journal', journal_head, report)
            read_part_of_journal(bundle, journal_part, journal, report)
        else:
            read_journal(bundle, journal_head, journal, report)
        if not journal_head.size and events_head.size:
            report.fault('journal', 'The journal is empty: it has no genesis')
    except Unreadable as problem:
        report.fault('journal', str(problem))
    # A checkpoint that was kept may be signed by a key that was replaced since: the signed statements name it.
    known = {key.vkey for key in trust.keys}
    keys = trust.keys + [key for key in plain_keys(sorted(journal.vkeys | journal.earlier_vkeys)) if key.vkey not in known]
    anchors = [(path, expect_anchor(note, path, logs, keys, journal, report)) for path, note in options.anchor]
    packed = anchors_in(bundle, logs, keys, journal, report, not trust.given)
    check_fork(journal, events_head, roots, trust.keys, report)
    for head, path in ((events_head, 'events/checkpoint'), (journal_head, 'journal/checkpoint')):
        check_new_key(journal, events_head.size, head, path, report)
    try:
        if is_part:
            journal_part.check_roots(journal_roots, report)
        else:
            check_journal_roots(bundle, journal_head, journal_roots, report)
    except Unreadable as problem:
        report.fault('journal', str(problem))
    journal.finish()
    if is_part:
        events = OneSource(bundle, events_head, journal, roots, report, Part(bundle, 'events', events_head, report), time)
    else:
        events = Events(bundle, events_head, journal, roots, report, time, options.organization)
    if time:
        report.facts['time'] = time.stated
        report.facts['bundle'] = ' '.join([report.facts[name] for name in ('bundle',) if name in report.facts] + ['This is a bundle of a time: %s.' % time.text])
    try:
        events.check()
    except Unreadable as problem:
        report.fault('events', str(problem))
    check_reads(bundle, journal, report)
    check_changes(bundle, journal, events, not report.count.get('journal'), report)
    conclude(bundle, trust, journal, events, (events_head, journal_head), report)
    met = roots.met | journal_roots.met
    copies = set()
    for path, note in options.anchor:
        same = None if options.kept_elsewhere else as_in_bundle(bundle, note)
        if same:
            copies.add(path)
            report.note('That %s was kept elsewhere: the bundle has the same checkpoint, %s, and a copy of that proves nothing. If you did '
                        'keep or fetch it elsewhere, say so with --kept-elsewhere.' % (path, same))
    claim_anchors(trust, witnesses, [pair for pair in anchors if pair[1] and pair[0] in met - copies], sum(path in met for path in packed), (events_head, journal_head), report)
    claim_coverage(journal, events, options, report)
    check_timestamps(bundle, ['journal/checkpoint'] + bundle.files('anchors'), options.tsa_ca, report)
    name_skipped(trust, options, report)
    unread = sorted(set(bundle.files()) - bundle.read - {'verify.py'})
    for path in unread:
        if re.match('(events|journal)/tile/|events/(sources|withheld)/', path) and not is_hidden(path):
            report.fault('files', '%s belongs to no tree of this size' % path)
    if unread:
        report.note('%d files that this verifier does not read: %s.' % (len(unread), ', '.join(unread[:5]) + (', …' if unread[5:] else '')))


def name_skipped(trust, options, report):
    """The checks that an option would have made."""
    if not trust.given:
        report.skip('The keys against any that you were given: --policy or --key.')
    if not options.anchor:
        report.skip('Whether history was rewritten since you or others kept a checkpoint: --anchor.')
    if not options.tsa_ca:
        report.skip('Time stamps: --tsa-ca.')
    if not options.organization:
        report.skip('One organization or account by itself: --organization.')
    if options.since is None and options.before is None:
        report.skip('One stretch of time by itself: --since, --before.')


def conclude(bundle, trust, journal, events, heads, report):
    held = ['signatures', 'events', 'journal']
    report.facts['positions'] = {'present': events.present, 'dropped': events.dropped, 'holes': events.holes}
    if isinstance(events, OneSource):
        events.conclude(held)
    else:
        report.claim(held, 'Each of the %s positions is accounted for: %s with unchanged content, %s dropped as declared, %s dropped before they were hashed%s'
                     % (*(format(number, ',') for number in (heads[0].size, events.present, events.dropped, events.holes - events.jumped)),
                        events.without_content()), believed=True)
        events.conclude_time(held, '')
    if events.jumped:
        report.claim(held, '%s positions were left out after failovers, as stated' % format(events.jumped, ','))
    if journal.backwards:
        report.note('When %d statements were made: they are dated before those that precede them.' % journal.backwards)
    report.claim(held, '%s statements are as signed, and each names a root of this history (%s)'
                 % (format(sum(journal.types.values()), ','), ', '.join('%s %d' % item for item in sorted(journal.types.items()))))
    if journal.drops:
        months = sorted({drop[2]['month'] for drop in journal.drops})
        report.claim(held + ['retention'], 'None of the months that were dropped went against a legal hold of all of it, or before its time: %s' % ', '.join(months))
        report.note('That no dropped event was under a legal hold of an organization, an account or a part of a month, unless its source shows it.')
        report.note('That each dropped event was of the month that its drop names.')
    if journal.adopted:
        report.note('Integrity of positions 1 to %s before the log began: they were there already.' % format(journal.adopted, ','))
    if events.late_holes:
        report.note('Why %s positions after those that were adopted have no event.' % format(events.late_holes, ','))
    if events.contradicted:
        report.note('That a drop was carried out: %s positions that are declared as dropped are here.' % format(events.contradicted, ','))
    for text in journal.named:
        report.claim(held + ['anchors'], text)
    unknown = sorted(kind for kind in journal.types if kind not in FORMS)
    if unknown:
        report.note('What statements of these types say, beyond their root: %s.' % ', '.join(unknown))
    for log, head in zip(('events', 'journal'), heads):
        if journal.vkeys and not any(key.vkey in journal.vkeys for key in trust.policy.logs if key.name == head.origin):
            report.note('That the key of %s was announced: no genesis and no statement "key" names it.' % log)
    if trust.policy.ignored:
        report.note('Signatures of other kinds than Ed25519: %s.' % ', '.join(trust.policy.ignored))
    if journal.ended:
        who, statement = journal.ended
        report.note('Whether events without content were dropped by retention after the end of the log (%s, of %s): no statement could say so.'
                    % (who, instant(microseconds(statement['at']))))
    report.note('That this is the newest state of the log: the operator may have a longer one.')
    report.note('When it was signed: a checkpoint has no time. Only time stamps, and witnesses by their own clocks, say by when it existed.')
    report.note('That Cloudflare told the truth, and everything; that the clock of the host was right; who did it.')


# ------------------------------------------------------------------------------------------------- the proof of one event

def verify_proof(path, options, report):
    """POSITION.tlog-proof (c2sp.org/tlog-proof), and beside it POSITION.json, which has the leaf and the content of the event."""
    proof = read_file(path)
    try:
        event = strict_json(read_file(path[:-len('.tlog-proof')] + '.json'))
        leaf, raw = strict_base64(text_of(field(event, 'leaf'))), text_of(field(event, 'raw')).encode()
        trust = Trust(None, options, text_of(field(event, 'policy')).encode())
        head, _, note = proof.partition(b'\n\n')
        lines = head.decode().split('\n')
        if lines[0] != 'c2sp.org/tlog-proof@v1':
            raise Unreadable('is no tlog-proof')
        lines = lines[2:] if lines[1:2] and lines[1].startswith('extra ') else lines[1:]
        index = re.fullmatch('index (0|[1-9][0-9]{0,15})', lines[0] if lines else '')
        path_up = [strict_base64(line) for line in lines[1:]]
        checkpoint = Checkpoint(note)
        if not index or any(len(one) != 32 for one in path_up) or not leaf.startswith(EVENT) or len(leaf) < 104 or source_in(leaf) is None:
            raise Unreadable('is no proof of an event')
    except (Unreadable, ValueError, TypeError, AttributeError, RecursionError) as problem:
        return report.fault('files', '%s, or the event beside it: %s' % (path, problem))
    index, position = int(index.group(1)), int.from_bytes(leaf[34:42], 'big')
    trust.judge(checkpoint, 'events', 'The checkpoint in the proof', report)
    if index != position - 1:
        report.fault('events', 'Position %d is said to be leaf %d' % (position, index), position)
    if included(index, checkpoint.size, sha256(b'\x00' + leaf).digest(), path_up) != checkpoint.root:
        report.fault('events', 'Position %d is not in the log by this proof' % position, position)
    if leaf[-36:] != len(raw).to_bytes(4, 'big') + sha256(raw).digest():
        report.fault('events', 'Position %d: the content is not that of its leaf' % position, position)
    words = words_of(leaf, raw)
    for name in sorted(set(event) | set(words) - {'leaf', 'raw', 'policy'}):
        if name not in ('leaf', 'raw', 'policy') and (name not in words or event.get(name) != words[name]):
            report.fault('events', 'Position %d: %s is not what its leaf says' % (position, name), position)
    report.facts['keys'], report.facts['keys_given'], report.facts['unanchored'] = [key.vkey for key in trust.policy.logs], trust.given, True
    report.claim(['files', 'signatures', 'events'], 'Position %d is in %s, as it was when it had %s events, with this content'
                 % (position, checkpoint.origin, format(checkpoint.size, ',')))
    report.note('What else is in the log, and that this is its newest state. When it was signed.')
    report.note('unanchored: that the log was not rewritten by a holder of the signing key. Compare its checkpoint with one that was kept, by a bundle.')
    if not trust.given:
        report.note('That the keys are the right ones: they came with the event. Use --policy or --key: %s.' % ', '.join(report.facts['keys']))


def included(index, size, node, path):
    """The root by an inclusion proof of RFC 6962 (RFC 9162, 2.1.3.2); None if the proof has another length."""
    if index >= size:
        return None
    last = size - 1
    for other in path:
        if not last:
            return None
        if index & 1 or index == last:
            node = sha256(b'\x01' + other + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b'\x01' + node + other).digest()
        index, last = index >> 1, last >> 1
    return None if last else node


def words_of(leaf, raw):
    """What POSITION.json says beside leaf and content: people read that."""
    texts, at = [], 58
    for _ in range(5):
        length = int.from_bytes(leaf[at:at + 2], 'big')
        texts.append(leaf[at + 2:at + 2 + length].decode())
        at += 2 + length
    received, happened = (int.from_bytes(leaf[at:at + 8], 'big', signed=True) for at in (42, 50))
    kind, source, organization, identity, defects = texts
    return {'position': int.from_bytes(leaf[34:42], 'big'), 'received_at': long_instant(received), 'source_kind': kind, 'source_id': source,
            'action_time': long_instant(happened) if has_time(leaf) else None, 'organization_id': organization or None, 'id': identity,
            'defects': defects.split(',') if defects else [], 'raw_sha256': sha256(raw).hexdigest()}


def long_instant(value):
    try:
        return (EPOCH + datetime.timedelta(microseconds=value)).isoformat(timespec='microseconds') + 'Z'
    except OverflowError:
        return '%d microseconds since 1970' % value


# ------------------------------------------------------------------------------------------------- a bundle of a search

FOUND_LINE = 1 << 28  # an event has 64 MiB at most, and may stand in its line twice


def is_found(bundle):
    return bundle.has('query.json') and not bundle.has('events/checkpoint')


def verify_found(bundle, options, report):
    """Events that a question found: line k of proofs.ndjson has the leaf of line k of events.ndjson and the hashes up to the root."""
    bundle.files()
    for path in sorted(bundle.others):
        report.fault('files', '%s is a link, or no file: what it leads to is not in the bundle' % path)
    check_listed_hashes(bundle, report)
    report.facts['bundle'], report.facts['unanchored'] = 'This is a bundle of a search.', True
    trust = checkpoint = None
    if any(bundle.has(path) for path in ('checkpoint', 'policy.txt', 'proofs.ndjson')):
        trust = Trust(bundle, options)
        report.facts['keys'], report.facts['keys_given'] = [key.vkey for key in trust.policy.logs], trust.given
        try:
            checkpoint = Checkpoint(bundle.bytes('checkpoint'))
        except Unreadable as problem:
            raise Unreadable('checkpoint %s' % problem)
        trust.judge(checkpoint, 'events', 'checkpoint', report)
        report.facts['events'] = {'origin': checkpoint.origin, 'size': checkpoint.size, 'root': base64.b64encode(checkpoint.root).decode()}
    events, unsigned = found_events(bundle, checkpoint, report)
    query, complete = (said_in(bundle, path, report) for path in ('query.json', 'completeness.json'))
    if query.get('events') != events:
        report.fault('files', 'query.json speaks of %r events, and %d are here' % (query.get('events'), events))
    if checkpoint:
        report.claim(['files', 'signatures', 'events'], '%s events are in %s, as it was when it had %s positions, each with the content that is here'
                     % (format(events - unsigned, ','), checkpoint.origin, format(checkpoint.size, ',')))
        if unsigned:
            report.note('That all %d events are in the log: %d of them were not signed yet.' % (events, unsigned))
        report.note('unanchored: that the log was not rewritten by a holder of the signing key. Compare its checkpoint with one of the same size that was kept.')
    else:
        report.note('That anything here is what was stored: nothing is signed.')
    name_found(trust, complete, report)


def name_found(trust, complete, report):
    reasons = complete.get('incomplete_because')
    counts = ['%s: %d' % (name, len(complete[name]) if isinstance(complete.get(name), list) else 0) for name in ('gaps', 'holes')]
    report.note('That these are all events that match, which no proof of single events can show. completeness.json says %s; %s seconds not collected, %s.' % (
        'complete up to %s' % complete.get('read_until') if complete.get('complete') is True
        else 'not complete (%s)' % ', '.join(map(str, reasons if isinstance(reasons, list) else [])),
        complete.get('not_collected_seconds'), ', '.join(counts)))
    report.note('That nothing is left out of a log: a bundle of that log alone proves it.')
    report.note('Who asked, when and for what (query.json), and that the events match it: read them.')
    if trust and not trust.given:
        report.skip('The keys against any that you were given: --policy or --key.')


def found_events(bundle, checkpoint, report):
    """How many events there are, and how many of them are not signed."""
    count, unsigned, seen = 0, 0, set()
    with bundle.open('events.ndjson') as events, bundle.open('proofs.ndjson') if checkpoint else io.BytesIO() as proofs:
        for line in iter(lambda: events.readline(FOUND_LINE), b''):
            count += 1
            if not checkpoint:
                continue
            try:
                unsigned += not check_found(line, proofs.readline(1 << 20), checkpoint, seen, report)
            except (Unreadable, ValueError, RecursionError) as problem:
                report.fault('events', 'events.ndjson, line %d: %s' % (count, problem))
        if checkpoint and proofs.read(1):
            report.fault('files', 'proofs.ndjson has more lines than there are events')
    return count, unsigned


def check_found(line, proof, checkpoint, seen, report):
    """Whether the event of a line is signed; faults if it is not the one that was."""
    if not line.endswith(b'\n') or not proof.endswith(b'\n'):
        raise Unreadable('it, or its proof, is no whole line')
    proof = strict_json(proof)
    position = field(proof, 'position')
    if type(position) is not int or position < 1:
        raise Unreadable('its proof has no position')
    if position in seen:
        raise Unreadable('event %d is here twice' % position)
    seen.add(position)
    if field(proof, 'leaf') is None:
        # What came after the checkpoint alone: else an event that was changed would only have to be called unsigned.
        if position <= checkpoint.size or not line.startswith(b'{"position":%d,' % position):
            raise Unreadable('event %d has no proof, and is within the signed log, or is another one' % position)
        return False
    leaf, hashes = strict_base64(text_of(proof['leaf'])), field(proof, 'hashes')
    each(text_of)(hashes)
    hashes = [strict_base64(one) for one in hashes]
    if not leaf.startswith(EVENT) or len(leaf) < 104 or source_in(leaf) is None or any(len(one) != 32 for one in hashes):
        raise Unreadable('its proof is not that of an event')
    if int.from_bytes(leaf[34:42], 'big') != position:
        raise Unreadable('the leaf is of another position')
    if included(position - 1, checkpoint.size, sha256(b'\x00' + leaf).digest(), hashes) != checkpoint.root:
        report.fault('events', 'Position %d is not in the log by this proof' % position, position)
    raw = raw_in(line[:-1], leaf)
    if leaf[-36:] != len(raw).to_bytes(4, 'big') + sha256(raw).digest():
        report.fault('events', 'Position %d: the content is not that of its leaf' % position, position)
    return True


def raw_in(line, leaf):
    """The content of a line, which must say beside it what the leaf says, to the byte."""
    said = words_of(leaf, b'')
    words = {name: said[name] for name in ('position', 'received_at', 'action_time', 'source_kind', 'source_id', 'organization_id', 'id', 'defects')}
    if words['action_time'] and not re.match(r'\d{4}-', words['action_time']):
        words['action_time'] = None
    head = json.dumps(words, ensure_ascii=False, separators=(',', ':')).encode()[:-1]
    rest = line[len(head):]
    if not line.startswith(head) or not rest.endswith(b'}'):
        raise Unreadable('it says something else than its leaf')
    if rest.startswith(b',"raw":'):
        raw, broken = rest[7:-1], False
    elif rest.startswith(b',"raw_text":'):
        raw, broken = text_of(json.JSONDecoder().raw_decode(rest[12:].decode())[0]).encode(), True
    else:
        raise Unreadable('it has no content')
    plain = re.sub(rb'[\r\n]', b' ', raw)
    text = b',"raw_text":' + json.dumps(raw.decode(), ensure_ascii=False).encode() if broken else b''
    if broken != (plain != raw) or rest != text + b',"raw":' + plain + b'}':
        raise Unreadable('it is not as it is written')
    return raw


def said_in(bundle, path, report):
    """An object of JSON that nothing signs."""
    try:
        value = json.loads(bundle.bytes(path, 1 << 26))
        if isinstance(value, dict):
            return value
    except (ValueError, RecursionError):
        pass
    except Unreadable as problem:
        report.fault('files', str(problem))
        return {}
    report.fault('files', '%s is no object of JSON' % path)
    return {}


# ----------------------------------------------------------------------------------------------------------- command line

def arguments():
    parser = argparse.ArgumentParser(
        prog='verify.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Verifies an evidence bundle of orgtrail offline, and says what holds, what does not, and what is not claimed.',
        epilog='''exit codes: 0 the evidence holds, 5 it does not hold, 2 wrong options, 1 it could not be verified

examples:
  python3 verify.py                                       the bundle that this file is in
  python3 verify.py bundle --anchor kept-checkpoint.txt   also: is what I saw in March still a part of it?
  python3 verify.py bundle --policy my-policy.txt         with the keys that I was given, and witnesses that I know
  python3 verify.py bundle --organization WHOLE-ID --since 2026-01-01T00:00:00Z --before 2026-04-01T00:00:00Z
  python3 verify.py bundle --json > report.json
  python3 verify.py --proof 4711.tlog-proof               one event, by the two files of `orgtrail evidence prove`''')
    parser.add_argument('dir', metavar='DIR', nargs='?', help='the bundle (default: the folder of this file)')
    parser.add_argument('--proof', metavar='POSITION.tlog-proof', help='verify one event instead of a bundle: its .json must be beside it')
    parser.add_argument('--anchor', metavar='FILE', nargs='+', action='extend', default=[], help='checkpoints that you kept, of either log')
    parser.add_argument('--kept-elsewhere', action='store_true', help='each --anchor was kept or fetched elsewhere, also if the bundle has the same one')
    parser.add_argument('--policy', metavar='FILE', help='your own policy, instead of the policy.txt of the bundle')
    parser.add_argument('--key', metavar='VKEY', action='append', default=[], help='a log\'s verifier key that you were given (one for each log)')
    parser.add_argument('--witness', metavar='VKEY', action='append', default=[], help='the verifier key of a witness that must have signed')
    parser.add_argument('--organization', metavar='ID', help='print what is covered of this organization, account or source')
    parser.add_argument('--since', metavar='TIME', help='from this instant on, in UTC')
    parser.add_argument('--before', metavar='TIME', help='up to this instant, not included')
    parser.add_argument('--tsa-ca', metavar='FILE', help='the certificate of the time-stamp authority, as PEM')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    options = parser.parse_args()
    try:
        for name in ('since', 'before'):
            if getattr(options, name) is not None:
                setattr(options, name, microseconds(getattr(options, name)))
        for text, kind in [(text, LOG_KEY) for text in options.key] + [(text, WITNESS_KEY) for text in options.witness]:
            if not Key(text).is_ed25519(kind):
                raise Unreadable('%.200r is no key of the right kind' % text)
        if options.policy is not None:
            options.policy = read_file(options.policy)
            Policy(options.policy)
        options.anchor = [(path, read_file(path)) for path in options.anchor]
        if options.since is not None and options.before is not None and options.since >= options.before:
            raise Unreadable('--since must be before --before')
    except (Unreadable, OSError) as problem:
        parser.error(str(problem))
    if options.proof is not None:
        if not options.proof.endswith('.tlog-proof') or options.dir or options.anchor:
            parser.error('--proof names a file POSITION.tlog-proof, and goes with neither a bundle nor --anchor')
        return options
    options.dir = options.dir or os.path.dirname(os.path.abspath(__file__))
    if not os.path.isdir(options.dir):
        parser.error('%s is no folder' % options.dir)
    unused = [name for name in ('anchor', 'organization', 'since', 'before', 'tsa_ca') if getattr(options, name) not in (None, [])]
    if unused and is_found(Bundle(options.dir)):
        parser.error('--%s is for a bundle of a log: a bundle of a search does not show what else is in the log' % unused[0].replace('_', '-'))
    inside = os.path.join(os.path.realpath(options.dir), '')
    for path, _ in options.anchor:
        if os.path.realpath(path).startswith(inside):
            parser.error('%s is a file of the bundle, which proves nothing about the bundle: give one that was kept elsewhere' % path)
    return options


def read_file(path):
    with open(path, 'rb') as file:
        return file.read(1 << 20)


def main():
    sys.stdout.reconfigure(encoding='utf-8', errors='backslashreplace')
    options, report = arguments(), Report()
    try:
        report.facts['openssl'] = check_openssl()
        if options.tsa_ca is not None and openssl('x509', '-in', options.tsa_ca, '-noout').returncode != 0:
            print('verify: --tsa-ca: there is no certificate in %s, which must be PEM' % options.tsa_ca, file=sys.stderr)
            return USAGE
        if options.proof is not None:
            verify_proof(options.proof, options, report)
        elif is_found(Bundle(options.dir)):
            verify_found(Bundle(options.dir), options, report)
        else:
            verify(options.dir, options, report)
    except Unreadable as problem:
        report.fault('files', str(problem))
    except (CannotVerify, OSError) as problem:
        print('verify: could not verify: %s' % problem, file=sys.stderr)
        return FAILED
    try:
        print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text(), flush=True)
    except BrokenPipeError:  # the reader has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return HOLDS if report.holds() else DOES_NOT_HOLD


if __name__ == '__main__':
    sys.exit(main())
