"""Part 2: pictures of a perceptron, the minimum number of step units, scales for sigmoid units."""
