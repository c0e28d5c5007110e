"""The benchmarks are right, and a review costs no more instructions than before; nothing is timed."""
