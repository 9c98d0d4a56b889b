"""Training a model: the loop, and what it keeps, saves and logs."""
