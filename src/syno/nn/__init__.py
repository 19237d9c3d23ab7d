"""Operators in networks: modules, sites, substitution."""

from syno.nn.module import SynthesizedOperator
from syno.nn.sites import Site, find_sites, replaceable, select_sites
from syno.nn.substitution import substitute

__all__ = ["Site", "SynthesizedOperator", "find_sites", "replaceable", "select_sites", "substitute"]
