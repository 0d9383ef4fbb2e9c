"""The verifier: which automatic masks people would mend or delete, learnt from those that they did."""
