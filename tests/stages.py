"""The stages of the pipeline, in the order that it is known for: what tests hold the code to."""

ORDER = (
    *("sample", "manifest", "validate", "select", "finetune"),
    *("reference", "evaluate", "explain", "register", "report"),
)
