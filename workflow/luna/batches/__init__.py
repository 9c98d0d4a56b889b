"""From crops to batches on the device: the dataset, the order of an epoch, augmentation, loaders."""
