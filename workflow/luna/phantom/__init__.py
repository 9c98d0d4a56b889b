"""The embedded data set: chests with nodules, drawn from a seed."""
