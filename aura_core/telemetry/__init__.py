"""What operators see: the log and the metrics, without secrets."""
