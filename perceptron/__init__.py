"""Part 2: pictures of a perceptron, and the fewest step units that solve a table."""
