"""Short names for the activations of a graph: unique, stable, and easy to type in a shell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

LONGEST_NAME = 48
DEEPEST_PATH = 32
_MOST_READ = 512
RESERVED = frozenset({"image", "device"})
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")
_FALLBACK = re.compile(r"t\d+")


def short_names(full_names: Mapping[int, str], given: Mapping[int, str]) -> dict[int, str]:
    """Return a unique short name for every tensor index in `full_names`.

    A Keras name such as `net_1/block_1_relu_1/Relu6;net_1/block_1_bn_1/…` becomes `block_1_relu`: of the first of the
    fused names, the shortest front that no other tensor shares, without the model's name and the `_1` that Keras puts
    behind every layer. Where that is ambiguous a longer form serves, at last `t57` with the tensor's index.
    `given` are names that win over derived ones (those of the signature).
    """
    paths = {index: _path(name) for index, name in full_names.items()}
    fronts = Counter(path[:depth] for path in paths.values() for depth in range(1, len(path) + 1))
    depths = {index: _depth(path, fronts) for index, path in paths.items()}
    layers = [path[depths[index] - 1] for index, path in paths.items() if depths[index] < len(path)]
    numbered = sum(layer.endswith("_1") for layer in layers) >= 0.9 * len(layers)
    candidates = {index: _candidates(path, depths[index], numbered) for index, path in paths.items()}
    first = {index: [_safe(name)] for index, name in given.items()}
    full = {name: index for index, name in full_names.items()}
    return _choose(candidates, full, _choose(first, full, {}))


def _path(name: str) -> tuple[str, ...]:
    """Return the parts of the first of the fused names; a deeper one than people write is cut off."""
    return tuple(filter(None, name.split(";", 1)[0].split("/", DEEPEST_PATH)[:DEEPEST_PATH]))


def _depth(path: tuple[str, ...], fronts: Counter[tuple[str, ...]]) -> int:
    """Return how many parts the shortest front has that no other tensor shares."""
    return next((depth for depth in range(1, len(path)) if fronts[path[:depth]] == 1), len(path))


def _candidates(path: tuple[str, ...], depth: int, numbered: bool) -> list[str]:
    """Return the forms of one path from the shortest to the whole."""
    plain = tuple(part.removesuffix("_1") for part in path[:-1]) + path[-1:] if numbered else path
    shortest = depth - 1 if depth < len(path) else max(0, depth - 2)
    return [_safe(".".join(parts[start:depth])) for parts in (plain, path) for start in range(shortest, -1, -1)]


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name[:_MOST_READ]).strip("_.")[: LONGEST_NAME + 1]


def _choose(
    candidates: Mapping[int, list[str]], full_names: Mapping[str, int], already: Mapping[int, str]
) -> dict[int, str]:
    """Return for each tensor its first form that no other tensor wants at the same place or has already."""
    chosen = {index: name for index, name in already.items() if not _FALLBACK.fullmatch(name)}
    for place in range(max(map(len, candidates.values()), default=0)):
        open_ = {index: names[place] for index, names in candidates.items() if index not in chosen and names[place:]}
        counts, taken = Counter(open_.values()), set(chosen.values())
        for index, name in open_.items():
            usable = 0 < len(name) <= LONGEST_NAME and name not in RESERVED and not _FALLBACK.fullmatch(name)
            if usable and counts[name] == 1 and name not in taken and full_names.get(name, index) == index:
                chosen[index] = name
    return {index: chosen.get(index, f"t{index}") for index in candidates}
