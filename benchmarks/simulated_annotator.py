"""Simulated people who work through the annotation studio's HTTP API, from masks that are known.

    python benchmarks/simulated_annotator.py --url http://localhost:8765 --tokens FILE --source IMAGES [--references M]

`--source` and `--references` are what `sa-pipeline evaluate` takes: SA-1B tars, images with a COCO file, or images
with label maps. The file has a token a line, as `sa-pipeline annotators add` prints it: one person each; those of
reviewers review. All work at once, until no task is left. Nothing is slept: the seconds that people would take
(benchmarks/simulation/habits.py) are reported to the studio as active seconds. Killed and started again, they go on
where they were.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulation.annotator import Annotator
from simulation.reviewer import Reviewer
from simulation.studio import Client, Decoders
from simulation.tally import Tally
from simulation.truth import Truth


def main() -> None:
    """Signs everybody in and lets them work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="of the studio")
    parser.add_argument("--tokens", required=True, type=Path, help="file with a person's token a line")
    parser.add_argument("--source", required=True, type=Path, help="annotated images")
    parser.add_argument("--references", type=Path, help="their masks, where they lie elsewhere")
    given = parser.parse_args()
    truth, decoders = Truth(given.source, given.references), Decoders()
    clients = [Client(given.url, token) for token in given.tokens.read_text().split()]
    annotators = [Annotator(client, truth, decoders) for client in clients if not client.reviews]
    reviewers = [Reviewer(client, truth) for client in clients if client.reviews]
    # Turn by turn, since tasks come back from review.
    while _all_at_once([each.work for each in annotators]) + _all_at_once([each.work for each in reviewers]):
        pass
    print(sum((each.tally for each in annotators), Tally()).describe())
    print(f"reviewed: {sum(r.accepted for r in reviewers)} accepted, {sum(r.sent_back for r in reviewers)} sent back")


def _all_at_once(works: Sequence[Callable[[], int]]) -> int:
    """Lets all work at the same time; returns how many tasks they did together."""
    if not works:
        return 0
    with ThreadPoolExecutor(len(works)) as pool:
        return sum(pool.map(lambda work: work(), works))


if __name__ == "__main__":
    main()
