"""Import torchvision beside a torch build that its compiled operators were not made for.

torchvision declares two operators, `nms` and `qnms`, in a binary that loads only beside the torch
it was built with; without them its import stops, although models and transforms need neither. Only
when the plain import fails with just that error, their schemas are declared here. With matching
builds nothing is done.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[torch.library.Library] = []  # a schema lives as long as its library object


def import_torchvision() -> ModuleType:
    """Return the module torchvision, declaring the missing schemas if need be."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}{_SCHEMA}")
    _libraries.append(library)
    return importlib.import_module("torchvision")
