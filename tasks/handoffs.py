"""Where stages leave what others read, relative to the project."""

from pathlib import Path

REPORT = Path("artifacts/validate/report.json")
RANKING = Path("artifacts/select/ranking.json")
MODEL = Path("artifacts/finetune/model")
FINETUNE_HISTORY = Path("artifacts/finetune/history.json")
LEARNING_CURVE = Path("artifacts/finetune/learning_curve.png")
SCRATCH = Path("artifacts/reference/scratch")
RANDOM_FROZEN = Path("artifacts/reference/random_frozen")
METRICS = Path("artifacts/evaluate/metrics.json")
VERDICT = Path("artifacts/evaluate/verdict.json")
CONFUSION = Path("artifacts/evaluate/confusion.png")
COMPARISON = Path("artifacts/evaluate/comparison.png")
CHAMPION = Path("artifacts/evaluate/champion.json")
SEEN = Path("artifacts/evaluate/seen_rows.txt")
REGISTRATION = Path("artifacts/register/registration.json")
