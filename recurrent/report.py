"""x"""
import numpy as np
from functools import partial
course_numbers = partial(np.printoptions, precision=2, suppress=True, sign=" ", floatmode="fixed", linewidth=200)
def print_sequence(net, language, text): print("-----\nsymbol=",text)
def training_sentences(*a): return []
