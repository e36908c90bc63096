"""Where the stage `evaluate` leaves what a registration and a summary read."""

from pathlib import Path

METRICS = Path("artifacts/evaluate/metrics.json")
VERDICT = Path("artifacts/evaluate/verdict.json")
CONFUSION = Path("artifacts/evaluate/confusion.png")
COMPARISON = Path("artifacts/evaluate/comparison.png")
