"""JSON as the bytes that the contract has."""

import json
from typing import Any


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_encoder = json.JSONEncoder(separators=(",", ":"))


def parse(data: bytes) -> Any:
    """None also where the bytes are no JSON: nothing here wants a null."""
    try:
        return _decoder.decode(data.decode())
    except (ValueError, RecursionError):
        return None


def encode(value: Any) -> bytes:
    """In ASCII: so half a surrogate pair, which JSON can spell and UTF-8 cannot, is no failure."""
    return _encoder.encode(value).encode()
