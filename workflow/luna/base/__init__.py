"""Small tools that every package uses and that know nothing of CTs: errors, files, digests, progress."""
