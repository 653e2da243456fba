"""Mean, spread, intervals and differences, against numbers worked out by hand."""

import math

import pytest

from neuralpde.training import Summary, difference, paired_difference, published, reaches, split_differences, summarise


def test_seeds_are_averaged_within_each_split():
    s = summarise({"a": [0.8, 0.9], "b": [0.7], "c": [0.6, 0.6, 0.6]})  # 0.85, 0.7, 0.6
    assert s.mean == pytest.approx(0.7166666666666667) and (s.count, s.runs) == (3, 6)
    assert s.std == pytest.approx(math.sqrt((0.13333333**2 + 0.01666667**2 + 0.11666667**2) / 2))
    assert s.standard_error == pytest.approx(s.std / math.sqrt(3))


def test_interval_by_students_t():
    s = summarise({i: [float(i)] for i in (1, 2, 3, 4)})
    assert (s.mean, s.std) == (2.5, pytest.approx(1.2909944487358056))
    assert s.interval == (pytest.approx(2.5 - 3.182446305284263 * s.standard_error), pytest.approx(2.5 + 2.05426, abs=1e-4))


def test_one_split_has_its_seeds_for_a_sample():
    s = summarise({"public": [0.80, 0.82, 0.84]})
    assert (s.count, s.runs) == (3, 3) and s.mean == pytest.approx(0.82) and s.std == pytest.approx(0.02)


def test_one_run_has_no_spread():
    s = summarise({"public": [0.8]})
    assert s.mean == 0.8 and math.isnan(s.std) and all(math.isnan(x) for x in s.interval)
    assert reaches(s, published(0.805, 0.01, 10)) and not reaches(s, published(0.82, 0.01, 10))


def test_paired_difference_leaves_out_what_is_hard_about_a_split():
    hard = {0: 0.5, 1: 0.9, 2: 0.7}
    first = {k: [v + 0.02, v + 0.04] for k, v in hard.items()}
    second = {k: [v + 0.001 * k] for k, v in hard.items()} | {7: [0.1]}
    d = paired_difference(first, second)
    assert d.value == pytest.approx(0.03 - 0.001) and d.pairs == 3
    assert split_differences(first, second) == pytest.approx({0: 0.03, 1: 0.029, 2: 0.028})
    assert d.standard_error == pytest.approx(0.001 / math.sqrt(3))
    low, high = d.interval
    assert low > 0 and high - low == pytest.approx(2 * 4.302652729911275 * d.standard_error)
    unpaired = difference(summarise(first), summarise({k: second[k] for k in hard}))
    assert unpaired.value == pytest.approx(d.value) and unpaired.standard_error > 50 * d.standard_error


def test_welch():
    d = difference(Summary(1.0, 2.0, 4, 4), published(0.0, 3.0, 9))
    assert d.standard_error == pytest.approx(math.sqrt(1 + 1)) and d.freedom == pytest.approx(4 / (1 / 3 + 1 / 8))
    assert d.in_errors == pytest.approx(1 / math.sqrt(2))


def test_a_cell_is_met_within_a_point_or_two_errors():
    theirs = published(0.836, 0.010, 100)
    assert reaches(Summary(0.827, 0.001, 10, 20), theirs) and not reaches(Summary(0.825, 0.001, 10, 20), theirs)
    wide = Summary(0.815, 0.05, 10, 20)  # 1.96 errors are 3.1 points
    assert reaches(wide, theirs) and not reaches(Summary(0.80, 0.05, 10, 20), theirs)


def test_refuses():
    with pytest.raises(ValueError, match="no scores"):
        summarise({})
    with pytest.raises(ValueError, match="no scores"):
        summarise({"a": [0.1], "b": []})
    with pytest.raises(ValueError, match="1 splits in common"):
        paired_difference({"a": [0.1], "b": [0.2]}, {"a": [0.3]})
