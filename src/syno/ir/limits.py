"""Limits of formulas and operators, in one place: what fits them prints and parses back.

They are far above what an operator needs. They bound the time and the memory that any text
whatever can cost, so that parsing ends within a fraction of a second.
"""

from __future__ import annotations

MAX_TEXT = 4_000  # characters
MAX_DEPTH = 60  # parentheses inside each other
MAX_SIGNS = 100  # operators in one expression: whoever walks its tree recurses as deep
MAX_NAMES = 100  # in one text: symbols are interned for the life of the process
MAX_NAME = 40  # letters
MAX_ENTRIES = 12  # of a shape, an index, the reductions
MAX_WEIGHTS = 8
MAX_FREE_REDUCTIONS = 5  # seen by weights alone: their canonical order is found by trying all
MAX_NODES = 30  # of one coordinate
MAX_TERMS = 16  # of one sum
EFFORT = 20_000  # trials of the solver for all sums of one text: formulas need a few dozen
