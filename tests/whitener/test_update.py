"""`Whitener.update` against a factorisation of the changed covariance, and the kernel behind it."""

import pickle

import numpy as np
import pytest
import reference_updates as twin
from hypothesis import assume, given
from hypothesis import strategies as st
from reference_updates import positive_definite, same, spectral
from strategies import SCALES, covariances, generators

from fmahal import NotPositiveDefiniteError, Whitener
from fmahal._kernels.updates import cholesky_update
from fmahal._structures import Permuted, Stacked
from fmahal._structures._updates import block_rows
from fmahal._structures.filtered import Filtered

EPS = np.finfo(float).eps


def by_precision(covariance):
    sd = np.sqrt(np.diagonal(covariance))
    inverse = np.linalg.inv(covariance / np.outer(sd, sd)) / np.outer(
        sd, sd
    )  # units do not meet in the inversion
    return Whitener.from_precision(0.5 * (inverse + inverse.T))


FORMS = {"factor": Whitener.from_covariance, "whitening": by_precision}


# ---------------------------------------------------------------- the kernel


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 7, 8, 9, 30])
def test_kernel_is_the_factor_of_the_changed_matrix(p):
    rng = np.random.default_rng(p)
    L = np.linalg.cholesky(positive_definite(rng, p))
    x = rng.standard_normal(p)
    largest = 1.0 / float(x @ np.linalg.solve(L @ L.T, x))
    for weight in (2.5, 0.0, -0.3 * largest, -0.99 * largest):
        M = L + np.triu(np.full((p, p), np.nan), 1)  # the upper half is neither read nor written
        assert cholesky_update(M, x, weight) == 0
        np.testing.assert_allclose(np.tril(M), twin.changed_factor(L, x, weight), rtol=1e-10, atol=1e-13)
        assert np.isnan(M[np.triu_indices(p, 1)]).all()


def test_kernel_names_the_column_and_leaves_the_factor_of_a_failed_down_date():
    L = np.diag([1.0, 2.0, 3.0, 4.0, 5.0])
    M = L.copy()
    assert cholesky_update(M, np.array([0.5, 0.0, 3.1, 0.0, 1.0]), -1.0) == 3
    assert np.array_equal(M, L)
    assert cholesky_update(M, np.array([1.0, 0.0, 0.0, 0.0, 0.0]), -1.0) == 1  # singular is not definite
    assert np.array_equal(M, L)
    for weight in (1.0, -1.0):
        assert cholesky_update(L.copy(), np.array([0.0, np.nan, 0.0, 0.0, 0.0]), weight) == 2
    with np.errstate(over="ignore"):
        assert cholesky_update(L.copy(), np.array([0.0, 0.0, 1e200, 0.0, 0.0]), 1.0) == 3


def test_kernel_does_not_write_the_row():
    x = np.ones(6)
    assert cholesky_update(np.eye(6), x, 1.0) == 0
    assert np.array_equal(x, np.ones(6))


# ---------------------------------------------------------------- triangular


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_update_is_a_factorisation_of_the_changed_covariance(form, data):
    p = data.draw(st.integers(1, 12))
    covariance = data.draw(covariances(p, max_log_condition=8.0))
    rng = data.draw(generators())
    w = FORMS[form](covariance)
    x = rng.standard_normal(p) * np.sqrt(np.diagonal(covariance))
    scale = data.draw(st.sampled_from((1.0, 0.5, 7.0)))
    if data.draw(st.booleans()):
        weight, growth = data.draw(st.floats(1e-3, 1e3)), 1.0
    else:  # leave a share between 1e-4 and 1
        left = 10.0 ** data.draw(st.floats(-4.0, 0.0))
        weight, growth = -(1.0 - left) * scale / float(w.sqnorm(x)[0]), 1.0 / left
    changed = twin.changed_covariance(covariance, x, weight, scale)
    updated = w.update(x, weight, scale=scale)
    # Either route, and the twin, err by rounding times the condition of what they start from over the share left.
    rtol = 100 * p * EPS * max(w.condition_number * growth, updated.condition_number) + 1e-12
    L = np.linalg.cholesky(changed / np.outer(*2 * [np.sqrt(np.diagonal(changed))]))
    rows = (L @ rng.standard_normal((p, 5))).T * np.sqrt(np.diagonal(changed))
    fresh = Whitener.from_covariance(changed)
    np.testing.assert_allclose(updated.sqnorm(rows), fresh.sqnorm(rows), rtol=rtol)
    assert abs(updated.logdet - fresh.logdet) <= p * rtol
    assert updated.kind == "triangular"
    assert updated.rank == p


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_a_row_that_enters_and_leaves_changes_nothing(form, data):
    p = data.draw(st.integers(1, 12))
    w = FORMS[form](data.draw(covariances(p, max_log_condition=8.0)))
    rng = data.draw(generators())
    x = w.color(rng.standard_normal((1, p)))[0]
    weight = data.draw(st.floats(1e-3, 1e3))
    entered, growth = w.update(x, weight), w.downdate_margin(x, weight)
    margin = 1.0 / growth
    assert entered.downdate_margin(x, -weight) == pytest.approx(
        margin, abs=100 * p * EPS * entered.condition_number
    )
    if margin < 100 * EPS * entered.condition_number:
        assume(margin < EPS * entered.condition_number)  # between the two the rule may go either way
        with pytest.raises(NotPositiveDefiniteError):
            entered.update(x, -weight)
        return
    back = entered.update(x, -weight)
    rows = w.color(rng.standard_normal((5, p)))
    rtol = 100 * p * EPS * w.condition_number * growth + 1e-12
    np.testing.assert_allclose(back.sqnorm(rows), w.sqnorm(rows), rtol=rtol)
    assert abs(back.logdet - w.logdet) <= p * rtol


@pytest.mark.parametrize("form", FORMS)
def test_determinant_lemma_and_margin(form):
    rng = np.random.default_rng(1)
    covariance, x = positive_definite(rng, 6), rng.standard_normal(6)
    w = FORMS[form](covariance)
    for weight, scale in ((0.7, 1.0), (2.0, 0.3), (-0.01, 1.0), (-0.01, 2.0)):
        margin = w.downdate_margin(x, weight, scale=scale)
        assert margin == pytest.approx(1.0 + weight * w.sqnorm(x)[0] / scale, rel=1e-12)
        want = twin.changed_logdet(covariance, x, weight, scale)
        assert w.update(x, weight, scale=scale).logdet == pytest.approx(want, rel=1e-10)
    X, weights = rng.standard_normal((3, 6)), np.array([0.4, -0.02, -0.01])
    want = twin.margin(covariance, X, weights, 2.0)
    assert w.downdate_margin(X, weights, scale=2.0) == pytest.approx(want, rel=1e-9)
    assert w.downdate_margin(np.empty((0, 6))) == 1.0


@pytest.mark.parametrize("form", [*FORMS, "ridge"])
def test_two_hundred_changes_equal_a_fresh_factorisation(form):
    rng = np.random.default_rng(2)
    p = 10
    w = spectral(rng, p, 3, 0.4) if form == "ridge" else FORMS[form](positive_definite(rng, p))
    covariance, inside = w.covariance, []
    for _ in range(200):
        scale = rng.uniform(0.97, 1.03)
        if len(inside) > 10 or (inside and rng.random() < 0.4):
            x, weight = inside.pop(rng.integers(len(inside)))
            weight = -weight
        else:
            x, weight = rng.standard_normal(p), rng.uniform(0.05, 0.3)
        inside = [(y, scale * v) for y, v in inside]
        if weight > 0:
            inside.append((x, weight))
        else:
            weight *= scale
        w = w.update(x, weight, scale=scale)
        covariance = twin.changed_covariance(covariance, x, weight, scale)
    same(w, covariance, rng, 1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("r", [0, 1, block_rows(5) - 1, block_rows(5), 40])
def test_many_rows_by_either_route(form, r):
    rng = np.random.default_rng(r)
    covariance, X = positive_definite(rng, 5), rng.standard_normal((r, 5))
    weights = rng.uniform(0.0, 0.5, r)
    w = FORMS[form](covariance).update(X, weights, scale=0.8)
    same(w, twin.changed_covariance(covariance, X, weights, 0.8), rng, 1e-11)
    assert (np.diagonal(w._structure.matrix) > 0).all()
    assert not np.triu(w._structure.matrix, 1).any()


@pytest.mark.parametrize("form", [*FORMS, "ridge"])
def test_rows_that_enter_and_rows_that_leave_at_once(form):
    rng = np.random.default_rng(4)
    w = spectral(rng, 6, 2, 0.4) if form == "ridge" else FORMS[form](positive_definite(rng, 6))
    x = rng.standard_normal(6)
    leaves = -1.5 / w.sqnorm(x)[0]  # alone it would take more than there is
    with pytest.raises(NotPositiveDefiniteError):
        w.update(x, leaves)
    X = np.vstack([x, rng.standard_normal((3, 6)), x])
    weights = np.array([leaves, 0.5, 0.0, -0.01, -leaves])
    same(w.update(X, weights), twin.changed_covariance(w.covariance, X, weights), rng, 1e-10)


# ---------------------------------------------------------------- down-dates that leave nothing


@pytest.mark.parametrize("form", [*FORMS, "ridge"])
def test_down_date_to_singular_is_an_error_with_its_margin(form):
    rng = np.random.default_rng(5)
    w = spectral(rng, 5, 2, 0.4) if form == "ridge" else FORMS[form](positive_definite(rng, 5))
    x = w.color(np.eye(w.shape[0])[:1])[0]  # at distance one
    for weight in (-1.0, -1.0 + 1e-15, -1.2):
        with pytest.raises(NotPositiveDefiniteError, match=r"share of .*downdate_margin"):
            w.update(x, weight)
    assert w.downdate_margin(x, -1.2) == pytest.approx(-0.2, rel=1e-9)
    left = w.update(x, -1.0 + 1e-6)
    assert left.sqnorm(x)[0] == pytest.approx(1e6, rel=1e-6)
    with pytest.raises(NotPositiveDefiniteError, match=r"share of -0\.4"):
        w.update(x, -0.7, scale=0.5)


def test_what_counts_as_nothing_grows_with_the_condition():
    U = np.diag([1.0, 1e-6])
    good = Whitener.from_covariance(np.eye(2))
    bad = Whitener.from_cholesky([[1.0, 0.0], [1.0, 1e-6]])  # condition 4e12
    for w, refused in ((good, False), (bad, True)):
        x = w.color([[0.0, 1.0]])[0]
        if refused:
            with pytest.raises(NotPositiveDefiniteError):
                w.update(x, -1.0 + 1e-4)
        else:
            assert w.update(x, -1.0 + 1e-4).sqnorm(x)[0] == pytest.approx(1e4, rel=1e-8)
    diagonal = Whitener.from_cholesky(U)  # unequal units are no bad condition
    assert diagonal.update([0.0, 1e-6], -1.0 + 1e-4).sqnorm([0.0, 1e-6])[0] == pytest.approx(1e4, rel=1e-8)


def test_margins_of_one_call_add_up():
    w = Whitener.from_covariance(np.eye(3))
    x = np.array([1.0, 0.0, 0.0])
    with pytest.raises(NotPositiveDefiniteError, match="rows of negative weight together leave"):
        w.update(np.vstack([x, x]), [-1.0 + 1e-9, -1e-9])  # together they take everything
    with pytest.raises(NotPositiveDefiniteError, match="row 0 of x"):
        w.update(np.vstack([x, 2 * x]), [-1.0, 0.0])


@pytest.mark.parametrize("form", FORMS)
def test_steps_that_each_leave_half_may_leave_nothing_together(form):
    w = FORMS[form](np.eye(3))
    halves = 0.5 ** np.arange(1.0, 51.0)
    X = np.tile([0.0, 1.0, 0.0], (50, 1))
    left = w.update(X[:40], -halves[:40])
    assert left.sqnorm(X[:1])[0] == pytest.approx(2.0**40, rel=1e-3)
    with pytest.raises(NotPositiveDefiniteError, match="together leave"):
        w.update(X, -halves)


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_different_directions_are_judged_by_the_one_that_loses_most(form):
    p = 40
    w = FORMS[form](np.eye(p))
    left = w.update(np.eye(p), -0.95)
    assert w.downdate_margin(np.eye(p), -0.95) == pytest.approx(0.05)
    np.testing.assert_allclose(left.covariance, 0.05 * np.eye(p), rtol=1e-12, atol=1e-15)
    assert left.logdet == pytest.approx(p * np.log(0.05), rel=1e-12)
    with pytest.raises(NotPositiveDefiniteError, match="a share of -0"):
        w.update(np.eye(p), np.where(np.arange(p) == 17, -1.05, -0.95))
    with pytest.raises(NotPositiveDefiniteError), np.errstate(over="ignore"):
        w.update(np.full((3, p), 1e200), -1.0)
    for scale in (0.2, 5.0):  # the share is one of what the scale leaves
        np.testing.assert_allclose(
            w.update(np.eye(p), -0.95 * scale, scale=scale).covariance,
            0.05 * scale * np.eye(p),
            rtol=1e-12,
            atol=1e-15,
        )
        with pytest.raises(NotPositiveDefiniteError, match=r"together leave a share of -0\.05"):
            w.update(np.eye(p), -1.05 * scale, scale=scale)


@pytest.mark.parametrize("form", [*FORMS, "ridge"])
@pytest.mark.parametrize(("p", "r"), [(1, 3), (4, 2), (10, 10), (5, 30), (40, 7)])
def test_removals_down_to_any_margin_above_the_limit_are_accepted(form, p, r):
    rng = np.random.default_rng([p, r])
    for left in (0.5, 0.05, 1e-3, 1e-6, 1e-9):
        w = spectral(rng, p, p // 2, 0.4) if form == "ridge" else FORMS[form](positive_definite(rng, p))
        X, weights = rng.standard_normal((r, p)), -rng.uniform(0.2, 1.0, r)
        weights *= (1.0 - left) / (1.0 - w.downdate_margin(X, weights))
        changed = twin.changed_covariance(w.covariance, X, weights)
        updated = w.update(X, weights)
        error = 100 * p * EPS * w.condition_number / left
        rows = rng.standard_normal((4, p))
        want = np.einsum("ij,ji->i", rows, np.linalg.solve(changed, rows.T))
        np.testing.assert_allclose(updated.sqnorm(rows), want, rtol=error)
        with pytest.raises(NotPositiveDefiniteError, match="share of"):
            w.update(X, weights * (1.0 + 1e-6) / (1.0 - left))


# ---------------------------------------------------------------- conventions


@pytest.mark.parametrize("kind", [*FORMS, "ridge", "flat"])
def test_the_old_whitener_stays_as_it_is(kind):
    rng = np.random.default_rng(6)
    flat = spectral(rng, 6, 3, 0.0)
    w = {"ridge": spectral(rng, 6, 2, 0.5), "flat": flat}.get(kind)
    w = w or FORMS[kind](positive_definite(rng, 6))
    before, X = pickle.dumps(w), rng.standard_normal((120, 6))
    weights = np.full(120, 0.5)
    given = X.copy()
    results = [w.update(X[0], 0.5), w.update(X, weights), w.update(X[:2], [0.4, 0.0], scale=2.0)]
    results.append(results[0].update(X[0], -0.25))
    assert pickle.dumps(w) == before
    assert np.array_equal(X, given)
    for result in results:
        assert isinstance(result, Whitener)
        arrays = [v for v in vars(result._structure).values() if isinstance(v, np.ndarray)]
        assert arrays
        assert not any(a.flags.writeable for a in arrays)
        copy = pickle.loads(pickle.dumps(result))
        assert np.array_equal(copy.sqnorm(X), result.sqnorm(X))
    assert w.with_outside("inf").update(X[0]).outside == "inf"


@pytest.mark.parametrize("form", [*FORMS, "ridge"])
@pytest.mark.parametrize("unit", SCALES)
def test_units_change_nothing(form, unit):
    rng = np.random.default_rng(7)
    covariance, X = positive_definite(rng, 5), rng.standard_normal((4, 5))
    if form == "ridge":
        V = np.linalg.qr(rng.standard_normal((5, 2)))[0]
        plain = Whitener.from_eigh([2.0, 1.0], V, 0.3)
        other = Whitener.from_eigh([2.0 * unit**2, unit**2], V, 0.3 * unit**2)
    else:
        plain, other = FORMS[form](covariance), FORMS[form](covariance * unit**2)
    weights = np.array([0.3, 2.0, -0.001])
    a, b = plain.update(X[:3], weights), other.update(unit * X[:3], weights)
    np.testing.assert_allclose(b.sqnorm(unit * X), a.sqnorm(X), rtol=1e-9)
    x = plain.color(np.eye(5)[1:2])[0]
    for left in (1e-12, -1e-12):
        if left > 0:
            other.update(unit * x, -1.0 + left)
        else:
            with pytest.raises(NotPositiveDefiniteError):
                other.update(unit * x, -1.0 + left)


def test_float32_and_integer_rows():
    w = Whitener.from_covariance(np.diag([4.0, 1.0]))
    for x in (np.array([2, 1]), np.array([2, 1], dtype=np.float32), [[2, 1]]):
        np.testing.assert_allclose(w.update(x).covariance, [[8.0, 2.0], [2.0, 2.0]], rtol=1e-14)


def test_permuted_columns_are_updated_in_their_order():
    rng = np.random.default_rng(8)
    covariance, x = positive_definite(rng, 5), rng.standard_normal(5)
    order = np.array([3, 0, 4, 1, 2])
    inner = Whitener.from_covariance(covariance[np.ix_(order, order)])._structure
    w = Whitener(Permuted(inner, order))
    updated = w.update(x, 0.6, scale=1.1)
    assert updated.kind == "permuted"
    same(updated, twin.changed_covariance(covariance, x, 0.6, 1.1), rng, 1e-11)
    assert w.downdate_margin(x, -0.1) == pytest.approx(1.0 - 0.1 * w.sqnorm(x)[0], rel=1e-12)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("method", ["update", "downdate_margin"])
def test_bad_input_is_named(method):
    call = getattr(Whitener.from_covariance(np.eye(3)), method)
    x = np.ones(3)
    with pytest.raises(ValueError, match="x has 2 columns, expected 3"):
        call(np.ones(2))
    with pytest.raises(ValueError, match="x must be a vector or an"):
        call(np.ones((1, 1, 3)))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="x contains"):
            call([1.0, bad, 0.0])
        with pytest.raises(ValueError, match="weight"):
            call(x, bad)
        with pytest.raises(ValueError, match="scale must be a positive finite number"):
            call(x, scale=bad)
    with pytest.raises(ValueError, match="one for each of the 1 rows"):
        call(x, [1.0, 2.0])
    with pytest.raises(ValueError, match="one for each of the 2 rows"):
        call(np.ones((2, 3)), np.ones((2, 1)))
    for scale in (0.0, -1.0, "a"):
        with pytest.raises(ValueError, match="scale must be a positive finite number"):
            call(x, scale=scale)


@pytest.mark.parametrize("form", [*FORMS, "ridge"])
def test_overflow_is_an_error(form):
    rng = np.random.default_rng(13)
    w = spectral(rng, 3, 1, 0.5) if form == "ridge" else FORMS[form](np.eye(3))
    for r in (1, block_rows(3)):
        with pytest.raises(ValueError, match="floating-point range"), np.errstate(over="ignore"):
            w.update(np.full((r, 3), 1e200))


def test_structures_that_cannot_be_updated_say_what_can():
    rng = np.random.default_rng(14)
    dense = Whitener.from_covariance(positive_definite(rng, 4))
    V = np.linalg.qr(rng.standard_normal((4, 2)))[0]
    refusing = [
        Whitener.from_modified_cholesky([[0.0], [0.5], [0.5], [0.5]], np.ones(4)),
        Whitener.from_sequential(0.1 * np.ones((4, 2)), np.ones((4, 2)), np.ones(4)),
        dense.sketch(2, random_state=0),
        Whitener(Stacked((dense._structure, dense._structure))),
        Whitener(Filtered(np.array([2.0, 1.0]), V, 0.0, None, 0.0, None, 1e-12)),
    ]
    for w in refusing:
        with pytest.raises(ValueError, match=r"cannot be updated.*from_covariance"):
            w.update(np.ones(4))
