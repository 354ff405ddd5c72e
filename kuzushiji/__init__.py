"""Part 1: images and their augmentation, recipes, forms, confusions, pictures, and the answer."""
