"""Fine-tuning of text towers with the RE objective."""
