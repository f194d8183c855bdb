"""What operators see: the log, the metrics and the traces, without secrets."""
