"""From video files to per-second features and events, and to a benchmark on the disk."""
