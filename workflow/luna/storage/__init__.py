"""Where CTs come from: a folder, a bucket or an archive. Each CT is read from there once."""
