/** The part of README.txt from which another verifier can be written. */
export const method = `HOW IT IS MADE

Each event has one position, from 1 on, without gaps. Leaf i of the log of events belongs to position i + 1. The data of a
leaf are, one after the other (integers big-endian, text in UTF-8): the 18 bytes "orgtrail/event/v1" and a line feed, a
salt of 16 bytes, the position (8 bytes), when it was received and when it happened (8 bytes each, microseconds since
1970, with a sign; the smallest number if the event has no time), then kind of source, id of source, id of organization, id of the event and its defects, each after its length
(2 bytes), the length of the content (4 bytes) and the SHA-256 of the content (32 bytes). The content is the text of
JSON that Cloudflare sent. A record of events/payload is the length of the leaf (2 bytes), the leaf, the length of the content
(4 bytes), the content. The hash of a leaf is SHA-256(0x00, data), of a node SHA-256(0x01, left, right). Of n leaves, those on the left of the root
are as many as the largest power of two below n (RFC 6962, 2.1).

An event that retention dropped is left out of events/payload; its hash stays in the tiles, and a statement "drop" names
its position. Its salt is gone, so the hash cannot be tested against guesses. A position that never had an event, or lost it before
the log began, has the leaf "orgtrail/hole/v1", a line feed, and the position (8 bytes).

The defects of an event say how it differs from what Cloudflare documents; nothing, if it does not. The chain in a coverage
statement is 32 zero bytes at first, then SHA-256(chain, hash of the leaf) for each event of the source in order of position.

A coverage statement says of one source, by the filter in force (everything, if its text is empty): which times were read
completely ("passes": the first reading, and later ones for entries that came late), as of when ("as_of"); how many of the
first "size" events of the log are of it, with their chain; how each time was read last, and how many new entries that
reading found ("readings"); what was read a second time a day or more later ("read_again", the newest; what is not in it was read once);
times that could not be read ("holes"); how much had no room in the statement ("left_out"); how many
pages were stored of the source so far ("commits"); and how many lines of journal/reads.ndjson there have been, and their hash ("reads").

That hash is 32 zero bytes at first, then SHA-256(hash, SHA-256(line without its line feed)) for each line of the source in order of "number".
Lines are kept for a month and more: those up to "after" are gone, and their hash is in "after". In a line, "since" and "before" are the window
that was asked for, "first_cf_ray" and "last_cf_ray" name the first and the last request at Cloudflare, which may confirm it, and "bodies_sha256"
is SHA-256(hash, SHA-256(body)) over all "answers", from 32 zero bytes on: no more than the word of orgtrail.

The other statements, by "type": "genesis" or "fork" comes first and names the feed, the keys and the retention that the owner
of the database had allowed. "source" gives a source its number, by which events/sources names it; nothing signs
events/sources but the leaves themselves. "drop" says that retention dropped a month: "positions" from the first number up
to the second, that one not included; "events", how many they are; "retention", the rule; "holds", the legal holds in force
by "id"; "dropped_at", when; "ids_sha256", SHA-256 of a line "kind of source, id of source, id of event" for each event, in
order of position, with spaces between the three and line feeds between the lines. A long one goes in "parts". "hold" adds or
releases a legal hold, "key" changes the key, "jump" names positions that never had an event, "change" the SHA-256 of a
later content, "clock" that the clock of the database went back or away from Cloudflare's.

A leaf of the log of statements is "orgtrail/journal/v1", a line feed, and the line of journal/entries.ndjson byte for byte.
Each statement names the log of events as it was then (size and root).

To make this bundle, orgtrail read events, hashes, statements and checkpoints as of one moment of the database, made each leaf again
from the stored event, and verified the result before this text was written.
`;
