"""The law of reference distances: a cut-off and a p-value are one rule, whatever the ties, and blocks do not matter."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmahal.nulls import _counts, _empirical_law
from fmahal.nulls._empirical_law import EmpiricalLaw, Pool
from fmahal.nulls._gpd import fit_tail

LEVELS = st.floats(0, 1) | st.integers(1, 60).flatmap(
    lambda m: st.integers(0, m).map(lambda k: k / m)  # levels that are ranks, where rounding decides
)
TIED = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=40)
ANY = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


def by_definition(reference, x, itself):
    count = sum(r >= x for r in reference)
    return max(1, count) / len(reference) if itself else (1 + count) / (len(reference) + 1)


@given(TIED | ANY, st.booleans())
def test_survival_is_the_rank(reference, itself):
    law = EmpiricalLaw(reference, itself=itself)
    x = np.array([*reference, *(np.array(reference) + 0.5), -1.0, np.inf])
    expected = [by_definition(reference, value, itself) for value in x]
    np.testing.assert_array_equal(law.sf(x), expected)
    np.testing.assert_array_equal(law.cdf(x), 1 - np.array(expected))
    assert law.size == len(reference)


@settings(max_examples=300)
@given(TIED | ANY, LEVELS, st.booleans())
def test_cutoff_and_pvalue_are_one_rule(reference, q, itself):
    law = EmpiricalLaw(reference, itself=itself)
    values = np.array(reference)
    x = np.concatenate(
        [values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf), values + 0.5, [0.0, 1e300]]
    )
    np.testing.assert_array_equal(x > law.isf(q), law.sf(x) <= q)
    np.testing.assert_array_equal(x > law.ppf(q), law.cdf(x) >= q)
    assert np.isinf(law.isf(q)) or law.isf(q) in reference  # the smallest such number, and a reference


def test_every_finite_distance_has_a_pvalue_of_at_most_one():
    law = EmpiricalLaw([1.0, 2.0])
    x = np.array([-1e308, 0.0, 3.0])
    np.testing.assert_array_equal(x > law.isf(1.0), law.sf(x) <= 1.0)
    assert law.isf(1.0) == -np.inf


@given(TIED, st.lists(LEVELS, min_size=2, max_size=10))
def test_monotone_and_never_zero(reference, levels):
    law = EmpiricalLaw(reference)
    x = np.sort(np.concatenate([reference, np.linspace(-1, 11, 50)]))
    assert (np.diff(law.sf(x)) <= 0).all()
    assert (law.sf(x) > 0).all()
    assert (law.isf(np.sort(levels))[:-1] >= law.isf(np.sort(levels))[1:]).all()


@pytest.mark.parametrize("size", [1, 98, 99, 100])
def test_too_few_references_have_no_cutoff(size):
    law = EmpiricalLaw(np.arange(size, dtype=float))
    # M >= 1/q - 1 references are needed: 99 for a level of 1 %.
    assert np.isinf(law.isf(0.01)) == (size < 99)
    assert np.isinf(law.standard_error(0.01)) or size >= 99


def test_missing_references_are_dropped():
    full = EmpiricalLaw([3.0, 1.0, 2.0])
    holes = EmpiricalLaw([[np.nan, 3.0], [1.0, np.nan], [np.nan, 2.0]])
    assert holes.size == 3
    np.testing.assert_array_equal(holes.sf([0.5, 1.0, 1.5, 3.5]), full.sf([0.5, 1.0, 1.5, 3.5]))


def test_shapes_and_missing_arguments():
    law = EmpiricalLaw(np.arange(10.0))
    assert law.sf(3.0).shape == law.isf(0.5).shape == law.ppf(0.5).shape == ()
    assert law.sf(np.zeros((2, 3))).shape == law.isf(np.full((2, 3), 0.5)).shape == (2, 3)
    assert law.sf([]).shape == law.isf([]).shape == (0,)
    assert np.isnan(law.sf(np.nan))
    assert np.isnan(law.isf(np.nan))


def test_the_callers_array_is_neither_sorted_nor_watched():
    reference = np.array([3.0, 1.0, 2.0])
    law = EmpiricalLaw(reference)
    reference[:] = 0
    assert law.sf(2.5) == 0.5
    np.testing.assert_array_equal(reference, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": []}, "no reference"),
        ({"reference": [[np.nan, np.nan]]}, "no reference"),
        ({"reference": np.zeros((1, 1, 1))}, "dimensions"),
        ({"reference": [1.0], "tail": "normal"}, "'gpd'"),
        ({"reference": np.arange(99.0), "tail": "gpd"}, "at least 100"),
        ({"reference": [1.0], "n_groups": 1}, "n_groups"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        EmpiricalLaw(**options)


# --- the tail


def heavy(size, seed=0):
    return stats.f(4, 8).rvs(size, random_state=seed)


@pytest.mark.parametrize("reference", [heavy(300), heavy(5000), np.random.default_rng(1).chisquare(3, 400)])
@pytest.mark.parametrize("itself", [False, True])
def test_tail_is_continuous_monotone_and_positive(reference, itself):
    law, plain = (EmpiricalLaw(reference, tail=tail, itself=itself) for tail in ("gpd", None))
    largest = reference.max()
    inside = np.append(np.sort(reference), largest)
    np.testing.assert_array_equal(law.sf(inside), plain.sf(inside))
    start = plain.sf(largest * 1.001)
    np.testing.assert_allclose(law.sf(np.nextafter(largest, np.inf)), start, rtol=1e-12)
    x = largest * np.geomspace(1 + 1e-9, 1e6, 200)
    assert (np.diff(law.sf(x)) <= 0).all()
    assert (np.diff(law.sf(x[x < 20 * largest])) < 0).all()
    assert (law.sf([*x, 1e300, np.inf]) > 0).all()


@settings(max_examples=100)
@given(st.floats(-250, -0.01), st.integers(0, 3), st.booleans())
def test_tail_is_inverted(log_q, seed, itself):
    law = EmpiricalLaw(heavy(200, seed), tail="gpd", itself=itself)
    q = 10.0**log_q
    t = law.isf(q)
    if np.isfinite(t):
        assert law.sf(np.nextafter(t, np.inf)) <= q
        assert law.sf(t) > q
        if q < 1 / 201:
            np.testing.assert_allclose(law.sf(t), q, rtol=1e-9)
    x = np.append(heavy(200, seed), [t, 2 * t, 30.0])
    np.testing.assert_array_equal(x > t, law.sf(x) <= q)


def test_quantile_in_the_tail():
    law = EmpiricalLaw(heavy(500), tail="gpd")
    for q in [0.9, 0.9999, 1 - 1e-9]:
        np.testing.assert_allclose(
            law.cdf(np.nextafter(law.ppf(q), np.inf)), q, rtol=1e-2 if q == 0.9 else 1e-12
        )


@pytest.mark.parametrize(("law", "log_error"), [(stats.chi2(5), 0.25), (stats.f(5, 10), 0.7)])
def test_tail_reaches_a_hundred_times_beyond(law, log_error):
    # Fits on 2000 draws; the point that one draw in 200000 exceeds. A stiff tail or none would miss it.
    errors = [
        np.log(EmpiricalLaw(law.rvs(2000, random_state=seed), tail="gpd").isf(5e-6) / law.isf(5e-6))
        for seed in range(30)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < log_error


def test_tail_of_exact_exceedances_has_their_parameters():
    shape, scale = 0.25, 3.0
    y = stats.genpareto(shape, scale=scale).ppf((np.arange(1, 20001) - 0.35) / 20000)
    tail = fit_tail(y, 10.0, 10.0 + y[-1], y.size)
    assert abs(tail.shape - shape) < 0.01
    np.testing.assert_allclose(tail.scale - tail.shape * y[-1], scale, rtol=0.01)
    short = stats.beta(5, 2).ppf((np.arange(1, 1001) - 0.35) / 1000)
    assert fit_tail(short, 0.0, short[-1], 1000).shape == 0.0


@pytest.mark.parametrize("infinite", [1, 3, 200])
def test_nothing_lies_beyond_infinite_references(infinite):
    reference = np.append(heavy(1000 - infinite), np.full(infinite, np.inf))
    law, plain = EmpiricalLaw(reference, tail="gpd"), EmpiricalLaw(reference)
    x = np.append(np.geomspace(0.1, 1e300, 50), np.inf)
    np.testing.assert_array_equal(law.sf(x), plain.sf(x))  # and no warning of a difference of infinities
    np.testing.assert_array_equal(law.isf([0.5, 0.01, 1e-4]), plain.isf([0.5, 0.01, 1e-4]))
    assert law.sf(1e300) == (1 + infinite) / 1001
    assert law.standard_error(1e-4) == np.inf


def test_tail_without_spread_is_no_tail():
    law = EmpiricalLaw([1.0] * 50 + [2.0] * 150, tail="gpd")
    assert law.sf(1e9) == 1 / 201
    assert np.isinf(law.isf(0.001))


@pytest.mark.parametrize("scale", [1e-8, 2.0**-30, 1e8])
@pytest.mark.parametrize("tail", [None, "gpd"])
def test_scale_equivariance(scale, tail):
    reference = heavy(2000).reshape(100, 20)
    law, scaled = EmpiricalLaw(reference, tail=tail), EmpiricalLaw(reference * scale, tail=tail)
    levels = [0.5, 0.01, 1e-3, 1e-5]
    x = np.geomspace(0.1, 1000, 50) * 1.01
    np.testing.assert_allclose(scaled.sf(x * scale), law.sf(x), rtol=1e-9)
    np.testing.assert_allclose(scaled.isf(levels), np.multiply(law.isf(levels), scale), rtol=1e-9)
    np.testing.assert_allclose(
        [scaled.standard_error(q) for q in levels], [scale * law.standard_error(q) for q in levels], rtol=1e-9
    )


# --- standard errors


def spread_of_cutoffs(draw, q, repeats=200, **options):
    cutoffs, errors = [], []
    for seed in range(repeats):
        law = EmpiricalLaw(draw(np.random.default_rng(seed)), **options)
        cutoffs.append(law.isf(q))
        errors.append(law.standard_error(q))
    # Half of what lies between the 16th and the 84th percentile: far cut-offs have a skew law.
    return np.diff(np.percentile(cutoffs, [15.87, 84.13]))[0] / 2, np.median(errors)


@pytest.mark.parametrize("q", [0.5, 0.1, 0.01])
def test_standard_error_of_independent_references(q):
    law = stats.chi2(4)
    actual, reported = spread_of_cutoffs(lambda rng: law.rvs(2000, random_state=rng), q)
    theory = np.sqrt(q * (1 - q) / 2000) / law.pdf(law.isf(q))
    np.testing.assert_allclose(actual, theory, rtol=0.25)
    np.testing.assert_allclose(reported, theory, rtol=0.25)


def dependent(rng):
    """Replicates whose distances share a factor, as those from one estimate do."""
    return rng.chisquare(4, size=(200, 50)) * np.exp(0.3 * rng.normal(size=(200, 1)))


@pytest.mark.parametrize("q", [0.1, 0.01])
def test_standard_error_of_dependent_references(q):
    actual, reported = spread_of_cutoffs(dependent, q)
    _, as_if_independent = spread_of_cutoffs(lambda rng: dependent(rng).ravel(), q, repeats=50)
    np.testing.assert_allclose(reported, actual, rtol=0.3)
    assert reported > as_if_independent


@pytest.mark.parametrize("law", [stats.chi2(4), stats.f(4, 12)], ids=["chi2", "F"])
def test_standard_error_in_the_tail(law):
    actual, reported = spread_of_cutoffs(lambda rng: law.rvs(1000, random_state=rng), 1e-5, tail="gpd")
    assert 0.5 < reported / actual < 2


def test_standard_error_when_a_group_is_absent():
    reference = np.random.default_rng(0).chisquare(3, size=(40, 30))
    reference[7::20] = np.nan
    assert 0 < EmpiricalLaw(reference).standard_error(0.1) < 1


def grouped_by_effect(rng, replicates, size, effect):
    return rng.chisquare(5, size=(replicates, size)) * np.exp(effect * rng.normal(size=(replicates, 1)))


@pytest.mark.parametrize("effect", [0.0, 0.3])
@pytest.mark.parametrize(("replicates", "q"), [(5, 0.05), (10, 0.05), (39, 0.01), (39, 0.05), (40, 0.05)])
def test_standard_error_of_few_replicates(replicates, q, effect):
    # As many as robust estimators get by default: distances of one replicate are not independent there either.
    actual, reported = spread_of_cutoffs(
        lambda rng: grouped_by_effect(rng, replicates, 50, effect), q, repeats=200
    )
    np.testing.assert_allclose(reported, actual, rtol=0.25)  # four standard errors of `actual`


@pytest.mark.parametrize("replicates", [2, 3])
def test_two_replicates_that_agree_are_not_exact(replicates):
    values = np.random.default_rng(0).chisquare(5, size=100)
    twins = EmpiricalLaw(np.tile(values, (replicates, 1)))
    independent = EmpiricalLaw(np.tile(values, replicates))
    assert twins.standard_error(0.05) == independent.standard_error(0.05) > 0


def test_standard_error_of_one_distance_a_replicate():
    # A group of 105 has a cut-off of 1 % that is its largest but one; 2100 independent distances need no groups.
    law = stats.chi2(5)
    actual, reported = spread_of_cutoffs(lambda rng: law.rvs((2100, 1), random_state=rng), 0.01, repeats=400)
    np.testing.assert_allclose(reported, actual, rtol=0.15)
    actual, reported = spread_of_cutoffs(lambda rng: law.rvs((1050, 2), random_state=rng), 0.01, repeats=400)
    np.testing.assert_allclose(reported, actual, rtol=0.15)
    column = law.rvs((2100, 1), random_state=0)
    pool = Pool()
    pool.add(column[:, 0])
    assert pool.law().standard_error(0.01) == EmpiricalLaw(column.ravel()).standard_error(0.01)
    assert EmpiricalLaw(column).standard_error(0.01) == EmpiricalLaw(column.ravel()).standard_error(0.01)


@pytest.mark.parametrize("level", [0, 1, 2, -1, np.nan, np.inf, True, "0.05", None])
def test_standard_error_of_no_level(level):
    with pytest.raises(ValueError, match="strictly between 0 and 1, got"):
        EmpiricalLaw(np.arange(100.0)).standard_error(level)


# --- the pool


def pooled(reference, cuts, tail=None):
    pool = Pool(tail)
    for block in np.split(reference, np.sort(cuts)):
        pool.add(block)
    return pool.law()


@pytest.fixture(scope="module", params=[10, 700, 10**6])
def unsplit(request):
    """How many distances are kept, the distances, and what their pool says when it got them at once."""
    reference = heavy(60 * 25).reshape(60, 25)
    reference[reference > 4] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_empirical_law, "_KEPT", request.param)
        return request.param, reference, answers(pooled(reference, [], "gpd"))


def answers(law):
    levels = [0.5, 0.01, 1e-4]
    rest = [law.isf(levels), [law.standard_error(q) for q in levels], [law.size]]
    return np.concatenate([law.sf(np.linspace(0, 30, 500)), *rest])


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=6))
def test_pool_does_not_depend_on_blocks(unsplit, cuts):
    kept, reference, one = unsplit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_empirical_law, "_KEPT", kept)
        many = answers(pooled(reference, cuts, "gpd"))
    assert many[-1] == np.count_nonzero(~np.isnan(reference))
    np.testing.assert_array_equal(one, many)


def test_small_pool_is_the_law_of_its_replicates():
    reference = heavy(60 * 25).reshape(60, 25)
    law, pool = EmpiricalLaw(reference), pooled(reference, [13, 50])
    x = np.append(reference.ravel(), np.linspace(0, 30, 500))
    np.testing.assert_array_equal(pool.sf(x), law.sf(x))
    assert pool.standard_error(0.05) == law.standard_error(0.05)


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=50))
def test_bins_are_conservative_and_narrow(reference):
    reference = np.array(reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_empirical_law, "_KEPT", 0)
        binned = pooled(reference, [])
    law = EmpiricalLaw(reference)
    x = np.concatenate([reference, np.nextafter(reference, np.inf), reference * 1.5])
    assert (binned.sf(x) >= law.sf(x)).all()
    assert (binned.sf(x * (1 + 2.0**-16) + 1e-300) <= law.sf(x)).all()
    levels = np.linspace(0.02, 0.99, 30)
    finite = np.isfinite(law.isf(levels))
    cutoffs, edges = law.isf(levels)[finite], binned.isf(levels)[finite]
    assert (edges >= cutoffs).all()
    assert (edges <= cutoffs * (1 + 2.0**-16) + 1e-300).all()


def test_bins_far_apart_and_near():
    near, far = np.arange(1.0, 50.0), np.array([0.0, 1e-300, 1e-5, 3.0, 3.0, 1e300, np.inf])
    for values in (near, far):  # a tally of all bins between, a sort
        law = EmpiricalLaw(values)
        x = np.append(values, [2.5, 1e200])
        parts = [_counts.binned(values[::2]), _counts.binned(values[1::2]), _counts.binned(values[:0])]
        counts = _counts.merged(parts)
        assert counts.size == values.size
        np.testing.assert_array_equal((1 + counts.at_least(x)) / (values.size + 1), law.sf(x))


def test_binned_cutoff_and_pvalue_are_one_rule(monkeypatch):
    monkeypatch.setattr(_empirical_law, "_KEPT", 100)
    law = pooled(heavy(3000).reshape(100, 30), [40], "gpd")
    x = np.append(heavy(500, seed=3), [law.isf(0.01), np.nextafter(law.isf(0.01), np.inf), 1e3])
    for q in [0.9, 0.05, 0.01, 1e-6]:
        np.testing.assert_array_equal(x > law.isf(q), law.sf(x) <= q)


def test_pool_goes_on_after_a_law_was_made():
    pool = Pool()
    pool.add([[1.0, 2.0]])
    first = pool.law()
    pool.add([[3.0, np.nan]])
    assert first.size == 2
    assert pool.law().size == 3


def test_pool_of_nothing_and_of_a_cube():
    with pytest.raises(ValueError, match="no reference"):
        Pool().law()
    with pytest.raises(ValueError, match="shape"):
        Pool().add(np.zeros((1, 1, 1)))


def test_pickles():
    law = EmpiricalLaw(heavy(1000).reshape(50, 20), tail="gpd")
    again = pickle.loads(pickle.dumps(law))
    assert again.isf(1e-5) == law.isf(1e-5)
    assert again.standard_error(0.01) == law.standard_error(0.01)
