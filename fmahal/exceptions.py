"""The warnings and errors that fmahal raises by name."""

__all__ = [
    "AmbiguousFitWarning",
    "CalibrationWarning",
    "DataError",
    "DenseSizeError",
    "ExactFitWarning",
    "ExactIsCheaperWarning",
    "FmahalWarning",
    "NotPositiveDefiniteError",
    "OutsideSubspaceError",
    "RankDeficientError",
    "RankDeficientWarning",
]


class FmahalWarning(UserWarning):
    """Base class of every warning that fmahal issues."""


class RankDeficientWarning(FmahalWarning):
    """The data span fewer dimensions than they have columns; distances live on the span."""


class ExactFitWarning(FmahalWarning):
    """More rows than the subset size lie exactly on a hyperplane."""


class AmbiguousFitWarning(FmahalWarning):
    """Two robust fits explain the data about equally well and disagree on which rows are outlying."""


class CalibrationWarning(FmahalWarning):
    """The p-values rest on a law that only approximates the distances at hand."""


class ExactIsCheaperWarning(FmahalWarning):
    """A sketch was asked for where exact distances cost less; the exact ones are used."""


class NotPositiveDefiniteError(ValueError):
    """A covariance or precision matrix has a negative eigenvalue beyond rounding."""


class RankDeficientError(ValueError):
    """The job needs more independent rows than there are."""


class OutsideSubspaceError(ValueError):
    """A row has a part outside the subspace on which the distance is defined."""


class DenseSizeError(MemoryError):
    """A dense p x p matrix was asked for that does not fit into this machine's memory."""


class DataError(ValueError):
    """A file or a table cannot be used as it is; the message names file, row or column."""
