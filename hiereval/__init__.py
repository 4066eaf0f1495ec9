"""hiereval: does a vision-language model know that a bird is more general than a blue bird?"""

__version__ = "0.1.0"
