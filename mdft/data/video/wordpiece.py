"""BERT's uncased tokeniser: text to the numbers of word pieces.

Devlin et al., BERT, 2018. Text is normalised (control characters removed, lower case, accents
removed), split at white space and around punctuation and Chinese characters, and every word is
covered by the longest pieces of the vocabulary, from left to right; a piece inside a word begins
with ``##``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from mdft.errors import UserError

_LONGEST_WORD = 100
#: Blocks of Chinese characters, each of which is a word.
_CHINESE = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


def read_vocabulary(path: Path) -> dict[str, int]:
    """The word pieces of ``vocab.txt``, one per line, and their numbers.

    Raises:
        UserError: the file lacks one of the special pieces.
        OSError: the file cannot be read.
    """
    pieces = {line: i for i, line in enumerate(path.read_text(encoding="utf-8").split("\n"))}
    for special in ("[UNK]", "[CLS]", "[SEP]"):
        if special not in pieces:
            raise UserError(f"{path}: has no piece {special}, expected the vocabulary of BERT")
    return pieces


def tokenise(text: str, vocabulary: Mapping[str, int], longest: int) -> list[int]:
    """Numbers of the pieces of a text, between those of ``[CLS]`` and ``[SEP]``.

    Args:
        text: any text.
        vocabulary: piece → number.
        longest: limit on the length of the result; the end of a longer text is left out.

    Example:
        >>> pieces = ["[UNK]", "[CLS]", "[SEP]", "play", "##ing", "cello", "!"]
        >>> tokenise("Playing Cello!", {p: i for i, p in enumerate(pieces)}, 256)
        [1, 3, 4, 5, 6, 2]
    """
    found = [vocabulary[piece] for word in _words(text) for piece in _pieces(word, vocabulary)]
    return [vocabulary["[CLS]"], *found[: longest - 2], vocabulary["[SEP]"]]


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """The longest pieces that cover a word; ``[UNK]`` if none do."""
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((e for e in ends if mark + word[start:e] in vocabulary), None)
        if end is None or len(word) > _LONGEST_WORD:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def _words(text: str) -> Iterator[str]:
    spaced = "".join(_spaced(c) for c in text)
    plain = unicodedata.normalize("NFD", spaced.lower())
    plain = "".join(c for c in plain if unicodedata.category(c) != "Mn")
    for word in plain.split():
        start = 0
        for i, c in enumerate(word):
            if _is_punctuation(c):
                yield from (part for part in (word[start:i], c) if part)
                start = i + 1
        if start < len(word):
            yield word[start:]


def _spaced(c: str) -> str:
    """A character as text: nothing for a control character, with spaces around a Chinese one."""
    if c.isspace():
        return " "
    if c in ("\0", "\ufffd") or unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn"):
        return ""
    chinese = any(first <= ord(c) <= last for first, last in _CHINESE)
    return f" {c} " if chinese else c


def _is_punctuation(c: str) -> bool:
    """Unicode's punctuation, and every ASCII character that is no letter, digit or space."""
    symbol = c.isascii() and c.isprintable() and not (c.isalnum() or c.isspace())
    return symbol or unicodedata.category(c).startswith("P")
