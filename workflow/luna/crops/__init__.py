"""The crops around candidates: cut from the CTs, cached on disk, read back."""
