"""Fine-tuning of text towers with the RE objective."""

MODEL, CARD = "model", "card.json"  # in the folder of a finished one: the checkpoint, what it is
