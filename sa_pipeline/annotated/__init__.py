"""Images with masks that people drew, or that stand in for such: SA-1B, COCO instances, label maps."""
