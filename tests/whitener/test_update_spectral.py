"""`Whitener.update` of low rank plus ridge: against the dense twin, and without a p x p array."""

import tracemalloc

import numpy as np
import pytest
import reference_updates as twin
from hypothesis import given
from hypothesis import strategies as st
from reference_updates import spectral
from strategies import SCALES, generators

from fmahal import NotPositiveDefiniteError, OutsideSubspaceError, Whitener

EPS = np.finfo(float).eps


@given(data=st.data())
def test_spectral_update_equals_the_dense_one(data):
    p = data.draw(st.integers(1, 12))
    r, k = data.draw(st.integers(0, p)), data.draw(st.integers(1, 5))
    rng = data.draw(generators())
    unit = data.draw(st.sampled_from(SCALES))
    V = np.linalg.qr(rng.standard_normal((p, p)))[0][:, :r]
    values = 10.0 ** rng.uniform(-3, 3, r) * unit**2
    units = 10.0 ** rng.uniform(-3, 3, p) if data.draw(st.booleans()) else np.ones(p)
    w = Whitener.from_eigh(values, V, unit**2, scale=units)
    X = rng.standard_normal((k, p)) * units * unit
    if data.draw(st.booleans()):
        weights, growth = rng.uniform(0.1, 2.0, k), 1.0
    else:
        weights = -rng.uniform(0.1, 1.0, k)
        weights *= 0.9 / (1.0 - w.downdate_margin(X, weights))
        growth = 10.0
    updated = w.update(X, weights)
    changed = twin.changed_covariance(w.covariance / np.outer(units, units), X / units, weights)
    fresh = Whitener.from_covariance(changed, scale=np.full(p, unit))
    rows = rng.standard_normal((5, p)) * units * unit
    rtol = 200 * p * EPS * growth * max(w.condition_number, fresh.condition_number) + 1e-12
    np.testing.assert_allclose(updated.sqnorm(rows), fresh.sqnorm(rows / units), rtol=rtol)
    gained = updated._structure.vectors.shape[1]
    assert gained <= min(p, r + k)
    basis = updated._structure.vectors
    np.testing.assert_allclose(basis.T @ basis, np.eye(gained), atol=1e-12)


def test_wide_spectral_update_forms_no_square_array():
    rng = np.random.default_rng(9)
    p, r = 20_000, 12
    w = spectral(rng, p, r, 0.2, scaled=False)
    X = rng.standard_normal((3, p))
    tracemalloc.start()
    updated = w.update(X, 0.5)
    back = updated.update(X, -0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * 8 * p * (r + 3)
    assert updated._structure.vectors.shape == (p, r + 3)
    rows = rng.standard_normal((2, p))
    # Woodbury: the distance loses what the new rows explain
    cross, gram = w.precision_dot(X) @ rows.T, w.precision_dot(X) @ X.T
    explained = np.einsum("ij,ij->j", cross, np.linalg.solve(2.0 * np.eye(3) + gram, cross))
    np.testing.assert_allclose(updated.sqnorm(rows), w.sqnorm(rows) - explained, rtol=1e-10)
    np.testing.assert_allclose(back.sqnorm(rows), w.sqnorm(rows), rtol=1e-10)
    ratio = np.linalg.slogdet(np.eye(3) + 0.5 * gram)[1]
    assert updated.logdet == pytest.approx(w.logdet + ratio, rel=1e-12)
    assert w.downdate_margin(X[0], -0.5) == pytest.approx(1.0 - 0.5 * w.sqnorm(X[0])[0], rel=1e-12)


@pytest.mark.parametrize("scaled", [True, False])
def test_rank_grows_and_falls_without_a_ridge(scaled):
    rng = np.random.default_rng(10)
    p, r = 7, 3
    w = spectral(rng, p, r, 0.0, scaled)
    inside, off = w.color(rng.standard_normal((1, r)))[0], rng.standard_normal(p)
    same_span = w.update(inside, 0.7, scale=0.5)
    assert same_span.rank == r
    np.testing.assert_allclose(
        same_span.covariance, twin.changed_covariance(w.covariance, inside, 0.7, 0.5), rtol=1e-10, atol=1e-12
    )
    larger = w.update(off, 0.7)
    assert larger.rank == r + 1
    changed = twin.changed_covariance(w.covariance, off, 0.7)
    np.testing.assert_allclose(larger.covariance, changed, rtol=1e-10, atol=1e-12)
    assert larger.logdet == pytest.approx(np.log(np.linalg.eigvalsh(changed)[-r - 1 :]).sum(), rel=1e-9)
    assert not larger.off_subspace(off).any()
    back = larger.update(off, -0.7)  # it carried its direction alone
    assert back.rank == r
    np.testing.assert_allclose(back.covariance, w.covariance, rtol=1e-9, atol=1e-11)
    assert back.off_subspace(off).all()
    assert not back.off_subspace(inside).any()
    with pytest.raises(NotPositiveDefiniteError, match="off its subspace"):
        w.update(off, -0.1)
    assert w.downdate_margin(off, -0.1) == -np.inf
    assert w.downdate_margin(off, 0.1) > 1.0
    with pytest.raises(NotPositiveDefiniteError, match="share of"):
        w.update(inside, -2.0 / w.sqnorm(inside)[0])


@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_a_row_almost_in_the_span_adds_a_direction_orthogonal_to_it(ridge):
    rng = np.random.default_rng(15)
    V = np.linalg.qr(rng.standard_normal((8, 4)))[0]
    V, off = V[:, :3], V[:, 3]
    w = Whitener.from_eigh([3.0, 2.0, 1.0], V, ridge)
    x = V @ [1.0, -2.0, 0.5] + 1e-6 * off  # six digits of what the projection leaves of it are rounding
    basis = w.update(x)._structure.vectors
    assert basis.shape == (8, 4)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-14)


@pytest.mark.parametrize("unit", SCALES)
def test_rows_along_a_direction_lost_to_a_huge_row_are_inside(unit):
    V = np.linalg.qr(np.random.default_rng(16).standard_normal((6, 2)))[0]
    w = Whitener.from_eigh([unit**2, unit**2], V)
    kept, dropped = unit * V.T
    updated = w.update(1e10 * kept)
    assert updated.rank == 1  # beside the row the other direction is rounding
    assert not updated.off_subspace([kept, 0.9 * dropped, kept - 0.9 * dropped]).any()  # one of its own rows
    assert updated.off_subspace([3.0 * dropped]).all()


def test_all_rows_taken_out_leave_rank_zero():
    rng = np.random.default_rng(11)
    X = rng.standard_normal((2, 5))
    w = Whitener.from_eigh([], np.empty((5, 0))).update(X)
    assert w.rank == 2
    np.testing.assert_allclose(w.covariance, X.T @ X, rtol=1e-12, atol=1e-14)
    assert w.update(X, -1.0).rank == 0


def test_rows_off_the_subspace_follow_the_policy():
    rng = np.random.default_rng(12)
    w = spectral(rng, 6, 2, 0.0).with_outside("raise")
    inside, off = w.color(rng.standard_normal((1, 2)))[0], rng.standard_normal(6)
    assert w.update(inside).outside == "raise"
    with pytest.raises(OutsideSubspaceError, match="subspace"):
        w.update(off)
    assert w.update(np.vstack([inside, off]), [1.0, 0.0]).rank == 2  # a row of no weight is not asked
    assert w.with_outside("inf").update(off).rank == 3


def test_singular_precision_keeps_its_free_directions():
    w = Whitener.from_precision(np.diag([1.0, 0.25, 0.0]))
    updated = w.update([1.0, 2.0, 5.0], 1.0)
    dense = np.linalg.inv(np.diag([1.0, 4.0]) + np.outer([1.0, 2.0], [1.0, 2.0]))
    np.testing.assert_allclose(updated.precision[:2, :2], dense, rtol=1e-12)
    assert not updated.precision[2].any()
