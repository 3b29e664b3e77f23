"""The trainer, in one process: what it promises about stages, optimizers, files and mistakes."""

import ast
import hashlib
import json
import linecache
import os
import signal
import textwrap
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import tiny_method
import torch
from safetensors.torch import load_file
from torch import nn

from facecomp_lib.faces.augment import Augment
from facecomp_lib.methods import OptimizerConfig, Stage, sample_keys
from facecomp_lib.training import Callback, fit
from facecomp_lib.training.checkpoint import load_checkpoint
from facecomp_lib.training.run_dir import locked


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def train(faces, tmp_path):
    """fit with a tiny method, in ``tmp_path / "run"``, followed by nobody."""

    def run(method=None, run_dir=tmp_path / "run", preset="smoke", **options):
        options = {"callbacks": (), "num_samples": 0, **options}
        return fit(method or tiny_method.build(), faces, run_dir, preset, **options)

    return run


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(one, other):
    return all(
        torch.equal(a, b) for a, b in zip(*(m.state_dict().values() for m in (one, other)), strict=True)
    )


class Note(Callback):
    """Remembers what it was told, and can do something at a step."""

    def __init__(self, at=None, do=None):
        self.at, self.do, self.rows, self.images, self.started, self.ended = at, do, [], {}, [], 0

    def on_start(self, run_dir, stages, step, end):
        self.started.append(([stage.name for stage in stages], step, end))

    def on_step(self, step, stage, row):
        self.rows.append((step, stage, row))
        if step == self.at:
            self.do()

    def on_images(self, step, stage, images):
        self.images[step] = images

    def on_end(self):
        self.ended += 1


# ---- stages and optimizers


def test_training_lowers_the_loss(train):
    loss = train(preset="lesson", until="alone").log["painter.reconstruction"]
    assert loss[-3:].mean() < 0.5 * loss[:3].mean()


def test_stages_follow_one_another_and_the_log_has_a_row_per_step(train):
    log = train().log
    assert log["step"].tolist() == list(range(8))
    assert log["stage"].tolist() == ["alone"] * 4 + ["against"] * 4
    assert np.isnan(log["discriminator.gap"][:4]).all() and np.isfinite(log["discriminator.gap"][4:]).all()


def test_in_a_stage_only_its_optimizers_learn(train):
    before, method = tiny_method.build(), tiny_method.build()
    train(method, until="alone")
    assert not same(before.painter, method.painter)
    assert same(before.discriminator, method.discriminator) and same(before.scale, method.scale)
    train(method)
    assert not same(before.discriminator, method.discriminator) and same(before.scale, method.scale)


def test_stage_by_stage_is_the_same_as_all_at_once(train, tmp_path):
    once, parts = train(run_dir=tmp_path / "once"), train(until="alone")
    assert not (parts.run_dir / "weights-against.safetensors").exists()
    train()
    for name in ("weights-alone.safetensors", "weights-against.safetensors", "log.csv"):
        assert digest(once.run_dir / name) == digest(parts.run_dir / name)


def test_a_run_knows_its_method_after_each_stage(train):
    method = tiny_method.build()
    run = train(method)
    assert same(run.after("against"), method) and not same(run.after("alone"), method)
    assert same(train(tiny_method.build(seed=1), until="alone").method, run.after("alone"))
    with pytest.raises(ValueError, match="finished are against, alone"):
        run.after("between")


def test_a_finished_run_returns_at_once_with_its_weights(train):
    first = train()
    note = Note()
    again = train(tiny_method.build(seed=5), callbacks=[note])
    assert same(first.method, again.method) and note.rows == [] and again.card == first.card


def test_another_seed_is_another_run_and_the_same_seed_the_same_bytes(train, tmp_path):
    files = [
        train(run_dir=tmp_path / f"{k}", seed=seed).run_dir / "weights-against.safetensors"
        for k, seed in enumerate((0, 0, 1))
    ]
    assert digest(files[0]) == digest(files[1]) != digest(files[2])


def test_training_leaves_the_programs_random_state_and_the_methods_flags_alone(train):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    method = tiny_method.build()
    method.scale.requires_grad_(False)
    train(method)
    assert torch.equal(torch.rand(2), expected)
    assert not method.training
    assert {name for name, p in method.named_parameters() if not p.requires_grad} == {
        "scale.weight",
        "scale.bias",
    }
    assert all(p.grad is None for p in method.parameters())


def test_networks_of_no_optimizer_are_in_eval_mode_and_those_of_optimizers_in_train_mode(train):
    method = tiny_method.build()
    modes = []
    note = Note(0, lambda: modes.append((method.painter.training, method.discriminator.training)))
    train(method, until="alone", callbacks=[note])
    assert modes == [(True, False)]


def test_a_stage_with_ema_ends_with_the_running_average(train):
    method = tiny_method.build()
    stage = tiny_method.steady(method.stages("smoke")[0], steps=3)
    seen = []
    note = Note()
    note.on_step = lambda *_: seen.append(method.painter[0].weight.detach().clone())
    train(method, stages=[replace(stage, ema=0.75)], callbacks=[note])
    first, second, third = seen
    expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
    torch.testing.assert_close(method.painter[0].weight.detach(), expected)


def first_update(train, run_dir, **changes):
    """A run of a single step, and how far the painter moved in it."""
    method = tiny_method.build()
    before = [p.detach().clone() for p in method.painter.parameters()]
    stage = method.stages("smoke")[0]
    learner = replace(stage.optimizers["painter"], **changes)
    stage = replace(stage, steps=1, optimizers={"painter": learner})
    run = train(method, run_dir=run_dir, stages=[stage])
    return run, max(
        float((p - b).detach().abs().max()) for p, b in zip(method.painter.parameters(), before, strict=True)
    )


def test_clipping_limits_the_gradient_and_the_log_shows_it_unclipped(train, tmp_path):
    # RMSprop's first step is lr * g / (0.1 |g| + eps): with a tiny g the eps counts
    plain, moved = first_update(train, tmp_path / "a", optimizer="rmsprop")
    clipped, moved_less = first_update(train, tmp_path / "b", optimizer="rmsprop", clip=1e-8)
    assert plain.log["painter.gradient"][0] == clipped.log["painter.gradient"][0] > 1e-3
    assert moved_less < 0.6 * moved


def test_a_optimizer_sits_out_while_its_objective_is_low(train, tmp_path):
    run, moved = first_update(train, tmp_path / "a", skip_below=1e6)
    assert moved == 0 and np.isnan(run.log["painter.gradient"][0])
    assert np.isfinite(run.log["painter.reconstruction"][0])
    _, moved = first_update(train, tmp_path / "b", skip_below=0.0)
    assert moved > 0


def test_a_stage_without_holes_shows_whole_faces(train, faces):
    masks = []

    class Looks(tiny_method.Tiny):
        name = ""

        def forward_train(self, sample, stage):
            masks.append(sample.mask)
            return super().forward_train(sample, stage)

    method = Looks()
    train(method, stages=[replace(method.stages("smoke")[0], steps=1, masks=())])
    assert len(masks) == 1 and masks[0].shape == (4, 1, 16, 16) and bool((masks[0] == 1).all())


# ---- randomness


def test_what_a_sample_is_given_depends_on_seed_step_and_number_alone(train, tmp_path):
    seen = {}

    class Looks(tiny_method.Tiny):
        name = ""

        def forward_train(self, sample, stage):
            seen.setdefault(len(seen), sample.keys)
            return super().forward_train(sample, stage)

    method = Looks()
    first, second = method.stages("smoke")
    train(method, seed=7, stages=[replace(first, steps=2), replace(second, steps=1, batch_size=2)])
    assert torch.equal(seen[0], sample_keys(7, 0, torch.arange(4)))
    assert torch.equal(seen[1], sample_keys(7, 1, torch.arange(4, 8)))
    assert torch.equal(seen[2], sample_keys(7, 2, torch.arange(8, 10)))


def test_dropout_is_new_in_every_step_and_the_same_in_every_run(train, tmp_path):
    learner = OptimizerConfig(("painter",), {"reconstruction": 1.0}, lr=1e-12)
    stage = tiny_method.steady(Stage("still", 3, {"painter": learner}, batch_size=10, masks=()))
    losses = [
        train(tiny_method.build(dropout=0.5), tmp_path / str(k), stages=[stage]).log["painter.reconstruction"]
        for k in range(2)
    ]
    assert np.array_equal(*losses) and len(set(losses[0])) == 3


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gradient_penalty_reaches_the_discriminator_in_every_precision(train, precision):
    method, before = tiny_method.build(), tiny_method.build()
    discriminator = OptimizerConfig(("discriminator",), {"penalty": 1.0}, lr=1e-2)
    painter = OptimizerConfig(("painter",), {"reconstruction": 1.0})
    run = train(
        method,
        stages=[Stage("only", 12, {"discriminator": discriminator, "painter": painter})],
        precision=precision,
    )
    loss = run.log["discriminator.penalty"]
    assert loss[-1] < 0.9 * loss[0] and not same(before.discriminator, method.discriminator)
    assert method.discriminator[0].weight.dtype == torch.float32


def test_half_precision_comes_close_to_full(train, tmp_path):
    full, half = (
        train(run_dir=tmp_path / p, precision=p).log["painter.reconstruction"]
        for p in ("32-true", "bf16-mixed")
    )
    assert not np.array_equal(full, half)
    assert np.allclose(full, half, rtol=0.03)


# ---- the folder of a run


def test_the_folder_tells_the_whole_story(train):
    method = tiny_method.build()
    note = Note()
    run = train(method, callbacks=[note], num_samples=2)
    assert same(method, run.after("against"))
    assert all(
        value.dtype == torch.float32
        for value in load_file(run.run_dir / "weights-alone.safetensors").values()
    )
    config, card = json.loads((run.run_dir / "config.json").read_text()), run.card
    assert config["fingerprint"] == card["fingerprint"] and card["preset"] == "smoke"
    assert config["method"] == card["method"] == "tiny" and config["data"]["faces"] == 10
    assert card["finished"] == ["alone", "against"] and card["steps"] == 8 and card["samples"] == 32
    assert card["final"]["discriminator.gap"] == pytest.approx(np.mean(run.log["discriminator.gap"][4:]))
    assert card["seconds"] > 0 and card["parameters"]["scale"] == 12
    assert list((run.run_dir / "tensorboard").glob("events*"))
    assert not list(run.run_dir.rglob("*.part"))
    assert [row[:2] for row in note.rows] == list(zip(run.log["step"], run.log["stage"], strict=True))
    assert note.ended == 1


def test_fixed_faces_are_drawn_in_every_stage(train):
    note = Note()
    run = train(callbacks=[note], num_samples=3)
    steps = list(range(1, 9))
    assert list(note.images) == steps
    assert {part.shape for images in note.images.values() for part in images} == {(3, 3, 16, 16)}
    assert sorted(p.name for p in (run.run_dir / "images").iterdir()) == [f"{s:08d}.webp" for s in steps]


def test_fixed_faces_are_always_the_same_under_the_same_masks(train):
    note = Note()
    train(until="alone", callbacks=[note], num_samples=4)
    damaged, completed, true = zip(*note.images.values(), strict=True)
    assert all(torch.equal(d, damaged[0]) for d in damaged) and all(torch.equal(t, true[0]) for t in true)
    assert not torch.equal(completed[0], completed[-1])
    known = damaged[0] == true[0]
    assert 0 < float((~known).float().mean()) < 1
    assert all(torch.equal(c[known], true[0][known]) for c in completed)


def test_two_processes_do_not_train_in_one_folder(train, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(BlockingIOError, match="Another process is training"):
        train()
    train()  # the lock is free again


def test_another_run_is_refused_and_the_difference_named(train, tmp_path):
    train(until="alone")
    before = digest(tmp_path / "run" / "config.json")
    with pytest.raises(ValueError, match=r"seed \(0 there, 1 here\).*fresh run_dir"):
        train(seed=1)
    with pytest.raises(ValueError, match=r"config\.width \(4 there, 5 here\)"):
        train(tiny_method.build(width=5))
    stages = tiny_method.build().stages("smoke")
    with pytest.raises(ValueError, match=r"stages\.1\.steps \(4 there, 9 here\)"):
        train(stages=[stages[0], replace(stages[1], steps=9)])
    with pytest.raises(ValueError, match=r"stages\.0\.optimizers\.painter\.lr"):
        train(
            stages=[
                replace(stages[0], optimizers={"painter": replace(stages[0].optimizers["painter"], lr=1.0)}),
                stages[1],
            ]
        )
    with pytest.raises(ValueError, match="precision"):
        train(precision="bf16-mixed")
    assert digest(tmp_path / "run" / "config.json") == before


CELL = '''
FACTOR = {factor}
def helper(x):
    """{doc}"""
    return x * FACTOR  # {doc}

class Edited(Tiny):
    name = ""
    def loss_reconstruction(self, sample, drawn):
        return helper(super().loss_reconstruction(sample, drawn)) {change}
    def stages(self, preset):
        return list(super().stages(preset)){sliced}
'''


def cell(**text):
    """A class as a notebook's cell defines it: its source is found, and each run of a cell has a name."""
    space = {"Tiny": tiny_method.Tiny, "__name__": "__main__"}
    code = CELL.format(**{"factor": 1.0, "doc": "", "change": "", "sliced": "", **text})
    name = f"<cell {hashlib.sha256(code.encode()).hexdigest()}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), space)
    return space["Edited"]()


def test_edited_code_is_another_run(train):
    train(cell(), until="alone")
    train(cell())
    train(cell(sliced="[:]"))  # other code for the same stages
    with pytest.raises(ValueError, match="the code of Edited"):
        train(cell(change="+ 0"))
    with pytest.raises(ValueError, match="the code of helper.*fresh run_dir"):
        train(cell(doc="Said better."))
    with pytest.raises(ValueError, match="the code of helper"):
        train(cell(factor=2.0))


def test_code_without_source_is_no_reason_to_fail(train):
    space = {"Tiny": tiny_method.Tiny, "__name__": "__main__"}
    exec(CELL.format(factor=1.0, doc="", change="", sliced=""), space)
    assert train(space["Edited"](), until="alone").card["finished"] == ["alone"]


BOOK = [
    """
    import sys
    sys.path[:0] = {paths!r}
    import tiny_method
    from facecomp_lib.training.source import source_hashes
    def half(x):
        return x / 2
    """,
    """
    class Edited(tiny_method.Tiny):
        name = ""
        def loss_reconstruction(self, sample, drawn):
            return half(super().loss_reconstruction(sample, drawn))
    """,
    "print(source_hashes(Edited()))",
    "x = size = width = name = 7",  # names that the class uses for other things
    "print(source_hashes(Edited()))",
    "def half(x):\n    return x / 2.0",
    "print(source_hashes(Edited()))",
]


def test_the_source_of_a_notebooks_cells_counts():
    from nbclient import NotebookClient

    paths = [str(Path(tiny_method.__file__).parents[n]) for n in (0, 2)]
    texts = [textwrap.dedent(text).replace("{paths!r}", repr(paths)) for text in BOOK]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in texts])
    NotebookClient(book, kernel_name="python3", timeout=60).execute()
    first, second, third = (ast.literal_eval(book.cells[k].outputs[0].text) for k in (2, 4, 6))
    assert first == second and {"Edited", "Tiny", "half"} <= first.keys()
    assert {name for name in first if first[name] != third[name]} == {"half"}


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written.*choose another run_dir"):
        train(run_dir=tmp_path / "file" / "run")


# ---- mishaps


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(train, tmp_path):
    class Breaks(tiny_method.Tiny):
        name = ""

        def loss_adversarial(self, sample, drawn):
            broken = float("nan") if self.broken else 1.0
            return super().loss_adversarial(sample, drawn) * broken

    method = Breaks()
    method.broken = False
    note = Note(5, lambda: setattr(method, "broken", True))
    with pytest.raises(FloatingPointError, match=r"painter\.adversarial is nan at step 6, .* 'against'"):
        train(method, callbacks=[note], save_every=0.0)
    content, tensors = load_checkpoint(tmp_path / "run" / "state")
    assert content["step"] == 6 and all(value.isfinite().all() for value in tensors.values())
    assert note.ended == 1
    method.broken = False
    assert train(method).log["step"].tolist() == list(range(8))  # goes on from there


def test_a_gradient_that_is_not_finite_is_caught_although_the_loss_is(train):
    class Breaks(tiny_method.Tiny):
        name = ""

        def loss_reconstruction(self, sample, drawn):
            return (drawn["raw"] * 0).square().sum().sqrt() + 1

    with pytest.raises(FloatingPointError, match=r"painter\.gradient is nan at step 0"):
        train(Breaks())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_saves_first_and_goes_on_later(train, tmp_path, number):
    whole = train(run_dir=tmp_path / "whole")

    def caught(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, caught)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(callbacks=[Note(5, lambda: os.kill(os.getpid(), number))])
        assert signal.getsignal(number) is caught
    finally:
        signal.signal(number, before)
    assert load_checkpoint(tmp_path / "run" / "state")[0]["step"] == 6
    again = train()
    for name in ("weights-alone.safetensors", "weights-against.safetensors", "log.csv"):
        assert digest(whole.run_dir / name) == digest(again.run_dir / name)


def test_rows_beyond_the_checkpoint_are_cut_even_half_written_ones(train, tmp_path):
    whole = train(run_dir=tmp_path / "whole")
    run = train(until="alone")
    with open(run.run_dir / "log.csv", "a") as file:
        file.write("4,against,1,2,3,4\n5,agai")
    assert digest(train().run_dir / "log.csv") == digest(whole.run_dir / "log.csv")


def damage(path, how):
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(
        {"cut": data[:half], "flipped": data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]}[how]
    )


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_refused(train, how):
    folder = train(until="alone").run_dir / "state"
    damage(next(folder.glob("*.safetensors")), how)
    with pytest.raises(ValueError, match="is damaged .*SHA-256.*fresh run_dir"):
        train()


def test_a_damaged_description_of_the_checkpoint_is_refused(train):
    folder = train(until="alone").run_dir
    damage(folder / "state" / "state.json", "cut")
    with pytest.raises(ValueError, match="is damaged"):
        train()
    damage(folder / "config.json", "cut")
    with pytest.raises(ValueError, match="config.json is damaged"):
        train()


@pytest.mark.parametrize("call", ["save", "os.replace", "os.fsync"])
def test_a_full_disk_leaves_the_last_checkpoint_whole(train, tmp_path, monkeypatch, call):
    whole = train(run_dir=tmp_path / "whole")
    full = False

    def refusing(function):
        def call(*args, **options):
            if full:
                raise OSError(28, "No space left on device")
            return function(*args, **options)

        return call

    def fill():
        nonlocal full
        full = True

    import safetensors.torch

    target = {"save": (safetensors.torch, "save_file")}.get(call, (os, call.partition(".")[2]))
    monkeypatch.setattr(*target, refusing(getattr(*target)))
    with pytest.raises(OSError, match="No space left on device.*make room there and call fit again"):
        train(callbacks=[Note(5, fill)], save_every=0.0)
    assert not list((tmp_path / "run").rglob("*.part"))
    assert load_checkpoint(tmp_path / "run" / "state")[0]["step"] == 5
    assert len(list((tmp_path / "run" / "state").iterdir())) == 2
    full = False
    assert digest(train().run_dir / "weights-against.safetensors") == digest(
        whole.run_dir / "weights-against.safetensors"
    )


# ---- what cannot work is refused before anything is written


def optimizer(**changes):
    return OptimizerConfig(**{"networks": ("painter",), "losses": {"reconstruction": 1.0}, **changes})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"preset": "tiny"}, "Unknown preset 'tiny': choose one of smoke, lesson, full"),
        ({"until": "end"}, "Unknown stage until='end': choose one of alone, against"),
        ({"precision": "8-bit"}, "Unknown precision '8-bit': choose one of 32-true"),
        ({"seed": -1}, "seed must be a whole number, 0 ... "),
        ({"stages": []}, "at least one stage"),
        ({"stages": [Stage("a", 1, {"p": optimizer()})] * 2}, r"name of its own for each, not \['a', 'a'\]"),
        (
            {"stages": [Stage("a", 1, {"p": optimizer(networks=("pianist",))})]},
            "Optimizer 'p' of stage 'a': tiny has no network 'pianist'; it has painter, discriminator, scale",
        ),
        (
            {"stages": [Stage("a", 1, {"p": optimizer(losses={"beauty": 1.0})})]},
            "tiny has no loss 'beauty'; it has",
        ),
        ({"stages": [Stage("a", 1, {"p p": optimizer()})]}, "optimizer's name"),
        (
            {"stages": [Stage("a", 1, {"p": optimizer()}, augment=Augment(crop=8))]},
            "images of 8 px.* built for 16 px",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(train, tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(**options)
    assert not (tmp_path / "run").exists()


def test_a_method_of_another_size_or_with_a_frozen_optimizer_is_refused(train):
    with pytest.raises(ValueError, match="images of 16 px.* built for 32 px"):
        train(tiny_method.build(size=32))
    frozen = tiny_method.build()
    frozen.painter.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing in network 'painter' can learn"):
        train(frozen)


def test_processes_that_cannot_share_a_batch_are_refused(train, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 processes cannot share the 4 samples per step of stage 'alone'"):
        train()


class Wrong(tiny_method.Tiny):
    name = ""

    def loss_many(self, sample, drawn):
        return drawn["raw"].mean((1, 2, 3))

    def loss_none(self, sample, drawn):
        return sample.image.mean()


def test_losses_of_the_wrong_kind_are_explained(train, tmp_path):
    with pytest.raises(ValueError, match=r"loss_many must return one number, not a tensor \[16\]"):
        train(Wrong(), tmp_path / "a", stages=[Stage("a", 1, {"p": optimizer(losses={"many": 1.0})})])
    with pytest.raises(ValueError, match=r"'p' of stage 'a' cannot learn: none of its losses \(none\)"):
        train(Wrong(), tmp_path / "b", stages=[Stage("a", 1, {"p": optimizer(losses={"none": 1.0})})])


def test_weights_that_two_layers_share_are_kept(train):
    class Tied(tiny_method.Tiny):
        name = ""

        def __init__(self):
            super().__init__()
            self.painter = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1))
            self.painter[1].weight = self.painter[0].weight

    method = Tied()
    run = train(method, save_every=0.0, until="alone")
    assert torch.equal(run.after("alone").painter[1].weight, method.painter[0].weight)


def test_files_of_others_in_the_folder_of_checkpoints_survive(train):
    run = train(until="alone")
    notes = run.run_dir / "state" / ".ipynb_checkpoints" / "note.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    foreign = run.run_dir / "state" / "weights.safetensors"
    foreign.write_bytes(b"mine, too")
    train()
    assert notes.read_text() == "mine" and foreign.read_bytes() == b"mine, too"
    ours = [file.name for file in foreign.parent.glob("*.safetensors") if file != foreign]
    assert len(ours) == 1
