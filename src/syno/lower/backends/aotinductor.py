"""The `aotinductor` backend: a network as a shared library, made ahead of time by Inductor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor import aoti_compile_and_package, aoti_load_package

from syno.lower.backends.graphs import exported, fitted, own_warnings_only


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` as a library that is loaded; its parameters are constants of the library."""
    with own_warnings_only(), torch.no_grad(), TemporaryDirectory(prefix="syno-") as folder:
        package = aoti_compile_and_package(
            exported(module, example_inputs),
            package_path=str(Path(folder) / "network.pt2"),
            inductor_configs={"freezing": True},
        )
        loaded = aoti_load_package(package)
    return fitted(example_inputs, loaded)
