"""The regularised MCD: R's fits, a p x p twin, the two forms, equivariance, breakdown, degenerate data."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import reference_mrcd as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer

from fmahal.exceptions import RankDeficientWarning
from fmahal.scatter import MRCD, spatial_median
from fmahal.scatter import mrcd as module
from fmahal.scatter._mcd_factors import consistency_factor
from fmahal.scatter._mrcd_data import Columns, gram_and_starts
from fmahal.scatter._mrcd_engine import GramEngine, PrimalEngine, choose_rho, nearest, needed_rho, search

REFERENCE = Path(__file__).parents[2].parent / "shared" / "data" / "functional" / "octane.npz"
GOLDEN = ["bushfire", "hbk_x", "iris4", "pulpfiber", "toxicity", "wood_x"]
IDENTITY = ["a50_identity", "a75_identity"]


@pytest.fixture(scope="module")
def cases(fixtures_dir):
    return json.loads((fixtures_dir / "mrcd_golden.json").read_text())


def data(n, p, seed=0, outliers=0.2, at=6.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 0.7 * rng.normal(size=(n, 1))
    X[: int(outliers * n)] += at * rng.choice([-1.0, 1.0], size=p)
    return X * np.geomspace(0.1, 10.0, p) + 3.0


def forced(route, **parameters):
    scatter = MRCD(**parameters)
    scatter._route = route
    return scatter


def symmetric(lower, p):
    matrix = np.zeros((p, p))
    matrix[np.tril_indices(p)] = lower
    return matrix + np.tril(matrix, -1).T


# ---------------------------------------------------------------- numbers of R


def check_same_fit(scatter, fit, p):
    covariance = symmetric(fit["cov"], p)
    sd = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(scatter.location_, fit["center"], atol=1e-6 * sd.max(), rtol=1e-8)
    assert np.abs((scatter.covariance_ - covariance) / np.outer(sd, sd)).max() < 1e-6
    np.testing.assert_allclose(scatter.d2_, fit["mah"], rtol=1e-6)
    assert scatter.objective_ == pytest.approx(fit["crit"], abs=1e-6)


@pytest.mark.parametrize("key", [*IDENTITY, "a75_equicorrelation"])
@pytest.mark.parametrize("name", GOLDEN)
def test_rrcov_at_its_rho(cases, name, key):
    X, fit = np.array(cases[name]["x"], dtype=float), cases[name]["fits"][key]
    scatter = MRCD(support_fraction=fit["alpha"], rho=fit["rho"], target=fit["target"]).fit(X)
    assert scatter.n_support_ == fit["h"]
    assert scatter.consistency_ == pytest.approx(fit["calpha"], rel=1e-12)
    same = set(np.flatnonzero(scatter.support_)) == set(fit["best"])
    if (
        fit["target"] == "identity" or same
    ):  # rrcov's starts for the other target depend on the order of the columns
        assert same
        check_same_fit(scatter, fit, X.shape[1])
    elif name == "wood_x":  # where its start is better than all of ours
        assert fit["crit"] < scatter.objective_ < fit["crit"] + 0.3
    else:
        assert scatter.objective_ < fit["crit"]


# In toxicity at .5 one start comes from rows that lie on a hyperplane: in R rounding decides how far the others are.
AUTOMATIC = [
    (name, key) for name in GOLDEN for key in IDENTITY if (name, key) != ("toxicity", "a50_identity")
]


@pytest.mark.parametrize(("name", "key"), AUTOMATIC)
def test_rrcov_automatic_rho(cases, name, key):
    X, fit = np.array(cases[name]["x"], dtype=float), cases[name]["fits"][key]
    scatter = MRCD(support_fraction=fit["alpha"]).fit(X)
    assert scatter.rho_ == pytest.approx(fit["rho"], abs=2e-4)  # R's root finder stops there


@pytest.mark.parametrize("key", [*IDENTITY, "a75_equicorrelation"])
def test_rrcov_more_columns_than_rows(cases, key):
    X, fit = np.array(cases["sim13_pgtn_n40_p60"]["x"]), cases["sim13_pgtn_n40_p60"]["fits"][key]
    scatter = MRCD(support_fraction=fit["alpha"], rho=fit["rho"], target=fit["target"]).fit(X)
    assert scatter.objective_ <= fit["crit"] + 1e-8
    engine_rows = np.sort(fit["best"])  # and at R's subset, R's numbers
    columns = Columns(X)
    if fit["target"] == "equicorrelation":
        columns.set_equicorrelation()
    gram, _ = gram_and_starts(columns, fit["h"])
    d2, _ = GramEngine(gram, 60, fit["calpha"]).step(engine_rows, fit["rho"], ddof=1)
    np.testing.assert_allclose(d2, fit["mah"], rtol=1e-6)


def test_no_floor_under_the_scale(cases):
    """rrcov replaces a Qn below 0.001, in the units of the data; here a tied column gets a scale of its own size."""
    X = np.array(cases["condroz"]["x"], dtype=float)
    first = MRCD().fit(X)
    assert cases["condroz"]["fits"]["a75_identity"]["rho"] > 0.98
    assert first.rho_ < 0.1
    assert (first.scale_ > 0.01 * X.std(axis=0)).all()
    for unit in (1e-8, 1e8):
        again = MRCD().fit(X * unit)
        np.testing.assert_array_equal(again.support_, first.support_)
        np.testing.assert_allclose(again.d2_, first.d2_, rtol=1e-9)
        assert again.rho_ == pytest.approx(first.rho_, rel=1e-9)


# ---------------------------------------------------------------- the twin


@pytest.mark.parametrize("target", ["identity", "equicorrelation"])
@pytest.mark.parametrize(("n", "p"), [(30, 4), (24, 18), (20, 31)])
def test_twin(n, p, target, monkeypatch):
    X = data(n, p, seed=p)
    rng = np.random.default_rng(0)
    h = int(np.ceil(0.75 * n))
    starts = [np.sort(rng.permutation(n)[:h]) for _ in range(4)]
    share_starts(monkeypatch, starts)
    scatter = MRCD(rho=0.2, target=target).fit(X)
    correlation = twin.common_correlation(X) if target == "equicorrelation" else 0.0
    factor = consistency_factor(p, h / n)
    rows, location, covariance, d2, logdet = twin.mrcd(X, starts, 0.2, factor, correlation)
    np.testing.assert_array_equal(np.flatnonzero(scatter.support_), rows)
    np.testing.assert_allclose(scatter.target_, correlation, rtol=1e-6)
    np.testing.assert_allclose(scatter.location_, location, rtol=1e-12)
    np.testing.assert_allclose(
        scatter.covariance_, covariance, rtol=1e-8, atol=1e-10 * np.abs(covariance).max()
    )
    np.testing.assert_allclose(scatter.d2_, d2, rtol=1e-8)
    np.testing.assert_allclose(scatter.mahalanobis(X), d2, rtol=1e-8)
    assert scatter.objective_ == pytest.approx(logdet, abs=1e-8)


def share_starts(monkeypatch, starts):
    monkeypatch.setattr(module, "primal_starts", lambda Wt, h: list(starts))
    monkeypatch.setattr(
        module, "gram_and_starts", lambda columns, h: (gram_and_starts(columns, h)[0], list(starts))
    )


@pytest.mark.parametrize("rho", ["auto", 0.05])
@pytest.mark.parametrize("target", ["identity", "equicorrelation"])
@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0, 1.1, 2.0, 3.0])
def test_two_forms_give_the_same_numbers(ratio, target, rho, monkeypatch):
    n, h = 40, 30
    X = data(n, int(ratio * h), seed=3)
    rng = np.random.default_rng(1)
    share_starts(monkeypatch, [np.sort(rng.permutation(n)[:h]) for _ in range(6)])
    wide, square = (forced(route, target=target, rho=rho).fit(X) for route in ("dual", "primal"))
    np.testing.assert_array_equal(wide.support_, square.support_)
    assert wide.n_steps_ == square.n_steps_
    assert wide.n_steps_ > 0 or rho == 0.05  # so close to interpolation every subset is nearest to itself
    assert wide.rho_ == pytest.approx(square.rho_, rel=1e-10)
    assert wide.objective_ == pytest.approx(square.objective_, abs=1e-8)
    np.testing.assert_allclose(wide.location_, square.location_, rtol=1e-12)
    np.testing.assert_allclose(wide.d2_, square.d2_, rtol=1e-8)
    new = data(7, X.shape[1], seed=9)
    np.testing.assert_allclose(wide.mahalanobis(new), square.mahalanobis(new), rtol=1e-8)
    largest = np.abs(square.covariance_).max()
    np.testing.assert_allclose(wide.covariance_, square.covariance_, rtol=1e-8, atol=1e-10 * largest)
    assert wide.whitener_.kind == "spectral"
    assert square.whitener_.kind == "triangular"


@pytest.mark.parametrize(("n", "p"), [(30, 5), (20, 30)])
def test_rho_bounds_the_condition_number(n, p):
    """The closed form against bisection, and the rule that picks one of six."""
    X = data(n, p)
    U, T = twin.standardised(X), np.eye(p)
    rng = np.random.default_rng(0)
    h = int(np.ceil(0.75 * n))
    factor = consistency_factor(p, h / n)
    engines = PrimalEngine(np.ascontiguousarray(U.T), factor), GramEngine(U @ U.T, p, factor)
    for kappa in (5.0, 50.0):
        for _ in range(3):
            rows = np.sort(rng.permutation(n)[:h])
            expected = twin.needed_rho(U, rows, factor, T, kappa)
            for engine in engines:
                assert needed_rho(*engine.extremes(rows), kappa) == pytest.approx(expected, rel=1e-6)
    assert needed_rho(1.0, 40.0, 50.0) == 1e-6
    assert choose_rho([0.02, 0.05, 0.03, 0.09, 0.5, 0.7])[0] == 0.09
    rho, kept = choose_rho([0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert (rho, kept.tolist()) == (0.4, [True, True, True, False, False, False])


def test_dropped_starts_are_not_used():
    """A start that needs more regularisation than the rule allows does not win."""
    rng = np.random.default_rng(0)
    U = rng.normal(size=(40, 3))
    U[:20] = U[0] + 1e-4 * rng.normal(size=(20, 3))  # a tight cluster: lowest determinant, worst condition
    U[:20, 0] *= 1e6
    tight, wide = np.arange(20), np.arange(20, 40)
    engine = PrimalEngine(np.ascontiguousarray(U.T), 1.0)
    best, _ = search(engine, [wide, wide, wide, tight], None, 50.0)
    assert not set(best.rows) & set(range(20))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_objective_never_increases(draws):
    """On ties, duplicates, huge and tiny values, near-collinear columns; in both forms."""
    rng = np.random.default_rng(draws.draw(st.integers(0, 2**32 - 1)))
    n, p = draws.draw(st.integers(4, 30)), draws.draw(st.integers(1, 40))
    kind = draws.draw(st.sampled_from(["normal", "ties", "duplicates", "collinear", "wild"]))
    U = rng.normal(size=(n, p))
    if kind == "ties":
        U = rng.integers(-1, 2, size=(n, p)).astype(float)
    elif kind == "duplicates":
        U = U[rng.integers(0, max(n // 3, 1), size=n)]
    elif kind == "collinear":
        U = U[:, :1] + 1e-9 * U
    elif kind == "wild":
        U *= 10.0 ** rng.integers(-8, 6, size=(n, 1))
    h = draws.draw(st.integers(max(2, n // 2), n))
    rho = draws.draw(st.sampled_from([1e-3, 0.1, 0.7, 1.0]))
    for engine in (PrimalEngine(np.ascontiguousarray(U.T), 1.2), GramEngine(U @ U.T, p, 1.2)):
        rows, previous = np.sort(rng.permutation(n)[:h]), np.inf
        for _ in range(30):
            d2, objective = engine.step(rows, rho)
            assert np.isfinite(d2).all()
            assert (d2 >= 0).all()
            assert objective <= previous + 1e-9 * (p + abs(objective))
            rows, previous = nearest(d2, h), objective


# ---------------------------------------------------------------- what it promises


@pytest.mark.parametrize("target", ["identity", "equicorrelation"])
@pytest.mark.parametrize("p", [3, 40])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equivariance(p, target, seed):
    rng = np.random.default_rng(seed)
    X = data(25, p, seed=seed)
    first = MRCD(target=target).fit(X)
    units = 2.0 ** rng.integers(-20, 20, size=p)
    scaled = MRCD(target=target).fit(X * units)
    np.testing.assert_array_equal(scaled.support_, first.support_)
    np.testing.assert_allclose(scaled.d2_, first.d2_, rtol=1e-9)
    np.testing.assert_allclose(scaled.location_, first.location_ * units, rtol=1e-12)
    columns, rows = rng.permutation(p), rng.permutation(25)
    moved = MRCD(target=target).fit((X + 100.0)[rows][:, columns])
    np.testing.assert_array_equal(moved.support_, first.support_[rows])
    np.testing.assert_allclose(moved.d2_, first.d2_[rows], rtol=1e-7)
    np.testing.assert_allclose(moved.location_, first.location_[columns] + 100.0, rtol=1e-9)


@pytest.mark.parametrize("at", [1e3, 1e5, 1e7, 1e9])
@pytest.mark.parametrize("p", [4, 100])
def test_breakdown(p, at):
    """A fifth of the rows far away leaves the fit where the others alone would put it."""
    rng = np.random.default_rng(5)
    clean = rng.normal(size=(60, p))
    X = clean.copy()
    X[:12] = at * (1.0 + rng.normal(size=(12, p)))
    scatter = MRCD().fit(X)
    assert not scatter.support_[:12].any()
    assert not scatter.weights_[:12].any()
    assert scatter.d2_[:12].min() > 100 * scatter.d2_[12:].max()
    variances = np.diagonal(scatter.covariance_)
    assert 0.2 < variances.min() < variances.max() < 5.0
    assert np.abs(scatter.location_).max() < 1.0
    moderate = X.copy()
    moderate[:12] = 1e3 * (1.0 + rng.normal(size=(12, p)))
    np.testing.assert_allclose(scatter.location_, MRCD().fit(moderate).location_, atol=0.5)


@pytest.mark.parametrize("at", [1e100, 1e160, 1e300])
@pytest.mark.parametrize("p", [3, 40])
def test_rows_whose_squares_overflow(p, at):
    X = np.random.default_rng(0).normal(size=(25, p))
    X[:4] *= at
    for target in ("identity", "equicorrelation"):
        scatter = MRCD(target=target).fit(X)
        assert not scatter.support_[:4].any()
        assert np.isfinite(scatter.d2_).all()
        assert not scatter.weights_[:4].any()


@pytest.mark.parametrize("target", ["identity", "equicorrelation"])
@pytest.mark.parametrize("p", [3, 50])
def test_all_rows(p, target):
    """h = n is the regularised classical estimate: consistency 1, mean of all rows."""
    X = data(20, p, outliers=0.0)
    scatter = MRCD(support_fraction=1.0, rho=0.3, target=target).fit(X)
    assert scatter.support_.all()
    assert scatter.consistency_ == 1.0
    np.testing.assert_allclose(scatter.location_, X.mean(axis=0), rtol=1e-12)
    T = twin.target(p, scatter.target_)
    expected = 0.3 * T * np.outer(scatter.scale_, scatter.scale_) + 0.7 * np.cov(X, rowvar=False)
    np.testing.assert_allclose(scatter.covariance_, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", [3, 30])
def test_fitted_attributes(p):
    X = data(24, p)
    scatter = MRCD().fit(X)
    assert scatter.n_support_ == scatter.support_.sum() == 18
    np.testing.assert_array_equal(scatter.support_, scatter.raw_support_)
    np.testing.assert_array_equal(scatter.dist_, scatter.d2_)
    np.testing.assert_allclose(scatter.mahalanobis(X), scatter.d2_, rtol=1e-10)
    np.testing.assert_array_equal(scatter.weights_, scatter.d2_ < stats.chi2.ppf(0.975, p))
    assert scatter.objective_ == pytest.approx(np.linalg.slogdet(scatter.covariance_)[1], abs=1e-8)
    assert scatter.n_samples_ - scatter.ddof_ == 17
    assert scatter.rank_ == p
    np.testing.assert_allclose(scatter.scale_, [twin.qn(column) for column in X.T], rtol=1e-12)
    np.testing.assert_allclose(scatter.covariance_ @ scatter.precision_, np.eye(p), atol=1e-8)
    assert not hasattr(MRCD(), "dist_")


def test_the_determinant_does_not_underflow():
    X = np.random.default_rng(0).normal(size=(20, 3000)) * 1e-6
    scatter = MRCD().fit(X)
    assert np.isfinite(scatter.objective_)
    assert scatter.objective_ < -3e4  # its exponential is zero in floating point


def test_wide_data_stay_small():
    """No p x p array, and less than two further copies of the data."""
    X = np.random.default_rng(0).normal(size=(60, 6000))
    MRCD().fit(X[:, :50])
    for target in ("identity", "equicorrelation"):
        tracemalloc.start()
        MRCD(target=target).fit(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * X.nbytes + 8 * 2**21  # the blocks of columns have a fixed size


def test_long_data_stay_small():
    """No n x n array: 20000 rows would need three gigabytes."""
    X = np.random.default_rng(0).normal(size=(20_000, 3))
    MRCD().fit(X[:6000])  # the compiler needs memory too
    tracemalloc.start()
    scatter = MRCD().fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * X.nbytes
    np.testing.assert_allclose(scatter.covariance_, np.eye(3), atol=0.1)


# ---------------------------------------------------------------- degenerate data


@pytest.mark.parametrize("p", [4, 40])
def test_constant_columns(p):
    X = data(24, p)
    X[:, 1], X[:, 2] = 5.0, 0.0
    with pytest.warns(RankDeficientWarning, match=r"MRCD: constant columns: 1, 2\..* Drop them"):
        scatter = MRCD(target="equicorrelation").fit(X)
    assert scatter.rank_ == p
    assert scatter.scale_[1] == 5.0
    assert scatter.scale_[2] == np.median(np.delete(scatter.scale_, [1, 2]))
    np.testing.assert_array_equal(scatter.location_[1:3], [5.0, 0.0])
    with pytest.warns(RankDeficientWarning):
        again = MRCD(target="equicorrelation").fit(X * 1e-6)
    np.testing.assert_allclose(again.d2_, scatter.d2_, rtol=1e-9)


def test_nothing_varies():
    with pytest.warns(RankDeficientWarning):
        scatter = MRCD().fit(np.full((6, 3), 2.0))
    np.testing.assert_array_equal(scatter.d2_, np.zeros(6))
    np.testing.assert_array_equal(scatter.location_, np.full(3, 2.0))


@pytest.mark.parametrize("target", ["identity", "equicorrelation"])
@pytest.mark.parametrize("p", [3, 30])
def test_duplicates_ties_and_collinear_columns(p, target):
    rng = np.random.default_rng(2)
    X = rng.integers(0, 3, size=(30, p)).astype(float)
    X[5:25] = X[5]
    X[:, -1] = X[:, 0]
    scatter = MRCD(target=target).fit(X)
    assert np.isfinite(scatter.d2_).all()
    assert (scatter.d2_ >= 0).all()
    assert np.linalg.eigvalsh(scatter.covariance_)[0] > 0


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("p", [1, 2, 9])
def test_few_rows(n, p):
    X = np.random.default_rng(n).normal(size=(n, p))
    for target in ("identity", "equicorrelation"):
        scatter = MRCD(target=target, support_fraction=0.5).fit(X)
        assert scatter.n_support_ == max(2, -(-n // 2))
        assert np.isfinite(scatter.d2_).all()


def test_subset_size_is_the_next_whole_number():
    X = data(30, 2)
    for share, h in [(0.5, 15), (0.51, 16), (0.7, 21), (0.9, 27), (1.0, 30)]:
        assert MRCD(support_fraction=share).fit(X).n_support_ == h


# ---------------------------------------------------------------- Gram matrices


def test_gram_of_rows():
    """Distances and location refer to rows of the matrix; its unit changes nothing but log det."""
    n, p = 30, 50
    X = np.random.default_rng(0).normal(size=(n, p))
    X[:5] += 4.0
    Y = X - X.mean(axis=0)
    G = Y @ Y.T
    scatter = MRCD(gram=True, rho=0.3).fit(G)
    assert not scatter.support_[:5].any()
    assert scatter.rank_ == n - 1
    assert scatter.scale_ is None
    rows = np.flatnonzero(scatter.support_)
    np.testing.assert_allclose(scatter.mahalanobis(G), scatter.d2_, rtol=1e-8)
    np.testing.assert_allclose(scatter.location_, G[rows].mean(axis=0), atol=1e-10)
    again = MRCD(gram=True, rho=0.3).fit(G * 1e-8)
    np.testing.assert_array_equal(again.support_, scatter.support_)
    np.testing.assert_allclose(again.d2_, scatter.d2_, rtol=1e-9)
    assert scatter.objective_ - again.objective_ == pytest.approx((n - 1) * np.log(1e8), rel=1e-9)


def test_gram_distances_are_those_of_coordinates():
    n, p = 25, 8
    Y = np.random.default_rng(1).normal(size=(n, p))
    Y -= Y.mean(axis=0)
    scatter = MRCD(gram=True, rho=0.2, support_fraction=0.8).fit(Y @ Y.T)
    assert scatter.rank_ == p
    rows = np.flatnonzero(scatter.support_)
    factor = consistency_factor(p, rows.size / n)
    # the unit of the identity: the median squared distance from the spatial median over the rank
    unit = np.median(((Y - spatial_median(Y)) ** 2).sum(axis=1)) / p
    mean, K = twin.regularised(Y, rows, 0.2, factor, unit * np.eye(p), 1)
    gap = Y - mean
    expected = np.einsum("ij,ji->i", gap, np.linalg.solve(K, gap.T))
    np.testing.assert_allclose(scatter.d2_, expected, rtol=1e-5)
    assert scatter.objective_ == pytest.approx(np.linalg.slogdet(K)[1], abs=1e-4)


def test_gram_of_a_kernel_takes_new_rows():
    """A kernel with a fast decaying spectrum: the rank is cut, new points come as their centred kernel rows."""
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(60, 2)), rng.normal(size=(9, 2))
    X[:6] += 3.0
    centerer = KernelCenterer()
    G = centerer.fit_transform(rbf_kernel(X, gamma=0.2))
    scatter = MRCD(gram=True).fit(G)
    assert 5 < scatter.rank_ < 60
    np.testing.assert_allclose(scatter.mahalanobis(G), scatter.d2_, rtol=1e-5)
    far = np.concatenate([X[:6], new])
    rows = centerer.transform(rbf_kernel(far, X, gamma=0.2))
    d2 = scatter.mahalanobis(rows)
    np.testing.assert_allclose(d2[:6], scatter.d2_[:6], rtol=1e-5)
    assert d2[:6].min() > np.median(d2[6:])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((4, 3)), "square"),
        (np.eye(5), "centred"),
        (-(np.eye(5) - 0.2), "positive"),
        (np.zeros((4, 4)), "coincide"),
    ],
)
def test_bad_gram(X, message):
    with pytest.raises(ValueError, match=message):
        MRCD(gram=True).fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"support_fraction": 0.4}, "support_fraction"),
        ({"support_fraction": 1.01}, "support_fraction"),
        ({"rho": 0.0}, "rho"),
        ({"rho": 1.5}, "rho"),
        ({"rho": "best"}, "rho"),
        ({"rho": float("nan")}, "rho"),
        ({"max_condition": 1.0}, "max_condition"),
        ({"target": "diagonal"}, "target"),
        ({"gram": 1}, "gram"),
        ({"gram": True, "target": "equicorrelation"}, "identity"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        MRCD(**parameters).fit(np.eye(4))


# ---------------------------------------------------------------- data of the literature


@pytest.mark.skipif(not REFERENCE.exists(), reason="the spectra are not on this machine")
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_octane(share):
    """Six of the 39 gasoline spectra, over 226 wavelengths, hold added alcohol: 25, 26 and 36 to 39."""
    X = np.load(REFERENCE)["X"]
    assert X.shape == (39, 226)
    scatter = MRCD(support_fraction=share).fit(X)
    assert (np.flatnonzero(~scatter.weights_) + 1).tolist() == [25, 26, 36, 37, 38, 39]
