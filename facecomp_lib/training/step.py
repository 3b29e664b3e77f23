"""One step of a stage: the optimizers take turns, each learning from its own losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from facecomp_lib.methods import Method, OptimizerConfig, Stage, TrainBatch

__all__ = ["Turns"]


class Turns:
    """The optimizers of a stage with their memories, and the running average of the last one's networks.

    Modules are not wrapped for several processes: frozen discriminators, two forward passes and gradient
    penalties are more than such wrappers bear. Each optimizer's gradients are averaged as one flat tensor
    instead.

    Args:
        method: in training; its networks without an optimizer stay frozen and in eval mode.
        stage: who plays.
        fabric: launched.
    """

    def __init__(self, method: Method, stage: Stage, fabric: Fabric) -> None:
        self.method, self.stage, self.fabric = method, stage, fabric
        self.free = [parameter for parameter in method.parameters() if parameter.requires_grad]
        self.learning = {
            name: {
                f"{network}.{key}": parameter
                for network in config.networks
                for key, parameter in method.networks[network].named_parameters()
                if parameter.requires_grad
            }
            for name, config in stage.optimizers.items()
        }
        self.optimizers: dict[str, Any] = {
            name: fabric.setup_optimizers(_optimizer(config, list(self.learning[name].values())))
            for name, config in stage.optimizers.items()
        }
        method.eval()
        for config in stage.optimizers.values():
            for network in config.networks:
                method.networks[network].train()
        self.last = list(stage.optimizers)[-1]
        self.drawers = nn.ModuleDict({n: method.networks[n] for n in stage.optimizers[self.last].networks})
        self.average: AveragedModel | None = None
        if stage.ema is not None:
            self.average = AveragedModel(self.drawers, multi_avg_fn=get_ema_multi_avg_fn(stage.ema))

    def step(self, sample: TrainBatch) -> dict[str, float]:
        """Everybody's turn once.

        Returns:
            ``optimizer.term`` -> the loss before this step's updates, and ``optimizer.gradient`` -> the norm
            of the optimizer's gradient before clipping (absent if there was no update); all processes
            together.

        Raises:
            ValueError: a loss that is no scalar, or an optimizer whose losses have nothing to do with it.
        """
        outputs = self._forward(sample)
        found: dict[str, Tensor] = {}
        for name, optimizer in self.stage.optimizers.items():
            self._free(name)
            with self.fabric.autocast():
                terms = self.method.losses(sample, outputs, optimizer.losses)
            found |= {f"{name}.{term}": value.detach().float() for term, value in terms.items()}
            objective = self._objective(name, optimizer, terms)
            if not self._sits_out(optimizer, objective):
                found[f"{name}.gradient"] = self._learn(name, optimizer, objective)
        if self.average is not None:
            self.average.update_parameters(self.drawers)
        together = self._mean(torch.stack(list(found.values())))
        row = dict(zip(found, together.tolist(), strict=True))  # the step's only wait for the device
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            # float16's loss scaling leaves out an update by itself when the gradient is not finite
            row = {key: v for key, v in row.items() if math.isfinite(v) or not key.endswith(".gradient")}
        return row

    def finish(self) -> None:
        """At the end of the stage the average, if one is kept, takes the place of its networks."""
        if self.average is not None:
            self.drawers.load_state_dict(self.average.module.state_dict())

    def release(self) -> None:
        """Leave the method in eval mode, all that was free to learn free again, without gradients."""
        self.method.requires_grad_(False).eval()
        for parameter in self.free:
            parameter.requires_grad_(True).grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Optimisers' memories and the average, by name."""
        kept = {
            f"optimizer/{name}/{key}/{memory}": value
            for name, optimizer in self.optimizers.items()
            for key, parameter in self.learning[name].items()
            for memory, value in optimizer.state.get(parameter, {}).items()
        }
        if self.average is not None:
            kept |= {f"average/{key}": value for key, value in self.average.state_dict().items()}
        return kept

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`tensors` gave."""
        for full_name, value in tensors.items():
            kind, _, rest = full_name.partition("/")
            if kind != "optimizer":
                continue
            name, key, memory = rest.split("/")
            parameter = self.learning[name][key]
            if value.shape == parameter.shape and memory != "step":
                # in the parameter's memory layout: another one may round differently
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            self.optimizers[name].state[parameter][memory] = value
        if self.average is not None:
            prefix = "average/"
            kept = {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
            self.average.load_state_dict(kept)

    def _forward(self, sample: TrainBatch) -> Any:
        self._free(self.last)
        with self.fabric.autocast():
            return self.method.forward_train(sample, self.stage)

    def _free(self, whose: str) -> None:
        """Let gradients reach this optimizer's networks alone."""
        self.method.requires_grad_(False)
        for parameter in self.learning[whose].values():
            parameter.requires_grad_(True)

    def _objective(self, name: str, config: OptimizerConfig, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of an optimizer's terms."""
        for term, value in terms.items():
            if value.ndim:
                raise ValueError(f"loss_{term} must return one number, not a tensor {list(value.shape)}.")
        objective = torch.stack([weight * terms[term] for term, weight in config.losses.items()]).sum()
        if not objective.requires_grad:
            raise ValueError(
                f"Optimizer {name!r} of stage {self.stage.name!r} cannot learn: none of its losses "
                f"({', '.join(terms)}) depends on {', '.join(config.networks)}."
            )
        return objective

    def _sits_out(self, config: OptimizerConfig, objective: Tensor) -> bool:
        if config.skip_below is None:
            return False
        return float(self._mean(objective.detach())) < config.skip_below

    def _learn(self, name: str, config: OptimizerConfig, objective: Tensor) -> Tensor:
        """Update an optimizer's networks; returns the norm of the gradient."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        self.fabric.backward(objective)
        parameters = [p for p in self.learning[name].values() if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        self._share(gradients)
        self.fabric.strategy.precision.unscale_gradients(optimizer.optimizer)
        norm = get_total_norm(gradients)
        if config.clip is not None:
            clip_grads_with_norm_(parameters, config.clip, norm)
        optimizer.step()
        return norm

    def _share(self, gradients: list[Tensor]) -> None:
        """Average over the processes, all gradients in one message."""
        if self.fabric.world_size == 1:
            return
        flat = self._mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _mean(self, values: Tensor) -> Tensor:
        """Over the processes."""
        return self.fabric.all_reduce(values, reduce_op="mean")  # type: ignore[return-value]


def check_finite(row: Mapping[str, float], place: str) -> None:
    """The guard against a run that goes on with nonsense.

    Args:
        row: of :meth:`Turns.step`.
        place: of the step, in words.

    Raises:
        FloatingPointError: a loss or a gradient is not finite.
    """
    for name, value in row.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} is {value} at {place}. The last checkpoint is from before that; what usually "
                "helps is a smaller lr, clip, or a smaller weight of this loss."
            )


def _optimizer(config: OptimizerConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=config.lr)
    return torch.optim.Adam(parameters, lr=config.lr, betas=config.betas)
