"""Operators of one spec that were all measured: what a search would find, without measuring.

Ying et al. 2019, "NAS-Bench-101: towards reproducible neural architecture search", for the idea: a
table of trained candidates costs a strategy nothing to search, so that strategies, and cheaper
judgements of a candidate, are compared over many seeds on real figures.
"""

from syno.testing.tabular.fidelity import FIDELITIES, Correlation, correlation, judged, top_found
from syno.testing.tabular.front import Front
from syno.testing.tabular.ladder import NEEDED, Trained, climb, seconds_to, train_all
from syno.testing.tabular.searching import evaluations_to, order_asked, outcome_of
from syno.testing.tabular.space import TableSpace
from syno.testing.tabular.table import COLUMNS, Row, Table, read_table

__all__ = [
    "COLUMNS",
    "FIDELITIES",
    "NEEDED",
    "Correlation",
    "Front",
    "Row",
    "Table",
    "TableSpace",
    "Trained",
    "climb",
    "correlation",
    "evaluations_to",
    "judged",
    "order_asked",
    "outcome_of",
    "read_table",
    "seconds_to",
    "top_found",
    "train_all",
]
