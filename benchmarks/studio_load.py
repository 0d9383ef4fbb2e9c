"""How many annotators the studio's server carries, and whether all their work is kept, also when it is killed.

    python benchmarks/studio_load.py [--database postgresql] [--annotators 200] [--think 2] [--kill 3]

Simulated annotators sign in, take a task, fetch its picture and embedding, save changes with pauses for thinking, send
signs of life, finish, and take the next, over HTTP to the real server in a process of its own; the people are spread
over several processes. Times are from asking to the end of the answer. With `--kill` the server is killed (SIGKILL) at
random moments and started again, while the people repeat what was not answered.

Afterwards the database is compared with what each person was told: no task was in two people's hands, every change
that was acknowledged is there once, with the version that was told, and nothing is there that nobody sent. The exit
status is 1 where that does not hold.

The pictures are of SA-1B's size. The embeddings are either the real ones of `tiny`, or random numbers of the size that
the official models' have: the server only hands them out. `--think` is the mean pause before a save; people pause for
much longer (paper §4: 14 s a mask), so a run with few people and short pauses stands for many people.
"""

import argparse
import contextlib
import io
import itertools
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import skimage.data
import sqlalchemy as sa
import torch
from PIL import Image
from studio_crowd import Crowd, Diary

from sa_pipeline.artifacts import AssetName
from sa_pipeline.dataset import SETTINGS_FILE, Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.registry import load_model
from sa_pipeline.settings import PipelineSettings, StudioSettings
from sa_pipeline.stages.embeddings_file import writing_embeddings
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.studio.database import DATABASE_VARIABLE, Studio, open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.schema import annotators, events, objects, tasks
from sa_pipeline_tests.studio.browser import free_port
from sa_pipeline_tests.studio.postgresql import postgresql_programs, running_postgresql

WIDTH, HEIGHT = 2250, 1500
OFFICIAL_SHAPE = (256, 64, 64)
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
MASKS = 48
KINDS = ("sign in", "lease", "picture", "embedding", "save", "heartbeat", "finish")
_SERVE = (
    "import sys, pathlib; from sa_pipeline.dataset import open_dataset; from sa_pipeline.studio.serve import serve; "
    "serve(open_dataset(pathlib.Path(sys.argv[1])), port=int(sys.argv[2]))"
)


def main() -> None:
    """Sets a studio up, lets people work in it, prints the figures, compares the database with what they were told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="sqlite", help="sqlite, postgresql (started for the run), or a URL")
    parser.add_argument("--annotators", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60, help="after which nobody takes a new task")
    parser.add_argument("--think", type=float, default=2.0, help="seconds, mean pause before a save")
    parser.add_argument("--changes", type=int, default=8, help="saves of a task")
    parser.add_argument("--kill", type=int, default=0, help="times that the server is killed")
    parser.add_argument("--embedding", choices=("official", "tiny"), default="official")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--people-per-image", type=int, default=4, help="tasks for each picture")
    parser.add_argument("--dataset", type=Path, help="folder in which the pictures are kept for the next run")
    parser.add_argument("--clients", type=int, default=4, help="processes in which the people are")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if arguments.database != "sqlite":
            os.environ[DATABASE_VARIABLE] = stack.enter_context(_database(arguments.database))
        else:
            os.environ[DATABASE_VARIABLE] = f"sqlite:///{folder / 'studio.sqlite'}"
        dataset = _dataset(arguments.dataset or folder, arguments.images, arguments.embedding)
        studio = open_studio(dataset)
        stack.callback(studio.close)
        fill_queue(studio, "load", annotators_per_image=arguments.people_per_image)
        tokens = {number: add_annotator(studio, f"person {number}") for number in range(arguments.annotators)}
        server = stack.enter_context(Server(dataset.home))
        size = Pictures(dataset).embedding(1, _digest(studio)).nbytes
        print(f"{studio.kind}, {arguments.annotators} annotators, {arguments.changes} saves a task, ", end="")
        print(f"{arguments.think} s before each; embedding of {size / 1e6:.1f} MB ({arguments.embedding})", flush=True)
        diaries, seconds = _let_work(server, tokens, arguments)
        _print_figures(diaries, seconds, server)
        wrong = compare(studio, diaries)
        for sentence in wrong[:20]:
            print(f"WRONG: {sentence}")
        if wrong:
            sys.exit(1)


@contextlib.contextmanager
def _database(wanted: str) -> Iterator[str]:
    """URL of the database; one of PostgreSQL's that is started here keeps its own rules about the disk."""
    if wanted != "postgresql":
        yield wanted
        return
    programs = postgresql_programs()
    if programs is None:
        sys.exit("PostgreSQL is not installed: initdb is neither on PATH nor in /usr/lib/postgresql.")
    with running_postgresql(programs) as url:
        yield url


def _dataset(folder: Path, images: int, embedding: str) -> Dataset:
    """Pictures of SA-1B's size with embeddings, made unless the folder has them."""
    home = folder / f"{images} {embedding}"
    if (home / SETTINGS_FILE).exists():
        return open_dataset(home)
    photographs = folder / f"{images} photographs"
    photographs.mkdir(parents=True, exist_ok=True)
    encoded = []
    for name in PHOTOGRAPHS:
        photograph = Image.fromarray(getattr(skimage.data, name)()).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        photograph.save(file := io.BytesIO(), "JPEG", quality=90)
        encoded.append(file.getvalue())
    for number in range(images):
        # What follows the end of a JPEG makes it another file, and no other picture.
        content = encoded[number % len(encoded)] + str(number).encode()
        (photographs / f"{number:04d}.jpg").write_bytes(content)
    # The address is everybody's here, so that its limit would be met at once.
    settings = PipelineSettings(checkpoint="tiny", studio=StudioSettings(requests_per_second=10_000))
    dataset = open_dataset(home, DatasetConfig(source=str(photographs), settings=settings))
    append_new_images(dataset.storage, str(photographs), settings.images)
    model = load_model("tiny")
    generator = torch.Generator().manual_seed(0)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        if embedding == "tiny":
            make_image_embeddings(dataset, shard, model)
            continue
        header = expected_header(dataset, AssetName.IMAGE_EMBEDDINGS, shard, model.ref)
        with writing_embeddings(dataset.storage, header) as writer:
            for picture in Pictures(dataset).of_shard(shard):
                writer.write(picture.image_id, torch.randn(OFFICIAL_SHAPE, generator=generator).half())
    save_config(dataset)
    return dataset


def _digest(studio: Studio) -> str:
    with studio.read() as connection:
        return str(connection.scalar(sa.select(tasks.c.checkpoint_digest).limit(1)))


@dataclass
class Server:
    """The studio's server as a process, at the same address after each start."""

    home: Path
    port: int = field(default_factory=free_port)
    kills: int = 0
    cpu_seconds: float = 0.0

    def __enter__(self) -> "Server":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it, so that nothing can be tidied up, and starts it again."""
        self._stop(signal.SIGKILL)
        self.kills += 1
        self._start()

    def count_cpu(self) -> None:
        """Adds the processor time of the process that runs now."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu_seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _SERVE, str(self.home), str(self.port)])
        while True:
            if self._process.poll() is not None:
                sys.exit("The server stopped by itself.")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/api/health").is_success:
                    return
            time.sleep(0.05)

    def _stop(self, how: signal.Signals) -> None:
        self.count_cpu()
        self._process.send_signal(how)
        self._process.wait()


def _let_work(server: Server, tokens: dict[int, str], arguments: argparse.Namespace) -> tuple[list[Diary], float]:
    """What everybody wrote down, and how many seconds it took."""
    masks = {(HEIGHT, WIDTH): _masks(np.random.default_rng(arguments.seed))}
    begin = time.monotonic() + 2
    crowds = [
        Crowd(
            port=server.port,
            tokens={number: token for number, token in tokens.items() if number % arguments.clients == client},
            begin=begin,
            seconds=arguments.seconds,
            changes=arguments.changes,
            think_seconds=arguments.think,
            masks=masks,
            seed=arguments.seed,
        )
        for client in range(min(arguments.clients, len(tokens)))
    ]
    program = Path(__file__).with_name("studio_crowd.py")
    processes = []
    for crowd in crowds:
        process = subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        pickle.dump(crowd, process.stdin)
        process.stdin.close()
        processes.append(process)
    chance = random.Random(arguments.seed)
    for moment in sorted(chance.uniform(0.1, 0.9) * arguments.seconds for _ in range(arguments.kill)):
        time.sleep(max(0.0, begin + moment - time.monotonic()))
        server.kill()
    diaries: list[Diary] = []
    for process in processes:
        assert process.stdout is not None
        diaries += pickle.load(process.stdout)
        process.wait()
    seconds = time.monotonic() - begin
    server.count_cpu()
    return diaries, seconds


def _masks(generator: np.random.Generator) -> list[str]:
    """Run lengths of ragged blobs, from a button to a lake."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    made = []
    for _ in range(MASKS):
        centre_x, centre_y = generator.uniform(0.1, 0.9, 2) * (WIDTH, HEIGHT)
        angle = np.arctan2(y - centre_y, x - centre_x)
        ragged = sum(generator.uniform(0, 0.4) / wave * np.sin(wave * angle + wave) for wave in (2, 3, 7, 23, 61))
        radius = 20 * 25 ** generator.uniform() * (1 + ragged)
        made.append(mask_to_counts((x - centre_x) ** 2 + (y - centre_y) ** 2 <= radius**2))
    return made


def _print_figures(diaries: Sequence[Diary], seconds: float, server: Server) -> None:
    finished = sum(len(diary.finished) for diary in diaries)
    read = sum(diary.bytes_read for diary in diaries)
    print(f"{seconds:.0f} s: {finished} tasks finished, {len(_acknowledged(diaries))} changes kept, ", end="")
    print(f"{read / seconds / 1e6:.0f} MB/s read; the server worked for {server.cpu_seconds:.0f} CPU seconds")
    if server.kills:
        repeated = sum(diary.repeated for diary in diaries)
        longest = max(diary.longest_wait for diary in diaries)
        print(
            f"killed {server.kills} times: {repeated} requests repeated; the longest wait for one was {longest:.1f} s"
        )
    print("\n| request | number | a second | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        times = 1000 * np.array([each for diary in diaries for each in diary.answered.get(kind, ())])
        if len(times):
            print(f"| {kind} | {len(times)} | {len(times) / seconds:.1f} | {_figures(times)} |")
    print()


def _figures(milliseconds: npt.NDArray[np.float64]) -> str:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return f"{p50:.1f} | {p99:.0f} | {milliseconds.max():.0f}"


def _acknowledged(diaries: Sequence[Diary]) -> dict[uuid.UUID, int]:
    return {op_id: version for diary in diaries for op_id, version in diary.acknowledged.items()}


def compare(studio: Studio, diaries: Sequence[Diary]) -> list[str]:
    """Compares the database with what people were told; each sentence says what does not fit."""
    with studio.read() as connection:
        stored = connection.execute(sa.select(events, annotators.c.name).join(annotators)).all()
        in_queue = {row.task_id: row for row in connection.execute(sa.select(tasks))}
        kept = connection.execute(sa.select(objects)).all()
    wrong = [sentence for diary in diaries for sentence in diary.trouble]
    wrong += _twice_held(diaries)
    wrong += _changes(stored, diaries)
    last: dict[tuple[int, uuid.UUID], sa.Row] = {}
    versions = defaultdict(list)
    people = defaultdict(set)
    for row in sorted(stored, key=lambda row: row.version):
        last[row.task_id, row.object_id] = row
        versions[row.task_id].append(row.version)
        people[row.task_id].add(row.name)
    for task_id, row in in_queue.items():
        if versions[task_id] != list(range(1, row.version + 1)):
            wrong.append(f"Task {task_id} is at version {row.version} and has the versions {versions[task_id]}.")
        if len(people[task_id]) > 1:
            wrong.append(f"Task {task_id} was changed by {', '.join(sorted(people[task_id]))}.")
    wrong += [
        f"Object {row.object_id} of task {row.task_id} is not as its last change left it."
        for row in kept
        if row.counts != last[row.task_id, row.object_id].state["mask"]["counts"]
    ]
    for diary in diaries:
        for task_id, version in diary.finished.items():
            row = in_queue[task_id]
            if (row.state, row.version) != ("finished", version):
                wrong.append(f"Task {task_id} was finished at version {version} and is {row.state} at {row.version}.")
    if not wrong:
        print(f"{len(stored)} changes of {len(last)} objects in the database: all that were acknowledged, each once; ")
        print(f"{sum(len(diary.held) for diary in diaries)} leases, none of a task in another person's hands.")
    return wrong


def _twice_held(diaries: Sequence[Diary]) -> list[str]:
    holders = defaultdict(list)
    for diary in diaries:
        for task_id, since, until in diary.held:
            holders[task_id].append((since, until, diary.person))
    wrong = []
    for task_id, held in holders.items():
        held.sort()
        for (_, until, person), (since, _, other) in itertools.pairwise(held):
            if other != person and since < until:
                wrong.append(f"Task {task_id} was in the hands of {person} and of {other}.")
    return wrong


def _changes(stored: Sequence[sa.Row], diaries: Sequence[Diary]) -> list[str]:
    found = {row.op_id: row for row in stored}
    acknowledged = _acknowledged(diaries)
    sent = {op_id: change for diary in diaries for op_id, change in diary.sent.items()}
    wrong = [f"Change {op_id} was acknowledged and is not there." for op_id in acknowledged.keys() - found.keys()]
    wrong += [f"Change {op_id} is there and nobody sent it." for op_id in found.keys() - sent.keys()]
    for op_id, row in found.items():
        if op_id in sent and (row.task_id, row.state["mask"]["counts"]) != sent[op_id]:
            wrong.append(f"Change {op_id} is not what was sent.")
        if op_id in acknowledged and row.version != acknowledged[op_id]:
            wrong.append(f"Change {op_id} is version {row.version} and was told to be {acknowledged[op_id]}.")
    return wrong


if __name__ == "__main__":
    main()
