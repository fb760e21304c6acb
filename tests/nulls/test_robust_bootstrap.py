"""The fast robust bootstrap: its derivatives, its plain twin, and full searches on the same resamples."""

import copy
import warnings
from math import prod

import numba
import numpy as np
import pytest
import reference_robust_bootstrap as twin
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn.exceptions import NotFittedError

from fmahal import EmpiricalCovariance, MinCovDet
from fmahal._kernels import robust_resampling as kernels
from fmahal._kernels.rotations import LARGEST, stretch
from fmahal._validation import readonly
from fmahal.exceptions import ExactFitWarning, RankDeficientError
from fmahal.nulls import _robust_bootstrap as engine
from fmahal.nulls._draws import generator_key, held_out, resample_counts
from fmahal.nulls._robust_bootstrap import fast_robust, gains, mcd_draws

# Fits of few clean rows may be ambiguous; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::fmahal.exceptions.AmbiguousFitWarning")

SETTINGS = [
    {},
    {"correction": "asymptotic"},
    {"correction": "simulated"},
    {"correction": None},
    {"reweight": None},
    {"correction": None, "reweight": None},
    {"reweight": 0.6},
    {"assume_centered": True},
    {"assume_centered": True, "correction": None},
    {"support_fraction": 0.75},
    {"support_fraction": 1.0},
]


def sample(n, p, seed=0, outlying=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X[:outlying] += 15.0 + np.arange(p)
    return X @ (np.eye(p) + np.tril(rng.normal(size=(p, p)), -1))


def draws(scatter, Z, n_resamples, n_held, seed=0, max_bytes=2**26, kept=False):
    blocks = list(
        mcd_draws(
            scatter,
            Z,
            n_resamples=n_resamples,
            seed=np.random.SeedSequence(seed),
            n_held=n_held,
            max_bytes=max_bytes,
            kept=kept,
        )
    )
    return (
        np.concatenate([block.train for block in blocks]),
        np.concatenate([block.new for block in blocks]),
        sum(block.redrawn for block in blocks),
    )


# ---------------------------------------------------------------- the linear correction


def directions(p):
    """Points of the unit sphere and weights that integrate smooth functions."""
    if p == 1:
        return np.array([[1.0], [-1.0]]), np.full(2, 0.5)
    angle = 2 * np.pi * np.arange(48) / 48
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    if p == 2:
        return ring, np.full(48, 1 / 48)
    z, w = np.polynomial.legendre.leggauss(24)
    points = [np.column_stack([np.sqrt(1 - t * t) * ring, np.full(48, t)]) for t in z]
    return np.vstack(points), np.repeat(w, 48) / 2 / 48


def population_step(v, S, a):
    """Mean and covariance of the normal rows in the ellipsoid about v, of shape S, that holds a share a of them."""
    p = len(v)
    u, w = directions(p)
    root = np.linalg.cholesky(S)
    area = 2 * np.pi ** (p / 2) / {1: np.pi**0.5, 2: 1.0, 3: np.pi**0.5 / 2}[p] * np.linalg.det(root)
    nodes, lengths = np.polynomial.legendre.leggauss(40)

    def inside(radius):
        r, dr = radius * (nodes + 1) / 2, radius * lengths / 2
        x = v + r[:, None, None] * (u @ root.T)
        density = np.exp(-0.5 * (x**2).sum(axis=2)) / (2 * np.pi) ** (p / 2)
        return x, area * density * w * (dr * r ** (p - 1))[:, None]

    radius = optimize.brentq(lambda t: inside(t)[1].sum() - a, 1e-3, 8.0, xtol=1e-14)
    x, mass = inside(radius)
    mean = np.einsum("rq,rqj->j", mass, x) / a
    second = np.einsum("rq,rqj,rqk->jk", mass, x, x) / a
    return mean, second - np.outer(mean, mean)


@pytest.mark.parametrize("a", [0.5, 0.75, 0.9])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_gains_invert_one_minus_the_derivatives_of_the_concentration_step(p, a):
    location, shape = gains(p, a)
    e = 1e-4
    up, down = (population_step(s * e * np.eye(p)[0], np.eye(p), a)[0] for s in (1, -1))
    np.testing.assert_allclose((up - down) / (2 * e), (1 - 1 / location) * np.eye(p)[0], rtol=1e-6, atol=1e-9)
    centre = population_step(np.zeros(p), np.eye(p), a)[1]
    larger = population_step(np.zeros(p), 4.0 * np.eye(p), a)[1]
    np.testing.assert_allclose(np.diag(larger), np.diag(centre), rtol=1e-9)
    if p == 1:
        return
    A = np.zeros((p, p))
    A[0, 0], A[1, 1], A[0, 1], A[1, 0] = 1.0, -1.0, 0.5, 0.5
    up, down = (population_step(np.zeros(p), np.eye(p) + s * e * A, a)[1] for s in (1, -1))
    slope = (up - down) / (2 * e) / centre[0, 0]
    np.testing.assert_allclose(slope, (1 - 1 / shape) * A, rtol=1e-5, atol=1e-7)


def test_gains_are_those_of_the_formula_and_one_without_trimming():
    for p in (1, 2, 7, 40):
        np.testing.assert_allclose(gains(p, 0.6), twin.gains(p, 0.6), rtol=1e-10)
        assert gains(p, 1.0) == (1.0, 1.0)


# ---------------------------------------------------------------- the kernel


@given(p=st.integers(1, 7), power=st.floats(1.0, 4.0), seed=st.integers(0, 1000))
def test_the_shape_is_raised_to_a_power_and_the_determinant_stays(p, power, seed):
    A = np.random.default_rng(seed).standard_normal((p + 3, p))
    S = A.T @ A + 0.1 * np.eye(p)
    size = np.exp(np.linalg.slogdet(S)[1] / p)
    lower = np.tril(S)
    assert stretch(lower, power, 1e-12, np.empty((p, p)), np.empty((p, p)))
    stretched = lower + np.tril(lower, -1).T
    eigenvalues = np.log(np.linalg.eigvalsh(S / size)) * power
    if np.abs(eigenvalues).max() < LARGEST:
        want = size * twin.power(S / size, power)
        np.testing.assert_allclose(stretched, want, rtol=1e-9, atol=1e-10 * np.abs(want).max())


def test_a_scatter_without_rank_is_not_stretched_and_a_nearly_flat_one_not_too_far():
    work = np.empty((2, 2)), np.empty((2, 2))
    assert not stretch(np.array([[1.0, 0.0], [1.0, 1.0]]), 2.0, 1e-14, *work)
    assert not stretch(np.full((2, 2), np.nan), 2.0, 1e-14, *work)
    S = np.diag([1e-8, 1.0])
    assert stretch(S, 4.0, 1e-14, *work)
    np.testing.assert_allclose(np.diag(S), 1e-4 * np.exp([-LARGEST, LARGEST]))


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_sample_itself_gives_the_fit_itself(settings):
    X = sample(60, 3, outlying=0 if "support_fraction" in settings or "assume_centered" in settings else 5)
    scatter = MinCovDet(random_state=0, **settings).fit(X)
    part = engine._part(engine._start(scatter, X), 60)
    order = engine._start(scatter, X).order
    train, status = np.empty((1, 60)), np.empty(1, np.int64)
    ones = readonly(np.ones((1, 60), np.int32))
    kernels.robust_fits(part.Yt, order, ones, part.rule, train, np.empty((1, 0)), status)
    assert status[0] == kernels.OK
    np.testing.assert_allclose(train[0], scatter.d2_, rtol=1e-8)


def setting_of(rule, p, scatter):
    """The twin's constants: the engine's own, but for the gains."""
    level = scatter.reweight or 0.975
    clean = min(scatter.n_samples_, scatter.weights_.sum() / level)
    return twin.Setting(
        rule.h,
        prod(scatter.raw_factors_),
        rule.ddof,
        rule.known,
        twin.gains(p, min(scatter.n_support_ / clean, 1.0)),
        rule.bound if rule.reweight else None,
        rule.scale,
        rule.scale_all,
    )


@pytest.mark.parametrize("settings", SETTINGS)
def test_engine_and_twin_agree_on_the_same_resamples(settings):
    n, p, held = 70, 3, 7
    X = sample(n, p, seed=3)
    scatter = MinCovDet(random_state=0, **settings).fit(X)
    start = scatter.raw_location_, scatter.raw_covariance_
    train, missed, redrawn = draws(scatter, X, 4, 0, seed=5)
    again, new, _ = draws(scatter, X, 4, held, seed=5)
    rest, same, _ = draws(scatter, X, 4, held, seed=5, kept=True)
    np.testing.assert_array_equal(new, same)
    assert redrawn == 0
    np.testing.assert_array_equal(train, again)
    key = generator_key(np.random.SeedSequence(5))
    counts, outs = resample_counts(key, np.arange(4), 0, n), held_out(key, np.arange(4), 0, n, held)
    begun = engine._start(scatter, X)
    for b in range(4):
        setting = setting_of(engine._part(begun, n).rule, p, scatter)
        d2 = twin.squared_distances(X, *twin.corrected_step(X, counts[b], start, setting)[1])
        np.testing.assert_allclose(train[b], np.repeat(d2, counts[b]), rtol=1e-7)
        np.testing.assert_allclose(missed[b], np.where(counts[b], np.nan, d2), rtol=1e-7)
        setting = setting_of(engine._part(begun, n - held).rule, p, scatter)
        weights = np.ones(n)
        weights[outs[b]] = 0.0
        d2 = twin.squared_distances(X, *twin.corrected_step(X, weights, start, setting)[1])
        np.testing.assert_allclose(new[b], d2[outs[b]], rtol=1e-7)
        np.testing.assert_allclose(rest[b], np.delete(d2, outs[b]), rtol=1e-7)


def test_constants_are_those_of_the_estimator():
    X = sample(200, 5)
    scatter = MinCovDet(random_state=0).fit(X)
    begun = engine._start(scatter, X)
    rule = engine._part(begun, 200).rule
    assert rule.h == scatter.n_support_
    assert rule.scale == prod(scatter.factors_)
    assert rule.bound == stats.chi2.ppf(0.975, 5)
    smaller = engine._part(begun, 180).rule
    fewer = MinCovDet(random_state=0).fit(X[:180])
    assert smaller.h == fewer.n_support_
    assert smaller.scale == prod(fewer.factors_)
    uncorrected = MinCovDet(random_state=0, correction=None).fit(X)
    bound = engine._part(engine._start(uncorrected, X), 200).rule.bound
    np.testing.assert_array_equal(
        uncorrected.support_, uncorrected.raw_d2_ < bound
    )  # the scatter before its consistency factor


# ---------------------------------------------------------------- what nothing depends on


def test_neither_blocks_nor_threads_matter():
    X = sample(90, 4)
    scatter = MinCovDet(random_state=0).fit(X)
    for held, kept in ((0, False), (9, False), (9, True)):
        whole = draws(scatter, X, 300, held, kept=kept)
        cut = draws(scatter, X, 300, held, max_bytes=20_000, kept=kept)
        before = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            alone = draws(scatter, X, 300, held, kept=kept)
        finally:
            numba.set_num_threads(before)
        for other in (cut, alone):
            np.testing.assert_array_equal(whole[0], other[0])
            np.testing.assert_array_equal(whole[1], other[1])


def test_a_block_keeps_to_its_memory_and_seeds_differ():
    X = sample(90, 4)
    scatter = MinCovDet(random_state=0).fit(X)
    seed = np.random.SeedSequence(1)
    blocks = list(mcd_draws(scatter, X, n_resamples=50, seed=seed, n_held=9, max_bytes=30_000))
    assert sum(len(block.train) for block in blocks) == 50
    assert all(block.train.nbytes + block.new.nbytes < 30_000 for block in blocks)
    assert len(blocks) > 1
    assert not np.array_equal(draws(scatter, X, 2, 9, seed=1)[0], draws(scatter, X, 2, 9, seed=2)[0])


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_do_not_matter(unit):
    X = sample(60, 3, outlying=6)
    plain, scaled = (MinCovDet(random_state=0).fit(Z) for Z in (X, X * unit))
    for one, other in zip(draws(plain, X, 20, 6), draws(scaled, X * unit, 20, 6), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7)


@given(seed=st.integers(0, 10_000))
def test_replicates_are_affine_equivariant(seed):
    rng = np.random.default_rng(seed)
    X = sample(40, 3, seed=seed)
    scatter = MinCovDet(random_state=0).fit(X)
    A = rng.standard_normal((3, 3)) + 2.0 * np.eye(3)
    if np.linalg.cond(A) > 30:
        A = np.diag([1.0, 20.0, 300.0])
    b = rng.standard_normal(3)
    moved = copy.copy(scatter)
    moved.raw_location_ = A @ scatter.raw_location_ + b
    moved.raw_covariance_ = A @ scatter.raw_covariance_ @ A.T
    one, other = draws(scatter, X, 5, 4), draws(moved, X @ A.T + b, 5, 4)
    np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-6)


# ---------------------------------------------------------------- rows of the support only


@pytest.mark.parametrize("settings", SETTINGS[:6])
def test_rows_of_the_support_stand_for_the_estimator_of_all_rows(settings):
    X = sample(150, 4, outlying=30)
    scatter = MinCovDet(random_state=0, **settings).fit(X)
    Z = X[scatter.support_]
    assert len(Z) <= 120
    part = engine._part(engine._start(scatter, Z), len(Z))
    whole = engine._part(engine._start(scatter, X), 150)
    assert part.rule.h == scatter.n_support_  # not half of the rows of Z
    assert part.rule.location == whole.rule.location
    assert part.rule.bound == whole.rule.bound
    assert part.rule.scale == part.rule.scale_all == whole.rule.scale
    # rows of Z have the same coordinates: the step on Z leads to the same raw estimate
    np.testing.assert_allclose(
        np.sort((part.Yt**2).sum(axis=0)), np.sort(scatter.raw_d2_[scatter.support_]), rtol=1e-8
    )


def test_outlying_rows_stay_outlying_and_do_not_widen_the_rest():
    X = sample(200, 4, outlying=40)
    scatter = MinCovDet(random_state=0).fit(X)
    train, new, _ = draws(scatter, X[scatter.support_], 200, 16)
    assert train.max() < scatter.d2_[:40].min()
    assert new.max() < scatter.d2_[:40].min()
    levels = [0.25, 0.5, 0.75]
    own = np.quantile(scatter.d2_[scatter.support_], levels)
    np.testing.assert_allclose(np.quantile(train, levels), own, rtol=0.1)
    np.testing.assert_allclose(np.quantile(new, levels), own, rtol=0.1)


# ---------------------------------------------------------------- what is served, and bad input


def test_exact_fits_and_other_scatters_are_not_served():
    X = sample(40, 3)
    assert fast_robust(MinCovDet(random_state=0).fit(X))
    assert not fast_robust(EmpiricalCovariance().fit(X))
    flat = np.column_stack([X, X[:, 0] + X[:, 1]])
    with pytest.warns(ExactFitWarning):
        assert not fast_robust(MinCovDet(random_state=0).fit(flat))

    class Mine(MinCovDet):
        pass

    assert not fast_robust(Mine(random_state=0).fit(X))
    with pytest.raises(NotFittedError):
        fast_robust(MinCovDet())


def test_a_resample_without_rank_is_drawn_again():
    X = sample(12, 3, seed=1)
    scatter = MinCovDet(random_state=0, correction="asymptotic").fit(X)
    train, new, redrawn = draws(scatter, X, 300, 1)
    assert 0 < redrawn < 300
    assert np.isfinite(train).all()
    assert np.isfinite(new).all()
    cut = draws(scatter, X, 300, 1, max_bytes=2_000)
    np.testing.assert_array_equal(train, cut[0])
    np.testing.assert_array_equal(new, cut[1])
    assert cut[2] == redrawn


def test_mostly_singular_resamples_are_an_error():
    X = sample(8, 5)
    scatter = MinCovDet(random_state=0).fit(X)
    with pytest.raises(RankDeficientError, match=r"half of the resamples of n = 8 rows and p = 5"):
        draws(scatter, X, 50, 0)


def test_too_few_rows_for_a_holdout_fit_are_an_error():
    X = sample(20, 5)
    scatter = MinCovDet(random_state=0).fit(X)
    with pytest.raises(RankDeficientError, match=r"6 of 20 rows are too few for p = 5"):
        draws(scatter, X, 5, 14)


# ---------------------------------------------------------------- against full searches


def coordinates(location, covariance, centre, factor):
    """Location and entries of the log-covariance in the coordinates of the fit."""
    T = np.linalg.solve(factor, np.linalg.solve(factor, covariance).T)
    w, V = np.linalg.eigh((T + T.T) / 2)
    logs = (V * np.log(w)) @ V.T
    p = len(location)
    return np.linalg.solve(factor, location - centre), logs[np.triu_indices(p, 1)]


class Comparison:
    """Variances of raw and reweighted estimates, and quantiles of distances: full refits, corrected and bare steps."""

    def __init__(self, n, p, replicates, seeds):
        variances, quantiles = [], []
        for seed in seeds:
            one, other = self.sample(n, p, replicates, seed)
            variances.append(one)
            quantiles.append(other)
        self.variance = np.mean(
            variances, axis=0
        )  # (full, corrected, bare) x (raw, final) x (location, shape)
        self.quantiles = np.mean(quantiles, axis=0)  # (full, corrected) x (train, new) x levels

    @staticmethod
    def sample(n, p, replicates, seed):
        X = sample(n, p, seed=seed)
        scatter = MinCovDet(random_state=0).fit(X)
        start = scatter.raw_location_, scatter.raw_covariance_
        setting = setting_of(engine._part(engine._start(scatter, X), n).rule, p, scatter)
        bare = setting._replace(gains=(1.0, 1.0))
        key = generator_key(np.random.SeedSequence(seed))
        factor = np.linalg.cholesky(scatter.covariance_)
        found, distances = [], []
        for counts in resample_counts(key, np.arange(replicates), 0, n):
            full = MinCovDet(random_state=0).fit(np.repeat(X, counts, axis=0))
            estimates = [
                ((full.raw_location_, full.raw_covariance_), (full.location_, full.covariance_)),
                twin.corrected_step(X, counts, start, setting),
                twin.corrected_step(X, counts, start, bare),
            ]
            found.append(
                [
                    [np.concatenate(coordinates(*e, scatter.location_, factor)) for e in pair]
                    for pair in estimates
                ]
            )
            distances.append((full.d2_, full.mahalanobis(X[counts == 0])))
        spread = np.var(found, axis=0)
        train, new, _ = draws(scatter, X, replicates, 0, seed=seed)
        levels = [0.5, 0.9, 0.95, 0.99]
        full = [np.quantile(np.concatenate([d[k] for d in distances]), levels) for k in (0, 1)]
        fast = [np.quantile(train, levels), np.nanquantile(new, levels)]
        return np.stack([spread[..., :p].mean(axis=-1), spread[..., p:].mean(axis=-1)], axis=-1), [full, fast]


def test_corrected_steps_vary_as_the_asymptotic_theory_of_the_estimator_says():
    n, p, replicates = 2000, 5, 300
    scatter = MinCovDet(random_state=0).fit(sample(n, p))
    X = np.linalg.solve(
        np.linalg.cholesky(scatter.raw_covariance_), (sample(n, p) - scatter.raw_location_).T
    ).T
    a = scatter.n_support_ / n
    setting = twin.Setting(
        scatter.n_support_, prod(scatter.raw_factors_), 1, False, gains(p, a), None, 1.0, 1.0
    )
    key = generator_key(np.random.SeedSequence(0))
    means, covariances = [], []
    for counts in resample_counts(key, np.arange(replicates), 0, n):
        location, covariance = twin.corrected_step(X, counts, (np.zeros(p), np.eye(p)), setting)[0]
        means.append(location)
        covariances.append(covariance[np.triu_indices(p, 1)])
    q = stats.chi2.ppf(a, p)
    # Croux and Haesbroeck (1999): variances times n of location and of an entry off the diagonal, at the normal law
    np.testing.assert_allclose(n * np.var(means, axis=0).mean(), 1 / stats.chi2.cdf(q, p + 2), rtol=0.15)
    np.testing.assert_allclose(
        n * np.var(covariances, axis=0).mean(), 1 / stats.chi2.cdf(q, p + 4), rtol=0.15
    )


# Full searches find lower determinants than a fixed point next to the first one: at some hundred rows their scatter
# varies more than asymptotic theory says, and than the fast bootstrap (which the test above holds to the theory).
@pytest.mark.slow
@pytest.mark.parametrize(("n", "p"), [(500, 2), (500, 5), (500, 10)])
def test_replicates_vary_like_full_searches_and_only_with_the_correction(n, p):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compared = Comparison(n, p, 200, range(2))
    full, corrected, bare = compared.variance
    (raw, final), (bare_raw, bare_final) = corrected / full, bare / full
    assert ((raw > 0.65) & (raw < 1.25)).all()
    assert ((final > 0.75) & (final < 1.2)).all()
    assert (bare_raw < 0.5).all()
    assert (bare_final < final - 0.05).all()
    np.testing.assert_allclose(compared.quantiles[1], compared.quantiles[0], rtol=0.05)
