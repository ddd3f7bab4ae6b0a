"""A portrait and a driving video in, a finished video out: frame by frame, resumable, in chunks and batches."""
