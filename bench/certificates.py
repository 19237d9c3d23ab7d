"""Certifies the small specs for docs/explanation/canonical-forms.md and keeps the figures.

Run: python bench/certificates.py (two cores, half an hour), then python docs/generate.py.
`--quick` takes two steps off every depth. Prints one JSON object; writes
docs/results/certificates/certificates.json unless told to be quick.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from pathlib import Path

from syno import __version__
from syno.rules.classes import Classes
from syno.space.certificate import certify
from syno.space.enumerate import enumerate_operators
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec, small_spec_names

DEPTHS = {"conv1d": 6, "conv2d": 5, "image": 7, "linear": 6, "pool1d": 8}
KEPT = Path(__file__).parents[1] / "docs" / "results" / "certificates" / "certificates.json"
_EXAMPLES = ("lost_operators", "redundant_operators", "gained_operators")


def certificate(name: str, depth: int) -> dict[str, object]:
    """Return the figures of one spec, without examples."""
    found = certify(named_spec(name), depth, processes=2).as_dict()
    return {key: value for key, value in found.items() if key not in _EXAMPLES}


def with_prunes(name: str, depth: int) -> dict[str, object]:
    """Return what the space offers with its default prunes and by rules alone, and its classes."""
    spec = named_spec(name).up_to(depth)
    classes = Classes(spec.bindings)
    for op in enumerate_operators(SynthesisSpace(spec)):
        classes.is_first(op)
    members = len(classes.members)
    return {"spec": name, "depth": depth, "operators": classes.operators, "classes": members}


def main() -> None:
    """Certify every spec and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two steps less for every spec")
    quick = parser.parse_args().quick
    depths = {name: DEPTHS[name] - 2 * quick for name in small_spec_names()}
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "syno": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "certificates": [certificate(name, depth) for name, depth in depths.items()],
        "with_prunes": [with_prunes(name, depth) for name, depth in depths.items()],
    }
    text = json.dumps(found, indent=1)
    if not quick:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
