"""Training: loop, schedule, augmentation, checkpoints. Needs the train extra (torch)."""
