"""The descent: loss, optimizer, schedule and the average of the weights, one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from syno.evaluate.recipes import Recipe

_TEMPERATURE = 2.0


class Descent:
    """Changes a model by a recipe, `steps` steps long.

    `forward` computes the scores: the model itself, or what torch.compile made of it.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        steps: int,
        *,
        teacher: nn.Module | None = None,
        compiled: bool = False,
    ) -> None:
        self._model, self._recipe, self._teacher = model, recipe, teacher
        self._forward = torch.compile(model) if compiled else model
        self._optimizer = optimizer_of(model, recipe)
        self._schedule = schedule_of(self._optimizer, recipe, steps)
        self._average = _average(model, recipe, steps)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Change the model by one batch and return its loss before."""
        with autocast(self._recipe.precision, images.device.type):
            scores = self._forward(images)
        loss = _loss(scores.float(), images, labels, self._recipe, self._teacher)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.gradient_clip)
        self._optimizer.step()
        self._schedule.step()
        if self._average is not None:
            self._average.update_parameters(self._model)
        return float(loss.detach())

    @property
    def result(self) -> nn.Module:
        """The network that the training would return now: the average, or the model."""
        return self._model if self._average is None else self._average.module

    def finish(self) -> None:
        """Leave the result in the model."""
        if self._average is not None:
            self._model.load_state_dict(self._average.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from where `state_dict` was taken, in a model of the same build."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {
            "model": self._model,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
        }
        return parts if self._average is None else {**parts, "average": self._average}


def autocast(precision: str, device: str = "cpu") -> torch.autocast:
    """Return the context in which a forward computes in `precision`."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; weights decay, biases and normalization parameters do not."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.learning_rate, betas=(recipe.momentum, 0.999))
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=nesterov)


def schedule_of(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> lr_scheduler.LRScheduler:
    """Return the schedule of the learning rate over `steps` steps."""
    if recipe.schedule == "cosine":
        return _cosine(optimizer, round(recipe.warm_up * steps), steps)
    total = steps + 1
    return lr_scheduler.OneCycleLR(
        optimizer,
        recipe.learning_rate,
        total_steps=total,
        pct_start=max(recipe.warm_up, 2 / total),  # torch divides by 0 where warm-up takes one step
        cycle_momentum=False,
    )


def _cosine(optimizer: torch.optim.Optimizer, rising: int, steps: int) -> lr_scheduler.LRScheduler:
    """Return a rate that rises linearly for `rising` steps, then falls along half a cosine."""
    rising = min(rising, steps - 1)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - rising)
    if rising == 0:
        return fall
    rise = lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), total_iters=rising)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[rising])


def _average(model: nn.Module, recipe: Recipe, steps: int) -> AveragedModel | None:
    """Return a moving average of weights and of running statistics over a share of the steps."""
    if recipe.ema == 0:
        return None
    decay = 1 - 1 / max(1.0, recipe.ema * steps)
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _loss(
    scores: Tensor, images: Tensor, labels: Tensor, recipe: Recipe, teacher: nn.Module | None
) -> Tensor:
    """Return the mean loss of a batch; labels are classes, or shares of all classes."""
    loss = F.cross_entropy(scores, labels, label_smoothing=recipe.label_smoothing)
    if teacher is None or recipe.distillation == 0:
        return loss
    teacher.eval()
    with torch.inference_mode(), autocast(recipe.precision, images.device.type):
        wanted = F.log_softmax(teacher(images).float() / _TEMPERATURE, dim=1)
    found = F.log_softmax(scores / _TEMPERATURE, dim=1)
    apart = F.kl_div(found, wanted.clone(), reduction="batchmean", log_target=True)
    return (1 - recipe.distillation) * loss + recipe.distillation * _TEMPERATURE**2 * apart
