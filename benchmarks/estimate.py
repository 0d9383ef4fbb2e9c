"""What a dataset of millions of images takes on paper: hours, machines, storage, requests, money.

    python benchmarks/estimate.py --images 11000000 --gpu-hour 2.00 --gigabyte-month 0.023

Nothing is measured here: it multiplies. Every figure that it starts from is an option, with the value that
docs/at-size.md gives and where that comes from: measured by us, published by others, or computed. Prices are yours to
put in; the defaults are round numbers, not a quotation.
"""

import argparse
from dataclasses import dataclass

from sa_pipeline.settings import preset

HOUR = 3600
POINTS_OF_DECODER = 1024


@dataclass(frozen=True)
class Encoder:
    """Seconds of one A100 for one pass of an image encoder, and where the figure is from."""

    name: str
    seconds: float
    source: str


ENCODERS = (
    Encoder("ViT-H, as released", 0.376, "published, segment-anything-fast: float32"),
    Encoder("ViT-H, bfloat16 and compiled", 0.048, "published, segment-anything-fast"),
    Encoder("ViT-B, as released", 0.090, "published, segment-anything-fast: float32"),
    Encoder("ViT-B, bfloat16 and compiled", 0.012, "published, segment-anything-fast"),
)


@dataclass(frozen=True)
class CpuStage:
    """CPU seconds for one image of the automatic stage with 32x32 points and no crops."""

    name: str
    encoder: float
    rest: float
    source: str


CPU_STAGES = (
    CpuStage("ViT-H, bfloat16", 53.8, 22.2, "computed: ViT-B's, the encoder 5.96 / 0.97 times"),
    CpuStage("ViT-B, bfloat16", 8.7, 22.2, "measured; the encoder's is its wall-clock time on two cores, twice"),
    CpuStage("tiny, float32", 0.5, 8.5, "measured together, the share of the region features by itself"),
)


@dataclass(frozen=True)
class Passes:
    """Work of one image: passes of the encoder, one a crop, and points in thousands of 1,024."""

    name: str
    encoder: int
    decoder: float


def passes(points_per_side: int, layers: int, downscale: int) -> Passes:
    """A full image and 4, 16 ... crops, each layer with fewer points a crop (paper §B, as the preset `sa1b`)."""
    crops = [4**layer for layer in range(layers + 1)]
    points = sum(count * (points_per_side // downscale**layer) ** 2 for layer, count in enumerate(crops))
    return Passes(f"{layers} layers of crops", sum(crops), points / POINTS_OF_DECODER)


def main() -> None:
    """Prints the tables."""
    arguments = _parse()
    masks = preset("sa1b").masks
    works = [
        passes(masks.points_per_side, layers, masks.crop_n_points_downscale_factor)
        for layers in (0, masks.crop_n_layers)
    ]
    _print_gpu(arguments, works)
    _print_cpu(arguments, works)
    _print_storage(arguments)
    _print_shards(arguments)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=11_000_000)
    parser.add_argument("--gpus", type=int, default=64, help="for the days that it takes")
    parser.add_argument("--gpu-hour", type=float, default=2.00, help="$ for an hour of an A100 with 12 CPU cores")
    parser.add_argument("--core-hour", type=float, default=0.04, help="$ for an hour of a CPU core")
    parser.add_argument("--gigabyte-month", type=float, default=0.023, help="$ for a GB and month of object storage")
    parser.add_argument("--thousand-puts", type=float, default=0.005, help="$ for 1,000 requests that write")
    parser.add_argument("--thousand-gets", type=float, default=0.0004, help="$ for 1,000 requests that read")
    parser.add_argument(
        "--decoder-seconds", type=float, default=0.04, help="of an A100 for 1,024 points; computed, not measured"
    )
    parser.add_argument("--jpeg", type=float, default=0.60e6, help="bytes of an image as it is stored and exported")
    parser.add_argument("--masks", type=float, default=100, help="exported masks an image (paper: 100)")
    parser.add_argument("--candidates", type=float, default=400, help="candidates above the floors an image")
    parser.add_argument("--mask-row", type=float, default=267, help="bytes of a mask in Parquet")
    parser.add_argument("--mask-record", type=float, default=904, help="bytes of a mask in an SA-1B record")
    parser.add_argument("--images-per-shard", type=int, nargs="+", default=[64, 1024, 11_000])
    return parser.parse_args()


def _print_gpu(arguments: argparse.Namespace, works: list[Passes]) -> None:
    print("\n| GPU | crops | s an image | A100 hours | days on the GPUs | $ |\n|---|---|---|---|---|---|")
    for encoder in ENCODERS:
        for work in works:
            seconds = work.encoder * encoder.seconds + work.decoder * arguments.decoder_seconds
            hours = arguments.images * seconds / HOUR
            days, cost = hours / arguments.gpus / 24, hours * arguments.gpu_hour
            print(f"| {encoder.name} | {work.name} | {seconds:.2f} | {hours:,.0f} | {days:.1f} | {cost:,.0f} |")


def _print_cpu(arguments: argparse.Namespace, works: list[Passes]) -> None:
    print("\n| CPU | crops | CPU s an image | core years | $ |\n|---|---|---|---|---|")
    for stage in CPU_STAGES:
        for work in works:
            seconds = work.encoder * stage.encoder + work.decoder * stage.rest
            hours = arguments.images * seconds / HOUR
            years, cost = hours / 24 / 365, hours * arguments.core_hour
            print(f"| {stage.name} | {work.name} | {seconds:.1f} | {years:,.0f} | {cost:,.0f} |")


def _print_storage(arguments: argparse.Namespace) -> None:
    rows = {
        "raw_images": arguments.jpeg,
        "image_embeddings, float16": 256 * 64 * 64 * 2.0,
        "candidate_masks": arguments.candidates * arguments.mask_row,
        "filtered_masks": arguments.candidates * 10,
        "deduplicated_masks": arguments.candidates * arguments.mask_row,
        "sa1b_export": arguments.jpeg + arguments.masks * arguments.mask_record,
    }
    print("\n| asset | bytes an image | TB | $ a month |\n|---|---|---|---|")
    for name, size in [*rows.items(), ("all", sum(rows.values()))]:
        terabytes = arguments.images * size / 1e12
        print(f"| {name} | {size:,.0f} | {terabytes:.1f} | {terabytes * 1000 * arguments.gigabyte_month:,.0f} |")


def _print_shards(arguments: argparse.Namespace) -> None:
    print("\n| images a shard | shards | requests that write | that read | $ | largest file, GB |")
    print("|---|---|---|---|---|---|")
    for size in arguments.images_per_shard:
        shards = -(-arguments.images // size)
        # A shard: six files, the tar and the ledger, in parts of 50 MB where they are larger; a read of each file by
        # the one or two assets after it, and of each source file by the append and by raw_images.
        written = shards * (8 + size * 256 * 64 * 64 * 2 / 50e6)
        read = shards * 24 + 2 * arguments.images
        cost = written / 1000 * arguments.thousand_puts + read / 1000 * arguments.thousand_gets
        largest = size * 256 * 64 * 64 * 2 / 1e9
        print(f"| {size:,} | {shards:,} | {written:,.0f} | {read:,.0f} | {cost:,.0f} | {largest:.1f} |")


if __name__ == "__main__":
    main()
