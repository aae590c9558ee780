"""What the benchmarks of the answer side share: recipes of the judge, and how result rows are written."""
