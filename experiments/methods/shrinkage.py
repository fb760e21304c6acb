"""Scatters that move the eigenvalues of the sample covariance: as many columns as one likes.

``options["nulls"]`` names the null laws whose size is measured. Where ``null="auto"`` takes one of the others, it is
not listed a second time.
"""

from fmahal import OAS, QIS, LedoitWolf, ShrunkCovariance, SpectralFilter

from .._spec import method

CLOSED_FORM = ("chi2", "bootstrap", "split", "jackknife")

method("ledoit-wolf", lambda seed: LedoitWolf(), label="LedoitWolf", options={"nulls": CLOSED_FORM})
method(
    "oas",
    lambda seed: OAS(),
    roles=("size", "precision", "cost"),
    label="OAS",
    options={"nulls": CLOSED_FORM},
)
method(
    "qis",
    lambda seed: QIS(),
    roles=("size", "precision", "tabular", "cost"),
    label="QIS",
    options={"nulls": CLOSED_FORM},
)
method(
    "shrunk",  # a fixed weight: full conformal p-values have a short way
    lambda seed: ShrunkCovariance(ridge=0.1),
    roles=("size", "cost"),
    label="ShrunkCovariance(ridge=0.1)",
    options={"nulls": (*CLOSED_FORM, "full")},
)
method(
    "spectral",
    lambda seed: SpectralFilter(),
    roles=("size", "tabular", "cost"),
    label="SpectralFilter",
    options={"nulls": ("weighted", "auto", "split", "jackknife")},
)
