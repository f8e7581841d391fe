"""Tests: unit, property, integration and case files, on real PostgreSQL and Redis only."""
