"""The benchmark of three tasks compares like with like; no timing is asserted."""

import torch
from lightning_fabric import Fabric

from benchmarks import tasks
from facecomp_lib import faces, methods
from facecomp_lib.training.loader import BatchLoader
from facecomp_lib.training.step import StageTrainer


def test_models_take_turns_on_the_same_samples_and_warm_up_unmeasured(monkeypatch):
    models = {name: methods.build("collagan", size=32, width=1 / 16, tasks=name) for name in ("i", "isd")}
    before = {name: model.generator.to_outputs.weight.clone() for name, model in models.items()}
    stages = {name: tasks.joint_stage(name, 4, batch_size=2) for name in models}
    loader = BatchLoader(faces.embedded("train", 32), 0)
    samples = [loader.batch(stages["i"], k, 2 * k) for k in range(4)]
    seen, clock, step = [], [0.0], StageTrainer.step

    def counted(turns, sample):
        seen.append(("".join(turns.method.tasks), samples.index(sample)))
        clock[0] += 10 * len(turns.method.tasks) + (1000 if len(seen) < 3 else len(seen))
        return step(turns, sample)

    monkeypatch.setattr(StageTrainer, "step", counted)
    fabric = Fabric(accelerator="cpu", devices=1)
    found = tasks.take_turns(models, stages, samples, fabric, lambda: clock[0])
    assert seen == [(name, k) for k in range(4) for name in ("i", "isd")]
    assert found == {"i": 10 + 5, "isd": 30 + 6}  # the median of steps 3, 5, 7 and of 4, 6, 8
    for name, model in models.items():
        assert not torch.equal(model.generator.to_outputs.weight, before[name]), "no training step"


def test_ratios_are_of_all_together_to_the_sum_apart():
    line = tasks.report("step", {"i": 10.0, "s": 20.0, "d": 30.0, "isd": 45.0}, "ms")
    assert line.endswith("together / apart  0.750")


def test_parameters_are_counted_by_network():
    method = methods.build("collagan", size=32, width=1 / 16, tasks="sd")
    one = sum(p.numel() for p in method.generator.parameters())
    assert tasks.parameters(method, "generator") == one
    assert tasks.parameters(method) == sum(p.numel() for p in method.parameters())
