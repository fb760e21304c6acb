"""Two-sample tests: size under equal and unequal laws, power, invariance, the slow twin, and bad input."""

import pickle

import numpy as np
import pytest
import reference_two_sample as twin
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binom
from sklearn.covariance import LedoitWolf as SklearnLedoitWolf
from sklearn.pipeline import make_pipeline

from fmahal.exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from fmahal.inference import _splits as splits
from fmahal.inference import two_sample_test
from fmahal.scatter import EmpiricalCovariance, LedoitWolf, MinCovDet
from fmahal.scatter.spectral import SpectralFilter
from fmahal.spaces import L2Space


def brownian(rng, n, T):
    return rng.normal(size=(n, T)).cumsum(axis=1) / np.sqrt(T)


def ridge(alpha=1e-2, **options):
    return make_pipeline(L2Space(), SpectralFilter("ridge", alpha=alpha, **options))


def assert_size(rejections, trials, level=0.05):
    """Within the two-sided band that a test of this level leaves with probability 2e-4."""
    low, high = binom.ppf([1e-4, 1 - 1e-4], trials, level)
    assert low <= rejections <= high, (rejections, trials)


def rejections(draw, trials, estimator, seed, **options):
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(trials):
        X, Y = draw(rng)
        found += (
            two_sample_test(X, Y, estimator, n_permutations=99, random_state=rng, **options).pvalue <= 0.05
        )
    return found


# ------------------------------------------------------------------ size and power

DESIGNS = {
    "more curves than points": (30, 25, 12, lambda: ridge()),
    "fewer curves than points": (9, 12, 41, lambda: ridge()),
    "next to no ridge": (10, 10, 41, lambda: ridge(1e-9)),
    "rkhs filter": (10, 14, 41, lambda: make_pipeline(L2Space(), SpectralFilter("rkhs"))),
    "vectors": (15, 20, 4, lambda: EmpiricalCovariance()),
    "shrunk vectors": (8, 10, 40, lambda: LedoitWolf()),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_size_under_equal_laws(design):
    n1, n2, T, make = DESIGNS[design]
    found = rejections(lambda rng: (brownian(rng, n1, T), brownian(rng, n2, T)), 150, make(), 1)
    assert_size(found, 150)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["permutation", "studentized"])
@pytest.mark.parametrize("design", DESIGNS)
def test_size_under_equal_laws_in_many_samples(design, method):
    n1, n2, T, make = DESIGNS[design]
    estimator = (
        make()
        if method == "permutation"
        else make_pipeline(L2Space(), SpectralFilter("truncate", n_components=2))
    )
    found = rejections(
        lambda rng: (brownian(rng, n1, T), brownian(rng, n2, T)), 1000, estimator, 2, method=method
    )
    assert_size(found, 1000)


def test_size_of_the_studentized_test_under_equal_laws():
    found = rejections(
        lambda rng: (brownian(rng, 16, 30), brownian(rng, 30, 30)), 150, None, 3, method="studentized"
    )
    assert_size(found, 150)


def unequal(rng):
    """The smaller sample scatters three times as far about the same mean."""
    return 3.0 * brownian(rng, 24, 30), brownian(rng, 72, 30)


def check_unequal(trials):
    plain = rejections(unequal, trials, None, 4)
    studentized = rejections(unequal, trials, None, 4, method="studentized")
    assert plain > 0.3 * trials  # a test of equal laws, which these are not
    assert studentized <= binom.ppf(1 - 1e-4, trials, 0.08)  # the limit is 0.05, reached from above


def test_unequal_covariances_mislead_the_plain_permutation_only():
    check_unequal(120)


@pytest.mark.slow
def test_unequal_covariances_in_many_samples():
    check_unequal(1000)


@pytest.mark.slow
def test_studentized_size_tends_to_nominal():
    def large(rng):
        return 3.0 * brownian(rng, 150, 20), brownian(rng, 450, 20)

    estimator = make_pipeline(L2Space(), SpectralFilter("truncate", n_components=3))
    assert_size(rejections(large, 1000, estimator, 5, method="studentized"), 1000, level=0.055)


@pytest.mark.parametrize("method", ["permutation", "studentized"])
def test_power_against_a_shift_of_the_mean(method):
    t = np.linspace(0, 1, 30)
    found = rejections(
        lambda rng: (brownian(rng, 20, 30), brownian(rng, 25, 30) + 1.5 * t), 40, None, 6, method=method
    )
    assert found >= 36


def bootstrap_pvalue(X, Y, p, rng, draws=200):
    """The parametric bootstrap as published: Gaussian means with each sample's own estimated covariance."""
    n1, n2, T = len(X), len(Y), X.shape[1]
    root = np.sqrt(np.r_[0.5, np.ones(T - 2), 0.5] / (T - 1))
    X, Y = X * root, Y * root
    c = n1 / (n1 + n2)
    S1, S2 = np.cov(X.T), np.cov(Y.T)
    values, vectors = np.linalg.eigh((1 - c) * S1 + c * S2)
    weights = 1 / (np.maximum(values, 0) + 1 / p)

    def statistic(gap):
        return np.sum((gap @ vectors) ** 2 * weights, axis=-1) / (1 / n1 + 1 / n2)

    def means(S, n):
        w, V = np.linalg.eigh(S)
        w[w < 1e-12 * w[-1]] = 0
        return (rng.normal(size=(draws, T)) * np.sqrt(w / n)) @ V.T

    return np.mean(statistic(means(S1, n1) - means(S2, n2)) >= statistic(X.mean(axis=0) - Y.mean(axis=0)))


def test_parametric_bootstrap_from_the_estimated_covariance_rejects_always_for_large_p():
    rng = np.random.default_rng(7)
    trials, bootstrap, ours = 40, 0, 0
    for _ in range(trials):
        X, Y = brownian(rng, 15, 41), brownian(rng, 15, 41)  # one law
        bootstrap += bootstrap_pvalue(X, Y, 1e9, rng) <= 0.05
        test = two_sample_test(X, Y, ridge(1e-9, alpha_units="absolute"), n_permutations=99, random_state=rng)
        ours += test.pvalue <= 0.05
    assert bootstrap == trials
    assert_size(ours, trials)


# ------------------------------------------------------------------ the numbers

SMALL = np.random.default_rng(8).normal(size=(9, 2)) @ np.array([[2.0, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize("method", ["permutation", "studentized"])
@pytest.mark.parametrize(("n1", "n2"), [(4, 5), (5, 4), (4, 4), (3, 6)])
@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
def test_enumeration_equals_the_twin(n1, n2, method):
    rows = SMALL[: n1 + n2] + np.outer(np.arange(n1 + n2) < n1, [1.0, 0.0])
    result = two_sample_test(rows[:n1], rows[n1:], EmpiricalCovariance(), method=method, n_permutations=999)
    Z = EmpiricalCovariance().fit(rows).transform(rows)
    statistic = twin.mean_distance if method == "permutation" else twin.studentized
    assert result.exact
    assert_allclose(result.pvalue, twin.exact_pvalue(Z, n1, statistic), rtol=1e-12)
    first = np.arange(n1 + n2) < n1
    assert_allclose(result.statistic, statistic(Z, first), rtol=1e-9)
    assert_allclose(result.distance**2, twin.mean_distance(Z, first) * (1 / n1 + 1 / n2), rtol=1e-9)
    everything = {tuple(split) for split in twin.every_split(n1 + n2, n1)}
    assert result.n_permutations == len(everything) // (2 if n1 == n2 else 1) - 1


@pytest.mark.parametrize("method", ["permutation", "studentized"])
def test_random_splits_agree_with_the_twin(method):
    rng = np.random.default_rng(9)
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(28, 3)) + 0.4
    result = two_sample_test(X, Y, EmpiricalCovariance(), method=method, n_permutations=3999, random_state=0)
    rows = np.concatenate([X, Y])
    Z = EmpiricalCovariance().fit(rows).transform(rows)
    statistic = twin.mean_distance if method == "permutation" else twin.studentized
    expected = twin.sampled_pvalue(Z, 20, statistic, 1000, rng)
    error = np.sqrt(expected * (1 - expected) * (1 / 1000 + 1 / 4000))
    assert abs(result.pvalue - expected) < 4 * error
    assert_allclose(result.statistic, statistic(Z, np.arange(48) < 20), rtol=1e-9)


def test_permutation_is_hotellings_test():
    """T of the pooled covariance and Hotelling's with that within the samples order all splits alike."""
    rng = np.random.default_rng(10)
    X, Y = rng.normal(size=(5, 2)), rng.normal(size=(6, 2)) + 0.7
    result = two_sample_test(X, Y, EmpiricalCovariance())

    def hotelling(Z, first):
        gap = Z[first].mean(axis=0) - Z[~first].mean(axis=0)
        within = np.cov(Z[first].T) * (first.sum() - 1) + np.cov(Z[~first].T) * ((~first).sum() - 1)
        return gap @ np.linalg.solve(within, gap)

    assert result.exact
    assert_allclose(result.pvalue, twin.exact_pvalue(np.concatenate([X, Y]), 5, hotelling), rtol=1e-12)


def test_ridge_statistic_is_the_published_distance():
    rng = np.random.default_rng(11)
    X, Y = brownian(rng, 8, 21), brownian(rng, 9, 21)
    p = 50.0
    result = two_sample_test(X, Y, ridge(1 / p, alpha_units="absolute"), n_permutations=9, random_state=0)
    root = np.sqrt(np.r_[0.5, np.ones(19), 0.5] / 20)
    S = np.cov(np.concatenate([X, Y]).T * root[:, None])
    gap = (X.mean(axis=0) - Y.mean(axis=0)) * root
    assert_allclose(result.distance**2, gap @ np.linalg.solve(S + np.eye(21) / p, gap), rtol=1e-9)
    assert_allclose(result.statistic, result.distance**2 / (1 / 8 + 1 / 9), rtol=1e-12)


def test_components_cut_away_still_count_for_the_ridge_filter():
    rng = np.random.default_rng(12)
    X, Y = brownian(rng, 8, 21), brownian(rng, 9, 21)
    few = two_sample_test(X, Y, ridge(n_components=2), n_permutations=9, random_state=0)
    pipeline = ridge(n_components=2).fit(np.concatenate([X, Y]))
    gap = pipeline[:-1].transform(np.array([X.mean(axis=0), Y.mean(axis=0)]))
    assert_allclose(few.distance**2, pipeline[-1].whitener_.sqnorm(gap[:1] - gap[1:])[0], rtol=1e-8)


# ------------------------------------------------------------------ invariance


@pytest.mark.parametrize("method", ["permutation", "studentized"])
def test_order_of_curves_and_samples_does_not_matter(method):
    rng = np.random.default_rng(13)
    X, Y = brownian(rng, 20, 30), brownian(rng, 26, 30) + 0.2
    one = two_sample_test(X, Y, method=method, random_state=0)
    shuffled = two_sample_test(X[rng.permutation(20)], Y[rng.permutation(26)], method=method, random_state=0)
    swapped = two_sample_test(Y, X, method=method, random_state=0)
    for other in (shuffled, swapped):
        assert other.pvalue == one.pvalue
        assert_allclose([other.statistic, other.distance], [one.statistic, one.distance], rtol=1e-9)
        assert_allclose(other.null_statistics, one.null_statistics, rtol=1e-7)
    assert swapped.n_samples == (26, 20)


@pytest.mark.parametrize("method", ["permutation", "studentized"])
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_do_not_matter(unit, method):
    rng = np.random.default_rng(14)
    X, Y = brownian(rng, 20, 30), brownian(rng, 26, 30) + 0.2
    one, other = (two_sample_test(X * u, Y * u, method=method, random_state=0) for u in (1.0, unit))
    assert other.pvalue == one.pvalue
    assert_allclose(other.statistic, one.statistic, rtol=1e-9)
    assert_allclose(other.null_statistics, one.null_statistics, rtol=1e-7)


def test_robust_and_foreign_scatters_are_taken():
    rng = np.random.default_rng(15)
    X, Y = rng.normal(size=(2, 30, 3))
    for estimator in (MinCovDet(random_state=0), SklearnLedoitWolf(), make_pipeline(L2Space(), LedoitWolf())):
        assert two_sample_test(X, Y + 2.0, estimator, random_state=0).pvalue == 0.001
        assert two_sample_test(X, Y, estimator, random_state=0).pvalue > 0.01
    foreign = two_sample_test(X, Y, SklearnLedoitWolf(), random_state=0)
    assert_allclose(
        foreign.null_statistics, two_sample_test(X, Y, LedoitWolf(), random_state=0).null_statistics
    )


class FirstRows(EmpiricalCovariance):
    """A scatter of the rows that come first, as random starts by number may amount to."""

    def __init__(self, random_state=None):
        super().__init__()
        self.random_state = random_state

    def fit(self, X, y=None):
        return super().fit(np.asarray(X)[:8])


def test_estimators_that_draw_rows_by_number_do_not_learn_the_samples():
    found = rejections(lambda rng: tuple(rng.normal(size=(2, 8, 4))), 150, FirstRows(0), 30)
    assert_size(found, 150)


def test_estimator_is_cloned():
    estimator = ridge()
    rng = np.random.default_rng(16)
    two_sample_test(brownian(rng, 8, 10), brownian(rng, 8, 10), estimator, random_state=0)
    assert not hasattr(estimator[-1], "location_")


@given(st.integers(4, 40), st.integers(1, 300), st.integers(0, 2**32 - 1), st.data())
def test_random_splits_have_the_sizes_and_do_not_depend_on_blocks(n, count, seed, data):
    m = data.draw(st.integers(2, n // 2))
    whole = np.concatenate(list(splits.random_splits(n, m, count, np.random.default_rng(seed))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "_BLOCK", 7 * n)
        parts = np.concatenate(list(splits.random_splits(n, m, count, np.random.default_rng(seed))))
    assert whole.shape == (count, n)
    assert (whole.sum(axis=1) == m).all()
    assert (whole == parts).all()


@given(st.integers(4, 9), st.data())
def test_enumeration_lists_every_other_split_once(n, data):
    m = data.draw(st.integers(2, n // 2))
    observed = np.zeros(n, dtype=bool)
    observed[data.draw(st.permutations(range(n)))[:m]] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "_BLOCK", 5 * n)
        rows = np.concatenate(list(splits.enumerated(observed))).astype(bool)
    seen = {tuple(row) for row in rows}
    seen |= {tuple(~row) for row in rows} if 2 * m == n else set()
    own = {tuple(observed), tuple(~observed)} if 2 * m == n else {tuple(observed)}
    assert len(rows) == splits.all_splits(n, m, 10**6) - 1
    assert seen | own == {tuple(split) for split in twin.every_split(n, m)}
    assert not seen & own


def test_numbers_of_splits_too_large_to_list_are_not_computed():
    assert splits.all_splits(200_000, 100_000, 10**6) is None
    assert splits.all_splits(6, 3, 10) == 10
    assert splits.all_splits(6, 3, 9) is None


def test_blocks_change_nothing_but_rounding(monkeypatch):
    rng = np.random.default_rng(17)
    X, Y = rng.normal(size=(40, 4)), rng.normal(size=(50, 4))
    for method in ("permutation", "studentized"):
        whole = two_sample_test(X, Y, EmpiricalCovariance(), method=method, random_state=0)
        monkeypatch.setattr(splits, "_BLOCK", 200)
        parts = two_sample_test(X, Y, EmpiricalCovariance(), method=method, random_state=0)
        monkeypatch.undo()
        assert_allclose(parts.null_statistics, whole.null_statistics, rtol=1e-10)


# ------------------------------------------------------------------ edges


def test_every_split_alike_is_said():
    rng = np.random.default_rng(18)
    X, Y = rng.normal(size=(2, 5, 30))
    with pytest.warns(RankDeficientWarning) as seen:
        result = two_sample_test(
            X, Y + 5.0, make_pipeline(L2Space(), SpectralFilter("inverse", n_components=9))
        )
    assert any("Every split" in str(warning.message) for warning in seen)
    assert result.pvalue == 1.0


def test_fewer_rows_than_columns_without_regularisation_is_refused():
    X, Y = np.random.default_rng(19).normal(size=(2, 5, 30))
    with pytest.raises(RankDeficientError, match="more rows than columns"):
        two_sample_test(X, Y, EmpiricalCovariance())


def test_groups_without_variance_of_their_own_are_infinitely_apart():
    rng = np.random.default_rng(20)
    X, Y = rng.normal(size=(2, 12, 2))
    X[:, 1], Y[:, 1] = 0.0, 1.0
    result = two_sample_test(X, Y, EmpiricalCovariance(), method="studentized", random_state=0)
    assert np.isposinf(result.statistic)
    assert result.pvalue == 0.001


def test_equal_samples_have_pvalue_one():
    X = brownian(np.random.default_rng(21), 12, 20)
    result = two_sample_test(X, X.copy(), random_state=0)
    assert result.pvalue == 1.0


def test_float32_curves():
    rng = np.random.default_rng(22)
    X, Y = brownian(rng, 15, 20), brownian(rng, 15, 20) + 0.3
    single = two_sample_test(X.astype(np.float32), Y.astype(np.float32), random_state=0)
    assert_allclose(single.statistic, two_sample_test(X, Y, random_state=0).statistic, rtol=1e-3)


def test_directions_of_the_studentized_test():
    rng = np.random.default_rng(23)
    X, Y = brownian(rng, 12, 30), brownian(rng, 14, 30)
    with pytest.raises(RankDeficientError, match="n_components=1"):
        two_sample_test(X, Y, ridge(), method="studentized")
    few = make_pipeline(L2Space(), SpectralFilter("truncate", n_components=5))
    with pytest.warns(CalibrationWarning, match="5 directions"):
        two_sample_test(X, Y, few, method="studentized")


@pytest.mark.filterwarnings("ignore::fmahal.exceptions.CalibrationWarning")
def test_studentized_statistic_sees_directions_only():
    rng = np.random.default_rng(24)
    X, Y = rng.normal(size=(2, 20, 3))
    A = rng.normal(size=(3, 3))
    one = two_sample_test(X, Y, EmpiricalCovariance(), method="studentized", random_state=0)
    two = two_sample_test(X @ A, Y @ A, LedoitWolf(), method="studentized", random_state=0)
    assert_allclose(two.statistic, one.statistic, rtol=1e-8)


# ------------------------------------------------------------------ random_state and the result


def test_random_states():
    rng = np.random.default_rng(25)
    X, Y = brownian(rng, 15, 20), brownian(rng, 15, 20)

    def pvalues(state):
        return two_sample_test(X, Y, n_permutations=199, random_state=state).null_statistics

    assert (pvalues(3) == pvalues(3)).all()
    for make in (np.random.default_rng, np.random.RandomState):
        state, again = make(3), make(3)
        first, second = pvalues(state), pvalues(state)
        assert (first != second).any()
        assert (first == pvalues(again)).all()
    assert (pvalues(None) != pvalues(None)).any()
    with pytest.raises(ValueError, match="random_state"):
        pvalues("0")


def test_result_is_frozen_readable_and_picklable():
    rng = np.random.default_rng(26)
    result = two_sample_test(brownian(rng, 15, 20), brownian(rng, 16, 20), random_state=0)
    assert "n_samples=(15, 16)" in repr(result)
    assert "999 random splits" in repr(result)
    assert "null_statistics" not in repr(result)
    assert pickle.loads(pickle.dumps(result)) == result
    with pytest.raises(AttributeError):
        result.pvalue = 0.0
    assert result.pvalue == (1 + (result.null_statistics >= result.statistic).sum()) / 1000


# ------------------------------------------------------------------ bad input

GOOD = np.random.default_rng(27).normal(size=(6, 10))
HOLE = GOOD.copy()
HOLE[2, 3] = np.nan


@pytest.mark.parametrize(
    ("X", "Y", "options", "words"),
    [
        (GOOD[:1], GOOD, {}, "X has 1 curve"),
        (GOOD, GOOD[:1], {}, "Y has 1 curve"),
        (GOOD, GOOD[:, :9], {}, "differ in their columns or grid points"),
        (GOOD, HOLE, {}, "Y contains NaN or infinity: 1 entries.*row 2 at position 3"),
        (GOOD, GOOD[0], {}, "Y must have a curve or a row"),
        (GOOD, GOOD + 1j, {}, "Y is complex"),
        (GOOD, GOOD, {"n_permutations": 0}, "at least 1, got 0"),
        (GOOD, GOOD, {"n_permutations": 9.5}, "whole number"),
        (GOOD, GOOD, {"n_permutations": True}, "whole number"),
        (GOOD, GOOD, {"method": "bootstrap"}, "'permutation', 'studentized'"),
    ],
)
def test_bad_input_is_named(X, Y, options, words):
    with pytest.raises(ValueError, match=words):
        two_sample_test(X, Y, **options)


def test_an_estimator_without_distances_is_refused():
    with pytest.raises(TypeError, match="must be a scatter"):
        two_sample_test(GOOD, GOOD, L2Space())


def test_data_frames():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(28)
    X, Y = rng.normal(size=(2, 20, 3))
    columns = ["a", "b", "c"]
    frames = [pd.DataFrame(rows, columns=columns) for rows in (X, Y)]
    one = two_sample_test(*frames, EmpiricalCovariance(), random_state=0)
    assert one.pvalue == two_sample_test(X, Y, EmpiricalCovariance(), random_state=0).pvalue
    with pytest.raises(ValueError, match="different columns"):
        two_sample_test(frames[0], frames[1][["b", "a", "c"]], EmpiricalCovariance())
    with pytest.raises(ValueError, match="one kind"):
        two_sample_test(frames[0], Y, EmpiricalCovariance())


class TestCurvesOfSkfda:
    @pytest.fixture(autouse=True)
    def curves(self):
        self.skfda = pytest.importorskip("skfda")
        rng = np.random.default_rng(29)
        self.t = np.linspace(0, 2, 25)
        self.X, self.Y = brownian(rng, 10, 25), brownian(rng, 12, 25) + 0.3
        self.one = self.skfda.FDataGrid(self.X, self.t)
        self.two = self.skfda.FDataGrid(self.Y, self.t)

    def test_grid_equals_arrays(self):
        pipeline = make_pipeline(L2Space(grid_points=self.t), SpectralFilter("ridge"))
        arrays = two_sample_test(self.X, self.Y, pipeline, random_state=0)
        grids = two_sample_test(self.one, self.two, random_state=0)
        assert grids.pvalue == arrays.pvalue
        assert_allclose(grids.statistic, arrays.statistic, rtol=1e-10)

    def test_basis_and_several_components(self):
        basis = self.skfda.representation.basis.BSplineBasis(domain_range=(0, 2), n_basis=8)
        X, Y = self.one.to_basis(basis), (self.two + 5).to_basis(basis)
        assert two_sample_test(X, Y, random_state=0).pvalue == 0.001
        both = [self.skfda.FDataGrid(np.stack([rows, rows**2], axis=-1), self.t) for rows in (self.X, self.Y)]
        arrays = [np.stack([rows, rows**2], axis=-1) for rows in (self.X, self.Y)]
        pipeline = make_pipeline(L2Space(grid_points=self.t), SpectralFilter("ridge"))
        expected = two_sample_test(*arrays, pipeline, random_state=0)
        assert_allclose(two_sample_test(*both, random_state=0).statistic, expected.statistic, rtol=1e-10)
        other = self.skfda.representation.basis.BSplineBasis(domain_range=(0, 2), n_basis=9)
        with pytest.raises(ValueError, match="different bases"):
            two_sample_test(X, self.two.to_basis(other))

    def test_surfaces_and_irregular_curves(self):
        rng = np.random.default_rng(31)
        grid = (np.arange(6.0), np.arange(5.0))
        X, Y = (self.skfda.FDataGrid(rng.normal(size=(n, 6, 5)), grid) for n in (12, 14))
        assert two_sample_test(X, Y + 3, random_state=0).pvalue == 0.001
        assert two_sample_test(X, Y, random_state=0).pvalue > 0.01
        basis = self.skfda.representation.basis.BSplineBasis(domain_range=(0, 2), n_basis=7)
        X, Y = (self.skfda.FDataIrregular.from_fdatagrid(rows) for rows in (self.one, self.two + 5))
        pipeline = make_pipeline(L2Space(basis=basis), SpectralFilter("ridge"))
        assert two_sample_test(X, Y, pipeline, random_state=0).pvalue == 0.001

    def test_differences_are_named(self):
        grid = self.skfda.FDataGrid
        moved = self.t.copy()
        moved[5] += 0.01
        wide = np.stack([self.Y, self.Y], axis=-1)
        hole = self.Y.copy()
        hole[4, 7] = np.nan
        for other, words in [
            (grid(self.Y[:, :20], self.t[:20]), "25 points against 20"),
            (grid(self.Y, moved), "point 5 is t = 0.41666666"),
            (grid(self.Y, self.t, domain_range=(0, 3)), "different domains"),
            (grid(wide, self.t), "dimensions of domain and codomain"),
            (grid(hole, self.t), "row 4 at position"),
            (self.Y, "one kind"),
            (self.two[:1], "Y has 1 curve"),
        ]:
            with pytest.raises(ValueError, match=words):
                two_sample_test(self.one, other)


def test_grids_that_differ_in_late_digits_are_told_apart():
    skfda = pytest.importorskip("skfda")
    t = np.linspace(0.0, 1.0, 20)
    near = np.r_[0.0, t[1:-1] + 1e-7, 1.0]
    values = np.random.default_rng(0).normal(size=(6, 20))
    with pytest.raises(ValueError, match=r"t = 0\.052631578\d* against t = 0\.052631678"):
        two_sample_test(skfda.FDataGrid(values, t), skfda.FDataGrid(values, near))
