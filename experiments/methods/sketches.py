"""Random maps after the whitening: any estimator with the parameters `scatter` and `n_components` can join.

``options["kind"]`` is the name by which `Whitener.sketch` and `AdaptiveMahalanobisIndex` know the map. Sketches
without it take part where estimators are compared, and are not timed operation by operation.
"""

from functools import partial

from fmahal import EmpiricalCovariance, Sketched

from .._spec import method


def sketched(seed: int, kind: str) -> Sketched:
    """Return a sketch whose scatter and size the experiment sets."""
    return Sketched(EmpiricalCovariance(), kind=kind, random_state=seed)


for kind in ("gaussian", "rademacher", "sparse", "srht"):
    method(
        kind,
        partial(sketched, kind=kind),
        roles=("sketch",),
        label=f"Sketched({kind})",
        options={"kind": kind},
    )
