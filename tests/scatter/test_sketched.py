"""A sketched scatter is a scatter: its map is exact linear algebra, its errors have the law they should."""

import os
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn import covariance as skcov
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmahal import Whitener, _validation
from fmahal._maps import MAP_KINDS, random_map
from fmahal.exceptions import DenseSizeError, ExactIsCheaperWarning, OutsideSubspaceError
from fmahal.models._steps import in_table, shapley_values
from fmahal.models.metric import MahalanobisMetric
from fmahal.scatter import (
    MRCD,
    OAS,
    OGK,
    QIS,
    EmpiricalCovariance,
    FixedScatter,
    LedoitWolf,
    MinCovDet,
    ModifiedCholesky,
    ShrunkCovariance,
    SpectralFilter,
    facts,
    sketched,
)
from fmahal.scatter._sketch_costs import SketchCosts
from fmahal.scatter._sketch_dim import johnson_lindenstrauss_dim
from fmahal.scatter.sketched import Sketched

KNOWN = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]])
PRIMAL = {
    "empirical": EmpiricalCovariance(),
    "lw": LedoitWolf(),
    "oas": OAS(),
    "qis": QIS(),
    "shrunk": ShrunkCovariance(),
    "banded": ModifiedCholesky(bandwidth=2),
    "stacked": ModifiedCholesky(penalty="l2", alpha=0.1, n_orders=2, random_state=0),
    "rkhs": SpectralFilter(),
    "ridge": SpectralFilter("ridge"),
    "mcd": MinCovDet(method="deterministic"),
    "mrcd": MRCD(),
    "ogk": OGK(),
    "fixed": FixedScatter("median", covariance=np.diag(np.arange(1.0, 9.0))),
    "identity": FixedScatter(),
    "sklearn": skcov.LedoitWolf(),
    "graphical": skcov.GraphicalLasso(0.1),
}
DUAL = {
    "dual empirical": EmpiricalCovariance(),
    "dual lw": LedoitWolf(),
    "sequential": ModifiedCholesky(penalty="l2", alpha=0.1),
    "dual truncated": SpectralFilter("truncate", n_components=7),
    "dual ridge": SpectralFilter("ridge"),
    "dual mrcd": MRCD(),
}
INNER = PRIMAL | DUAL
JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
pytestmark = pytest.mark.filterwarnings("ignore::fmahal.exceptions.RankDeficientWarning")


def draw(n, p, seed=0):
    rng = np.random.default_rng([n, p, seed])
    return rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p))) + 5.0


def fixed(p, seed=0):
    """Rows, and a scatter that they do not change."""
    A = np.random.default_rng(seed).normal(size=(p, 2 * p))
    return draw(2, p, seed), FixedScatter(np.zeros(p), covariance=A @ A.T / p)


# ---------------------------------------------------------------- the map


@pytest.mark.parametrize("name", INNER)
def test_any_scatter_by_linear_algebra(name):
    """S W (x - m) with the W of the scatter and the S of the seed; what the map does not enter is the scatter's."""
    X, new = (draw(60, 8), draw(7, 8, 1)) if name in PRIMAL else (draw(14, 30), draw(7, 30, 1))
    kind = MAP_KINDS[len(name) % 4]
    scatter = Sketched(INNER[name], n_components=4, kind=kind, random_state=7).fit(X)
    inner = clone(INNER[name]).fit(X)
    W = getattr(inner, "whitener_", None) or Whitener.from_precision(inner.get_precision())
    S = random_map(kind, 4, W.shape[0], 7).matrix()
    want = W.whiten(new - inner.location_) @ S.T
    scale = np.abs(want).max()
    np.testing.assert_allclose(scatter.transform(new), want, atol=1e-8 * scale, rtol=0)
    np.testing.assert_allclose(scatter.mahalanobis(new), (want**2).sum(axis=1), rtol=1e-7)
    np.testing.assert_allclose(scatter.mahalanobis(new, squared=False) ** 2, scatter.mahalanobis(new))
    assert scatter.whitener_.kind == "sketched"
    assert scatter.whitener_.shape == (4, X.shape[1])
    assert scatter.rank_ == W.rank
    assert scatter.n_components_ == 4
    assert scatter.is_sketched_
    assert scatter.sketch_se_ == np.sqrt(0.5)
    assert (scatter.n_samples_, scatter.ddof_) == (len(X), getattr(inner, "ddof_", 0))
    np.testing.assert_array_equal(scatter.location_, inner.location_)
    np.testing.assert_array_equal(scatter.covariance_, inner.covariance_)
    if name in PRIMAL:
        assert hasattr(scatter, "score") == hasattr(inner, "score")
        if hasattr(inner, "score"):
            assert scatter.score(new) == inner.score(new)
        assert scatter.error_norm(np.eye(8)) == pytest.approx(inner.error_norm(np.eye(8)))


def test_matrices_of_the_sketched_distance():
    X, new = draw(60, 8), draw(7, 8, 1)
    scatter = Sketched(EmpiricalCovariance(), n_components=3, random_state=0).fit(X)
    d2, centred = scatter.mahalanobis(new), new - scatter.location_
    precision = scatter.get_precision()
    assert np.linalg.matrix_rank(precision) == 3
    np.testing.assert_array_equal(precision, scatter.precision_)
    np.testing.assert_allclose(np.einsum("ij,jk,ik->i", centred, precision, centred), d2, rtol=1e-9)
    np.testing.assert_allclose((centred * scatter.precision_dot(new)).sum(axis=1), d2, rtol=1e-9)
    np.testing.assert_allclose(shapley_values(scatter, in_table(new)).sum(axis=1), d2, rtol=1e-9)
    Z = scatter.transform(new)
    np.testing.assert_allclose(scatter.transform(scatter.inverse_transform(Z)), Z, rtol=1e-9)
    between = MahalanobisMetric(scatter, squared=True).fit(X).pairwise(new)
    np.testing.assert_allclose(between[np.triu_indices(7, 1)], pdist(Z, "sqeuclidean"), rtol=1e-7)


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_whitener_sketch_of_a_kind(kind):
    w = Whitener.from_covariance(KNOWN)
    S = random_map(kind, 2, 3, 5).matrix()
    x = np.array([[1.0, -2.0, 0.5]])
    got = w.sketch(2, kind=kind, random_state=5)
    np.testing.assert_allclose(got.whiten(x), w.whiten(x) @ S.T, rtol=1e-12)
    assert got.logdet == w.logdet
    scaled = got.scaled(4.0)
    np.testing.assert_allclose(scaled.sqnorm(x), got.sqnorm(x) / 4)
    assert scaled.logdet == pytest.approx(w.scaled(4.0).logdet)
    with pytest.raises(ValueError, match="kind must be one of"):
        w.sketch(2, kind="dense")


def test_determinant_of_a_mean_of_precisions_waits_until_it_is_asked_for(monkeypatch):
    stacked = ModifiedCholesky(bandwidth=1, n_orders=2, random_state=0).fit(draw(30, 6)).whitener_
    want, calls = stacked.logdet, []
    structure = type(stacked._structure)
    original = structure.precision
    monkeypatch.setattr(structure, "precision", lambda self: calls.append(1) or original(self))
    w = stacked.sketch(3, random_state=0)
    assert not calls
    assert pickle.loads(pickle.dumps(w)).logdet == pytest.approx(want)
    assert w.scaled(2.0).logdet == pytest.approx(want + 6 * np.log(2.0))
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["dual lw", "dual empirical", "sequential", "dual ridge", "banded"])
def test_no_square_array(name, monkeypatch):
    """20000 columns: k rows of them, and what the scatter itself holds."""
    n, p, k = 12, 20_000 if JIT else 150, 8
    X = np.random.default_rng(0).normal(size=(n, p))
    inner = clone(INNER[name])
    alone = _peak(lambda: clone(inner).fit(X))
    monkeypatch.setattr(_validation, "_memory_limit", lambda: p * p)
    scatter = Sketched(inner, n_components=k, random_state=0)
    whole = _peak(lambda: scatter.fit(X).mahalanobis(X))
    assert np.isfinite(scatter.mahalanobis(X)).all()
    assert whole < alone + 8 * k * p * 8 + 2e6 or not JIT  # one dense matrix has p / k times 8 k p bytes
    with pytest.raises(DenseSizeError):
        scatter.get_precision()


def _peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- its errors


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_unbiased_with_the_stated_variance(kind):
    """Over 600 maps; a row that has most of its whitened length in few coordinates, and one that has not."""
    k, draws = 6, 600
    X, scatter = fixed(24)
    exact = scatter.fit(X).whitener_
    Z = np.vstack([np.eye(24)[0] + 0.2, np.ones(24)])
    rows = exact.color(Z)
    d2 = np.array([exact.sketch(k, kind=kind, random_state=seed).sqnorm(rows) for seed in range(draws)])
    true = (Z**2).sum(axis=1)
    variance = random_map(kind, k, 24, 0).norm_variance(Z)
    assert np.all(np.abs(d2.mean(axis=0) - true) < 4.5 * np.sqrt(variance / draws))
    assert np.all(variance <= 2 / k * true**2 * (1 + 1e-12))
    centred = (d2 - true) ** 2
    spread = centred.std(axis=0) / np.sqrt(draws)
    assert np.all(np.abs(centred.mean(axis=0) - variance) < 4.5 * spread)
    if kind == "gaussian":
        np.testing.assert_allclose(variance, 2 / k * true**2)


def test_intervals_cover_and_the_standard_error_is_true():
    """Over 250 maps of one estimator, of two rows."""
    X, scatter = fixed(12)
    true, maps, k = scatter.fit(X).mahalanobis(X), 250, 5
    ratios, held = np.empty((maps, 2)), {0.5: np.zeros(2), 0.95: np.zeros(2)}
    for seed in range(maps):
        sketch = Sketched(scatter, n_components=k, random_state=seed).fit(X)
        ratios[seed] = sketch.mahalanobis(X) / true
        for level in held:
            low, high = sketch.distance_interval(X, level).T
            assert np.all(low < high)
            held[level] += (low <= true) & (true <= high)
    for level, covered in held.items():
        assert np.all(np.abs(covered / maps - level) < 4 * np.sqrt(level * (1 - level) / maps))
    assert np.all(np.abs(ratios.mean(axis=0) - 1) < 4.5 * sketch.sketch_se_ / np.sqrt(maps))
    # the squared deviations have a fourth moment of 12 / k^2 + 48 / k^3
    spread = np.sqrt((8 / k**2 + 48 / k**3) / maps)
    assert np.all(np.abs(((ratios - 1) ** 2).mean(axis=0) - sketch.sketch_se_**2) < 4.5 * spread)


def test_intervals_have_the_type_of_the_rows():
    X = draw(40, 12)
    scatter = Sketched(LedoitWolf(), n_components=5, random_state=0).fit(X.astype(np.float32))
    assert scatter.distance_interval(X.astype(np.float32)).dtype == np.float32
    inner, outer = (scatter.distance_interval(X, level) for level in (0.5, 0.9))
    assert np.all(outer[:, 0] < inner[:, 0])
    assert np.all(inner[:, 1] < outer[:, 1])


def pairs_beyond(maps, n, p, eps, delta, kind):
    """Share of maps with any pair of n rows beyond eps, at the promised k and at a quarter of it."""
    k = johnson_lindenstrauss_dim(n, eps, delta, pairs=True, kind=kind)
    assert k < p
    X = np.random.default_rng(0).normal(size=(n, p))
    true, any_beyond = pdist(X, "sqeuclidean"), {k: 0, k // 4: 0}
    for size in any_beyond:
        for seed in range(maps):
            got = pdist(X @ random_map(kind, size, p, seed).matrix().T, "sqeuclidean")
            any_beyond[size] += np.abs(got / true - 1).max() > eps
    return [beyond / maps for beyond in any_beyond.values()]


def test_all_pairs_at_the_promised_rate():
    delta, maps = 0.2, 60
    promised, quarter = pairs_beyond(maps, 8, 120, 0.5, delta, "gaussian")
    assert promised <= delta + 3 * np.sqrt(delta * (1 - delta) / maps)
    assert quarter > 2 * delta


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAP_KINDS)
def test_all_pairs_at_the_promised_rate_for_longer(kind):
    delta, maps = 0.1, 150
    promised, quarter = pairs_beyond(maps, 30, 600, 0.4, delta, kind)
    assert promised <= delta + 3 * np.sqrt(delta * (1 - delta) / maps)
    assert quarter > delta


# ---------------------------------------------------------------- how many coordinates


def test_components_from_the_error():
    X = draw(20, 260)
    few = Sketched(LedoitWolf(), eps=0.5, delta=0.05, n_points=10, random_state=0).fit(X)
    assert few.n_components_ == johnson_lindenstrauss_dim(10, 0.5, 0.05)
    assert Sketched(LedoitWolf(), random_state=0).fit(X).n_components_ == johnson_lindenstrauss_dim(1, 0.25)
    other = Sketched(LedoitWolf(), eps=0.5, delta=0.5, kind="rademacher", random_state=0).fit(X)
    assert other.n_components_ == johnson_lindenstrauss_dim(1, 0.5, 0.5, kind="rademacher")


def test_auto_keeps_exact_distances_where_they_are_cheaper():
    X = draw(40, 6)
    with pytest.warns(ExactIsCheaperWarning, match=r"40 rows: exact .* s, sketched to k = 215 .*rank 6"):
        scatter = Sketched(EmpiricalCovariance(), n_components="auto").fit(X)
    exact = EmpiricalCovariance().fit(X)
    np.testing.assert_array_equal(scatter.mahalanobis(X), exact.mahalanobis(X))
    np.testing.assert_array_equal(scatter.transform(X), exact.transform(X))
    assert not scatter.is_sketched_
    assert scatter.n_components_ == 6
    assert scatter.sketch_se_ == 0
    assert scatter.score(X) == exact.score(X)
    np.testing.assert_array_equal(scatter.singular_values_, np.ones(6))
    np.testing.assert_array_equal(scatter.distance_interval(X).T, np.tile(exact.mahalanobis(X), (2, 1)))


def test_auto_sketches_where_that_is_predicted_to_pay(monkeypatch):
    asked = []

    def pays(whitener, n, k, workload="center", *, kind):
        asked.append((whitener.kind, n, k, workload, kind))
        return SketchCosts(2.0, 1.0, True)

    monkeypatch.setattr(sketched, "sketch_costs_of", pays)
    X = draw(40, 30)
    scatter = Sketched(EmpiricalCovariance(), n_components="auto", eps=0.95, delta=0.9, kind="sparse")
    k = johnson_lindenstrauss_dim(1, 0.95, 0.9, kind="sparse")
    assert scatter.fit(X).n_components_ == k
    assert asked == [("triangular", 40, k, "center", "sparse")]
    assert scatter.is_sketched_


# ---------------------------------------------------------------- the seed


def test_seeds():
    X = draw(30, 8)

    def d2(random_state):
        scatter = Sketched(LedoitWolf(), n_components=3, random_state=random_state).fit(X)
        held = clone(scatter).set_params(random_state=scatter.seed_).fit(X)
        np.testing.assert_array_equal(held.mahalanobis(X), scatter.mahalanobis(X))
        return scatter.mahalanobis(X)

    np.testing.assert_array_equal(d2(3), d2(np.int64(3)))
    generator = np.random.default_rng(0)
    results = [d2(3), d2(None), d2(None), d2(np.random.RandomState(0)), d2(generator), d2(generator)]
    assert len({tuple(row) for row in results}) == 6
    np.testing.assert_array_equal(d2(np.random.default_rng(0)), results[4])
    assert Sketched(LedoitWolf(), n_components=3, random_state=3).fit(X).seed_ == 3


def test_singular_values():
    X = draw(30, 9)
    for kind in MAP_KINDS:
        scatter = Sketched(LedoitWolf(), n_components=4, kind=kind, random_state=1).fit(X)
        want = np.linalg.svd(random_map(kind, 4, 9, 1).matrix(), compute_uv=False)
        np.testing.assert_allclose(scatter.singular_values_, want, rtol=1e-10)
        scatter.set_params(kind="gaussian", random_state=99)  # of the fit, not of the parameters
        np.testing.assert_allclose(pickle.loads(pickle.dumps(scatter)).singular_values_, want, rtol=1e-10)


@pytest.mark.parametrize("name", ["covariance", "precision", "factor", "whitener", "stacked"])
def test_null_weights(name):
    """Eigenvalues of the covariance of the sketched coordinates of a normal row."""
    X, scatter = fixed(10)
    covariance = scatter.covariance
    given = {
        "covariance": {"covariance": covariance},
        "precision": {"precision": np.linalg.inv(covariance)},
        "factor": {"factor": np.linalg.cholesky(covariance)},
        "whitener": {"whitener": Whitener.from_covariance(covariance)},
    }
    if name == "stacked":
        whitener = clone(PRIMAL["stacked"]).fit(draw(40, 10)).whitener_
        given["stacked"], covariance = {"whitener": whitener}, whitener.covariance
    got = Sketched(FixedScatter(np.zeros(10), **given[name]), n_components=4, random_state=0).fit(X)
    folded = got.whitener_.adjoint(np.eye(4))
    want = np.linalg.eigvalsh(folded @ covariance @ folded.T)[::-1]
    np.testing.assert_allclose(got.null_weights_, want, rtol=1e-8)


def test_null_weights_only_where_all_is_known():
    X = draw(30, 6)
    for inner in (
        EmpiricalCovariance(),
        FixedScatter("mean", covariance=np.eye(6)),
        FixedScatter(np.zeros(6)),
    ):
        scatter = Sketched(inner, n_components=3)
        assert not hasattr(scatter, "null_weights_")
        assert not hasattr(scatter.fit(X), "null_weights_")
        with pytest.raises(AttributeError, match="location and covariance are known"):
            _ = scatter.null_weights_
    exact = FixedScatter(np.zeros(6), covariance=2 * np.eye(6))
    with pytest.warns(ExactIsCheaperWarning):
        np.testing.assert_array_equal(Sketched(exact, n_components="auto").fit(X).null_weights_, np.ones(6))


# ---------------------------------------------------------------- off the subspace


@pytest.mark.parametrize("inner", [EmpiricalCovariance(), skcov.EmpiricalCovariance()])
def test_a_sketch_does_not_see_what_lies_off_the_subspace(inner):
    X, new = draw(10, 25), draw(4, 25, 1)
    scatter = Sketched(inner, n_components=4, random_state=0).fit(X)
    assert scatter.rank_ == 9
    seen = scatter.mahalanobis(new)
    assert np.isfinite(seen).all()
    assert np.isinf(scatter.mahalanobis(new, outside="inf")).all()
    np.testing.assert_array_equal(scatter.mahalanobis(X, outside="inf"), scatter.mahalanobis(X))
    with pytest.raises(OutsideSubspaceError, match="4 rows have a part off the 9-dimensional subspace"):
        scatter.mahalanobis(new, outside="raise")
    with pytest.raises(ValueError, match="outside must be one of"):
        scatter.mahalanobis(new, outside="drop")
    exact = EmpiricalCovariance().fit(X)
    np.testing.assert_allclose(scatter.residual(new), exact.residual(new), rtol=1e-9)
    assert scatter.residual(X).max() < 1e-9 * scatter.residual(new).min()


def test_the_policy_of_the_scatter_holds():
    X, new = draw(10, 25), draw(4, 25, 1)
    scatter = Sketched(SpectralFilter("inverse", outside="inf"), n_components=4, random_state=0).fit(X)
    assert np.isinf(scatter.mahalanobis(new)).all()
    assert np.isfinite(scatter.mahalanobis(new, outside="ignore")).all()
    np.testing.assert_array_equal(scatter.residual(new), scatter.scatter_.residual(new))
    strict = Sketched(SpectralFilter("inverse", outside="raise"), n_components=4, random_state=0).fit(X)
    for method in (strict.mahalanobis, strict.transform):
        method(X)
        with pytest.raises(OutsideSubspaceError):
            method(new)


# ---------------------------------------------------------------- a scatter like the others


def test_facts():
    X = draw(30, 6)
    found = facts(Sketched(LedoitWolf(), n_components=3).fit(X))
    assert (found.kind, found.rank, found.n_samples, found.regularized, found.robust) == (
        "sketched",
        6,
        30,
        True,
        False,
    )
    found = facts(Sketched(MinCovDet(method="deterministic"), n_components=3).fit(X))
    assert (found.regularized, found.robust) == (False, True)
    assert Sketched(skcov.MinCovDet()).robust
    assert Sketched(skcov.OAS()).regularized
    assert not Sketched(skcov.EmpiricalCovariance()).regularized
    known = Sketched(FixedScatter(np.zeros(6), covariance=np.eye(6)), n_components=3).fit(X)
    assert facts(known).assume_centered
    assert facts(Sketched(EmpiricalCovariance(assume_centered=True), n_components=3).fit(X)).assume_centered
    assert not facts(Sketched(FixedScatter(), n_components=3).fit(X)).assume_centered
    assert facts(Sketched(SpectralFilter(), n_components=3).fit(X)).ddof == 1


@pytest.mark.parametrize("kind", ["translation", "scale"])
@pytest.mark.parametrize("name", ["empirical", "lw", "mrcd", "ridge", "banded", "dual lw", "dual mrcd"])
def test_declared_equivariances(name, kind):
    X = draw(60, 8) if name in PRIMAL else draw(14, 30)
    scatter = Sketched(INNER[name], n_components=4, random_state=1)
    assert scatter.equivariances <= {"translation", "scale"}
    assert not scatter.affine_equivariant
    if kind not in scatter.equivariances:
        assert kind not in INNER[name].equivariances
        return
    want = clone(scatter).fit(X).mahalanobis(X)
    for Y in (X + 100.0, X - 7.0) if kind == "translation" else (1e8 * X, 1e-8 * X):
        np.testing.assert_allclose(clone(scatter).fit(Y).mahalanobis(Y), want, rtol=1e-6)


def test_undeclared_equivariances_do_not_hold():
    X = draw(60, 8)
    scatter = Sketched(EmpiricalCovariance(), n_components=4, random_state=1)
    want = clone(scatter).fit(X).mahalanobis(X)
    for Y in (X[:, ::-1].copy(), X @ np.linalg.qr(draw(8, 8))[0]):
        assert not np.allclose(clone(scatter).fit(Y).mahalanobis(Y), want, rtol=1e-2)


def test_float32():
    """Centred in float64: an offset a thousand times the spread costs no digits beyond those of the entries."""
    X = (np.round(64 * draw(50, 20)) / 64 + 4096.0).astype(np.float32)
    scatter = Sketched(LedoitWolf(), n_components=9, random_state=0).fit(X)
    d2 = scatter.mahalanobis(X)
    assert d2.dtype == np.float32
    assert scatter.transform(X).dtype == np.float32
    wide = scatter.mahalanobis(X.astype(np.float64))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(d2, wide, rtol=2e-7)
    assert 1e-5 * scatter.sketch_se_ > 2e-7


def test_names_parameters_and_copies():
    X = pd.DataFrame(draw(30, 5), columns=list("abcde"))
    scatter = Sketched(LedoitWolf(), n_components=3, random_state=0).fit(X)
    assert list(scatter.get_feature_names_out()) == ["sketched0", "sketched1", "sketched2"]
    assert list(scatter.feature_names_in_) == list("abcde")
    assert list(scatter.scatter_.feature_names_in_) == list("abcde")
    assert scatter.set_output(transform="pandas").transform(X).shape == (30, 3)
    assert "LedoitWolf" in repr(scatter)
    assert "LedoitWolf" in scatter._repr_html_()
    other = clone(scatter).set_params(scatter__store_precision=False, n_components=2)
    assert not other.scatter.store_precision
    assert scatter.scatter.store_precision
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scatter)).mahalanobis(X), scatter.mahalanobis(X))
    bad = X.copy()
    bad.loc[3, "d"] = np.nan
    for method in (scatter.mahalanobis, scatter.transform, scatter.residual, scatter.fit):
        with pytest.raises(ValueError, match="NaN: 1 entries, in rows 3 and columns d"):
            method(bad)


def test_in_a_pipeline():
    X = draw(40, 8)
    pipeline = make_pipeline(StandardScaler(), Sketched(LedoitWolf(), n_components=3, random_state=0)).fit(X)
    Z = StandardScaler().fit_transform(X)
    want = Sketched(LedoitWolf(), n_components=3, random_state=0).fit(Z).transform(Z)
    np.testing.assert_array_equal(pipeline.transform(X), want)


def test_the_given_scatter_is_not_fitted_and_not_fitted_is_told():
    inner = LedoitWolf()
    scatter = Sketched(inner, n_components=2)
    for call in (
        lambda: scatter.mahalanobis(np.eye(3)),
        lambda: scatter.distance_interval(np.eye(3)),
        lambda: scatter.residual(np.eye(3)),
        lambda: scatter.score(np.eye(3)),
        lambda: scatter.singular_values_,
        lambda: scatter.covariance_,
    ):
        with pytest.raises(NotFittedError):
            call()
    scatter.fit(draw(20, 4))
    assert not hasattr(inner, "location_")
    before = dict(vars(scatter))
    with pytest.raises(ValueError, match="exact is cheaper"):
        scatter.set_params(n_components=4).fit(draw(20, 4))
    assert vars(scatter).keys() == before.keys()


BAD = {
    "pipeline": (
        Sketched(make_pipeline(StandardScaler(), LedoitWolf())),
        TypeError,
        r"make_pipeline\(space, ",
    ),
    "sketch": (Sketched(Sketched(LedoitWolf())), TypeError, "no sketch already"),
    "sketched whitener": (
        Sketched(FixedScatter(whitener=Whitener.from_covariance(np.eye(6)).sketch(4)), n_components=2),
        TypeError,
        "a sketch already",
    ),
    "class": (Sketched(LedoitWolf, n_components=2), TypeError, r"pass LedoitWolf\(\)"),
    "no scatter": (Sketched(StandardScaler(), n_components=2), TypeError, "Sketched takes a scatter, with"),
    "name": (Sketched("empirical", n_components=2), TypeError, "'empirical'"),
    "k = p": (
        Sketched(LedoitWolf(), n_components=6),
        ValueError,
        "n_components = 6 .* n_features = 6: exact is",
    ),
    "k = rank": (
        Sketched(SpectralFilter("truncate", n_components=3), n_components=3),
        ValueError,
        r"the rank of the scatter = 3: exact is cheaper. Use the SpectralFilter without",
    ),
    "k from eps": (
        Sketched(LedoitWolf(), eps=0.1),
        ValueError,
        "eps, delta and n_points ask for k = .* exact",
    ),
    "k = 0": (Sketched(LedoitWolf(), n_components=0), ValueError, "n_components must be a positive integer"),
    "k share": (
        Sketched(LedoitWolf(), n_components=0.5),
        ValueError,
        "n_components must be a positive integer",
    ),
    "k truth": (Sketched(LedoitWolf(), n_components=True), ValueError, "n_components must be a positive"),
    "k name": (Sketched(LedoitWolf(), n_components="few"), ValueError, '"auto" or None'),
    "k and eps": (Sketched(LedoitWolf(), n_components=2, eps=0.5), ValueError, "pass one of them"),
    "eps": (Sketched(LedoitWolf(), eps=1.0), ValueError, "eps must lie strictly between 0 and 1"),
    "eps of many": (Sketched(LedoitWolf(), eps=[0.5, 0.6]), ValueError, "eps must be one number"),
    "delta": (Sketched(LedoitWolf(), n_components=2, delta=1), ValueError, "delta must be a number strictly"),
    "n_points": (
        Sketched(LedoitWolf(), n_components=2, n_points=0),
        ValueError,
        "n_points must be a positive",
    ),
    "kind": (
        Sketched(LedoitWolf(), n_components=2, kind="dct"),
        ValueError,
        "kind must be one of 'gaussian'",
    ),
    "seed": (Sketched(LedoitWolf(), n_components=2, random_state=-1), ValueError, "non-negative"),
    "seed text": (Sketched(LedoitWolf(), n_components=2, random_state="a"), ValueError, "random_state takes"),
    "inner parameter": (Sketched(ShrunkCovariance(shrinkage=7), n_components=2), ValueError, "shrinkage"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    scatter, error, match = BAD[name]
    with pytest.raises(error, match=match):
        scatter.fit(draw(30, 6))
    assert not hasattr(scatter, "whitener_")


def test_bad_intervals():
    X = draw(30, 6)
    scatter = Sketched(LedoitWolf(), n_components=2).fit(X)
    for level in (0.0, 1.0, -1, np.nan, "95 %", [0.5]):
        with pytest.raises(ValueError, match="level must be a number strictly between 0 and 1"):
            scatter.distance_interval(X, level)
    for kind in MAP_KINDS[1:]:
        with pytest.raises(ValueError, match='fit with kind="gaussian"'):
            Sketched(LedoitWolf(), n_components=2, kind=kind).fit(X).distance_interval(X)
