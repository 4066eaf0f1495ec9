"""What a third party installs beside hiereval."""
