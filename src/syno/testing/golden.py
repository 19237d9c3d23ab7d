"""Golden files: generated text that people review, kept beside the tests."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path


@dataclass(frozen=True)
class Golden:
    """The golden files of one folder; with `update` they are written instead of compared."""

    folder: Path
    update: bool = False

    def check(self, name: str, text: str) -> None:
        """Compare `text` with the file `name`; AssertionError with the difference.

        A text ends with one line break in its file, whether or not it does here.
        """
        path, found = self.folder / name, text.rstrip("\n") + "\n"
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found, encoding="utf-8")
            return
        wanted = path.read_text(encoding="utf-8") if path.exists() else ""
        if found != wanted:
            lines = unified_diff(wanted.splitlines(), found.splitlines(), str(path), "now", n=1)
            difference = "\n".join(line.rstrip("\n") for line in lines)
            raise AssertionError(
                f"The golden file {name} says something else. If the new text is right, write it "
                f"with pytest --update-golden and review the difference:\n{difference}"
            )


__all__ = ["Golden"]
