import matplotlib
import pytest


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    matplotlib.use("Agg", force=True)
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
