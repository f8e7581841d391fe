"""The public contract of maywe. Versions live in packages below; no code of ours does."""
