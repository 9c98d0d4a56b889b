"""What is known of the LUNA16 data set: its series, their subsets, its counts."""

import json
from functools import cache
from pathlib import Path
from typing import Any

_FACTS = Path(__file__).with_name("luna16.json")


@cache
def facts() -> dict[str, Any]:
    """Counts: `series`, `annotations`, `candidates` (rows -> positives); `shared_patients`."""
    loaded: dict[str, Any] = json.loads(_FACTS.read_text(encoding="utf-8"))
    return loaded


@cache
def subset_of() -> dict[str, int]:
    """The subset of each of the 888 series, by uid."""
    return {
        facts()["uid_prefix"] + digits: int(subset)
        for subset, uids in facts()["subsets"].items()
        for digits in uids
    }
