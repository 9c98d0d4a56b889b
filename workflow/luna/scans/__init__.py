"""Scans of people's own: finding the scans, proposing places, and writing findings."""
