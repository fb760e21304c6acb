"""numba kernels: arrays in, arrays and status codes out.

No kernel validates, allocates results for its caller, or knows SciPy or scikit-learn; the wrappers above do.
"""
