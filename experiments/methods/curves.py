"""Detectors of outlying curves: variants of `FunctionalOutlierDetector`, judged at one level.

A method of the role "curves" makes anything with ``fit(X)`` that leaves ``labels_``, -1 for outlying curves, the rows
of X. A scatter, or a pipeline that ends in one, is no detector: `on_the_grid` makes one of it.
"""

from sklearn.pipeline import Pipeline, make_pipeline

from fmahal import (
    MRCD,
    FunctionalMahalanobis,
    FunctionalOutlierDetector,
    L2Space,
    MinCovDet,
    RobustSpectralFilter,
    SobolevSpace,
    WrappedCovariance,
)

from .._spec import Method, method

LEVEL = 0.01
DEFAULT = "curves-default"


def on_the_grid(estimator):
    """Return a detector: the estimator itself, or one around it when it only has distances."""
    if hasattr(estimator, "predict") or hasattr(estimator, "fit_predict"):
        return estimator
    if isinstance(estimator, Pipeline | FunctionalMahalanobis):
        return FunctionalOutlierDetector(estimator, alpha=LEVEL)
    if hasattr(estimator, "get_precision"):
        return FunctionalOutlierDetector(make_pipeline(L2Space(), estimator), alpha=LEVEL)
    return estimator


def _ours(name, make, label, **options) -> Method:
    return method(
        name,
        lambda seed: FunctionalOutlierDetector(make(seed), alpha=LEVEL),
        roles=("curves",),
        label=label,
        options=options,
    )


def _grid(scatter, space=None):
    return make_pipeline(space or L2Space(), scatter)


_ours(DEFAULT, lambda seed: None, "default", often=True)
_ours("curves-robust-rkhs", lambda seed: _grid(RobustSpectralFilter("rkhs", alpha=0.01)), "robust rkhs")
_ours("curves-robust-ridge-0.3", lambda seed: _grid(RobustSpectralFilter(alpha=0.3)), "robust ridge 0.3")
_ours("curves-robust-sobolev", lambda seed: _grid(RobustSpectralFilter(), SobolevSpace()), "robust sobolev")
_ours(
    "curves-mcd",
    lambda seed: FunctionalMahalanobis(scatter=MinCovDet(random_state=seed)),
    "mcd of scores",
    often=True,
)
_ours("curves-mrcd", lambda seed: _grid(MRCD()), "mrcd")
_ours("curves-wrapped", lambda seed: _grid(WrappedCovariance()), "wrapped", often=True)
_ours("curves-ridge", lambda seed: FunctionalMahalanobis("ridge"), "ridge")
_ours("curves-truncate", lambda seed: FunctionalMahalanobis("truncate"), "truncate")
