"""Several processes that train one model: each takes its share of a step's images, gradients are added up."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch.nn import Parameter


@dataclass(frozen=True)
class Group:
    """Processes that train together, and which of them this is.

    They start from the same weights, add up their gradients and take the same step, which is data parallelism as
    `DistributedDataParallel` does it; that one wants a single forward pass, and an interaction has many.

    Attributes:
        rank: Of this process, from 0.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replaces every gradient by its sum over all processes; nobody's stays None."""
        if self.size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        # A prompt that did not occur leaves no gradient, and the optimizer skips it; unless it occurred elsewhere.
        present = torch.tensor([float(parameter.grad is not None) for parameter in trained], device=trained[0].device)
        torch.distributed.all_reduce(present)
        touched = [parameter for parameter, count in zip(trained, present.tolist(), strict=True) if count]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in touched]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for parameter, part in zip(touched, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def mean(self, figures: Mapping[str, float], device: torch.device) -> dict[str, float]:
        """Means over all processes."""
        if self.size == 1:
            return dict(figures)
        total = torch.tensor(list(figures.values()), dtype=torch.float64, device=device)
        torch.distributed.all_reduce(total)
        return dict(zip(figures, (total / self.size).tolist(), strict=True))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process, so that all of them do the same."""
        return flag if self.size == 1 else self.mean({"flag": float(flag)}, device)["flag"] > 0

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.size > 1:
            torch.distributed.barrier()


ALONE = Group()


@contextmanager
def joined_group() -> Iterator[Group]:
    """The group that `torchrun` started this process in, or one of its own; NCCL between GPUs, gloo between CPUs."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Group(torch.distributed.get_rank(), size)
    finally:
        torch.distributed.destroy_process_group()
