"""Every public door against values that nobody should give it: a wrong one is refused in words of our own.

Each door is called with arguments that work, then with each argument replaced by each of a list of odd values. It may accept one; but an error that leaves it must have been raised by the project, not by a library
inside, whose words would say nothing to the caller.
"""

import inspect
import warnings

import numpy as np
import pytest
import torch

import facecomp_lib as fc
from facecomp_lib.evaluation import Metric
from facecomp_lib.methods import Cosine, OptimizerConfig
from facecomp_lib.papers.gfc import parsing_stage
from facecomp_lib.utils.doors import is_refusal

REFUSALS = (ValueError, TypeError, IndexError, OSError)

ODD = {
    "None": None,
    "'abc'": "abc",
    "''": "",
    "'a\\0b'": "a\0b",
    "b'abc'": b"abc",
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "10**30": 10**30,
    "True": True,
    "object()": object(),
    "print": print,
    "[]": [],
    "[None]": [None],
    "['abc', 2]": ["abc", 2],
    "{}": {},
    "{'a': None}": {"a": None},
    "zeros(0)": torch.zeros(0),
    "tensor(1.)": torch.tensor(1.0),
    "zeros(2, 3, 4, 5, 6)": torch.zeros(2, 3, 4, 5, 6),
    "uint8 image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
    "image of NaN": torch.full((2, 3, 32, 32), float("nan")),
    "grey image": torch.zeros(2, 1, 32, 32),
    "image of 255": torch.full((2, 3, 32, 32), 255.0),
    "complex": torch.zeros(2, 3, 32, 32, dtype=torch.complex64),
    "array": np.zeros((3, 2)),
    "array of objects": np.array([None, "a"], object),
}  # fmt: skip


def image(n=2, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def mask(n=2, size=32):
    return fc.masks.make("center", size, n)


def faces():
    return fc.faces.embedded("test", 32)


def landmarks():
    return faces().batch(range(2)).landmarks


def labels():
    return torch.zeros(2, 8, 8, dtype=torch.long)


def learner():
    return {"g": OptimizerConfig(("generator",), {"reconstruction": 1.0})}


def tiny():
    return fc.methods.build("gfc", size=32, width=0.0625, fc_dim=8)


def scores():
    return fc.evaluation.evaluate({"telea": "telea"}, faces(), ("center",), "psnr", limit=4, progress=False)


# fmt: off
DOORS = {
    fc.preset: lambda t: dict(name="smoke"),
    fc.faces.embedded: lambda t: dict(split="test", size=32),
    fc.faces.folder: lambda t: dict(path=t, split=None, size=None),
    fc.faces.split_of: lambda t: dict(identity=1, val=0.1, test=0.1, salt=""),
    fc.faces.from_photo: lambda t: dict(
        source=np.zeros((64, 64, 3), np.uint8), size=32, landmarks=landmarks()[0].numpy()
    ),
    fc.faces.edit_landmarks: lambda t: dict(landmarks=landmarks(), smile=0.5, mouth_open=0, brow_raise=0),
    fc.faces.expression_from: lambda t: dict(landmarks=landmarks(), other=landmarks()),
    fc.faces.Augment: lambda t: {
        name: parameter.default for name, parameter in inspect.signature(fc.faces.Augment).parameters.items()
    },
    fc.faces.FaceBatch: lambda t: dict(
        image=image(), landmarks=landmarks(), parsing=None, identity=None, attributes=None, pose=None
    ),
    fc.faces.Writer: lambda t: dict(
        folder=t / "new", name="a", size=32, attribute_names=(), scalars=(), image_format="webp", quality=80
    ),
    fc.masks.make: lambda t: dict(kind="gfc_o1", size=32, n=2, seed=0, landmarks=landmarks(), step=0, index=[0, 1]),
    fc.masks.check: lambda t: dict(image=image(), mask=mask()),
    fc.masks.check_kind: lambda t: dict(kind="center"),
    fc.masks.composite: lambda t: dict(image=image(), raw=image(), mask=mask()),
    fc.masks.merge: lambda t: dict(image=image(), raw=image(), mask=mask()),
    fc.masks.hole_fraction: lambda t: dict(mask=mask()),
    fc.classical.complete: lambda t: dict(image=image(), mask=mask(), kind="telea", radius=3),
    fc.classical.poisson_blend: lambda t: dict(image=image(), raw=image(), mask=mask()),
    fc.methods.build: lambda t: dict(name="gfc", seed=0, size=32, width=0.0625, fc_dim=8, variant="paper", norm=False),
    fc.methods.pretrained: lambda t: dict(name="gfc", variant=None, size=128),
    fc.methods.load: lambda t: dict(path=t),
    fc.methods.save: lambda t: dict(method=tiny(), path=t / "m", networks=["parser"], eight_bit=False),
    fc.methods.Stage: lambda t: dict(
        name="a", steps=3, optimizers=learner(), batch_size=2, masks=("center",), augment=None, ema=None
    ),
    fc.methods.OptimizerConfig: lambda t: dict(
        networks=("generator",), losses={"a": 1.0}, optimizer="adam", lr=1e-3, betas=(0.5, 0.9), clip=None,
        skip_below=None, every=1, schedule=Cosine(),
    ),
    fc.methods.Loss: lambda t: dict(weight=1.0, every=1),
    fc.methods.Cosine: lambda t: dict(warmup=0, final=0.0),
    fc.methods.Plateau: lambda t: dict(factor=0.1, patience=1, every=1),
    fc.methods.sample_keys: lambda t: dict(seed=0, step=0, index=torch.arange(2)),
    fc.methods.uniform: lambda t: dict(keys=torch.arange(2), shape=(2, 2), salt=""),
    tiny().complete: lambda t: dict(image=image(), mask=mask(), seed=0),
    fc.training.fit: lambda t: dict(
        method=tiny(), data=faces(), run_dir=t / "run", preset="smoke", stages=[parsing_stage(1, 2)], until=None, seed=0,
        validation=None, precision="32-true", accelerator="cpu", save_every=100.0, callbacks=(), num_samples=2,
    ),
    fc.training.collect: lambda t: dict(folders=t),
    fc.training.add_metrics: lambda t: dict(run_dir=t, psnr=1.0),
    fc.evaluation.score: lambda t: dict(prediction=image(), target=image(), mask=mask(), metrics="psnr"),
    fc.evaluation.psnr: lambda t: dict(prediction=image(), target=image()),
    fc.evaluation.ssim: lambda t: dict(prediction=image(), target=image()),
    fc.evaluation.ssim_map: lambda t: dict(prediction=image(), target=image()),
    fc.evaluation.l1: lambda t: dict(prediction=image(), target=image()),
    fc.evaluation.psnr_hole: lambda t: dict(prediction=image(), target=image(), mask=mask()),
    fc.evaluation.ssim_hole: lambda t: dict(prediction=image(), target=image(), mask=mask()),
    fc.evaluation.dice: lambda t: dict(prediction=labels(), target=labels(), classes=11),
    fc.evaluation.dice_hole: lambda t: dict(prediction=labels(), target=labels(), mask=mask(2, 8)),
    fc.evaluation.confusion: lambda t: dict(prediction=labels(), target=labels(), classes=11),
    fc.evaluation.f_scores: lambda t: dict(confusion=torch.eye(11, dtype=torch.long)),
    fc.evaluation.landmark_error: lambda t: dict(prediction=landmarks(), target=landmarks()),
    fc.evaluation.nme: lambda t: dict(prediction=landmarks(), target=landmarks()),
    fc.evaluation.nme_hole: lambda t: dict(prediction=landmarks(), target=landmarks(), mask=mask()),
    fc.evaluation.bootstrap: lambda t: dict(values=[1.0, 2, 3], seed=0, groups=[0, 1, 2]),
    fc.evaluation.bootstrap_runs: lambda t: dict(values=[[1.0, 2], [2, 3]], seed=0, groups=[0, 1]),
    fc.evaluation.difference: lambda t: dict(values=[1.0, 2, 3], others=[0.0, 1, 1], seed=0, groups=None),
    fc.evaluation.frechet: lambda t: dict(a=torch.randn(9, 3), b=torch.randn(9, 3)),
    fc.evaluation.mmd: lambda t: dict(a=torch.randn(9, 3), b=torch.randn(9, 3)),
    fc.evaluation.fid: lambda t: dict(real=image(), fake=image(), features="auto"),
    fc.evaluation.kid: lambda t: dict(real=image(), fake=image(), features="auto", seed=0),
    fc.evaluation.recognition: lambda t: dict(
        gallery=torch.eye(3), gallery_identity=torch.arange(3), probe=torch.eye(3),
        probe_identity=torch.arange(3), top=(1,),
    ),
    fc.evaluation.metric: lambda t: dict(name="psnr"),
    Metric: lambda t: dict(name="a", label="A", unit="dB", better="higher", digits=2, scale=1.0),
    fc.evaluation.evaluate: lambda t: dict(
        methods={"telea": "telea"}, faces=faces(), masks="center", metrics="psnr", limit=2, seed=0, batch_size=2,
        progress=False,
    ),
    fc.evaluation.mask_size_study: lambda t: dict(
        methods={"telea": "telea"}, faces=faces(), sides=[8], metrics="psnr", limit=2, seed=0
    ),
    fc.evaluation.summarize: lambda t: dict(
        scores=scores(), metric="psnr", methods=None, columns=None, across="mask", by="identity", baseline=None,
        seed=0,
    ),
    fc.evaluation.average_face: lambda t: dict(train=faces().subset(4)),
    fc.evaluation.nearest_face: lambda t: dict(train=faces().subset(4), limit=4),
    fc.experiments.read_experiment: lambda t: dict(name="gfc/ablation", changes=["seeds=[0]"]),
    fc.experiments.load: lambda t: dict(name="gfc/ablation"),
    fc.experiments.published: lambda t: dict(paper="gfc", table=None),
    fc.experiments.claim: lambda t: dict(
        text="a", scores=scores(), metric="psnr", better="telea", worse="telea", masks=None, paper=None, across="mask"
    ),
    fc.experiments.make_stages: lambda t: dict(method=tiny(), entries=[{"stage": "parsing", "steps": 3}]),
    fc.show.contact_sheet: lambda t: dict(images=image(), titles=["a", "b"], columns=2, notes=None, cell=32),
    fc.show.completion: lambda t: dict(image=image(1), mask=mask(1), raw=image(1), composite=image(1), cell=32),
    fc.show.masked: lambda t: dict(image=image(), mask=mask(), grey=0.5),
    fc.show.overlay_landmarks: lambda t: dict(images=image(), landmarks=landmarks(), titles=None, cell=32),
    fc.show.overlay_parsing: lambda t: dict(images=image(), parsing=labels(), titles=None, cell=32),
    fc.show.score_table: lambda t: dict(scores=scores(), metric="psnr", baseline=None, across="mask", by="identity"),
    fc.show.score_plot: lambda t: dict(scores=scores(), metric="psnr", baseline=None, across="mask", by="identity"),
    fc.nn.warp: lambda t: dict(image=image(), flow=torch.zeros(2, 2, 32, 32)),
    fc.nn.mirror_warp: lambda t: dict(image=image(), flow=torch.zeros(2, 2, 32, 32)),
    fc.nn.identity_flow: lambda t: dict(height=4, width=4),
    fc.nn.attend: lambda t: dict(query=torch.rand(1, 4, 2), values=torch.rand(1, 4, 3), key=None, allowed=None),
    fc.nn.generator_loss: lambda t: dict(fake=torch.rand(2, 1), kind="bce"),
    fc.nn.discriminator_loss: lambda t: dict(real=torch.rand(2, 1), fake=torch.rand(2, 1), kind="bce"),
    fc.nn.vgg_features: lambda t: dict(image=image(), network="vgg16"),
    fc.weights.path: lambda t: dict(name="lpips_alex", download=False),
    fc.weights.available: lambda t: dict(name="lpips_alex"),
}
# fmt: on


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.__module__}.{door.__name__}")
def test_a_door_answers_odd_values_in_words_of_our_own(door, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    foreign = []
    for number, name in enumerate(DOORS[door](tmp_path)):
        for place, (shown, odd) in enumerate(ODD.items()):
            target = tmp_path / f"{number}_{place}"
            target.mkdir()
            arguments = DOORS[door](target) | {name: odd}
            positional = [arguments.pop("folders")] if "folders" in arguments else []
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    door(*positional, **arguments)
            except Exception as error:
                if not isinstance(error, REFUSALS) or not is_refusal(error):
                    foreign.append(f"{name}={shown}: {type(error).__name__}: {str(error)[:100]}")
    assert not foreign, "\n".join(foreign)
