"""Hostile rows for what is compiled; run by ``test_plain_rows_memory.py``, with sanitizers.

    python hostile_rows.py FOLDER ROUNDS

FOLDER holds the module, built so that it ends the process where it reads or computes what it must not.
"""

from __future__ import annotations

import json
import random
import sys
from array import array

BYTES = [
    b'"',
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"0",
    b"9" * 12,
    b"-",
    b"1e5",
    b".",
]
BYTES += [b"\n", b"\r", b" ", b"\x00", b"\x1f", b"\xff", b"null", b"n", b"t", b"[" * 300, b"x" * 40, b""]
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 24}
DETAILS = {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}], "cachedContentTokenCount": 4}
RESPONSE = {"candidates": [{"content": {}}], "modelVersion": "gemini-2.5-flash", "responseId": "r"}
ROWS = [
    {
        "status": "",
        "response": {"usageMetadata": {**USAGE, **DETAILS}, **RESPONSE},
        "request": [1.5, {"a": "\\\n😀"}],
    },
    {
        "response": {"usageMetadata": USAGE, "candidates": None, "modelVersion": None},
        "status": None,
        "error": None,
    },
    {"response": {"usageMetadata": {"totalTokenCount": 2**31, "toolCallStats": {"a": [True, False, None]}}}},
]


def blocks(rounds: int):
    """Whole, cut at each byte, and with bytes put in place of others."""
    chance = random.Random(11)
    plain = [
        json.dumps(row, ensure_ascii=ascii_only).encode() for row in ROWS for ascii_only in (True, False)
    ]
    for line in plain:
        yield from (line[:size] for size in range(len(line) + 1))
    for _ in range(rounds):
        block = bytearray(b"\n".join(chance.choices(plain, k=3)))
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(block) + 1)
            block[place : place + chance.randrange(4)] = chance.choice(BYTES)
        yield bytes(block)


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    from _plain_rows import add_up

    count = 0
    for block in blocks(int(sys.argv[2])):
        # An array has not one byte more than it holds, where `bytes` end in a NUL.
        lines, runs, left = add_up(array("B", block), 200_000)
        assert lines == block.count(b"\n") + (not block.endswith(b"\n") and block != b"")
        assert all(0 <= start < end <= len(block) for _, start, end in left)
        assert len(runs) <= lines - len(left)
        count += 1
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()
