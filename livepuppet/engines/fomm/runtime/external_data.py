"""Which files an ONNX file wants to read beside itself, found without the onnx package and before ONNX Runtime opens anything.

An ONNX tensor may say "my data lies in that file"; a prepared model could name any file of the machine. The wire format is Protocol
Buffers: each field a varint key (number * 8 + type), then a varint, 8 or 4 bytes, or a length and as many bytes. Of ModelProto we follow
graph (7); of GraphProto node (1), initializer (5), sparse_initializer (15); of NodeProto attribute (5); of AttributeProto t (5), g (6),
tensors (10), graphs (11), sparse_tensor (22, 23); of TensorProto external_data (13), pairs of key (1) and value (2). Functions of a model
(25) hold nodes (7).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from livepuppet.errors import ModelError

TENSOR = "tensor"
FOLLOWED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: TENSOR, 2: TENSOR},
    TENSOR: {13: "entry"},
}
DEEPEST = 64


def external_files(path: Path) -> set[str]:
    """Names of the files as the tensors give them, unchecked.

    Raises:
        ModelError: where the file is no ONNX file.
    """
    content = memoryview(path.read_bytes())
    names: set[str] = set()
    try:
        if not any(number == 7 for number, _ in _fields(content)):
            raise ValueError("it holds no graph")
        _collect(content, "model", names, 0)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no ONNX file ({error}): import the model again") from error
    return names


def _collect(message: memoryview, kind: str, names: set[str], depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError("its graphs lie too deep in each other")
    followed = FOLLOWED[kind]
    for number, value in _fields(message):
        inner = followed.get(number)
        if inner is None:
            continue
        if inner == "entry":
            pair = {key: bytes(text).decode() for key, text in _fields(value)}
            if pair.get(1) == "location":
                names.add(pair.get(2, ""))
        else:
            _collect(value, inner, names, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field; numbers that are no messages or strings come with an empty content."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        kind, length = key & 7, 0
        if kind == 0:
            _, position = _varint(message, position)
        elif kind == 1:
            position += 8
        elif kind == 2:
            length, position = _varint(message, position)
        elif kind == 5:
            position += 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position + length > end:
            raise ValueError("it ends too early")
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
