"""One step: whose turn it is, which terms are due, which learning rate holds, against a loop by hand."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import tiny_method
import torch

from facecomp_lib import faces as face_sets
from facecomp_lib import methods
from facecomp_lib.faces.augment import Augment
from facecomp_lib.methods import Cosine, Loss, OptimizerConfig, Plateau, Stage
from facecomp_lib.training import Callback, fit
from facecomp_lib.training.loader import BatchLoader


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def train(faces, tmp_path):
    """fit with a tiny method, in ``tmp_path / "run"``, followed by nobody."""

    def run(method=None, run_dir=tmp_path / "run", **options):
        options = {"callbacks": (), "num_samples": 0, **options}
        return fit(method or tiny_method.build(), faces, run_dir, **options)

    return run


def painter(**changes):
    return OptimizerConfig(
        **{"networks": ("painter",), "losses": {"reconstruction": 1.0}, "lr": 1e-2, **changes}
    )


def discriminator(**changes):
    return OptimizerConfig(
        **{"networks": ("discriminator",), "losses": {"gap": 1.0, "penalty": 10.0}, **changes}
    )


def contest(steps=8, first=None, second=None, **options):
    optimizers = {"discriminator": first or discriminator(), "painter": second or painter()}
    return tiny_method.steady(Stage("contest", steps, optimizers, 4, ("center",), **options))


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class Note(Callback):
    """Calls something after every step."""

    def __init__(self, do):
        self.do = do

    def on_step(self, step, stage, row):
        self.do(step)


# ---- whose turn it is


def test_turns_terms_and_a_falling_rate_are_those_of_a_loop_by_hand(train, faces):
    steps = 8
    adversarial = {"reconstruction": 1.0, "adversarial": Loss(0.1, every=2)}
    quick = discriminator(optimizer="rmsprop", lr=1e-3, clip=1.0, schedule=Cosine())
    stage = contest(steps, quick, painter(losses=adversarial, every=2))
    method, loader = tiny_method.build(), BatchLoader(faces, 0)
    against = torch.optim.RMSprop(method.discriminator.parameters(), 1e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(against, steps)
    own = torch.optim.Adam(method.painter.parameters(), 1e-2, (0.5, 0.999))
    for step in range(steps):
        batch = loader.batch(stage, step, 4 * step)
        outputs = method.forward_train(batch, stage)
        against.zero_grad()
        (method.loss_gap(batch, outputs) + 10 * method.loss_penalty(batch, outputs)).backward()
        torch.nn.utils.clip_grad_norm_(method.discriminator.parameters(), 1.0)
        against.step()
        falling.step()
        if step in (1, 3, 5, 7):
            loss = method.loss_reconstruction(batch, outputs)
            if step in (3, 7):
                loss = loss + 2 * 0.1 * method.loss_adversarial(batch, outputs)
            own.zero_grad()
            loss.backward()
            own.step()
    trained = train(stages=[stage]).method
    torch.testing.assert_close(weights(trained.painter), weights(method.painter))
    torch.testing.assert_close(weights(trained.discriminator), weights(method.discriminator))


def test_the_log_is_empty_where_nothing_was_computed(train):
    adversarial = {"reconstruction": 1.0, "adversarial": Loss(0.1, every=2)}
    log = train(stages=[contest(second=painter(losses=adversarial, every=2))]).log
    assert np.isfinite(log["discriminator.gap"]).all() and np.isfinite(log["discriminator.gradient"]).all()
    for term, steps in {
        "reconstruction": [1, 3, 5, 7],
        "gradient": [1, 3, 5, 7],
        "adversarial": [3, 7],
    }.items():
        assert np.flatnonzero(np.isfinite(log[f"painter.{term}"])).tolist() == steps
    assert not [column for column in log if column.endswith((".lr", ".validation"))]


def test_the_shared_forward_pass_has_gradients_only_if_the_last_optimizer_learns(train):
    graphs = []

    class Looks(tiny_method.Tiny):
        name = ""

        def forward_train(self, batch, stage):
            outputs = super().forward_train(batch, stage)
            graphs.append(outputs["raw"].requires_grad)
            return outputs

    method = Looks()
    train(method, stages=[contest(6, second=painter(every=3))])
    assert graphs == [False, False, True] * 2


def test_the_shared_forward_pass_prepares_the_terms_of_this_step_only(train):
    asked = []

    class Looks(tiny_method.Tiny):
        name = ""

        def forward_train(self, batch, stage):
            asked.append(set(methods.loss_terms(stage)) & {"reconstruction", "adversarial"})
            return super().forward_train(batch, stage)

    terms = {"reconstruction": 1.0, "adversarial": Loss(0.1, every=2)}
    train(Looks(), stages=[contest(6, second=painter(losses=terms, every=2))])
    both = {"reconstruction", "adversarial"}
    assert asked == [set(), {"reconstruction"}, set(), both, set(), {"reconstruction"}]


def test_the_running_average_counts_the_steps_in_which_its_networks_learn(train):
    method, seen = tiny_method.build(), []
    note = Note(lambda step: seen.append(weights(method.painter)))
    train(method, stages=[contest(6, second=painter(every=2), ema=0.75)], callbacks=[note])
    first, second, third = seen[1::2]
    expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
    torch.testing.assert_close(weights(method.painter), expected)


def test_the_guard_names_a_term_that_is_not_evaluated_each_time(train):
    class Breaks(tiny_method.Tiny):
        name = ""

        def loss_adversarial(self, batch, outputs):
            return super().loss_adversarial(batch, outputs) * float("inf")

    losses = {"reconstruction": 1.0, "adversarial": Loss(0.1, every=3)}
    with pytest.raises(FloatingPointError, match=r"painter\.adversarial is -?inf at step 2"):
        train(Breaks(), stages=[contest(second=painter(losses=losses))])


# ---- learning rates


def test_a_cosine_rises_evenly_and_falls_to_its_share():
    rates = [Cosine(warmup=4, final=0.1).factor(step, 24) for step in range(25)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[14] == pytest.approx(0.55) and rates[24] == pytest.approx(0.1)
    assert all(np.diff(rates[4:]) < 0)


def test_a_rate_that_changes_is_in_the_log(train):
    log = train(stages=[contest(4, discriminator(lr=1e-3, schedule=Cosine()))]).log
    assert log["discriminator.lr"] == pytest.approx(1e-3 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2)
    assert "painter.lr" not in log


def still(**plateau):
    """A stage in which the painter hardly moves, so that its validation loss stalls."""
    return contest(12, second=painter(lr=1e-12, schedule=Plateau(**plateau)))


def test_a_rate_falls_each_time_that_the_validation_loss_stalls(train, faces):
    log = train(stages=[still(factor=0.5, patience=1, every=2)], validation=faces).log
    assert np.flatnonzero(np.isfinite(log["painter.validation"])).tolist() == [1, 3, 5, 7, 9, 11]
    # the first evaluation is a minimum; the second and third are not
    assert log["painter.lr"] == pytest.approx([1e-12] * 6 + [0.5e-12] * 4 + [0.25e-12] * 2)


def test_a_rate_stays_while_the_validation_loss_falls(train, faces):
    stage = contest(12, second=painter(lr=1e-3, schedule=Plateau(0.5, 0, 3)))
    log = train(stages=[stage], validation=faces).log
    assert np.all(np.diff(log["painter.validation"][2::3]) < 0)
    assert set(log["painter.lr"]) == {1e-3}


def test_the_validation_loss_is_the_objective_on_whole_batches_of_unmoved_faces(train, faces):
    method = tiny_method.build(dropout=0.5)
    losses = {"reconstruction": 3.0, "adversarial": Loss(0.5, every=2)}
    stage = contest(1, second=painter(losses=losses, schedule=Plateau(every=1)))
    stage = replace(stage, augment=Augment())
    log = train(method, stages=[stage], validation=faces, seed=3).log
    found = []
    for k in range(3):  # ten faces are three batches of four, the last two from another round
        batch = BatchLoader(faces, 3).batch(replace(stage, augment=None), 0, 4 * k)
        outputs = method.forward_train(batch, stage)
        loss = 3 * method.loss_reconstruction(batch, outputs) + 0.5 * method.loss_adversarial(batch, outputs)
        found.append(float(loss.detach()))
    assert log["painter.validation"][0] == pytest.approx(np.mean(found), rel=1e-5)


def test_looking_at_the_validation_loss_changes_nothing_else(train, faces, tmp_path):
    patient = Plateau(patience=100, every=1)
    method, again = tiny_method.build(dropout=0.5), tiny_method.build(dropout=0.5)
    train(method, tmp_path / "a", stages=[contest()])
    look = contest(first=discriminator(schedule=patient), second=painter(schedule=patient))
    log = train(again, tmp_path / "b", stages=[look], validation=faces).log
    assert torch.equal(weights(method), weights(again))
    assert np.isfinite(log["discriminator.validation"]).all()  # a gradient penalty is part of it


@pytest.mark.parametrize("last", [0, 1, 4, 6, 8, 9])
def test_a_run_that_is_stopped_between_turns_ends_with_the_same_bytes(train, faces, tmp_path, last):
    losses = {"adversarial": 1.0, "reconstruction": Loss(0.001, every=2)}
    slow = painter(losses=losses, lr=1e-4, every=2, schedule=Plateau(factor=0.5, patience=0, every=2))
    quick = discriminator(
        lr=1e-2, schedule=Cosine(warmup=2, final=0.1)
    )  # so the painter fools it less and less
    stage = contest(12, quick, slow, ema=0.9)
    options = {"stages": [stage], "validation": faces}
    whole = train(run_dir=tmp_path / "whole", **options)
    stop = Note(lambda step: step == last and os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[stop], **options)
    again = train(tiny_method.build(seed=4), **options)
    for name in ("weights-contest.safetensors", "log.csv"):
        assert (whole.run_dir / name).read_bytes() == (again.run_dir / name).read_bytes()
    assert len(set(whole.log["painter.lr"][1::2])) > 1  # it did fall


# ---- what cannot work


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Loss(float("nan")), "weight of a loss must be a finite number, not nan"),
        (lambda: Loss(1.0, every=0), "every must be a whole number, 1 or more, not 0"),
        (lambda: Cosine(warmup=-1), "warmup must be a whole number, 0 or more, not -1"),
        (lambda: Cosine(final=2), "final must lie in 0 ... 1, not 2"),
        (lambda: Plateau(factor=1.0), "factor must lie between 0 and 1, not 1.0"),
        (lambda: Plateau(patience=0.5), "patience must be a whole number, 0 or more, not 0.5"),
        (lambda: Plateau(every=0), "every must be a whole number, 1 or more, not 0"),
        (
            lambda: painter(losses={"adversarial": float("inf")}),
            "weight of a loss must be a finite number, not inf",
        ),
        (lambda: painter(lr=float("inf")), "lr must be above 0"),
        (lambda: painter(skip_below="low"), "skip_below must be None or a finite number, not 'low'"),
        (lambda: painter(every=1.5), "every must be a whole number, 1 or more, not 1.5"),
        (lambda: painter(schedule="cosine"), "schedule must be Constant"),
        (lambda: painter(losses={"adversarial": Loss(1.0, every=2)}), "must be evaluated each time"),
        (lambda: contest(4, second=painter(every=5)), "'painter' .* would never learn: .* 4 steps"),
        (
            lambda: contest(4, discriminator(schedule=Cosine(warmup=4))),
            "would only warm up: the stage has 4 steps",
        ),
        (lambda: contest(4, discriminator(every=2), painter(every=2)), "nobody learns in every step"),
    ],
)
def test_values_out_of_range_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_plateau_needs_validation_faces_of_the_methods_size(train, faces, tmp_path):
    with pytest.raises(ValueError, match="falls when the validation loss stalls: give fit validation"):
        train(stages=[still()])
    large = face_sets.embedded("val", size=32)
    with pytest.raises(ValueError, match="would show tiny images of 32 px"):
        train(stages=[still()], validation=large)
    assert not (tmp_path / "run").exists()


def test_other_validation_faces_are_another_run_where_a_rate_depends_on_them(train, faces, tmp_path):
    others = face_sets.embedded("val", size=16)
    train(stages=[contest(2)], validation=faces)
    train(stages=[contest(2)], validation=others)
    train(stages=[still()], validation=faces, run_dir=tmp_path / "plateau")
    with pytest.raises(ValueError, match=r"validation\.name"):
        train(stages=[still()], validation=others, run_dir=tmp_path / "plateau")
