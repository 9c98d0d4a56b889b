"""The data set as tables: reading, verifying and downloading it, candidates and folds."""
