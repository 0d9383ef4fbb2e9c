"""The studio's HTTP API, one module per subject: each route reads its request, calls one function, and answers."""
