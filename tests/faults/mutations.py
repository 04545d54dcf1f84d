"""What happens to files: bits turn, blocks are lost or come twice, editors and strangers write.

All functions take a random generator and give the same for the same state of it.
"""

import json

import numpy as np

# What nobody expects in place of a value of a JSON file.
AWKWARD = (
    *(None, True, 0, -1, 0.5, 1e308, float("nan"), float("inf"), 2**63, 10**400),
    *("", "ab", "../x", "\0", "\ud800", "é\n", "x" * 70_000, [], [[]], {}, {"a": None}, [1, "x"]),
)
# The same for a word of a text.
WORDS = (
    *("", "0", "-1", "nan", "inf", "1e400", "9" * 5000, "x" * 70_000, "null", '"', "'", "\t", ";"),
    *("<", "&amp;", "&", "]]>", "\0", "\r", "\n", "\ufeff", "../x", "/etc/passwd", "é", "\u2028"),
)
DEEP = 100_000  # levels of nesting
ENCODINGS = ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1")


def mutated_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """One to three accidents to a file."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start, end = sorted(rng.integers(0, len(changed) + 1, 2))
        end = min(end, start + int(rng.integers(1, 65)))
        match rng.integers(8):
            case 0 | 1:  # a bit
                if changed:
                    changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
            case 2:  # a few bytes
                changed[start:end] = rng.bytes(end - start)
            case 3:  # the limits of numbers
                changed[start:end] = bytes([_one_of(rng, (0, 255, 127, 128))]) * (end - start)
            case 4:  # cut off
                del changed[start:]
            case 5:  # a block lost
                del changed[start:end]
            case 6:  # a block twice
                changed[end:end] = changed[start:end]
            case 7:  # a block that never reached the disk
                changed[start : start + 4096] = bytes(len(changed[start : start + 4096]))
    return bytes(changed)


def mutated_text(rng: np.random.Generator, text: str) -> bytes:
    """What editors, spreadsheets and scripts make of a text file."""
    lines = text.splitlines(keepends=True)
    at = int(rng.integers(len(lines))) if lines else 0
    match rng.integers(7):
        case 0:
            return mutated_bytes(rng, text.encode())
        case 1 | 2:  # another word
            if lines:
                parts = lines[at].replace(">", ">\0").replace("<", "\0<").replace(",", "\0,\0")
                parts = parts.split("\0")
                parts[rng.integers(len(parts))] = _one_of(rng, WORDS)
                lines[at] = "".join(parts)
        case 3:  # a line lost, or all before it
            del lines[0 if rng.integers(2) else at : at + 1]
        case 4:  # a line twice
            lines[at:at] = lines[at : at + 1]
        case 5:
            old, new = _one_of(rng, ((",", ";"), ("\n", "\r\n"), ("\n", "\r"), (".", ",")))
            lines = [line.replace(old, new) for line in lines]
        case 6:
            return "".join(lines).encode(_one_of(rng, ENCODINGS), "replace")
    return "".join(lines).encode("utf-8", "surrogatepass")


def mutated_json(rng: np.random.Generator, text: str) -> bytes:
    """A JSON file with another value in some place, or damaged as any text."""
    kind = rng.integers(8)
    if kind == 0:
        return mutated_text(rng, text)
    content = json.loads(text)
    parent, key = _place(rng, content)
    if kind == 1 and parent is not None:
        del parent[key]
    elif kind == 2:  # as a text, since Python cannot write it either
        mark = "the deep place"
        content = _replaced(content, parent, key, mark)
        opening, closing = ("[", "]") if rng.integers(2) else ('{"a": ', "}")
        deep = opening * DEEP + "1" + closing * DEEP
        return json.dumps(content).replace(json.dumps(mark), deep).encode()
    else:
        content = _replaced(content, parent, key, _one_of(rng, AWKWARD))
    return json.dumps(content).encode()


def _one_of(rng, values):
    return values[rng.integers(len(values))]


def _replaced(content, parent, key, value):
    if parent is None:
        return value
    parent[key] = value
    return content


def _place(rng, content):
    """A random place in nested lists and objects: what holds it, and its key or index there.

    (None, None) is the whole.
    """
    parent, key, value = None, None, content
    while isinstance(value, (dict, list)) and value and rng.integers(8):
        parent = value
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[rng.integers(len(keys))]
        value = parent[key]
    return parent, key
