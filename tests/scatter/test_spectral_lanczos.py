"""Lanczos steps on rows: the kernels against plain NumPy, and what the steps may not miss."""

import numpy as np
import pytest

from fmahal import AmbiguousFitWarning, SpectralFilter
from fmahal._kernels.lanczos import CHUNKS, add_products, chunks_of, lanczos_steps, moments_about
from fmahal._kernels.pairs import cross_columns
from fmahal._validation import readonly
from fmahal.scatter import _spectral_lanczos
from fmahal.scatter._spectral_lanczos import leading_by_lanczos, leading_in_cache, mean_and_total


def rows(n, p, seed=0, decay=1.5):
    """Rows far from zero whose singular values fall off."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return (rng.standard_normal((n, p)) * decay ** -np.arange(p)) @ basis + rng.standard_normal(p) * 3.0


def designed(values, n, seed=0):
    """Centred rows with exactly these squared singular values."""
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((n, len(values)))
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    right = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    return (left * np.sqrt(values)) @ right


def reference_steps(X, location, start, known, count):
    """The textbook: orthogonalise the product against everything so far."""
    C = np.asarray(X, dtype=np.float64) - location
    basis, alpha, beta = [*known, start], [], []
    for _ in range(count):
        v = basis[-1]
        w = C.T @ (C @ v)
        alpha.append(w @ v)
        B = np.array(basis)
        for _ in range(2):
            w = w - B.T @ (B @ w)
        beta.append(np.linalg.norm(w))
        basis.append(w / beta[-1])
    return np.array(basis), np.array(alpha), np.array(beta)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "p"), [(3, 5), (16, 1), (37, 8), (90, 11)])
def test_moments_of_chunks(n, p, dtype):
    X, origin = rows(n, p).astype(dtype), np.linspace(-1.0, 1.0, p)
    shifts, squares = np.full((chunks_of(n), p), np.nan), np.full(chunks_of(n), np.nan)
    moments_about(readonly(X), readonly(origin), shifts, squares)
    C = X.astype(np.float64) - origin
    np.testing.assert_allclose(shifts.sum(axis=0), C.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(squares.sum(), (C**2).sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("stop", [1, 4, 7, 30])
def test_products_of_rows(stop, dtype):
    X, location, v = rows(30, 9).astype(dtype), np.linspace(0.0, 1.0, 9), np.linspace(-2.0, 1.0, 9)
    out = np.ones(9)
    add_products(readonly(X), readonly(location), v, 0, stop, out)
    C = X[:stop].astype(np.float64) - location
    np.testing.assert_allclose(out, 1.0 + C.T @ (C @ v), rtol=1e-11)


@pytest.mark.parametrize("deflated", [0, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_are_those_of_the_textbook(deflated, dtype):
    n, p, count = 70, 12, 5
    X = rows(n, p).astype(dtype)
    location = X.mean(axis=0, dtype=np.float64)
    frame = np.linalg.qr(np.random.default_rng(1).standard_normal((p, deflated + 1)))[0].T
    basis = np.empty((deflated + count + 1, p))
    basis[: deflated + 1] = frame
    alpha, beta = np.empty(count), np.empty(count)
    state = readonly(X), readonly(location), basis, deflated, alpha, beta
    assert lanczos_steps(*state, 0, 2, np.empty((chunks_of(n), p))) == 2
    assert lanczos_steps(*state, 2, count, np.empty((chunks_of(n), p))) == count
    want = reference_steps(X, location, frame[-1], frame[:-1], count)
    for got, wanted in zip((basis, alpha, beta), want, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-9 * np.abs(wanted).max())
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-13)


def test_steps_stop_where_no_direction_is_left():
    X = np.vstack([np.diag([1.0, 2.0, 3.0]), -np.diag([1.0, 2.0, 3.0])])
    X = np.hstack([X, np.zeros((6, 7))])
    basis = np.zeros((9, 10))
    basis[0, :3] = 3.0**-0.5
    state = basis, 0, np.empty(8), np.empty(8)
    assert lanczos_steps(readonly(X), readonly(np.zeros(10)), *state, 0, 8, np.empty((1, 10))) == 3


def test_the_number_of_chunks_does_not_grow_with_the_rows():
    assert chunks_of(1) == 1
    assert chunks_of(10**7) == CHUNKS


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_mean_and_total(shift):
    X = rows(200, 20) + shift
    location, total = mean_and_total(X)
    np.testing.assert_allclose(location, X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(total, ((X - X.mean(axis=0)) ** 2).sum(), rtol=1e-8 if shift else 1e-13)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_leading_pairs_of_rows(scale):
    X = scale * rows(210, 200)
    location, total = mean_and_total(X)
    found = leading_by_lanczos(X, location, total, 4)
    _, roots, right = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found[0][:3], roots[:3] ** 2, rtol=1e-12)
    np.testing.assert_allclose(found[0][3], roots[3] ** 2, rtol=1e-5)
    np.testing.assert_allclose(np.abs(right[:3] @ found[1][:, :3]), np.eye(3), atol=1e-9)


def test_a_flat_spectrum_and_equal_values_at_the_cut_are_left_to_others():
    X = np.random.default_rng(0).standard_normal((210, 200))
    assert leading_by_lanczos(X, *mean_and_total(X), 4) is None
    X = designed(np.concatenate([[9.0, 5.0, 4.0, 4.0], 0.5 ** np.arange(196)]), 210)
    assert leading_by_lanczos(X, *mean_and_total(X), 4) is None


@pytest.mark.parametrize("K", [2, 5, 9])
def test_missed_copies_are_noticed(K):
    """Steps from one vector see one copy of a repeated value: the trace of the rest shows that there is another."""
    values = np.concatenate([[9.0, 9.0, 9.0, 5.0, 3.0, 3.0, 1.0, 0.9, 0.8, 0.5], 0.4 * 0.7 ** np.arange(390)])
    X = designed(values, 450)
    if K == 2:
        with pytest.warns(AmbiguousFitWarning, match="3"):
            found = SpectralFilter("truncate", n_components=K).fit(X)
    elif K == 5:
        with pytest.warns(AmbiguousFitWarning):
            found = SpectralFilter("truncate", n_components=K).fit(X)
    else:
        found = SpectralFilter("truncate", n_components=K).fit(X)
    np.testing.assert_allclose(found.eigenvalues_, values[:K] / 449, rtol=1e-10)


def test_only_rows_in_a_cache_are_worth_it(monkeypatch):
    X = rows(260, 250)
    monkeypatch.setattr(_spectral_lanczos, "threading_facts", lambda: {"jit": True})
    assert leading_in_cache(X, 60) is None
    assert leading_in_cache(np.ascontiguousarray(X.T), 4) is None
    monkeypatch.setattr(_spectral_lanczos, "_CACHED_BYTES", 8 * X.size - 1)
    assert leading_in_cache(X, 4) is None
    monkeypatch.setattr(_spectral_lanczos, "_CACHED_BYTES", 8 * X.size)
    assert leading_in_cache(X, 4)[3] is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_rows_that_are_not_finite_or_too_large(bad):
    X = rows(260, 250)
    X[17, 3] = bad
    with pytest.raises(ValueError, match="rows 17" if not np.isfinite(bad) else "largest float"):
        SpectralFilter(n_components=4).fit(X)


@pytest.mark.parametrize("r", [1, 3, 4, 5, 10])
def test_squared_distances_to_columns(r):
    rng = np.random.default_rng(r)
    Z, U = rng.standard_normal((7, r)), rng.standard_normal((5, r))
    U[2] = Z[3]
    out = np.full((7, 5), np.nan)
    cross_columns(readonly(Z), readonly(U.T), out)
    np.testing.assert_allclose(out, ((Z[:, None] - U) ** 2).sum(axis=2), rtol=1e-13)
    assert out[3, 2] == 0.0
    square = np.empty((7, 7))
    cross_columns(readonly(Z), readonly(Z.T), square)
    assert np.array_equal(square, square.T)
