"""Keyed random numbers: functions of their keys, the same ones alone and in company."""

import numpy as np
import pytest
import torch

from facecomp_lib.utils.random import keyed_generator, sample_keys, uniform, uniform_rows


def test_a_row_depends_on_seed_step_and_its_name_alone():
    rows = uniform_rows(3, 7, [5, 2**40, 5, 0], 4)
    assert np.array_equal(rows[0], rows[2]) and np.array_equal(rows[1], uniform_rows(3, 7, [2**40], 4)[0])
    assert not np.intersect1d(rows[0], uniform_rows(3, 8, [5], 4)).size
    assert not np.intersect1d(rows[0], uniform_rows(4, 7, [5], 4)).size
    assert uniform_rows(0, 0, [], 3).shape == (0, 3)


def test_rows_are_spread_evenly():
    rows = uniform_rows(0, 0, range(20_000), 3)
    assert rows.min() >= 0 and rows.max() < 1
    counts = np.stack([np.histogram(column, 10, (0, 1))[0] for column in rows.T])
    assert counts.min() > 1800 and counts.max() < 2200  # 2000 expected, a deviation of about 42
    assert np.abs(np.corrcoef(rows.T) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize(("seed", "step", "index"), [(-1, 0, [0]), (0, -1, [0]), (0, 0, [-1])])
def test_negative_names_are_refused(seed, step, index):
    with pytest.raises(ValueError, match="must not be negative"):
        uniform_rows(seed, step, index, 2)


@pytest.mark.parametrize("index", [[0.5], [[1, 2]], 3])
def test_names_that_are_no_list_of_numbers_are_refused(index):
    with pytest.raises(ValueError, match="flat list of whole numbers"):
        uniform_rows(0, 0, index, 2)


@pytest.mark.parametrize("key", [(0,), (5, 7), (5, 2**31, 1), (2**40, 3)])
def test_a_generator_is_numpys_own_of_that_key(key):
    assert np.array_equal(keyed_generator(*key).random(5), np.random.default_rng(list(key)).random(5))
    assert np.array_equal(keyed_generator(*key, 0).random(5), keyed_generator(*key).random(5))


def test_seeds_of_any_length_have_keys():
    index = torch.arange(4)
    assert torch.equal(sample_keys(2**200 + 3, 1, index), sample_keys(3, 1, index))
    assert not torch.equal(sample_keys(4, 1, index), sample_keys(3, 1, index))


def test_another_salt_gives_other_numbers():
    keys = sample_keys(0, 0, torch.arange(3))
    assert not torch.equal(uniform(keys, (4,), "gamma"), uniform(keys, (4,), "blur"))
    assert torch.equal(uniform(keys, (2, 2), "gamma").flatten(), uniform(keys, (4,), "gamma").flatten())
