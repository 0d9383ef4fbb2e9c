"""How good a model's masks are: simulated clicks, calibration of predicted IoU, proposals against people's segments."""
