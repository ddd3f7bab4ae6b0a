"""Ways to damage a file. Everything is drawn from one seeded generator, so that a case's number is enough to make it again."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 129, 254, 255)
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
"""Numbers at which sizes and signs turn over."""

WORDS = (
    "", "0", "-1", "1e999", "-1e999", "NaN", "Infinity", "1e-320", "99999999999999999999", "0x10", "1_0", "true", "null", "''", '"', "[]",
    "{}", "[[[[[[[[", "\x00", "\ud800", "\u202e", "../../../../etc/passwd", "/etc/passwd", "C:\\x", "file:///etc/passwd", "%s%s%n",
    "--help", "--output=x", "=1+1", "\ufeff", "\r", "\n", "\r\n", ",", ";", "\t", "2024-02-30", "12:34:56", "&a [*a]", "1e400",
    "!!python/object/apply:os.system [id]", "9" * 5000, "x" * 300, "y" * 70_000,
)  # fmt: skip
"""Pieces of text that mean something to one parser or another."""

Mutation = Callable[[random.Random, bytearray, list[bytes]], bytearray]


def damage(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One of the seeds with one to eight places damaged."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        data = rng.choice(BYTES)(rng, data, seeds)
    return bytes(data)


def _at(rng: random.Random, data: bytearray) -> int:
    """A place; rather often near the beginning, where headers are."""
    return rng.randrange(min(len(data), 96) if rng.random() < 0.35 else len(data)) if data else 0


def _flip(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    for _ in range(rng.choice((1, 1, 4, 16))):
        if data:
            data[_at(rng, data)] ^= 1 << rng.randrange(8)
    return data


def _set(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    if data:
        data[_at(rng, data)] = rng.choice(INTERESTING)
    return data


def _number(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    form = rng.choice(("<H", ">H", "<I", ">I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    if len(data) > size:
        at = min(_at(rng, data), len(data) - size)
        value = rng.choice((*EDGES, len(data), struct.unpack_from(form, data, at)[0] + rng.choice((-1, 1, 8, 255))))
        struct.pack_into(form, data, at, value % (1 << 8 * size))
    return data


def _cut(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    return data[: _at(rng, data)] if rng.random() < 0.7 else data[_at(rng, data) :]


def _remove(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    at = _at(rng, data)
    del data[at : at + rng.choice((1, 2, 4, 8, 64, 512))]
    return data


def _repeat(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    at = _at(rng, data)
    block = bytes(data[at : at + rng.choice((1, 4, 16, 128, 1024))])
    data[at:at] = block * rng.choice((1, 1, 2, 16, 100))
    return data


def _insert(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    at = _at(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16, 256)))
    return data


def _splice(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    other = rng.choice(seeds)
    return data[: _at(rng, data)] + bytearray(other[_at(rng, bytearray(other)) :])


def _swap(rng: random.Random, data: bytearray, seeds: list[bytes]) -> bytearray:
    size = rng.choice((4, 16, 64))
    a, b = _at(rng, data), _at(rng, data)
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    return data


BYTES: tuple[Mutation, ...] = (_flip, _flip, _set, _set, _number, _number, _number, _cut, _remove, _repeat, _insert, _splice, _swap)


def damage_png(rng: random.Random, seeds: list[bytes]) -> bytes:
    """As `damage`; half of the time the chunks' check sums are made right again, so that what lies behind them is read."""
    data = damage(rng, seeds)
    if rng.random() < 0.5:
        return data
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        if len(body) < 4 or at + 12 + length > len(data):
            break
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(out + data[at:])


def damage_zip(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A zip archive damaged inside its members, which are packed again, or as a whole."""
    if rng.random() < 0.3:
        return damage(rng, seeds)
    try:
        with zipfile.ZipFile(io.BytesIO(rng.choice(seeds))) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError):
        return damage(rng, seeds)
    if not members:
        return damage(rng, seeds)
    for _ in range(rng.choice((1, 1, 2, 4))):
        number = rng.randrange(len(members))
        name, content = members[number]
        what = rng.random()
        if what < 0.65:
            members[number] = (name, damage(rng, [content] if rng.random() < 0.8 else [c for _, c in members]))
        elif what < 0.75:
            members.pop(number)
        elif what < 0.85:
            members[number] = (name, rng.choice(members)[1])
        elif what < 0.95:
            members[number] = (rng.choice(("../" + name, "/" + name, name * 40, "x", "a/b/c/" + name, name.upper())), content)
        else:
            members.append((name, content))
        if not members:
            break
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in dict(members).items() if rng.random() < 0.9 else members[:1]:
            archive.writestr(name, content)
    return buffer.getvalue() if rng.random() < 0.8 else damage(rng, [buffer.getvalue()])


def damage_text(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Text with words and lines changed for such as mean something to a parser; sometimes damaged as bytes."""
    if rng.random() < 0.25:
        return damage(rng, seeds)
    text = rng.choice(seeds).decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 2, 3))):
        separators = [at for at, sign in enumerate(text) if sign in " ,:\n[]{}\"'"]
        if not separators:
            break
        start = rng.choice(separators) + 1
        end = next((at for at in separators if at >= start), len(text))
        what = rng.random()
        if what < 0.6:
            text = text[:start] + rng.choice(WORDS) + text[end:]
        elif what < 0.75:
            text = text[:start] + rng.choice(WORDS) + text[start:]
        elif what < 0.9:
            lines = text.splitlines(keepends=True)
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            text = "".join(lines)
        else:
            text = text[:start] + rng.choice(("[", "{", "(", "  ")) * rng.choice((1, 50, 3000)) + text[start:]
    return text.encode("utf-8", rng.choice(("surrogatepass", "replace")))


def damage_tree(rng: random.Random, tree: Any) -> Any:
    """A tree of JSON with one to four of its values, keys or branches changed."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.choice((1, 1, 2, 4))):
        holders = [node for node in _nodes(tree) if isinstance(node, dict | list) and node]
        if not holders:
            break
        holder = rng.choice(holders)
        key: Any = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        what = rng.random()
        if what < 0.7:
            holder[key] = _value(rng, holder[key])
        elif what < 0.85:
            holder.pop(key)
        elif isinstance(holder, dict):
            holder[rng.choice(WORDS)] = holder.pop(key)
        else:
            holder.append(holder[key])
    return tree


def _value(rng: random.Random, before: Any) -> Any:
    numbers = (0, -1, 1, 2**31, 2**63, 2**64, 1e308, -1e308, float("inf"), float("nan"), 0.5, 10**400)
    return rng.choice((rng.choice(numbers), rng.choice(WORDS), rng.choice(WORDS), None, True, [], {}, [before], {"x": before}, [[]] * 3))


def _nodes(tree: Any) -> list[Any]:
    inside = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [tree, *(node for branch in inside for node in _nodes(branch))]
