"""A filter for log lines: passes messages of a level or above."""

from typing import List

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.filter import Batch
from wit_world.imports.types import PayloadKind

from data import parse

LEVELS = {"debug": 0, "info": 1, "warn": 2, "warning": 2, "error": 3, "fatal": 4}


def level(data: bytes, member: str) -> int:
    """-1 where it names none."""
    value = parse(data)
    name = value.get(member) if isinstance(value, dict) else None
    return LEVELS.get(name, -1) if isinstance(name, str) else -1


class Filter(exports.Filter):
    def add(self, params: bytes) -> int:
        """Filters with the same level are one: its number is their id."""
        least = level(params, "min")
        if least < 0:
            raise Err("`min` must be one of debug, info, warn, error, fatal.")
        return least

    def remove(self, id: int) -> None:
        pass

    def evaluate(self, ids: List[int], messages: Batch) -> List[int]:
        """Bit m * len(ids) + i, from the lowest of the first word: message m passes filter ids[i]."""
        ends, data = messages.ends, messages.data
        passed, bit = 0, 1
        for m, kind in enumerate(messages.kinds):
            said = level(data[ends[2 * m] : ends[2 * m + 1]], "level") if kind == PayloadKind.JSON else -1
            for least in ids:
                if said >= least:
                    passed |= bit
                bit <<= 1
        words = []
        while passed:
            words.append(passed & 0xFFFF_FFFF_FFFF_FFFF)
            passed >>= 64
        return words
