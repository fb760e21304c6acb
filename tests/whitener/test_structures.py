"""Every structure of the whitener against its dense twin, and the identities that tie its methods together."""

import pickle

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import SCALES, covariances, generators, shapes

from fmahal import NotPositiveDefiniteError, OutsideSubspaceError, Whitener
from fmahal.exceptions import DenseSizeError

RTOL = 1e-9


def banded(rng, p, k):
    band = 0.4 * rng.standard_normal((p, k))
    for j in range(min(k, p)):
        band[j, j:] = 0.0
    return band, rng.uniform(0.5, 2.0, p)


def make(kind, rng, p):
    """A whitener of the given structure and its dense covariance."""
    A = rng.standard_normal((p, p + 2))
    covariance = A @ A.T / p + 0.1 * np.eye(p)
    if kind == "covariance":
        return Whitener.from_covariance(covariance), covariance
    if kind == "precision":
        return Whitener.from_precision(np.linalg.inv(covariance)), covariance
    if kind == "cholesky":
        return Whitener.from_cholesky(np.linalg.cholesky(covariance)), covariance
    if kind == "dense-modified-cholesky":
        band, var = banded(rng, p, p)
        T = reference.unit_lower_from_band(band)
        w = Whitener.from_modified_cholesky(T, var)
        return w, np.linalg.inv(reference.modified_cholesky_precision(T, var))
    if kind == "banded":
        band, var = banded(rng, p, max(1, min(3, p - 1)))
        T = reference.unit_lower_from_band(band)
        w = Whitener.from_modified_cholesky(band if p > 1 else T, var)
        return w, np.linalg.inv(reference.modified_cholesky_precision(T, var))
    if kind == "sequential":
        dual, columns = 0.3 * rng.standard_normal((2, p, 3))
        var = rng.uniform(0.5, 2.0, p)
        T = reference.unit_lower_from_dual(dual, columns)
        return Whitener.from_sequential(dual, columns, var), np.linalg.inv(
            reference.modified_cholesky_precision(T, var)
        )
    r = max(1, p // 2)
    V = np.linalg.qr(rng.standard_normal((p, p)))[0][:, :r]
    w, scale = rng.uniform(0.5, 3.0, r), rng.uniform(0.5, 2.0, p)
    ridge = 0.7
    return Whitener.from_eigh(w, V, ridge, scale=scale), reference.spectral_covariance(w, V, ridge, scale)


KINDS = ("covariance", "precision", "cholesky", "dense-modified-cholesky", "banded", "sequential", "spectral")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [1, 2, 9, 40])
def test_structure_equals_its_dense_twin(kind, p):
    rng = np.random.default_rng(p)
    w, covariance = make(kind, rng, p)
    X = rng.standard_normal((70, p))
    want = reference.squared_distance(X, np.zeros(p), covariance)
    np.testing.assert_allclose(w.sqnorm(X), want, rtol=1e-8)
    np.testing.assert_allclose((w.whiten(X) ** 2).sum(axis=1), want, rtol=1e-8)
    np.testing.assert_allclose((X * w.precision_dot(X)).sum(axis=1), want, rtol=1e-8)
    np.testing.assert_allclose(w.covariance, covariance, rtol=1e-7, atol=1e-9 * np.abs(covariance).max())
    identity = w.precision @ covariance
    np.testing.assert_allclose(identity, np.eye(p), atol=1e-8 * p * w.condition_number**0.5)
    assert w.logdet == pytest.approx(np.linalg.slogdet(covariance)[1], rel=1e-9, abs=1e-9)
    assert w.rank == p
    assert w.shape == (p, p)
    assert not w.off_subspace(X).any()
    assert not w.residual(X).any()


@pytest.mark.parametrize("kind", KINDS)
def test_color_inverts_whiten_and_adjoint_is_the_transpose(kind):
    rng = np.random.default_rng(3)
    p = 11
    w, _ = make(kind, rng, p)
    X, Z = rng.standard_normal((2, 8, p))
    np.testing.assert_allclose(w.color(w.whiten(X)), X, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(w.whiten(w.color(Z)), Z, rtol=1e-7, atol=1e-9)
    # <W x, z> = <x, W' z>
    np.testing.assert_allclose((w.whiten(X) * Z).sum(axis=1), (X * w.adjoint(Z)).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_scaled_covariance_divides_squared_distances(kind):
    rng = np.random.default_rng(4)
    w, covariance = make(kind, rng, 6)
    X = rng.standard_normal((5, 6))
    np.testing.assert_allclose(w.scaled(4.0).sqnorm(X), w.sqnorm(X) / 4.0, rtol=1e-12)
    assert w.scaled(4.0).logdet == pytest.approx(w.logdet + 6 * np.log(4.0))
    np.testing.assert_allclose(w.scaled(4.0).covariance, 4.0 * covariance, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", [*KINDS, "sketched"])
def test_pickle_keeps_numbers_and_immutability(kind):
    rng = np.random.default_rng(5)
    w, _ = make("covariance" if kind == "sketched" else kind, rng, 5)
    if kind == "sketched":
        w = w.sketch(3, random_state=0)
    copy = pickle.loads(pickle.dumps(w))
    X = rng.standard_normal((4, 5))
    assert np.array_equal(copy.sqnorm(X), w.sqnorm(X))
    assert repr(copy) == repr(w)
    with pytest.raises(AttributeError, match="immutable"):
        copy.outside = "inf"
    with pytest.raises(AttributeError, match="immutable"):
        del copy.outside
    arrays = [v for v in vars(copy._structure).values() if isinstance(v, np.ndarray)]
    assert arrays
    assert not any(a.flags.writeable for a in arrays)


@given(st.data())
def test_covariance_route_in_any_units(data):
    n, p = data.draw(shapes(max_p=20))
    covariance = data.draw(covariances(p))
    rng = data.draw(generators())
    sd = np.sqrt(np.diagonal(covariance))
    X = rng.standard_normal((n, p)) * sd
    w = Whitener.from_covariance(covariance)
    assert w.rank == p
    want = reference.squared_distance(X, np.zeros(p), covariance)
    np.testing.assert_allclose(w.sqnorm(X), want, rtol=100 * np.finfo(float).eps * w.condition_number + 1e-12)


@given(st.data())
def test_rank_is_judged_on_the_correlation_scale(data):
    p = data.draw(st.integers(3, 12))
    rank = data.draw(st.integers(1, p - 1))
    rng = data.draw(generators())
    units = np.array([data.draw(st.sampled_from(SCALES)) for _ in range(p)])
    A = rng.standard_normal((p, rank)) * units[:, None]
    covariance = A @ A.T
    w = Whitener.from_covariance(covariance)
    assert w.rank == rank
    inside = rng.standard_normal((5, rank)) @ A.T
    want = reference.squared_distance_on_range(inside, np.zeros(p), covariance, rank)
    np.testing.assert_allclose(w.sqnorm(inside), want, rtol=1e-6 * max(1.0, w.condition_number * 1e-8))
    assert not w.off_subspace(inside).any()
    outside = inside + units * rng.standard_normal((5, p))
    assert w.off_subspace(outside).all()


def test_outside_policies_on_a_singular_covariance():
    covariance = [[1.0, 1.0], [1.0, 1.0]]
    X = [[1.0, 1.0], [1.0, 0.0]]
    assert np.isfinite(Whitener.from_covariance(covariance).sqnorm(X)).all()
    np.testing.assert_allclose(Whitener.from_covariance(covariance, outside="inf").sqnorm(X), [1.0, np.inf])
    with pytest.raises(OutsideSubspaceError, match="first row 1"):
        Whitener.from_covariance(covariance, outside="raise").sqnorm(X)
    with pytest.raises(OutsideSubspaceError):
        Whitener.from_covariance(covariance, outside="raise").whiten(X)
    np.testing.assert_allclose(
        Whitener.from_covariance(covariance).residual(X), [0.0, np.sqrt(0.5)], atol=1e-15
    )


def test_pseudo_determinant_of_a_tilted_range():
    units = np.array([1.0, 100.0, 0.01])
    A = np.array([[1.0], [2.0], [-1.0]]) * units[:, None]
    w = Whitener.from_covariance(A @ A.T)
    assert w.logdet == pytest.approx(np.log((A.T @ A).item()))


def test_zero_covariance_has_rank_zero():
    w = Whitener.from_covariance(np.zeros((2, 2)))
    assert w.rank == 0
    assert w.sqnorm([[1.0, 2.0]]).tolist() == [0.0]
    assert w.off_subspace([[1.0, 2.0], [0.0, 0.0]]).tolist() == [True, False]


def test_singular_precision_ignores_its_null_directions():
    P = np.array([[1.0, -1.0], [-1.0, 1.0]])
    w = Whitener.from_precision(P)
    assert w.rank == 1
    np.testing.assert_allclose(w.sqnorm([[1.0, 1.0], [1.0, -1.0]]), [0.0, 4.0], atol=1e-15)
    np.testing.assert_allclose(w.precision, P, atol=1e-15)


def test_singular_factor_goes_the_way_of_its_covariance():
    L = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert Whitener.from_cholesky(L).rank == 1


def test_negative_pivots_of_a_factor_do_not_matter():
    L = np.array([[-2.0, 0.0], [1.0, 3.0]])
    np.testing.assert_allclose(Whitener.from_cholesky(L).covariance, L @ L.T)


def test_spectral_with_small_ridge_keeps_digits():
    """|x|^2 - |V'x|^2 would lose them: the residual is formed explicitly at high condition."""
    rng = np.random.default_rng(8)
    p, r, ridge = 60, 5, 1e-9
    V = np.linalg.qr(rng.standard_normal((p, r)))[0]
    w = Whitener.from_eigh(np.ones(r), V, ridge)
    inside = rng.standard_normal((20, r)) @ V.T
    np.testing.assert_allclose(w.sqnorm(inside), (inside**2).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("rank_deficient", [False, True])
def test_scipy_round_trip(rank_deficient):
    rng = np.random.default_rng(9)
    A = rng.standard_normal((4, 2 if rank_deficient else 4))
    w = Whitener.from_covariance(A @ A.T)
    scipys = w.to_scipy()
    assert scipys.rank == w.rank
    X = rng.standard_normal((6, A.shape[1])) @ A.T
    np.testing.assert_allclose((scipys.whiten(X) ** 2).sum(axis=1), w.sqnorm(X), rtol=1e-8)
    np.testing.assert_allclose(Whitener.from_scipy(scipys).sqnorm(X), w.sqnorm(X), rtol=1e-8)
    assert scipys.log_pdet == pytest.approx(w.logdet)


def test_from_scipy_refuses_a_matrix():
    with pytest.raises(ValueError, match="from_covariance"):
        Whitener.from_scipy(np.eye(2))
    np.testing.assert_allclose(
        Whitener.from_scipy(stats.Covariance.from_diagonal([4.0, 1.0])).sqnorm([[2, 1]]), [2.0]
    )


def test_sketch_is_unbiased_with_the_stated_spread():
    rng = np.random.default_rng(10)
    w, _ = make("covariance", rng, 30)
    x = rng.standard_normal((1, 30))
    k, draws = 12, 400
    ratios = np.array([w.sketch(k, random_state=s).sqnorm(x)[0] for s in range(draws)]) / w.sqnorm(x)[0]
    spread = np.sqrt(2.0 / k)
    assert abs(ratios.mean() - 1.0) < 5 * spread / np.sqrt(draws)
    assert 0.8 * spread < ratios.std() < 1.25 * spread
    assert w.sketch(k, random_state=1).shape == (k, 30)


def test_sequential_and_banded_hold_no_square_array():
    p, m = 20_000, 3
    rng = np.random.default_rng(11)
    dual, columns = 0.01 * rng.standard_normal((2, p, m))
    w = Whitener.from_sequential(dual, columns, np.ones(p))
    assert sum(v.nbytes for v in vars(w._structure).values()) == (2 * p * m + p) * 8
    assert np.isfinite(w.sqnorm(rng.standard_normal((2, p)))).all()


def test_dense_matrix_of_a_huge_structure_is_refused():
    p = 10_000_000
    w = Whitener.from_modified_cholesky(np.zeros((p, 1)), np.ones(p))
    with pytest.raises(DenseSizeError, match="precision_dot"):
        _ = w.covariance
    with pytest.raises(MemoryError):
        _ = w.precision


@pytest.mark.parametrize("p", [224, 225])
def test_both_sides_of_the_switch_to_blas_agree(p):
    rng = np.random.default_rng(12)
    A = rng.standard_normal((p, p + 5))
    covariance = A @ A.T / p
    X = rng.standard_normal((130, p)).astype(np.float32)
    for w in (Whitener.from_covariance(covariance), Whitener.from_precision(np.linalg.inv(covariance))):
        d2 = w.sqnorm(X)
        assert d2.dtype == np.float32
        np.testing.assert_allclose(d2, w.sqnorm(X.astype(np.float64)), rtol=1e-5)
        np.testing.assert_allclose(d2, (w.whiten(X.astype(float)) ** 2).sum(axis=1), rtol=1e-5)


BAD = {
    "indefinite": (
        lambda: Whitener.from_covariance([[1.0, 2.0], [2.0, 1.0]]),
        NotPositiveDefiniteError,
        "indefinite",
    ),
    "negative variance": (lambda: Whitener.from_covariance([[-1.0]]), NotPositiveDefiniteError, r"\(0, 0\)"),
    "zero variance, covariance": (
        lambda: Whitener.from_covariance([[0.0, 1.0], [1.0, 1.0]]),
        NotPositiveDefiniteError,
        "zero",
    ),
    "indefinite precision": (
        lambda: Whitener.from_precision([[1.0, 2.0], [2.0, 1.0]]),
        NotPositiveDefiniteError,
        "precision is indefinite",
    ),
    "asymmetric": (lambda: Whitener.from_covariance([[1.0, 0.5], [0.2, 1.0]]), ValueError, "not symmetric"),
    "not square": (lambda: Whitener.from_covariance(np.ones((2, 3))), ValueError, "square"),
    "NaN": (lambda: Whitener.from_covariance([[1.0, np.nan], [np.nan, 1.0]]), ValueError, "NaN.*rows 0, 1"),
    "upper factor": (
        lambda: Whitener.from_cholesky([[1.0, 1.0], [0.0, 1.0]]),
        ValueError,
        "lower triangular",
    ),
    "not unit lower": (
        lambda: Whitener.from_modified_cholesky([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0]),
        ValueError,
        "unit lower",
    ),
    "band too long": (
        lambda: Whitener.from_modified_cholesky([[0.5], [0.5]], [1.0, 1.0]),
        ValueError,
        "row 0",
    ),
    "zero innovation variance": (
        lambda: Whitener.from_modified_cholesky([[0.0], [0.5]], [1.0, 0.0]),
        ValueError,
        "positive",
    ),
    "shapes": (lambda: Whitener.from_sequential([[1.0]], [[1.0], [1.0]], [1.0]), ValueError, "one shape"),
    "negative ridge": (lambda: Whitener.from_eigh([1.0], [[1.0]], ridge=-1.0), ValueError, "ridge"),
    "eigenvalue below minus the ridge": (
        lambda: Whitener.from_eigh([1.0, -1.0], np.eye(2), ridge=0.5),
        NotPositiveDefiniteError,
        "not positive",
    ),
    "negative eigenvalue": (
        lambda: Whitener.from_eigh([1.0, -1.0], np.eye(2)),
        NotPositiveDefiniteError,
        "-1",
    ),
    "scale": (lambda: Whitener.from_covariance(np.eye(2), scale=[1.0, 0.0]), ValueError, "positive"),
    "outside": (lambda: Whitener.from_covariance(np.eye(2), outside="drop"), ValueError, "outside"),
    "sketch too long": (
        lambda: Whitener.from_covariance(np.eye(3)).sketch(3),
        ValueError,
        "exact is cheaper",
    ),
    "sketch of a sketch": (
        lambda: Whitener.from_covariance(np.eye(9)).sketch(5).sketch(2),
        ValueError,
        "sketch already",
    ),
    "factor": (lambda: Whitener.from_covariance(np.eye(3)).scaled(0.0), ValueError, "positive"),
    "columns": (lambda: Whitener.from_covariance(np.eye(3)).sqnorm(np.ones((2, 2))), ValueError, "2 columns"),
    "infinite row": (
        lambda: Whitener.from_covariance(np.eye(2)).sqnorm([[0.0, 0.0], [np.inf, 0.0]]),
        ValueError,
        "infinity.*rows 1 and columns 0",
    ),
    "complex": (lambda: Whitener.from_covariance(np.eye(2)).sqnorm([[1j, 0.0]]), ValueError, "complex"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()
