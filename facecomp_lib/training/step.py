"""One step of a stage: the optimizers take turns, each learning from its own losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from facecomp_lib.methods import Constant, Cosine, Method, OptimizerConfig, Plateau, Stage, TrainBatch
from facecomp_lib.utils.draws import own_draws

__all__ = ["StageTrainer"]


class StageTrainer:
    """The optimizers of a stage, with their optimizers and the running average of the last one's networks.

    Modules are not wrapped for several processes, because such wrappers bear neither frozen discriminators
    nor gradient penalties. Each optimizer's gradients are averaged as one flat tensor instead.

    Args:
        method: in training; its networks without an optimizer stay frozen and in eval mode.
        stage: who plays.
        fabric: launched.
        validation: gives the same batches at each call; needed where a learning rate waits for a plateau.
        compile: compile the last optimizer's networks; those of the others are left alone, because a gradient
            penalty takes second derivatives, which a compiled network does not have.
    """

    def __init__(
        self,
        method: Method,
        stage: Stage,
        fabric: Fabric,
        validation: Callable[[], Iterable[TrainBatch]] = tuple,
        compile: bool = False,
    ) -> None:
        self.method, self.stage, self.fabric, self.validation = method, stage, fabric, validation
        self.done = 0  # steps of the stage so far
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
        fused = fabric.device.type == "cuda" and self._scaler is None  # the scaler wants to unscale by itself
        self.optimizers: dict[str, Any] = {
            name: fabric.setup_optimizers(_optimizer(config, list(self.learning[name].values()), fused))
            for name, config in stage.optimizers.items()
        }
        self.plateaus = {
            name: _plateau(config.schedule, self.optimizers[name].optimizer)
            for name, config in stage.optimizers.items()
            if isinstance(config.schedule, Plateau)
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
        self.compiled = compile
        if compile:
            for drawer in self.drawers.values():
                drawer.compile()

    @property
    def _scaler(self) -> Any:
        """What float16 needs: it leaves out an update by itself when the gradient is not finite."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def step(self, batch: TrainBatch, seed: int = 0) -> dict[str, float]:
        """Run one update of every optimizer whose turn it is, in order.

        Args:
            batch: what the step sees.
            seed: of what networks draw by themselves, as dropout does.

        Returns:
            ``optimizer.term`` -> the loss before this step's updates, ``optimizer.gradient`` -> the norm of
            its gradient before clipping (absent if there was no update), all processes together; where a
            schedule changes it ``optimizer.lr``; ``optimizer.validation`` when that was computed.

        Raises:
            ValueError: a loss that is no scalar, or an optimizer whose losses have nothing to do with it.
        """
        due = {name: config.due(self.done) for name, config in self.stage.optimizers.items()}
        draws = own_draws(seed, self.fabric.device, self.compiled)
        with draws:
            outputs = self._forward(batch, self.stage.at(self.done), learns=bool(due[self.last]))
        row: dict[str, Tensor] = {}
        rates: dict[str, float] = {}
        for name, weights in due.items():
            if weights:
                rates |= self._set_rate(name)
                self._free(name)
                with draws, self.fabric.autocast():
                    terms = self.method.losses(batch, outputs, weights)
                row |= self._turn(name, weights, terms)
        if self.average is not None and due[self.last]:
            self.average.update_parameters(self.drawers)
        self.done += 1
        together = self._mean(torch.stack(list(row.values())))
        values = dict(zip(row, together.tolist(), strict=True))  # the step's only wait for the device
        if self._scaler is not None:
            values = {k: v for k, v in values.items() if math.isfinite(v) or not k.endswith(".gradient")}
        return values | rates | self._follow_plateaus()

    def finish(self) -> None:
        """At the end of the stage the average, if one is kept, takes the place of its networks."""
        if self.average is not None:
            self.drawers.load_state_dict(self.average.module.state_dict())

    def release(self) -> None:
        """Leave the method in eval mode, all that was free to learn free again, without gradients."""
        self.method.requires_grad_(False).eval()
        for parameter in self.free:
            parameter.requires_grad_(True).grad = None
        for drawer in self.drawers.values():
            drawer._compiled_call_impl = None  # as if it had never been compiled

    def tensors(self) -> dict[str, Tensor]:
        """Optimizers' memories and the average, by name."""
        kept = {
            f"optimizer/{name}/{key}/{memory}": value
            for name, optimizer in self.optimizers.items()
            for key, parameter in self.learning[name].items()
            for memory, value in optimizer.state.get(parameter, {}).items()
        }
        if self.average is not None:
            kept |= {f"average/{key}": value for key, value in self.average.state_dict().items()}
        return kept

    def schedules(self) -> dict[str, Any]:
        """What learning rates that wait for a plateau have seen, and what they are now; ready for JSON."""
        return {
            name: {"lr": self._group(name)["lr"], "state": plateau.state_dict()}
            for name, plateau in self.plateaus.items()
        }

    def restore(self, done: int, tensors: Mapping[str, Tensor], schedules: Mapping[str, Any]) -> None:
        """Go on after ``done`` steps, with what :meth:`tensors` and :meth:`schedules` gave then."""
        self.done = done
        for full_name, value in tensors.items():
            kind, _, rest = full_name.partition("/")
            if kind != "optimizer":
                continue
            name, key, memory = rest.split("/")
            parameter = self.learning[name][key]
            if memory == "step":  # only the fused kernel wants it on the device
                value = value.to(parameter.device) if self._group(name).get("fused") else value
            elif value.shape == parameter.shape:
                # in the parameter's memory layout: another one may round differently
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            self.optimizers[name].state[parameter][memory] = value
        if self.average is not None:
            kept = {key[8:]: value for key, value in tensors.items() if key.startswith("average/")}
            self.average.load_state_dict(kept)
        for name, kept_schedule in schedules.items():
            self.plateaus[name].load_state_dict(kept_schedule["state"])
            self._group(name)["lr"] = kept_schedule["lr"]

    def _forward(self, batch: TrainBatch, stage: Stage, learns: bool) -> Any:
        """What the losses share; without gradients in a step in which the last optimizer does not learn."""
        self._free(self.last)
        with self.fabric.autocast(), torch.set_grad_enabled(learns):
            return self.method.forward_train(batch, stage)

    def _free(self, whose: str) -> None:
        """Let gradients reach this optimizer's networks alone."""
        self.method.requires_grad_(False)
        for parameter in self.learning[whose].values():
            parameter.requires_grad_(True)

    def _turn(
        self, name: str, weights: Mapping[str, float], terms: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """One optimizer's update from its losses."""
        row = {f"{name}.{term}": value.detach().float() for term, value in terms.items()}
        config, objective = self.stage.optimizers[name], self._objective(name, weights, terms)
        if config.skip_below is None or float(self._mean(objective.detach())) >= config.skip_below:
            row[f"{name}.gradient"] = self._learn(name, config, objective)
        return row

    def _objective(self, name: str, weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of an optimizer's terms."""
        objective = _weighted_sum(weights, terms)
        if not objective.requires_grad:
            raise ValueError(
                f"Optimizer {name!r} of stage {self.stage.name!r} cannot learn: none of its losses "
                f"({', '.join(terms)}) depends on {', '.join(self.stage.optimizers[name].networks)}."
            )
        return objective

    def _learn(self, name: str, config: OptimizerConfig, objective: Tensor) -> Tensor:
        """Update an optimizer's networks; returns the norm of the gradient."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        with own_draws(None, self.fabric.device, self.compiled):
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

    def _group(self, name: str) -> dict[str, Any]:
        """Options of an optimizer's optimizer."""
        return self.optimizers[name].optimizer.param_groups[0]

    def _set_rate(self, name: str) -> dict[str, float]:
        """This step's learning rate of an optimizer, for the log; nothing if it is constant."""
        config, group = self.stage.optimizers[name], self._group(name)
        if isinstance(config.schedule, Constant):
            return {}
        if isinstance(config.schedule, Cosine):
            group["lr"] = config.lr * config.schedule.factor(self.done, self.stage.steps)
        return {f"{name}.lr": group["lr"]}

    def _follow_plateaus(self) -> dict[str, float]:
        """Validation losses of the optimizers whose schedules want one after this step."""
        found = {}
        for name, plateau in self.plateaus.items():
            schedule = self.stage.optimizers[name].schedule
            if isinstance(schedule, Plateau) and self.done % schedule.every == 0:
                found[f"{name}.validation"] = loss = self._validate(self.stage.optimizers[name])
                plateau.step(loss)
        return found

    def _validate(self, config: OptimizerConfig) -> float:
        """An optimizer's objective on the validation faces, in eval mode: the same in all processes."""
        self.method.requires_grad_(False)  # builds no graph, but leaves a gradient penalty its gradients
        weights = {term: loss.weight for term, loss in config.terms.items()}
        losses = []
        with own_draws(0, self.fabric.device, self.compiled), self.method.evaluating():
            for batch in self.validation():
                with self.fabric.autocast():
                    outputs = self.method.forward_train(batch, self.stage)
                    terms = self.method.losses(batch, outputs, weights)
                losses.append(_weighted_sum(weights, terms).detach())
        return float(self._mean(torch.stack(losses).mean()))

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


def _weighted_sum(weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> Tensor:
    for term, value in terms.items():
        if value.ndim:
            raise ValueError(f"loss_{term} must return one number, not a tensor {list(value.shape)}.")
    return torch.stack([weight * terms[term] for term, weight in weights.items()]).sum()


def _optimizer(config: OptimizerConfig, parameters: list[nn.Parameter], fused: bool) -> torch.optim.Optimizer:
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=config.lr)
    return torch.optim.Adam(parameters, lr=config.lr, betas=config.betas, fused=fused or None)


def _plateau(schedule: Plateau, optimizer: torch.optim.Optimizer) -> ReduceLROnPlateau:
    # any new minimum counts, of a loss below 0 as well, and any learning rate falls
    return ReduceLROnPlateau(
        optimizer, factor=schedule.factor, patience=schedule.patience, threshold=0.0, eps=0.0
    )
