"""Where does a text hold the longest beginning of another? A suffix array: all places, sorted by what follows them.

Exact: what is found is compared symbol by symbol, nothing is hashed. Built by doubling (Manber & Myers 1993): places
are sorted by their next 8 symbols, which fit one number; places that are still equal are sorted again by the rank of
the place 8, then 16, 32, ... symbols on, which is known by then. Places that are alone are never looked at again.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

WORD = 8  # symbols in a 64-bit number
FIRST_LOOK = 64  # symbols that are looked for first: few matches are longer, and comparing long strings is slow
MAX_SYMBOL = 254


class SuffixArray:
    """A text that can be asked for its longest matches."""

    def __init__(self, text: np.ndarray) -> None:
        """Sort it: 4 s and 0.5 GB for 5.7 million symbols.

        Args:
            text: (n,) uint8, none above MAX_SYMBOL.
        """
        self._text = text.tobytes()
        self._order = suffix_order(text).data  # a memoryview: bisect reads it faster than an array

    def longest(self, wanted: bytes) -> tuple[int, int]:
        """How many of the first symbols of `wanted` stand together somewhere in the text, and where; 0, 0 if none."""
        size = FIRST_LOOK
        while (found := self._longest(wanted[:size]))[0] == size:
            size *= 8
        return found

    def _longest(self, wanted: bytes) -> tuple[int, int]:
        text, size = self._text, len(wanted)
        slot = bisect_left(self._order, wanted, key=lambda place: text[place : place + size])
        # What begins most like it is sorted right before or right at the slot where it would stand.
        near = self._order[max(slot - 1, 0) : slot + 1].tolist()
        lengths = [common_length(wanted, text[place : place + size]) for place in near]
        best = max(lengths, default=0)
        return best, near[lengths.index(best)] if best else 0


def common_length(a: bytes, b: bytes) -> int:
    """How many symbols both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def suffix_order(text: np.ndarray) -> np.ndarray:
    """The places of a text in the order of what follows each up to the end, (n,) int64; the end is before any symbol.

    Args:
        text: (n,) uint8, none above MAX_SYMBOL.
    """
    words = _words(text)
    order = np.argsort(words, kind="stable")
    rank = np.empty(len(text), dtype=np.int64)
    rank[order] = _first_of_equals(words[order])
    width = WORD
    while len(slots := _tied(rank[order])):
        places = order[slots]
        # Places equal in `width` symbols have as many: what is ahead is at most the end, which ranks before all.
        ahead = places + width
        key = rank[places] * (len(text) + 1) + np.where(ahead < len(text), np.take(rank, ahead, mode="clip") + 1, 0)
        again = np.argsort(key, kind="stable")
        order[slots] = places[again]
        rank[order[slots]] = slots[_first_of_equals(key[again])]
        width *= 2
    return order


def _words(text: np.ndarray) -> np.ndarray:
    """The next 8 symbols of each place as one number, 0 for what is past the end, (n,) uint64."""
    assert text.dtype == np.uint8
    assert not len(text) or text.max() <= MAX_SYMBOL
    padded = np.concatenate([text + np.uint8(1), np.zeros(WORD, np.uint8)])
    words = np.zeros(len(text), np.uint64)
    for ahead in range(WORD):
        words = (words << np.uint64(8)) | padded[ahead : ahead + len(text)]
    return words


def _first_of_equals(ordered: np.ndarray) -> np.ndarray:
    """For each of sorted values where the first equal to it stands, (n,)."""
    begins = np.ones(len(ordered), dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(begins)[np.cumsum(begins) - 1]


def _tied(ranks: np.ndarray) -> np.ndarray:
    """Where sorted ranks stand that are not alone."""
    equal = ranks[1:] == ranks[:-1]
    tied = np.zeros(len(ranks), dtype=bool)
    tied[1:] = equal
    tied[:-1] |= equal
    return np.flatnonzero(tied)
