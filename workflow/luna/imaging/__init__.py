"""One CT: its geometry, its file formats, boxes cut out of it, its lungs and whether it is sound."""
