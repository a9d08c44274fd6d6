#!/usr/bin/env python3
"""Makes assets/common-passwords.bin from a plain list of passwords, most common first.

    assets/make-common-passwords.py LIST assets/common-passwords.bin

The shipped file was made from `common-passwords.txt` (a million passwords) of the crate
`passablewords` 0.1.1, MIT licence, see NOTICE.

What goes in: the first 100,000 passwords in lower case and Unicode NFC, and of the rest all
that have 15 characters or more, because that is the length people are asked for.

Format, read by src/password/common.rs: each password is the first five bytes of the SHA-256
of its UTF-8 text. The first of the five chooses one of 256 buckets; the file is 257
little-endian u32 (where each bucket starts, counted in entries; the last is the total),
then the other four bytes of every entry, sorted.
"""

import hashlib
import struct
import sys
import unicodedata

FIRST = 100_000
LONG = 15


def main(source: str, target: str) -> None:
    with open(source, encoding="utf-8") as lines:
        folded = (unicodedata.normalize("NFC", line.rstrip("\r\n").lower()) for line in lines)
        passwords = list(dict.fromkeys(filter(None, folded)))
    chosen = passwords[:FIRST] + [p for p in passwords[FIRST:] if len(p) >= LONG]
    prefixes = sorted({hashlib.sha256(p.encode()).digest()[:5] for p in chosen})
    counts = [0] * 256
    for prefix in prefixes:
        counts[prefix[0]] += 1
    starts = [sum(counts[:bucket]) for bucket in range(257)]
    with open(target, "wb") as out:
        out.write(struct.pack("<257I", *starts))
        out.writelines(prefix[1:] for prefix in prefixes)
    print(f"{len(chosen)} passwords, {len(prefixes)} entries", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
