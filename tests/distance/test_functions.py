"""`mahalanobis`, `cdist`, `pdist` against their twins, SciPy and scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance
from strategies import covariances, generators, lay_out, rows, shapes

import fmahal
from fmahal import Whitener


def scatter(rng, p):
    A = rng.standard_normal((p, p + 4))
    return A @ A.T / p + 0.2 * np.eye(p)


def tolerance(dtype, whitener):
    return 200 * np.finfo(dtype).eps * whitener.condition_number**0.5 + 1e-12


@given(st.data())
def test_mahalanobis_over_dtype_layout_and_scale(data):
    n, p = data.draw(shapes(min_n=1, max_p=20))
    covariance = data.draw(covariances(p, max_log_condition=3.0))
    sd = np.sqrt(np.diagonal(covariance))
    X = data.draw(rows(n, p, dtype=np.float64))
    X = lay_out(np.asarray(X) * sd, data.draw(st.sampled_from(("C", "F", "strided", "readonly", "reversed"))))
    location = X.mean(axis=0)
    before = np.array(X)
    got = fmahal.mahalanobis(X, location, covariance=covariance, squared=True)
    want = reference.squared_distance(X, location, covariance)
    assert got.dtype == np.float64
    bound = 1e-9 * (np.abs(np.asarray(X) / sd).max() ** 2 + 1) + 1e-9 * want
    assert (np.abs(got - want) <= bound).all()
    assert (got >= 0).all()
    assert np.array_equal(np.asarray(X), before)


@given(st.data())
def test_float32_rows_give_float32_distances(data):
    n, p = data.draw(shapes(min_n=1))
    rng = data.draw(generators())
    covariance = scatter(rng, p)
    X = data.draw(rows(n, p, dtype=np.float32))
    location = rng.standard_normal(p)
    got = fmahal.mahalanobis(X, location, covariance=covariance)
    assert got.dtype == np.float32
    wide = fmahal.mahalanobis(np.asarray(X, dtype=float), location, covariance=covariance)
    np.testing.assert_allclose(got, wide, rtol=4 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("p", [1, 2, 16, 17, 60])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cdist_and_pdist_equal_scipy(p, dtype):
    rng = np.random.default_rng(p)
    covariance = scatter(rng, p)
    precision = np.linalg.inv(covariance)
    A = rng.standard_normal((50, p)).astype(dtype)
    B = rng.standard_normal((30, p)).astype(dtype)
    rtol = 1e-9 if dtype == np.float64 else 1e-5
    want = scipy_distance.cdist(A, B, "mahalanobis", VI=precision)
    got = fmahal.cdist(A, B, covariance=covariance)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=rtol)
    np.testing.assert_allclose(fmahal.cdist(A, B, precision=precision, squared=True), want**2, rtol=2 * rtol)
    wide = scipy_distance.pdist(A, "mahalanobis", VI=precision)
    np.testing.assert_allclose(fmahal.pdist(A, covariance=covariance), wide, rtol=rtol)


@given(st.data())
def test_cdist_equals_its_twin_and_keeps_the_axioms(data):
    n, p = data.draw(shapes(max_n=20, max_p=24))
    rng = data.draw(generators())
    covariance = scatter(rng, p)
    X = rng.standard_normal((n, p)) + data.draw(st.sampled_from((0.0, 1e3, 1e6)))
    D = fmahal.cdist(X, X, covariance=covariance)
    wanted = np.sqrt(reference.cross_squared_distance(X, X, covariance))
    np.testing.assert_allclose(D, wanted, rtol=1e-8, atol=1e-8 * max(wanted.max(), 1e-300))
    assert (np.diagonal(D) == 0).all()
    np.testing.assert_allclose(D, D.T, rtol=1e-9)
    assert (D[:, None, :] <= D[:, :, None] + D[None] + 1e-9 * D.max(initial=0.0)).all()
    np.testing.assert_allclose(
        scipy_distance.squareform(fmahal.pdist(X, covariance=covariance)), D, rtol=1e-7, atol=1e-9 * D.max()
    )


def test_near_duplicates_far_from_the_origin_keep_their_digits():
    """The expansion |a|^2 + |b|^2 - 2 a.b would return noise, or a negative square."""
    rng = np.random.default_rng(0)
    p = 40
    X = 1e4 * rng.standard_normal((30, p))
    Y = X + 1e-5 * rng.standard_normal((30, p))
    got = np.diagonal(fmahal.cdist(X, Y, covariance=np.eye(p)))
    np.testing.assert_allclose(got, np.linalg.norm(X - Y, axis=1), rtol=1e-5)


@given(st.data())
def test_affine_equivariance(data):
    n, p = data.draw(shapes(max_p=8))
    rng = data.draw(generators())
    covariance = scatter(rng, p)
    A = np.linalg.qr(rng.standard_normal((p, p)))[0] * rng.uniform(0.5, 2.0, p)
    X, shift = rng.standard_normal((n, p)), rng.standard_normal(p)
    np.testing.assert_allclose(
        fmahal.mahalanobis(X @ A.T + shift, shift, covariance=A @ covariance @ A.T),
        fmahal.mahalanobis(X, covariance=covariance),
        rtol=1e-8,
    )


def test_all_scatters_agree_and_a_vector_gives_a_number():
    rng = np.random.default_rng(1)
    covariance = scatter(rng, 5)
    x, m = rng.standard_normal((2, 5))
    want = scipy_distance.mahalanobis(x, m, np.linalg.inv(covariance))
    for options in (
        {"covariance": covariance},
        {"precision": np.linalg.inv(covariance)},
        {"factor": np.linalg.cholesky(covariance)},
        {"whitener": Whitener.from_covariance(covariance)},
    ):
        got = fmahal.mahalanobis(x, m, **options)
        assert isinstance(got, float)
        assert got == pytest.approx(want, rel=1e-12)
    assert fmahal.mahalanobis(x, m, covariance=covariance, squared=True) == pytest.approx(want**2)


def test_integers_become_float64_and_out_is_used():
    out = np.empty(2)
    got = fmahal.mahalanobis([[2, 1], [0, 3]], covariance=[[4, 0], [0, 1]], out=out)
    assert got is out
    np.testing.assert_allclose(out, [np.sqrt(2), 3.0])
    table = np.empty((1, 2))
    assert fmahal.cdist([[0, 0]], [[2, 0], [0, 1]], covariance=[[4, 0], [0, 1]], out=table) is table


def test_singular_covariance_follows_outside():
    covariance, X = np.ones((2, 2)), [[1.0, 1.0], [1.0, -1.0]]
    np.testing.assert_allclose(fmahal.mahalanobis(X, covariance=covariance), [1.0, 0.0], atol=1e-8)
    np.testing.assert_allclose(fmahal.mahalanobis(X, covariance=covariance, outside="inf"), [1.0, np.inf])
    with pytest.raises(fmahal.OutsideSubspaceError):
        fmahal.mahalanobis(X, covariance=covariance, outside="raise")


def test_squares_beyond_the_largest_float():
    got = fmahal.mahalanobis([[1e300, 1e300], [1.0, 0.0]], covariance=np.eye(2))
    np.testing.assert_allclose(got, [np.sqrt(2) * 1e300, 1.0])
    assert fmahal.mahalanobis([1e300, 0.0], covariance=np.eye(2), squared=True) == np.inf


def test_empty_input_gives_empty_output():
    assert fmahal.mahalanobis(np.empty((0, 2)), covariance=np.eye(2)).shape == (0,)
    assert fmahal.cdist(np.empty((0, 2)), np.ones((3, 2)), covariance=np.eye(2)).shape == (0, 3)


BAD = {
    "two scatters": ({"covariance": np.eye(2), "precision": np.eye(2)}, "covariance and precision"),
    "no scatter": ({}, "none"),
    "not a whitener": ({"whitener": np.eye(2)}, "fmahal.Whitener"),
    "width": ({"covariance": np.eye(3)}, "3 x 3"),
    "location": ({"covariance": np.eye(2), "location": [1.0]}, r"location must have shape \(2,\)"),
    "location NaN": (
        {"covariance": np.eye(2), "location": [np.nan, 0.0]},
        "location contains NaN at position 0",
    ),
    "out": ({"covariance": np.eye(2), "out": np.empty(5)}, "out must be"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_are_named(case):
    options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        fmahal.mahalanobis(np.ones((3, 2)), **options)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_entries_are_found_from_the_output(bad):
    X = np.ones((5, 3))
    X[3, 1] = bad
    what = "NaN" if np.isnan(bad) else "infinity"
    for call in (
        lambda: fmahal.mahalanobis(X, covariance=np.eye(3)),
        lambda: fmahal.cdist(X, X, covariance=np.eye(3)),
        lambda: fmahal.pdist(X, covariance=np.eye(3)),
    ):
        with pytest.raises(ValueError, match=f"{what}.*rows 3 and columns 1"):
            call()


def test_text_and_complex_and_shape_are_refused():
    with pytest.raises(ValueError, match="not numbers"):
        fmahal.mahalanobis([["a", "b"]], covariance=np.eye(2))
    with pytest.raises(ValueError, match="complex"):
        fmahal.mahalanobis([[1j, 0.0]], covariance=np.eye(2))
    with pytest.raises(ValueError, match="shape"):
        fmahal.mahalanobis(np.ones((2, 2, 2)), covariance=np.eye(2))
    with pytest.raises(ValueError, match="two rows"):
        fmahal.pdist([[1.0, 2.0]], covariance=np.eye(2))


def test_results_do_not_depend_on_threads_or_blocks():
    """Bitwise: the reductions run inside one thread, in one order."""
    numba = pytest.importorskip("numba")
    rng = np.random.default_rng(2)
    X, covariance = rng.standard_normal((1000, 9)), scatter(rng, 9)
    want = fmahal.mahalanobis(X, covariance=covariance)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(fmahal.mahalanobis(X, covariance=covariance), want)
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(fmahal.mahalanobis(X[500:], covariance=covariance), want[500:])


THREADS = """
import threading, numpy as np, fmahal
X = np.random.default_rng(0).standard_normal((4000, 6))
want = fmahal.mahalanobis(X, covariance=np.eye(6))
bad = []
def work():
    for _ in range(30):
        if not np.array_equal(fmahal.mahalanobis(X, covariance=np.eye(6)), want):
            bad.append(1)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print("bad", len(bad))
"""


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_two_python_threads_in_one_kernel(layer):
    """numba's workqueue layer aborts the process here unless launches take turns."""
    import os

    result = subprocess.run(
        [sys.executable, "-c", THREADS],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "bad 0"


def test_import_loads_nothing_heavy():
    code = (
        "import sys, fmahal; "
        "print([m for m in ('numba', 'scipy', 'sklearn', 'skfda', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
