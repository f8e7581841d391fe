"""Measurements on real servers. Figures are absolute, and so of one machine and one hour."""
