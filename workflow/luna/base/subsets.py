"""The subsets into which LUNA16 divides its series."""

SUBSETS = 10
