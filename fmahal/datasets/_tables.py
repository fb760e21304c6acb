"""Two small published tables whose outliers everybody agrees on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._bunch import Card, catalogue, mask_of, read_table

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_BOOK = (
    "P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection, Wiley 1987, "
    "doi:10.1002/0471725382"
)

HBK = Card(
    name="hbk",
    order=10,
    n_samples=75,
    n_features=3,
    n_outliers=14,
    summary="Artificial table of Hawkins, Bradu and Kass: rows 1-14 mask each other",
    source=f"Hawkins, Bradu and Kass (1984); printed again in {_BOOK}, p. 94",
    licence="Published numbers (facts); no licence needed",
    citation=(
        "D. M. Hawkins, D. Bradu and G. V. Kass, Location of several outliers in multiple-regression data "
        "using elemental sets, Technometrics 26 (1984), 197-208"
    ),
    description=(
        "The three explanatory variables of a regression table; the response is in the field `response`. "
        "Rows 1-14 lie far from the others in the explanatory variables and are marked in `outliers`. "
        "(Rows 1-10 are also outliers of the regression, rows 11-14 follow it.) Classical distances see only "
        "a part of them; distances from a robust location and scatter see exactly these fourteen."
    ),
)

WOOD = Card(
    name="wood",
    order=20,
    n_samples=20,
    n_features=5,
    n_outliers=4,
    summary="Wood specific gravity, modified by Rousseeuw and Leroy: rows 4, 6, 8, 19 were replaced",
    source=f"Draper and Smith (1966, p. 227), modified in {_BOOK}, p. 243",
    licence="Published numbers (facts); no licence needed",
    citation=_BOOK,
    description=(
        "Five anatomical measurements of twenty wood samples: number of fibres per square millimetre in "
        "springwood (thousands) and in summerwood (ten thousands), the fraction of springwood, and the "
        "fraction of light absorbed by springwood and by summerwood. Rows 4, 6, 8 and 19 were replaced by "
        "outliers that no single variable shows; they are marked in `outliers`. With n = 4 p this is a hard "
        "table: a quarter of the rows pull the classical covariance towards themselves."
    ),
)


@catalogue.register(HBK)
def load_hbk() -> Bunch:
    """Load the Hawkins-Bradu-Kass table: 75 rows, 3 variables, 14 outliers.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `data` is (75, 3), `outliers` marks rows 1-14 (row names start at 1),
        and `response` (75,) is the dependent variable of the original regression, not a part of `data`.

    References
    ----------
    D. M. Hawkins, D. Bradu and G. V. Kass, Location of several outliers in multiple-regression data using
    elemental sets, Technometrics 26 (1984), 197-208.

    P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection, Wiley 1987, p. 94,
    doi:10.1002/0471725382.

    Examples
    --------
    >>> from fmahal.datasets import load_hbk
    >>> hbk = load_hbk()
    >>> hbk.data.shape, int(hbk.outliers.sum())
    ((75, 3), 14)
    """
    columns, rows, values = read_table("hbk.csv")
    outliers = mask_of(len(rows), range(14))
    return HBK.bunch(
        values[:, :3],
        columns[:3],
        row_names=rows,
        outliers=outliers,
        target=outliers.astype(int),
        target_names=["regular", "outlier"],
        response=values[:, 3].copy(),
    )


@catalogue.register(WOOD)
def load_wood() -> Bunch:
    """Load the modified wood gravity table: 20 rows, 5 variables, 4 outliers.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `data` is (20, 5), `outliers` marks rows 4, 6, 8 and 19 (row names start
        at 1).

    References
    ----------
    P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection, Wiley 1987, p. 243,
    doi:10.1002/0471725382.

    Examples
    --------
    >>> from fmahal.datasets import load_wood
    >>> wood = load_wood()
    >>> [name for name, out in zip(wood.row_names, wood.outliers) if out]
    ['4', '6', '8', '19']
    """
    columns, rows, values = read_table("wood.csv")
    outliers = mask_of(len(rows), (3, 5, 7, 18))
    return WOOD.bunch(
        values,
        columns,
        row_names=rows,
        outliers=outliers,
        target=outliers.astype(int),
        target_names=["regular", "outlier"],
    )
