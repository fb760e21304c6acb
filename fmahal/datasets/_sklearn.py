"""The small real data that scikit-learn ships, with outlier masks where a label gives one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._bunch import Card, catalogue

if TYPE_CHECKING:
    from sklearn.utils import Bunch

_UCI = "UCI Machine Learning Repository"
_CC_BY = "Creative Commons Attribution 4.0 (CC BY 4.0)"
_UNSTATED = "Not stated by its authors; shipped by scikit-learn (BSD-3-Clause), not copied here"

WINE = Card(
    name="wine",
    order=40,
    n_samples=178,
    n_features=13,
    n_outliers=None,
    summary="Chemical analysis of wines from three cultivars",
    source=f"{_UCI}, Wine, https://archive.ics.uci.edu/dataset/109/wine, through scikit-learn",
    licence=_CC_BY,
    citation=f"S. Aeberhard and M. Forina, Wine, {_UCI} (1992), doi:10.24432/C5PC7J",
    description=(
        "Thirteen measurements of 178 wines of one region; `target` is the cultivar (59, 71 and 48 wines). "
        "No wine is an outlier by its label, so `outliers` is None; benchmarks that call a thinned-out "
        "cultivar outliers make a choice that this loader leaves to the user."
    ),
)

BREAST_CANCER = Card(
    name="breast-cancer",
    order=50,
    n_samples=569,
    n_features=30,
    n_outliers=212,
    summary="Cell nuclei of breast masses; malignant rows marked",
    source=(
        f"{_UCI}, Breast Cancer Wisconsin (Diagnostic), "
        "https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic, through scikit-learn"
    ),
    licence=_CC_BY,
    citation=(
        f"W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), {_UCI} "
        "(1995), doi:10.24432/C5DW2B"
    ),
    description=(
        "Thirty features of the nuclei in a digitised image of a fine needle aspirate: mean, standard error "
        "and worst value of ten measurements. `target` is scikit-learn's (0 malignant, 1 benign). "
        "`outliers` marks the 212 malignant rows, the minority label. They are 37 % of the rows, more than "
        "outlier benchmarks usually keep and more than any null distribution expects; read the mask as a "
        "label to rank by. The columns are nearly collinear (radius, perimeter, area)."
    ),
)

IRIS = Card(
    name="iris",
    order=60,
    n_samples=150,
    n_features=4,
    n_outliers=None,
    summary="Anderson's irises: sepals and petals of three species",
    source=f"{_UCI}, Iris, https://archive.ics.uci.edu/dataset/53/iris, through scikit-learn",
    licence=_CC_BY,
    citation=(
        "R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936), "
        f"179-188, doi:10.1111/j.1469-1809.1936.tb02137.x; {_UCI}, doi:10.24432/C56C76"
    ),
    description=(
        "Length and width of sepals and petals in centimetres; `target` is the species, fifty plants each. "
        "Equal groups, so `outliers` is None. Two rows are equal."
    ),
)

DIABETES = Card(
    name="diabetes",
    order=70,
    n_samples=442,
    n_features=10,
    n_outliers=None,
    summary="Ten baseline variables of diabetes patients, in their own units",
    source="Efron, Hastie, Johnstone and Tibshirani (2004), through scikit-learn",
    licence=_UNSTATED,
    citation=(
        "B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least angle regression, Annals of Statistics "
        "32 (2004), 407-499, doi:10.1214/009053604000000067"
    ),
    description=(
        "Age, sex (1 or 2), body mass index, mean blood pressure and six blood serum values of 442 "
        "patients, in their own units: scikit-learn standardises them unless told otherwise, and "
        "Mahalanobis distances do not care. `target` is a quantity, the progression of the disease after a "
        "year, not a class. `outliers` is None. Serum columns s1-s4 are strongly correlated; sex is binary."
    ),
)

DIGITS = Card(
    name="digits",
    order=80,
    n_samples=1797,
    n_features=64,
    n_outliers=None,
    summary="Handwritten digits, 8 x 8 pixels; three pixels never change",
    source=(
        f"{_UCI}, Optical Recognition of Handwritten Digits (test part), "
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits, through "
        "scikit-learn"
    ),
    licence=_CC_BY,
    citation=(
        f"E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, {_UCI} (1998), "
        "doi:10.24432/C50P49"
    ),
    description=(
        "Grey values 0-16 of 64 pixels; `target` is the digit. `outliers` is None. Pixels 0, 32 and 39 are "
        "constant: the columns have rank 61, and distances live on that span."
    ),
)

LINNERUD = Card(
    name="linnerud",
    order=90,
    n_samples=20,
    n_features=6,
    n_outliers=None,
    summary="Three exercises and three body measures of twenty men",
    source="A. C. Linnerud, NC State University, printed in Tenenhaus (1998); through scikit-learn",
    licence=_UNSTATED,
    citation="M. Tenenhaus, La regression PLS: theorie et pratique, Editions Technip, Paris 1998",
    description=(
        "Chin-ups, sit-ups and jumps, then weight (pounds), waist (inches) and pulse of twenty middle-aged "
        "men. scikit-learn splits the six variables into data and target; here all six are `data`, and "
        "`target` and `outliers` are None."
    ),
)


def _classes(card: Card, loaded: Bunch, **fields: object) -> Bunch:
    return card.bunch(
        loaded.data,
        loaded.feature_names,
        target=np.asarray(loaded.target, dtype=int),
        target_names=[str(name) for name in loaded.target_names],
        **fields,
    )


@catalogue.register(WINE)
def load_wine() -> Bunch:
    """Load the wines: 178 rows, 13 chemical measurements, three cultivars.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `target` is the cultivar, `outliers` is None: no wine is an outlier by
        its label.

    References
    ----------
    S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository (1992), doi:10.24432/C5PC7J.

    Examples
    --------
    >>> from fmahal.datasets import load_wine
    >>> load_wine().data.shape
    (178, 13)
    """
    from sklearn import datasets

    return _classes(WINE, datasets.load_wine())


@catalogue.register(BREAST_CANCER)
def load_breast_cancer() -> Bunch:
    """Load the breast masses: 569 rows, 30 features of cell nuclei, 212 malignant.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `target` is 0 (malignant) or 1 (benign), `outliers` marks the malignant
        rows, the minority.

    References
    ----------
    W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine
    Learning Repository (1995), doi:10.24432/C5DW2B.

    Examples
    --------
    >>> from fmahal.datasets import load_breast_cancer
    >>> cancer = load_breast_cancer()
    >>> cancer.data.shape, int(cancer.outliers.sum())
    ((569, 30), 212)
    """
    from sklearn import datasets

    loaded = datasets.load_breast_cancer()
    return _classes(BREAST_CANCER, loaded, outliers=loaded.target == 0)


@catalogue.register(IRIS)
def load_iris() -> Bunch:
    """Load the irises: 150 rows, 4 measurements in centimetres, three species.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `target` is the species, `outliers` is None.

    References
    ----------
    R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936),
    179-188, doi:10.1111/j.1469-1809.1936.tb02137.x.

    Examples
    --------
    >>> from fmahal.datasets import load_iris
    >>> load_iris().target_names
    ['setosa', 'versicolor', 'virginica']
    """
    from sklearn import datasets

    return _classes(IRIS, datasets.load_iris())


@catalogue.register(DIABETES)
def load_diabetes() -> Bunch:
    """Load the diabetes patients: 442 rows, 10 variables in their own units.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `target` is the progression of the disease after a year, an integer
        quantity and not a class (`target_names` is None); `outliers` is None.

    References
    ----------
    B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least angle regression, Annals of Statistics 32
    (2004), 407-499, doi:10.1214/009053604000000067.

    Examples
    --------
    >>> from fmahal.datasets import load_diabetes
    >>> diabetes = load_diabetes()
    >>> diabetes.feature_names[2], float(diabetes.data[0, 2])
    ('bmi', 32.1)
    """
    from sklearn import datasets

    loaded = datasets.load_diabetes(scaled=False)
    return DIABETES.bunch(loaded.data, loaded.feature_names, target=np.asarray(loaded.target).astype(int))


@catalogue.register(DIGITS)
def load_digits() -> Bunch:
    """Load the handwritten digits: 1797 rows, 64 pixels, three of them constant.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `target` is the digit, `outliers` is None.

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository
    (1998), doi:10.24432/C50P49.

    Examples
    --------
    >>> from fmahal.datasets import load_digits
    >>> digits = load_digits()
    >>> [name for name, spread in zip(digits.feature_names, digits.data.std(axis=0)) if spread == 0]
    ['pixel_0_0', 'pixel_4_0', 'pixel_4_7']
    """
    from sklearn import datasets

    return _classes(DIGITS, datasets.load_digits())


@catalogue.register(LINNERUD)
def load_linnerud() -> Bunch:
    """Load the exercising men: 20 rows, 3 exercises and 3 body measures.

    Returns
    -------
    sklearn.utils.Bunch
        Fields as in `load_dataset`; `data` (20, 6) holds scikit-learn's data and target side by side;
        `target` and `outliers` are None.

    References
    ----------
    M. Tenenhaus, La regression PLS: theorie et pratique, Editions Technip, Paris 1998.

    Examples
    --------
    >>> from fmahal.datasets import load_linnerud
    >>> load_linnerud().feature_names
    ['Chins', 'Situps', 'Jumps', 'Weight', 'Waist', 'Pulse']
    """
    from sklearn import datasets

    loaded = datasets.load_linnerud()
    data = np.column_stack([loaded.data, loaded.target])
    return LINNERUD.bunch(data, [*loaded.feature_names, *loaded.target_names])
