"""Names of metrics."""

log_loss, root_mean_squared_error = "log loss", "RMSE"
