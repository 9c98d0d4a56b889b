"""From predictions to scores: metrics, the official FROC, confidence intervals."""
