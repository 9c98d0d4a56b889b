"""Testing trained models and summarising all runs."""
