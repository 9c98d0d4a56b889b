"""The subsets that LUNA16 deals its series out to."""

SUBSETS = 10
