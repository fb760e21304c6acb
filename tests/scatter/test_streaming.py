"""Moments of rows that fade and leave are those of explicit weights; the whitener follows."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from strategies import generators

from fmahal import Whitener
from fmahal.exceptions import RankDeficientError, RankDeficientWarning
from fmahal.scatter import EmpiricalCovariance, _streaming


class Twin:
    """The specification: all rows and their weights, moments by their definition."""

    def __init__(self, forgetting=1.0, centred=True):
        self.forgetting, self.centred = forgetting, centred
        self.rows, self.weights = [], np.zeros(0)

    def add(self, X):
        for x in X:
            self.weights = np.append(self.forgetting * self.weights, 1.0)
            self.rows.append(x)

    def remove(self, index):
        self.rows = [x for i, x in enumerate(self.rows) if i not in index]
        self.weights = np.delete(self.weights, index)

    def moments(self):
        X, v = np.array(self.rows), self.weights / self.weights.sum()
        m = v @ X if self.centred else np.zeros(X.shape[1])
        return m, (X - m).T @ (v[:, None] * (X - m))

    def effective(self):
        return self.weights.sum() ** 2 / (self.weights**2).sum()


def assert_is(scatter, twin, rtol=1e-9):
    m, S = twin.moments()
    sd = np.sqrt(np.diagonal(S))
    assert scatter.n_samples_ == len(twin.rows)
    assert scatter.effective_n_samples_ == pytest.approx(twin.effective(), rel=1e-9)
    assert np.all(np.abs(scatter.location_ - m) <= rtol * (sd + np.abs(m)))
    assert np.abs((scatter.covariance_ - S) / np.outer(sd, sd)).max() <= rtol
    if scatter.rank_ == len(m):
        x = m + sd
        np.testing.assert_allclose(
            scatter.mahalanobis(x[None]), (x - m) @ np.linalg.solve(S, x - m), rtol=1e3 * rtol
        )


@settings(max_examples=40)
@given(
    generators(),
    st.integers(1, 4),
    st.sampled_from((1.0, 0.99, 0.9, 0.6)),
    st.lists(st.tuples(st.booleans(), st.integers(1, 8)), max_size=6),
    st.sampled_from((1e-8, 1.0, 1e8)),
    st.booleans(),
)
def test_any_sequence_is_the_weighted_moments(rng, p, forgetting, steps, scale, centred):
    twin = Twin(forgetting, centred)
    scatter = EmpiricalCovariance(forgetting=forgetting, assume_centered=not centred)
    for k, (remove, m) in enumerate([(False, 2 * p + 4), *steps]):
        if remove and len(twin.rows) - m > 2 * p:
            newest = len(twin.rows) - 1 - p - np.arange(m) * 2 % len(twin.rows)
            index = np.unique(newest[newest >= 0])
            index = index[twin.weights[index] > 0.05]
            index = index[: max(0, len(twin.rows) - 2 * p)]
            if not index.size or twin.weights[index].sum() > 0.5 * twin.weights.sum():
                continue
            X, w = np.array(twin.rows)[index], twin.weights[index]
            twin.remove(list(index))
            scatter.remove(X, None if forgetting == 1.0 else w)
        else:
            X = scale * (rng.normal(size=(m, p)) + 3.0)
            twin.add(X)
            assert (scatter.fit if k == 0 and rng.random() < 0.5 else scatter.partial_fit)(X) is scatter
        assert_is(scatter, twin)


@pytest.mark.parametrize("forgetting", [1.0, 0.995])
def test_updates_of_the_factor_are_refits(forgetting):
    rng = np.random.default_rng(0)
    p = 45
    X = rng.normal(size=(400, p)) @ rng.normal(size=(p, p)) + 10.0
    twin, scatter = Twin(forgetting), EmpiricalCovariance(forgetting=forgetting)
    twin.add(X[:200])
    scatter.partial_fit(X[:200])
    counts = []
    for i in range(200, 320, 2):
        rows = X[i : i + 1 + i % 4 // 2]
        twin.add(rows)
        scatter.partial_fit(rows)
        if i % 6 == 0:
            bad = len(twin.rows) - 3
            scatter.remove(twin.rows[bad][None], twin.weights[bad])
            twin.remove([bad])
        counts.append(scatter._updates)
    assert 0 < max(counts) <= 100
    assert min(counts[1:]) < max(counts)  # factorised again from time to time
    assert_is(scatter, twin)
    fresh = Whitener.from_covariance(scatter.covariance_)
    Z = rng.normal(size=(5, p))
    np.testing.assert_allclose(scatter.whitener_.sqnorm(Z), fresh.sqnorm(Z), rtol=1e-9)


def test_few_rows_do_not_factorise(monkeypatch):
    X = np.random.default_rng(1).normal(size=(100, 40))
    scatter = EmpiricalCovariance().fit(X[:90])
    calls = []
    monkeypatch.setattr(_streaming.StreamMoments, "whitener", lambda self: calls.append(1))
    for x in X[90:]:
        scatter.partial_fit(x[None])
    scatter.remove(X[:1])
    assert not calls
    assert scatter._updates == 11


def test_a_small_margin_factorises():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(100, 40))
    X[0] *= 50.0  # most of the covariance in its direction
    scatter = EmpiricalCovariance().fit(X)
    scatter.partial_fit(rng.normal(size=(1, 40)))
    assert scatter._updates == 1
    scatter.remove(X[:1])
    assert scatter._updates == 0
    assert scatter.rank_ == 40


def test_forgetting_fit_is_first_partial_fit_and_order_matters():
    X = np.random.default_rng(3).normal(size=(30, 3))
    fit = EmpiricalCovariance(forgetting=0.9).fit(X)
    first = EmpiricalCovariance(forgetting=0.9).partial_fit(X[:20]).partial_fit(X[20:])
    np.testing.assert_allclose(fit.covariance_, first.covariance_, rtol=1e-12)
    assert fit.effective_n_samples_ == pytest.approx(np.tanh(15 * -np.log(0.9)) / np.tanh(-np.log(0.9) / 2))
    backwards = EmpiricalCovariance(forgetting=0.9).fit(X[::-1])
    assert np.abs(backwards.location_ - fit.location_).max() > 0.01
    assert EmpiricalCovariance().fit(X).effective_n_samples_ == 30.0


def test_more_columns_than_rows_and_float32():
    X = np.random.default_rng(4).normal(size=(6, 12)).astype(np.float32)
    twin = Twin(0.8)
    twin.add(X.astype(float))
    with pytest.warns(RankDeficientWarning):
        scatter = EmpiricalCovariance(forgetting=0.8).fit(X)
    assert scatter.rank_ == 5
    assert_is(scatter, twin)


@settings(max_examples=20)
@given(st.sampled_from((0.9, 0.98)), st.integers(1, 200), st.floats(0.5, 20.0))
def test_location_follows_a_shift_with_the_stated_time_constant(forgetting, rows, shift):
    X = np.random.default_rng(5).choice([-1.0, 1.0], size=(2000, 1))
    X[0::2] = -X[1::2]  # pairs of mean zero: the estimate is known up to the newest pair
    scatter = EmpiricalCovariance(forgetting=forgetting).fit(X)
    scatter.partial_fit(shift + X[: 2 * rows])
    left = forgetting ** (2 * rows)
    assert abs(scatter.location_[0] - shift * (1.0 - left)) <= 2.0 * (1.0 - forgetting)
    assert left == pytest.approx(np.exp(-2 * rows * (1.0 - forgetting)), abs=0.03)


def test_long_streams_stay_accurate_and_forget():
    rng = np.random.default_rng(6)
    scatter = EmpiricalCovariance(forgetting=0.9).fit(1e8 * rng.normal(size=(50, 2)))
    X = rng.normal(size=(1000, 2))
    for block in np.split(X, 20):
        scatter.partial_fit(block)
    expected = EmpiricalCovariance(forgetting=0.9).fit(X)
    np.testing.assert_allclose(scatter.covariance_, expected.covariance_, rtol=1e-9)
    assert scatter.effective_n_samples_ == pytest.approx(19.0)
    assert scatter.n_samples_ == 1050


def test_removed_rows_are_gone():
    rng = np.random.default_rng(7)
    X, bad = rng.normal(size=(60, 4)), rng.normal(size=(15, 4)) + 8.0
    scatter = EmpiricalCovariance().fit(np.vstack([X, bad])).remove(bad)
    whole = EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(scatter.mahalanobis(X), whole.mahalanobis(X), rtol=1e-9)
    assert np.allclose(scatter.precision_, whole.precision_, rtol=1e-9)


def test_rank_is_lost_with_its_rows():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(12, 5))
    scatter = EmpiricalCovariance().fit(X)
    with pytest.warns(RankDeficientWarning):
        scatter.remove(X[:8])
    assert scatter.rank_ == 3
    np.testing.assert_allclose(scatter.mahalanobis(X[8:]), 3.0, rtol=1e-6)
    X[:, 4] = X[:, 0] + X[:, 1]
    X[0, 4] += 1.0
    scatter.fit(X)
    with pytest.warns(RankDeficientWarning, match="columns"):
        scatter.remove(X[:1])
    assert scatter.rank_ == 4


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_rows_never_in_are_refused_and_nothing_changes(scale):
    rng = np.random.default_rng(9)
    X = scale * rng.normal(size=(40, 3))
    scatter = EmpiricalCovariance().fit(X)
    before = pickle.dumps(scatter)
    for bad in (X[:1] + 9.0 * scale, X[:3] * [1.0, 1.0, 12.0], np.repeat(X[:1], 20, axis=0) + 4.0 * scale):
        with pytest.raises(ValueError, match="not among those seen"):
            scatter.remove(bad)
    assert pickle.dumps(scatter) == before
    wide = scale * rng.normal(size=(40, 40)) @ np.diag(np.linspace(1, 2, 40))
    scatter = EmpiricalCovariance().fit(np.vstack([wide, scale * rng.normal(size=(30, 40))]))
    with pytest.raises(ValueError, match="not among those seen"):
        scatter.remove(wide[:1] * 4.0)


def test_what_cannot_be_removed_is_said():
    X = np.random.default_rng(10).normal(size=(10, 2))
    scatter = EmpiricalCovariance().fit(X)
    with pytest.raises(RankDeficientError, match="9 of 10 rows"):
        scatter.remove(X[:9])
    with pytest.raises(ValueError, match="entry 1 is 2:"):
        scatter.remove(X[:2], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"1 features.* 2 features"):
        scatter.remove(X[:, :1])
    X[3, 0] = 1e9
    scatter.fit(X)
    with pytest.raises(ValueError, match="column 0 that what is left of it is rounding"):
        scatter.remove(X[3:4])
    fading = EmpiricalCovariance(forgetting=0.5).fit(X[4:])
    with pytest.raises(ValueError, match="pass their present weights"):
        fading.remove(X[9:])
    rows = np.random.default_rng(12).normal(size=(40, 2))
    fading.fit(rows)
    with pytest.raises(RankDeficientError, match="whole weight"):
        fading.remove(rows[5:], 0.5 ** np.arange(34.0, -1.0, -1.0))
    with pytest.raises(AttributeError, match="call fit first"):
        EmpiricalCovariance().remove(X)


def test_rows_that_have_faded_need_their_weights_whatever_forgetting_is_now():
    X = np.random.default_rng(13).normal(size=(40, 2))
    scatter = EmpiricalCovariance(forgetting=0.9).fit(X[:30])
    scatter.set_params(forgetting=1.0).partial_fit(X[30:])
    with pytest.raises(ValueError, match="pass their present weights"):
        scatter.remove(X[25:26])
    scatter.remove(X[25:26], 0.9**4)
    twin = Twin(0.9)
    twin.add(X[:30])
    twin.forgetting = 1.0
    twin.add(X[30:])
    twin.remove([25])
    assert_is(scatter, twin)
    scatter.fit(X).remove(X[:5])  # a fresh fit has weights of 1 again
    assert scatter.n_samples_ == 35


def test_an_update_that_makes_columns_equal_is_factorised_and_loses_rank():
    X = np.random.default_rng(14).normal(size=(100, 40))
    row = np.zeros((1, 40))
    row[0, 38:] = 1e10  # beside it nothing tells the last two columns apart
    with pytest.warns(RankDeficientWarning):
        whole = EmpiricalCovariance().fit(np.vstack([X, row]))
    scatter = EmpiricalCovariance().fit(X)
    with pytest.warns(RankDeficientWarning):
        scatter.partial_fit(row)
    assert scatter.rank_ == whole.rank_ == 39
    assert scatter._updates == 0
    assert scatter.whitener_.kind == whole.whitener_.kind


@pytest.mark.parametrize("p", [3, 60])
def test_rounding_of_a_removed_row_is_no_rank(p):
    for seed in range(6):
        X = np.random.default_rng(seed).normal(size=(3 * p + 20, p))
        X[:, -1] = X[:, 0] + X[:, 1]
        outlier = X[:1].copy()
        outlier[0, -1] = 2e4  # hides the dependence while it is in
        with pytest.warns(RankDeficientWarning):
            scatter = EmpiricalCovariance().fit(np.vstack([X, outlier])).remove(outlier)
        assert scatter.rank_ == p - 1
        with pytest.warns(RankDeficientWarning):
            scatter.partial_fit(X[: p + 1])  # what it left behind is still there
        assert scatter.rank_ == p - 1


@pytest.mark.parametrize("forgetting", [0.0, -0.5, 1.5, np.nan, "0.9", True, None])
def test_forgetting_is_checked(forgetting):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        EmpiricalCovariance(forgetting=forgetting).fit(np.eye(3))


def test_parameters_and_copies():
    X = np.random.default_rng(11).normal(size=(30, 2))
    scatter = EmpiricalCovariance(forgetting=0.9).fit(X)
    assert clone(scatter).forgetting == 0.9
    assert "forgetting" not in repr(EmpiricalCovariance())
    again = pickle.loads(pickle.dumps(scatter)).partial_fit(X)
    np.testing.assert_array_equal(again.covariance_, scatter.partial_fit(X).covariance_)
    scatter.set_params(forgetting=0.5).partial_fit(X[:1])
    w = 0.5 * 0.9 ** np.arange(60.0)
    w = np.append(w, 1.0)
    assert scatter.effective_n_samples_ == pytest.approx(w.sum() ** 2 / (w**2).sum())
