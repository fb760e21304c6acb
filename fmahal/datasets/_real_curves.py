"""Real curves that scikit-fda fetches: nothing of them is in this package, for want of licences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._bunch import make_bunch

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_CURVES = {
    "aemet": "Weather of 73 Spanish stations over the year: temperature, precipitation, wind",
    "bone-density": "Relative spinal bone mineral density by age",
    "gait": "Hip and knee angles of 39 boys over a gait cycle",
    "growth": "Heights of 93 girls and boys, the Berkeley growth study",
    "handwriting": "Positions of a pen that writes",
    "mco": "Intracellular calcium of cells of two treatments over time",
    "medflies": "Egg-laying of flies over 25 days",
    "nox": "Nitrogen oxides over the day at Poblenou, working and non-working days",
    "octane": "Near-infrared spectra of 39 gasolines, six of them with alcohol",
    "phoneme": "Log-periodograms of five phonemes",
    "tecator": "Near-infrared spectra of 215 samples of meat",
    "weather": "Temperature and precipitation of 35 Canadian stations over the year",
}


def list_functional() -> list[str]:
    """Return the names that `load_functional` accepts.

    Returns
    -------
    list of str
        Names in alphabetical order.

    Examples
    --------
    >>> from fmahal.datasets import list_functional
    >>> list_functional()[:3]
    ['aemet', 'bone-density', 'gait']
    """
    return list(_CURVES)


def load_functional(name: str) -> Bunch:
    """Load a data set of curves through scikit-fda.

    scikit-fda fetches these data from the archive of R packages, and keeps them in its cache; fmahal ships none of
    them. The El Nino curves come with fmahal: ``load_elnino(return_fdata=True)``.

    Parameters
    ----------
    name : str
        One of `list_functional`; case does not matter, and an underscore counts as a hyphen.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `data` is an `skfda.FDataGrid` as scikit-fda makes it, `target` and
        `target_names` are its own; `outliers` marks, for "octane", the six gasolines with alcohol, else it is None.

    Raises
    ------
    ValueError
        When there is no data set of this name; the message lists the names.
    ImportError
        Without scikit-fda.
    OSError
        When the data are not in its cache and cannot be fetched.

    Notes
    -----
    Licences are those of the R packages that the data come from, mostly the GPL: see `DESCR`.

    Examples
    --------
    >>> from fmahal.datasets import load_functional
    >>> octane = load_functional("octane")  # doctest: +SKIP
    >>> octane.data.n_samples, int(octane.outliers.sum())  # doctest: +SKIP
    (39, 6)
    """
    key = name.strip().lower().replace("_", "-") if isinstance(name, str) else name
    if not isinstance(key, str) or key not in _CURVES:
        raise ValueError(f"Unknown curves {name!r}. Available: {', '.join(_CURVES)}.")
    found = _fetched(key)
    outliers = np.asarray(found["target"], dtype=bool) if key == "octane" else None
    description = str(found.get("DESCR", "")).strip()
    bunch = make_bunch(
        np.empty((0, 0)),
        found.get("feature_names", ()),
        name=key,
        DESCR=f"{_CURVES[key]}.\n\n{description}\n",
        source="Fetched by scikit-fda from the archive of R packages",
        licence="That of the R package, see DESCR; not distributed with fmahal",
        citation=description or _CURVES[key],
        target=found.get("target"),
        target_names=found.get("target_names"),
        outliers=outliers,
    )
    bunch["data"] = found["data"]
    return bunch


def _fetched(key: str) -> Any:
    try:
        from skfda import datasets
    except ImportError as error:
        raise ImportError(
            "These curves come through scikit-fda: pip install scikit-fda. load_elnino() has curves that need no "
            "other package."
        ) from error
    try:
        return getattr(datasets, f"fetch_{key.replace('-', '_')}")()
    except OSError as error:
        raise OSError(
            f"scikit-fda could not fetch the curves {key!r}: {error}. They are not in its cache, and the archive of R "
            "packages was not reached. Usual cause: no network. Fetch them once where there is one, or use "
            "load_elnino(), whose curves come with fmahal."
        ) from error
