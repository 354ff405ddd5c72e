"""Part 3: languages, training, and analysis of trained recurrent networks."""
