"""From predictions to figures: metrics, the official FROC, confidence intervals."""
