"""Conformal laws: closed forms against refits, one at a time, then their promise by Monte Carlo."""

import json
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import reference_conformal as ref
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import covariance as sk
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

import fmahal
from fmahal._registry import nulls
from fmahal.exceptions import CalibrationWarning, RankDeficientError, RankDeficientWarning
from fmahal.nulls import _jackknife
from fmahal.nulls._full_conformal import FullConformal, supports_full
from fmahal.nulls._jackknife import leave_one_out
from fmahal.nulls.base import check_distances
from fmahal.nulls.conformal import ConformalNull
from fmahal.nulls.empirical import EmpiricalNull
from fmahal.nulls.resampling import BootstrapNull

KINDS = ("split", "jackknife", "cv", "full")
EMPIRICAL = [
    cls(assume_centered=known)
    for known in (False, True)
    for cls in (fmahal.EmpiricalCovariance, sk.EmpiricalCovariance)
]
ADAPTIVE = [
    cls(assume_centered=known)
    for known in (False, True)
    for cls in (fmahal.LedoitWolf, fmahal.OAS, sk.LedoitWolf, sk.OAS)
] + [fmahal.OAS(formula="paper")]
SHRUNK = [
    fmahal.ShrunkCovariance(ridge=0.1),
    fmahal.ShrunkCovariance(ridge=1e-3, assume_centered=True),
    fmahal.ShrunkCovariance(shrinkage=0.3),
    fmahal.ShrunkCovariance(shrinkage=1.0),
    sk.ShrunkCovariance(),
    sk.ShrunkCovariance(shrinkage=0.5, assume_centered=True),
]
UNITS = [(1.0, 0.0), (1e-8, 0.0), (1e8, 0.0), (1.0, 100.0)]
SHAPES = [(25, 5), (12, 1), (7, 5), (8, 20), (16, 40), (12, 12)]
CASES = [(n, p, 1.0, 0.0) for n, p in SHAPES]
CASES += [(n, p, scale, offset) for n, p in ((12, 3), (8, 20)) for scale, offset in UNITS[1:]]
LONG = [case for case in CASES if case[0] > case[1]]


def draw(seed, n, p, *, scale=1.0, offset=0.0, df=5):
    """Correlated rows with heavy tails."""
    rng = np.random.default_rng(seed)
    return (rng.standard_t(df, (n, p)) @ (np.eye(p) + rng.normal(size=(p, p)) / p) + offset) * scale


def fitted(null, estimator, X):
    estimator = ref.fit(estimator, X)
    return null.fit(estimator, X, np.asarray(estimator.mahalanobis(X), float)), estimator


def closed(estimator, X):
    estimator = ref.fit(estimator, X)
    d2 = estimator[-1].mahalanobis(estimator[:-1].transform(X)) if hasattr(estimator, "steps") else None
    return leave_one_out(estimator, X, np.asarray(estimator.mahalanobis(X) if d2 is None else d2, float))


def assert_distances(got, want, rtol=1e-9):
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    np.testing.assert_allclose(got[finite], want[finite], rtol=rtol, atol=rtol * np.mean(want[finite]))


# -------------------------------------------------------------------- leave one out


@pytest.mark.parametrize(("n", "p", "scale", "offset"), CASES)
@pytest.mark.parametrize("estimator", ADAPTIVE + SHRUNK, ids=repr)
def test_leave_one_out_of_regularised_scatters_equals_refits(estimator, n, p, scale, offset):
    X = draw(n + p, n, p, scale=scale, offset=offset)
    assert_distances(closed(estimator, X), ref.leave_one_out(estimator, X))


@pytest.mark.parametrize(("n", "p", "scale", "offset"), [*LONG, (60, 20, 1.0, 0.0)])
@pytest.mark.parametrize("estimator", [*EMPIRICAL, fmahal.ShrunkCovariance(shrinkage=0.0)], ids=repr)
def test_leave_one_out_of_the_sample_covariance_equals_refits(estimator, n, p, scale, offset):
    # n = p + 2 is among them: the fit without a row has p + 1 rows, and its distances are finite.
    X = draw(n + p, n, p, scale=scale, offset=offset)
    assert_distances(closed(estimator, X), ref.leave_one_out(estimator, X), 1e-8)


@given(st.integers(0, 10_000), st.integers(4, 14), st.integers(1, 20), st.sampled_from(ADAPTIVE + SHRUNK))
def test_leave_one_out_equals_refits_for_any_shape(seed, n, p, estimator):
    X = draw(seed, n, p)
    assert_distances(closed(estimator, X), ref.leave_one_out(estimator, X))


@pytest.mark.parametrize("alpha", ["0", "0.01", "0.5"])
def test_leave_one_out_golden(fixtures_dir, monkeypatch, alpha):
    want = np.array(json.loads((fixtures_dir / "leave_one_out.json").read_text())["alpha"][alpha])
    X = np.random.default_rng(101).standard_normal((20, 5))
    if alpha == "0":
        np.testing.assert_allclose(closed(fmahal.EmpiricalCovariance(), X), want, rtol=1e-11)
    # A ridge that does not depend on the data, which no class has.
    ridge = np.full(20, float(alpha))
    monkeypatch.setattr(_jackknife, "shrinkage_weights", lambda *sums: (np.ones(20), ridge))
    np.testing.assert_allclose(closed(fmahal.ShrunkCovariance(ridge=1.0), X), want, rtol=1e-11)


@pytest.mark.parametrize("estimator", EMPIRICAL[:2], ids=repr)
def test_row_that_carries_a_direction_alone_is_infinitely_far(estimator):
    X = np.column_stack([draw(1, 20, 3), np.zeros(20)])
    X[4, 3] = 1e-3
    got = closed(estimator, X)
    assert np.flatnonzero(np.isinf(got)).tolist() == [4]
    others = np.delete(np.arange(20), 4)
    with np.errstate(all="ignore"):
        want = ref.leave_one_out(fmahal.EmpiricalCovariance(), X)
    assert_distances(got[others], want[others], 1e-8)


def test_more_rows_alone_in_their_directions_than_are_refitted():
    lone = np.zeros((60, 12))
    lone[np.arange(12), np.arange(12)] = 1.0
    X = np.column_stack([draw(1, 60, 3), lone])
    got = closed(fmahal.EmpiricalCovariance(), X)
    assert np.flatnonzero(np.isinf(got)).tolist() == list(range(12))
    assert_distances(got, ref.leave_one_out(fmahal.EmpiricalCovariance(), X), 1e-9)


@pytest.mark.parametrize("estimator", EMPIRICAL, ids=repr)
def test_gross_outlier_has_the_distance_that_a_fit_without_it_gives(estimator):
    X = draw(1, 40, 4)
    X[3] *= 1e5
    got, want = closed(estimator, X), ref.leave_one_out(estimator, X)
    np.testing.assert_allclose(got[3], want[3], rtol=1e-10)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_with_no_row_to_spare_every_row_is_infinitely_far():
    assert np.isinf(closed(fmahal.EmpiricalCovariance(), draw(2, 6, 9))).all()
    assert np.isinf(closed(fmahal.EmpiricalCovariance(), draw(2, 6, 5))).all()


@pytest.mark.parametrize("estimator", [*ADAPTIVE[:4], *SHRUNK[:3]], ids=repr)
@pytest.mark.parametrize(("n", "p"), [(20, 3), (10, 30)])
def test_row_that_outweighs_all_others(estimator, n, p):
    X = draw(3, n, p)
    X[2] *= 1e6
    assert_distances(closed(estimator, X)[2:3], ref.leave_one_out(estimator, X)[2:3], 1e-8)


GROSS = [cls(assume_centered=True) for cls in (fmahal.ShrunkCovariance, fmahal.LedoitWolf, sk.OAS)]


@pytest.mark.parametrize("estimator", GROSS, ids=repr)
@pytest.mark.parametrize(("n", "p", "size"), [(99, 3, 1e9), (12, 30, 1e8), (20, 4, 1e12)])
def test_ordinary_rows_beside_a_gross_row_keep_their_distances(estimator, n, p, size):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(n, p)), rng.normal(size=(500, p))
    X[0] *= size
    got = closed(estimator, X)
    np.testing.assert_allclose(got[1:], ref.leave_one_out(estimator, X)[1:], rtol=1e-8)
    if isinstance(estimator, fmahal.ShrunkCovariance) and n == 99:
        assert (FullConformal(ref.fit(estimator, X), X).pvalues(Y) <= 0.05).mean() < 0.15


def test_two_gross_rows_of_different_size():
    X = np.random.default_rng(1).normal(size=(30, 8))
    X[0] *= 1e14
    X[1] *= 1e7
    estimator = fmahal.ShrunkCovariance(assume_centered=True)
    np.testing.assert_allclose(closed(estimator, X)[1:], ref.leave_one_out(estimator, X)[1:], rtol=1e-6)


@pytest.mark.parametrize("estimator", ADAPTIVE[:2] + SHRUNK[:1], ids=repr)
@pytest.mark.parametrize("unit", [1e153, 1e-150])
def test_sums_of_squares_do_not_overflow(estimator, unit):
    X, Y = draw(37, 60, 4), draw(38, 10, 4)
    X /= X.std(axis=0)  # the squares of one column can be summed, those of all cannot
    np.testing.assert_allclose(closed(estimator, X * unit), closed(estimator, X), rtol=1e-9)
    if supports_full(estimator):
        pvalues = [FullConformal(ref.fit(estimator, X * u), X * u).pvalues(Y * u) for u in (1.0, unit)]
        np.testing.assert_allclose(pvalues[1], pvalues[0], rtol=1e-12)


@pytest.mark.parametrize("estimator", [fmahal.EmpiricalCovariance(), fmahal.LedoitWolf()], ids=repr)
def test_float32_rows_lose_nothing_but_their_own_digits(estimator):
    X = draw(4, 30, 4).astype(np.float32)
    assert_distances(closed(estimator, X), ref.leave_one_out(estimator, X.astype(float)), 1e-9)


def test_duplicate_columns_change_no_leave_one_out_distance():
    X = draw(5, 20, 3)
    assert_distances(
        closed(fmahal.EmpiricalCovariance(), np.column_stack([X, X[:, 0]])),
        closed(fmahal.EmpiricalCovariance(), X),
        1e-8,
    )


@pytest.mark.parametrize("estimator", [*EMPIRICAL[::2], fmahal.ShrunkCovariance(ridge=0.0)], ids=repr)
def test_units_of_single_columns_do_not_matter_where_nothing_regularises(estimator):
    X = draw(5, 20, 3)
    units = np.array([1e-8, 1.0, 1e8])
    assert_distances(closed(estimator, X * units), closed(estimator, X), 1e-8)
    pvalues = [
        FullConformal(ref.fit(estimator, Z), Z).pvalues(Y)
        for Z, Y in ((X, 2 * X), (X * units, 2 * X * units))
    ]
    np.testing.assert_allclose(pvalues[1], pvalues[0], rtol=1e-12)


def test_no_matrix_of_columns_is_formed_for_many_columns():
    X = draw(5, 12, 2) @ np.random.default_rng(0).normal(size=(2, 20_000))
    X += np.random.default_rng(1).normal(size=X.shape)
    models = [ref.fit(estimator, X) for estimator in (fmahal.LedoitWolf(), fmahal.ShrunkCovariance())]
    tracemalloc.start()
    for model in models:
        assert np.isfinite(leave_one_out(model, X, model.mahalanobis(X))).all()
    FullConformal(models[1], X).pvalues(X + 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * X.nbytes


def test_equal_rows():
    X = np.ones((8, 3))
    X[0] = 2.0
    got = closed(fmahal.LedoitWolf(), X)
    assert np.isinf(got[0])
    assert np.isfinite(got[1:]).all()


def test_steps_before_the_scatter():
    X = draw(6, 25, 4)
    plain = closed(fmahal.EmpiricalCovariance(), X)
    assert_distances(closed(make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance()), X), plain, 1e-8)
    cube = FunctionTransformer(np.cbrt)
    assert_distances(
        closed(make_pipeline(cube, fmahal.LedoitWolf()), X), closed(fmahal.LedoitWolf(), np.cbrt(X))
    )


def test_known_covariance_leaves_one_out():
    X = draw(7, 15, 3)
    for scatter in (
        fmahal.FixedScatter("mean", covariance=np.diag([1.0, 2.0, 3.0])),
        fmahal.FixedScatter(np.zeros(3), covariance=np.eye(3)),
    ):
        assert_distances(closed(scatter, X), ref.leave_one_out(scatter, X), 1e-12)


class Tilted(fmahal.EmpiricalCovariance):
    """A subclass may fit as it likes."""


@pytest.mark.parametrize(
    "estimator",
    [
        fmahal.QIS(),
        Tilted(),
        make_pipeline(PCA(2), fmahal.EmpiricalCovariance()),
        make_pipeline(StandardScaler(), fmahal.LedoitWolf()),
        make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance(assume_centered=True)),
    ],
    ids=repr,
)
def test_no_closed_form_is_claimed_where_there_is_none(estimator):
    assert closed(estimator, draw(8, 20, 4)) is None


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_sample_covariance_gives_the_same_in_any_coordinates(seed, p):
    rng = np.random.default_rng(seed)
    X, Y = draw(seed, 20, p), draw(seed + 1, 4, p)
    map_ = np.linalg.qr(rng.normal(size=(p, p)))[0] * 10.0 ** rng.uniform(-3, 3, p)
    shift = rng.normal(size=p)
    plain, mapped = (closed(fmahal.EmpiricalCovariance(), Z) for Z in (X, X @ map_ + shift))
    assert_distances(mapped, plain, 1e-6)
    d2 = ref.fit(fmahal.EmpiricalCovariance(), X).mahalanobis(X)
    np.testing.assert_array_equal(np.argsort(plain), np.argsort(d2))  # an increasing function of the distance
    full = [
        FullConformal(ref.fit(fmahal.EmpiricalCovariance(), Z), Z).pvalues(W)
        for Z, W in ((X, Y), (X @ map_ + shift, Y @ map_ + shift))
    ]
    np.testing.assert_allclose(full[1], full[0], rtol=1e-12)


# -------------------------------------------------------------------- full


def new_rows(seed, X, m=15):
    rng = np.random.default_rng(seed)
    centre = X.mean(axis=0)
    rows = rng.normal(size=(m, len(X))) @ (X - centre) / np.sqrt(len(X))
    rows += 0.2 * rng.normal(size=rows.shape) * X.std(axis=0)
    return np.vstack([centre + rows * rng.choice([0.3, 1.0, 2.0, 20.0], m)[:, None], X[:3]])


PLAIN = [*EMPIRICAL, fmahal.ShrunkCovariance(shrinkage=0.0)]


def check_full(estimator, n, p, scale, offset):
    X = draw(n * p, n, p, scale=scale, offset=offset)
    Y = new_rows(n + p, X)
    got = FullConformal(ref.fit(estimator, X), X).pvalues(Y)
    np.testing.assert_allclose(got, ref.full_conformal(estimator, X, Y), rtol=1e-12)


@pytest.mark.parametrize(("n", "p", "scale", "offset"), [*LONG, (7, 6, 1.0, 0.0)])
@pytest.mark.parametrize("estimator", PLAIN, ids=repr)
def test_full_conformal_of_the_sample_covariance_equals_refits(estimator, n, p, scale, offset):
    check_full(estimator, n, p, scale, offset)


@pytest.mark.parametrize(("n", "p", "scale", "offset"), CASES)
@pytest.mark.parametrize("estimator", SHRUNK, ids=repr)
def test_full_conformal_of_shrunk_scatters_equals_refits(estimator, n, p, scale, offset):
    check_full(estimator, n, p, scale, offset)


@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(1, 15), st.sampled_from(SHRUNK))
def test_full_conformal_equals_refits_for_any_shape(seed, n, p, estimator):
    X = draw(seed, n, p)
    Y = new_rows(seed, X, 5)
    got = FullConformal(ref.fit(estimator, X), X).pvalues(Y)
    np.testing.assert_allclose(got, ref.full_conformal(estimator, X, Y), rtol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 1e5])
@pytest.mark.parametrize(("n", "p"), [(9, 8), (40, 6)])
def test_copy_of_a_training_row_ties_with_it(n, p, spread):
    X = draw(9, n, p) * np.geomspace(1.0, spread, p) + 50.0
    mixed = X @ np.linalg.qr(np.random.default_rng(0).normal(size=(p, p)))[0]
    for rows in (X, mixed):
        pvalues = FullConformal(ref.fit(fmahal.EmpiricalCovariance(), rows), rows).pvalues(rows)
        assert pvalues.min() >= 2 / (n + 1) * (1 - 1e-12)


def test_row_off_the_span_is_as_far_as_can_be():
    X = np.column_stack([draw(10, 20, 3), np.zeros(20)])
    X[:, 3] = X[:, 0]
    y = X.mean(axis=0)[None] + np.array([0.0, 0.0, 0.0, 1e-3])
    full = FullConformal(ref.fit(fmahal.EmpiricalCovariance(), X), X)
    assert full.pvalues(y)[0] == pytest.approx(1 / 21)
    assert full.pvalues(X.mean(axis=0)[None])[0] == 1.0
    assert full.pvalues(X.mean(axis=0) + 1e200 * y)[0] == pytest.approx(1 / 21)


@pytest.mark.parametrize("estimator", EMPIRICAL[:2], ids=repr)
def test_full_takes_the_rule_of_the_scatter_for_float32_rows_far_from_the_origin(estimator):
    rows = np.random.default_rng(0).normal(size=(399, 3))
    rows = np.column_stack([rows, rows[:, 0] + rows[:, 1]]) + 1000.0 * np.array([1, 1, 1, 2])
    X, Y = np.split(rows.astype(np.float32), [99])
    full = FullConformal(ref.fit(estimator, X), X)
    assert (full.pvalues(X) <= 0.05).mean() < 0.1
    assert (full.pvalues(Y) <= 0.05).mean() < 0.15


@pytest.mark.parametrize("estimator", PLAIN, ids=repr)
def test_row_at_the_centre_is_the_most_central_in_deficient_rank_too(estimator):
    X = draw(0, 99, 3)
    X -= X.mean(axis=0)
    X = np.column_stack([X, X[:, 0] + X[:, 1]])
    near = X.mean(axis=0) + np.outer(10.0 ** -np.arange(8, 18), [1.0, 1.0, 1.0, 2.0])
    full = FullConformal(ref.fit(estimator, X), X)
    np.testing.assert_array_equal(full.pvalues(np.vstack([X.mean(axis=0), near])), 1.0)


@pytest.mark.parametrize("estimator", PLAIN, ids=repr)
@pytest.mark.parametrize("size", [1e7, 1e8, 3e8, 1e10])
def test_rows_where_the_training_rows_are_stay_inside_beside_a_gross_row(estimator, size):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(99, 3)), rng.normal(size=(500, 3))
    X[0] *= size
    assert (FullConformal(ref.fit(estimator, X), X).pvalues(Y) <= 0.05).mean() < 0.15


@pytest.mark.parametrize("estimator", [fmahal.ShrunkCovariance(), fmahal.EmpiricalCovariance()], ids=repr)
def test_row_whose_square_overflows_is_the_farthest(estimator):
    X = np.random.default_rng(0).normal(size=(50, 3))
    Y = np.zeros((7, 3))
    Y[:, 1] = [1e10, 1e100, 1e150, 10**154.3, 1e160, 1e200, 1e308]
    for unit in (1.0, 1e-9):
        pvalues = FullConformal(ref.fit(estimator, X * unit), X * unit).pvalues(Y)
        np.testing.assert_allclose(pvalues, 1 / 51, rtol=1e-12)


def test_blocks_of_new_rows_change_nothing(monkeypatch):
    X = draw(11, 30, 4)
    full = FullConformal(ref.fit(fmahal.ShrunkCovariance(), X), X)
    Y = new_rows(0, X, 40)
    whole = full.pvalues(Y)
    monkeypatch.setattr("fmahal.nulls._full_conformal._BLOCK_CELLS", 100)
    np.testing.assert_array_equal(full.pvalues(Y), whole)


def test_full_takes_the_estimators_with_a_closed_form():
    yes = (
        *PLAIN,
        *SHRUNK,
        make_pipeline(StandardScaler(), fmahal.EmpiricalCovariance()),
        make_pipeline(FunctionTransformer(np.cbrt), fmahal.ShrunkCovariance()),
    )
    no = (
        fmahal.LedoitWolf(),
        fmahal.QIS(),
        Tilted(),
        make_pipeline(PCA(2), fmahal.EmpiricalCovariance()),
        make_pipeline(StandardScaler(), fmahal.ShrunkCovariance()),
    )
    assert all(supports_full(estimator) for estimator in yes)
    assert not any(supports_full(estimator) for estimator in no)


@pytest.mark.parametrize("estimator", [sk.LedoitWolf(), make_pipeline(PCA(2), fmahal.EmpiricalCovariance())])
def test_full_names_the_kinds_that_work_instead(estimator):
    X = draw(12, 30, 3)
    with pytest.raises(ValueError, match="'split', which is exact too, 'jackknife' or 'cv'"):
        ConformalNull("full").fit(ref.fit(estimator, X), X, np.zeros(30))


# -------------------------------------------------------------------- the promise

LEVELS = np.array([0.05, 0.13, 0.5, 0.9])


def in_band(hits, reps, rate):
    law = stats.binom(reps, rate)
    return np.minimum(law.cdf(hits), law.sf(hits - 1)) > 1e-4


@pytest.mark.parametrize("kind", ["split", "full"])
@pytest.mark.parametrize("estimator", [fmahal.EmpiricalCovariance(), fmahal.ShrunkCovariance(ridge=0.2)])
def test_pvalues_of_clean_new_rows_are_exact(kind, estimator):
    # P(p <= a) = floor(a (m + 1)) / (m + 1) for rows that no normal law describes.
    reps, n, m = 600 if kind == "full" else 400, 24, 24 if kind == "full" else 12
    rng = np.random.default_rng(5)
    pvalues = np.empty(reps)
    for r in range(reps):
        X = np.exp(rng.normal(size=(n + 1, 3)))
        null, _ = fitted(ConformalNull(kind, random_state=r), estimator, X[:n])
        d2 = None if kind == "full" else null.scorer_.mahalanobis(X[n:])
        pvalues[r] = null.pvalues(X[n:])[0] if kind == "full" else null.new_dist_.sf(d2)[0]
    rates = np.floor(LEVELS * (m + 1) * (1 + 1e-12)) / (m + 1)
    hits = (pvalues[:, None] <= LEVELS * (1 + 1e-12)).sum(axis=0)
    assert in_band(hits, reps, rates).all(), (hits / reps, rates)


# -------------------------------------------------------------------- the null


def test_split():
    X = draw(13, 41, 3)
    null, _ = fitted(ConformalNull(random_state=3), fmahal.LedoitWolf(), X)
    proper = np.setdiff1d(np.arange(41), null.calibration_rows_)
    assert len(null.calibration_rows_) == 20
    want = ref.fit(fmahal.LedoitWolf(), X[proper])
    np.testing.assert_array_equal(null.scorer_.location_, want.location_)
    calibration = ref.distances(want, X[null.calibration_rows_])
    new = draw(14, 10, 3)
    d2 = null.scorer_.mahalanobis(new)
    np.testing.assert_allclose(null.new_dist_.sf(d2), ref.conformal_pvalue(calibration, d2), rtol=1e-14)
    assert null.n_references_ == (41, 20)
    assert null.engine_ == "closed form"


@pytest.mark.parametrize("kind", ["jackknife", "full", "split"])
def test_training_rows_are_ranked_among_their_leave_one_out_distances(kind):
    X = draw(15, 30, 3)
    null, _ = fitted(ConformalNull(kind, random_state=0), fmahal.OAS() if kind != "full" else SHRUNK[0], X)
    want = ref.leave_one_out(fmahal.OAS() if kind != "full" else SHRUNK[0], X)
    assert_distances(null.train_d2_, want)
    ranks = (want[None] >= want[:, None] * (1 - 1e-9)).sum(axis=1) / 30
    np.testing.assert_allclose(null.train_dist_.sf(null.train_d2_), ranks, rtol=1e-12)
    assert (null.train_dist_.sf(null.train_d2_) <= 0.2).sum() == 6  # of 30, whatever they are
    if kind != "split":
        d2 = np.array([0.1, 3.0, 1e9])
        np.testing.assert_allclose(null.new_dist_.sf(d2), ref.conformal_pvalue(want, d2), rtol=1e-14)


@pytest.mark.parametrize(
    "estimator", [fmahal.QIS(), fmahal.EmpiricalCovariance(), make_pipeline(PCA(2), fmahal.OAS())], ids=repr
)
def test_folds(estimator):
    X = draw(16, 33, 4)
    model = ref.fit(estimator, X)
    null = ConformalNull("cv", cv=4, random_state=7).fit(model, X, np.ones(33))
    want = np.empty(33)
    for fold in np.array_split(fmahal._random.as_generator(7).permutation(33), 4):
        rest = ref.fit(estimator, np.delete(X, fold, axis=0))
        Z = rest[:-1].transform(X[fold]) if hasattr(rest, "steps") else X[fold]
        want[fold] = (rest[-1] if hasattr(rest, "steps") else rest).mahalanobis(Z)
    np.testing.assert_allclose(null.train_d2_, want, rtol=1e-10)
    assert null.engine_ == "folds"
    assert not hasattr(null, "scorer_")


def test_jackknife_without_a_closed_form_takes_folds():
    X = draw(17, 30, 3)
    null, _ = fitted(ConformalNull("jackknife", cv=30, random_state=0), fmahal.QIS(), X)
    assert null.engine_ == "folds"
    assert_distances(null.train_d2_, ref.leave_one_out(fmahal.QIS(), X), 1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_pvalues_exist_for_full_alone(kind):
    null = ConformalNull(kind)
    assert hasattr(null, "pvalues") == (kind == "full")
    assert clone(null).kind == kind


def test_streams():
    X = draw(18, 40, 2)

    def rows(random_state):
        return fitted(ConformalNull(random_state=random_state), fmahal.OAS(), X)[0].calibration_rows_

    np.testing.assert_array_equal(rows(1), rows(1))
    assert not np.array_equal(rows(1), rows(2))
    for make in (np.random.RandomState, np.random.default_rng):
        stream = make(5)
        first, second = rows(stream), rows(stream)
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(rows(make(5)), first)
    with threadpool_limits(2):
        np.testing.assert_array_equal(
            rows(1), fitted(ConformalNull(random_state=1), fmahal.QIS(), X)[0].calibration_rows_
        )


@pytest.mark.parametrize("kind", ["split", "cv"])
def test_calibration_row_off_the_subspace_of_its_fit_counts_as_infinite(kind):
    X = np.column_stack([draw(19, 40, 2), np.zeros(40)])
    null = ConformalNull(kind, random_state=0)
    with pytest.warns(RankDeficientWarning):
        plain = fmahal.EmpiricalCovariance().fit(X)
    lone = null.fit(plain, X, plain.mahalanobis(X)).calibration_rows_[0] if kind == "split" else 11
    X[lone, 2] = 1.0
    model = fmahal.EmpiricalCovariance().fit(X)
    with pytest.warns(RankDeficientWarning, match="fewer directions than the training rows, 2 instead of 3"):
        null.fit(model, X, model.mahalanobis(X))
    assert null.ranked_
    assert np.isinf(null.train_d2_[lone])
    assert np.isinf(null.train_d2_).sum() == 1
    assert np.isinf(null.new_dist_.isf(1.0 / (null.new_dist_.size + 1)))


def test_new_rows_off_the_subspace_have_exact_ranks():
    # Two measurements and rare indicators: half of the rows span fewer directions than new rows need.
    reps, rejected = 150, np.zeros(2)
    for r in range(reps):
        rng = np.random.default_rng(r)
        X = np.column_stack([rng.normal(size=(150, 2)), rng.random((150, 10)) < 0.02])
        detector = fmahal.MahalanobisDetector(fmahal.EmpiricalCovariance(), ConformalNull(random_state=r))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fmahal.exceptions.FmahalWarning)
            pvalues = detector.fit(X[:100]).pvalues(X[100:])
        assert pvalues.min() >= 1 / 51
        rejected += [(pvalues <= 0.05).mean() / reps, (pvalues <= 0.2).mean() / reps]
    # P(p <= a) <= floor(51 a) / 51; the rows of a data set have their calibration in common: a beta law, or tighter
    bound = np.floor(np.array([0.05, 0.2]) * 51) / 51
    assert (rejected <= bound + 4.0 * np.sqrt(bound * (1 - bound) * (1 / 52 + 1 / 50) / reps)).all(), rejected


@pytest.mark.parametrize("estimator", [fmahal.EmpiricalCovariance(), sk.EmpiricalCovariance()], ids=repr)
@pytest.mark.parametrize("kind", ["split", "cv"])
def test_lost_rank_is_told_for_any_scatter(kind, estimator):
    lone = fmahal._random.as_generator(0).permutation(40)[0]  # of those that calibrate
    X = np.column_stack([draw(34, 40, 2), np.arange(40) == lone])
    null = ConformalNull(kind, random_state=0)
    with pytest.warns(RankDeficientWarning, match="2 instead of 3"):
        fitted(null, estimator, X)


def test_a_space_that_chooses_its_dimension_has_lost_none():
    X = draw(34, 40, 6)
    pipeline = ref.fit(make_pipeline(PCA(0.8), fmahal.EmpiricalCovariance()), X)
    scatter = pipeline[-1]
    d2 = scatter.mahalanobis(pipeline[:-1].transform(X))
    null = ConformalNull("cv", cv=5, random_state=0).fit(pipeline, X, d2)  # a warning is an error here
    assert np.isfinite(null.train_d2_).all()
    folds = np.array_split(fmahal._random.as_generator(0).permutation(40), 5)
    ranks = {ref.fit(pipeline, np.delete(X, fold, axis=0))[-1].rank_ for fold in folds}
    assert scatter.rank_ == 4
    assert ranks == {3, 4}


def test_known_singular_covariance_puts_rows_off_its_range_at_infinity():
    X = draw(36, 20, 3)
    X[:15, 2] = 0.0
    with pytest.warns(RankDeficientWarning):
        model = fmahal.FixedScatter(np.zeros(3), covariance=np.diag([1.0, 2.0, 0.0])).fit(X)
    null = ConformalNull("jackknife").fit(model, X, model.mahalanobis(X))
    assert np.flatnonzero(np.isinf(null.train_d2_)).tolist() == [15, 16, 17, 18, 19]


def test_robust_scatter_warns():
    X = draw(20, 60, 2)
    model = fmahal.MinCovDet(random_state=0).fit(X)
    with pytest.warns(CalibrationWarning, match="cannot flag a share of outliers above alpha"):
        null = ConformalNull(cv=3, random_state=0).fit(model, X, model.mahalanobis(X))
    assert null.engine_ == "folds"


@pytest.mark.parametrize("kind", KINDS)
def test_units_change_no_pvalue(kind):
    X, new = draw(21, 50, 3), draw(22, 20, 3)
    results = []
    for unit in (1.0, 1e-8, 1e8):
        null, model = fitted(ConformalNull(kind, random_state=0), fmahal.ShrunkCovariance(), X * unit)
        scorer = getattr(null, "scorer_", model)
        p = null.pvalues(new * unit) if kind == "full" else null.new_dist_.sf(scorer.mahalanobis(new * unit))
        results.append(np.concatenate([p, null.train_dist_.sf(null.train_d2_)]))
    np.testing.assert_allclose(results[1:], [results[0]] * 2, rtol=1e-12)


def test_failed_fit_leaves_the_earlier_one(monkeypatch):
    X = draw(23, 30, 3)
    null, model = fitted(ConformalNull(random_state=0), fmahal.QIS(), X)
    before = dict(vars(null))

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("fmahal.nulls.conformal.fold_distances", interrupt)
    with pytest.raises(KeyboardInterrupt):
        null.fit(model, X * 2, np.ones(30))
    assert vars(null) == before
    monkeypatch.undo()
    null.set_params(kind="jackknife").fit(model, X, np.ones(30))
    assert not hasattr(null, "scorer_")
    assert not hasattr(null, "calibration_rows_")


def test_cutoff_and_its_standard_error():
    X = draw(24, 400, 2)
    null, _ = fitted(ConformalNull("jackknife"), fmahal.EmpiricalCovariance(), X)
    cutoff = null.new_dist_.isf(0.1)
    np.testing.assert_array_equal(null.train_d2_ > cutoff, null.new_dist_.sf(null.train_d2_) <= 0.1)
    assert 36 <= (null.train_d2_ > cutoff).sum() <= 40
    resampled = np.random.default_rng(0).choice(null.train_d2_, (400, 400))
    assert null.cutoff_se(0.1) == pytest.approx(np.quantile(resampled, 0.9, axis=1).std(), rel=0.5)
    assert null.cutoff_se(0.1, "train") > 0
    assert null.cutoff_se(1e-6) == np.inf
    with pytest.raises(ValueError, match="'new' or 'train'"):
        null.cutoff_se(0.1, "old")


def test_level_that_no_rank_reaches():
    X = draw(25, 40, 2)
    null, _ = fitted(ConformalNull("split", random_state=0), fmahal.OAS(), X)
    null.check_level(0.05)  # 20 calibration rows: 1/21
    with pytest.warns(CalibrationWarning, match="At least 99 calibration rows are needed, which takes 198"):
        null.check_level(0.01)
    null, _ = fitted(ConformalNull("jackknife"), fmahal.OAS(), draw(0, 100, 2))
    null.check_level(0.01)
    with pytest.warns(CalibrationWarning, match="At least 1000 training rows"):
        null.check_level(0.001)


def test_lists_and_pickles():
    X = draw(26, 30, 2)
    for kind in ("split", "full"):
        null, _ = fitted(ConformalNull(kind, random_state=0), fmahal.EmpiricalCovariance(), X)
        model = ref.fit(fmahal.EmpiricalCovariance(), X)
        again = ConformalNull(kind, random_state=0).fit(model, X.tolist(), model.mahalanobis(X))
        np.testing.assert_array_equal(again.train_d2_, null.train_d2_)
        copy = pickle.loads(pickle.dumps(null))
        np.testing.assert_array_equal(copy.new_dist_.sf([1.0, 5.0]), null.new_dist_.sf([1.0, 5.0]))


def test_data_frames_keep_their_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(draw(27, 30, 2), columns=["a", "b"])
    model = fmahal.QIS().fit(frame)
    null = ConformalNull(cv=3, random_state=0).fit(model, frame, model.mahalanobis(frame))
    assert null.scorer_.feature_names_in_.tolist() == ["a", "b"]


# -------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kind": "loo"}, "kind must be one of"),
        ({"calibration_fraction": 0.0}, "strictly between 0 and 1"),
        ({"calibration_fraction": 1}, "strictly between 0 and 1"),
        ({"calibration_fraction": "half"}, "strictly between 0 and 1"),
        ({"calibration_fraction": 0.01}, "calibration set is empty.*at least 100 rows"),
        ({"cv": 1}, "cv must be an integer of at least 2"),
        ({"cv": 2.5}, "cv must be an integer"),
        ({"kind": "cv", "cv": 31}, "cv=31 folds need as many rows, got 30"),
        ({"random_state": -1}, "non-negative"),
    ],
)
def test_parameters_out_of_range(params, message):
    X = draw(28, 30, 2)
    with pytest.raises(ValueError, match=message):
        fitted(ConformalNull(**params), fmahal.EmpiricalCovariance(), X)


def test_new_rows_have_the_columns_of_the_training_rows():
    X = draw(39, 30, 3)
    for estimator in (
        fmahal.EmpiricalCovariance(),
        make_pipeline(FunctionTransformer(np.cbrt), fmahal.ShrunkCovariance()),
    ):
        model = ref.fit(estimator, X)
        null = ConformalNull("full").fit(model, X, np.ones(30))
        for width in (1, 2, 4):
            with pytest.raises(
                ValueError, match=f"X has {width} columns, expected the 3 of the training rows"
            ):
                null.pvalues(np.ones((2, width)))
        with pytest.raises(ValueError, match="table of rows and columns"):
            null.pvalues(X[0])


@pytest.mark.parametrize("kind", KINDS)
def test_distances_that_do_not_belong_to_the_rows(kind):
    X = draw(40, 30, 3)
    model = fmahal.EmpiricalCovariance().fit(X)
    d2 = model.mahalanobis(X)
    null = ConformalNull(kind)
    for rows, distances, message in [
        (X[:20], d2, r"one for each of the 20 rows of X; got shape \(30,\)"),
        (X, d2[:, None], r"got shape \(30, 1\)"),
        (X, np.where(np.arange(30) == 4, np.nan, d2), "1 NaN, the first at row 4"),
        (X, None, "d2 is None"),
    ]:
        with pytest.raises(ValueError, match=message):
            null.fit(model, rows, distances)
    with pytest.raises(NotFittedError, match=r"EmpiricalCovariance has not been fitted.*Call its fit first"):
        null.fit(fmahal.EmpiricalCovariance(), X, d2)
    if kind == "full":
        with pytest.raises(ValueError, match="was fitted to 30 rows, got 20"):
            null.fit(model, X[:20], d2[:20])
    assert not hasattr(null, "train_dist_")


@pytest.mark.parametrize("null", [EmpiricalNull(), EmpiricalNull(0.1), BootstrapNull(9)], ids=repr)
def test_other_nulls_check_their_distances_too(null):
    X = draw(41, 30, 3)
    model = fmahal.EmpiricalCovariance().fit(X)
    for distances in (X, np.full(30, np.nan), np.ones(29)):
        with pytest.raises(ValueError, match="d2 "):
            null.fit(model, X, distances)


def test_distances_are_a_vector_without_nan():
    np.testing.assert_array_equal(check_distances([1, np.inf], 2), [1.0, np.inf])
    assert check_distances(np.ones(3)).size == 3
    assert check_distances(None, 5, needed=False).size == 0


@pytest.mark.parametrize("level", [2, 1.0, 0, -1, np.nan, "0.1", True])
def test_levels_out_of_range(level):
    null, _ = fitted(ConformalNull("jackknife"), fmahal.OAS(), draw(42, 30, 2))
    for method in (null.cutoff_se, null.check_level):
        with pytest.raises(ValueError, match="level must be a number strictly between 0 and 1"):
            method(level)


def test_two_rows_are_too_few():
    with pytest.raises(ValueError, match="at least 3"):
        fitted(ConformalNull(), fmahal.LedoitWolf(), np.eye(2))


@pytest.mark.parametrize(
    ("kind", "n", "needed"), [("split", 10, 11), ("cv", 6, 8), ("jackknife", 5, 6), ("full", 5, 6)]
)
def test_too_few_rows_for_the_scatter(kind, n, needed):
    for rows in range(n, needed):
        X = draw(29, rows, 4)
        with pytest.raises(RankDeficientError, match=f"at least {needed} rows"):
            fitted(ConformalNull(kind, cv=5), fmahal.EmpiricalCovariance(), X)
    X = draw(29, needed, 4)
    null, _ = fitted(ConformalNull(kind, cv=5, random_state=0), fmahal.EmpiricalCovariance(), X)
    assert np.isfinite(null.train_d2_).all()
    fitted(ConformalNull(kind, cv=5), fmahal.ShrunkCovariance(), X[:5])


def test_registered():
    entry = nulls["conformal"]
    assert entry.order == 60
    assert entry.applies("empirical", 30, 20) is not None
    assert entry.applies("empirical", 60, 20) is None
    assert entry.applies("ledoit-wolf", 30, 200) is None
    assert entry.factory(**entry.quick).cv == entry.cost(30, 2) - 1


# -------------------------------------------------------------------- in a detector


@pytest.mark.parametrize("kind", KINDS)
def test_detector_flags_a_far_row_and_few_others(kind):
    X, new = np.split(draw(30, 500, 3), [200])
    null = ConformalNull(kind, random_state=0)
    detector = fmahal.MahalanobisDetector(fmahal.EmpiricalCovariance(), null, alpha=0.1).fit(X)
    new[0] = 1e3
    labels = detector.predict(new)
    assert labels[0] == -1
    assert 0.04 < (labels == -1).mean() < 0.17  # 30 rows of 300, give or take those of the calibration
    assert (detector.labels_ == -1).sum() == 20
    scorer = getattr(detector.null_, "scorer_", detector.estimator_)
    np.testing.assert_array_equal(detector.mahalanobis(new), scorer.mahalanobis(new))
    if kind == "full":
        want = FullConformal(detector.estimator_, X).pvalues(new)
        np.testing.assert_array_equal(detector.pvalues(new), want)
    else:
        np.testing.assert_array_equal(labels == -1, detector.mahalanobis(new) > detector.cutoff_)
    assert 0 < detector.cutoff_se_ < detector.cutoff_


def test_detector_says_when_the_level_is_out_of_reach():
    detector = fmahal.MahalanobisDetector(fmahal.LedoitWolf(), ConformalNull(random_state=0), alpha=0.01)
    with pytest.warns(CalibrationWarning, match="No new row can be called outlying at the level 0.01"):
        detector.fit(draw(32, 100, 2))


def test_pipeline_that_learns_is_refitted_as_a_whole():
    X = draw(33, 60, 5)
    pipeline = make_pipeline(StandardScaler(), PCA(2), fmahal.OAS())
    detector = fmahal.MahalanobisDetector(pipeline, ConformalNull(random_state=1), alpha=0.1).fit(X)
    null = detector.null_
    proper = np.setdiff1d(np.arange(60), null.calibration_rows_)
    np.testing.assert_allclose(null.scorer_[0].mean_, X[proper].mean(axis=0), rtol=1e-12)
    assert null.engine_ == "folds"
    assert detector.predict(np.full((1, 5), 1e4))[0] == -1
