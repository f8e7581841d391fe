"""Property-based tests: laws that hold for every scenario that Hypothesis can find."""
