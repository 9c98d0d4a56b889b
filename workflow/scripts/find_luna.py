"""Puts the folder of the package `luna` on Python's path, for programs that are not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
