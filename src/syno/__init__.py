"""Syno invents neural-network layers: operators synthesized from primitives on coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syno.ir.errors import SynoError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.ir.size import Size

if TYPE_CHECKING:
    from syno.ir.semantics import reference

__version__ = "0.1.0"
__all__ = ["Operator", "Size", "SynoError", "__version__", "parse", "reference"]


def __getattr__(name: str) -> Any:
    """Load what needs NumPy only when it is asked for, so that importing syno stays cheap."""
    if name == "reference":
        from syno.ir.semantics import reference

        return reference
    raise AttributeError(f"module 'syno' has no attribute {name!r}")
