"""Sea-surface temperature curves: a year is a row, a month is a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._bunch import Card, catalogue, read_table
from ._curves import as_fdata

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_OUTLYING_YEARS = ("1982", "1983", "1997", "1998")

ELNINO = Card(
    name="elnino",
    order=30,
    n_samples=69,
    n_features=12,
    n_outliers=4,
    summary="Monthly sea-surface temperature off Peru, one row per year 1950-2018",
    source=(
        "NOAA Climate Prediction Center, Extended Reconstructed Sea Surface Temperature version 5 "
        "(ERSST.v5), region Nino 1+2, https://www.cpc.ncep.noaa.gov/data/indices/"
    ),
    licence="Public domain (work of the US Government)",
    citation=(
        "B. Huang et al., Extended Reconstructed Sea Surface Temperature, version 5 (ERSSTv5): upgrades, "
        "validations, and intercomparisons, Journal of Climate 30 (2017), 8179-8205, "
        "doi:10.1175/JCLI-D-16-0836.1"
    ),
    description=(
        "Monthly means in degrees Celsius over 0-10 degrees South, 90-80 degrees West, two decimals. "
        "`outliers` marks 1982, 1983, 1997 and 1998, the two strong El Nino events, which R. J. Hyndman and "
        "H. L. Shang (Rainbow plots, bagplots, and boxplots for functional data, Journal of Computational "
        "and Graphical Statistics 19 (2010), 29-45, doi:10.1198/jcgs.2009.08158) find outlying. Years after "
        "their article, among them the El Nino of 2015, are unmarked because it could not judge them. "
        "Earlier versions of the reconstruction differ: version 3b (1950-2010), as other packages ship it, "
        "is 0.12 degrees warmer on average, and up to 0.73 degrees away in a single month. Successive years "
        "depend on each other, and December runs on into January."
    ),
)


@catalogue.register(ELNINO)
def load_elnino(*, return_fdata: bool = False) -> Bunch:
    """Load the El Nino curves: 69 years (1950-2018), 12 months, 4 outlying years.

    Parameters
    ----------
    return_fdata : bool, default=False
        Whether `data` is an `skfda.FDataGrid` in place of an array; needs scikit-fda.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `data` is (69, 12) in degrees Celsius, `row_names` are the years,
        `feature_names` the months, `years` (69,) the years as integers, `grid_points` (12,) the months as numbers,
        1 to 12; `outliers` marks 1982, 1983, 1997 and 1998 [2]_.

    Raises
    ------
    ImportError
        For `return_fdata` without scikit-fda.

    References
    ----------
    .. [1] B. Huang et al., Extended Reconstructed Sea Surface Temperature, version 5 (ERSSTv5), Journal of
       Climate 30 (2017), 8179-8205, doi:10.1175/JCLI-D-16-0836.1.
    .. [2] R. J. Hyndman and H. L. Shang, Rainbow plots, bagplots, and boxplots for functional data, Journal
       of Computational and Graphical Statistics 19 (2010), 29-45, doi:10.1198/jcgs.2009.08158.

    Examples
    --------
    >>> from fmahal.datasets import load_elnino
    >>> sst = load_elnino()
    >>> sst.data.shape, sst.feature_names[0], sst.row_names[0]
    ((69, 12), 'Jan', '1950')
    >>> [year for year, out in zip(sst.row_names, sst.outliers) if out]
    ['1982', '1983', '1997', '1998']
    """
    months, years, values = read_table("elnino.csv")
    outliers = np.isin(years, _OUTLYING_YEARS)
    bunch = ELNINO.bunch(
        values,
        months,
        row_names=years,
        outliers=outliers,
        target=outliers.astype(int),
        target_names=["regular", "outlier"],
        years=np.array(years, dtype=int),
        grid_points=np.arange(1.0, 13.0),
    )
    if return_fdata:
        bunch["data"] = as_fdata(
            bunch.data,
            bunch.grid_points,
            "elnino",
            argument_names=("month",),
            coordinate_names=("temperature (degrees Celsius)",),
            sample_names=tuple(years),
        )
    return bunch
