"""Read pixels and pose from the files that thermal cameras write."""
