"""The choice of bandwidth and ridge: the scores are what they say, and the choice is sensible."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

from fmahal import ModifiedCholesky, ModifiedCholeskyCV, datasets
from fmahal._registry import scatters


def ar1(n, p, seed=0):
    return datasets.make_ar1(n, p, rho=0.7, random_state=seed).data


def test_scores_are_held_out_gaussian_log_likelihoods():
    X = ar1(60, 8)
    fit = ModifiedCholeskyCV(bandwidths=[1, 3], alphas=[0.1], cv=3).fit(X)
    kwargs = [{"bandwidth": 1}, {"bandwidth": 3}, {"penalty": "l2", "alpha": 0.1}]
    kwargs = [options | {"variance": "loo"} for options in kwargs]
    for i, (train, test) in enumerate(KFold(3).split(X)):
        for k, options in enumerate(kwargs):
            one = ModifiedCholesky(**options).fit(X[train])
            P = one.precision_.toarray() if hasattr(one.precision_, "toarray") else one.precision_
            gap = X[test] - one.location_
            d2 = np.einsum("ij,jk,ik->i", gap, P, gap)
            want = -0.5 * np.mean(8 * np.log(2 * np.pi) - np.linalg.slogdet(P)[1] + d2)
            assert fit.cv_results_[f"split{i}_test_score"][k] == pytest.approx(want, rel=1e-9)
    mean = np.mean([fit.cv_results_[f"split{i}_test_score"] for i in range(3)], axis=0)
    np.testing.assert_allclose(fit.cv_results_["mean_test_score"], mean)
    assert fit.cv_results_["rank_test_score"][mean.argmax()] == 1


@pytest.mark.parametrize("variance", ["auto", "mle", "unbiased", "loo"])
@pytest.mark.parametrize(
    "options", [{}, {"order": "rcm"}, {"order": np.arange(29, -1, -1)}, {"assume_centered": True}]
)
def test_one_sweep_gives_the_scores_of_fits_one_by_one(variance, options, monkeypatch):
    X = ar1(300, 30) * np.logspace(-3, 3, 30)
    X[:, 7] = X[:, 6]
    X[:, 20] += X[:, 19] + X[:, 18]
    kwargs = {"bandwidths": [0, 1, 2, 5, 9, 20], "alphas": [], "variance": variance, **options}
    swept = ModifiedCholeskyCV(**kwargs).fit(X)
    monkeypatch.setattr("fmahal.scatter.cholesky_cv.WIDEST_SWEEP", -1)
    singly = ModifiedCholeskyCV(**kwargs).fit(X)
    np.testing.assert_allclose(
        swept.cv_results_["mean_test_score"], singly.cv_results_["mean_test_score"], rtol=1e-7
    )


def test_finds_the_bandwidth_of_an_ar1_chain_and_refits_on_all_rows():
    X = ar1(200, 30)
    fit = ModifiedCholeskyCV().fit(X)
    assert fit.bandwidth_ == 1
    assert fit.penalty_ is None
    one = ModifiedCholesky(bandwidth=1, variance="loo").fit(X)
    np.testing.assert_allclose(fit.mahalanobis(X), one.mahalanobis(X))
    assert fit.sequential_contributions(X).shape == X.shape


@pytest.mark.parametrize("criterion", ["aic", "bic"])
def test_information_criteria(criterion):
    X = ar1(80, 6)
    fit = ModifiedCholeskyCV(bandwidths=[0, 1, 2], alphas=[], criterion=criterion).fit(X)
    price = {"aic": 2.0, "bic": np.log(80)}[criterion]
    one = ModifiedCholesky(bandwidth=1).fit(X)
    loglik = 80 * 6 * np.log(2 * np.pi) + 80 * one.whitener_.logdet + one.mahalanobis(X).sum()
    assert fit.cv_results_["mean_test_score"][1] == pytest.approx(-(loglik + price * (5 + 6)), rel=1e-9)
    assert fit.bandwidth_ == 1


def test_more_columns_than_rows_tries_ridge_alone():
    X = ar1(30, 60)
    fit = ModifiedCholeskyCV(alphas=[0.1, 1.0]).fit(X)
    assert fit.penalty_ == "l2"
    assert (fit.cv_results_["bandwidth"] == -1).all()
    assert fit.whitener_.kind == "sequential"
    given = ModifiedCholeskyCV(bandwidths=[0, 1], alphas=[1.0]).fit(X)
    assert given.bandwidth_ == 1


def test_one_standard_error_is_simpler_and_not_much_worse():
    X = ar1(60, 12)
    best = ModifiedCholeskyCV(bandwidths=range(9), alphas=[]).fit(X)
    simple = ModifiedCholeskyCV(bandwidths=range(9), alphas=[], one_standard_error=True).fit(X)
    assert simple.bandwidth_ <= best.bandwidth_
    score = dict(zip(best.cv_results_["bandwidth"], best.cv_results_["mean_test_score"]))
    assert score[simple.bandwidth_] > score[0]


def test_several_orders_and_jobs():
    X = ar1(40, 10)
    one = ModifiedCholeskyCV(n_orders=3, random_state=0).fit(X)
    two = ModifiedCholeskyCV(n_orders=3, random_state=0, n_jobs=2).fit(X)
    assert one.whitener_.kind == "stacked"
    np.testing.assert_allclose(one.mahalanobis(X), two.mahalanobis(X), rtol=1e-10)


def test_auto_variance_keeps_new_distances_calibrated_where_mle_inflates_them():
    X, new = ar1(50, 200), ar1(400, 200, seed=1)
    ratio = {
        v: ModifiedCholeskyCV(bandwidths=[3], alphas=[], variance=v).fit(X).mahalanobis(new).mean() / 200
        for v in ("auto", "mle")
    }
    assert ratio["auto"] == pytest.approx(1.0, rel=0.08)
    assert ratio["mle"] > 1.15


@pytest.mark.parametrize("rule", ["bic", "rcm"])
def test_an_order_is_searched_once_a_fold_and_gives_the_scores_of_searching_each_time(rule, monkeypatch):
    from fmahal.scatter import _orders

    calls = []
    search = getattr(_orders, f"order_{rule}")
    monkeypatch.setattr(_orders, f"order_{rule}", lambda Z: calls.append(1) or search(Z))
    X = ar1(60, 12)[:, np.random.default_rng(0).permutation(12)]
    fit = ModifiedCholeskyCV(bandwidths=[1, 2], alphas=[0.1], cv=3, order=rule).fit(X)
    assert len(calls) == 3 + 1  # the last for the final fit
    train, test = next(KFold(3).split(X))
    one = ModifiedCholesky(bandwidth=1, order=rule, variance="loo").fit(X[train])
    assert fit.cv_results_["split0_test_score"][0] == pytest.approx(one.score(X[test]), rel=1e-10)


def test_the_default_ridges_are_refined_around_the_best():
    X = ar1(40, 60)[:, np.random.default_rng(0).permutation(60)]
    fit = ModifiedCholeskyCV().fit(X)
    grid, alphas = np.logspace(-3, 2, 11), fit.cv_results_["alpha"]
    assert np.all(np.diff(alphas) < 0)
    extra = np.array([a for a in alphas if not np.isclose(a, grid, rtol=1e-9).any()])
    np.testing.assert_allclose(extra[0] / extra[1], 10**0.5)
    coarse = ModifiedCholeskyCV(alphas=grid).fit(X)
    np.testing.assert_allclose(np.sqrt(extra[0] * extra[1]), coarse.alpha_)
    assert fit.cv_results_["mean_test_score"].max() >= coarse.cv_results_["mean_test_score"].max()
    again = ModifiedCholeskyCV(alphas=alphas).fit(X)  # the scores were sorted along with their candidates
    np.testing.assert_allclose(fit.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"])
    assert fit.alpha_ == again.alpha_


def test_is_registered_under_its_name():
    assert scatters["modified-cholesky"].factory is ModifiedCholeskyCV
    assert scatters["modified-cholesky"].applies(10, 1000) is None


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"criterion": "cp"}, "criterion must be one of"),
        ({"bandwidths": [40]}, "do not fit"),
        ({"bandwidths": [-1]}, "do not fit"),
        ({"alphas": [0.0]}, "positive"),
        ({"bandwidths": [], "alphas": []}, "No candidate"),
    ],
)
def test_bad_candidates_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ModifiedCholeskyCV(**kwargs).fit(ar1(20, 40))
