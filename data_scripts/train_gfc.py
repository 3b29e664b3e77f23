"""Train the gfc checkpoint that travels with the course, measure it, and write it with its card.

    python data_scripts/render_faces.py more128 --train 10000 --val 0 --test 0 --per-person 2 --seed 1 \\
        --flow none
    python data_scripts/train_gfc.py runs/gfc-128 --faces more128

A run that was stopped goes on where it was when started again. The embedded test split measures the result:
its people are in neither training set.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import RESULTS, data_of, fills_of, save_sheet, weights_of
from data_scripts.parsing import parsing_scores
from facecomp_lib import evaluation, faces, masks, methods, training
from facecomp_lib.methods import checkpoints
from facecomp_lib.papers.gfc import curriculum, parsing_stage

MEASURES = ("psnr", "ssim", "lpips", "psnr_hole", "ssim_hole", "identity")
BEFORE = "before.json"  # in a run's folder: the runs that it began with
SHOWN = (3, 36, 80, 121, 200, 255)  # test faces that are drawn after each stage


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--faces", help="prepared data set to learn from; default: the embedded train split")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--fc-dim", type=int, default=128)
    parser.add_argument(
        "--steps", type=int, nargs=3, default=(5000, 2000, 2000), metavar="N",
        help="of the stages reconstruct, locally, globally (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--parser-steps", type=int, default=2000, help="(%(default)s)")
    parser.add_argument(
        "--parser", type=Path, help="weights of a finished parsing stage, instead of training one"
    )
    parser.add_argument(
        "--init", type=Path, help="weights of an earlier run, whose generator this one begins with"
    )
    parser.add_argument(
        "--discriminators", type=float, default=0.25, help="of the paper's weight (%(default)s)"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until", help="stop after this stage, measure nothing")
    given = parser.parse_args()

    data = data_of(given.faces, given.size)
    test = faces.embedded("test", given.size)
    method = methods.build(
        "gfc", seed=given.seed, size=given.size, width=given.width, fc_dim=given.fc_dim, norm=True
    )
    common = {
        "seed": given.seed,
        "validation": faces.embedded("val", given.size),
        "precision": given.precision,
    }
    if given.parser is None:  # a run of its own: another generator needs no other parsing network
        parsing = [parsing_stage(given.parser_steps, given.batch_size)]
        training.fit(method, data, given.run_dir / "parser", stages=parsing, **common)
    else:
        method.parser.load_state_dict(weights_of("parser", given.parser))
    if given.init:
        method.generator.load_state_dict(weights_of("generator", given.init))
    given.run_dir.mkdir(parents=True, exist_ok=True)
    history = before(given.init)
    (given.run_dir / BEFORE).write_text(json.dumps(history), encoding="utf-8")
    stages = curriculum(
        given.size, given.steps, batch_size=given.batch_size, lr=1e-3, discriminators=given.discriminators
    )
    run = training.fit(method, data, given.run_dir / "completion", stages=stages, until=given.until, **common)
    if given.until:
        return 0
    draw_stages(run, test, RESULTS / f"gfc_stages_{given.size}.webp")
    metrics = {
        "parsing_f_scores": parsing_scores(run.method.parser, test),
        **completion_scores(run.method, test),
    }
    trained = {key: run.card[key] for key in ("data", "steps", "seed", "precision", "seconds", "hardware")}
    path = methods.save(
        run.method, checkpoints.FOLDER / f"gfc-{given.size}", ("generator", "parser"),
        **trained, stages={"parsing": given.parser_steps, **{stage.name: stage.steps for stage in stages}},
        batch_size=given.batch_size, discriminators=given.discriminators, before=history, metrics=metrics,
    )  # fmt: skip
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def before(weights: Path | None) -> list[dict[str, int]]:
    """Steps of each stage of the runs that this one began with, first run first; for the card.

    ``weights`` are ``RUN_DIR/completion/weights-STAGE.safetensors``.
    """
    if weights is None:
        return []
    card = json.loads((weights.parent / "card.json").read_text(encoding="utf-8"))
    steps = {stage["name"]: stage["steps"] for stage in card["stages"]}
    last = list(steps).index(weights.stem.removeprefix("weights-"))
    chain = weights.parents[1] / BEFORE
    earlier = json.loads(chain.read_text(encoding="utf-8")) if chain.exists() else []
    return [*earlier, dict(list(steps.items())[: last + 1])]


def draw_stages(run: training.Run, test: faces.FaceDataset, path: Path) -> None:
    """A row per face: damaged, after reconstruct, after locally, after globally, truth."""
    batch = test.batch(SHOWN)
    mask = masks.make("random_square", test.size, len(batch), seed=1)
    columns = [batch.image * mask]
    columns += [
        run.after(name).complete(batch.image, mask).composite
        for name in ("reconstruct", "locally", "globally")
    ]
    save_sheet([*columns, batch.image], path)


def completion_scores(method: methods.Method, test: faces.FaceDataset) -> dict[str, dict[str, float]]:
    """Holes of a quarter of the image, anywhere: mean scores of the method and of every classical fill."""
    fills = fills_of({"gfc": method})
    comparison = evaluation.evaluate(fills, test, "random_square", MEASURES)
    print(comparison)
    evaluation.save_runs(RESULTS / f"gfc_shipped_{test.size}.csv.gz", {0: comparison})
    return {
        measure: {name: round(comparison.estimate(measure, name, "random_square").mean, 4) for name in fills}
        for measure in MEASURES
    }


if __name__ == "__main__":
    sys.exit(main())
