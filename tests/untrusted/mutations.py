"""Damage to files, by a seeded generator: of bytes, of text, of the values in JSON."""

import json

import numpy as np

__all__ = ["mutate", "mutate_json", "mutate_text"]

STRANGE = [
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    "",
    "x",
    "../../etc/passwd",
    "\x1b[2J\u202e",
    "a" * 5000,
    [],
    {},
    [[]],
    {"a": {"a": {}}},
]


def mutate(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return what was done to some bytes, and the bytes; never the same ones."""
    kinds = (_bit, _bytes, _cut, _empty, _zeros, _twice, _insert, _swap, _tail)
    while True:
        kind = kinds[rng.integers(len(kinds))]
        changed = kind(bytearray(data), rng)
        if changed != data:
            return kind.__name__.strip("_"), bytes(changed)


def _block(data, rng) -> slice:
    length = int(rng.integers(1, max(2, min(len(data), 512))))
    start = int(rng.integers(0, max(1, len(data) - length)))
    return slice(start, start + length)


def _bit(data, rng):
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return data


def _bytes(data, rng):
    for _ in range(int(rng.integers(2, 32))):
        data[rng.integers(len(data))] = int(rng.integers(256))
    return data


def _cut(data, rng):
    return data[: rng.integers(len(data))]


def _empty(data, rng):
    return bytearray()


def _zeros(data, rng):
    place = _block(data, rng)
    data[place] = bytes(len(data[place]))
    return data


def _twice(data, rng):
    place = _block(data, rng)
    data[place.start : place.start] = data[place]
    return data


def _insert(data, rng):
    place = int(rng.integers(len(data)))
    data[place:place] = rng.bytes(int(rng.integers(1, 64)))
    return data


def _swap(data, rng):
    one, two = _block(data, rng), _block(data, rng)
    data[one], data[two] = data[two], data[one]
    return data


def _tail(data, rng):
    return data + rng.bytes(int(rng.integers(1, 2000)))


def mutate_text(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """The same for lines of words: half of the damage leaves a text."""
    if rng.random() < 0.3:
        return mutate(data, rng)
    lines = data.decode("utf-8").splitlines()
    kind = int(rng.integers(5))
    place = int(rng.integers(len(lines)))
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[place])
    elif kind == 2:
        lines[place] = lines[place][: rng.integers(len(lines[place]) + 1)]
    elif kind == 3:
        words = lines[place].replace(",", " ").split() or ["x"]
        word = words[rng.integers(len(words))]
        strange = STRANGE[rng.integers(len(STRANGE))]
        text = strange if isinstance(strange, str) else json.dumps(strange)
        lines[place] = lines[place].replace(word, text, 1)
    else:
        lines[place] = "[" * 20_000 if rng.random() < 0.5 else "\0" * 50
    changed = "\n".join(lines).encode() + b"\n"
    return (f"line{kind}", changed) if changed != data else mutate(data, rng)


def mutate_json(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """The same for JSON: most of the damage leaves JSON, of wrong types, or without a value."""
    if rng.random() < 0.3:
        return mutate(data, rng)
    root = [json.loads(data)]
    places = list(_places(root))
    inside, key = places[rng.integers(len(places))]
    kind = rng.random()
    if kind < 0.25 and inside is not root:
        del inside[key]
    elif kind < 0.35:
        text = json.dumps(root[0]).replace(json.dumps(inside[key]), "[" * 50_000, 1)
        return "deep", text.encode()
    else:
        inside[key] = STRANGE[rng.integers(len(STRANGE))]
    changed = json.dumps(root[0]).encode()
    return ("value", changed) if json.loads(changed) != json.loads(data) else mutate(data, rng)


def _places(value):
    """Yield every container and key in it; long lists by their first values."""
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(min(len(value), 3))
        for key in list(keys):
            yield value, key
            yield from _places(value[key])
