"""The tested candidates that a reader looks at."""

import pandas as pd


def shown_candidates(predictions: pd.DataFrame, negatives: int) -> pd.DataFrame:
    """Rows of predictions.csv: all nodules, and as many others, those with the highest probabilities."""
    nodules = predictions[predictions["class"] == 1]
    scored = predictions.astype({"probability": float})
    others = scored[scored["class"] == 0].nlargest(negatives, "probability", keep="first")
    return pd.concat([nodules, others])
