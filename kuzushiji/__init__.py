"""Part 1: images and their augmentation, recipes and runs, confusions and what explains them."""
