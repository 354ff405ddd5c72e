"""Part 3: languages and tasks, what a trained network does, the machine in it, pictures."""
