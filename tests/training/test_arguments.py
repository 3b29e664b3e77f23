"""Arguments of fit, stages and optimizers: wrong ones are refused, before anything is written."""

import re

import pytest
import tiny_method
import torch

from facecomp_lib import methods
from facecomp_lib.methods import Cosine, Loss, OptimizerConfig, Plateau, Stage
from facecomp_lib.training import fit

HUGE = [list(range(1000))] * 1000


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


def refused(call, sentence, kind=ValueError):
    with pytest.raises(kind, match=sentence) as caught:
        call()
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": 1.5}, "seed must be a whole number.*not 1.5"),
        ({"seed": 2**200}, "seed must be a whole number, 0 ... 9223372036854775807"),
        ({"seed": True}, "seed must be a whole number.*not True"),
        ({"seed": None}, "seed must be a whole number.*not None"),
        ({"save_every": "a"}, "save_every must be 0 or more s, not 'a'"),
        ({"save_every": None}, "save_every must be 0 or more s, not None"),
        ({"save_every": -1}, "save_every must be 0 or more s, not -1"),
        ({"save_every": float("nan")}, "save_every must be 0 or more s, not nan"),
        ({"num_samples": 1.5}, "num_samples must be a whole number, 0 or more, not 1.5"),
        ({"validation": 5}, "validation must be a data set of faces, not int"),
        ({"stages": [None]}, "stages must be a list of fc.methods.Stage, not list"),
        ({"stages": "alone"}, "stages must be a list of fc.methods.Stage, not str"),
        ({"stages": 3}, "stages must be a list of fc.methods.Stage, not int"),
        ({"until": HUGE}, "Unknown stage until=list"),
        ({"preset": HUGE}, "Unknown preset list: choose one of smoke, lesson, full"),
        ({"precision": None}, "Unknown precision None: choose one of 32-true"),
        ({"accelerator": "cdua"}, "Unknown accelerator 'cdua': choose one of auto, cpu, gpu, cuda, mps"),
        ({"run_dir": ""}, "The path is empty"),
        ({"run_dir": None}, "run_dir must be a path, not NoneType"),
        ({"method": "gfc"}, "method must be one of fc.methods.build or load, not str"),
        ({"method": tiny_method.Tiny}, "method must be one of fc.methods.build or load, not"),
        ({"data": "photos"}, "data must be a data set of faces, not str: open one with fc.faces.embedded"),
        (
            {"data": torch.rand(4, 3, 16, 16)},
            r"data must be a data set of faces, not float32 \[4, 3, 16, 16\]",
        ),
        ({"data": ["a.jpg", "b.jpg"]}, "data must be a data set of faces, not list.*prepare_folder"),
        ({"data": None}, "data must be a data set of faces, not NoneType"),
    ],
)
def test_fit_refuses_it(faces, tmp_path, options, sentence):
    given = {"method": tiny_method.build(), "data": faces, "run_dir": tmp_path / "run", "callbacks": ()}
    refused(lambda: fit(**{**given, **options}), sentence)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [(5, "callbacks must be a list of .*not int"), ([HUGE], "must be a fc.training.Callback, not list")],
)
def test_fit_refuses_what_is_no_callback(faces, tmp_path, callbacks, sentence):
    refused(
        lambda: fit(tiny_method.build(), faces, tmp_path / "run", callbacks=callbacks), sentence, TypeError
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_precision_that_the_device_does_not_have_is_refused(faces, tmp_path, recwarn):
    refused(
        lambda: fit(tiny_method.build(), faces, tmp_path / "run", precision="16-mixed", callbacks=()),
        "precision='16-mixed' needs a GPU: on the CPU choose bf16-mixed or 32-true",
    )
    assert not list(tmp_path.iterdir())
    assert not [warning for warning in recwarn if "16-mixed" in str(warning.message)]


def optimizer(**changes):
    return OptimizerConfig(**{"networks": ("painter",), "losses": {"reconstruction": 1.0}, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"networks": "generator"}, "networks must be a tuple of names .*not 'generator'"),
        ({"networks": (1,)}, "networks must be a tuple of names .*not tuple"),
        ({"losses": ["reconstruction"]}, "losses name -> weight, not .* and list"),
        ({"losses": {"reconstruction": "a"}}, "weight of a loss must be a finite number, not 'a'"),
        ({"losses": {"reconstruction": float("nan")}}, "weight of a loss must be a finite number, not nan"),
        ({"losses": {"reconstruction": True}}, "weight of a loss must be a finite number, not True"),
        ({"lr": float("inf")}, "lr must be above 0 and finite, not inf"),
        ({"lr": "fast"}, "lr must be above 0 and finite, not 'fast'"),
        ({"lr": HUGE}, "lr must be above 0 and finite, not list"),
        ({"betas": (0.5, 0.9, 0.9)}, r"betas must be two numbers in \[0, 1\), not tuple"),
        ({"betas": 0.5}, r"betas must be two numbers in \[0, 1\), not 0.5"),
        ({"betas": ("a", 0.9)}, r"betas must be two numbers in \[0, 1\)"),
        ({"clip": "a"}, "clip must be None or above 0, not 'a'"),
        ({"clip": float("nan")}, "clip must be None or above 0, not nan"),
        ({"optimizer": HUGE}, "Unknown optimizer list: choose one of adam, rmsprop"),
        ({"schedule": "cosine"}, r"schedule must be Constant\(\), .*not 'cosine'"),
        ({"every": True}, "every must be a whole number, 1 or more, not True"),
    ],
)
def test_an_optimizer_refuses_it(changes, sentence):
    refused(lambda: optimizer(**changes), sentence)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": 5}, "stage's name becomes part of file names: 5 cannot"),
        ({"steps": 1.5}, "needs at least 1 step.*not 1.5 steps"),
        ({"steps": "a"}, "needs at least 1 step.*not 'a' steps"),
        ({"steps": True}, "needs at least 1 step.*not True steps"),
        ({"batch_size": 10**7}, r"a batch size of 1 \.\.\. 65536 .*batch size 10000000"),
        ({"batch_size": 2.0}, "batch size 2.0"),
        ({"optimizers": [optimizer()]}, "an optimizer .name -> OptimizerConfig.*and list"),
        ({"optimizers": {"p": "adam"}}, "an optimizer .name -> OptimizerConfig"),
        ({"masks": "center"}, "masks of stage 's' must be a tuple of kinds or folders, not 'center'"),
        ({"masks": (5,)}, "masks of stage 's' must be a tuple of kinds or folders"),
        ({"masks": ("./nowhere",)}, "Unknown mask kind './nowhere': .*or name a folder of masks"),
        ({"augment": 0.5}, "augment of stage 's' must be an Augment or None, not 0.5"),
        ({"ema": "a"}, "ema must be None or between 0 and 1, not 'a'"),
        ({"ema": HUGE}, "ema must be None or between 0 and 1, not list"),
    ],
)
def test_a_stage_refuses_it(changes, sentence):
    refused(lambda: Stage(**{"name": "s", "steps": 1, "optimizers": {"p": optimizer()}, **changes}), sentence)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Loss(HUGE), "weight of a loss must be a finite number, not list"),
        (lambda: Cosine(final="a"), re.escape("final must lie in 0 ... 1, not 'a'")),
        (lambda: Plateau(factor="a"), "factor must lie between 0 and 1, not 'a'"),
    ],
)
def test_schedules_and_losses_refuse_it(make, sentence):
    refused(make, sentence)


def test_a_checkpoint_of_ones_own_is_loaded_by_its_file(tmp_path):
    method = tiny_method.build(seed=3)
    path = methods.save(method, tmp_path / "mine")
    for loaded in (methods.pretrained(str(path)), methods.load(path)):
        torch.testing.assert_close(loaded.scale.weight, method.scale.weight, rtol=1e-3, atol=1e-4)
