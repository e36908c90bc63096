"""Where stages leave what others read, relative to the project."""

from pathlib import Path

REPORT = Path("artifacts/validate/report.json")
RANKING = Path("artifacts/select/ranking.json")
MODEL = Path("artifacts/finetune/model")
HELD_OUT = Path("artifacts/finetune/held_out.safetensors")
FINETUNE_HISTORY = Path("artifacts/finetune/history.json")
LEARNING_CURVE = Path("artifacts/finetune/learning_curve.png")
SCRATCH = Path("artifacts/reference/scratch")
RANDOM_FROZEN = Path("artifacts/reference/random_frozen")
FROZEN = Path("artifacts/reference/frozen")
METRICS = Path("artifacts/evaluate/metrics.json")
VERDICT = Path("artifacts/evaluate/verdict.json")
CONFUSION = Path("artifacts/evaluate/confusion.png")
COMPARISON = Path("artifacts/evaluate/comparison.png")
RELIABILITY = Path("artifacts/evaluate/reliability.png")
RISK = Path("artifacts/evaluate/risk_coverage.png")
SLICES_PICTURE = Path("artifacts/evaluate/slices.png")
GAINS = Path("artifacts/evaluate/gains.png")
CALIBRATION = Path("artifacts/evaluate/calibration.json")
SLICES = Path("artifacts/evaluate/slices.json")
REGISTRATION = Path("artifacts/register/registration.json")
