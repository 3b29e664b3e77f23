"""What the scripts share that train lafin: options, stages, and how far its landmarks are from the true ones.

The generator learns in up to two stages: ``inpaint`` without the perceptual and the style loss, which cost
more than all else on a CPU, then ``refine`` with them. The predictor has a run of its own before that. Rates,
average and the width of landmarks on the map are those of short runs: the paper's are for a million steps.

NME is the mean distance of points over that of the outer corners of the eyes: ``nme`` of all 68 points,
``nme_hole`` of those under the hole. Tables show it in percent; cards and recorded scores have the share.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import damaged, fills_of, history, joined, weights_of
from data_scripts.understanding import under_hole
from facecomp_lib import evaluation, faces, methods, training
from facecomp_lib.evaluation.protocol import drawn_faces, identities
from facecomp_lib.nn import vgg_features
from facecomp_lib.papers.lafin import inpainting, locating

IRREGULAR = tuple(f"irregular_{share}_{share + 10}" for share in range(10, 60, 10))
HOLES = ("center", "random_square", *IRREGULAR, "gfc_o6")
MEASURES = ("psnr", "psnr_hole", "ssim", "lpips", "identity")
AVERAGE = "average face"
EXACT = "32-true"  # of a predictor: bfloat16 has no digits for a fraction of a pixel, and gains no time there

Locator = Callable[[Tensor, Tensor], Tensor]
"""Image ``[B, 3, S, S]`` and mask ``[B, 1, S, S]`` -> landmarks ``[B, 68, 2]`` in px."""


def locator(method: methods.Method) -> Locator:
    """What a lafin's predictor finds."""
    return lambda image, mask: method.complete(image, mask).extras["landmarks"]


# -------------------------------------------------------------------------------------- options, training


def plan_options(parser: argparse.ArgumentParser, locate_steps: int, dot: int) -> None:
    """Options of all scripts that train predictor and generator."""
    parser.add_argument("--locate-steps", type=int, default=locate_steps, help="predictor's (%(default)s)")
    parser.add_argument(
        "--style-steps", type=int,
        help="the generator's last so many of --steps have the perceptual and the style loss (all)",
    )  # fmt: skip
    parser.add_argument(
        "--perceptual", choices=("best", "vgg16", "vgg19", "none"), default="best",
        help="network of these two losses; best: the one whose weights are here, if any (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--locate-lr", type=float, default=1e-3,
        help="predictor's (%(default)s; with the paper's 1e-4, a thousand steps reach the average face)",
    )  # fmt: skip
    parser.add_argument("--predictor-width", type=float, default=0.5, help="(%(default)s)")
    parser.add_argument("--lr", type=float, default=5e-4, help="of the generator (%(default)s; paper: 1e-4)")
    parser.add_argument("--discriminator-lr", type=float, default=5e-5, help="(%(default)s; paper: 1e-5)")
    parser.add_argument("--ema", type=float, default=0.99, help="of both (%(default)s; paper: none)")
    parser.add_argument(
        "--dot", type=int, default=dot, help="a landmark is so many px wide on the map (%(default)s)"
    )


def run_options(parser: argparse.ArgumentParser, size: int, steps: int, locate_steps: int, dot: int) -> None:
    """Options of the scripts that train one lafin."""
    parser.add_argument("--size", type=int, default=size, help="px (%(default)s)")
    parser.add_argument("--width", type=float, default=0.25, help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=steps, help="of the generator (%(default)s)")
    plan_options(parser, locate_steps, dot)
    parser.add_argument("--predictor", type=Path, help="weights of a finished one, instead of training one")
    parser.add_argument("--predictor-init", type=Path, help="weights of an earlier one, with which it begins")
    parser.add_argument("--precision", default="bf16-mixed", help="of the generator's run (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)


def built(seed: int, given: argparse.Namespace, **options: Any) -> methods.Method:
    """A new lafin, whose perceptual network is there.

    Args:
        given: of :func:`plan_options`.
        options: of lafin.

    Raises:
        ValueError, FileNotFoundError: as its class and :func:`vgg_features` do.
    """
    perceptual = None if given.perceptual == "none" else given.perceptual
    width = given.predictor_width
    options |= {"perceptual": perceptual, "predictor_width": width, "dot": given.dot}
    method = methods.build("lafin", seed=seed, **options)
    if method.config["perceptual"] is not None:
        vgg_features(torch.zeros(1, 3, 32, 32), method.config["perceptual"])
    return method


def generator_stages(
    method: methods.Method, steps: int, given: argparse.Namespace, joint: bool = False
) -> list[methods.Stage]:
    """``inpaint``, then ``refine``; without a perceptual network all is ``inpaint``.

    Args:
        method: a lafin.
        steps: of both.
        given: of :func:`plan_options`.
        joint: the predictor learns as well.

    Raises:
        ValueError: more style steps than steps.
    """
    style_steps = steps if given.style_steps is None else given.style_steps
    if not 0 <= style_steps <= steps:
        raise ValueError(f"style_steps must be from 0 to the generator's {steps} steps, not {style_steps}.")
    style_steps = style_steps if method.config["perceptual"] else 0
    rates = {"lr": given.lr, "discriminator_lr": given.discriminator_lr, "ema": given.ema, "joint": joint}
    stages = [inpainting(steps - style_steps, perceptual=False, **rates)] if steps > style_steps else []
    return [*stages, replace(inpainting(style_steps, **rates), name="refine")] if style_steps else stages


@dataclass(frozen=True)
class Trained:
    """A lafin that has learned.

    Attributes:
        method: all of it.
        predictor, generator: cards of their runs.
        predictor_before, generator_before: steps of the runs that these began with.
    """

    method: methods.Method
    predictor: dict[str, Any]
    predictor_before: list[int]
    generator: dict[str, Any]
    generator_before: list[int]


def trained(
    run_dir: Path,
    data: faces.FaceDataset,
    validation: faces.FaceDataset,
    given: argparse.Namespace,
    init: Path | None = None,
) -> Trained:
    """Train predictor and generator, as far as that is not done, in ``run_dir/predictor`` and ``/generator``.

    Args:
        given: of :func:`run_options`; with 0 steps, the generator stays as it is in ``init``.
        init: weights of an earlier run, with whose generator and discriminator this one begins.

    Raises:
        ValueError: 0 steps, and nothing to begin with.
    """
    if given.steps == 0 and init is None:
        raise ValueError("0 steps keep the generator of an earlier run: say which.")
    method = built(given.seed, given, size=given.size, width=given.width)
    stages = generator_stages(method, given.steps, given)
    artists = {"generator": init, "critic": init}
    own = given.predictor or given.predictor_init
    take(method, {"predictor": own, **artists})  # what does not fit is said before hours of training
    common: dict[str, Any] = {"seed": given.seed, "validation": validation, "show": ()}
    places = [run_dir / "predictor" if given.predictor is None else given.predictor.parent]
    if given.predictor is None:
        training.fit(
            method, data, places[0], precision=EXACT, watch=0, **common,
            stages=[locating(given.locate_steps, lr=given.locate_lr, ema=given.ema)],
        )  # fmt: skip
        history(places[0], given.predictor_init)
        take(method, artists)  # a run that goes on brings the other networks as they were when it began
    if init is not None and given.steps == 0:
        places.append(init.parent)
    else:
        places.append(run_dir / "generator")
        run = training.fit(method, data, places[1], stages=stages, precision=given.precision, **common)
        method = run.method
        history(places[1], init)
    cards = [json.loads((place / "card.json").read_text(encoding="utf-8")) for place in places]
    before = [history(place, None) for place in places]
    return Trained(method, cards[0], before[0], cards[1], before[1])


def take(method: methods.Method, weights: Mapping[str, Path | None]) -> None:
    """Weights of some networks from files with a lafin's: name -> file, None to leave it as it is.

    Raises:
        ValueError: they are not there, or are those of another size.
    """
    for name, path in weights.items():
        if path is None:
            continue
        try:
            method.networks[name].load_state_dict(weights_of(name, path))
        except RuntimeError as error:
            raise ValueError(f"{path}: its {name} is another one; it needs the same widths.") from error


def plan_facts(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a shorter card says of the stages on a run's card."""
    stages = card["stages"]
    return {
        "stages": {stage["name"]: stage["steps"] for stage in stages},
        "batch_size": stages[0]["batch_size"],
        "lr": {name: optimizer["lr"] for name, optimizer in stages[0]["players"].items()},
        "ema": stages[0]["ema"],
    }


def style_facts(card: Mapping[str, Any]) -> dict[str, Any]:
    """For how many steps of a run the perceptual and the style loss were on, and with which network."""
    losses = {stage["name"]: stage["players"]["generator"]["losses"] for stage in card["stages"]}
    steps = sum(stage["steps"] for stage in card["stages"] if "style" in losses[stage["name"]])
    return {"network": card["config"]["perceptual"], "steps": steps}


# ---------------------------------------------------------------------------------------------- measuring


def average_face(data: faces.FaceDataset) -> Locator:
    """The answer of those who do not look: everybody has the mean landmarks of ``data``."""
    mean = torch.from_numpy(data.column("landmarks").astype(np.float32)).mean(0)
    return lambda image, mask: mean.to(image.device).expand(len(image), -1, -1)


def by(test: faces.FaceDataset) -> str:
    """What intervals count: people, if they are known."""
    return "person" if (test.column("identity") >= 0).all() else "picture"


@torch.no_grad()
def located(
    locators: Mapping[str, Locator],
    test: faces.FaceDataset,
    holes: Sequence[str],
    limit: int | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> evaluation.Comparison:
    """How well landmarks of damaged faces are found; faces and holes are those of ``evaluate``, seed 0.

    Args:
        locators: name -> function.
        test: faces with landmarks.
        holes: kinds.
        limit: so many faces, None for all.
        device: where the locators want faces.
        progress: show a bar if it takes more than two seconds.
    """
    chosen = drawn_faces(len(test), limit, seed=0)
    groups = identities(test)[chosen] if by(test) == "person" else None
    comparison = evaluation.Comparison(groups=groups)
    for kind, seen, mask in damaged(test, holes, limit, device, progress):
        for name, locate in locators.items():
            comparison.add(name, kind, nme_scores(locate(seen.image, mask), seen.landmarks, mask))
    return comparison


def nme_scores(found: Tensor, true: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Of landmarks ``[B, 68, 2]`` in px and holes ``[B, 1, S, S]``; NaN where the hole hides none."""
    hidden = under_hole(true, mask)
    of_hidden = evaluation.nme(torch.where(hidden[..., None], found, true), true)  # the others' error is 0
    return {"nme": evaluation.nme(found, true), "nme_hole": of_hidden * hidden.shape[1] / hidden.sum(1)}


def compared(
    method: methods.Method,
    test: faces.FaceDataset,
    holes: Sequence[str],
    measures: Sequence[str],
    limit: int | None,
    average: Locator,
) -> evaluation.Comparison:
    """A lafin's completions beside every classical fill's, and its landmarks beside the average face's."""
    completed = evaluation.evaluate(fills_of({"lafin": method}), test, holes, measures, limit, by=by(test))
    locators = {"lafin": locator(method), AVERAGE: average}
    return joined([completed, located(locators, test, holes, limit, method.device)])
