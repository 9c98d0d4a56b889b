"""The networks, their layers and files, and their predictions."""
