"""The methods by the names they have in the tables."""

OURS = "rootstock"
OURS_AGAIN = "rootstock, run again"
OURS_REMEMBERED = "rootstock, executor remembered"
FASTAI = "fastai fine_tune(3)"
FIXED = "tutorial, fixed extractor"
TUTORIAL = "tutorial, fine-tuning"
FULL = "AdamW, all layers"
LOGISTIC = "logistic regression"
PEERS = (LOGISTIC, FIXED, TUTORIAL, FULL, FASTAI)
