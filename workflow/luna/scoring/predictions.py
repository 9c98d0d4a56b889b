"""Tables of what a model predicts for candidates: validation.csv and predictions.csv."""

import pandas as pd

from luna.base.arrays import FloatArray, IntArray
from luna.data.tables import XYZ

PREDICTION_COLUMNS = ["seriesuid", *XYZ, "probability", "class", "diameter_mm", "id"]
"""Those of validation.csv: a LUNA16 submission with three more columns."""
TESTED_COLUMNS = [*PREDICTION_COLUMNS, "calibrated"]
"""Those of predictions.csv: `calibrated` is the calibrated probability."""


def predictions_table(candidates: pd.DataFrame, rows: IntArray, probabilities: FloatArray) -> pd.DataFrame:
    """PREDICTION_COLUMNS for some rows of candidates.csv, and the network's probabilities, (n,)."""
    return candidates.iloc[rows].assign(probability=probabilities)[PREDICTION_COLUMNS]
