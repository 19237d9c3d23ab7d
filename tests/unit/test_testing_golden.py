"""The golden helper: it compares, it shows the difference, it writes only when told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from syno.testing.golden import Golden


def test_an_equal_text_passes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    for text in ("one\ntwo\n", "one\ntwo"):
        Golden(tmp_path).check("a.txt", text)


@pytest.mark.parametrize("text", ["one\n2\n", "one\n", "", "one\ntwo\nthree"])
def test_another_text_fails_with_the_difference(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(AssertionError, match=r"(?s)--update-golden.*\n[-+]"):
        Golden(tmp_path).check("a.txt", text)
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\n"


def test_a_file_that_is_missing_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)new\.txt.*\+one"):
        Golden(tmp_path).check("new.txt", "one")
    assert not (tmp_path / "new.txt").exists()


def test_updating_writes_and_then_passes(tmp_path: Path) -> None:
    for text in ("one", "two"):
        Golden(tmp_path, update=True).check("folder/a.txt", text)
        Golden(tmp_path).check("folder/a.txt", text)
    assert (tmp_path / "folder" / "a.txt").read_text() == "two\n"
